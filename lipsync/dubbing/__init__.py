"""Dubbing of conversations: scripts with times and speakers as segments.

dub.srt -> read_script -> Script -> speak_lines, fit_lines, fill_lines -> Script -> plan_dub
                                 -> match_speakers -> faces of its speakers /
-> Dub(voice, segments, more_voices, cues) -> sync(...)
"""

from lipsync.dubbing.fitting import fill_lines, fit_lines
from lipsync.dubbing.matching import MatchedSpeakers, match_speakers
from lipsync.dubbing.plan import Dub, plan_dub
from lipsync.dubbing.script import Script, ScriptLine, read_script
from lipsync.dubbing.speakers import SpeakerTurn, find_speakers
from lipsync.dubbing.spoken_lines import speak_lines

__all__ = [
    "Dub",
    "MatchedSpeakers",
    "Script",
    "ScriptLine",
    "SpeakerTurn",
    "fill_lines",
    "find_speakers",
    "fit_lines",
    "match_speakers",
    "plan_dub",
    "read_script",
    "speak_lines",
]
