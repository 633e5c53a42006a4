"""The port of the message store: the transitions of a message that the engine asks for. Read this page before the code.

The engine knows a message by its id, its size and an opaque `ref`, which only the store reads. `durable` means that the message
file needs no source: the drop is no longer needed, and a power cut leaves the file whole.

    state       what the store has of it
    dropped     nothing: a file of the drop folder, which belongs to its writer
    claimed     the source
    ingested    the source, and a message file that a filter may be reading
    durable     the message file alone; it survived a sync
    decided     the same, and its outcome, which is now only carried out
    out         its outputs are in their folders; no file in the queue has its id
    kept        in Quarantine, Hold or Bad, with the reason beside it. One in Hold is still in the queue

    transition  from -> to             durable when it returns     repeated             after an error
    accept      dropped -> claimed     no; a cut: dropped again    "gone"               dropped
    lease       claimed -> ingested    no; a cut: claimed          writes it again      claimed
    hold        ingested -> durable    yes                         nothing is left      ingested, or durable: repeat it
    settle      ingested -> decided    yes (see settle.py)         goes on              ingested before the commit: lease again
                decided -> out         as `durability` says        goes on              decided: repeat it
    set_aside   durable -> the same    no; settle comes next       another dispatch     the same
    wipe        removes what dispatches without an outcome staged; its error names what stays (Unwiped)
    refuse      claimed -> dropped     no                          None: it has gone    claimed
    give_back   ingested -> dropped    no                          None: it has gone    claimed or ingested
    requeue     kept -> durable        yes: mark, sync, arrive     "not kept"           kept
    delete      kept -> nothing        no                          False                kept
    recover     puts each message into one of these states after a death or a cut; it may be repeated
    inventory   the ids of all messages in the queue; changes nothing

hold and settle are one path, `settlement`: decisions are gathered, one sync serves many of them, and the steps of each follow it.
A decision without places is a hold. release (Quarantine, Hold) and retry (Bad) are requeue with another mark. New messages come
with the settle of another one. Every call may raise OSError, and then nothing is lost. EEXIST never means done. Pure.
"""

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from enqueuer.queue.message.envelope import Envelope

__all__ = [
    "Accepted",
    "AfterSync",
    "Attempts",
    "Decision",
    "Ids",
    "MessageHead",
    "MessageStore",
    "NotKept",
    "Offer",
    "Place",
    "Progress",
    "Recovered",
    "Settlement",
    "Source",
    "SyncPhase",
    "Unwiped",
    "Witness",
    "Workspace",
]

Place = Literal["bad", "quarantine", "hold"]
"""The folders of kept messages."""
AfterSync = Callable[..., None]
"""after_sync(action, *names): calls `action` once these files, and the names in these folders, are durable."""


class NotKept(Exception):
    """The message that an order names is not kept there. The text says so."""


class Unwiped(OSError):
    """Staged names of the messages `ids` could not be unlinked. The error is that of one of them."""

    def __init__(self, error: OSError, ids: set[int]) -> None:
        super().__init__(error.errno, error.strerror, error.filename)
        self.ids = ids


class Accepted(NamedTuple):
    ref: bytes
    """By which the store knows the drop that was claimed."""


class Source(NamedTuple):
    """The source of a message, as long as it exists."""

    owner: int
    """The account that owns it."""
    written: int
    """When it was written, in nanoseconds since 1970."""


class MessageHead(NamedTuple):
    """The begin of a message file, for reasons and the log."""

    envelope: Envelope
    header: bytes
    """At most 64 KiB of it."""
    came: int
    """When the message came, in nanoseconds since 1970."""


class Progress(IntEnum):
    """How far the settlement of a message is."""

    STAGED = 0
    COMMITTED = 1
    PUBLISHED = 2
    COUNTED = 3
    GONE = 4


class Decision(msgspec.Struct):
    """The result of dispatch `n` of a message."""

    id: int
    n: int
    ref: bytes
    places: tuple[str, ...] | None
    """The places of its outputs. None: it is deferred, so its message file must become durable, and its source goes."""
    moved: bool = False
    """The message file itself is the output."""
    done: Progress = Progress.STAGED


D = TypeVar("D", bound=Decision)
D_contra = TypeVar("D_contra", bound=Decision, contravariant=True)
M = TypeVar("M")


class Witness(Generic[D_contra]):
    """Does the engine's part at the steps of a settlement. By default: nothing."""

    def deciding(self, decision: D_contra) -> None:
        """Note that the next call is the commit."""

    def changed(self, decision: D_contra) -> None:
        """Note that the source is not the one that was accepted. Nothing was committed, and this message takes no further step."""

    def released(self, decision: D_contra) -> None:
        """Note that the source has gone before the commit: the message is durable."""

    def left(self, decision: D_contra) -> None:
        """Note that all outputs are at their places."""

    def gone(self, decision: D_contra) -> None:
        """Note that no file in the queue has the id of the message any more."""


class SyncPhase(NamedTuple, Generic[D]):
    """One sync of a batch, and how far each message of it goes after the sync."""

    sync: Callable[[Sequence[D], Collection[str]], None]
    """Make durable the next files of these messages, other files and the names in other folders. It runs in a thread."""
    goal: Progress


class Settlement(Protocol[D]):
    @property
    def phases(self) -> list[SyncPhase[D]]: ...
    def step(self, decision: D) -> None:
        """Take the next step of one message. Raises OSError; then the same step comes next again."""


