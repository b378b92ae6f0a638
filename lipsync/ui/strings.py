"""All texts of the page; the help texts of settings are in `lipsync.options`."""

from __future__ import annotations

from typing import Any

TITLE = "lipsync"
HEADING = "# lipsync\nDrop in a video and a voice, and the lips say the voice."
HOTKEYS, HOTKEYS_CLOSE = "Keys", "Close"
SYNC_TAB, BATCH_TAB, INSPECT_TAB = "One video", "Batch", "Inspect a file"

# --- inputs --------------------------------------------------------------------------------------
VIDEO_HEADING, VOICE_HEADING = "### 1 · Video or photo", "### 2 · Voice"
TAB_VIDEO, TAB_PHOTO, TAB_LINK = "Video", "Photo", "Link"
TAB_AUDIO, TAB_FROM_VIDEO = "Audio", "From a video"
VIDEO, PHOTO, VOICE, VOICE_VIDEO = "Video", "Photo", "Voice", "Video with the voice"
COPY_MAKING = "Your browser cannot play this file. Making a small copy to look at…"
COPY_SHOWN = "Your browser cannot play this file: the player shows a small copy. The run uses your file."
COPY_SHORTER = (
    "Your browser cannot play this file: the player shows a small copy, without the last {lacking} of it. "
    "The run uses your file."
)
COPY_FAILED = "Your browser cannot play this file, and no copy to look at could be made of it."
EXAMPLES = "No files at hand? Try an example:"
EXAMPLE_PHOTO, EXAMPLE_VIDEO = "A photo that speaks", "A video with another voice"

# --- links ---------------------------------------------------------------------------------------
LINK, LINK_PLACEHOLDER = "Link", "https://… page with a video (YouTube and others), or a media file"
LINK_CHECK, LINK_DOWNLOAD, LINK_CANCEL = "Check", "Download", "Cancel the download"
LINK_ABOUT = (
    "Paste a link and press Check. Use only media that you have the rights to; if the site refuses, upload "
    "the file instead."
)
LINK_CHECKING = "Reading the page…"
LINK_DOWNLOADED = "Downloaded: {name}."
LINK_SHIFTED = " Only the selected parts were downloaded; their times now count from {start} of the original."
LINK_DURATION, LINK_NO_DURATION = "{length} long", "length unknown"
LINK_BY, LINK_LICENCE, LINK_NO_LICENCE = "by {uploader}", "licence: {licence}", "licence: not given"
LINK_PARTS = "This site allows downloading single parts: select them below before you press Download."

# --- ranges --------------------------------------------------------------------------------------
RANGES = {"video": "Use only parts of the video", "voice": "Use only parts of the voice"}
RANGES_ABOUT = (
    "Seconds or h:m:s, for example `2.5` or `1:02`. An empty end means to the end. "
    "The parts are joined in this order; without any, everything is used."
)
RANGE_START, RANGE_END = "Start of part {number}", "End of part {number}"
RANGE_START_HERE, RANGE_END_HERE = "⇤ Starts here", "Ends here ⇥"
RANGE_REMOVE, RANGE_ADD = "✕ Remove this part", "+ Add a part"
RANGE_PLACEHOLDER = "m:s"
RANGE_BAD = "Part {number} cannot be read"
RANGE_PAST = "This is past the end: the file lasts {length}."

