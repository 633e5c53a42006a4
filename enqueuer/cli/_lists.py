"""Print the messages of a folder, one line each, as they are read: a table would need all of them first."""

import shutil
import sys
from collections.abc import Iterable
from typing import Any

from enqueuer.cli._common import fold, printable
from enqueuer.cli._when import end_of_hold
from filterlink.config.units import show_seconds, show_size

__all__ = ["messages"]

TO = 24
SUBJECT = 30
"""Columns of recipient and subject. A longer text is cut, but only on a terminal."""
WIDE = 110
"""Columns of a terminal on which the list also shows subjects."""


def messages(found: Iterable[dict[str, Any]], folder: str) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    count = 0
    for count, entry in enumerate(found, 1):
        if count == 1:
            print(_head(folder, width))
        print(fold(_line(entry, folder, width), 4))
    print(f"{count} in {folder}", file=sys.stderr)


def _head(folder: str, width: int) -> str:
    state = f"{'STATE':<9} " if folder == "Queue" else ""
    subject = f"{'SUBJECT':<{SUBJECT}} " if _with_subject(folder, width) else ""
    return f"{'ID':<16} {'AGE':>6} {'SIZE':>6} {state}{'TO':<{TO}} {subject}SENDER"


def _line(entry: dict[str, Any], folder: str, width: int) -> str:
    state = f"{entry['state']:<9} " if folder == "Queue" else ""
    subject = f"{_column(entry['subject'], SUBJECT, width)} " if _with_subject(folder, width) else ""
    sender = entry["drop"] if entry["sender"] is None else f"<{entry['sender']}>"
    why = f"  {entry['why']['reason']}" if entry["why"].get("reason") else ""
    if entry["state"] == "on_hold":
        why += f", until {end_of_hold(entry['why'].get('until'))}" if why else f"  until {end_of_hold(entry['why'].get('until'))}"
    facts = f"{show_seconds(entry['age_s']):>6} {show_size(entry['size']):>6} {state}{_to(entry['recipients'], width)}"
    return f"{entry['id']:<16} {facts} {subject}{printable(f'{sender}{why}')}"


def _with_subject(folder: str, width: int) -> bool:
    return folder != "Queue" and (not width or width >= WIDE)


def _to(recipients: list[str], width: int) -> str:
    """Return the first recipient, and how many more there are."""
    more = f" +{len(recipients) - 1}" if len(recipients) > 1 else ""
    return _column(recipients[0] if recipients else "", TO - len(more), width, more)


def _column(text: str, columns: int, width: int, more: str = "") -> str:
    """Return a text padded to this many columns, with `more` right behind it."""
    shown = printable(text)
    if width and len(shown) > columns:
        shown = shown[: columns - 1] + "~"
    return f"{shown + more:<{columns + len(more)}}"
