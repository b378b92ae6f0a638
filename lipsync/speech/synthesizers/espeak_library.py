"""Program around the library espeak-ng, run in a process of its own.

    python espeak_library.py LIBRARY DATA languages
    python espeak_library.py LIBRARY DATA variants
    python espeak_library.py LIBRARY DATA speak VOICE FILE.wav < text

Names are printed one a line. It imports nothing of this package. The functions are those of espeak-ng's
`speak_lib.h`.
"""

from __future__ import annotations

import ctypes
import sys
import wave
from pathlib import Path

_SYNCHRONOUS, _DONT_EXIT, _BY_CHARACTER, _UTF8 = 2, 0x8000, 1, 1


class _Voice(ctypes.Structure):
    """The first fields of `espeak_VOICE`."""

    _fields_ = (("name", ctypes.c_char_p), ("languages", ctypes.c_void_p), ("identifier", ctypes.c_char_p))


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main(library: str, data: str, task: str, *rest: str) -> int:
    """Do one task; returns the exit status."""
    if task == "variants":
        sys.stdout.write("".join(f"{path.name}\n" for path in sorted(Path(data, "voices", "!v").iterdir())))
        return 0
    espeak = ctypes.CDLL(library)
    rate = espeak.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _DONT_EXIT)
    if rate <= 0:
        sys.stderr.write("the data of espeak-ng cannot be read\n")
        return 1
    if task == "languages":
        sys.stdout.write("".join(f"{one}\n" for one in _languages(espeak)))
        return 0
    return _speak(espeak, rate, *rest)


def _languages(espeak: ctypes.CDLL) -> list[str]:
    espeak.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    voices = espeak.espeak_ListVoices(None)
    found = set()
    for position in range(10_000):
        if not voices[position]:
            break
        found.update(_names(voices[position].contents.languages))
    return sorted(found)


def _names(address: int) -> list[str]:
    """Languages of a voice: a byte of priority and a name each, until a byte 0."""
    names = []
    while ctypes.string_at(address, 1) != b"\0":
        name = ctypes.string_at(address + 1)
        names.append(name.decode())
        address += len(name) + 2
    return names


def _speak(espeak: ctypes.CDLL, rate: int, voice: str, path: str) -> int:
    samples = bytearray()

    def collect(sound: ctypes._Pointer[ctypes.c_short], count: int, _: int | None) -> int:
        if sound and count > 0:
            samples.extend(ctypes.string_at(sound, 2 * count))
        return 0  # go on

    callback = _Callback(collect)  # kept, since the library holds no reference to it
    espeak.espeak_SetSynthCallback(callback)
    if espeak.espeak_SetVoiceByName(voice.encode()) != 0:
        sys.stderr.write(f"there is no voice {voice}\n")
        return 1
    text = sys.stdin.buffer.read() + b"\0"
    size = ctypes.c_size_t(len(text))
    if espeak.espeak_Synth(text, size, 0, _BY_CHARACTER, 0, _UTF8, None, None) != 0:
        sys.stderr.write("the text cannot be spoken\n")
        return 1
    espeak.espeak_Synchronize()
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
