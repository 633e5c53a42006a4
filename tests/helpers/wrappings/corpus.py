"""Make all wrappings, and ask the shipped filter about them."""

import functools
import tempfile
from pathlib import Path
from typing import NamedTuple

from filterlink.filters.content.mime import parts
from filterlink.filters.content.yara import DEFAULT_RULES, YaraFilter, compile_rules
from tests.helpers.oracles.opening import opened
from tests.helpers.wrappings import archives, bodies, containers, documents, names, packing, smime, structure, zips
from tests.helpers.wrappings.base import PAYLOADS, Wrapping

__all__ = ["PASS", "Row", "Shipped", "message", "reason", "rows", "wrappings"]

ENVELOPE = b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>\nR W x <c@d>\n\n"


PASS = {
    "zip method: shrink": "a method of 1989 that no packer writes; it is flagged unopened",
    "zip method: implode": "a method of 1989 that no packer writes; it is flagged unopened",
    "arj": "not opened; it is flagged unopened",
}
"""Wrappings that a program opens although the shipped filter lets them pass, by name or group, with the reason."""


def reason(name: str) -> str:
    """Return why a wrapping may pass; "" if it may not."""
    return PASS.get(name) or PASS.get(name.partition(":")[0], "")


@functools.cache
def wrappings() -> tuple[Wrapping, ...]:
    """Return every wrapping that can be made on this machine."""
    return tuple(
        wrapping
        for module in (structure, bodies, names, zips, packing, archives, smime, containers, documents)
        for wrapping in module.wrappings()
    )


def message(name: str, payload: str) -> bytes:
    """Make one message, by the name of its wrapping and the label of its payload."""
    (wrapping,) = (each for each in wrappings() if each.name == name)
    return wrapping.build(next(each for each in PAYLOADS if each.label == payload))


class Row(NamedTuple):
    """The findings of other programs in a message, and the verdict of the shipped filter."""

    kind: str
    name: str
    payload: str
    chains: list[str]
    says: str
    flags: list[str]

    @property
    def passes(self) -> bool:
        return bool(self.chains) and not self.says.startswith("ERROR")

    def __str__(self) -> str:
        return f"{self.kind} | {self.name} | {self.payload} | {', '.join(self.chains) or '-'}"


def rows(*words: str, thorough: bool = False) -> list[Row]:
    """Make all messages, ask all programs, and scan with the shipped filter."""
    chosen = [each for each in wrappings() if all(word in f"{each.kind} | {each.name}" for word in words)]
    cases = [(wrapping, payload, wrapping.build(payload)) for wrapping in chosen for payload in PAYLOADS]
    chains = opened([message for _, _, message in cases], thorough)
    shipped = Shipped.one()
    return [
        Row(wrapping.kind, wrapping.name, payload.label, found, shipped.says(message), shipped.flags(message))
        for (wrapping, payload, message), found in zip(cases, chains, strict=True)
    ]


class Shipped:
    """The shipped filter with the shipped rules."""

    def __init__(self) -> None:
        self._filter = YaraFilter(compile_rules([str(DEFAULT_RULES)]))
        self._folder = tempfile.TemporaryDirectory()

    @classmethod
    @functools.cache
    def one(cls) -> "Shipped":
        """Return the one instance, so that the rules are compiled once."""
        return cls()

    def says(self, message: bytes) -> str:
        """Return the verdict in one line: "ERROR ..." if the message is caught."""
        path = Path(self._folder.name, "1.msg")
        path.write_bytes(ENVELOPE + message)
        verdict = self._filter.judge(str(path))
        return " ".join((verdict.word, verdict.text, *verdict.fields)).strip()

    def flags(self, message: bytes) -> list[str]:
        """List the flags of all parts."""
        return [part.flag for part in parts(message) if part.flag]
