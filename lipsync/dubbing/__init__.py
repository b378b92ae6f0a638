"""Dubbing of conversations: scripts with times and speakers as segments.

dub.srt -> read_script -> Script -> plan_dub -> Dub(voice, segments, more_voices, cues) -> sync(...)
"""

from lipsync.dubbing.plan import Dub, plan_dub
from lipsync.dubbing.script import Script, ScriptLine, read_script
from lipsync.dubbing.speakers import SpeakerTurn, find_speakers

__all__ = ["Dub", "Script", "ScriptLine", "SpeakerTurn", "find_speakers", "plan_dub", "read_script"]
