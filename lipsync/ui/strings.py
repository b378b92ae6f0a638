"""Every text of the page, in one place. Help of settings stands in `lipsync.options`."""

from __future__ import annotations

from typing import Any

TITLE = "lipsync"
HEADING = "# lipsync\nDrop in a video and a voice, and the lips say the voice."
PAGE_ONE = "One video"

# --- what goes in --------------------------------------------------------------------------------
PICTURE, VOICE_SIDE = "### 1 · Who speaks", "### 2 · What they say"
TAB_VIDEO, TAB_PHOTO, TAB_LINK = "Video", "Photo", "Link"
TAB_SOUND, TAB_FROM_VIDEO = "Sound", "From a video"
VIDEO, PHOTO, VOICE, VOICE_VIDEO = "Video", "Photo", "Voice", "Video whose sound is the voice"
EXAMPLES = "Nothing at hand? Try it with ours:"
EXAMPLE_PHOTO, EXAMPLE_VIDEO = "A photo that speaks", "A video with another voice"

# --- links ---------------------------------------------------------------------------------------
LINK, LINK_HINT = "Link", "https://… of a page with a video (YouTube and others), or of a file"
LINK_LOOK, LINK_FETCH, LINK_CANCEL = "Look", "Fetch", "Cancel the download"
LINK_ABOUT = "Paste a link and press Look. Only take what you may use; upload the file if the site refuses."
LINK_LOOKING = "Asking the site…"
LINK_FETCHED = "Fetched: {name}."
LINK_SHIFTED = " Only the marked parts were fetched; their times now count from {start} of the original."
LINK_LENGTH, LINK_UNKNOWN = "{length} long", "length unknown"
LINK_BY, LINK_LICENCE, LINK_NO_LICENCE = "by {uploader}", "licence: {licence}", "licence: not given"
LINK_CUTS = "This site lets single parts be fetched: mark them below before you press Fetch."

# --- ranges --------------------------------------------------------------------------------------
RANGES = {"video": "Use only parts of the video", "voice": "Use only parts of the voice"}
RANGES_ABOUT = (
    "Seconds or h:m:s, for example `2.5` or `1:02`. An empty end means to the end. "
    "The parts are joined in this order; with none given, all is used."
)
RANGE_START, RANGE_END = "Start of part {number}", "End of part {number}"
RANGE_START_HERE, RANGE_END_HERE = "⇤ Starts here", "Ends here ⇥"
RANGE_REMOVE, RANGE_ADD = "✕ Remove this part", "+ Another part"
RANGE_PLACE = "m:s"
RANGE_BAD = "Part {number} cannot be read"
RANGE_PAST = "This goes past the end: the file lasts {length}."

