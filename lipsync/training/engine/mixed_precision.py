"""Mixed precision in training: which number format the forward pass runs in."""

from __future__ import annotations

import torch

from lipsync.errors import OptionError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The format called `name`; "auto" is bf16 on CUDA devices that have it in hardware, else fp32.

    A CPU takes bf16 when told to, yet its backward pass was measured ten times slower than in fp32.

    Raises:
        OptionError: `device` cannot train in that format.
    """
    known = ["fp32"]
    if device.type == "cpu":
        known.append("bf16")
    elif device.type == "cuda":
        known.append("fp16")
        if torch.cuda.is_bf16_supported(including_emulation=False):
            known.append("bf16")
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and "bf16" in known else torch.float32
    if name not in known:
        raise OptionError(
            "This device does not train in that precision",
            given=f"{name} on {device}",
            hint=f"It knows: {', '.join(known)}.",
        )
    return _DTYPES[name]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """What the forward pass runs in; changes nothing for fp32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def make_scaler(dtype: torch.dtype) -> torch.amp.GradScaler:
    """Keeps small gradients from vanishing in fp16; passes everything through in other formats."""
    return torch.amp.GradScaler("cuda", enabled=dtype == torch.float16)