# --- timeline ------------------------------------------------------------------------------------
TIMELINE = {
    "name": "Timeline: cut the video and the voice",
    "position": "Position in the {lane}",
    "keys": "Drag to mark a part. Arrows: one frame, Shift: one second · I and O: start and end here · "
    "Space: play · Delete: remove",
}
TIMELINE_BUTTONS = {
    "play": ("▶", "Play or pause; a chosen part is played to its end"),
    "in": ("⇤ In", "The part starts here (I)"),
    "out": ("Out ⇥", "The part ends here (O)"),
    "add": ("+ Part", "Add a part here"),
    "remove": ("✕", "Remove the chosen part (Delete)"),
    "snap": ("Snap", "Snap to cuts and pauses, to other parts and to the position"),
    "smaller": ("−", "Zoom out"),
    "larger": ("+", "Zoom in"),
}
"""Sign and title of each button, by what it does in timeline.js."""
TIMELINE_WORDS = {
    "video": "video",
    "voice": "voice",
    "part": "Part {number} of the {lane}, {start} to {end}",
    "start": "Part {number} of the {lane}: start",
    "end": "Part {number} of the {lane}: end",
    "removed": "The part was removed",
    "whole": "all of the {lane}, {length} s",
    "one": "1 part of the {lane}, {sum} of {length} s",
    "many": "{count} parts of the {lane}, {sum} of {length} s",
}
"""Words that timeline.js fills in."""

# --- text to speech ------------------------------------------------------------------------------
TAB_TEXT = "Text"
SAY, SAY_PLACEHOLDER = "Or write what is said", "Good morning, and welcome."
SAY_VOICE, SAY_VOICE_HELP = "Spoken by", "or type another voice, such as espeak:de or kokoro:af_bella"
SAY_BUTTON, SAY_DONE = "Speak it", "Spoken by {voice}, {seconds:.1f} s. It is the voice now."
SAY_NONE = (
    "No speech synthesiser is installed on this machine: neither espeak-ng (Debian: apt install espeak-ng, "
    "or pip install espeakng-loader) nor Kokoro (pip install kokoro-onnx)."
)

# --- speakers ------------------------------------------------------------------------------------
SPEAKERS = "Several speakers, or a script"
SPEAKERS_ABOUT = (
    "Set who says what and when; everywhere else the video keeps its own sound and lips. Let the program "
    "find who speaks, load a script with times (SRT, VTT, CSV or JSON), or add lines by hand."
)
MORE_VOICES = "Additional voices"
MAX_SPEEDUP = "Speed up lines that are too long"
MAX_SPEEDUP_INFO = "Up to this many times, at the same pitch. With 1 the end of such lines is not heard."
SEGMENTS = "Segments, one per line"
SEGMENTS_EXAMPLE = "0-4.5 face=0 voice=0-4.5\n5-9 face=1 voice=0-4 file=1"
SEGMENTS_FOLD = "Paste as text"
SEGMENTS_ABOUT = (
    "The same lines as on the command line, without what is said. `face` counts from the left (0 is the "
    "first) or is a point such as `0.7,0.4@12`; `voice` is the part of the voice; `file` is which voice: 0 "
    "is the one above, 1 the first additional one. Lines that are spoken cannot be written like this."
)
SCRIPT_LOAD, SCRIPT_LOADED = "Load a script", "{count} lines were loaded from {name}."
FIND_SPEAKERS, FIND_STOP = "Find who speaks", "Stop"
FIND_DONE = "{count} turns of {faces} faces were found. Check them, then use them."
FIND_OFF_SCREEN = "Speech that comes from nobody in the picture was left out: {seconds:.1f} s."
FIND_GIVEN = "{count} lines got the face that speaks at their time. Check them, then use them."
FIND_NOBODY = "Nobody in the picture was found to speak."
REDRAW_NOTHING, REDRAW_NOTHING_HINT = "There is no result yet", "Make the whole video first."
REDRAW_OTHER = "The last result is of another video, or of other parts of it"
REDRAW_DONE = "Line {number} was drawn again; the rest is copied from the last result."
REDRAW_MORE = (
    "Line {number} was drawn again, and what else had changed; the rest is copied from the last result."
)
REDRAW_WHOLE = "The whole video was drawn: the last result cannot be copied in part."
ROWS_BAD, ROWS_MANY = "The lines cannot be read", "There are too many lines; at most {limit} are possible"
ROW_NAMED = "line {number}"
ROW_FACE = "A face cannot be chosen like this"
ROW_OVERLAP = "Overlaps line {number}, which has the same face."
ROW_NO_VOICE = "There is no such voice yet: add it below."
ROW_NO_TEXT = "Write what is said."
ROW_NO_SYNTHESIZER = "{name} is not installed on this machine."
ROW_PAST_VIDEO = "This is past the end: the video lasts {length}."
ROW_PAST_VOICE = "This part is past the end: the voice lasts {length}."
ROW_NO_FACE = "No face is seen here at {time}."
ROW_NO_POINT = "No face is at this place at {time}."
ROW_NO_INDEX = "Only {count} faces are seen at {time}."
ROW_OVERLONG = "The text takes {seconds:.1f} s: the last {rest:.1f} s are not heard."
EDITOR_WORDS = {
    "name": "Lines: who says what and when",
    "row": "Line {number}",
    "face": "Face",
    "usual": "as the settings say",
    "start": "Start",
    "end": "End",
    "startHere": "The line starts at the player's position",
    "endHere": "The line ends at the player's position",
    "part": "Take start and end from the chosen part of the timeline",
    "noPart": "Choose a part of the timeline first, or put the player where the line starts.",
    "voice": "Voice",
    "offset": "Part of the voice",
    "whole": "from its start",
    "same": "Same times as in the video",
    "speaker": "Speaker",
    "text": "What is said",
    "remove": "Remove this line",
    "again": "Draw this line again alone; the rest is taken from the last result",
    "add": "+ Add a line",
    "clear": "Remove all",
    "speakAll": "Speak all texts by",
    "added": "Line {number} was added",
    "allOf": "Set for all {count} lines of {speaker}",
    "removed": "The line was removed",
}
"""Words that segment_editor.js fills in."""
VOICE_FILE, VOICE_FILE_NAMED = "Voice above", "Additional voice {number}: {name}"
SPOKEN_VOICES = {
    "espeak": "Spoken by eSpeak NG",
    "espeak:+f3": "Spoken by eSpeak NG, a woman",
    "espeak:+m3": "Spoken by eSpeak NG, another man",
    "kokoro": "Spoken by Kokoro",
    "kokoro:am_michael": "Spoken by Kokoro, Michael (English)",
    "kokoro:bf_emma": "Spoken by Kokoro, Emma (British English)",
}
"""Voices of text to speech that the page offers; others can be typed."""

