"""Speech: activity, separation, transcription, subtitles, text to speech.

    AudioClip -> detect_speech  -> SpeechSpans
              -> gate_voice     -> SpeechGate: audio for the generator, mouth opacity in each frame
              -> separate_voice -> AudioClip without music and noise
              -> transcribe     -> Transcript -> to_srt, to_vtt; identify_language(transcript.text)
    text      -> speak          -> SpokenText: a sound file

Audio is mono at 16 kHz. Members are imported when first used, optional packages when
they are needed.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lipsync.speech.gate import gate_voice, mute_non_speech, speech_weights
    from lipsync.speech.language_id import identify_language
    from lipsync.speech.level import even_level
    from lipsync.speech.separation import separate_voice
    from lipsync.speech.subtitles import to_srt, to_vtt
    from lipsync.speech.text_to_speech import SpeechVoice, SpokenText, Synthesizer, speak
    from lipsync.speech.transcription import Transcript, TranscriptSegment, Word, transcribe
    from lipsync.speech.vad import SpeechSpans, detect_speech

_HOME = {
    "SpeechSpans": "vad",
    "SpeechVoice": "text_to_speech",
    "SpokenText": "text_to_speech",
    "Synthesizer": "text_to_speech",
    "Transcript": "transcription",
    "TranscriptSegment": "transcription",
    "Word": "transcription",
    "detect_speech": "vad",
    "even_level": "level",
    "gate_voice": "gate",
    "identify_language": "language_id",
    "mute_non_speech": "gate",
    "separate_voice": "separation",
    "speak": "text_to_speech",
    "speech_weights": "gate",
    "to_srt": "subtitles",
    "to_vtt": "subtitles",
    "transcribe": "transcription",
}

__all__ = [
    "SpeechSpans",
    "SpeechVoice",
    "SpokenText",
    "Synthesizer",
    "Transcript",
    "TranscriptSegment",
    "Word",
    "detect_speech",
    "even_level",
    "gate_voice",
    "identify_language",
    "mute_non_speech",
    "separate_voice",
    "speak",
    "speech_weights",
    "to_srt",
    "to_vtt",
    "transcribe",
]


def __getattr__(name: str) -> object:
    """Import a member, and torch with some of them, when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"lipsync.speech.{_HOME[name]}"), name)
