"""Reading and writing of video, photos and sound; the only package that starts ffmpeg.

    path -> open_picture -> Picture.read(numbers) -> frames, or read_yuv(numbers) -> YuvFrames
    path -> open_voice   -> Voice.read()          -> AudioClip
    plan_timeline(...)   -> which picture frame goes with which output frame
    frames + Voice       -> FrameWriter           -> one file

Frames are RGB uint8 (H, W, 3), or as videos hold them (`YuvFrame`); sound is float32 mono, times are seconds.
"""

from lipsync.media.audio.reader import Voice, open_voice
from lipsync.media.ffmpeg import ffmpeg_path, has_encoder
from lipsync.media.probe import probe_audio, probe_video
from lipsync.media.video.images import write_picture
from lipsync.media.video.reader import Picture, open_picture
from lipsync.media.video.resumable_writer import ResumableWriter
from lipsync.media.video.side_by_side import write_beside
from lipsync.media.video.timeline import plan_timeline
from lipsync.media.video.writer import FrameWriter
from lipsync.media.video.yuv import YuvFrame

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
