"""Say in words who gets a message, what it is about, and why it was stopped, for the commands that show one message."""

from collections.abc import Iterator
from typing import Any

from enqueuer.cli._when import end_of_hold
from filterlink.config.units import show_short

__all__ = ["details"]

MAX_RECIPIENTS = 20
_SHOWN = ("id", "fate", "sender", "recipients", "recipient_count", "message_id", "subject")
"""Keys of a .why that the page does not repeat: it shows them from the message itself."""


def details(document: dict[str, Any]) -> Iterator[tuple[str, list[object]]]:
    """Yield names and values, one line a value. A .why may be of an older engine, or changed by hand."""
    why = document["why"]
    for key in ("reason", "filter", "rule"):
        if why.get(key) is not None:
            yield key, _list(why[key])
    if document["sender"] is not None:
        yield "from", [f"<{document['sender']}>"]
    if document["recipients"]:
        yield "to", [_recipients(document["recipients"])]
    for name, key in (("subject", "subject"), ("message-id", "message_id")):
        if document[key]:
            yield name, [document[key]]
    verdicts = [each for each in _list(why.get("verdicts") or []) if isinstance(each, dict)]
    if verdicts:
        yield "verdict", [_verdict(each) for each in verdicts]
    for key, value in why.items():
        if (
            value is None
            or key in (*_SHOWN, "reason", "filter", "rule", "verdicts")
            or (key == "log" and (document.get("log") or (verdicts and _repeats(value, verdicts))))
        ):
            continue
        if key == "until":
            yield "until", [end_of_hold(value)]
        elif key == "action" and isinstance(value, list):
            yield "action", [" ".join(map(str, value))]
        elif key == "delay_s" and isinstance(value, int | float):
            yield "delay", [f"{show_short(value)} from its arrival to this decision"]
        else:
            yield str(key), _list(value)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _recipients(found: list[str]) -> str:
    more = f" and {len(found) - MAX_RECIPIENTS} more" if len(found) > MAX_RECIPIENTS else ""
    return ", ".join(f"<{each}>" for each in found[:MAX_RECIPIENTS]) + more


def _verdict(found: dict[str, Any]) -> str:
    """Return a verdict as `Spam said ERROR, score 12.3/15, after 0.02 s: spam`."""
    score = f", score {found['score']}" if found.get("score") else ""
    seconds = found.get("seconds")
    after = f", after {show_short(seconds)}" if isinstance(seconds, int | float) else ""
    text = f": {found['text']}" if found.get("text") else ""
    return f"{found.get('filter')} said {found.get('answer')}{score}{after}{text}"


def _repeats(log: object, verdicts: list[dict[str, Any]]) -> bool:
    """Return whether the log lines of a .why say no more than its verdicts."""
    return log == [f"{each.get('filter')}: {each.get('answer')} {each.get('text')}".strip() for each in verdicts]
