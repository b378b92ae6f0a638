"""Time formats: player display, typed input, subtitle timestamps, durations."""

from __future__ import annotations

TIME_PATTERN = r"(?:\d+:){0,2}\d+(?:\.\d*)?|\.\d+"
"""Regular expression of the times that `parse_time` reads."""


def parse_time(text: str) -> float:
    """Seconds from `1:02:03.5`, `62:03.5` or `3723.5`."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def clock_time(seconds: float, decimals: int = 0) -> str:
    """Seconds as `0:03`, `12:40` or `1:02:03`, with hours only if there are any."""
    minutes, rest = _split(seconds, decimals)
    hours, left = divmod(minutes, 60)
    return f"{hours}:{left:02}:{rest}" if hours else f"{minutes}:{rest}"


def typed_time(seconds: float) -> str:
    """Seconds as `1:02.5` or `62:03`, as users type them, to 1/100 s if needed."""
    minutes, rest = _split(seconds, 2)
    return f"{minutes}:{rest.rstrip('0').rstrip('.')}"


def subtitle_time(seconds: float, separator: str) -> str:
    """Seconds as `01:02:03,456`; SubRip has a comma as separator, WebVTT a full stop."""
    minutes, rest = _split(seconds, 3)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest.replace('.', separator)}"


def spoken_duration(seconds: float) -> str:
    """Seconds as `4.2 s`, `59 s` or `3 min 5 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _split(seconds: float, decimals: int) -> tuple[int, str]:
    """Whole minutes, and the remaining seconds as two digits with `decimals`."""
    scale = 10**decimals
    minutes, rest = divmod(round(seconds * scale), 60 * scale)
    return minutes, f"{rest / scale:0{3 + decimals if decimals else 2}.{decimals}f}"
