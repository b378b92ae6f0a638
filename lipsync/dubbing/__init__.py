"""Dubbing of conversations: scripts with times and speakers as segments.

dub.srt -> read_script -> Script -> plan_dub -> Dub(voice, segments, more_voices, cues) -> sync(...)
"""

from lipsync.dubbing.plan import Dub, plan_dub
from lipsync.dubbing.script import Script, ScriptLine, read_script

__all__ = ["Dub", "Script", "ScriptLine", "plan_dub", "read_script"]
