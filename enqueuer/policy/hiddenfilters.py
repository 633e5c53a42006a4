"""The filters that rules need without a [[filters]] table: the facts about attachments, and the programs of Execute. Pure.

["Execute", "[STDERR] [FILE] /usr/local/bin/archive --fast"]  ->  enqueuer filter execute --stderr --file -- /usr/local/bin/archive --fast
"""

import hashlib
import re
import shlex
from collections.abc import Sequence

import msgspec

from filterlink.config.settings import Filter
from filterlink.protocol.partfacts import FACTS

__all__ = ["Program", "execute_name", "hidden", "parse_program"]

TAGS = ("STDERR", "FILE", "RETPATH", "RCPT")
_TAG = re.compile(r"\s*\[\s*([^\]\s]*)\s*\]")


class Program(msgspec.Struct, frozen=True):
    """The parameter of Execute."""

    tags: tuple[str, ...]
    """Those of TAGS that are there, in the order of TAGS."""
    words: tuple[str, ...]

    @property
    def line(self) -> str:
        """Return the command of the hidden filter."""
        return shlex.join(["enqueuer", "filter", "execute", *(f"--{tag.lower()}" for tag in self.tags), "--", *self.words])


def parse_program(text: str) -> Program:
    """Read `[STDERR] [FILE] [RETPATH] [RCPT] program args`. Raises ValueError with the cure."""
    tags = set[str]()
    at = 0
    while match := _TAG.match(text, at):
        if (tag := match[1].upper()) not in TAGS:
            raise ValueError(f"[{match[1]}] is unknown: before the program write {', '.join(f'[{each}]' for each in TAGS)}")
        tags.add(tag)
        at = match.end()
    try:
        words = shlex.split(text[at:])
    except ValueError:
        raise ValueError(f"{text[at:].strip()!r}: a quote is not closed") from None
    if not any(words[:1]):
        raise ValueError("it names no program: write a program on PATH, or a path, and its arguments")
    if "\0" in text:
        raise ValueError("a program must not have a NUL in it")
    return Program(tuple(tag for tag in TAGS if tag in tags), tuple(words))


def execute_name(number: int, text: str) -> str:
    """Return the name of the hidden filter of a program: `number` counts from 1, `text` is the parameter of Execute.

    A message that waits keeps answers by name. So a number must never become that of another program.
    """
    return f"#execute {number} {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"


def hidden(uses_facts: bool, programs: Sequence[str]) -> tuple[Filter, ...]:
    """Return the hidden filters. `programs`: the parameters of Execute, each once. Raises ValueError with the cure."""
    facts = (_filter(FACTS, "enqueuer filter facts"),) if uses_facts else ()
    return facts + tuple(_filter(execute_name(number, text), parse_program(text).line) for number, text in enumerate(programs, 1))


def _filter(name: str, program: str) -> Filter:
    return Filter(name=name, program=program, pipelining=True, failure_passes=False)
