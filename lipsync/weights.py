"""Weights: what there is, where it comes from, fetching it, and reading any format it comes in.

    find("wav2lip")        a file on this machine, or None
    require("wav2lip")     the same, downloaded first when it is absent
    load_state_dict(path)  every format that people have: pickle, safetensors, TorchScript
    load_into(network, …)  strict, and says which network a file is of when it is the wrong one

Reading itself is in `lipsync.checkpoints`; this module is the address for all of it.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import platformdirs
import pooch

from lipsync.checkpoints import StateDict, load_into, load_state_dict
from lipsync.errors import DownloadError, OptionError
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress

if TYPE_CHECKING:
    import requests

__all__ = [
    "CATALOGUE",
    "StateDict",
    "WeightsEntry",
    "download",
    "entry",
    "find",
    "load_into",
    "load_state_dict",
    "require",
    "weights_folder",
]

_NON_COMMERCIAL = "non-commercial use only (trained on LRS2, whose terms forbid any other)"
_GFPGAN = "Apache-2.0, except its StyleGAN2: NVIDIA's terms, non-commercial (trained on FFHQ, CC BY-NC-SA)"


@dataclass(frozen=True)
class WeightsEntry:
    """One known weights file.

    Attributes:
        name: short name, as on the command line.
        filename: what the file is called in the weights folder.
        urls: mirrors, tried in turn; empty when it can only be fetched by hand, from `source`.
        sha256: lower case hex digest of the whole file.
        bytes: its size.
        licence: what it may be used for, in words.
        source: the page to read about it, and to fetch it from by hand.
        what: what it is for, in words.
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
        what="Wav2Lip generator trained with a quality critic: a sharper picture, lips a little less exact",
    ),
    WeightsEntry(
        name="wav2lip_sd_gan",
        filename="Wav2Lip-SD-GAN.pt",
        urls=(),  # Google Drive only, which answers programs with a page of its own
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
        sha256="34944e114cc165454aeb0571becc19abd208a744544fcbd658ef0dfcbfb042af",
        bytes=6_047_840,
        licence="research and demonstration; its sources are in weights/README.md",
        source="the folder weights/ of this program",
        what="the model that ships with the program: small, fast, no download",
    ),
    WeightsEntry(
        name="expert",
        filename="expert.safetensors",
        urls=(),  # in the repository itself
        sha256="a8976e488dbb88b673b33d0862b4caf79f825d2d16067e2a1b0fe0a1fa4e67f2",
        bytes=3_012_832,
        licence="research and demonstration; its sources are in weights/README.md",
        source="the folder weights/ of this program",
        what="our own sync expert: how well lips and voice go together; took no part in training 'builtin'",
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
        what="SFace, knows a person again: for choosing the face by a picture",
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
        # The MIT licence in its authors' repository is about the code and does not speak of the weights.
        licence="none is stated for the weights (its paper trains on BBC television): take it as "
        "non-commercial research only",
        source="https://github.com/joonson/syncnet_python",
        what="SyncNet, the judge that LSE-D and LSE-C are defined with",
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
        what="InceptionV3, the network that FID is defined with",
    ),
    WeightsEntry(
        name="alexnet",
        filename="alexnet-owt-7be5be79.pth",
        urls=("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        bytes=244_408_911,
        licence="BSD-3-Clause (torchvision; trained on ImageNet, whose pictures are for research)",
        source="https://pytorch.org/vision/stable/models/alexnet.html",
        what="AlexNet, the network that LPIPS compares pictures with",
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
        what="GFPGAN 1.4, sharpens faces; natural skin",
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
        what="GFPGAN 1.3, sharpens faces; a little softer than 1.4",
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
        what="RestoreFormer, sharpens faces; freer with the features than GFPGAN",
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
        what="Real-ESRGAN, enlarges whole frames to twice their size",
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
        what="Hybrid Transformer Demucs, frees a voice from music and noise",
    ),
)
CATALOGUE: Mapping[str, WeightsEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""Every known file by name."""


# ---------------------------------------------------------------------------------- where files are


def _folders() -> tuple[Path, ...]:
    beside_package = Path(__file__).resolve().parents[1] / "weights"
    chosen = os.environ.get("LIPSYNC_WEIGHTS")
    folders = [Path(chosen).expanduser()] if chosen else []
    if beside_package.is_dir():
        folders.append(beside_package)
    return (*folders, Path(platformdirs.user_data_dir("lipsync", appauthor=False)) / "weights")


def weights_folder() -> Path:
    """Where downloads land.

    The environment variable LIPSYNC_WEIGHTS names it; else it is `weights/` in the checkout of
    this program when that can be written to; else a folder of the user's. It may not exist yet.
    """
    folders = _folders()
    if os.environ.get("LIPSYNC_WEIGHTS"):
        return folders[0]
    return next((folder for folder in folders[:-1] if os.access(folder, os.W_OK)), folders[-1])


def entry(name: str) -> WeightsEntry:
    """The catalogue's entry called `name`.

    Raises:
        OptionError: there is none.
    """
    if name not in CATALOGUE:
        hint = f"Known: {', '.join(CATALOGUE)}."
        raise OptionError("There are no such weights in the catalogue", given=repr(name), hint=hint)
    return CATALOGUE[name]


def find(name: str) -> Path | None:
    """The file of the entry called `name`, wherever it is on this machine; None when it is absent.

    A file that is there is taken as it is, whatever its size and hash: retrained weights under
    the usual name are welcome.
    """
    filename = entry(name).filename
    return next((folder / filename for folder in _folders() if (folder / filename).is_file()), None)


def require(
    name: str,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """The file of the entry called `name`, downloaded into `weights_folder()` when it is absent.

    Raises:
        DownloadError: it is absent and cannot be fetched; the text says how to get it by hand.
        Cancelled: the user stopped the download; what was fetched is kept and continued next time.
    """
    return find(name) or download(entry(name), weights_folder(), progress=progress, cancel=cancel)


# ----------------------------------------------------------------------------------------- download

_CHUNK = 1 << 16  # bytes between two looks at the cancel token: under a second at 100 kB/s
_TIMEOUT = (10, 30)  # seconds to connect, seconds without a byte
_ABANDONED_SECONDS = 120  # well above _TIMEOUT: a running download touches its file more often


def download(
    wanted: WeightsEntry,
    folder: Path,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """Fetch `wanted` into `folder`: mirrors in turn, resumed after a cut, size and hash checked.

    The file appears under its name only when it is whole and right. Any number of processes may
    fetch the same file at once.

    Raises:
        DownloadError: no mirror gave the right file, or the disk is full or not writable.
        Cancelled: the user stopped it; what was fetched is kept and continued next time.
    """
    target = folder / wanted.filename
    failures: list[str] = []
    with _explained(wanted, target):
        folder.mkdir(parents=True, exist_ok=True)
        _need_space(wanted, folder)
    for url in wanted.urls:
        try:
            with _explained(wanted, target):
                return _fetch(wanted, url, target, progress, cancel or CancelToken())
        except _MirrorFailed as failure:
            failures.append(f"{url}: {failure}")
    raise _download_error(wanted, target, "; ".join(failures) or "it can only be fetched by hand")


class _MirrorFailed(Exception):
    """One mirror did not give the file; the next may."""


@contextmanager
def _explained(wanted: WeightsEntry, target: Path) -> Iterator[None]:
    """Turns errors of the disk into a DownloadError; those of the network are met in `_resume`."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else f"the folder cannot be written to ({error.strerror})"
        raise _download_error(wanted, target, why) from error


def _download_error(wanted: WeightsEntry, target: Path, why: str) -> DownloadError:
    address = wanted.urls[0] if wanted.urls else wanted.source
    return DownloadError(
        f"The weights '{wanted.name}' could not be downloaded",
        given=why,
        hint=(
            f"To get them by hand, open {address} in a browser and save the file as {target} "
            f"({wanted.bytes:,} bytes, SHA-256 {wanted.sha256})."
        ),
    )


def _need_space(wanted: WeightsEntry, folder: Path) -> None:
    kept = sum(part.stat().st_size for part in folder.glob(f"{wanted.filename}*.part"))
    if shutil.disk_usage(folder).free < wanted.bytes - kept:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _fetch(
    wanted: WeightsEntry, url: str, target: Path, progress: ProgressCallback, cancel: CancelToken
) -> Path:
    """One mirror, by pooch: it calls `into`, checks the hash, and moves the file into place."""

    def into(url: str, output: str | Path, _: object) -> None:
        part = _adopt_part(target)
        try:
            _resume(wanted, url, part, progress, cancel)
            part.replace(output)
        finally:
            if part.exists():  # stopped half-way: under this name the next call continues it
                part.replace(target.with_name(f"{target.name}.part"))

    pooch.get_logger().setLevel("WARNING")  # its lines would break into the progress bar
    try:
        pooch.retrieve(url, f"sha256:{wanted.sha256}", target.name, target.parent, downloader=into)
    except ValueError as error:  # pooch's way to say that the hash is another
        raise _MirrorFailed("the file there is another one (wrong SHA-256)") from error
    return target


def _adopt_part(target: Path) -> Path:
    """A private part file; continues one left behind, if there is one that nobody writes to."""
    mine = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    for left in sorted(target.parent.glob(f"{target.name}*.part")):
        try:
            stopped = left.name == f"{target.name}.part"
            if stopped or time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                return left.replace(mine)
        except FileNotFoundError:  # another process was faster
            continue
    return mine


def _resume(
    wanted: WeightsEntry, url: str, part: Path, progress: ProgressCallback, cancel: CancelToken
) -> None:
    """Bring `part` to its full size, beginning again where the connection was cut."""
    import requests  # here and below: what has its weights need not wait for it

    if _size(part) > wanted.bytes:
        part.unlink()  # left over from another file of this name
    have, before = _size(part), -1
    why = "the connection was cut"
    while before < have < wanted.bytes:  # as long as every attempt brings something
        before = have
        try:
            _stream(wanted, url, part, have, progress, cancel)
        except requests.exceptions.ChunkedEncodingError:
            why = "the connection was cut"
        except (requests.ConnectionError, requests.Timeout) as error:
            why = f"no connection ({type(error).__name__})"
        except requests.RequestException as error:
            raise _MirrorFailed(f"{type(error).__name__}: {error}") from error
        have = _size(part)
    if have != wanted.bytes:
        raise _MirrorFailed(why)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _stream(
    wanted: WeightsEntry,
    url: str,
    part: Path,
    have: int,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> None:
    import requests

    headers = {"Accept-Encoding": "identity"}  # compressed, sizes and ranges would not be the file's
    if 0 < have < wanted.bytes:
        headers["Range"] = f"bytes={have}-"
    stage = f"Downloading {wanted.filename}, licence: {wanted.licence}"
    cancel.check(stage)
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        continued = answer.status_code == requests.codes.partial_content
        have = have if continued else 0
        _check_answer(wanted, answer, have)
        report = StageProgress(stage, wanted.bytes, progress, cancel, done=have)
        with part.open("ab" if continued else "wb") as file:
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                report.advance(len(chunk))


def _check_answer(wanted: WeightsEntry, answer: requests.Response, have: int) -> None:
    """Refuse what cannot be the file before hundreds of megabytes are fetched."""
    if not answer.ok:
        raise _MirrorFailed(f"the server answered {answer.status_code} {answer.reason}")
    if "text/html" in answer.headers.get("Content-Type", ""):
        raise _MirrorFailed("the address answered with a web page instead of the file")
    length = answer.headers.get("Content-Length")
    if length and have + int(length) != wanted.bytes:
        raise _MirrorFailed(f"the file there has {have + int(length):,} bytes, not {wanted.bytes:,}")
