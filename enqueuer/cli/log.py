"""`enqueuer log`: show, search and follow the Server Log. It reads the disk and needs no engine."""

import os
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, enter, fail, fold, help, printable, stream
from enqueuer.cli._meant import drop_id, is_drop, message_id
from enqueuer.cli._when import span
from filterlink.config.settings import LEVELS

if TYPE_CHECKING:
    from enqueuer.log.entries import LogEntry, LogQuery
    from enqueuer.log.reading import LogFolder

__all__ = ["add_to"]

TEXT = """Reads the logs of all days, compressed or not. Prints the lines that meet all conditions, in order of time. Without a
condition it prints the last 50 lines, else all lines that it finds. -n N prints only the last N of them. Upper and lower case
count as the same. TEXT is plain text, not a pattern. Needs no engine.

\b
A line:  2026-11-28 14:30:00.123 2 QUEUE([17]) enqueued: OUT(1)
         day        time         level tag     text
Levels:  0 crashes, 1 failures, 2 major, 3 problems, 4 low-level, 5 all

TIME is a duration (10m, 2h, 3d: this long ago), a time of today (14:30), a day (2026-11-28, today, yesterday), or both
("2026-11-28 14:30"). --until includes the day, minute or second that it names.

Exit codes: 0 success, also if no line was found; 74 a file could not be read to its end (all others were)."""
EXAMPLES = (
    "enqueuer log -f",
    "enqueuer log bob@example.com --messages",
    "enqueuer log --problems --since yesterday",
    "enqueuer log --tag QUEUE --since 14:00 --until 14:30 quarantined",
)
LAST = 50
"""Lines that are shown if there is no condition."""
MOST = 100_000
"""The largest -n: these lines are kept in memory."""
MOST_MESSAGES = 10_000
"""The most messages that --messages shows."""
POLL = 0.25
"""Seconds between two searches for new lines."""
COLOURS = {0: "1;31", 1: "1;31", 3: "33"}
"""Level -> colour on a terminal."""


def add_to(app: typer.Typer) -> None:
    app.command("log", **help("Show, search or follow the log.", *EXAMPLES, text=TEXT))(_log)


def _log(
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Only lines that contain this text. Several texts: all of them.")
    ] = None,
    lines: Annotated[int | None, typer.Option("-n", "--lines", min=0, max=MOST, metavar="N", help="Print the last N lines.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Print the last lines (-n: 10), then each new line, until ^C.")] = False,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Only lines about this message (id, or name of the drop).")] = None,
    tag: Annotated[str, typer.Option("--tag", metavar="TAG", help="Only lines with this tag, e.g. ENQUEUER. QUEUE: any message.")] = "",
    level: Annotated[
        str | None, typer.Option("--level", metavar="LEVEL", help="Only lines of this level (word or digit) or more serious ones.")
    ] = None,
    problems: Annotated[bool, typer.Option("--problems", help="Only lines that report a problem: levels 0, 1 and 3.")] = False,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only lines from this time on.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only lines up to this time.")] = None,
    messages: Annotated[bool, typer.Option("--messages", help="Print all lines of each message that has such a line.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document: an array with an object for each line. With -f: one object a line.")
    ] = False,
    base: Base = None,
) -> int:
    from enqueuer.log.reading import ALL, LogFolder

    enter(base)
    log = LogFolder(Path("SystemLogs"))
    query = _query(text or [], id, tag, _levels(level, problems), since, until)
    if messages and (follow or query == ALL):
        fail("--messages needs a condition, e.g. a recipient, and does not go with --follow", exits.USAGE)
    if follow:
        _follow(log, query, 10 if lines is None else lines, json)
    if messages:
        query = _whole_messages(log, query)
    if lines is None and query == ALL:
        lines = LAST
    _print(log.entries(query) if lines is None else log.last(query, lines), json)
    for name, why in log.damaged.items():
        print(f"enqueuer log: {name} could not be read to its end: {printable(why)}", file=sys.stderr)
    return exits.IOERR if log.damaged else exits.OK


def _query(text: list[str], id: str | None, tag: str, levels: frozenset[int], since: str | None, until: str | None) -> "LogQuery":
    from enqueuer.log.entries import LogQuery

    now = datetime.now()
    query = LogQuery(texts=tuple(printable(each) for each in text if each), tag=tag, levels=levels)
    if id is not None:
        found = drop_id(id) if is_drop(id) else message_id(id)
        if isinstance(found, str):
            fail(found, exits.NOINPUT)
        query = query._replace(ids=frozenset({found}))
    if since is not None:
        query = query._replace(since=span(since, now, "--since")[0])
    if until is not None:
        query = query._replace(before=span(until, now, "--until")[1])
    return query


def _levels(level: str | None, problems: bool) -> frozenset[int]:
    from enqueuer.log.entries import LEVEL_DIGITS, PROBLEMS

    if level is None:
        return PROBLEMS if problems else frozenset(LEVEL_DIGITS.values())
    digit = int(level) if level in "012345" and len(level) == 1 else LEVEL_DIGITS.get(level.lower())
    if digit is None:
        raise typer.BadParameter(
            f"{printable(level)!r} is not a level: write one of {', '.join(LEVELS)}, or a digit from 0 to 5", param_hint="--level"
        )
    found = frozenset(range(digit + 1))
    return found & PROBLEMS if problems else found


def _whole_messages(log: "LogFolder", query: "LogQuery") -> "LogQuery":
    """Return the query for all lines of each message that has a line of this query. Raises CommandFailure if there are too many."""
    from enqueuer.log.entries import LogQuery

    ids: set[int] = set()
    for entry in log.entries(query):
        if entry.id is not None:
            ids.add(entry.id)
            if len(ids) > MOST_MESSAGES:
                fail(f"more than {MOST_MESSAGES} messages were found: add a condition, e.g. --since 1h", exits.DATAERR)
    return LogQuery(ids=frozenset(ids))


def _print(entries: "Iterable[LogEntry]", json: bool) -> None:
    if json:
        stream(entry.in_json() for entry in entries)
        return
    found = False
    for entry in entries:
        found = True
        _print_one(entry, json)
    if not found:
        print("no line was found", file=sys.stderr)


def _print_one(entry: "LogEntry", json: bool) -> None:
    if json:
        sys.stdout.write(entry.in_json() + "\n")
        return
    colour = COLOURS.get(entry.level) if entry.tag and sys.stdout.isatty() and not os.environ.get("NO_COLOR") else None
    for line in entry.shown():
        folded = fold(line, 4)
        sys.stdout.write(f"\x1b[{colour}m{folded}\x1b[0m\n" if colour else f"{folded}\n")


def _follow(log: "LogFolder", query: "LogQuery", lines: int, json: bool) -> NoReturn:
    """Print the last lines, then each new line. It does not return."""
    from enqueuer.log.following import LogFollower

    follower = LogFollower(log)
    last = log.last(query, lines)
    new = list(follower.entries(query))
    # lines that came between the two calls are in both lists
    both = next((count for count in range(min(len(last), len(new)), 0, -1) if last[-count:] == new[:count]), 0)
    for entry in [*last, *new[both:]]:
        _print_one(entry, json)
    while True:
        sys.stdout.flush()
        time.sleep(POLL)
        for entry in follower.entries(query):
            _print_one(entry, json)
