"""The hidden filter #facts: it answers what a message has in it, for the conditions of rules, and refuses nothing.

The answer is one field (protocol/partfacts.py): names and types of all files, the digest, and whether the message is ambiguous. A process
that serves others must not parse attachments, so the engine asks for these facts as it asks any filter. Bounds and workers are those
of the filter yara.
"""

import functools
import hashlib
import json
import re
import time
from typing import NamedTuple

from filterlink.config.units import say_size
from filterlink.filters.content.archives import unpack
from filterlink.filters.content.filetypes import file_type
from filterlink.filters.content.mime import Part, parts
from filterlink.filters.runtime.complain import complain
from filterlink.filters.runtime.queuefile import QueueFile
from filterlink.filters.runtime.runtime import ScanBounds, Verdict, header, open_message, rejected, serve
from filterlink.filters.runtime.standstill import STOOD_STILL, stood_still, used
from filterlink.filters.runtime.workers import GRACE
from filterlink.process import sandbox
from filterlink.protocol.partfacts import PartFacts, to_field

__all__ = ["MAX_FACTS", "FactsFilter", "FactsSettings", "of_message", "run"]

MAX_FACTS = 48 << 10
"""Bytes of the field: less than those of an answer's fields (frames.MAX_TEXT)."""
MAX_REPLY = 2 * MAX_FACTS + 100
"""Bytes of the answer: a quote or a backslash takes two."""
WHOLE_NAMES = 32 << 10
"""Bytes of names that are kept whole. Of more names only the end is kept."""
SHORT_NAMES = 12 << 10
END = 16
"""Characters of a name's end: enough for its extension."""
INCOMPLETE = frozenset({"limit", "bomb", "encrypted", "broken", "unopened"})
"""Flags of a part in which there may be more names and types."""
_BY_DOOR = re.compile(rb"A [^\n]* door=")
_FIELD = re.compile(rb"[^\n]*\n(?:[ \t][^\n]*(?:\n|\Z))*")


class FactsSettings(NamedTuple):
    """Seconds and bytes of memory (0: no limit) for one message. A message that needs more is deferred."""

    timeout: float = 110.0
    memory: int = 2 << 30


DEFAULTS = FactsSettings()


def run(workers: int = 0, settings: FactsSettings = DEFAULTS) -> int:
    """Run the helper program; return the exit code. `workers`: messages that are read at the same time (0 = by the processors)."""
    if not unpack.available():
        complain("without libarchive (apt-get install libarchive13): names in 7z, rar, cab, iso and others are not found")
    for what in sandbox.missing():
        complain(f"the parsers have more rights than they need: {what}")
    bounds = ScanBounds(settings.timeout + GRACE, _late(settings), settings.memory, confined=True, reply=MAX_REPLY)
    return serve("facts", FactsFilter(settings).judge, workers, bounds=bounds)


def _late(settings: FactsSettings) -> Verdict:
    return rejected(f"reading the parts of this message takes longer than {settings.timeout:g} s")


class FactsFilter:
    """Reads messages."""

    def __init__(self, settings: FactsSettings = DEFAULTS) -> None:
        self._settings = settings

    def judge(self, path: str) -> Verdict:
        """Answer the facts about one queue file."""
        busy = used()
        end = time.monotonic() + self._settings.timeout
        try:
            return header((to_field(of_message(open_message(path), end)).decode(),))
        except TimeoutError:
            return STOOD_STILL if stood_still(used() - busy, self._settings.timeout) else _late(self._settings)
        except MemoryError:
            return rejected(f"this message needs more memory than {say_size(self._settings.memory)}")


def of_message(file: QueueFile, end: float) -> PartFacts:
    """Find the facts. `end`: the time.monotonic() at which TimeoutError is raised."""
    names = _Names()
    types: dict[str, None] = {}
    flags = set[str]()
    for part in parts(file.data, functools.partial(_look, end)):
        flags.add(part.flag)
        _note(part, names, types)
    return PartFacts(
        names=tuple(names.found),
        types=tuple(types),
        digest=_digest(file),
        ambiguous="ambiguous" in flags,
        complete=names.complete and not flags & INCOMPLETE,
    )


def _note(part: Part, names: "_Names", types: dict[str, None]) -> None:
    for name in part.names:
        names.add(name)
    if kind := file_type(part.data):
        types[kind] = None


def _digest(file: QueueFile) -> str:
    """Return the SHA-256 of the message. A door puts a field on top of its messages, which the message does not have."""
    data = memoryview(file.data)
    if any(_BY_DOOR.match(line) for line in file.envelope) and (field := _FIELD.match(file.data)):
        data = data[field.end() :]
    return hashlib.sha256(data).hexdigest()


def _look(end: float) -> None:
    if time.monotonic() >= end:
        raise TimeoutError


class _Names:
    """The names, in a bounded number of bytes: first whole ones, then the ends of others."""

    def __init__(self) -> None:
        self.found: dict[str, None] = {}
        self.complete = True
        self._whole = WHOLE_NAMES
        self._short = SHORT_NAMES

    def add(self, name: str) -> None:
        shown = "".join(char if char.isprintable() else " " for char in name)
        self._add(shown)
        if (plain := shown.rstrip(" .")) != shown and plain:
            self._add(plain)  # Windows ignores dots and blanks at the end

    def _add(self, name: str) -> None:
        if name in self.found:
            return
        if (size := _size(name)) <= self._whole:
            self._whole -= size
            self.found[name] = None
            return
        end = "*" + name[-END:]
        if end in self.found:
            return
        if (size := _size(end)) > self._short:
            self.complete = False
            return
        self._short -= size
        self.found[end] = None


def _size(name: str) -> int:
    return len(json.dumps(name)) + 1
