"""Which device the networks run on, in which number format, and giving memory back."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from threadpoolctl import ThreadpoolController

from lipsync.errors import OptionError, ToolError

_MOST_AT_ONCE = 4  # each takes memory of its own
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        OptionError: that device is not in this machine.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if present[kind]))
    if not present.get(name, False):
        raise OptionError("This machine has no such device", given=name, hint="Use 'auto' or 'cpu'.")
    return torch.device(name)


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX or Arm BF16).

    oneDNN also runs bf16 on plain AVX-512 by converting, which is slower than fp32; asking for
    the instruction itself avoids that.
    """
    return _cpu_flag("_is_avx512_bf16_supported") or _cpu_flag("_is_amx_tile_supported")


def _cpu_flag(name: str) -> bool:
    probe = getattr(torch.cpu, name, None)  # private in torch, absent in some versions
    return bool(probe()) if callable(probe) else False


def batches_at_once(device: torch.device) -> int:
    """How many batches a network is to work on at the same time, each in a thread of its own.

    On a CPU one for each core, up to a few: cores that share a batch wait for each other after every
    layer, and wait long where one of them has been called away to decode or encode.
    """
    return min(torch.get_num_threads(), _MOST_AT_ONCE) if device.type == "cpu" else 1


class Cores:
    """Says how many cores torch takes for work of the thread that asks.

    Args:
        shared_by: threads that are to work at the same time, on the cores that torch takes in this one.
    """

    def __init__(self, shared_by: int = 1) -> None:
        self._pools = ThreadpoolController()
        self._share = max(1, torch.get_num_threads() // shared_by)

    def share(self) -> AbstractContextManager[object]:
        """In the block torch takes in this thread what falls to it."""
        return self.only(self._share)

    def only(self, count: int) -> AbstractContextManager[object]:
        """In the block torch takes `count` cores in this thread; in others it takes what it took."""
        torch.get_num_threads()  # at its first call in a thread torch sets the number itself
        limit: AbstractContextManager[object] = self._pools.limit(limits=count, user_api="openmp")
        return limit


def choose_dtype(name: str, device: torch.device, supported: tuple[str, ...]) -> torch.dtype:
    """The number format called `name`, or for "auto" the fastest that is safe on `device`.

    Args:
        name: one of `options.NUMBER_FORMATS`.
        supported: the formats the network declares in its spec, "fp32" always among them.

    Raises:
        OptionError: the network does not support the format that was asked for.
    """
    if name != "auto":
        if name not in supported:
            raise OptionError(
                "This model does not run in that number format",
                given=name,
                hint=f"It knows: {', '.join(supported)}.",
            )
        return _DTYPES[name]
    if device.type == "cuda" and "fp16" in supported:
        return torch.float16
    if device.type == "cpu" and "bf16" in supported and cpu_has_bf16():
        return torch.bfloat16
    return torch.float32


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the device, or the machine, ran out of memory."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    # The CPU allocator and MPS raise a plain RuntimeError; only its text tells.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def free_memory(device: torch.device) -> None:
    """Give back what is no longer used: after a failed batch, and when a network is done with."""
    gc.collect()
    if sys.platform == "linux":
        # glibc keeps freed blocks; after a detector or a checkpoint that is a tenth of a gigabyte.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # absent from musl
        if trim is not None:
            trim(0)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def in_batches(work: Callable[[slice], None], count: int, size: int, device: torch.device, what: str) -> int:
    """Do `count` pieces of work, `size` at a time; a batch that does not fit is done in halves.

    Args:
        work: does the pieces of one slice.
        what: what is done to a piece, in words ("sharpen even one face"), for the message.

    Returns:
        The size to begin with next time: `size`, or less where memory ran out.

    Raises:
        ToolError: not even one piece fits into memory.
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
        # Outside of the handler: the exception would hold on to the failed batch's tensors.
        free_memory(device)
    return size
