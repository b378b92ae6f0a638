"""Convolutions prepared for a CPU: weights in the kernels' own layout, ReLU and addition inside.

A plain `nn.Conv2d` on a CPU hands its weights to oneDNN row by row, which puts them into blocks
again in every call; for the deep layers, which have many weights and few pixels, that takes longer
than the convolution. The ReLU after it, and the input added before that, each go over the memory
once more. Here the blocks are made once and all of it is one call.

These are the operators that torch.compile uses for the same purpose. They are not part of torch's
documented interface, so `can_pack` asks whether they are there, and without them everything runs as
before. What else there is was measured with `benchmarks/generator.py`, in one run with Wav2Lip on one
core of an EPYC with AVX512-BF16, frames a second and CPU seconds until the first batch is drawn:

    bf16: packed 43 (3 s), plain 39, autocast 34, torch.compile 47 (9 s), OpenVINO 49 (7 s)
    fp32: packed 23 (3 s), plain 20, oneDNN graph 23 (5 s), onnxruntime 22 (7 s), OpenVINO 25 (7 s)

OpenVINO's start is paid back after a minute of video, and held to AVX2, as a laptop has it, it is 3 %
faster: too little for 180 MB more to install. torch.compile needs a C++ compiler on the user's machine.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

OPERATORS = (
    "_convolution_pointwise",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_weight",
    "_reorder_convolution_transpose_weight",
)
"""Private operators of torch that packing needs; a version without them runs the plain layers."""


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether convolutions in this number format can be packed for this device."""
    operators = torch.ops.mkldnn
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if not all(hasattr(operators, name) for name in OPERATORS):
        return False
    if dtype == torch.bfloat16:
        return bool(operators._is_mkldnn_bf16_supported())
    return dtype == torch.float32


class PackedConv(nn.Module):
    """A convolution, plain or transposed, for inference; may be made only where `can_pack` says so.

    Args:
        conv: whose weights are taken over; with a bias, in one group, padded with zeros.
        relu: cut off below 0.
        residual: add the input, which then has the output's shape, before the ReLU; not for a
            transposed convolution.
    """

    def __init__(
        self, conv: nn.Conv2d | nn.ConvTranspose2d, *, relu: bool = True, residual: bool = False
    ) -> None:
        super().__init__()
        self.transposed = isinstance(conv, nn.ConvTranspose2d)
        if conv.bias is None or conv.groups != 1 or (residual and (self.transposed or not relu)):
            raise ValueError(f"{conv} cannot be packed like that")
        self.residual, self.after = residual, "relu" if relu else "none"
        self.bias = nn.Parameter(conv.bias.detach(), requires_grad=False)
        more = (conv.output_padding,) if isinstance(conv, nn.ConvTranspose2d) else ()
        self.form = (conv.padding, *more, conv.stride, conv.dilation, conv.groups)
        operators = torch.ops.mkldnn
        pack = operators._reorder_convolution_weight
        if self.transposed:
            pack = operators._reorder_convolution_transpose_weight
        # Neither parameter nor buffer: in these blocks it can be neither moved nor saved.
        self.weight: Tensor = pack(conv.weight.detach(), *self.form)

    def forward(self, x: Tensor, dilation: tuple[int, int] | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'), channels last.

        Args:
            dilation: instead of the convolution's own; not for a transposed one.
        """
        form = self.form if dilation is None else (*self.form[:-2], dilation, self.form[-1])
        operators, own = torch.ops.mkldnn, (self.weight, self.bias, *form)
        out: Tensor
        if self.transposed:
            out = operators._convolution_transpose_pointwise(x, *own, self.after, [], "")
        elif self.residual:
            out = operators._convolution_pointwise.binary(x, x, *own, "add", 1.0, self.after, [], None)
        else:
            out = operators._convolution_pointwise(x, *own, self.after, [], "")
        return out
