"""Mixed precision: dtype of the forward pass, autocast and gradient scaling."""

from __future__ import annotations

import torch

from lipsync.errors import OptionError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_training_dtype(number_format: str, device: torch.device) -> torch.dtype:
    """The dtype of the forward pass for a number format.

    "auto" is bf16 on CUDA devices that have it in hardware, else fp32.

    A CPU supports bf16, but its backward pass was measured ten times slower than in fp32.

    Raises:
        OptionError: `device` cannot train in that format.
    """
    supported = ["fp32"]
    if device.type == "cpu":
        supported.append("bf16")
    elif device.type == "cuda":
        supported.append("fp16")
        if torch.cuda.is_bf16_supported(including_emulation=False):
            supported.append("bf16")
    if number_format == "auto":
        return torch.bfloat16 if device.type == "cuda" and "bf16" in supported else torch.float32
    if number_format not in supported:
        raise OptionError(
            "This device cannot train in that number format",
            given=f"{number_format} on {device}",
            hint=f"Use one of: {', '.join(supported)}.",
        )
    return _DTYPES[number_format]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Autocast of the forward pass to `dtype`; disabled for fp32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def make_scaler(dtype: torch.dtype) -> torch.amp.GradScaler:
    """Gradient scaler, enabled for fp16 alone, where small gradients would underflow."""
    return torch.amp.GradScaler("cuda", enabled=dtype == torch.float16)
