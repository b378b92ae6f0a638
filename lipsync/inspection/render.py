"""A `MediaReport` for people: as lines for a terminal, and as a page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from lipsync.inspection.audio import SoundReport
from lipsync.inspection.faces import FacesReport
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
_MOST_SPANS = 6
_PARTS = {
    "sound": "Sound",
    "faces": "Faces",
    "sync": "Lip sync",
    "transcript": "Words",
    "language": "Language",
}


def language_name(code: str) -> str:
    """The language in English where it is a common one, else its code."""
    return _LANGUAGES.get(code, code)


def size_words(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


# --- facts ---------------------------------------------------------------------------------------


def file_facts(report: MediaReport) -> list[tuple[str, str]]:
    """Names and values of the file as a whole."""
    facts = [("Container", report.file.container), ("File size", size_words(report.file.bytes))]
    if report.file.subtitles:
        facts.append(("Subtitle tracks", str(report.file.subtitles)))
    if report.file.comment:
        facts.append(("Comment", report.file.comment))
    return facts


def picture_facts(report: MediaReport) -> list[tuple[str, str]]:
    """Names and values of the picture."""
    info = report.picture
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
    facts += [("Colours", _colours(info))]
    if info.rotation:
        facts.append(("Turned by", f"{info.rotation}°"))
    if info.interlaced:
        facts.append(("Interlaced", "yes"))
    return facts


def _colours(info: VideoInfo) -> str:
    hdr = {"smpte2084": ", HDR (PQ)", "arib-std-b67": ", HDR (HLG)"}.get(info.color_transfer, "")
    return f"{info.bit_depth} bits{hdr}{f', {info.color_space}' if info.color_space else ''}"


def sound_facts(report: MediaReport) -> list[tuple[str, str]]:
    """Names and values of the sound."""
    sound = report.sound
    if sound is None:
        return []
    layout = report.file.audio_layout or f"{sound.info.channels} channels"
    loud = "–" if sound.loudness is None else f"{sound.loudness:.1f} LUFS"
    facts = [
        ("Codec", f"{report.file.audio_codec}, {layout}, {sound.info.sample_rate / 1000:g} kHz"),
        ("Length", clock_time(sound.info.duration, 1)),
        ("Loudness", f"{loud.replace('-', '−')}, peak {sound.peak:.1f} dB".replace("-", "−")),
        ("Silence", silence_words(sound)),
    ]
    if sound.speech_share is not None:
        facts.append(("Speech", f"{100 * sound.speech_share:.0f} % of the time"))
    return facts


def silence_words(sound: SoundReport) -> str:
    """Share and places of silence."""
    if not sound.silence:
        return "none"
    places = ", ".join(
        f"{clock_time(start, 1)}–{clock_time(end, 1)}" for start, end in sound.silence[:_MOST_SPANS]
    )
    more = len(sound.silence) - _MOST_SPANS
    return f"{100 * sound.silent_share:.0f} %: {places}{f' and {more} more' if more > 0 else ''}"


def faces_facts(faces: FacesReport) -> list[tuple[str, str]]:
    """Names and values of the faces."""
    cuts = ", ".join(clock_time(time, 1) for time in faces.cuts[:_MOST_SPANS])
    more = len(faces.cuts) - _MOST_SPANS
    return [
        ("Frames with a face to sync", f"{100 * (1 - faces.unsynced_share):.0f} %"),
        ("At a time", f"up to {faces.most}"),
        ("Width of the face", f"{faces.width} px" if faces.width else "–"),
        ("Persons", f"{faces.persons}, counted in each scene"),
        ("Cuts", f"{len(faces.cuts)}: {cuts}{f' and {more} more' if more > 0 else ''}" if cuts else "none"),
    ]


def sync_facts(score: SyncScore) -> list[tuple[str, str]]:
    """Figures of the sync score."""
    if score.confidence is None or score.distance is None or score.offset_ms is None:
        return []
    return [
        ("Sync confidence", f"{score.confidence:.3f}"),
        ("Sync distance", f"{score.distance:.3f}"),
        ("Offset", f"{score.offset_ms:.0f} ms ({score.offset} frames of 40 ms)".replace("-", "−")),
    ]


def language_words(language: Language) -> str:
    """The language, and how sure that is."""
    name = language_name(language.code)
    sure = f" ({100 * language.probability:.0f} %)" if language.probability is not None else ""
    if language.by_text is None:
        return f"{name}{sure}"
    other, probability = language.by_text
    if other == language.code:
        return f"{name}{sure}; by its text {100 * probability:.0f} %"
    return f"{name}{sure}, but by its text {language_name(other)} ({100 * probability:.0f} %)"


# --- in words ------------------------------------------------------------------------------------


def in_words(report: MediaReport) -> str:
    """The report as lines for a terminal."""
    return "\n".join([str(report.path), *_lines(report)])


def _lines(report: MediaReport) -> Iterator[str]:
    blocks = [
        ("File", file_facts(report)),
        ("Picture", picture_facts(report)),
        ("Sound", sound_facts(report)),
    ]
    if report.faces:
        blocks.append(("Faces", faces_facts(report.faces)))
    if report.sync:
        blocks.append(("Lip sync", [("Own sound", report.sync.words), *sync_facts(report.sync)]))
    if report.language and report.transcript:
        by = f"{language_words(report.language)}; written down by '{report.transcript.model}'"
        blocks.append(("Words", [("Language", by)]))
    for title, facts in blocks:
        if facts:
            yield f"  {title}"
            width = max(len(name) for name, _ in facts)
            yield from (f"    {name:<{width}}  {value}" for name, value in facts)
    if report.transcript:
        for segment in report.transcript.segments:
            yield f"    {clock_time(segment.start, 1):>7}  {segment.text}"
    if report.expectations:
        yield "  What to expect"
        yield from (f"    {'!' if one.warns else '-'} {one.text}" for one in report.expectations)
    for part, why in report.missing.items():
        yield f"  {_PARTS.get(part, part)}: {why}"


# --- as a page -----------------------------------------------------------------------------------


def as_page(report: MediaReport) -> str:
    """The report as an HTML page of its own."""
    return html.page(report.path.name, _sections(report), "What is in this file")


def as_part_of_page(report: MediaReport) -> str:
    """The report as HTML to put into a page that has a heading and `report.style` already."""
    return "".join(_sections(report))


def as_page_of_several(reports: list[MediaReport]) -> str:
    """Several reports below each other."""
    if len(reports) == 1:
        return as_page(reports[0])
    body = [
        part for report in reports for part in (f"<h1>{escape(report.path.name)}</h1>", *_sections(report))
    ]
    return html.page(f"{len(reports)} files", body, "What is in them")


def _sections(report: MediaReport) -> Iterator[str]:
    if report.expectations:
        texts = [(one.warns, one.text) for one in report.expectations]
        yield html.section("What to expect", html.signs(texts))
    yield html.section("File", html.facts(file_facts(report)))
    if report.picture:
        yield html.section("Picture", html.facts(picture_facts(report)))
    if report.sound:
        yield html.section("Sound", html.facts(sound_facts(report)), *_sound_plots(report.sound))
    if report.faces:
        yield html.section(
            "Faces", html.facts(faces_facts(report.faces)), *_faces_parts(report.faces, report)
        )
    if report.sync:
        yield html.section("Lip sync with its own sound", *sync_parts(report.sync, report.duration))
    if report.transcript:
        yield html.section("Words", *_words(report))
    if report.missing:
        texts = [(True, f"{_PARTS.get(part, part)}: {why}") for part, why in report.missing.items()]
        yield html.section("What could not be found out", html.signs(texts))


def _sound_plots(sound: SoundReport) -> Iterator[str]:
    length = sound.info.duration
    if sound.speech is not None and sound.speech_share is not None:
        yield html.spans(sound.speech, length, "Speech", f"{100 * sound.speech_share:.0f} % of the time")
    if sound.silence:
        yield html.spans(sound.silence, length, "Silence", f"{100 * sound.silent_share:.0f} % of the time")


def _faces_parts(faces: FacesReport, report: MediaReport) -> Iterator[str]:
    yield html.pictures(
        html.picture(
            one.picture,
            f"{clock_time(one.time, 1)}, {one.width} px{', would be synced' if one.speaks else ''}",
        )
        for one in faces.people
    )
    if len(set(faces.per_second)) > 1:
        points = [(second + 0.5, count) for second, count in enumerate(faces.per_second)]
        ends = [(0.0, points[0][1]), *points, (report.duration, points[-1][1])]
        yield html.curve(
            [(min(time, report.duration), count) for time, count in ends],
            report.duration,
            "Faces at a time",
            low=0,
            high=max(1, faces.most) * 1.1,
            marks=faces.cuts,
            told=f"up to {faces.most}" + (", cuts marked" if faces.cuts else ""),
        )


def sync_parts(score: SyncScore, duration: float) -> Iterator[str]:
    """What a sync score says, its figures, and its curve over time; HTML."""
    yield html.paragraph(score.words)
    yield html.facts(sync_facts(score))
    weak = [(part.start, min(part.end, duration)) for part in score.weak]
    yield html.curve(
        list(zip(score.times, score.curve, strict=True)),
        duration,
        "Sync confidence, second by second",
        low=min(0.0, *(value for value in score.curve if value == value), 0.0),
        base=0.0,
        weak=weak,
        told="weak stretches shaded" if weak else "",
    )


def _words(report: MediaReport) -> Iterator[str]:
    transcript = report.transcript
    assert transcript
    if report.language:
        yield html.paragraph(
            f"{language_words(report.language)}. Written down by '{transcript.model}'.", "soft"
        )
    rows = "".join(
        f"<tr><td>{clock_time(segment.start, 1)}</td><td>{escape(segment.text)}</td></tr>"
        for segment in transcript.segments
    )
    yield (
        f'<div class="words" tabindex="0"><table>{rows}</table></div>'
        if rows
        else html.paragraph("Nobody speaks.")
    )
