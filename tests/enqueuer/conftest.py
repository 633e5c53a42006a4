"""Engines on trial, with the helper of tests/helpers/judge.py."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from tests.helpers.paths import HELPERS

JUDGE = f"{sys.executable} {HELPERS / 'judge.py'}"
CONFIG = """
{top}
[enqueuer]
processors = {processors}
log_level = "low-level"
trace_field = true
retry_after = "1s"
{engine}
[[filters]]
name = "Judge"
program = "{judge}"
max_in_flight = {slots}
auto_restart = "100ms"
{filter}
{more}
[[rules]]
name = "scan everything"
actions = [["ExternalFilter", "Judge"]]
[[routes]]
recipient = "*@smtp.example"
to = "SMTP"
[[routes]]
recipient = "*"
to = "OUT"
"""


@pytest.fixture
def config() -> Callable[..., str]:
    """Makes config files: config(processors=4, slots=16, engine="", filter="", more="", top="")."""

    def make(processors: int = 4, slots: int = 50, judge: str = JUDGE, **parts: str) -> str:
        values = {"top": "", "engine": "", "filter": "", "more": ""} | parts
        return CONFIG.format(processors=processors, slots=slots, judge=judge, **values)

    return make


@pytest.fixture
def mail() -> Callable[..., bytes]:
    """Makes messages: mail("1", judge="0.5 OK", to="b@b.example", size=0)."""

    def make(name: str, judge: str = "", to: str = "bob@b.example", size: int = 0) -> bytes:
        lines = ["From: ann@a.example", f"To: {to}", f"Subject: {name}", f"Message-ID: <{name}@test.example>"]
        if judge:
            lines.append(f"X-Judge: {judge}")
        return "\n".join([*lines, "", f"text of {name}", ""]).encode() + b"x" * 70 * (size // 70)

    return make


@pytest.fixture
def trials(tmp_path: Path) -> Iterator[Callable[[str], Trial]]:
    """Makes trials that are surely ended: trials(config text)."""
    made: list[Trial] = []

    def make(text: str) -> Trial:
        made.append(Trial(tmp_path / f"base{len(made)}", text))
        return made[-1]

    yield make
    for trial in made:
        trial.end()
