"""Make messages that are wrapped in several random ways at once, and find the smallest of those that pass the filter.

    PYTHONPATH=. python -m tests.helpers.wrappings.composer SECONDS [SEED]

prints messages that pass, made small, until the time is over.
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
from tests.helpers.oracles.readers import readers
from tests.helpers.oracles.unpackers import unpackers
from tests.helpers.wrappings import archives, bodies, names, packing, structure, zips
from tests.helpers.wrappings.base import HEAD, PAYLOADS, Payload, encoded, hexed, uu
from tests.helpers.wrappings.containers import tnef
from tests.helpers.wrappings.corpus import Shipped, reason
from tests.helpers.wrappings.smime import signed

__all__ = ["Passed", "composed", "passing", "smallest"]

BATCH = 300
"""Messages between two checks of the time."""
LENIENT = ("munpack", "ripmime")
"""Readers that find parts even if no field announces any: the storm does not ask them."""
LEFT_OUT = ("Z: ",)
"""Ways that the storm does not try. From a truncated .Z 7-Zip returns the begin, and libarchive nothing; the filter flags it as broken."""
SECONDS = 30.0
"""Seconds for making one message small."""
SMALL = ("zip method: shrink",)
LARGE = 30_000
"""Bytes from which on a file is not wrapped again."""
TRIES = 150
"""Number of smaller messages that are tried at once."""
Lines = list[bytes]


class Way(NamedTuple):
    """A way to put a file into another, and its name."""

    file: str
    name: str
    make: Callable[[Payload], bytes]


class Composed(NamedTuple):
    message: bytes
    ways: tuple[str, ...]


class Passed(NamedTuple):
    """A message that a program opens and the filter lets pass."""

    seed: int
    message: bytes
    chains: list[str]
    ways: tuple[str, ...]


@functools.cache
def _ways() -> list[Way]:
    """Return all ways except those that are known to pass."""
    groups = [("zip", group, makes) for group, makes in zips.makes_of_zips().items() if group != "zip inside"]
    packed = (*packing.makes_of_packed().items(), *archives.MAKES.items())
    groups += [(suffix, {"gz": "gzip", "bz2": "bzip2"}.get(suffix, suffix), makes) for suffix, makes in packed]
    all_of_them = [Way(f"files.{suffix}", f"{group}: {name}", make) for suffix, group, makes in groups for name, make in makes.items()]
    signing = Way("smime.p7m", "S/MIME", lambda payload: signed(_part(random.Random(0), payload)))
    return [way for way in all_of_them if not reason(way.name) and way.name not in LEFT_OUT] + [
        Way("winmail.dat", "TNEF", tnef),
        signing,
    ] * 4


def composed(chance: random.Random) -> Composed:
    """Make a message of one payload."""
    file = chance.choice(PAYLOADS)
    ways = list[str]()
    for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 3))):
        way = chance.choice(_ways())
        if len(file.data) > (200 if way.file[-1] == "Z" or way.name in SMALL else LARGE):
            break
        if way.name in ways:  # what compress has packed twice is not opened, and flagged
            continue
        name = way.file if chance.random() < 0.8 else chance.choice(("a.dat", "a", "a.eml", "a.pdf"))
        file = Payload("", name, way.make(file))
        ways.append(way.name)
    inner = _part(chance, file)
    for level in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        inner = _around(chance, inner, level)
    if chance.random() < 0.1:
        inner = chance.choice(list(structure.BEGINNINGS.values())) + inner
    message = HEAD + inner
    if chance.random() < 0.3:
        message = _shuffled(chance, message)
    return Composed(_line_ends(chance, message), tuple(ways))


def _part(chance: random.Random, file: Payload) -> bytes:
    """Return header and body of a part that is this file."""
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
    """Return header and body of a part that holds this one."""
    way = chance.random()
    if way < 0.15:
        message = chance.choice((b"", b"", *structure.BEGINNINGS.values())) + HEAD + inner
        if chance.random() < 0.3:
            return b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(message)
        return b"Content-Type: message/rfc822\n\n" + message
    ordinary = (b"multipart/mixed; boundary=b1", b"b1")
    type, boundary = chance.choice(list(structure.BOUNDARIES.values())) if chance.random() < 0.4 else ordinary
    other = b"q%d" % level
    type = type.replace(b"b1", other)
    delimiter = b"--" + boundary.replace(b"b1", other)
    begin = chance.choice((b"", b"", b"", *structure.BEGINNINGS.values())) if chance.random() < 0.3 else b""
    if way < 0.25:
        type = b"multipart/digest; boundary=" + other
        begin = b""
        inner = chance.choice((b"\n", b"X-Y: z\n\n")) + HEAD + inner
        delimiter = b"--" + other
    pieces = [delimiter + b"\nContent-Type: text/plain\n\nsee the file\n"] * chance.choice((0, 1, 1, 2))
    pieces.insert(chance.randint(0, len(pieces)), delimiter + _tail(chance) + b"\n" + begin + inner)
    end = chance.choice((delimiter + b"--\n",) * 4 + (b"", delimiter + b"--", delimiter + b"-- \nepilogue\n"))
    gap = chance.choice((b"\n", b"\n", b"\n", b"\npreamble\n", b""))
    return b"Content-Type: " + type + b"\n" + gap + b"".join(pieces) + end


def _tail(chance: random.Random) -> bytes:
    """Return random bytes for the end of a delimiter line."""
    return chance.choice((b"",) * 12 + (b" ", b"\t ", b"x", b" x", b"--", b"-", b"\r", b"\0"))


def _inserted(chance: random.Random, lines: bytes, text: bytes) -> bytes:
    pieces = lines.splitlines(keepends=True)
    pieces.insert(chance.randint(0, len(pieces)), text)
    return b"".join(pieces)


def _shuffled(chance: random.Random, message: bytes) -> bytes:
    """Change one or two lines that are not data."""
    lines = message.split(b"\n")
    for _ in range(chance.randint(1, 2)):
        places = [at for at, line in enumerate(lines) if b":" in line or b"=" in line or line.startswith(b"--") or not line] or [0]
        at = chance.choice(places)
        way = chance.randint(0, 4)
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
    """Yield messages that pass, each as small as possible, until the time is over. Each batch has its own seed."""
    end = time.monotonic() + seconds
    for number in itertools.count(seed):
        chance = random.Random(number)
        messages = [composed(chance) for _ in range(BATCH)]
        for (message, ways), chains in zip(messages, _chains([each.message for each in messages]), strict=True):
            if chains:
                yield Passed(number, smallest(message, chains[0]), chains, ways)
        print(f"wrappings: ENQUEUER_SEED={number}, {BATCH} messages", file=sys.stderr)
        if time.monotonic() >= end:
            return


def _chains(messages: Sequence[bytes], only: Sequence[str] = ()) -> list[list[str]]:
    """Return for each message the programs that open it; none for a message that the filter catches."""
    shipped = Shipped.one()
    passed = [number for number, message in enumerate(messages) if not shipped.says(message).startswith("ERROR")]
    found: list[list[str]] = [[] for _ in messages]
    for number, chains in zip(passed, opened([messages[number] for number in passed], only=only or _programs()), strict=True):
        found[number] = chains
    return found


@functools.cache
def _programs() -> tuple[str, ...]:
    names = [*(reader.name for reader in readers()), *(unpacker.name for unpacker in unpackers())]
    return tuple(name for name in names if name not in LENIENT)


def smallest(message: bytes, chain: str) -> bytes:
    """Remove lines, and bytes outside of archives, as long as these programs open the message and the filter lets it pass."""
    only = chain.split(" > ")
    end = time.monotonic() + SECONDS
    message = _smaller(message, _lines, only, end)
    if len(only) > 1 or len(message) > 1000:
        return message
    return _smaller(message, lambda data: [data[at : at + 1] for at in range(len(data))], only, end)


def _lines(message: bytes) -> Lines:
    """Cut into lines. Those of a body stay together: an archive without some of its lines would pass for another reason."""
    pieces: Lines = []
    for line in message.splitlines(keepends=True):
        data = len(line) > 20 and b":" not in line and not line.startswith(b"--")
        if data and pieces and len(pieces[-1]) > 20 and b":" not in pieces[-1]:
            pieces[-1] += line
        else:
            pieces.append(line)
    return pieces


def _smaller(message: bytes, cut: Callable[[bytes], Lines], only: Sequence[str], end: float) -> bytes:
    pieces = cut(message)
    size = max(1, len(pieces) // 2)
    while time.monotonic() < end:
        starts = range(0, len(pieces), max(size, len(pieces) // TRIES))
        tries = [pieces[:at] + pieces[at + size :] for at in starts]
        good = [each for each, chains in zip(tries, _chains([b"".join(each) for each in tries], only), strict=True) if chains]
        if good:
            pieces = min(good, key=len)
        elif size == 1:
            break
        else:
            size //= 2
    return b"".join(pieces)


def main() -> None:
    seconds = float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    for passed in passing(seconds, seed):
        print(f"seed {passed.seed} | {', '.join(passed.chains)} | {' > '.join(passed.ways)}\n{passed.message!r}\n", flush=True)


if __name__ == "__main__":
    main()
