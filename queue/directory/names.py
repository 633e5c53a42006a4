"""The file names of the base directory: their meaning, and how they are made. Pure: no file is touched here.

    Submitted/.taken/<id>.<NAME>   a claimed drop                 taken, parse_taken
    Incoming/<door>.<id>.msg       received by a door             incoming, parse_incoming
    Incoming/<door>.lock           held as long as the door lives door_lock, parse_incoming
    Queue/<id>.msg .tmp .<n>.done  a message, by its state        queue, parse_queue
    Staged/<id>.<n>.<place>        an output not yet published    staged, parse_staged
    where a place publishes to     Outbound, Quarantine, Hold, Bad, and Queue of a new message   final, nth
    queue-<new>, hold-<new>, hold-<new>-why   places of a new message, which gets the id <new>   parse_new
    Submitted/NAME.bad, .bad.why   a refused drop                 refused
    odd.<name>                     not a file, set aside          odd

Names in our own folders are ASCII, so str. Names of drops are what their writer chose, so bytes. Every parse_ returns None for a
foreign name: such files stay as they are.
"""

import re
from typing import Literal, NamedTuple

__all__ = [
    "MAX_NAME",
    "PLACES",
    "IncomingName",
    "Kind",
    "NewName",
    "QueueName",
    "StagedName",
    "TakenName",
    "door_lock",
    "final",
    "incoming",
    "is_module",
    "nth",
    "odd",
    "parse_incoming",
    "parse_new",
    "parse_queue",
    "parse_shelf",
    "parse_staged",
    "parse_taken",
    "queue",
    "refused",
    "staged",
    "taken",
]

MAX_NAME = 255
"""The longest file name in bytes (NAME_MAX) of every filesystem that a spool may be on."""
PLACES = {
    "quarantine": "Quarantine/{}.msg",
    "quarantine-why": "Quarantine/{}.why",
    "hold": "Hold/{}.msg",
    "hold-why": "Hold/{}.why",
    "bad": "Bad/{}.msg",
    "bad-why": "Bad/{}.why",
}
"""The places that are not module queues. They are lower case and modules are upper case, so that neither hides the other."""

Kind = Literal["msg", "tmp", "done"]

# At most 18 digits: an id is microseconds since 1970 (16 digits), and must fit into 64 bits.
_ID = r"([1-9][0-9]{0,17})"
_N = r"(0|[1-9][0-9]{0,17})"
_INCOMING = re.compile(rf"([a-z][a-z0-9]{{0,15}}-[1-9][0-9]{{0,3}})\.(?:{_ID}\.msg|lock)")
_MODULE = re.compile(r"[A-Z][A-Z0-9_-]{0,31}")
_QUEUE = re.compile(rf"{_ID}\.(?:(msg|tmp)|{_N}\.(done))")
_PLACE = re.compile(rf"({_MODULE.pattern})(?:\.([2-9]|[1-9][0-9]{{1,3}}))?")
_NEW = re.compile(rf"(?:queue-{_ID}|hold-{_ID}(-why)?)")
_STAGED = re.compile(rf"{_ID}\.{_N}\.({_PLACE.pattern}|{'|'.join(PLACES)}|{_NEW.pattern})")
_SHELF = re.compile(rf"{_ID}\.msg")
_TAKEN = re.compile(rf"{_ID}\.(.+)".encode(), re.DOTALL)


class TakenName(NamedTuple):
    id: int
    name: bytes
    """The drop's own name, shortened if it was very long."""


class QueueName(NamedTuple):
    id: int
    kind: Kind
    n: int
    """The dispatch that was decided; 0 for all but `done`."""


class IncomingName(NamedTuple):
    door: str
    """One door process: a kind and a number, as "smtp-1"."""
    id: int
    """0 for the lock of the door."""


class StagedName(NamedTuple):
    id: int
    n: int
    place: str


class NewName(NamedTuple):
    id: int
    """The id of the new message."""
    folder: Literal["Queue", "Hold"]
    why: bool
    """It is the reason beside a message on hold."""


def is_module(name: str) -> bool:
    """Return whether `name` can be a module, whose folder in Outbound has this name."""
    return _MODULE.fullmatch(name) is not None


def taken(id: int, name: bytes) -> bytes:
    """Name a claimed drop. A name that would pass MAX_NAME is shortened in the middle; its suffix stays."""
    head = b"%d." % id
    return head + _shorten(name, MAX_NAME - len(head))