# --- settings ------------------------------------------------------------------------------------
SETTINGS = "### 3 · Settings (the defaults suit most material)"
GROUPS = {"main": "What matters", "face": "Face, mask, sharpening", "more": "All the rest"}
SECTIONS = {
    "media": "Picture and file",
    "faces": "Face",
    "generator": "Model",
    "blend": "Mask and edge",
    "speech": "Voice",
    "enhance": "Sharpening",
    "report": "Score and subtitles",
    "transcript": "What is said",
}
"""Headings inside of a group, one for every group of `SyncOptions`."""
PRESET = "Quality"
PRESET_HELP = "how much time the run may take; sets the values of several settings below"
PRESETS = {"draft": "Draft", "standard": "Standard", "best": "Best"}
COMPARE, COMPARE_HELP = "Compare with", "a second model in the same run; both results are shown side by side"
COMPARE_NONE = "nothing"
REFERENCE, REFERENCE_HELP = "Picture of the person who speaks", "A photo of this person, the face well seen."
LABELS = {
    "variant": "Model",
    "length_mode": "Length",
    "in_silence": "While nobody speaks",
    "enhancer": "Sharpen the face",
    "upscaler": "Enlarge the picture",
    "enhance_strength": "Sharpen by",
    "enhance_area": "Sharpen where",
    "without_enhancer": "Go on without sharpening",
    "separate_voice": "Free the voice from music",
    "voice_shift": "Voice later by",
    "score": "Measure lips against voice",
    "subtitles": "Subtitles",
    "speech_model": "Network that listens",
    "spoken_language": "Language that is spoken",
    "blend": "Edge",
    "color_match": "Match colours",
    "keep_detail": "Keep skin detail",
    "occlusion": "Leave covered mouths alone",
    "feather": "Width of the edge",
    "face_index": "Number from the left",
    "smoothing": "Steady the box",
    "smoothing_frames": "Steady over",
    "crop": "Keep only a part",
    "rotate": "Turn",
    "static": "First frame only",
    "pad_top": "Room above",
    "pad_bottom": "Room below",
    "pad_left": "Room left",
    "pad_right": "Room right",
    "which_face": "Which face",
    "fps": "Frame rate",
    "quality": "Compression (CRF)",
    "resize_factor": "Make smaller by",
    "pads_px": "Room in pixels",
    "box": "Fixed face box",
    "min_score": "Confidence a face needs",
    "detect_every": "Look for faces every",
    "detect_size": "Look in a picture of",
    "number_format": "Number format",
    "voice_lead": "Voice earlier by",
    "max_height": "Quality at most",
}
"""Labels that are more than the setting's name."""
CHOICES: dict[str, dict[Any, str]] = {
    "subtitles": {"none": "none", "file": "as a file", "track": "as a file, and inside the video"},
    "which_face": {
        "largest": "the largest",
        "central": "the one in the middle",
        "index": "by number, from the left",
        "point": "the one that was clicked",
        "reference": "the one on a picture",
    },
    "smoothing": {
        "symmetric": "evenly",
        "official": "official: as Wav2Lip does",
        "none": "not at all",
    },
    "mask": {"mouth": "mouth and chin", "box": "the whole box"},
    "blend": {"feather": "feather: all softly", "multiband": "multiband: by detail"},
    "enhancer": {
        "none": "no",
        "gfpgan": "GFPGAN 1.4",
        "gfpgan_1.3": "GFPGAN 1.3",
        "restoreformer": "RestoreFormer",
    },
    "enhance_area": {"mouth": "where the mouth is drawn", "face": "the whole face"},
    "upscaler": {"none": "no", "realesrgan_x2": "twice, by Real-ESRGAN"},
    "variant": {
        "auto": "the best one here",
        "builtin": "built in: small and quick",
        "wav2lip": "Wav2Lip",
        "wav2lip_gan": "Wav2Lip GAN, sharper",
    },
    "detector": {"centerface": "CenterFace, quick", "s3fd": "S3FD, as Wav2Lip"},
    "device": {"auto": "the best one here", "cpu": "CPU", "cuda": "NVIDIA GPU", "mps": "Apple GPU"},
    "number_format": {"auto": "what suits the device"},
    "encoder": {"software": "software (x264)", "hardware": "hardware, where there is one"},
    "rotate": {0: "not"},
}
"""Words for values of settings, where the value itself says too little."""
FOUR_NUMBERS = "Four whole numbers: top bottom left right"
SETTINGS_LOAD = "Load settings"
SETTINGS_HINT = "Use a file that this page saved, or write it alike."
SETTINGS_LOADED = "The settings were loaded."

# --- preview -------------------------------------------------------------------------------------
TAB_PREVIEW, TAB_RESULT, TAB_COMPARE = "Preview", "Result", "Before and after"
PREVIEW_TIME = "Moment to preview (s)"
PREVIEW_BUTTON = "Preview this moment"
PREVIEW_SOURCE, PREVIEW_RESULT = "Face box and mask", "As it will look"
PREVIEW_EMPTY = "One frame appears here as soon as there is a picture and a voice."
PREVIEW_DONE = "The moment {time:.2f} s, lips by *{variant}*. {hint}"
PREVIEW_HINT = "Change the room around the face on the left, and it is drawn anew."
PREVIEW_NO_FACE = "No face is seen at {time:.2f} s: this frame passes through unchanged. Try another moment."
FACES = "Several people: click the one who speaks"
FACE, FACE_SPEAKS = "Face {number}", "Face {number} speaks"

# --- run -----------------------------------------------------------------------------------------
CONSENT = "The people who are seen and heard agreed to this, and I will say that it was made with AI."
CONSENT_MISSING = "Tick the line above the button first"
API_CONSENT_MISSING = "Say that the people who are seen and heard agreed: agreed=true"
CONSENT_HINT = "Make people say only what they agreed to."
RUN_NOTHING, RUN_NO_VOICE, RUN_NO_PICTURE = "Add a video and a voice", "Add a voice", "Add a video or a photo"
RUN_READY = "Make {length} of lip-synced video"
RUN_WRONG = "Something must be put right first"
CANCEL = "Cancel"
STATUS_EMPTY = "Add a video or a photo and a voice on the left."
STATUS_READY = "Ready: {frames} frames, {width}×{height}, {fps:g} frames/s."
STATUS_WAITING = "Waiting for its turn…"
STATUS_STARTING = "Starting…"
STATUS_STOPPED = "Stopped. Nothing was kept."
STATUS_SECONDS = "{done} of {total} s"
STATUS_FRAMES, STATUS_BYTES, STATUS_LEFT = (
    "{done} of {total} frames",
    "{done:.1f} of {total:.1f} MB",
    "about {left} left",
)
STATUS_COMPARING = "{number} of {count}: {variant}"
UNEXPECTED = "Something went wrong that should not have"
UNEXPECTED_HINT = (
    "Try again with another file or with the default settings; whoever runs this page finds more in its log."
)
NOT_DONE = "That did not work"
LENT_STAGE, LENT_WAITING = "Drawing on a lent GPU", "Waiting for a GPU"
LENT_GONE, LENT_GONE_HINT = (
    "The lent GPU is not there, or not any more",
    "Try again a little later, or with a shorter part of the video: GPUs are lent for two minutes at most.",
)
LENT_LOST = "The weights that were there a moment ago are gone"
NO_PICTURE, NO_PICTURE_HINT = "There is no picture yet", "Drop a video or a photo on the left."
NO_VOICE, NO_VOICE_HINT = "There is no voice yet", "Drop or record a sound on the left."
GONE, GONE_HINT = "The file is no longer here", "Files are removed when a visitor leaves; give it once more."

