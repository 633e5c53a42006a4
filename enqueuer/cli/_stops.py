"""What stops mail, from the status document: one sentence for each stop, and what to do about it. Pure.

docs/stuck-queue.md has the same stops in one table.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from filterlink.config.units import show_seconds

__all__ = ["LATE", "count_of", "stops"]

LATE = 600.0
"""Seconds after which a message in a module queue shows that no program empties it."""
DOING = {
    "queue_limit": "Find out what keeps the mail in the queue, or raise enqueuer.queue_limit.",
    "the drop folder": "Give the engine's account the right to read Submitted/, or repair the disk.",
}
FREE = "Free space on the disk, or lower spool.min_free."
Stop = dict[str, str]


def count_of(count: int) -> str:
    """Return "1 message", "2 messages"."""
    return f"{count} message{'' if count == 1 else 's'}"


def stops(document: dict[str, Any], now: float) -> list[Stop]:
    """Return what stops mail now: `what` it is, and what to `do`, both as text. `now`: seconds since 1970."""
    found = (*_intake(document), *_filters(document, now), *_outbound(document), *_stuck(document))
    return [{"what": what, "do": do} for what, do in found]


def _intake(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if paused := document["intake"]["paused"]:
        yield f"No new mail is taken: {paused}", next((do for begin, do in DOING.items() if paused.startswith(begin)), FREE)


def _filters(document: dict[str, Any], now: float) -> Iterator[tuple[str, str]]:
    for one in document["filters"]:
        if not one["unavailable_since"]:
            continue
        since = show_seconds(max(0.0, now - datetime.fromisoformat(one["unavailable_since"]).timestamp()))
        waiting = one["parked"] + one["in_flight"]
        mail = f"; {_messages(waiting)} for it" if waiting else ""
        if one["state"] == "stalled":
            yield (
                f"Filter {one['name']} has not answered for {since} (stalled){mail}",
                "Look at the process of its program, and at its server. After its timeout the engine restarts the process.",
            )
        else:
            error = f": {one['last_error']}" if one["last_error"] else ""
            yield (
                f"Filter {one['name']} has been unavailable for {since} ({one['state']}){mail}{error}",
                "Start its server or correct its program line. Deferred mail then returns by itself.",
            )


def _outbound(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for module, found in document.get("backlog", {}).get("outbound", {}).items():
        if found["oldest_s"] is not None and found["oldest_s"] > LATE:
            yield (
                f"Module queue {module} is not emptied: {count_of(found['count'])}, the oldest for {show_seconds(found['oldest_s'])}",
                "Start the program that takes messages from there.",
            )


def _messages(waiting: int) -> str:
    return f"{count_of(waiting)} wait{'s' if waiting == 1 else ''}"


def _stuck(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for each in document["spool"]["stuck"]:
        files = f"File {each['example']} is" if each["count"] == 1 else f"{each['count']} files, {each['example']} among them, are"
        yield f"{files} not taken from the drop folder: {each['why']}", "Rename the file, or remove it."
