"""Every frame between the engine's own processes, beside those of the multiplexer (filterlink.frames). Pure.

S = supervisor, Q = queue manager, P = processor, F = filterlink, W = watcher. Each link begins with Hello.
"""

import msgspec

from filterlink.wire.frames import Backpressure, Frame, Guilty, Hello, Left, Renewed, VerdictFrame, Wake, encode

__all__ = [
    "LOOP_SAMPLE",
    "Backpressure",
    "CommandAnswer",
    "ConfigRevision",
    "Deferred",
    "Drain",
    "DropRefused",
    "Exit",
    "FromManager",
    "FromSupervisor",
    "Guilty",
    "Hello",
    "Idle",
    "InForce",
    "Ingested",
    "Job",
    "Judged",
    "Leave",
    "Left",
    "Order",
    "Outcome",
    "Parked",
    "Reaped",
    "Renewed",
    "Resized",
    "Seek",
    "SpoolChanged",
    "ToFilterlink",
    "ToManager",
    "ToSupervisor",
    "Trouble",
    "Wake",
    "WhereAnswer",
    "decode_from_manager",
    "decode_from_supervisor",
    "decode_to_filterlink",
    "decode_to_manager",
    "decode_to_supervisor",
    "encode",
]

LOOP_SAMPLE = 17
"""A processor reports the fingerprint of one enqueued message in this many (by dispatch number), and of all that are stopped.

Each report costs a look at the header. The number is not 16: ipc/timings.py would see each of them.
"""


class ConfigRevision(Frame):
    """S -> all: Run/config.<revision> is to be in force."""

    revision: int


class Drain(Frame):
    """S -> Q: dispatch nothing more."""


class Exit(Frame):
    """S -> all: end now, in good order."""


class Reaped(Frame):
    """S -> Q: this processor is dead and gone. Nothing else frees its message: a pipe's end proves nothing."""

    generation: int
    waiting: bool = False
    """It died while it waited for a filter."""


class Leave(Frame):
    """S -> Q: give this processor no more work. Q -> P: end."""

    generation: int


class Resized(Frame):
    """S -> Q: the board has another number of processors that there are to be."""


class Order(Frame):
    """S -> Q: an administrator orders release, retry or delete of one message; retry of 0 = of all in Bad/."""

    token: int
    verb: str
    id: int


class CommandAnswer(Frame):
    """Q -> S: what became of an Order."""

    token: int
    ok: bool
    text: str


class Seek(Frame):
    """S -> Q: somebody asks where this message is, and what it waits for."""

    token: int
    id: int


class WhereAnswer(Frame):
    """Q -> S: the answer to a Seek. Seconds are counted back from now."""

    token: int
    state: str = ""
    """That of the schedule; empty = the queue manager does not have it."""
    here_s: float = 0.0
    """Since it came, or since this queue manager found it."""
    since_s: float = 0.0
    """Since it waits for what it waits for."""
    filter: str = ""
    reason: str = ""
    """Why it is parked or deferred."""
    offered_s: float | None = None
    """Until it is offered again; None = it is woken."""
    large: bool = False
    older: int = 0
    """How many older ones of its lane wait for a processor too."""
    suspect: bool = False
    attempts: int = 0
    notes: tuple[str, ...] = ()


class InForce(Frame):
    """all -> S: this revision of the configuration is in force here; from Q the first one means that recovery is done."""

    revision: int


class Idle(Frame):
    """Q -> S: drained: no message is active, no outcome uncommitted."""


class SpoolChanged(Frame):
    """W -> Q: something happened in the drop folder."""


class Job(Frame):
    """Q -> P: judge this message."""

    id: int
    n: int
    revision: int
    large: bool
    ref: bytes
    """What the store knows its source by; b"" when the message file stands alone."""
    ingested: bool
    """Its message file is there."""
    first: bool
    """Nobody has counted it as received."""
    stamp: tuple[int, int] | None
    """The message file as it was when ingested."""
    verdicts: tuple[VerdictFrame, ...]
    circles: tuple[tuple[bytes, str], ...] = ()
    """Kinds of messages that go in circles, and the filter that submits them anew: no filter is to be asked for them. "": those
    that perhaps do, and of which is to be told."""
    moves: bool = False
    """The message file itself may be the output, where nothing differs from it."""
    own: bool = False
    """Its drop, which is not there any more, may have been written by a filter."""


class Ingested(Frame):
    """P -> Q: the message file is there, for the first time."""

    id: int
    n: int
    stamp: tuple[int, int]
    sender: bytes
    size: int
    """Bytes of the message, without envelope."""
    dropper: int | None = None
    """Its account, where it is not the engine's."""


class Outcome(Frame):
    """P -> Q: decided, and everything it needs is staged."""

    id: int
    n: int
    disposition: str
    places: tuple[str, ...]
    reason: str
    stamp: tuple[int, int]
    moved: bool = False
    """Nothing is staged: the message file itself is to come to the one place."""
    judged_by: str = ""
    """The filters that may have submitted it anew: then it is told when its drop was written, and of what kinds the message is."""
    created: int = 0
    kinds: tuple[bytes, ...] = ()


class Deferred(Frame):
    """P -> Q: a filter could not judge it; offer it again after retry_after."""

    id: int
    n: int
    filter: str
    reason: str
    verdicts: tuple[VerdictFrame, ...]
    stamp: tuple[int, int]
    charge: bool = False
    """The filter answered others meanwhile: the message may be the one to blame."""
    judged_by: str = ""
    """As in Outcome, where it has its drop still."""
    created: int = 0
    kinds: tuple[bytes, ...] = ()
    refused: bool = False
    """The filter refused it (REJECTED, or no answer of the protocol), and did not let its time pass."""
    rule: str = ""
    """The rule that asked the filter."""


class Parked(Frame):
    """P -> Q: that filter has no room; a Wake will follow."""

    id: int
    n: int
    filter: str
    verdicts: tuple[VerdictFrame, ...]
    stamp: tuple[int, int]
    apart: bool = False
    """The Wake will name it."""
    reason: str = ""


class DropRefused(Frame):
    """P -> Q: the drop can never become a message."""

    id: int
    n: int
    reason: str


class Trouble(Frame):
    """P -> Q: this machine could not do it now (disk full, I/O error ...); nothing is staged, try again later."""

    id: int
    n: int
    reason: str
    machine: bool = False
    """It is the machine's state, and would be so for any other message."""
    kind: str = ""
    """What went wrong, without a name of a file or message: the log has a line a kind and minute."""


class Judged(Frame):
    """P -> Q: both at once, where the answer came soon."""

    ingested: Ingested
    answer: Outcome | Deferred | Parked | DropRefused | Trouble


FromSupervisor = ConfigRevision | Drain | Exit | Reaped | Leave | Order | Seek | Resized
ToSupervisor = Hello | InForce | Idle | CommandAnswer | WhereAnswer
FromManager = Job | Leave
ToFilterlink = Backpressure | Left
ToManager = Hello | SpoolChanged | Wake | Guilty | Renewed | Ingested | Judged | Outcome | Deferred | Parked | DropRefused | Trouble

decode_from_supervisor = msgspec.msgpack.Decoder(FromSupervisor).decode
decode_to_supervisor = msgspec.msgpack.Decoder(ToSupervisor).decode
decode_from_manager = msgspec.msgpack.Decoder(FromManager).decode
decode_to_filterlink = msgspec.msgpack.Decoder(ToFilterlink).decode
decode_to_manager = msgspec.msgpack.Decoder(ToManager).decode
