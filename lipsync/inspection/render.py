"""Rendering of a `MediaReport` as text for a terminal and as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from lipsync.inspection.audio import AudioReport
from lipsync.inspection.faces import FaceReport, PersonSummary
from lipsync.inspection.report import Language, MediaReport
from lipsync.types import SyncScore, VideoInfo
from lipsync.utils import html_report as html
from lipsync.utils.timecodes import clock_time

_LANGUAGES = {
    "ar": "Arabic", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew",
    "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean",
    "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sv": "Swedish", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian",
    "ur": "Urdu", "vi": "Vietnamese", "yue": "Cantonese", "zh": "Chinese",
}  # fmt: skip
_MAX_LISTED = 6
_PARTS = {
    "sound": "Audio",
    "faces": "Faces",
    "sync": "Lip sync",
    "transcript": "Transcript",
    "language": "Language",
}


def language_name(code: str) -> str:
    """English name of a common language, else its code."""
    return _LANGUAGES.get(code, code)


def format_size(size: int) -> str:
    """Bytes as `1.2 MB` or `34.5 kB`."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


# --- facts ---------------------------------------------------------------------------------------


def file_facts(report: MediaReport) -> list[tuple[str, str]]:
    """Names and values about the file."""
    facts = [("Container", report.file.container), ("File size", format_size(report.file.bytes))]
    if report.file.subtitles:
        facts.append(("Subtitle tracks", str(report.file.subtitles)))
    for kind, tracks in (("Video", report.file.video_tracks), ("Audio", report.file.audio_tracks)):
        if tracks:
            listed = "; ".join(f"{number}: {text}" for number, text in enumerate(tracks))
            facts.append((f"{kind} tracks", listed))
    if report.file.comment:
        facts.append(("Comment", report.file.comment))
    return facts


def provenance_facts(report: MediaReport) -> list[tuple[str, str]]:
    """Names and values about marks as AI-made and Content Credentials; the comment is in `file_facts`."""
    facts = report.provenance.facts() if report.provenance else []
    return [(name, value) for name, value in facts if name != "Comment"]


def video_facts(report: MediaReport) -> list[tuple[str, str]]:
    """Names and values about the video."""
    info = report.video
    if info is None:
        return []
    facts = [("Size", f"{info.width} × {info.height}")]
    if report.file.video_codec:
        rate = f", {report.file.video_bit_rate / 1e3:.0f} kbit/s" if report.file.video_bit_rate else ""
        facts.append(("Codec", f"{report.file.video_codec} ({report.file.pixel_format}{rate})"))
    if not info.is_still:
        varies = ", varies" if info.variable_frame_rate else ""
        facts += [
            ("Length", clock_time(info.duration, 1)),
            ("Frame rate", f"{float(info.fps):.6g} frames/s{varies}"),
        ]
    facts += [("Colours", _color_format(info))]
    if info.rotation:
        facts.append(("Rotation", f"{info.rotation}°"))
    if info.interlaced:
        facts.append(("Interlaced", "yes"))
    return facts


def _color_format(info: VideoInfo) -> str:
    hdr = {"smpte2084": ", HDR (PQ)", "arib-std-b67": ", HDR (HLG)"}.get(info.color_transfer, "")
    return f"{info.bit_depth} bits{hdr}{f', {info.color_space}' if info.color_space else ''}"


def audio_facts(report: MediaReport) -> list[tuple[str, str]]:
    """Names and values about the audio."""
    audio = report.audio
    if audio is None:
        return []
    layout = report.file.audio_layout or f"{audio.info.channels} channels"
    loudness = "–" if audio.loudness is None else f"{audio.loudness:.1f} LUFS"
    facts = [
        ("Codec", f"{report.file.audio_codec}, {layout}, {audio.info.sample_rate / 1000:g} kHz"),
        ("Length", clock_time(audio.info.duration, 1)),
        ("Loudness", f"{loudness.replace('-', '−')}, peak {audio.peak:.1f} dB".replace("-", "−")),
        ("Silence", format_silence(audio)),
    ]
    if audio.speech_share is not None:
        facts.append(("Speech", f"{100 * audio.speech_share:.0f} % of the time"))
    return facts


