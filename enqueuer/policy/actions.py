"""Compile the actions of a rule: each becomes a step of the walk. Pure.

A step changes the branch, or ends it with an outcome. Nothing is sent or written here: effects on others (copies, new messages, lists) are
part of the outcome, and follow with it. An effect whose mark is in `facts.done` was carried out before, and is skipped.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from enqueuer.policy import clock, verdicts
from enqueuer.policy.branch import Branch
from enqueuer.policy.macros import expand
from enqueuer.policy.outcome import Copy, Disposition, Letter, Remembered, RuleOutcome, mark
from enqueuer.policy.pictures import LIST_NAME
from enqueuer.policy.subjects import is_tagged, subject_of
from enqueuer.policy.view import View
from enqueuer.queue.directory.names import is_module
from enqueuer.queue.message.header import MAX_ADDRESS, addresses
from enqueuer.queue.message.oneline import encoded_words
from filterlink.config.settings import Filter
from filterlink.config.units import Seconds

__all__ = ["MAKERS", "Action", "ActionContext", "list_of", "module_of"]

MAX_ADDRESSES = 100
"""Addresses of one action."""
_FIELD_NAME = re.compile(r"[!-9;-~]{1,70}")
_MODULE = re.compile(r"([A-Z][A-Z0-9_-]{0,31})(?:\(([^()\s]{1,200})\))?")
_FIELDS = re.compile(r"\\e|\r?\n(?![ \t])")
"""What separates the fields of one Add Header: a line end, or the \\e of the helper protocol."""
Action = Callable[[Branch, View], RuleOutcome | None]
"""None: the walk goes on."""


class ActionContext(msgspec.Struct, frozen=True):
    """What an action may name."""

    rule: str
    words: tuple[str, ...]
    """All words of the action."""
    filters: Mapping[str, Filter]
    execute: str = ""
    """The name of the hidden filter that runs the program of Execute; "" = the rule is off."""

    @property
    def mark(self) -> bytes:
        return mark(self.rule, *self.words)


def _external_filter(word: str, context: ActionContext) -> Action | None:
    """Ask the filter once, and act on its verdict; a disabled filter does nothing."""
    filter = _filter(word, context.filters)
    return (lambda branch, view: verdicts.apply(branch, view, filter, context.rule)) if filter.enabled else None


def _filter(name: str, filters: Mapping[str, Filter]) -> Filter:
    known = {each: filter for each, filter in filters.items() if not each.startswith("#")}
    if name not in known:
        raise ValueError(
            f'no filter is named "{name}"; ' + (f"known filters: {_quoted(known)}" if known else "add a [[filters]] table with this name")
        )
    return known[name]


def _quoted(names: Mapping[str, object]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _execute(_word: str, context: ActionContext) -> Action | None:
    if not context.execute:
        return None
    filter = context.filters[context.execute]
    return lambda branch, view: verdicts.apply(branch, view, filter, context.rule)


def _stop(_word: str, context: ActionContext) -> Action:
    return lambda branch, _view: branch.passed(context.rule)


def _discard(_word: str, context: ActionContext) -> Action:
    """End the walk. A message that was redirected goes to its new recipients."""

    def act(branch: Branch, _view: View) -> RuleOutcome:
        if branch.redirected:
            return branch.passed(context.rule)
        return branch.ended(Disposition.DISCARDED, f"rule {context.rule}", context.rule)

    return act


def _ending(disposition: Disposition, default: str) -> Callable[[str, ActionContext], Action]:
    def make(word: str, context: ActionContext) -> Action:
        text = word or default
        report = disposition is Disposition.REJECTED
        return lambda branch, view: branch.ended(disposition, expand(text, view), context.rule, action=context.words, report=report)

    return make


def _hold_until(word: str, context: ActionContext) -> Action:
    when = clock.until(word)
    return _hold(lambda view: when(view.facts.now, view.facts.zone), context)


def _hold_for(word: str, context: ActionContext) -> Action:
    if not word:
        return _hold(lambda _view: 0.0, context)
    try:
        seconds = Seconds.parse(word)
    except ValueError:
        seconds = Seconds(0)
    if not 1 <= seconds <= 10 * 365 * 86400:
        raise ValueError(
            f'"{word:.60}": write a duration of 1s to 3650d, e.g. "2h", or leave it out: the message waits until it is released'
        )
    return _hold(lambda view: view.facts.now + seconds, context)


def _hold(until: Callable[[View], float], context: ActionContext) -> Action:
    def act(branch: Branch, view: View) -> RuleOutcome:
        return branch.ended(Disposition.ON_HOLD, f"rule {context.rule}", context.rule, action=context.words, until=until(view))

    return act


def _add_header(word: str, _context: ActionContext) -> Action:
    fields = tuple(_split_field(text) for text in _FIELDS.split(word) if text.strip())
    if not fields:
        raise ValueError('write a field, e.g. ["Add Header", "X-Checked: yes"]')

    def act(branch: Branch, view: View) -> None:
        branch.add_fields(tuple(b"%s: %s" % (name, encoded_words(expand(value, view))) for name, value in fields))

    return act


def _split_field(text: str) -> tuple[bytes, str]:
    name, colon, value = text.partition(":")
    name = name.strip()
    value = value.strip()
    if not colon or not _FIELD_NAME.fullmatch(name) or not value.isprintable() or len(text) > 900:
        raise ValueError(f'"{text:.60}" is not a header field: write "Name: value" in one line of at most 900 characters')
    return name.encode("ascii"), value


def _tag_subject(word: str, _context: ActionContext) -> Action:
    tag = word.strip()
    if not tag or not tag.isprintable() or len(tag) > 100:
        raise ValueError('write a text of 1 to 100 printable characters, e.g. ["Tag Subject", "[EXTERNAL]"]')

    def act(branch: Branch, view: View) -> None:
        if tag not in branch.tags and not is_tagged(subject_of(view.facts.lines.values("subject")), tag):
            branch.tags += (tag,)

    return act


def _addresses(word: str) -> tuple[bytes, ...]:
    """Read a list of addresses. Raises ValueError."""
    found = tuple(dict.fromkeys(addresses(word.encode("utf-8", "replace"))))
    wrong = [each for each in found if b"@" not in each or each.startswith((b"-", b"@")) or each.endswith(b"@") or len(each) > MAX_ADDRESS]
    if not found or wrong or len(found) > MAX_ADDRESSES:
        what = f'"{wrong[0].decode("utf-8", "replace"):.60}" is not an address' if wrong else f"{len(found)} addresses"
        raise ValueError(f"{what}: write 1 to {MAX_ADDRESSES} addresses, e.g. ann@example.com, bob@example.com")
    return found


def _mirror(word: str, context: ActionContext) -> Action:
    copies = tuple(Copy(context.rule, address) for address in _addresses(word))

    def act(branch: Branch, _view: View) -> None:
        branch.copies += copies

    return _once(act, context)


def _redirect(word: str, _context: ActionContext) -> Action:
    found = _addresses(word)

    def act(branch: Branch, _view: View) -> None:
        branch.redirected = tuple(dict.fromkeys((*branch.redirected, *found)))

    return act


def _forward(word: str, context: ActionContext) -> Action:
    letter = Letter("forward", context.rule, _addresses(word), mark=context.mark)

    def act(branch: Branch, view: View) -> None:
        if not view.facts.made_by(context.rule):  # two such rules would make two messages of each new one
            branch.letters += (letter,)

    return _once(act, context)


def _reply(word: str, context: ActionContext) -> Action:
    if not word.removeprefix("+").strip():
        raise ValueError('write the text of the answer; "+" before it: it begins with header lines and an empty line')

    def act(branch: Branch, view: View) -> None:
        if view.facts.answerable:
            text = expand(word, view)
            if text.startswith("+") and not word.startswith("+"):  # a macro must not begin header lines
                text = " " + text
            branch.letters += (Letter("reply", context.rule, (view.facts.sender,), text, mark=context.mark),)

    return _once(act, context)


def _route(word: str, _context: ActionContext) -> Action:
    module, queue = module_of(word)

    def act(branch: Branch, _view: View) -> None:
        branch.module = module
        branch.queue = queue

    return act


def module_of(word: str) -> tuple[str, str]:
    """Read `MODULE` or `MODULE(queue)`. Raises ValueError."""
    match = _MODULE.fullmatch(word)
    if match is None or not is_module(match[1]):
        raise ValueError(f'"{word:.60}" is not a module: write capital letters, digits, - and _, e.g. "OUT" or "SMTP(relay.example.com)"')
    return match[1], match[2] or ""


def _remember(word: str, context: ActionContext) -> Action:
    name = list_of(word)

    def act(branch: Branch, view: View) -> None:
        if view.facts.reportable:
            branch.remembered += tuple(Remembered(name, each.encode()) for each in view.facts.addresses("from")[:1])

    return _once(act, context)


def list_of(word: str) -> str:
    """Return the name in `#name`. Raises ValueError."""
    if not word.startswith("#") or not LIST_NAME.fullmatch(word[1:]):
        raise ValueError(f'"{word:.60}" is not a list: write # and 1 to 64 letters, digits, _ and -, e.g. "#known"')
    return word[1:]


def _write_to_log(word: str, context: ActionContext) -> Action:
    if not word.strip():
        raise ValueError("write a text")

    def act(branch: Branch, view: View) -> None:
        branch.texts += ((context.rule, expand(word, view)[:1000]),)

    return _once(act, context)


def _once(act: Callable[[Branch, View], None], context: ActionContext) -> Action:
    """Skip an effect that was carried out with an earlier part of this message; note its mark otherwise."""
    done = context.mark

    def step(branch: Branch, view: View) -> None:
        if done not in view.facts.done:
            act(branch, view)
            branch.done += (done,)

    return step


MAKERS: Mapping[str, Callable[[str, ActionContext], Action | None]] = {
    "ExternalFilter": _external_filter,
    "Stop Processing": _stop,
    "Discard": _discard,
    "Reject with": _ending(Disposition.REJECTED, "the message is not accepted here"),
    "Quarantine": _ending(Disposition.QUARANTINED, "a rule keeps it in quarantine"),
    "Hold until": _hold_until,
    "Hold for": _hold_for,
    "Add Header": _add_header,
    "Tag Subject": _tag_subject,
    "Mirror to": _mirror,
    "Redirect To": _redirect,
    "Forward to": _forward,
    "Route to": _route,
    "Reply with": _reply,
    "Execute": _execute,
    "Remember 'From' in": _remember,
    "Write To Log": _write_to_log,
}
"""For each action of vocabulary.py: its parameter and context -> a step; None: it does nothing."""
