"""Compile the condition of a rule: a tree becomes functions of what a rule sees. Pure.

Each function takes the time of a few lines of Python, whatever the message; the values are made once a message (facts.py).
"""

import ipaddress
import operator
from collections.abc import Callable, Container, Iterator, Mapping, Sequence

import msgspec

from enqueuer.policy import clock, pictures
from enqueuer.policy.pictures import LIST_NAME, Matcher, fold
from enqueuer.policy.tree import AllOf, AnyOf, Node, Not, Test, tests
from enqueuer.policy.values import FLAGS, NUMBERS, TEXTS, Texts
from enqueuer.policy.view import View
from enqueuer.policy.vocabulary import BY_WORD
from enqueuer.queue.message.printable import printable
from filterlink.config.units import Size

__all__ = ["Compiled", "Context", "ListNames", "compile", "uses_worker"]

OF_WORKER = ("attachment_name", "attachment_type", "digest", "ambiguous")
OF_RECIPIENTS = ("recipient", "route")
SHOWN = 80
"""Characters of a value in a trail."""
COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "is": operator.eq,
    "is not": operator.ne,
    "less than": operator.lt,
    "greater than": operator.gt,
}
Holds = Callable[[View], bool]
Seen = Callable[[View], str]
"""Says which part of a condition does not hold, with the value seen."""
Fits = Callable[[View], Matcher]
ListNames = Mapping[str, Sequence[str] | None]
"""Named lists: their entries, or None for a list of State/lists/, which rules write."""


class Compiled(msgspec.Struct, frozen=True):
    """A compiled condition."""

    holds: Holds
    failed: Seen
    by_recipient: bool = False
    """It asks about recipients or routes."""


class Context(msgspec.Struct, frozen=True):
    """What conditions may name."""

    lists: ListNames
    filters: Container[str]
    say: Callable[[Node], str]
    """Writes a part of the condition as text."""
    each_recipient: bool = False
    """It is tried for each recipient: what is not about recipients is found out once a view."""


def compile(node: Node, context: Context) -> Compiled:
    """Compile a tree. Raises ValueError with the cure."""
    holds, failed = _node(node, context)
    return Compiled(holds, failed, any(test.data in OF_RECIPIENTS for test in tests(node)))


def uses_worker(node: Node) -> bool:
    """Return whether a worker has to look into the message for it."""
    return any(test.data in OF_WORKER for test in tests(node))


def _node(node: Node, context: Context) -> tuple[Holds, Seen]:
    holds, failed = _part(node, context)
    if context.each_recipient and not any(test.data in OF_RECIPIENTS for test in tests(node)):
        return _once(holds), failed
    return holds, failed


def _once(holds: Holds) -> Holds:
    """Keep the result in the view."""

    def known(view: View) -> bool:
        found = view.known.get(holds)
        if found is None:
            found = view.known[holds] = holds(view)
        return found

    return known


def _part(node: Node, context: Context) -> tuple[Holds, Seen]:
    match node:
        case Test():
            return _test(node, context)
        case Not(part):
            inner, _ = _node(part, context)
            return (lambda view: not inner(view)), _fixed(context.say(node))
        case AllOf(parts):
            return _all([_node(part, context) for part in parts])
        case AnyOf(parts):
            return _any([_node(part, context) for part in parts])


def _all(parts: Sequence[tuple[Holds, Seen]]) -> tuple[Holds, Seen]:
    if len(parts) == 1:
        return parts[0]
    every = tuple(holds for holds, _ in parts)

    def holds(view: View) -> bool:
        for each in every:  # noqa: SIM110 (a generator for each rule takes longer than most conditions)
            if not each(view):
                return False
        return True

    return holds, lambda view: next((failed(view) for each, failed in parts if not each(view)), "")


def _any(parts: Sequence[tuple[Holds, Seen]]) -> tuple[Holds, Seen]:
    some = tuple(holds for holds, _ in parts)
    return (lambda view: any(each(view) for each in some)), lambda view: " or ".join(failed(view) for _, failed in parts[:4])


def _fixed(text: str) -> Seen:
    return lambda _view: text


def _test(test: Test, context: Context) -> tuple[Holds, Seen]:
    text = context.say(test)
    kind = BY_WORD[test.data].kind
    if test.data in FLAGS:
        return FLAGS[test.data], _fixed(text)
    try:
        if test.data in ("verdict", "score") and test.argument not in context.filters:
            raise ValueError(f'no filter is named "{test.argument}"; correct the name, or add a [[filters]] table with it')
        if kind in ("date", "day", "time"):
            return _clock(test, text)
        if test.data in NUMBERS:
            return _number(test, text)
        values = TEXTS[test.data](test)
        return _quantified(test, values, _fits(test, context)), lambda view: f"{text} ({_seen(values(view))})"
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from None


