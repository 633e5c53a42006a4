"""Sizes and durations: every form an administrator writes is understood, every other is refused with the cure."""

import math

import pytest

from filterlink.config.units import Seconds, Size, say_size, show_seconds, show_short, show_size


@pytest.mark.parametrize(
    ("text", "size"),
    [(0, 0), (512, 512), ("512", 512), ("10K", 10240), ("10k", 10240), ("1M", 1 << 20), ("2 GB", 2 << 30), (" 3T ", 3 << 40), ("7B", 7)],
)
def test_sizes(text: object, size: int) -> None:
    """A number of bytes, with a power of 1024 or without."""
    assert size == Size.parse(text)


@pytest.mark.parametrize("text", ["", "M", "1.5M", "-1", -1, True, None, "10X", "1 2", 2.5])
def test_no_sizes(text: object) -> None:
    with pytest.raises(ValueError, match='is not a size: write a number of bytes or "10K"'):
        Size.parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), ("1.5 s", 1.5), ("0s", 0), ("never", math.inf)],
)
def test_durations(text: str, seconds: float) -> None:
    """A number with its unit; never is infinity."""
    assert seconds == pytest.approx(Seconds.parse(text))


@pytest.mark.parametrize("text", ["", "5", 5, "5 weeks", "-1s", "s", None, "1h30m", "always"])
def test_no_durations(text: object) -> None:
    """A bare number has no unit to be taken for granted."""
    with pytest.raises(ValueError, match='is not a duration: write "30s"'):
        Seconds.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5", 1.5), ("90s", 90), ("2m", 120), ("7d", 604800), ("1s", 1)])
def test_options(text: str, seconds: float) -> None:
    """An option is a duration as in the config file, or a number of seconds as such options always were."""
    assert seconds == Seconds.option(text, 1)


@pytest.mark.parametrize("text", ["", "0.9", "500ms", "8d", "never", "inf", "nan", "-5", "1e3", "1_000", "\u0663", "5 weeks"])
def test_no_options(text: str) -> None:
    """Each must have some end."""
    with pytest.raises(ValueError, match='write a duration such as "30s", "5m" or "2h", or a number of seconds, from 1s to 7d'):
        Seconds.option(text, 1)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0"),
        (812, "812"),
        (1023, "1023"),
        (1024, "1.0K"),
        (6910, "6.7K"),
        (1 << 20, "1.0M"),
        (1023 << 10, "1.0M"),
        (200 << 20, "200M"),
        (5 << 50, "5120T"),
    ],
)
def test_sizes_shown(size: int, shown: str) -> None:
    """At most six characters, and the unit that a person would choose."""
    assert shown == show_size(size)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.0 s"), (0.4, "0.4 s"), (12, "12 s"), (119, "119 s"), (300, "5 min"), (7200, "2.0 h")]
)
def test_durations_shown(seconds: float, shown: str) -> None:
    assert shown == show_seconds(seconds)


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, "under 1 ms"), (0.0004, "under 1 ms"), (0.02, "20 ms"), (1.46, "1.5 s")])
def test_short_durations_shown(seconds: float, shown: str) -> None:
    """What a filter takes: never nothing."""
    assert shown == show_short(seconds)


def test_sizes_in_a_sentence_have_a_unit() -> None:
    assert (say_size(123), say_size(6910)) == ("123 bytes", "6.7K")