# --- settings ------------------------------------------------------------------------------------
SETTINGS = "### 3 · Settings (the defaults suit most videos)"
GROUPS = {"main": "Main settings", "face": "Face, mask, enhancement", "more": "Advanced"}
SECTIONS = {
    "media": "Video and file",
    "faces": "Face",
    "generator": "Model",
    "blend": "Mask and blending",
    "speech": "Voice",
    "enhance": "Enhancement",
    "report": "Score and subtitles",
    "transcript": "Transcript",
}
"""Headings within a group, one for every group of `SyncOptions`."""
PRESET = "Quality"
PRESET_HELP = "trades time for quality; sets the values of several settings below"
DIFFERENCES = "Changed: {changes}."
DIFFERENCE = "{label} {value} (instead of {usual})"
RESET = "Reset settings"
NOT_SET = "not set"
PRESET_SETS = "{preset}: {settings}"
PRESETS = {"draft": "Draft", "standard": "Standard", "best": "Best"}
COMPARE, COMPARE_HELP = "Compare with", "a second model in the same run; both results are shown side by side"
COMPARE_NONE = "none"
REFERENCE, REFERENCE_HELP = "Photo of the speaker", "A photo with the face clearly visible."
LABELS = {
    "variant": "Model",
    "length_mode": "Length",
    "in_silence": "Mouth in silence",
    "enhancer": "Face enhancement",
    "upscaler": "Upscaling",
    "enhance_strength": "Enhancement strength",
    "enhance_area": "Enhanced area",
    "without_enhancer": "Continue without enhancement",
    "separate_voice": "Separate the voice from music",
    "background": "Music and noise of the video",
    "background_level": "Level of music and noise",
    "background_ducking": "Lower them while somebody speaks",
    "voice_shift": "Voice delay",
    "score": "Measure lip sync",
    "subtitles": "Subtitles",
    "provenance": "Mark as AI-made",
    "ai_label": "Visible label",
    "ai_label_size": "Size of the label",
    "ai_label_opacity": "Opacity of the label",
    "speech_model": "Speech recognition model",
    "spoken_language": "Spoken language",
    "blend": "Blending",
    "color_match": "Match colours",
    "keep_detail": "Keep skin detail",
    "occlusion": "Skip covered mouths",
    "feather": "Feather width",
    "face_index": "Number from the left",
    "smoothing": "Box smoothing",
    "smoothing_frames": "Smooth over",
    "crop": "Crop",
    "rotate": "Rotate",
    "codec": "Video codec",
    "keep_tracks": "Keep other tracks",
    "smart_copy": "Copy unchanged parts",
    "layer": "Layer for editors",
    "static": "First frame only",
    "pad_top": "Pad top",
    "pad_bottom": "Pad bottom",
    "pad_left": "Pad left",
    "pad_right": "Pad right",
    "which_face": "Which face",
    "fps": "Frame rate",
    "quality": "Compression (CRF)",
    "resize_factor": "Downscale by",
    "pads_px": "Pads in pixels",
    "box": "Fixed face box",
    "min_score": "Minimum face confidence",
    "detect_every": "Detect faces every",
    "detect_size": "Detection size",
    "number_format": "Number format",
    "voice_lead": "Voice window lead",
    "max_height": "Maximum quality",
}
"""Labels of settings, where the name alone says too little."""
CHOICES: dict[str, dict[Any, str]] = {
    "background": {"none": "none", "keep": "kept under the new voice"},
    "subtitles": {"none": "none", "file": "as a file", "track": "as a file and inside the video"},
    "provenance": {
        "signed": "signed Content Credentials and metadata",
        "metadata": "metadata alone",
        "none": "no marks",
    },
    "which_face": {
        "largest": "the largest",
        "central": "the most central",
        "index": "by number, from the left",
        "point": "the clicked one",
        "reference": "the one in a photo",
        "speaking": "whoever speaks in the video",
    },
    "smoothing": {
        "symmetric": "symmetric",
        "official": "official: as Wav2Lip",
        "none": "none",
    },
    "mask": {"mouth": "mouth and chin", "box": "the whole box"},
    "blend": {"feather": "feather: one soft edge", "multiband": "multiband: by level of detail"},
    "enhancer": {
        "none": "none",
        "gfpgan": "GFPGAN 1.4",
        "gfpgan_1.3": "GFPGAN 1.3",
        "restoreformer": "RestoreFormer",
    },
    "enhance_area": {"mouth": "the generated mouth", "face": "the whole face"},
    "upscaler": {"none": "none", "realesrgan_x2": "2×, Real-ESRGAN"},
    "variant": {
        "auto": "the best available",
        "builtin": "built-in: small and fast",
        "wav2lip": "Wav2Lip",
        "wav2lip_gan": "Wav2Lip GAN, sharper",
    },
    "detector": {"centerface": "CenterFace, fast", "s3fd": "S3FD, as Wav2Lip"},
    "device": {"auto": "the best available", "cpu": "CPU", "cuda": "NVIDIA GPU", "mps": "Apple GPU"},
    "number_format": {"auto": "the best for the device"},
    "encoder": {"software": "software (x264)", "hardware": "hardware, if available"},
    "smart_copy": {"auto": "where possible", "on": "where possible; say where not", "off": "never"},
    "rotate": {0: "none"},
    "codec": {
        "h264": "H.264 (mp4)",
        "h265": "H.265 (mp4)",
        "av1": "AV1 (mp4)",
        "prores": "ProRes 422 HQ (mov)",
        "dnxhr": "DNxHR HQX (mov)",
        "ffv1": "FFV1, lossless (mkv)",
        "png": "PNG images and WAV sound (zip)",
    },
    "layer": {"none": "none", "mouth": "only what was drawn"},
}
"""Labels of values, where the value itself says too little."""
ON, OFF = "on", "off"
FOUR_NUMBERS = "Four whole numbers: top bottom left right"
SETTINGS_LOAD = "Load settings"
SETTINGS_HINT = "Use a settings file saved by this page, or one in the same format."
SETTINGS_UNKNOWN_HINT = "The names of all settings are in the README."
ROWS_HINT = "It shows {count}. Join some, or use the command line."
SETTINGS_LOADED = "The settings were loaded."

