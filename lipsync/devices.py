"""Compute devices, number formats, CPU threads and memory.

torch is imported by what needs it: whatever only asks for a device later starts without it.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from lipsync.errors import OptionError, ToolError

if TYPE_CHECKING:
    import torch

_MAX_CONCURRENT_BATCHES = 8  # each needs activation memory of its own
_MAX_FRAMES_AT_A_TIME = 8
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def choose_device(name: str = "auto") -> torch.device:
    """The torch device `name`; "auto" prefers CUDA, then Apple's MPS, then the CPU.

    Raises:
        OptionError: this machine has no such device.
    """
    import torch

    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if present[kind]))
    if not present.get(name, False):
        raise OptionError("This machine has no such device", given=name, hint="Use 'auto' or 'cpu'.")
    return torch.device(name)


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX or Arm BF16).

    oneDNN also runs bf16 on plain AVX-512 by converting to fp32, which is slower than fp32 itself,
    so the CPU instruction is what counts.
    """
    return _cpu_flag("_is_avx512_bf16_supported") or _cpu_flag("_is_amx_tile_supported")


def _cpu_flag(name: str) -> bool:
    import torch

    probe = getattr(torch.cpu, name, None)  # private in torch, absent in some versions
    return bool(probe()) if callable(probe) else False


def concurrent_batches(device: torch.device) -> int:
    """Number of batches a network should process at the same time, one thread each.

    On a CPU it is one batch per core, at most eight: cores that share a batch synchronise after every
    layer, and all of them stall when one is preempted to decode or encode. On a GPU it is 1.
    """
    import torch

    return batches_at_a_time(torch.get_num_threads()) if device.type == "cpu" else 1


def batches_at_a_time(cores: int) -> int:
    """`concurrent_batches` on a CPU of so many cores."""
    return min(cores, _MAX_CONCURRENT_BATCHES)


def frames_at_a_time(cores: int = 0) -> int:
    """Number of frames that are blended at the same time, one thread each.

    Half as many as cores, at most eight: with the built-in model blending is a fifth of the work, so that one
    thread does for up to four cores, and more of them would only take memory.

    Args:
        cores: 0 is torch's number of threads.
    """
    import torch

    return min(max(1, (cores or torch.get_num_threads()) // 2), _MAX_FRAMES_AT_A_TIME)


class ThreadLimit:
    """Per-thread cap on torch's OpenMP threads.

    Args:
        shared_by: number of threads that will compute at the same time; they share the OpenMP threads
            that torch has in the calling thread.
    """

    def __init__(self, shared_by: int = 1) -> None:
        import torch  # before the libraries in the process are looked through
        from threadpoolctl import ThreadpoolController

        self._pools = ThreadpoolController()
        self._share = max(1, torch.get_num_threads() // shared_by)

    def share(self) -> AbstractContextManager[object]:
        """Context in which torch uses an equal share of the threads in this thread."""
        return self.limit(self._share)

    def limit(self, count: int) -> AbstractContextManager[object]:
        """Context in which torch uses `count` threads in this thread only."""
        import torch

        torch.get_num_threads()  # its first call in a thread resets the number, so call it before
        limit: AbstractContextManager[object] = self._pools.limit(limits=count, user_api="openmp")
        return limit


def choose_dtype(name: str, device: torch.device, supported: tuple[str, ...]) -> torch.dtype:
    """The dtype called `name`; for "auto" the fastest one that is safe on `device`.

    Args:
        name: one of `options.NUMBER_FORMATS`.
        device: where the network runs.
        supported: the formats that the network's spec declares; "fp32" is always among them.

    Raises:
        OptionError: the network does not support the format.
    """
    import torch

    if name != "auto":
        if name not in supported:
            raise OptionError(
                "This model does not support that number format",
                given=name,
                hint=f"It supports: {', '.join(supported)}.",
            )
        dtype: torch.dtype = getattr(torch, _DTYPES[name])
        return dtype
    if device.type == "cuda" and "fp16" in supported:
        return torch.float16
    if device.type == "cpu" and "bf16" in supported and cpu_has_bf16():
        return torch.bfloat16
    return torch.float32


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` means that the device or the machine ran out of memory."""
    import torch

    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    # The CPU allocator and MPS raise a plain RuntimeError, so only its text distinguishes it.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def free_memory(device: torch.device) -> None:
    """Return unused memory to the system, after a failed batch or a released network."""
    import torch

    gc.collect()
    if sys.platform == "linux":
        # glibc keeps freed blocks; after a detector or a checkpoint that is about 100 MB.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # absent from musl
        if trim is not None:
            trim(0)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def run_in_batches(
    work: Callable[[slice], None], count: int, size: int, device: torch.device, what: str
) -> int:
    """Process items in batches, halving the batch size when memory runs out.

    Args:
        work: processes the items of one slice.
        count: number of items.
        size: batch size to start with.
        device: where `work` runs; its memory is freed before a batch is tried again.
        what: what is done to one item, for the error message ("enhance even one face").

    Returns:
        The batch size to start with next time: `size`, or less where memory ran out.

    Raises:
        ToolError: not even a single item fits into memory.
    """
    done = 0
    while done < count:
        stop = min(done + size, count)
        try:
            work(slice(done, stop))
            done = stop
            continue
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if stop - done == 1:
                raise ToolError(
                    f"There is not enough memory to {what}",
                    given=f"device {device}",
                    hint="Close other programs, or choose another device (for example 'cpu').",
                ) from error
            size = (stop - done) // 2
        # Outside of the handler: the exception keeps the failed batch's tensors alive.
        free_memory(device)
    return size
