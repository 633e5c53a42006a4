"""Messages that are wrapped in several ways at once, by chance, and the smallest of those that pass the filter.

    PYTHONPATH=. python -m tests.helpers.wrappings.composer SECONDS [SEED]

prints what passes, made small, until the time is over.
"""

import base64
import functools
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.helpers.oracles.opening import opened
from tests.helpers.wrappings import archives, bodies, names, packing, structure, zips
from tests.helpers.wrappings.base import HEAD, PAYLOADS, Payload, encoded, hexed, uu
from tests.helpers.wrappings.containers import fat, tnef
from tests.helpers.wrappings.corpus import Shipped
from tests.helpers.wrappings.smime import signed

__all__ = ["Passed", "composed", "passing", "smallest"]

BATCH = 300
"""Messages between two looks at the clock."""
LENIENT = ("munpack", "ripmime")
"""Readers that find parts where no field speaks of any: the storm does not ask them."""
LARGE = 100_000
"""Bytes from which on a file is not wrapped again."""
TRIES = 150
"""Smaller messages that are tried at once."""
Lines = list[bytes]


class Passed(NamedTuple):
    """A message that a program opens and the filter lets pass."""

    seed: int
    message: bytes
    chains: list[str]


@functools.cache
def _makes() -> list[tuple[str, Callable[[Payload], bytes]]]:
    """How a file is put into another, with the name of that."""
    groups = [("zip", makes) for group, makes in zips.makes_of_zips().items() if group != "zip inside"]
    groups += [*packing.makes_of_packed().items(), *archives.MAKES.items()]
    more = {"winmail.dat": tnef, "disk.img": fat, "smime.p7m": lambda payload: signed(_part(random.Random(0), payload))}
    return [(f"files.{suffix}", make) for suffix, makes in groups for make in makes.values()] + [*more.items()] * 4


def composed(chance: random.Random) -> bytes:
    """Make a message of one payload."""
    file = chance.choice(PAYLOADS)
    for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 3))):
        name, make = chance.choice(_makes())
        if len(file.data) > (LARGE if name[-1] != "Z" else 200):
            break
        file = Payload("", name if chance.random() < 0.8 else chance.choice(("a.dat", "a", "a.eml", "a.pdf")), make(file))
    inner = _part(chance, file)
    for level in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        inner = _around(chance, inner, level)
    if chance.random() < 0.1:
        inner = chance.choice(list(structure.BEGINNINGS.values())) + inner
    message = HEAD + inner
    if chance.random() < 0.3:
        message = _shuffled(chance, message)
    return _line_ends(chance, message)


def _part(chance: random.Random, file: Payload) -> bytes:
    """Header and body of a part that is this file."""
    encoding, body = _body(chance, file)
    lines = _type(chance, file) + encoding
    if chance.random() < 0.2:
        lines = b"".join(chance.sample(lines.splitlines(keepends=True), len(lines.splitlines())))
    if chance.random() < 0.15:
        lines = _inserted(chance, lines, chance.choice([text for text in structure.INSIDE.values() if len(text) < 1000]))
    return lines + b"\n" + body


def _type(chance: random.Random, file: Payload) -> bytes:
    ordinary = b"Content-Type: application/octet-stream; name=NAME\nContent-Disposition: attachment; filename=NAME\n"
    named = (
        ordinary,
        b"Content-Type: a/b\nContent-Disposition: attachment; " + chance.choice(list(names.FILENAMES.values())) + b"\n",
        b"Content-Type: a/b; " + chance.choice(list(names.TYPE_NAMES.values())) + b"\n",
        chance.choice(list(names.FIELDS.values())),
        chance.choice(list(bodies.TYPES.values())) + b"Content-Disposition: attachment; filename=NAME\n",
    )
    return names.filled(chance.choice(named), file)


def _body(chance: random.Random, file: Payload) -> tuple[bytes, bytes]:
    way = chance.random()
    if way < 0.4:
        return b"Content-Transfer-Encoding: base64\n", encoded(file)
    if way < 0.6:
        return chance.choice(list(bodies.ENCODINGS.values())), encoded(file)
    if way < 0.8:
        return b"Content-Transfer-Encoding: base64\n", chance.choice(list(bodies.BASE64.values()))(file.data)
    if way < 0.9:
        return b"Content-Transfer-Encoding: quoted-printable\n", hexed(file.data)
    return b"Content-Transfer-Encoding: x-uuencode\n", uu(file.data, file.name)


def _around(chance: random.Random, inner: bytes, level: int) -> bytes:
    """Header and body of a part that holds this one."""
    way = chance.random()
    if way < 0.15:
        message = chance.choice((b"", b"", *structure.BEGINNINGS.values())) + HEAD + inner
        if chance.random() < 0.3:
            return b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(message)
        return b"Content-Type: message/rfc822\n\n" + message
    ordinary = (b"multipart/mixed; boundary=b1", b"b1")
    type, boundary = chance.choice(list(structure.BOUNDARIES.values())) if chance.random() < 0.4 else ordinary
    other = b"q%d" % level
    type, delimiter = type.replace(b"b1", other), b"--" + boundary.replace(b"b1", other)
    begin = chance.choice((b"", b"", b"", *structure.BEGINNINGS.values())) if chance.random() < 0.3 else b""
    if way < 0.25:
        type, begin, inner = b"multipart/digest; boundary=" + other, b"", chance.choice((b"\n", b"X-Y: z\n\n")) + HEAD + inner
        delimiter = b"--" + other
    pieces = [delimiter + b"\nContent-Type: text/plain\n\nsee the file\n"] * chance.choice((0, 1, 1, 2))
    pieces.insert(chance.randint(0, len(pieces)), delimiter + _tail(chance) + b"\n" + begin + inner)
    end = chance.choice((delimiter + b"--\n",) * 4 + (b"", delimiter + b"--", delimiter + b"-- \nepilogue\n"))
    gap = chance.choice((b"\n", b"\n", b"\n", b"\npreamble\n", b""))
    return b"Content-Type: " + type + b"\n" + gap + b"".join(pieces) + end


