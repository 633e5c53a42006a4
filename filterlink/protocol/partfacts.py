"""What a worker finds out about the content of a message, for the conditions of rules: names and types of files, the digest. Pure.

The worker is a filter (`enqueuer filter facts`). It answers in the helper protocol: one added field, which the engine reads and does
not add to the message.
"""

import json

import msgspec

from filterlink.wire.frames import FilterAnswer

__all__ = ["FACTS", "FIELD", "PartFacts", "of_answer", "to_field"]

FACTS = "#facts"
"""The name of the filter. Names of the config file never begin with #."""
FIELD = b"X-Enqueuer-Facts: "


class PartFacts(msgspec.Struct, frozen=True):
    """The facts."""

    names: tuple[str, ...] = ()
    """File names of all parts and members of archives, each once."""
    types: tuple[str, ...] = ()
    """MIME types by content, each once."""
    digest: str = ""
    """SHA-256 of the message without envelope, 64 hexadecimal digits."""
    ambiguous: bool = False
    """Mail programs read its MIME structure in different ways."""
    complete: bool = True
    """False: a limit was exceeded, or something could not be opened, so that names or types may be missing."""


_decode = msgspec.json.Decoder(PartFacts).decode


def to_field(facts: PartFacts) -> bytes:
    """Return the field that carries the facts, in ASCII and without line ends."""
    return FIELD + json.dumps(msgspec.to_builtins(facts), separators=(",", ":")).encode("ascii")


def of_answer(answer: FilterAnswer) -> PartFacts | None:
    """Return the facts in an answer. None: it has none."""
    for field in answer.fields:
        if field.startswith(FIELD):
            try:
                return _decode(field[len(FIELD) :])
            except msgspec.DecodeError:
                return None
    return None
