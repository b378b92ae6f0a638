"""Speech: activity detection, separation, transcription, language, subtitles.

    AudioClip -> detect_speech  -> SpeechSpans
              -> gate_voice     -> SpeechGate: audio for the generator, mouth opacity in each frame
              -> separate_voice -> AudioClip without music and noise
              -> transcribe     -> Transcript -> to_srt, to_vtt; identify_language(transcript.text)

Audio is mono at 16 kHz. Optional packages are imported when they are used.
"""

from lipsync.speech.gate import gate_voice, mute_non_speech, speech_weights
from lipsync.speech.language_id import identify_language
from lipsync.speech.level import even_level
from lipsync.speech.separation import separate_voice
from lipsync.speech.subtitles import to_srt, to_vtt
from lipsync.speech.transcription import Transcript, TranscriptSegment, Word, transcribe
from lipsync.speech.vad import SpeechSpans, detect_speech

__all__ = [
    "SpeechSpans",
    "Transcript",
    "TranscriptSegment",
    "Word",
    "detect_speech",
    "even_level",
    "gate_voice",
    "identify_language",
    "mute_non_speech",
    "separate_voice",
    "speech_weights",
    "to_srt",
    "to_vtt",
    "transcribe",
]
