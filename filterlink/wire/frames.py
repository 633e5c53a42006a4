"""Define every frame that crosses a link to or from the multiplexer: msgpack arrays, one a SEQPACKET record. Pure.

New fields are added at the end only, with defaults. A frame about a message carries (id, n): the message and its dispatch
number. A receiver that has another n for this message drops the frame. Messages and their own recipients never travel: a frame
must fit into one record.
"""

import enum
from typing import Literal

import msgspec

__all__ = [
    "MAX_FRAME",
    "MAX_TEXT",
    "Abandon",
    "AnswerKind",
    "Ask",
    "Backpressure",
    "FilterAnswer",
    "FilterState",
    "Guilty",
    "Hello",
    "Left",
    "Park",
    "Renewed",
    "StateWord",
    "VerdictFrame",
    "Wake",
    "encode",
]

MAX_FRAME = 200_000
"""A SEQPACKET record of more than about 212 kB fails with EMSGSIZE on a stock kernel (net.core.wmem_default)."""
MAX_TEXT = 64 << 10
"""The longest report of a verdict, and the most bytes of header fields that one verdict may add."""


class AnswerKind(enum.StrEnum):
    """The answer of a filter about a message, or why there is none."""

    OK = "ok"
    """Go on; `fields` are to be added (the protocol's OK and ADDHEADER)."""
    ERROR = "error"
    """Keep it from being enqueued, with the report in `text`."""
    REJECTED = "rejected"
    """Not now: defer the message and offer it again later."""
    DISCARD = "discard"
    FAILURE = "failure"
    """The filter could not decide: the message passes (unless `failure_passes` is false), and the log has a problem."""
    INVALID = "invalid"
    """The helper's line is not an answer of the protocol, a fault of the filter: `on_failure` says what follows."""
    TIMEOUT = "timeout"
    """No answer within the filter's time-out: `on_failure` says what follows."""
    UNAVAILABLE = "unavailable"
    """The filter cannot be started, or has not been ready for too long: `on_failure` says what follows."""


class Frame(msgspec.Struct, array_like=True, gc=False, tag=lambda name: name.lower()):
    """The base of all frames. The tag is the class name in lower case."""


class Hello(Frame):
    """The first frame on each link: the caller names itself. `generation` is the supervisor's count of forks and never repeats."""

    role: str
    number: int
    generation: int
    pid: int


class Ask(Frame):
    """Processor or door -> filterlink: have this filter scan a message of `size` bytes."""

    id: int
    n: int
    filter: str
    large: bool
    size: int
    park: bool = True
    """False: the processor waits for a slot for as long as it takes; filterlink does not answer Park."""
    asked: bool = False
    """The message is Asked/<id>.msg: a door asks about it, and the MTA keeps it. False: the message is Queue/<id>.msg."""


class Abandon(Frame):
    """Door -> filterlink: the door needs no answer about this message. It is scanned only if a helper already has it."""

    id: int


class FilterAnswer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The answer of a filter about a message, on the whole way from the helper's line to the rules."""

    kind: AnswerKind
    text: str = ""
    fields: tuple[bytes, ...] = ()
    """Header fields to add, each without its line end; folds inside are LF and a blank or tab."""
    charge: bool = False
    """The message may be the cause: a time-out while the filter answered others, or REJECTED again, though the filter
    scanned others since it last refused this message."""
    routes: tuple[bytes, ...] = ()
    """Recipients to add (the protocol's ADDROUTE)."""
    copies: tuple[bytes, ...] = ()
    """Recipients that get a separate copy (the protocol's MIRRORTO)."""

    @property
    def size(self) -> int:
        """Return the approximate size: the characters of the text and the bytes of the rest."""
        return len(self.text) + sum(map(len, self.fields + self.routes + self.copies))


class VerdictFrame(Frame):
    """filterlink -> processor: the one answer to an Ask that was not parked."""

    id: int
    n: int
    filter: str
    answer: FilterAnswer
    seconds: float = 0.0
    """Seconds that the processor waited for it; the processor writes them. For a parked message they count from the last Ask."""


class Park(Frame):
    """filterlink -> processor: the filter has no room or is not ready; a Wake to the queue manager will follow.

    A door gets it, without a Wake, if the filter was removed, disabled or changed, or is unknown: it walks its rules again soon.
    """

    id: int
    n: int
    filter: str
    reason: str = ""
    apart: bool = False
    """True: the Wake that follows names this message. It waits for its own answer, or to be scanned alone."""


class Wake(Frame):
    """filterlink -> queue manager: the filter has room for `count` of its parked messages, of the large or the small ones.

    With an `id` the frame is for that message, which was parked apart.
    """

    filter: str
    count: int
    large: bool = False
    id: int = 0


class Guilty(Frame):
    """filterlink -> queue manager: charge this message. A helper ended over this message alone, but answers for others."""

    id: int
    n: int
    filter: str
    reason: str


class Renewed(Frame):
    """filterlink -> queue manager: the filter scans by new settings, or again after an outage. What it deferred is offered again."""

    filter: str


class Backpressure(Frame):
    """queue manager -> filterlink: says whether messages wait while all processors are busy."""

    waiting: bool


class Left(Frame):
    """queue manager -> filterlink: this message was given up and will not ask again."""

    id: int


StateWord = Literal["disabled", "starting", "ready", "stalled", "restarting", "failed"]


class FilterState(msgspec.Struct, frozen=True):
    """The state of one filter at one instant: an entry of `filters` in the status document."""

    name: str
    state: StateWord
    pids: tuple[int, ...] = ()
    in_flight: int = 0
    parked: int = 0
    answered: int = 0
    restarts: int = 0
    last_error: str | None = None
    median_s: float | None = None
    p99_s: float | None = None
    given_up: tuple[int, ...] = ()
    """Processes that SIGKILL does not end."""
    unavailable_since: float | None = None
    """Since when the filter scans nothing because its helper or its server does not answer (seconds since 1970); None: it scans."""
    last_error_at: float | None = None
    """When that error happened, in seconds since 1970."""


encode = msgspec.msgpack.Encoder().encode