def parse_taken(name: bytes) -> TakenName | None:
    match = _TAKEN.fullmatch(name)
    return TakenName(int(match[1]), match[2]) if match else None


def queue(id: int, kind: Kind = "msg", n: int = 0) -> str:
    """Name a message in Queue/; `n` counts for "done" only."""
    return f"{id}.{n}.done" if kind == "done" else f"{id}.{kind}"


def parse_queue(name: str) -> QueueName | None:
    match _QUEUE.fullmatch(name):
        case None:
            return None
        case found if found[4]:
            return QueueName(int(found[1]), "done", int(found[3]))
        case found:
            return QueueName(int(found[1]), "msg" if found[2] == "msg" else "tmp", 0)


def incoming(door: str, id: int) -> str:
    """Name a message that a door receives."""
    return f"{door}.{id}.msg"


def door_lock(door: str) -> str:
    """Name the file that is locked as long as the door lives."""
    return f"{door}.lock"


def parse_incoming(name: str) -> IncomingName | None:
    match = _INCOMING.fullmatch(name)
    return IncomingName(match[1], int(match[2] or 0)) if match else None


def nth(module: str, number: int) -> str:
    """Return the place of the first, second ... file of one message in a module: OUT, OUT.2, ... up to 9999."""
    return module if number == 1 else f"{module}.{number}"


def staged(id: int, n: int, place: str) -> str:
    """Name the output of dispatch `n` for `place`: nth of a module, a key of PLACES, or that of a new message. Raises ValueError for any
    other.
    """
    return f"{id}.{n}.{_checked(place)}"


def parse_new(place: str) -> NewName | None:
    """Return what a place is of a new message: `queue-<id>`, `hold-<id>` or `hold-<id>-why`."""
    match = _NEW.fullmatch(place)
    if match is None:
        return None
    return NewName(int(match[1]), "Queue", False) if match[1] else NewName(int(match[2]), "Hold", bool(match[3]))


def parse_staged(name: str) -> StagedName | None:
    match = _STAGED.fullmatch(name)
    return StagedName(int(match[1]), int(match[2]), match[3]) if match else None


def final(id: int, place: str) -> str:
    """Return where `place` publishes message `id`, relative to the base directory. Raises ValueError for an unknown place."""
    if (known := PLACES.get(_checked(place))) is not None:
        return known.format(id)
    if (new := parse_new(place)) is not None:
        return f"{new.folder}/{new.id}.{'why' if new.why else 'msg'}"
    module, _, number = place.partition(".")
    return f"Outbound/{module}/{id}-{number}.msg" if number else f"Outbound/{module}/{id}.msg"


def parse_shelf(name: str) -> int | None:
    """Return the id of a message file in Quarantine/, Hold/ or Bad/."""
    match = _SHELF.fullmatch(name)
    return int(match[1]) if match else None


def refused(name: bytes, number: int = 1) -> tuple[bytes, bytes]:
    """Name a refused drop and the reason beside it: `a.eml` -> `a.bad`, `a.bad.why`; the second of its name is `a-2.bad`."""
    stem = name.rpartition(b".")[0] or name
    tail = b".bad" if number == 1 else b"-%d.bad" % number
    bad = _shorten(stem, MAX_NAME - len(tail + b".why")) + tail
    return bad, bad + b".why"


def odd(name: str, number: int = 1) -> str:
    """Name an entry that is not a file, so that no parse_ knows it: `odd.7.msg`; the second of its name is `odd-2.7.msg`."""
    head = b"odd." if number == 1 else b"odd-%d." % number
    return (head + _shorten(name.encode("utf-8", "surrogateescape"), MAX_NAME - len(head))).decode("utf-8", "surrogateescape")


def _checked(place: str) -> str:
    if place not in PLACES and not _PLACE.fullmatch(place) and not _NEW.fullmatch(place):
        raise ValueError(f"{place!r} is neither a module nor a place")
    return place


def _shorten(name: bytes, limit: int) -> bytes:
    """Cut bytes out of the middle: beginning and suffix, which distinguish names, stay."""
    if len(name) <= limit:
        return name
    half = (limit - 1) // 2
    return name[:half] + b"~" + name[-(limit - 1 - half) :]