def format_silence(audio: AudioReport) -> str:
    """Share of silence and its first spans."""
    if not audio.silence:
        return "none"
    spans = ", ".join(
        f"{clock_time(start, 1)}–{clock_time(end, 1)}" for start, end in audio.silence[:_MAX_LISTED]
    )
    more = len(audio.silence) - _MAX_LISTED
    return f"{100 * audio.silent_share:.0f} %: {spans}{f' and {more} more' if more > 0 else ''}"


def face_facts(faces: FaceReport) -> list[tuple[str, str]]:
    """Names and values about the faces."""
    cuts = ", ".join(clock_time(time, 1) for time in faces.cuts[:_MAX_LISTED])
    more = len(faces.cuts) - _MAX_LISTED
    return [
        ("Frames with a face to sync", f"{100 * (1 - faces.unsynced_share):.0f} %"),
        ("At a time", f"up to {faces.most}"),
        ("Width of the face", f"{faces.width} px" if faces.width else "–"),
        ("People", f"{faces.person_count}, counted in each shot"),
        ("Cuts", f"{len(faces.cuts)}: {cuts}{f' and {more} more' if more > 0 else ''}" if cuts else "none"),
    ]


def sync_facts(score: SyncScore) -> list[tuple[str, str]]:
    """Names and values of a sync score; empty if the video is too short."""
    if score.confidence is None or score.distance is None or score.offset_ms is None:
        return []
    return [
        ("Sync confidence", f"{score.confidence:.3f}"),
        ("Sync distance", f"{score.distance:.3f}"),
        ("Offset", f"{score.offset_ms:.0f} ms ({score.offset} frames of 40 ms)".replace("-", "−")),
    ]


def format_language(language: Language) -> str:
    """The language with its probabilities, from the audio and from the text."""
    name = language_name(language.code)
    percent = f" ({100 * language.probability:.0f} %)" if language.probability is not None else ""
    if language.by_text is None:
        return f"{name}{percent}"
    other, probability = language.by_text
    if other == language.code:
        return f"{name}{percent}; by its text {100 * probability:.0f} %"
    return f"{name}{percent}, but by its text {language_name(other)} ({100 * probability:.0f} %)"


# --- text ----------------------------------------------------------------------------------------


def render_text(report: MediaReport) -> str:
    """The report as lines of text."""
    return "\n".join([str(report.path), *_lines(report)])


def _lines(report: MediaReport) -> Iterator[str]:
    blocks = [
        ("File", file_facts(report)),
        ("Provenance", provenance_facts(report)),
        ("Video", video_facts(report)),
        ("Audio", audio_facts(report)),
    ]
    if report.faces:
        blocks.append(("Faces", face_facts(report.faces)))
    if report.sync:
        blocks.append(("Lip sync", [("Own audio", report.sync.words), *sync_facts(report.sync)]))
    if report.language and report.transcript:
        by = f"{format_language(report.language)}; transcribed by '{report.transcript.model}'"
        blocks.append(("Transcript", [("Language", by)]))
    for title, facts in blocks:
        if facts:
            yield f"  {title}"
            width = max(len(name) for name, _ in facts)
            yield from (f"    {name:<{width}}  {value}" for name, value in facts)
    if report.transcript:
        for segment in report.transcript.segments:
            yield f"    {clock_time(segment.start, 1):>7}  {segment.text}"
    if report.advice:
        yield "  What to expect"
        yield from (f"    {'!' if advice.is_warning else '-'} {advice.text}" for advice in report.advice)
    for part, why in report.missing.items():
        yield f"  {_PARTS.get(part, part)}: {why}"


# --- HTML ----------------------------------------------------------------------------------------


