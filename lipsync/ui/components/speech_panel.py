"""Speech panel: a text that a synthesiser speaks, instead of a voice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lipsync.errors import InputError
from lipsync.speech.text_to_speech import SpokenText, installed_synthesizers, speak
from lipsync.ui.background import Done, run_in_thread
from lipsync.ui.components.file_input import FileInput
from lipsync.ui.components.status import (
    QUIET,
    Updates,
    Values,
    connect_cancel,
    error_line,
    progress_line,
    status_line,
)
from lipsync.ui.languages import strings
from lipsync.ui.sessions import Sessions

_SPEECH: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "speech", **QUIET}
_KIND = "say"
_GIVE_WAY = "(voice, ...about) => voice ? ['', ''] : about"


@dataclass(frozen=True)
class SpeechPanel:
    """The components: text, voice that speaks it, buttons, and what is said about it."""

    text: gr.Textbox
    voice: gr.Dropdown
    speak: gr.Button
    cancel: gr.Button
    about: gr.HTML


def build_speech_panel() -> SpeechPanel:
    """Build the panel; without a synthesiser it says what to install."""
    there = installed_synthesizers()
    text = gr.Textbox(
        label=strings.SAY, placeholder=strings.SAY_PLACEHOLDER, lines=3, max_lines=8, elem_id="say"
    )
    choices = spoken_choices()
    voice = gr.Dropdown(
        choices,
        value=choices[0][1] if choices else None,
        label=strings.SAY_VOICE,
        info=strings.SAY_VOICE_HELP,
        allow_custom_value=True,
        elem_id="say-voice",
    )
    about = gr.HTML("" if there else status_line(strings.SAY_NONE, "bad"), elem_id="say-about")
    with gr.Row():
        speak_it = gr.Button(
            strings.SAY_BUTTON, variant="primary", interactive=bool(there), elem_id="say-button"
        )
        cancel = gr.Button(strings.CANCEL, variant="stop", visible=False, elem_id="say-cancel")
    return SpeechPanel(text, voice, speak_it, cancel, about)


def spoken_choices() -> list[tuple[str, str]]:
    """Label and name of the voices that can speak on this machine."""
    there = installed_synthesizers()
    return [
        (label, voice) for voice, label in strings.SPOKEN_VOICES.items() if voice.partition(":")[0] in there
    ]


class SpeechEvents:
    """Event handlers of the panel.

    Args:
        target: the input that the spoken text is given to.
        others: voice inputs; a voice that is given there takes the place of the text.
        language: the setting of the spoken language.
    """

    def __init__(
        self,
        sessions: Sessions,
        panel: SpeechPanel,
        target: FileInput,
        others: tuple[Any, ...],
        language: Any,
    ) -> None:
        self._sessions, self._panel, self._target = sessions, panel, target
        self._others, self._language = others, language

    def connect(self) -> None:
        """Connect the panel's buttons."""
        panel = self._panel
        own = [panel.about, panel.speak, panel.cancel]
        speaking = gr.on(
            [panel.speak.click, panel.text.submit],
            self.speak,
            {panel.text, panel.voice, self._language},
            [*own, *self._target.outputs],
            **_SPEECH,
        )
        connect_cancel(panel.cancel, self.cancel, None, own, [speaking])
        about = [panel.text, panel.about]
        for other in self._others:
            other.input(None, [other, *about], about, js=_GIVE_WAY, **QUIET)

    def speak(self, request: gr.Request, values: Values) -> Iterator[Updates]:
        """Speak the text into the voice's player."""
        panel = self._panel
        session = self._sessions.get(request.session_hash)
        cancel = session.start(_KIND)
        idle: Updates = {panel.speak: gr.Button(interactive=True), panel.cancel: gr.Button(visible=False)}
        text, voice = values[panel.text] or "", values[panel.voice] or ""
        try:
            if not installed_synthesizers():
                raise InputError(strings.SAY_NONE)
            yield {
                panel.about: status_line(strings.STATUS_STARTING, "busy"),
                panel.speak: gr.Button(interactive=False),
                panel.cancel: gr.Button(visible=True),
            }
            with session.job_folder(_KIND) as folder:
                path = folder.path / "spoken.wav"
                for item in run_in_thread(
                    lambda progress: speak(
                        text, path, voice, language=values[self._language], progress=progress, cancel=cancel
                    ),
                    cancel,
                ):
                    if isinstance(item, Done):
                        folder.replace_older()
                        yield {**self._spoken(item.value), **idle}
                    else:
                        yield {panel.about: progress_line("", item)}
        except Exception as error:  # shown to the visitor, whatever it is
            yield {panel.about: error_line(error), **idle}

    def _spoken(self, spoken: SpokenText) -> Updates:
        text = strings.SAY_DONE.format(voice=spoken.voice, seconds=spoken.seconds)
        return {**self._target.show(str(spoken.path)), self._panel.about: status_line(text, "done")}

    def cancel(self, request: gr.Request) -> Updates:
        """Cancel the speaking."""
        panel = self._panel
        self._sessions.get(request.session_hash).cancel(_KIND)
        return {
            panel.about: status_line(strings.STATUS_STOPPED),
            panel.speak: gr.Button(interactive=True),
            panel.cancel: gr.Button(visible=False),
        }