MODEL_HERE, MODEL_ABSENT = "here", "to fetch"
MODEL_FACTS, MODEL_NON_COMMERCIAL = "{megabytes:.0f} MB, {licence}", "non-commercial"
FETCH, FETCH_CANCEL = "Fetch now", "Cancel the download"
FETCH_ABOUT = "Not on this machine yet, and fetched before the run: {models}."

# --- preview -------------------------------------------------------------------------------------
TAB_PREVIEW, TAB_RESULT, TAB_COMPARE = "Preview", "Result", "Before and after"
PREVIEW_TIME = "Preview time (s)"
PREVIEW_BUTTON = "Preview this frame"
CLIP_BUTTON, CLIP = "Play a few seconds with sound", "Preview with sound"
CLIP_MAKING = "Making the preview from {start:.1f} to {end:.1f} s."
CLIP_DONE = "The preview with sound shows {start:.1f} to {end:.1f} s."
FACE_BOX = {
    "name": "Face box and mask",
    "keys": "Drag the box, or use the arrow keys (Shift: its size). Click a face to choose it.",
    "find": "Find the face again",
}
FACE_BOX_WORDS = {
    "box": "Face box: top {top}, bottom {bottom}, left {left}, right {right}",
    "face": "Face {number}: let this one speak",
}
"""Words that face_box.js fills in."""
PREVIEW_RESULT, PREVIEW_FACE = "Preview of the result", "The face, before and after"
PREVIEW_EMPTY = "A preview appears here as soon as there is a video or photo and a voice."
PREVIEW_INVALID = "A preview appears here when the problem above is put right."
PREVIEW_DONE = "Frame at {time:.2f} s, lips by *{variant}*. {hint}"
PREVIEW_HINT = "Drag the box or change the pads to redraw it."
PREVIEW_BOX_ONLY = "The face at {time:.2f} s. Add a voice to see what it says."
PREVIEW_FIXED = "The box stays in this place in every frame."
PREVIEW_NO_FACE = "No face was found at {time:.2f} s: this frame stays unchanged. Try another time."
FACES = "Several people: click the one who speaks"
FACE, FACE_SPEAKS = "Face {number}", "Face {number} speaks"