def render_page(reports: list[MediaReport]) -> str:
    """One or several reports as an HTML document."""
    if len(reports) == 1:
        return html.page(reports[0].path.name, _sections(reports[0]), "What is in this file")
    body = [
        part for report in reports for part in (f"<h1>{escape(report.path.name)}</h1>", *_sections(report))
    ]
    return html.page(f"{len(reports)} files", body, "What is in them")


def render_fragment(report: MediaReport) -> str:
    """The report as HTML for a page that has a heading and `html_report.style` already."""
    return "".join(_sections(report))


def _sections(report: MediaReport) -> Iterator[str]:
    if report.advice:
        texts = [(advice.is_warning, advice.text) for advice in report.advice]
        yield html.section("What to expect", html.notices(texts))
    yield html.section("File", html.definition_list(file_facts(report)))
    if report.provenance:
        yield html.section("Provenance", html.definition_list(provenance_facts(report)))
    if report.video:
        yield html.section("Video", html.definition_list(video_facts(report)))
    if report.audio:
        yield html.section("Audio", html.definition_list(audio_facts(report)), *_audio_plots(report.audio))
    if report.faces:
        yield html.section(
            "Faces", html.definition_list(face_facts(report.faces)), *_face_plots(report.faces, report)
        )
    if report.sync:
        yield html.section("Lip sync with its own audio", *_sync_plots(report.sync, report.duration))
    if report.transcript:
        yield html.section("Transcript", *_transcript(report))
    if report.missing:
        texts = [(True, f"{_PARTS.get(part, part)}: {why}") for part, why in report.missing.items()]
        yield html.section("Not available", html.notices(texts))


def _audio_plots(audio: AudioReport) -> Iterator[str]:
    length = audio.info.duration
    if audio.speech is not None and audio.speech_share is not None:
        yield html.interval_plot(
            audio.speech, length, "Speech", f"{100 * audio.speech_share:.0f} % of the time"
        )
    if audio.silence:
        yield html.interval_plot(
            audio.silence, length, "Silence", f"{100 * audio.silent_share:.0f} % of the time"
        )


def _face_plots(faces: FaceReport, report: MediaReport) -> Iterator[str]:
    yield html.figure_grid(html.figure(person.thumbnail, _caption(person)) for person in faces.people)
    if len(set(faces.per_second)) > 1:
        points = [(second + 0.5, count) for second, count in enumerate(faces.per_second)]
        ends = [(0.0, points[0][1]), *points, (report.duration, points[-1][1])]
        yield html.line_plot(
            [(min(time, report.duration), count) for time, count in ends],
            report.duration,
            "Faces at a time",
            low=0,
            high=max(1, faces.most) * 1.1,
            marks=faces.cuts,
            note=f"up to {faces.most}" + (", cuts marked" if faces.cuts else ""),
        )


def _caption(person: PersonSummary) -> str:
    selected = ", would be synced" if person.selected else ""
    return f"{clock_time(person.time, 1)}, {person.width} px{selected}"


def _sync_plots(score: SyncScore, duration: float) -> Iterator[str]:
    yield html.paragraph(score.words)
    yield html.definition_list(sync_facts(score))
    weak = [(part.start, min(part.end, duration)) for part in score.weak]
    yield html.line_plot(
        list(zip(score.times, score.curve, strict=True)),
        duration,
        "Sync confidence, second by second",
        low=min(0.0, *(value for value in score.curve if value == value), 0.0),
        reference=0.0,
        shaded=weak,
        note="weak segments shaded" if weak else "",
    )


def _transcript(report: MediaReport) -> Iterator[str]:
    transcript = report.transcript
    assert transcript
    if report.language:
        yield html.paragraph(
            f"{format_language(report.language)}. Transcribed by '{transcript.model}'.", "soft"
        )
    rows = "".join(
        f"<tr><td>{clock_time(segment.start, 1)}</td><td>{escape(segment.text)}</td></tr>"
        for segment in transcript.segments
    )
    yield (
        f'<div class="words" tabindex="0"><table>{rows}</table></div>'
        if rows
        else html.paragraph("No speech.")
    )
