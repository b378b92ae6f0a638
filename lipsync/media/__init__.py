"""Reading and writing of video, photos and sound; the only package that starts ffmpeg.

    path -> open_picture -> Picture.read(numbers) -> frames, or read_yuv(numbers) -> YuvFrames
    path -> open_voice   -> Voice.read()          -> AudioClip
    plan_timeline(...)   -> which picture frame goes with which output frame
    frames + Voice       -> FrameWriter           -> one file

Frames are RGB uint8 (H, W, 3), or as videos hold them (`YuvFrame`); sound is float32 mono, times are seconds.
"""

from lipsync.media.beside import write_beside
from lipsync.media.ffmpeg import ffmpeg_path, has_encoder
from lipsync.media.picture import Picture, open_picture
from lipsync.media.probe import probe_audio, probe_video
from lipsync.media.resuming import ResumableWriter
from lipsync.media.stills import write_picture
from lipsync.media.timeline import plan_timeline
from lipsync.media.voice import Voice, open_voice
from lipsync.media.writer import FrameWriter
from lipsync.media.yuv import YuvFrame

__all__ = [
    "FrameWriter",
    "Picture",
    "ResumableWriter",
    "Voice",
    "YuvFrame",
    "ffmpeg_path",
    "has_encoder",
    "open_picture",
    "open_voice",
    "plan_timeline",
    "probe_audio",
    "probe_video",
    "write_beside",
    "write_picture",
]
