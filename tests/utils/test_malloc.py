"""Memory that the C library keeps."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lipsync.utils import malloc

ARENAS = """
import ctypes, threading
from lipsync.utils.malloc import limit_arenas
assert limit_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
begun, blocks = threading.Barrier(8), []
def allocate():
    begun.wait()
    blocks.append(libc.malloc(ctypes.c_size_t(1000)))
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
# glibc aligns the heaps of further arenas to 64 MiB
print(len({block >> 26 for block in blocks}))
"""


@pytest.mark.skipif(malloc._glibc() is None, reason="not glibc")
def test_threads_share_two_arenas() -> None:
    done = subprocess.run([sys.executable, "-c", ARENAS], check=True, capture_output=True, text=True)
    assert int(done.stdout) <= 2


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc, "_glibc", lambda: None)
    assert not malloc.limit_arenas()
    malloc.release_memory()