# --- run -----------------------------------------------------------------------------------------
CONSENT = "The people who are seen and heard agreed to this, and I will say that it was made with AI."
CONSENT_MISSING = "Tick the box above the button first"
API_CONSENT_MISSING = "Confirm that the people who are seen and heard agreed: agreed=true"
CONSENT_HINT = "Make people say only what they agreed to."
RUN_NOTHING, RUN_NO_VOICE, RUN_NO_VIDEO = "Add a video and a voice", "Add a voice", "Add a video or a photo"
RUN_READY = "Make {length} of lip-synced video"
RUN_INVALID = "Fix the problem above first"
NOTIFY = "Notify me when it is done"
CANCEL = "Cancel"
STATUS_EMPTY = "Add a video or a photo and a voice on the left."
STATUS_READY = "Ready: {frames} frames, {width}×{height}, {fps:g} frames/s."
STATUS_ESTIMATE = " On this machine about {time} and {size:.1f} MB, as runs like it before."
NOTICE_SHORT_VOICE = "The voice is only {seconds:.2f} s long: the lips have hardly anything to say."
NOTICE_AROUND = "Around the previewed frame: {notice}"
NOTICE_NO_FACE = (
    "No face was found in the photo, so nothing would be drawn. Take a photo from the front, or say where "
    "the face is with “Fixed face box”."
)
SETTING, SETTING_VALUE = "“{label}”", "“{label}: {value}”"
ERROR, ERROR_GIVEN = "{what}.", "{what}: {given}."
ERROR_DETAILS = "Details"
STATUS_LENGTHS = "{video}; the voice is {voice:.1f} s{rest}."
STATUS_VIDEO, STATUS_PART, STATUS_PARTS = (
    "The video is {seconds:.1f} s",
    "1 part, {seconds:.1f} s",
    "{count} parts, {seconds:.1f} s",
)
STATUS_UNUSED = {
    "one": ": part {number} is not used",
    "many": ": parts {number} to {count} are not used",
    "rest": ": the last {seconds:.1f} s of the video are not used",
    "voice": ": the last {seconds:.1f} s of the voice are not used",
}
"""What a run leaves out of the longer one."""
STATUS_FILLED = {
    "pingpong": ": the video then plays backwards and forwards",
    "loop": ": the video repeats",
    "hold": ": the last frame stays",
    "stretch": ": the video is slowed down or sped up",
    "picture": ": silence after the voice",
}
"""How the shorter one is brought to the other's length, by length mode."""
STATUS_WAITING = "Waiting in the queue…"
WAITING_ONE, WAITING = "One run is before yours", "{count} runs are before yours"
WAITING_SECONDS = ", for about {time}"
QUEUE_FULL, QUEUE_FULL_HINT = "Too many runs are waiting", "Try again in a few minutes."
STATUS_STARTING = "Starting…"
STATUS_STOPPING = "Stopping…"
STATUS_STOPPED = "Stopped. Nothing was kept."
STATUS_SECONDS = "{done} of {total} s"
STATUS_LINES = "{done} of {total} lines"
STATUS_VIDEOS = "{done} of {total} videos"
STATUS_FRAMES, STATUS_BYTES, STATUS_LEFT = (
    "{done} of {total} frames",
    "{done:.1f} of {total:.1f} MB",
    "about {left} left",
)
STATUS_ITEM = "{number} of {count}: {name}"
UNEXPECTED = "An unexpected error occurred"
UNEXPECTED_HINT = (
    "Try again with another file or with the default settings; the server's log has the details."
)
NOT_DONE = "That did not work"
WRONG_FILE_TYPE = "The file {name} is none of these: {types}"
SERVER_FULL = (
    "The disk of the server is full, and the file was not kept. Try again later, or with a smaller file."
)
SERVER_FAILED = "The server could not read or write a file. Its log has the details."
GPU_STAGE, GPU_WAITING = "Drawing on a shared GPU", "Waiting for a GPU"
GPU_GONE, GPU_GONE_HINT = (
    "The GPU is not available, or not any more",
    "Try again a little later, or with a shorter part of the video: a GPU is given for two minutes at most.",
)
GPU_NO_WEIGHTS = "The weights of the model were removed during the run"
NO_VIDEO, NO_VIDEO_HINT = "There is no video or photo yet", "Add a video or a photo on the left."
NO_VOICE, NO_VOICE_HINT = "There is no voice yet", "Add an audio file or record one on the left."
GONE, GONE_HINT = "The file is no longer here", "Files are removed when a visitor leaves; upload it again."

