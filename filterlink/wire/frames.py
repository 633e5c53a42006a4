"""Every frame that crosses a link to or from the multiplexer: msgpack arrays, one a SEQPACKET record. Pure.

Fields are added at the end only, with defaults. A frame about a message carries (id, n): the message and its dispatch
number; whoever holds another n drops it. Recipients and messages never travel: a frame has to fit into one record.
"""

import enum
from typing import Literal

import msgspec

__all__ = [
    "MAX_FRAME",
    "MAX_TEXT",
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
    """What a filter said of a message, or why it said nothing."""

    OK = "ok"
    """Go on; `fields` are to be added (the protocol's OK and ADDHEADER)."""
    ERROR = "error"
    """Keep it from being enqueued, with the report in `text`."""
    REJECTED = "rejected"
    """Not now: hold the message and offer it again later."""
    DISCARD = "discard"
    FAILURE = "failure"
    """The filter could not decide: the message passes (unless `failure_passes` is false), and the log has a problem."""
    INVALID = "invalid"
    """The helper's line is no answer of the protocol, a fault of the filter: `on_failure` says what follows."""
    TIMEOUT = "timeout"
    """No answer within the filter's time-out: `on_failure` says what follows."""
    UNAVAILABLE = "unavailable"
    """The filter cannot be started or is not ready for too long: `on_failure` says what follows."""


class Frame(msgspec.Struct, array_like=True, gc=False, tag=lambda name: name.lower()):
    """Base of all frames; the tag is the class name in lower case."""


class Hello(Frame):
    """The first frame on each link: who calls. `generation` is the supervisor's count of forks and never repeats."""

    role: str
    number: int
    generation: int
    pid: int


class Ask(Frame):
    """Processor -> filterlink: have this filter judge Queue/<id>.msg of `size` bytes."""

    id: int
    n: int
    filter: str
    large: bool
    size: int
    park: bool = True
    """False: wait for a slot for as long as it takes instead of being told to park."""


class FilterAnswer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a filter said of a message, wherever it is on its way: from the helper's line to the rules."""

    kind: AnswerKind
    text: str = ""
    fields: tuple[bytes, ...] = ()
    """Header fields to add, each without its line end; folds inside are LF and a blank or tab."""
    charge: bool = False
    """The message may be the one to blame: a time-out while the filter answered others, or REJECTED again, though the filter
    scanned others since it refused this message before."""
    routes: tuple[bytes, ...] = ()
    """Recipients to add (the protocol's ADDROUTE)."""
    copies: tuple[bytes, ...] = ()
    """Who gets a copy of its own (MIRRORTO)."""

    @property
    def size(self) -> int:
        """Its characters and bytes, about."""
        return len(self.text) + sum(map(len, self.fields + self.routes + self.copies))


class VerdictFrame(Frame):
    """filterlink -> processor: the one answer to an Ask that was not parked."""

    id: int
    n: int
    filter: str
    answer: FilterAnswer


class Park(Frame):
    """filterlink -> processor: the filter has no room or is not ready; a Wake to the queue manager will follow."""

    id: int
    n: int
    filter: str
    reason: str = ""
    apart: bool = False
    """The Wake that follows names this message: it waits for its own answer, or to be judged alone."""


class Wake(Frame):
    """filterlink -> queue manager: the filter has room for `count` of those it parked, of the large or the small ones.

    With an `id` it is for that message, which was parked apart.
    """

    filter: str
    count: int
    large: bool = False
    id: int = 0


class Guilty(Frame):
    """filterlink -> queue manager: a helper ended over this message alone, and answers for others: it is to be charged."""

    id: int
    n: int
    filter: str
    reason: str


class Renewed(Frame):
    """filterlink -> queue manager: the filter judges by other settings from now on; what the old ones held is to ask again."""

    filter: str


class Backpressure(Frame):
    """queue manager -> filterlink: whether messages wait while all processors are busy."""

    waiting: bool


class Left(Frame):
    """queue manager -> filterlink: this message was given up, and will not ask again."""

    id: int


StateWord = Literal["disabled", "starting", "ready", "stalled", "restarting", "failed"]


class FilterState(msgspec.Struct, frozen=True):
    """What there is to know of one filter at one instant: the entry of `filters` in the status document."""

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


encode = msgspec.msgpack.Encoder().encode
