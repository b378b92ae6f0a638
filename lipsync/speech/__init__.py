"""What is said and when: voice activity, separating a voice, transcript, language, subtitles.

    AudioClip -> find_speech    -> SpeechSpans
              -> gate_voice     -> Gate: what the generator hears, and how strongly frames show it
              -> separate_voice -> AudioClip without music and noise
              -> transcribe     -> Transcript -> to_srt, to_vtt; language_of(transcript.text)

Sound is at 16 kHz. Packages that not everybody needs are imported when they are used.
"""

from lipsync.speech.gate import Gate, gate_voice, mute_non_speech, speech_weights
from lipsync.speech.language_id import language_of
from lipsync.speech.separation import separate_voice
from lipsync.speech.subtitles import to_srt, to_vtt
from lipsync.speech.transcription import Segment, Transcript, Word, transcribe
from lipsync.speech.vad import SpeechSpans, detect_speech

__all__ = [
    "Gate",
    "Segment",
    "SpeechSpans",
    "Transcript",
    "Word",
    "detect_speech",
    "gate_voice",
    "language_of",
    "mute_non_speech",
    "separate_voice",
    "speech_weights",
    "to_srt",
    "to_vtt",
    "transcribe",
]
