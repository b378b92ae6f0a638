"""Reading and writing of video, photos and audio.

    path -> open_video -> VideoReader.read(indices) -> RGB frames, or read_yuv(indices) -> YuvFrames
    path -> open_audio -> AudioReader.read()        -> AudioClip
    plan_timeline(...)   -> video frame to show in every output frame
    frames + OutputSpec -> FrameWriter              -> one file with audio

Only this package starts ffmpeg. Frames are RGB uint8 (H, W, 3) or `YuvFrame`; audio is float32 mono;
times are seconds.
"""

from lipsync.media.audio.probe import probe_audio
from lipsync.media.audio.reader import AudioReader, open_audio
from lipsync.media.audio.waveform import Waveform, read_waveform
from lipsync.media.ffmpeg import ffmpeg_path, has_encoder
from lipsync.media.probe import probe_video
from lipsync.media.video.filmstrip import Filmstrip, read_filmstrip
from lipsync.media.video.images import write_image
from lipsync.media.video.reader import VideoReader, open_video
from lipsync.media.video.resumable_writer import ResumableWriter
from lipsync.media.video.side_by_side import write_side_by_side
from lipsync.media.video.timeline import plan_timeline
from lipsync.media.video.writer import FrameWriter, OutputSpec
from lipsync.media.video.yuv import YuvFrame

__all__ = [
    "AudioReader",
    "Filmstrip",
    "FrameWriter",
    "OutputSpec",
    "ResumableWriter",
    "VideoReader",
    "Waveform",
    "YuvFrame",
    "ffmpeg_path",
    "has_encoder",
    "open_audio",
    "open_video",
    "plan_timeline",
    "probe_audio",
    "probe_video",
    "read_filmstrip",
    "read_waveform",
    "write_image",
    "write_side_by_side",
]