def _seen(values: Sequence[str]) -> str:
    if not values:
        return "it has none"
    more = f" and {len(values) - 3} more" if len(values) > 3 else ""
    return "it is " + ", ".join(f'"{printable(value[:SHOWN])}"' for value in values[:3]) + more


def _quantified(test: Test, values: Texts, fits: Fits) -> Holds:
    """Combine several values. vocabulary.py says what holds without a value."""
    negative = test.operation in ("is not", "not in")
    if test.quantifier == "each":
        return lambda view: _each(values(view), fits(view), negative)
    if test.quantifier == "any" or BY_WORD[test.data].absent == "never":
        return lambda view: _some(values(view), fits(view), negative)
    if negative:
        return lambda view: not _some(values(view), fits(view), False)
    return lambda view: _some(values(view), fits(view), False)


def _some(values: Sequence[str], fits: Matcher, negative: bool) -> bool:
    for value in values:  # noqa: SIM110 (as above)
        if fits(value) is not negative:
            return True
    return False


def _each(values: Sequence[str], fits: Matcher, negative: bool) -> bool:
    return all(fits(value) is not negative for value in values) if values else negative


# Operations


def _fits(test: Test, context: Context) -> Fits:
    """Compile the parameter of a condition about texts: a picture, or a list of them."""
    several = test.operation in ("in", "not in")
    if BY_WORD[test.data].kind == "network":
        static = _networks([each for part in _items(test.parameter, several) for each in _entries(part, context.lists)])
        return lambda _view: static
    if not several:
        picture = pictures.one(test.parameter)
        return lambda _view: picture
    names = [part[1:] for part in _items(test.parameter, several) if part.startswith("#")]
    for name in names:
        _expect_list(name, context.lists)
    static = pictures.matcher(entry for part in _items(test.parameter, several) for entry in _entries(part, context.lists))
    written = [name for name in names if context.lists[name] is None]
    if not written:
        return lambda _view: static
    return lambda view: lambda text: static(text) or any(text in view.facts.remembered(name) for name in written)


def _items(parameter: str, several: bool) -> list[str]:
    return list(pictures.items(parameter)) if several else [parameter]


def _entries(item: str, lists: ListNames) -> Iterator[str]:
    """Return the pictures of one item of a list: itself, or the entries of the named list."""
    if item.startswith("#"):
        yield from lists.get(item[1:]) or ()
    else:
        yield item


def _expect_list(name: str, lists: ListNames) -> None:
    if not LIST_NAME.fullmatch(name):
        raise ValueError(f'"#{name}" is not the name of a list: write 1 to 64 letters, digits, _ and -')
    if name not in lists:
        raise ValueError(f'no list is named "#{name}": write its entries into Settings/lists/{name}.txt, one a line')


def _networks(entries: Sequence[str]) -> Matcher:
    """Compile addresses and networks (`10.0.0.0/8`); a picture is compared with the address as text. Raises ValueError."""
    networks = list[ipaddress.IPv4Network | ipaddress.IPv6Network]()
    others = list[str]()
    for entry in entries:
        if "/" not in entry and "*" in entry:
            others.append(entry)
            continue
        try:
            networks.append(ipaddress.ip_network(entry.strip(), strict=False))
        except ValueError:
            raise ValueError(f'"{entry}" is neither an address nor a network: write 192.0.2.4 or 10.0.0.0/8') from None
    fits = pictures.matcher(others)

    def inside(text: str) -> bool:
        address = ipaddress.ip_address(text)
        return any(address in network for network in networks) or fits(text)

    return inside


def _number(test: Test, text: str) -> tuple[Holds, Seen]:
    value = NUMBERS[test.data](test)
    compare = COMPARE[test.operation]
    limit = float(Size.parse(test.parameter)) if test.data == "size" else _plain(test.parameter)

    def holds(view: View) -> bool:
        found = value(view)
        return found is not None and compare(found, limit)

    def failed(view: View) -> str:
        found = value(view)
        return f"{text} ({'it has none' if found is None else f'it is {found:g}' if test.data == 'score' else f'it is {found:.0f}'})"

    return holds, failed


def _plain(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not abs(found) < 1e15:  # also false for what is not a number
        raise ValueError(f'"{text}" is not a number')
    return found


def _clock(test: Test, text: str) -> tuple[Holds, Seen]:
    kind = BY_WORD[test.data].kind
    assert kind in ("date", "day", "time")

    def failed(view: View) -> str:
        return f"{text} ({_seen(clock.shown(kind, view.facts.time)[-1:])})"

    if test.operation in ("less than", "greater than"):
        limit = clock.point(kind, test.parameter)
        if test.operation == "less than":
            return (lambda view: clock.key_of(kind, view.facts.time) < limit), failed
        return (lambda view: clock.key_of(kind, view.facts.time) > limit), failed
    fits = pictures.one(test.parameter) if test.operation == "is" else pictures.matcher(pictures.items(test.parameter))
    return (lambda view: any(fits(fold(form)) for form in clock.shown(kind, view.facts.time))), failed
