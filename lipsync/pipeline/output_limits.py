"""What a result keeps of its source, and what its codec or container cannot hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lipsync.errors import OptionError
from lipsync.media import VideoReader
from lipsync.media.kept_tracks import KeptTracks, find_kept_tracks
from lipsync.media.output_formats import VIDEO_CODECS
from lipsync.media.tags import SourceTags, read_tags
from lipsync.media.video.writer import range_warning
from lipsync.options import MediaOptions, SyncOptions
from lipsync.types import IntArray

_CUT_SECONDS = 0.5
"""A result that ends this much before its source still shows all of it."""


def output_warnings(video: VideoReader, timeline: IntArray, target: Path, options: SyncOptions) -> list[str]:
    """What the kind of result cannot hold of its source or of what the settings ask for.

    Args:
        timeline: int64 (T,), the video frame shown in each frame of the result.
        target: the result.
    """
    of_range = range_warning(target, options.media.codec, video.info)
    return [
        *([of_range] if of_range else []),
        *_depth_warnings(video, options),
        *_sequence_warnings(video, options),
        *_layer_warnings(video, timeline, options.media),
        *kept_tracks(video, timeline, target, options)[1],
    ]


def check_layer(video: VideoReader, options: SyncOptions) -> None:
    """Check that a mouth layer can be made, if one is asked for.

    Raises:
        OptionError: the codec holds no transparency, or the layer would not fit the source.
    """
    media, codec = options.media, VIDEO_CODECS[options.media.codec]
    if media.layer == "none":
        return
    if not codec.alpha:
        hint = "Choose the codec 'prores' (in an .mov file) or 'png' (a folder of images)."
        raise OptionError(
            f"{codec.title} holds no transparency for a mouth layer", given=media.codec, hint=hint
        )
    if options.enhance.upscaler != "none":
        what = "A mouth layer is as large as its video, and not upscaled"
        raise OptionError(what, given=options.enhance.upscaler, hint="Leave out 'upscaler' or 'layer'.")
    if video.is_still and media.liveliness:
        what = "A mouth layer does not fit a photo that moves"
        raise OptionError(what, given=f"liveliness={media.liveliness:g}", hint="Set 'liveliness' to 0.")


def _layer_warnings(video: VideoReader, timeline: IntArray, media: MediaOptions) -> list[str]:
    """A warning where a layer fits other frames than those of the file, and why."""
    if media.layer == "none":
        return []
    in_order = not media.static and np.array_equal(timeline, np.arange(len(timeline)))
    whole = in_order or (video.is_still and not media.static)
    changes = {
        "resized": media.resize_factor != 1,
        "rotated": bool(media.rotate),
        "cropped": media.crop is not None,
        "cut": bool(media.video_ranges) and not video.is_still,
        "at another frame rate": not video.is_still and video.fps != video.info.fps,
        "in another order or length ('length_mode')": not whole,
    }
    how = [name for name, applies in changes.items() if applies]
    if not how:
        return []
    return [f"The layer does not fit the video's file as it is: here its frames are {', '.join(how)}."]


def keeps_depth(video: VideoReader, upscales: bool, options: SyncOptions) -> bool:
    """Whether the result keeps more than 8 bits of its source."""
    return video.original is not None and bool(VIDEO_CODECS[options.media.codec].deep) and not upscales


def _sequence_warnings(video: VideoReader, options: SyncOptions) -> list[str]:
    """What images cannot hold."""
    media = options.media
    if not VIDEO_CODECS[media.codec].is_sequence:
        return []
    found = []
    if options.report.subtitles == "track":
        found.append("Images have no subtitle track: the subtitles are a file beside their folder.")
    tags = SourceTags() if video.is_still else read_tags(video.info.path, media.video_track)
    dropped = [
        name
        for name, value in (("time code", tags.time_code), ("title", tags.title), ("date", tags.date))
        if value
    ]
    if dropped:
        found.append(f"Images do not hold the video's {' and '.join(dropped)}; an .mov does.")
    return found


def _depth_warnings(video: VideoReader, options: SyncOptions) -> list[str]:
    """A warning where upscaling takes bits that the codec could hold."""
    if options.enhance.upscaler != "none" and keeps_depth(video, False, options):
        return ["Upscaled frames have 8 bits and standard range; without 'upscaler' the source's are kept."]
    return []


def kept_tags(video: VideoReader, timeline: IntArray, media: MediaOptions) -> SourceTags:
    """The source's tags where the result shows all of it from its first frame on, in its own rate.

    Its own audio is often a frame or two shorter than its picture.
    """
    whole = shows_all(video, timeline, media)
    return read_tags(video.info.path, media.video_track) if whole else SourceTags()


def shows_all(video: VideoReader, timeline: IntArray, media: MediaOptions) -> bool:
    """Whether the result shows all of its source from its first frame on, in its own time."""
    frames = len(timeline)
    whole = not video.is_still and not media.video_ranges and video.fps == video.info.fps
    whole = whole and video.frame_count - _CUT_SECONDS * video.fps <= frames <= video.frame_count
    return whole and np.array_equal(timeline, np.arange(frames))


def kept_tracks(
    video: VideoReader, timeline: IntArray, target: Path, options: SyncOptions
) -> tuple[KeptTracks | None, tuple[str, ...]]:
    """The source's other tracks that the result keeps, and warnings about those that it does not.

    Raises:
        MediaError: the file cannot be read.
    """
    if not options.media.keep_tracks or video.is_still:
        return None, ()
    if VIDEO_CODECS[options.media.codec].is_sequence:
        return None, ("Images hold no other tracks: the video's own are not kept ('keep_tracks').",)
    if not shows_all(video, timeline, options.media):
        return None, (
            "The video's other tracks and chapters are not kept: the result does not show all of it in its "
            "own time.",
        )
    kept, warnings = find_kept_tracks(video.info.path, target, video.start), tuple[str, ...]()
    if options.report.subtitles == "track" and any(name.startswith("s") for name, _ in kept.streams):
        streams = tuple(one for one in kept.streams if not one[0].startswith("s"))
        kept = replace(kept, streams=streams)
        warnings = ("The video's own subtitles are not kept: those of what is said take their place.",)
    return kept, kept.warnings + warnings