# --- result --------------------------------------------------------------------------------------
RESULT, RESULT_OTHER = "Result", "Result of {variant}"
RESULT_SECOND_FAILED = "The second result could not be made. {why}"
SEQUENCE_SHOWN = "Shown is an H.264 copy; the images are in the zip file to download."
RESULT_EMPTY = "The finished video appears here."
LIVE = "Newest frame"
RESULT_DONE = (
    "**Done in {total:.1f} s.** {seconds:.2f} s of {width}×{height} at {fps:g} frames/s, lips by *{variant}*."
)
DOWNLOAD, DOWNLOAD_SETTINGS = "Download the video", "Settings (JSON)"
SCORE, SCORE_RESULT, SCORE_SOURCE = "Lip sync", "Result", "Source, own voice"
VERDICTS = {
    "good": "good",
    "fair": "fair",
    "poor": "poor",
    "off": "out of sync",
    "too short to judge": "too short to judge",
}
SCORE_ROWS = ("Sync confidence (higher is better)", "Sync distance (lower is better)", "Audio offset")
SCORE_WEAK = "Look at the weak stretches:"
SCORE_CURVE, DOWNLOAD_SCORE = "Over time, and over offsets", "Score (JSON)"
DOWNLOAD_SUBTITLES = "Subtitles (SRT)"
HISTORY, HISTORY_HELP = "Results of this visit", "one to see again, or two to compare"
HISTORY_ITEM, HISTORY_SCORE = "{number}. {name} · {variant} · {settings}", "{verdict} ({confidence:.1f})"
HISTORY_SHOW, HISTORY_DEFAULTS = "Show", "default settings"
HISTORY_COUNT, HISTORY_COUNT_HINT = "Choose one result, or two", "Two are shown side by side."
COMPARE_EMPTY = "After a run, drag between original and result here; the button below plays both in step."
SLIDER = "Before and after: drag the line"
WIPE = {
    "name": "Before and after, playing",
    "before": "source",
    "play": "Play or pause",
    "back": "One frame back",
    "next": "One frame on",
    "split": "Line between before and after",
    "speed": "Speed",
    "column": "Result to compare",
}
SIDE_BY_SIDE, SIDE_BY_SIDE_BUTTON = "Side by side", "Play before and after"
SIDE_BY_SIDE_DONE = "Before and after are ready to be played."

