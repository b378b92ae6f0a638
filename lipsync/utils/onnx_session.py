"""ONNX Runtime sessions: threads, logging and providers as this program wants them."""

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
        model: what an ONNX file holds.
        invalid: raised where it cannot be read.
        threads: of the CPU; None takes as many as torch does.
        device: CUDA is used where this is one and the installed onnxruntime has it; else the CPU.
    """
    import onnxruntime  # takes a third of a second, which a run without such a network need not wait

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads or _threads_of_torch()
    # Waiting threads would take the processor that decoding and drawing need at the same time.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 3  # this session's only; errors, not warnings
    providers = ["CPUExecutionProvider"]
    if device is not None and device.type == "cuda":
        wanted = ("CUDAExecutionProvider", *providers)
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(model, settings, providers=providers)
    except Exception as error:  # onnxruntime's errors share no base but Exception
        raise invalid from error


def _threads_of_torch() -> int:
    import torch

    return torch.get_num_threads()
