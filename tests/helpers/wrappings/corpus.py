"""All wrappings, and what the shipped filter says of a message."""

import functools
import tempfile
from pathlib import Path

from filterlink.filters.mime import parts
from filterlink.filters.yara import DEFAULT_RULES, YaraFilter, compile_rules
from tests.helpers.wrappings import archives, bodies, containers, names, packing, smime, structure, zips
from tests.helpers.wrappings.base import PAYLOADS, Wrapping

__all__ = ["Shipped", "message", "wrappings"]

ENVELOPE = b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>\nR W x <c@d>\n\n"


@functools.cache
def wrappings() -> tuple[Wrapping, ...]:
    """Every wrapping that can be made here."""
    return tuple(
        wrapping for module in (structure, bodies, names, zips, packing, archives, smime, containers) for wrapping in module.wrappings()
    )


def message(name: str, payload: str) -> bytes:
    """Make one, by the name of its wrapping and the label of its payload."""
    (wrapping,) = (each for each in wrappings() if each.name == name)
    return wrapping.build(next(each for each in PAYLOADS if each.label == payload))


class Shipped:
    """The filter in the box, with the rules in the box."""

    def __init__(self) -> None:
        self._filter = YaraFilter(compile_rules([str(DEFAULT_RULES)]))
        self._folder = tempfile.TemporaryDirectory()

    def says(self, message: bytes) -> str:
        """Give the verdict in one line: "ERROR ..." where the message is caught."""
        path = Path(self._folder.name, "1.msg")
        path.write_bytes(ENVELOPE + message)
        verdict = self._filter.judge(str(path))
        return " ".join((verdict.word, verdict.text, *verdict.fields)).strip()

    def flags(self, message: bytes) -> list[str]:
        """List the flags of all parts."""
        return [part.flag for part in parts(message) if part.flag]
