"""Contract of speech synthesisers; every registered one that is installed is tested."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.errors import Cancelled, OptionError, ToolError
from lipsync.progress import CancelToken, ignore_progress
from lipsync.registries import SYNTHESIZERS
from lipsync.speech import Synthesizer
from lipsync.weights import find


@pytest.fixture(params=list(SYNTHESIZERS))
def synthesizer(request: pytest.FixtureRequest) -> tuple[Synthesizer, CancelToken]:
    """A member and its token."""
    cancel = CancelToken()
    try:
        made = SYNTHESIZERS.create(request.param, progress=ignore_progress, cancel=cancel)
    except ToolError as error:
        assert "nstall" in error.hint or "Python" in error.hint  # says what to do
        pytest.skip(str(error))
    if request.param == "kokoro" and not (find("kokoro") and find("kokoro_voices")):
        pytest.skip("Kokoro's weights are not on this machine")
    return made, cancel


def test_a_voice_is_named_in_full_and_speaks(synthesizer: tuple[Synthesizer, CancelToken]) -> None:
    made, cancel = synthesizer
    voice = made.voice_for("", "en")
    assert voice and made.voice_for(voice, "de") == voice
    clip = made.synthesize("Good morning, everybody.", voice)
    assert 0.5 < clip.duration < 5 and clip.sample_rate >= 16_000
    assert 0.05 < np.abs(clip.samples).max() <= 1
    with pytest.raises(OptionError, match="no such voice"):
        made.voice_for("nobody", "en")
    cancel.cancel()
    with pytest.raises(Cancelled):
        made.synthesize("Good morning", voice)
