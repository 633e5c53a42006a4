"""All frames between the engine's own processes, except those of the multiplexer (filterlink.wire.frames). Pure.

S = supervisor, Q = queue manager, P = processor, F = filterlink, W = watcher. Each link begins with Hello.
"""

import msgspec

from enqueuer.ipc.newmessages import Born, IdsGiven, IdsWanted
from filterlink.wire.frames import Backpressure, Frame, Guilty, Hello, Left, Renewed, VerdictFrame, Wake, encode

__all__ = [
    "LOOP_SAMPLE",
    "Backpressure",
    "Born",
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
    "IdsGiven",
    "IdsWanted",
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
    "StatesAnswer",
    "StatesQuery",
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
"""A processor reports the fingerprint of one enqueued message in this many (by dispatch number), and of every message that was stopped.

Each report reads the header. The number is not 16, because ipc/timings.py would then measure all of these messages.
"""


class ConfigRevision(Frame):
    """S -> all: activate Run/config.<revision>. S -> door, for its active revision: all filters scan by it now."""

    revision: int


class Drain(Frame):
    """S -> Q: dispatch no more messages."""


class Exit(Frame):
    """S -> all: end now, in good order."""


class Reaped(Frame):
    """S -> Q: this processor has died and was reaped. Only this frame frees its message: the end of a pipe proves nothing."""

    generation: int
    waiting: bool = False
    """It died while it waited for a filter."""


class Leave(Frame):
    """S -> Q: give this processor no more work. Q -> P: end."""

    generation: int


class Resized(Frame):
    """S -> Q: the scoreboard shows a new intended number of processors."""


class Order(Frame):
    """S -> Q: an administrator releases, retries, deletes or holds a message. The id 0 means all of them (retry, retry-bad, delete-bad)."""

    token: int
    verb: str
    id: int
    filter: str = ""
    """Retry of 0: only the messages that this filter deferred or sent to Bad/."""
    until: float = 0.0
    """Of hold: seconds since 1970, 0 = until it is released."""
    reason: str = ""
    """Of hold."""


class CommandAnswer(Frame):
    """Q -> S: the result of an Order."""

    token: int
    ok: bool
    text: str


class StatesQuery(Frame):
    """S -> Q: in which states are these messages?"""

    token: int
    ids: tuple[int, ...]


class StatesAnswer(Frame):
    """Q -> S: the answer to a StatesQuery, in its order. Empty: the queue manager does not have that message."""

    token: int
    states: tuple[str, ...]


class Seek(Frame):
    """S -> Q: where is this message, and what does it wait for?"""

    token: int
    id: int


class WhereAnswer(Frame):
    """Q -> S: the answer to a Seek. Durations are in seconds, up to now."""

    token: int
    state: str = ""
    """The state in the schedule; empty = the queue manager does not have the message."""
    here_s: float = 0.0
    """Time since the message came, or since this queue manager found it."""
    since_s: float = 0.0
    """Time since the message began to wait for its present reason."""
    filter: str = ""
    reason: str = ""
    """Why the message is parked or deferred."""
    offered_s: float | None = None
    """Time until the message is offered again; None = a Wake does it."""
    large: bool = False
    older: int = 0
    """Number of older messages of its lane that also wait for a processor."""
    suspect: bool = False
    attempts: int = 0
    notes: tuple[str, ...] = ()


class InForce(Frame):
    """all -> S: this revision of the configuration is active here. The first one from Q means that recovery is complete."""

    revision: int


class Idle(Frame):
    """Q -> S: drained: no message is active, every outcome is committed."""


class SpoolChanged(Frame):
    """W -> Q: something happened in the drop folder."""


class Job(Frame):
    """Q -> P: scan this message."""

    id: int
    n: int
    revision: int
    large: bool
    ref: bytes
    """By which the store knows the source of the message; b"" = the message file has no source."""
    ingested: bool
    """The message file exists."""
    first: bool
    """The message is not counted as received yet."""
    stamp: tuple[int, int] | None
    """The message file as it was when ingested."""
    verdicts: tuple[VerdictFrame, ...]
    loops: tuple[tuple[bytes, str], ...] = ()
    """Fingerprints of messages in a mail loop, and the filter that submits them again: no filter is asked for these messages. An empty
    filter: a suspected loop, whose messages are to be reported.
    """
    moves: bool = False
    """The message file itself may become the output, if the output has the same content."""
    own: bool = False
    """A filter may have written its drop, which is no longer there."""
    hold: str = ""
    """An administrator puts the message on hold, for this reason: it is ingested if it was not, and its rules are not tried."""
    attempts: int = 0
    """How often the message was charged."""
    hold_until: float = 0.0
    """Of `hold`: seconds since 1970, 0 = until it is released."""


class Ingested(Frame):
    """P -> Q: the message file exists, for the first time."""

    id: int
    n: int
    stamp: tuple[int, int]
    sender: bytes
    size: int
    """Size of the message in bytes, without the envelope."""
    dropper: int | None = None
    """Account that wrote the drop, if it is not the engine's."""


class Outcome(Frame):
    """P -> Q: the outcome is decided, and all that it needs is staged."""

    id: int
    n: int
    disposition: str
    places: tuple[str, ...]
    reason: str
    stamp: tuple[int, int]
    moved: bool = False
    """Nothing is staged: the message file itself moves to its only destination."""
    judged_by: str = ""
    """The filters that may have submitted the message again. If set, the frame also has the time of its drop and its fingerprints."""
    created: int = 0
    kinds: tuple[bytes, ...] = ()
    facts: tuple[str, str] = ("", "")
    """Facts of the message for its line in the log, before and behind the delay (log/facts.py)."""
    born: tuple[Born, ...] = ()
    """New messages. Their places are among `places`."""
    until: float = 0.0
    """Of the disposition on_hold: seconds since 1970, 0 = until it is released."""


class Deferred(Frame):
    """P -> Q: a filter could not scan it; offer it again after retry_after."""

    id: int
    n: int
    filter: str
    reason: str
    verdicts: tuple[VerdictFrame, ...]
    stamp: tuple[int, int]
    charge: bool = False
    """The filter answered others meanwhile: this message may be the cause."""
    judged_by: str = ""
    """As in Outcome, while the message still has its drop."""
    created: int = 0
    kinds: tuple[bytes, ...] = ()
    refused: bool = False
    """The filter refused the message (REJECTED, or a line that is no answer). False after a time-out."""
    rule: str = ""
    """The rule that asked the filter."""
    facts: tuple[str, str] = ("", "")
    """As in Outcome."""


class Parked(Frame):
    """P -> Q: that filter has no free slot; a Wake will follow."""

    id: int
    n: int
    filter: str
    verdicts: tuple[VerdictFrame, ...]
    stamp: tuple[int, int]
    apart: bool = False
    """The Wake will name this message."""
    reason: str = ""


class DropRefused(Frame):
    """P -> Q: the drop can never become a message."""

    id: int
    n: int
    reason: str


class Trouble(Frame):
    """P -> Q: the machine could not do it now (disk full, I/O error ...). Nothing is staged; try again later."""

    id: int
    n: int
    reason: str
    machine: bool = False
    """The cause is the state of the machine, and would stop any other message too."""
    kind: str = ""
    """The kind of error, without the name of a file or message: the log has one line a kind and minute."""


class Judged(Frame):
    """P -> Q: Ingested and the answer in one frame, because the answer came soon."""

    ingested: Ingested
    answer: Outcome | Deferred | Parked | DropRefused | Trouble


FromSupervisor = ConfigRevision | Drain | Exit | Reaped | Leave | Order | Seek | StatesQuery | Resized
ToSupervisor = Hello | InForce | Idle | CommandAnswer | WhereAnswer | StatesAnswer
FromManager = Job | Leave | IdsGiven
ToFilterlink = Backpressure | Left
ToManager = (
    Hello | SpoolChanged | Wake | Guilty | Renewed | Ingested | Judged | Outcome | Deferred | Parked | DropRefused | Trouble | IdsWanted
)

decode_from_supervisor = msgspec.msgpack.Decoder(FromSupervisor).decode
decode_to_supervisor = msgspec.msgpack.Decoder(ToSupervisor).decode
decode_from_manager = msgspec.msgpack.Decoder(FromManager).decode
decode_to_filterlink = msgspec.msgpack.Decoder(ToFilterlink).decode
decode_to_manager = msgspec.msgpack.Decoder(ToManager).decode
