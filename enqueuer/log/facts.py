"""What the log and `.why` say about a message at its end: recipients, Message-ID, delay, verdicts, subject. Pure.

The last line of a message ends with its facts, in Postfix's form:

    enqueued: OUT(1); to=<bob@example.com> (+2), message-id=<a@b>, delay=0.048s, VirusScan=OK, Spam=OK 3.1/5.0
    quarantined: a virus; to=<bob@example.com>, message-id=<a@b>, delay=0.048s, VirusScan=ERROR, subject="Re: hello"

They begin at the last `; to=<`: the reason before it may quote anything, and no value has these characters. Every value comes from
mail of strangers: it is short, printable, and has no character that would end it.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from enqueuer.policy.scores import score
from enqueuer.queue.message import fields
from enqueuer.queue.message.envelope import Envelope
from enqueuer.queue.message.printable import printable
from filterlink.wire.frames import FilterAnswer, VerdictFrame

__all__ = ["BEGIN", "MAX_RECIPIENTS", "Verdicts", "after", "before", "bracketed", "closing", "document", "said", "without"]

BEGIN = "; to=<"
MAX_ADDRESS = 200
"""Characters of an address that are shown."""
MAX_RECIPIENTS = 20
"""Recipients that a .why names. It has the count of all."""
MAX_VERDICTS = 1000
"""Characters of all verdicts in one line."""
_IN_NAMES = {ord(char): f"\\x{ord(char):02x}" for char in ',;=<>"\\'}
_IN_BRACKETS = {ord(char): f"\\x{ord(char):02x}" for char in "<>"}


class Verdicts(NamedTuple):
    """What filters answered, and how long each took, by filter in the order in which they were asked."""

    answers: dict[str, FilterAnswer]
    seconds: dict[str, float]

    @classmethod
    def of(cls, frames: Iterable[VerdictFrame]) -> Self:
        """Return what earlier dispatches of a message brought."""
        found = tuple(frames)
        return cls({each.filter: each.answer for each in found}, {each.filter: each.seconds for each in found})


def before(envelope: Envelope, header: bytes) -> str:
    """Return the facts of a line up to the delay."""
    count = len(envelope.recipients)
    first = _address(envelope.recipients[0]) if count else ""
    more = f" (+{count - 1})" if count > 1 else ""
    return f"{BEGIN}{first}>{more}, message-id=<{bracketed(fields.message_id(header))}>, delay="


def after(answers: Mapping[str, FilterAnswer], stopped: bytes | None = None) -> str:
    """Return the facts of a line behind the delay. `stopped`: the header of a message that was stopped, for its subject."""
    found = "".join(f", {_name(name)}={said(answer)}" for name, answer in answers.items())
    if len(found) > MAX_VERDICTS:
        found = found[: MAX_VERDICTS - 3] + "..."
    return found if stopped is None else f'{found}, subject="{_quoted(fields.subject(stopped))}"'


def closing(text: str, facts: tuple[str, str], came: int, now: float) -> str:
    """Return a line with its facts, from before() and after(). Two empty strings: none are known.

    `came`: the number in the message file's time, in nanoseconds since 1970. `now` is in seconds.
    """
    return f"{text}{facts[0]}{max(0.0, now - came / 1e9):.3f}s{facts[1]}" if facts[0] else text


def without(text: str) -> str:
    """Return the disposition and the reason of a line, without the facts."""
    return text.rpartition(BEGIN)[0] if BEGIN in text else text


def document(envelope: Envelope, header: bytes, verdicts: Verdicts, delay: float) -> dict[str, object]:
    """Return the facts for a .why."""
    return {
        "sender": _address(envelope.sender),
        "recipients": [_address(each) for each in envelope.recipients[:MAX_RECIPIENTS]],
        "recipient_count": len(envelope.recipients),
        "message_id": fields.message_id(header),
        "subject": fields.subject(header),
        "verdicts": [
            {
                "filter": name,
                "answer": answer.kind.upper(),
                "text": answer.text,
                "score": score(answer) or None,
                "seconds": round(verdicts.seconds.get(name, 0.0), 3),
            }
            for name, answer in verdicts.answers.items()
        ],
        "delay_s": round(max(0.0, delay), 3),
    }


def said(answer: FilterAnswer) -> str:
    """Return an answer and its score, as `OK 3.1/5.0`."""
    word = answer.kind.upper()
    return f"{word} {found}" if (found := score(answer)) else word


def _address(address: bytes) -> str:
    return bracketed(fields.short(address, MAX_ADDRESS))


def bracketed(text: str) -> str:
    """Escape what would end a value in brackets."""
    return text.translate(_IN_BRACKETS) if "<" in text or ">" in text else text


@functools.cache
def _name(filter: str) -> str:
    """Return the name of a filter, which may have any printable characters."""
    return printable(filter).translate(_IN_NAMES)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace(BEGIN, BEGIN[:-1] + "\\x3c")
