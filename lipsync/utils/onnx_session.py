"""ONNX Runtime sessions with this program's threads, logging and providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lipsync.errors import LipsyncError

if TYPE_CHECKING:
    import torch


def open_session(
    model: bytes, invalid: LipsyncError, *, threads: int | None = None, device: torch.device | None = None
) -> Any:
    """An `onnxruntime.InferenceSession`.

    Args:
        model: content of an ONNX file.
        invalid: raised if it cannot be loaded.
        threads: CPU threads; None takes torch's number.
        device: a CUDA device is used if the installed onnxruntime supports it; otherwise the CPU.
    """
    import onnxruntime  # a third of a second, which runs without an ONNX network need not spend

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads or _torch_threads()
    # Spinning threads would take CPU time from decoding and generation, which run at the same time.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 3  # errors only, in this session only
    providers = ["CPUExecutionProvider"]
    if device is not None and device.type == "cuda":
        wanted = ("CUDAExecutionProvider", *providers)
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(model, settings, providers=providers)
    except Exception as error:  # onnxruntime's errors share no base but Exception
        raise invalid from error


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()