# --- batch ---------------------------------------------------------------------------------------
BATCH_ABOUT = (
    "Several videos or photos with one voice for all, or with one voice each, in the same order. The "
    "settings of the tab “One video” are used, but not its parts."
)
BATCH_VIDEOS, BATCH_VOICES, BATCH_RUN, BATCH_ZIP = (
    "Videos or photos",
    "Voices",
    "Make all videos",
    "All results (zip)",
)
BATCH_DONE = "{done} of {total} done"
STATUS_CANCELLED = "not made: cancelled"
BATCH_COUNTS = "The numbers of voices and videos do not match"
BATCH_COUNTS_HINT = "Give one voice for all, or as many as there are videos."
BATCH_FAILED = "None of the videos could be made"

# --- inspect -------------------------------------------------------------------------------------
INSPECT_ABOUT = (
    "Check a video, a photo or an audio file before you use it: format, loudness, faces, transcript, and "
    "what to expect from a sync."
)
INSPECT_FILE, INSPECT_PARTS = "Video, photo or audio", "Analyses (each takes its time)"
INSPECT_PART = {
    "faces": "Faces and cuts",
    "sync": "Lip sync with its own audio",
    "transcript": "Transcript",
}
INSPECT_TRANSCRIPT = "Transcript settings"
INSPECT_RUN, INSPECT_EMPTY = "Inspect", "The report appears here."
INSPECT_DONE = "{name} was inspected."
INSPECT_PLAYER = "With subtitles"
INSPECT_JSON, INSPECT_SRT, INSPECT_VTT = "Report (JSON)", "Subtitles (SRT)", "Subtitles (VTT)"
INSPECT_USE = "Use it for a sync"
NO_FILE, NO_FILE_HINT = "There is no file yet", "Add a video, a photo or an audio file."

# --- footer --------------------------------------------------------------------------------------
FOOTER = (
    "Files are removed soon after you leave. Results carry “the lips were generated by AI” in their "
    "metadata. The official models may not be used commercially."
)