def _tail(chance: random.Random) -> bytes:
    """What is behind a delimiter."""
    return chance.choice((b"",) * 12 + (b" ", b"\t ", b"x", b" x", b"--", b"-", b"\r", b"\0"))


def _inserted(chance: random.Random, lines: bytes, text: bytes) -> bytes:
    pieces = lines.splitlines(keepends=True)
    pieces.insert(chance.randint(0, len(pieces)), text)
    return b"".join(pieces)


def _shuffled(chance: random.Random, message: bytes) -> bytes:
    """Change a line or two of those that are no data."""
    lines = message.split(b"\n")
    for _ in range(chance.randint(1, 2)):
        places = [at for at, line in enumerate(lines) if b":" in line or b"=" in line or line.startswith(b"--") or not line] or [0]
        at, way = chance.choice(places), chance.randint(0, 4)
        if way == 0:
            lines.insert(at, chance.choice((b"", b" ", b"\t", b"x", b":", lines[at], b"X-Y: z", b"--", b"\r", b"\0")))
        elif way == 1 and len(lines) > 1:
            del lines[at]
        elif way == 2:
            lines[at] += chance.choice((b" ", b";", b"\r", b" (c)", b'"', b"; x=y", b"\0", b"=", b"\n ", b"--"))
        elif way == 3:
            lines[at] = chance.choice((b" ", b"\t", b"\r", b'"', b"\0", b"x")) + lines[at]
        elif lines[at]:
            inside = chance.randrange(len(lines[at]))
            lines[at] = lines[at][:inside] + chance.choice((b" ", b"\n ", b'"', b"(c)", b"\\", b";", b"\r", b"")) + lines[at][inside:]
    return b"\n".join(lines)


def _line_ends(chance: random.Random, message: bytes) -> bytes:
    way = chance.random()
    if way < 0.75:
        return message
    if way < 0.9:
        return message.replace(b"\n", b"\r\n")
    if way < 0.95:
        return message.replace(b"\n", b"\r")
    return b"".join(line[:-1] + chance.choice((b"\n", b"\r\n", b"\r")) for line in message.splitlines(keepends=True) if line)


# What passes


def passing(seconds: float, seed: int) -> Iterator[Passed]:
    """Yield what passes, each as small as it can be made, until the time is over. Each batch has a seed of its own."""
    end = time.monotonic() + seconds
    for number in itertools.count(seed):
        chance = random.Random(number)
        messages = [composed(chance) for _ in range(BATCH)]
        for message, chains in zip(messages, _chains(messages), strict=True):
            if chains and time.monotonic() < end:
                small = smallest(message, end)
                yield Passed(number, small, _chains([small])[0])
        print(f"wrappings: ENQUEUER_SEED={number}, {BATCH} messages", file=sys.stderr)
        if time.monotonic() >= end:
            return


def _chains(messages: Sequence[bytes]) -> list[list[str]]:
    """For each message what opens it; nothing for one that the filter catches."""
    shipped = Shipped.one()
    passed = [number for number, message in enumerate(messages) if not shipped.says(message).startswith("ERROR")]
    found: list[list[str]] = [[] for _ in messages]
    for number, chains in zip(passed, opened([messages[number] for number in passed], without=LENIENT), strict=True):
        found[number] = chains
    return found


def smallest(message: bytes, end: float = float("inf")) -> bytes:
    """Take lines and then bytes away as long as a program opens it and the filter lets it pass."""
    message = _smaller(message, lambda data: data.splitlines(keepends=True), end)
    return _smaller(message, lambda data: [data[at : at + 1] for at in range(len(data))], end) if len(message) < 1000 else message


def _smaller(message: bytes, cut: Callable[[bytes], Lines], end: float) -> bytes:
    pieces = cut(message)
    size = max(1, len(pieces) // 2)
    while time.monotonic() < end:
        starts = range(0, len(pieces), max(size, len(pieces) // TRIES))
        tries = [pieces[:at] + pieces[at + size :] for at in starts]
        good = [each for each, chains in zip(tries, _chains([b"".join(each) for each in tries]), strict=True) if chains]
        if good:
            pieces = min(good, key=len)
        elif size == 1:
            break
        else:
            size //= 2
    return b"".join(pieces)


def main() -> None:
    seconds, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    for passed in passing(seconds, seed):
        print(f"seed {passed.seed} | {', '.join(passed.chains)}\n{passed.message!r}\n", flush=True)


if __name__ == "__main__":
    main()
