"""Demands on every regular expression that meets bytes from outside: linear time, whatever the bytes are.

The patterns are found in the modules themselves, so that a new one is tried without a word. Each is fed with repetitions of
what it is made of, and with the slowest of these at 1 and 2 MB.
"""

import importlib
import itertools
import re
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import pytest

from tests.guards import ROOT, sources
from tests.helpers.linear import is_linear

OURS = (
    "enqueuer.cli",
    "enqueuer.tune",
    "enqueuer.config",
    "enqueuer.config.explain",
    "enqueuer.policy.routes",
    "enqueuer.demo",
    "enqueuer.lab.ownmail",
)
"""Modules whose patterns meet only what the administrator writes, at most 1 MB of it."""
BOUNDED = ("filterlink.protocol.referee",)
"""Modules that look at no longer text than some 16 KiB."""
ALWAYS = 'a0 \t\n"\\:!'
SMALL = 8 << 10
SLOW = 0.03
"""Seconds for SMALL characters: linear patterns take less than a tenth of it."""
HANGS = 2


class Use(NamedTuple):
    """A pattern, and the methods by which its module uses it."""

    pattern: "re.Pattern[Any]"
    methods: frozenset[str]


def _modules() -> Iterator[tuple[str, str]]:
    """Names and sources."""
    for path in sources("enqueuer", "filterlink", "queue"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield f"enqueuer.{name}" if name.startswith("queue.") else name, path.read_text()


def _patterns(found: object) -> Iterator["re.Pattern[Any]"]:
    """The patterns in a value of a module, and in what it holds."""
    if isinstance(found, re.Pattern):
        yield found
    elif isinstance(found, dict):
        for each in found.values():
            yield from _patterns(each)
    elif isinstance(found, tuple | list | frozenset):
        for each in found:
            yield from _patterns(each)


def _all() -> dict[str, Use]:
    found: dict[str, Use] = {}
    for name, text in _modules():
        if name.startswith(OURS + BOUNDED):
            continue
        for key, value in vars(importlib.import_module(name)).items():
            methods = frozenset(re.findall(rf"\b{key}\.(match|fullmatch|search|finditer|findall|sub|split)\(", text))
            for number, pattern in enumerate(_patterns(value)):
                found[f"{name}.{key}" + (f"[{number}]" if number else "")] = Use(pattern, methods or frozenset({"search"}))
    return found


PATTERNS = _all()


def _cases(pattern: "re.Pattern[Any]") -> Iterator[tuple[str, str, str]]:
    """What stands before, is repeated, and stands behind."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    letters = "".join(dict.fromkeys(re.sub(r"\\[a-zA-Z]|\(\?[a-zA-Z<=!:P]*", "", source) + ALWAYS))[:24]
    words = re.findall(r"[A-Za-z0-9-]{2,}", source)[:4]
    for unit in (*letters, *map("".join, itertools.product(letters, repeat=2)), *words):
        yield "", unit, ""
        yield "", unit, "\0"
    for word, letter in itertools.product(words, letters):
        yield word, letter, "\0"


def _call(use: Use, case: tuple[str, str, str]) -> Callable[[int], object]:
    before, unit, behind = case
    pattern, methods = use

    def call(size: int) -> object:
        text = before + unit * (size // len(unit)) + behind
        data: Any = text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")
        for method in methods & {"match", "fullmatch", "search"}:
            getattr(pattern, method)(data)
        return sum(1 for _ in pattern.finditer(data)) if methods - {"match", "fullmatch", "search"} else None

    return call


def _seconds(call: Callable[[int], object]) -> float:
    began = time.process_time()
    call(SMALL)
    return time.process_time() - began


def _hangs(_number: int, _frame: FrameType | None) -> None:
    raise AssertionError("it comes to no end")


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_takes_linear_time(name: str) -> None:
    use = PATTERNS[name]
    before = signal.signal(signal.SIGALRM, _hangs)
    try:
        worst = (0.0, ("", "a", ""))
        for case in _cases(use.pattern):
            signal.alarm(HANGS)
            seconds = _seconds(_call(use, case))
            assert seconds < SLOW or is_linear(_call(use, case), SMALL), case
            worst = max(worst, (seconds, case))
        signal.alarm(60)
        assert is_linear(_call(use, worst[1])), worst[1]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