class Offer(Protocol):
    """A message that recovery found and that must be scanned."""

    @property
    def id(self) -> int: ...
    @property
    def ref(self) -> bytes: ...
    @property
    def size(self) -> int: ...
    @property
    def ingested(self) -> bool:
        """Return whether there is a message file that may be trusted."""

    @property
    def durable(self) -> bool: ...


class Recovered(Protocol):
    """The result of a recovery."""

    @property
    def highest(self) -> int:
        """Return the highest id that any file has."""

    @property
    def offers(self) -> Sequence[Offer]: ...
    @property
    def finished(self) -> Sequence[tuple[int, str]]:
        """Return the messages whose outcome was decided and is now carried out: id and disposition."""

    @property
    def broken(self) -> Sequence[int]:
        """Return the messages that a power cut left incomplete. They are in Bad/ now."""

    @property
    def foreign(self) -> Sequence[str]: ...
    @property
    def on_hold(self) -> Sequence[int]: ...
    @property
    def unfinished(self) -> Sequence[int]:
        """Return the offered messages that a processor was working on, oldest first."""


class Attempts(Protocol):
    """How often each message was charged with a death or a time-out. The counts survive the engine."""

    def of(self, id: int) -> int: ...
    def charge(self, id: int) -> int:
        """Count one more; return how many there are."""

    def refund(self, id: int) -> None:
        """Take the last charge back."""

    def forget(self, id: int) -> None: ...
    def keep_only(self, present: Container[int]) -> None:
        """Forget all messages that are no longer in the queue."""


class Ids(Protocol):
    def take(self, microseconds: int) -> int:
        """Return the next id at this time. No id is ever given twice. Raises OSError; then no id was given."""


class MessageStore(Protocol):
    """The store of all messages. One process at a time has one."""

    @property
    def moves(self) -> bool:
        """Return whether a message file may itself become the output."""

    def accept(self, id: int, name: bytes) -> Accepted | Literal["later", "gone"]:
        """Claim a complete drop. "later": it is being written. Raises Refusal if it can never be mail."""

    def settlement(self, witness: Witness[D]) -> Settlement[D]: ...

    def set_aside(self, id: int, n: int, place: Place, why: Mapping[str, object]) -> tuple[str, ...]:
        """Stage the message as it is, with the reason, for a place; return the places of the decision."""

    def wipe(self, upto: Mapping[int, int]) -> None:
        """Remove the staged files of these messages (id -> dispatch), up to and with that dispatch. Raises Unwiped."""

    def refuse(self, id: int, ref: bytes, reason: str) -> bytes | None:
        """Give a source back to its writer as NAME.bad, with the reason; return the new name. None: it has gone."""

    def refuse_drop(self, name: bytes, reason: str) -> bytes | None:
        """Refuse a drop that was not accepted. Otherwise as refuse()."""

    def give_back(self, id: int, ref: bytes) -> bytes | None:
        """Put a changed source back where it is accepted again; return its name there. None: it has gone."""

    def requeue(
        self, id: int, place: Place, mark: bytes | None, after_sync: AfterSync, arrived: Callable[[int, OSError | None], None]
    ) -> None:
        """Bring a kept message back. `mark`: the action after which it goes on; None: it is scanned from the start; b"": as it was.

        `arrived(size, error)` is called when it is in the queue, or when it could not come back. Raises NotKept, ValueError.
        """

    def reason(self, id: int, place: Place) -> dict[str, object]:
        """Return the reason beside a kept message; empty if there is none or it cannot be read."""

    def delete(self, id: int, place: Place) -> bool:
        """Remove a kept message and its reason. False: there is none."""

    def recover(self, *, cold: bool, decided: Callable[[int, int, str], None], progress: Callable[[], None]) -> Recovered: ...

    def inventory(self) -> Iterator[int]:
        """Return the ids of all messages that are claimed, ingested, durable or decided. An id may appear twice."""

    def kept(self, place: Place) -> list[int]: ...

    def decided(self) -> Iterator[int]:
        """Return the ids of messages whose outcome is being carried out."""

    def has_message(self, id: int) -> bool:
        """Return whether there is a message file."""

    def head(self, id: int) -> MessageHead | None:
        """Return the begin of a message file; None if it is not one of ours."""

    def is_whole(self, id: int) -> bool:
        """Return whether the message file was written to its end."""

    def is_changed(self, ref: bytes) -> bool:
        """Return whether the source is not the one that was accepted. One that has gone is not changed."""

    def has_source(self, ref: bytes) -> bool: ...

    def name(self, ref: bytes) -> bytes | None:
        """Return the name that the source had, for people. None: there is no source."""

    def attempts(self) -> Attempts: ...

    def ids(self, highest: int, after_sync: AfterSync) -> Ids:
        """Return the giver of ids. `highest`: the highest id that any message has."""


class Workspace(Protocol[M]):
    """The local files of one processor. Filters get a message as `FILE Queue/<id>.msg` from here, whichever store is used."""

    def lease(self, id: int, ref: bytes, at: str, domain: str) -> M:
        """Write the message file of a claimed source. Raises InvalidDrop if it can never be a message."""

    def load(self, id: int, stamp: tuple[int, int] | None) -> M:
        """Read an existing message file. `stamp`: that of the file when it was written, if known."""

    def kinds(self, message: M) -> tuple[bytes, bytes, bytes]:
        """Return the fingerprints of a message: what stays the same in changed copies."""

    def header(self, message: M) -> bytes:
        """Return the whole header, without the empty line, at most 4 MiB of it."""

    def source(self, ref: bytes) -> Source | None: ...
