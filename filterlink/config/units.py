"""Read and show sizes and durations as administrators write them: "10K", "1M", "30s", "5m", "2h". Pure."""

import math
import re

__all__ = ["Seconds", "Size", "say_size", "show_seconds", "show_short", "show_size"]

_SIZE = re.compile(r"(\d{1,20}) ?([KMGT]?)B?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|h|d)", re.ASCII)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_LONGEST = 7 * 86400.0
"""Seconds of the longest duration in an option. Much longer times are more than the system's clock can represent."""
_MOST = 3650 * 86400.0
"""Seconds of the longest duration in the config file. Every clock, timer and wait of Python and the kernel can represent it."""
_LARGEST = 1 << 50
"""Bytes of the largest size: 1024T. Every limit of the kernel and every sum in 64 bits can represent it."""
_SCALE = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Size(int):
    """A number of bytes; K, M, G and T are powers of 1024."""

    @classmethod
    def parse(cls, text: object) -> "Size":
        """Read "10K", "1M", "512" or a whole number of bytes. Raises ValueError with the cure."""
        if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
            size = text
        else:
            match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
            if match is None:
                raise ValueError(f'{text!r:.40} is not a size: write a number of bytes or "10K", "1M", "2G"')
            size = int(match[1]) << 10 * " KMGT".index(match[2].upper() or " ")
        if size > _LARGEST:
            raise ValueError("a size is at most 1024T")
        return cls(size)


class Seconds(float):
    """A duration in seconds; "never" is infinity."""

    @classmethod
    def parse(cls, text: object) -> "Seconds":
        """Read "200ms", "30s", "5m", "2h", "1d" or "never". Raises ValueError with the cure."""
        if text == "never":
            return cls(math.inf)
        match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f'{text!r:.40} is not a duration: write "30s", "5m" or "2h" (or "never", if the setting can be switched off)')
        seconds = float(match[1]) * _SCALE[match[2]]
        if seconds > _MOST:
            raise ValueError('a duration is at most 3650d (or "never", if the setting can be switched off)')
        return cls(seconds)

    @classmethod
    def option(cls, text: str, least: float = 0) -> "Seconds":
        """Read an option of a command: a duration or a number of seconds, but not "never". Raises ValueError with the cure."""
        try:
            seconds = cls(text) if _NUMBER.fullmatch(text) else cls.parse(text)
        except ValueError:
            seconds = cls(math.nan)
        if not least <= seconds <= _LONGEST:
            raise ValueError(f'{text!r}: write a duration such as "30s", "5m" or "2h", or a number of seconds, from {least:g}s to 7d')
        return seconds


def show_size(size: int) -> str:
    """Show a number of bytes in at most six characters: "812", "6.7K", "1.0M"."""
    if size < 1024:
        return str(size)
    value = size / 1024
    unit = "K"
    for unit in "KMGT":
        if value < 999.5 or unit == "T":
            break
        value /= 1024
    return f"{value:.1f}{unit}" if value < 99.5 else f"{value:.0f}{unit}"


def say_size(size: int) -> str:
    """Show a number of bytes for a sentence, where a bare number would not be clear: "812 bytes", "6.7K"."""
    return f"{size} bytes" if size < 1024 else show_size(size)


def show_seconds(seconds: float) -> str:
    """Show a duration as a person would say it: "0.4 s", "12 s", "5 min", "2.0 h"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def show_short(seconds: float) -> str:
    """Show a duration that is usually under a second: "under 1 ms", "20 ms", "1.5 s"."""
    if seconds < 0.0005:
        return "under 1 ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else show_seconds(seconds)
