"""Catalogue of known weights files: URLs, sizes, hashes, licences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lipsync.errors import OptionError
from lipsync.utils.suggestions import known_hint

_NON_COMMERCIAL = "non-commercial use only (trained on LRS2, whose terms forbid any other)"
_KOKORO = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"
_GFPGAN = "Apache-2.0, except its StyleGAN2: NVIDIA's terms, non-commercial (trained on FFHQ, CC BY-NC-SA)"


@dataclass(frozen=True)
class WeightsEntry:
    """One known weights file.

    Attributes:
        name: short name, as on the command line.
        filename: in the weights folder.
        urls: mirrors, tried in order; empty if it can only be downloaded by hand, from `source`.
        sha256: lower-case hex digest of the file.
        bytes: size of the file.
        licence: terms of use, for the user.
        source: page with information, and for a download by hand.
        what: description for the user.
    """

    name: str
    filename: str
    urls: tuple[str, ...]
    sha256: str
    bytes: int
    licence: str
    source: str
    what: str


_ENTRIES = (
    WeightsEntry(
        name="wav2lip",
        filename="wav2lip.pth",
        urls=(
            "https://huggingface.co/rippertnt/wav2lip/resolve/main/checkpoints/wav2lip.pth",
            "https://github.com/justinjohn0306/Wav2Lip/releases/download/models/wav2lip.pth",
        ),
        sha256="b78b681b68ad9fe6c6fb1debc6ff43ad05834a8af8a62ffc4167b7b34ef63c37",
        bytes=435_807_851,
        licence=_NON_COMMERCIAL,
        source="https://github.com/Rudrabha/Wav2Lip",
        what="Wav2Lip generator, the most accurate lips",
    ),
    WeightsEntry(
        name="wav2lip_gan",
        filename="wav2lip_gan.pth",
        urls=(
            "https://huggingface.co/camenduru/Wav2Lip/resolve/main/checkpoints/wav2lip_gan.pth",
            "https://huggingface.co/numz/wav2lip_studio/resolve/main/Wav2lip/wav2lip_gan.pth",
            "https://huggingface.co/Nekochu/Wav2Lip/resolve/main/wav2lip_gan.pth",
            "https://github.com/justinjohn0306/Wav2Lip/releases/download/models/wav2lip_gan.pth",
        ),
        sha256="ca9ab7b7b812c0e80a6e70a5977c545a1e8a365a6c49d5e533023c034d7ac3d8",
        bytes=435_801_865,
        licence=_NON_COMMERCIAL,
        source="https://github.com/Rudrabha/Wav2Lip",
        what="Wav2Lip generator trained with a quality discriminator: sharper, lips slightly less accurate",
    ),
    WeightsEntry(
        name="wav2lip_sd_gan",
        filename="Wav2Lip-SD-GAN.pt",
        urls=(),  # only on Google Drive, which answers programs with a web page
        sha256="180cfd49d31d47f195d5bfc62830ffe2c40724b7bbbce6faadc73ac6ab1a3b8e",
        bytes=145_829_145,
        licence=_NON_COMMERCIAL,
        source="https://drive.google.com/file/d/15G3U08c8xsCkOqQxE38Z2XXDnPcOptNk/view",
        what="Wav2Lip generator as the official page offers it today (TorchScript)",
    ),
    WeightsEntry(
        name="builtin",
        filename="builtin.safetensors",
        urls=(),  # in the repository itself
        sha256="9b3b2a071e091b5698f882acd2714dde7a00dca93e361bfbf80f8d1aa63a3765",
        bytes=17_152_032,
        licence="research and demonstration; its sources are in weights/README.md",
        source="the folder weights/ of this program",
        what="the model shipped with the program: small, fast, no download",
    ),
    WeightsEntry(
        name="expert",
        filename="expert.safetensors",
        urls=(),  # in the repository itself
        sha256="a8976e488dbb88b673b33d0862b4caf79f825d2d16067e2a1b0fe0a1fa4e67f2",
        bytes=3_012_832,
        licence="research and demonstration; its sources are in weights/README.md",
        source="the folder weights/ of this program",
        what="the shipped sync expert: how well lips and voice match; not used to train 'builtin'",
    ),
    WeightsEntry(
        name="speaker",
        filename="speaker.safetensors",
        urls=(),  # in the repository itself
        sha256="6686cbc819baa4b377180700d34ea76ae3c7edd1376c98ebe15b13fb329e9ac2",
        bytes=2_859_568,
        licence="Apache-2.0",
        source="the folder weights/ of this program; made of Resemblyzer 0.1.4's",
        what="the shipped voice encoder: which stretches of speech are of one voice",
    ),
    WeightsEntry(
        name="s3fd",
        filename="s3fd.pth",
        urls=(
            "https://www.adrianbulat.com/downloads/python-fan/s3fd-619a316812.pth",
            "https://huggingface.co/camenduru/Wav2Lip/resolve/main/checkpoints/s3fd-619a316812.pth",
        ),
        sha256="619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
        bytes=89_843_225,
        licence="BSD-3-Clause (trained on WIDER FACE)",
        source="https://github.com/1adrianb/face-alignment",
        what="S3FD face detector, the one that Wav2Lip uses",
    ),
    WeightsEntry(
        name="sface",
        filename="face_recognition_sface_2021dec.onnx",
        urls=(
            "https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models/"
            "face_recognition_sface/face_recognition_sface_2021dec.onnx",
            "https://huggingface.co/opencv/face_recognition_sface/resolve/main/"
            "face_recognition_sface_2021dec.onnx",
        ),
        sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        bytes=38_696_353,
        licence="Apache-2.0",
        source="https://github.com/opencv/opencv_zoo/tree/main/models/face_recognition_sface",
        what="SFace face recognition: for choosing the face by a reference image",
    ),
    WeightsEntry(
        name="syncnet_v2",
        filename="syncnet_v2.model",
        urls=(
            "https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
            "https://huggingface.co/ByteDance/LatentSync-1.5/resolve/main/auxiliary/syncnet_v2.model",
        ),
        sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        bytes=54_573_114,
        # The MIT licence in its authors' repository covers the code and does not mention the weights.
        licence="none is stated for the weights (its paper trains on BBC television): take it as "
        "non-commercial research only",
        source="https://github.com/joonson/syncnet_python",
        what="SyncNet, the network that defines LSE-D and LSE-C",
    ),
    WeightsEntry(
        name="inception_fid",
        filename="pt_inception-2015-12-05-6726825d.pth",
        urls=(
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
        ),
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        bytes=95_628_359,
        licence="Apache-2.0",
        source="https://github.com/toshas/torch-fidelity",
        what="InceptionV3, the network that defines FID",
    ),
    WeightsEntry(
        name="alexnet",
        filename="alexnet-owt-7be5be79.pth",
        urls=("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        bytes=244_408_911,
        licence="BSD-3-Clause (torchvision; trained on ImageNet, whose images are for research)",
        source="https://pytorch.org/vision/stable/models/alexnet.html",
        what="AlexNet, the network of LPIPS",
    ),
    WeightsEntry(
        name="gfpgan",
        filename="GFPGANv1.4.pth",
        urls=(
            "https://github.com/TencentARC/GFPGAN/releases/download/v1.3.4/GFPGANv1.4.pth",
            "https://huggingface.co/datasets/Gourieff/ReActor/resolve/main/models/facerestore_models/"
            "GFPGANv1.4.pth",
        ),
        sha256="e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
        bytes=348_632_874,
        licence=_GFPGAN,
        source="https://github.com/TencentARC/GFPGAN",
        what="GFPGAN 1.4 face restoration, natural skin",
    ),
    WeightsEntry(
        name="gfpgan_1.3",
        filename="GFPGANv1.3.pth",
        urls=(
            "https://github.com/TencentARC/GFPGAN/releases/download/v1.3.0/GFPGANv1.3.pth",
            "https://huggingface.co/datasets/Gourieff/ReActor/resolve/main/models/facerestore_models/"
            "GFPGANv1.3.pth",
        ),
        sha256="c953a88f2727c85c3d9ae72e2bd4846bbaf59fe6972ad94130e23e7017524a70",
        bytes=348_632_874,
        licence=_GFPGAN,
        source="https://github.com/TencentARC/GFPGAN",
        what="GFPGAN 1.3 face restoration, slightly softer than 1.4",
    ),
    WeightsEntry(
        name="restoreformer",
        filename="RestoreFormer.pth",
        urls=(
            "https://github.com/TencentARC/GFPGAN/releases/download/v1.3.4/RestoreFormer.pth",
            "https://huggingface.co/fofr/comfyui/resolve/main/facerestore_models/RestoreFormer.pth",
        ),
        sha256="07404d446d62ca3d5ed38b1de09a947a1e77d46dbccec961a74d713a8f24ace0",
        bytes=290_785_322,
        licence="Apache-2.0 (trained on FFHQ, CC BY-NC-SA)",
        source="https://github.com/wzhouxiff/RestoreFormer",
        what="RestoreFormer face restoration, changes features more than GFPGAN",
    ),
    WeightsEntry(
        name="realesrgan_x2",
        filename="RealESRGAN_x2plus.pth",
        urls=(
            "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.1/RealESRGAN_x2plus.pth",
            "https://huggingface.co/nateraw/real-esrgan/resolve/main/RealESRGAN_x2plus.pth",
        ),
        sha256="49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
        bytes=67_061_725,
        licence="BSD-3-Clause (its authors have not said whether that covers the weights)",
        source="https://github.com/xinntao/Real-ESRGAN",
        what="Real-ESRGAN, 2x upscaling of whole frames",
    ),
    WeightsEntry(
        name="htdemucs",
        filename="htdemucs.safetensors",
        urls=(
            "https://huggingface.co/adefossez/HTDemucs/resolve/bf35a81b663819a8255c8fefee17f9d812b786b5/"
            "955717e8.safetensors",
        ),
        sha256="d9fa14133cfcc034a6758923bb3a8ca9f8dfd0b582134643bbf83f72c17576dd",
        bytes=84_025_440,
        # In issues 327 and 508 of facebookresearch/demucs; it was trained on MUSDB HQ and 800 more songs.
        licence="MIT by its page; for research only by its author's word of 2022 and 2023",
        source="https://huggingface.co/adefossez/HTDemucs",
        what="Hybrid Transformer Demucs, separates a voice from music and noise",
    ),
    WeightsEntry(
        name="kokoro",
        filename="kokoro-v1.0.onnx",
        urls=(f"{_KOKORO}/kokoro-v1.0.onnx",),
        sha256="7d5df8ecf7d4b1878015a32686053fd0eebe2bc377234608764cc0ef3636a6c5",
        bytes=325_532_387,
        licence="Apache-2.0",
        source="https://huggingface.co/hexgrad/Kokoro-82M",
        what="Kokoro-82M, speaks texts in a natural voice",
    ),
    WeightsEntry(
        name="kokoro_voices",
        filename="voices-v1.0.bin",
        urls=(f"{_KOKORO}/voices-v1.0.bin",),
        sha256="bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d",
        bytes=28_214_398,
        licence="Apache-2.0",
        source="https://huggingface.co/hexgrad/Kokoro-82M",
        what="the 54 voices of Kokoro-82M",
    ),
)
CATALOGUE: Mapping[str, WeightsEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""All entries by name."""


def entry(name: str) -> WeightsEntry:
    """The entry called `name`.

    Raises:
        OptionError: there is no such entry.
    """
    if name not in CATALOGUE:
        hint = known_hint([name], CATALOGUE)
        raise OptionError("There are no such weights in the catalogue", given=repr(name), hint=hint)
    return CATALOGUE[name]