# --- result --------------------------------------------------------------------------------------
RESULT, RESULT_OTHER, RESULT_BESIDE = "Result", "Result of {variant}", "Side by side"
RESULT_EMPTY = "The finished video appears here."
LIVE = "As it is being made"
RESULT_DONE = (
    "**Done in {total:.1f} s.** {seconds:.2f} s of {width}×{height} at {fps:g} frames/s, lips by *{variant}*."
)
DOWNLOAD, DOWNLOAD_SETTINGS = "Download the video", "Settings (JSON)"
SCORE, SCORE_RESULT, SCORE_SOURCE = "Lips and voice", "Result", "Source, own voice"
SCORE_ROWS = ("Sync confidence (higher is better)", "Sync distance (lower is better)", "Sound against lips")
SCORE_CURVE, DOWNLOAD_SCORE = "Over time, and over offsets", "Score (JSON)"
DOWNLOAD_SUBTITLES = "Subtitles (SRT)"
SLIDER = "Before and after: drag the line"
BESIDE_BUTTON = "Make a side by side video"
BESIDE_DONE = "The side by side video is ready."
BESIDE_EMPTY = "After a run, drag between the original and the result here."

# --- many at once --------------------------------------------------------------------------------
SEVERAL = "Several people, several voices"
SEVERAL_ABOUT = (
    "Say who says what and when; elsewhere the video keeps its own sound and lips. `face` is counted from "
    "the left (0 is the first) or a point such as `0.7,0.4@12`; `voice` is the part of the voice, `file` "
    "which voice: 0 is the one above, 1 the first further one."
)
SEGMENTS, MORE_VOICES = "Who says what, one a line", "Further voices"
SEGMENTS_EXAMPLE = "0-4.5 face=0 voice=0-4.5\n5-9 face=1 voice=0-4 file=1"
BATCH = "Many at once"
BATCH_ABOUT = (
    "Several videos or photos and one voice for all, or as many voices as videos: the first goes with the "
    "first. The settings of the page “One video” are used, and its parts are not."
)
BATCH_VIDEOS, BATCH_VOICES, BATCH_RUN, BATCH_ZIP = (
    "Videos or photos",
    "Voices",
    "Make them all",
    "All results (zip)",
)
BATCH_DONE = "{done} of {total} done"
BATCH_COUNTS = "The voices do not go with the videos"
BATCH_COUNTS_HINT = "Give one voice for all, or as many as there are videos."
BATCH_FAILED = "Not one of them could be made"

# --- what is in a file ---------------------------------------------------------------------------
INSPECT = "What is in this file?"
INSPECT_ABOUT = (
    "Look through a video, a photo or a sound before anything is made of it: format, loudness, faces, words, "
    "and what to expect from a sync."
)
INSPECT_FILE, INSPECT_PARTS = "Video, photo or sound", "Look closely at (each takes its time)"
INSPECT_PART = {
    "faces": "Faces and cuts",
    "sync": "Lips against its own sound",
    "transcript": "What is said",
}
INSPECT_WORDS = "How what is said is written down"
INSPECT_RUN, INSPECT_EMPTY = "Look into it", "The report appears here."
INSPECT_DONE = "{name} was looked through."
INSPECT_PLAYER = "With subtitles"
INSPECT_JSON, INSPECT_SRT, INSPECT_VTT = "Report (JSON)", "Subtitles (SRT)", "Subtitles (VTT)"
INSPECT_USE = "Use it for a sync"
NO_FILE, NO_FILE_HINT = "There is no file yet", "Drop a video, a photo or a sound."

# --- words that Gradio does not say --------------------------------------------------------------
FOOTER = (
    "Files are removed soon after you leave. What is made here carries “the lips were generated by AI” in "
    "its metadata. The official models may not be used commercially."
)
