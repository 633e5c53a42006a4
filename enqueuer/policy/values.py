"""The values of a message that conditions compare: a function for each word of vocabulary.py. Pure.

Texts are folded (pictures.fold).
"""

from collections.abc import Callable, Mapping, Sequence

from enqueuer.policy.pictures import fold
from enqueuer.policy.scores import score
from enqueuer.policy.tree import Test
from enqueuer.policy.view import View
from filterlink.protocol.partfacts import PartFacts

__all__ = ["FLAGS", "NUMBERS", "TEXTS", "UNREADABLE", "Number", "Texts"]

UNREADABLE = "application/x-unreadable"
"""An attachment type of a message in which a part cannot be opened or exceeds a limit."""
Texts = Callable[[View], Sequence[str]]
Number = Callable[[View], float | None]
"""None: the message does not have it."""


def _header(test: Test) -> Texts:
    """Return values of a field, or whole lines if no field is named: of the fields whose name fits, if the picture begins with a name."""
    if test.argument:
        name = test.argument.lower()
        return lambda view: view.values(name)
    head, colon, _ = fold(test.parameter).partition(":")
    known = head if colon and not any(mark in head for mark in "*\\#,") and test.operation in ("is", "is not") else ""
    if known:
        return lambda view: [f"{known}: {value}" for value in view.values(known)]
    return lambda view: view.whole_lines()


def _addresses(*names: str) -> Texts:
    """Return the addresses in fields of these names, added ones included."""

    def values(view: View) -> Sequence[str]:
        found = view.facts.addresses(*names)
        return found if view.added is None else (*map(fold, view.added.addresses(*names)), *found)

    return values


def _verdict(test: Test) -> Texts:
    filter = test.argument
    return lambda view: (view.answers[filter].kind.value,) if filter in view.asked and filter in view.answers else ()


def _types(found: PartFacts) -> Sequence[str]:
    return found.types if found.complete else (*found.types, UNREADABLE)


TEXTS: Mapping[str, Callable[[Test], Texts]] = {
    "from": lambda _: _addresses("from"),
    "sender": lambda _: _addresses("sender"),
    "to": lambda _: _addresses("to"),
    "cc": lambda _: _addresses("cc"),
    "reply_to": lambda _: _addresses("reply-to"),
    "to_or_cc": lambda _: _addresses("to", "cc"),
    "return_path": lambda _: lambda view: view.facts.return_path,
    "from_name": lambda _: lambda view: view.facts.from_name,
    "subject": lambda _: lambda view: view.facts.subject,
    "message_id": lambda _: lambda view: view.facts.message_id,
    "header": _header,
    "recipient": lambda _: lambda view: [view.facts.address_of(each) for each in view.recipients],
    "route": lambda _: lambda view: [fold(route) for route in view.routes()],
    "source": lambda _: lambda view: view.facts.source,
    "submit_address": lambda _: lambda view: view.facts.submit_address,
    "security": lambda _: lambda view: view.facts.security,
    "client": lambda _: lambda view: (str(view.facts.client),) if view.facts.client else (),
    "attachment_name": lambda _: lambda view: [fold(name) for name in view.parts().names],
    "attachment_type": lambda _: lambda view: [fold(type) for type in _types(view.parts())],
    "verdict": _verdict,
    "digest": lambda _: lambda view: (fold(view.parts().digest),),
}
FLAGS: Mapping[str, Callable[[View], bool]] = {
    "human": lambda view: view.facts.human,
    "ambiguous": lambda view: view.parts().ambiguous,
}


def _score(test: Test) -> Number:
    """Return the score in the answer of a filter: `3.1` of `3.1/5.0`."""
    filter = test.argument

    def value(view: View) -> float | None:
        answer = view.answers.get(filter) if filter in view.asked else None
        found = score(answer).partition("/")[0] if answer is not None else ""
        return float(found) if found else None

    return value


NUMBERS: Mapping[str, Callable[[Test], Number]] = {
    "size": lambda _: lambda view: view.facts.size,
    "attempts": lambda _: lambda view: view.facts.attempts,
    "score": _score,
}
