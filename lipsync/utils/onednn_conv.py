"""Prepacked oneDNN convolutions on the CPU, with fused ReLU and residual addition.

A plain `nn.Conv2d` on a CPU hands oneDNN its weights in row-major order, which oneDNN converts to its
blocked layout in every call; for deep layers, with many weights and few pixels, that takes longer than
the convolution. The ReLU, and the residual addition before it, each pass over the memory once more.
Here the weights are packed once, and everything is one call.

The blocked layout depends on the size of the input too: packed without it, on CPUs without AVX-512
21 of Wav2Lip's 50 layers get their weights reordered in every call, by a slow reference
implementation. So a layer is packed for each input size that it meets, and sizes with the same layout
share one copy. Wav2Lip in fp32 held to AVX2, CPU seconds a batch of 4 and of 16 on one core: 1.25 and 2.28
packed without the size, 0.35 and 1.36 with it. A batch of 16 in bf16 on a Xeon with AMX: 0.41 and 0.23.

These are the operators that torch.compile uses for the same purpose. They are not part of torch's
documented interface, so `can_pack` checks for them, and without them the plain layers are used. Compared
with alternatives by `benchmarks/generator.py`: Wav2Lip in one run on one core of an EPYC with AVX512-BF16,
frames per second and CPU seconds until the first batch is generated:

    bf16: packed 43 (3 s), plain 39, autocast 34, torch.compile 47 (9 s), OpenVINO 49 (7 s)
    fp32: packed 23 (3 s), plain 20, oneDNN graph 23 (5 s), onnxruntime 22 (7 s), OpenVINO 25 (7 s)

OpenVINO's start-up pays off after a minute of video, and limited to AVX2, as on a laptop, it is 3 %
faster: too little for 180 MB more to install. torch.compile needs a C++ compiler on the user's machine.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn

OPERATORS = (
    "_convolution_pointwise",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_weight",
    "_reorder_convolution_transpose_weight",
    "_get_mkldnn_serialized_md",
)
"""Private torch operators that packing needs; without them the plain layers are used."""


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether convolutions of this dtype can be packed for this device."""
    operators = torch.ops.mkldnn
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if not all(hasattr(operators, name) for name in OPERATORS):
        return False
    if dtype == torch.bfloat16:
        return bool(operators._is_mkldnn_bf16_supported())
    return dtype == torch.float32


class PackedConv(nn.Module):
    """Prepacked convolution, plain or transposed, for inference.

    Only where `can_pack` allows it. May be called from several threads.

    Args:
        conv: the layer to pack; it must have a bias, one group and zero padding.
        relu: apply a ReLU.
        residual: add the input, which must have the output's shape, before the ReLU; not for a
            transposed convolution.

    Raises:
        ValueError: the layer cannot be packed.
    """

    def __init__(
        self, conv: nn.Conv2d | nn.ConvTranspose2d, *, relu: bool = True, residual: bool = False
    ) -> None:
        super().__init__()
        self.transposed = isinstance(conv, nn.ConvTranspose2d)
        if conv.bias is None or conv.groups != 1 or (residual and (self.transposed or not relu)):
            raise ValueError(f"{conv} cannot be packed like that")
        self.residual, self.activation = residual, "relu" if relu else "none"
        self.bias = nn.Parameter(conv.bias.detach(), requires_grad=False)
        more = (conv.output_padding,) if isinstance(conv, nn.ConvTranspose2d) else ()
        self.geometry: tuple[Any, ...] = (conv.padding, *more, conv.stride, conv.dilation, conv.groups)
        # Neither parameters nor buffers: packed tensors can be neither moved nor saved.
        self._source = self._pack(conv.weight.detach(), self.geometry, None)
        self._by_input: dict[tuple[int, ...], Tensor] = {}
        self._by_layout: dict[bytes, Tensor] = {}
        self._lock = Lock()

    def forward(self, x: Tensor, dilation: tuple[int, int] | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'), channels last in memory.

        Args:
            x: the input.
            dilation: replaces the convolution's own; not for a transposed one.
        """
        geometry = self.geometry if dilation is None else (*self.geometry[:-2], dilation, self.geometry[-1])
        operators, own = torch.ops.mkldnn, (self._weight_for(x, geometry), self.bias, *geometry)
        out: Tensor
        if self.transposed:
            out = operators._convolution_transpose_pointwise(x, *own, self.activation, [], "")
        elif self.residual:
            out = operators._convolution_pointwise.binary(x, x, *own, "add", 1.0, self.activation, [], None)
        else:
            out = operators._convolution_pointwise(x, *own, self.activation, [], "")
        return out

    def extra_repr(self) -> str:
        """What `print(network)` shows of the layer."""
        return f"packed for {len(self._by_input)} input sizes in {len(self._by_layout)} layouts"

    def plain_weight(self) -> Tensor:
        """The weights as oneDNN orders their dimensions, (out, in, h, w), in row-major order."""
        plain: Tensor = self._source.to_dense()
        return plain

    def _weight_for(self, x: Tensor, geometry: tuple[Any, ...]) -> Tensor:
        """The weights in oneDNN's layout for this input."""
        key = (*x.shape, *geometry[-2])
        packed = self._by_input.get(key)
        if packed is None:
            with self._lock:  # other threads wait, instead of packing the same
                packed = self._by_input.get(key)
                if packed is None:
                    packed = self._pack_for(list(x.shape), geometry)
                    self._by_input[key] = self._source = packed
        return packed

    def _pack_for(self, input_size: list[int], geometry: tuple[Any, ...]) -> Tensor:
        """The weights packed for inputs of a size; of equal layouts the first one's."""
        plain = self.plain_weight()
        if self.transposed:
            plain = plain.transpose(0, 1).contiguous()
        packed = self._pack(plain, geometry, input_size)
        return self._by_layout.setdefault(_layout(packed), packed)

    def _pack(self, weight: Tensor, geometry: tuple[Any, ...], input_size: list[int] | None) -> Tensor:
        operators = torch.ops.mkldnn
        pack = operators._reorder_convolution_weight
        if self.transposed:
            pack = operators._reorder_convolution_transpose_weight
        packed: Tensor = pack(weight, *geometry, input_size)
        return packed


def _layout(packed: Tensor) -> bytes:
    """oneDNN's description of a packed tensor: equal for equal shape, type and blocks."""
    return bytes(torch.ops.mkldnn._get_mkldnn_serialized_md(packed).tolist())
