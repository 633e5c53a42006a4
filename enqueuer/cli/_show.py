"""Print listings for people: tables by rich, plain where there is no terminal. This module asks and changes nothing.

The first lines answer an administrator's first questions at night: does it run, is it stuck, and on what?
"""

import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from enqueuer.cli._common import account, fold, printable
from enqueuer.cli._details import details
from enqueuer.cli._doorview import door_lines
from enqueuer.cli._stops import count_of
from enqueuer.cli._where import sentences
from enqueuer.ipc.timings import SAMPLE
from filterlink.config.units import say_size, show_seconds, show_short

__all__ = ["filters", "message", "status", "steps"]

MAX_TASKS = 20
"""Busy processors shown, the longest busy one first: hanging ones are at the top, and the page stays short."""
MAX_PIDS = 3
TOO_FEW = 20
"""Timed messages; below this number the output says that the times are chance."""
WIDTH = 200
"""Columns if the output is not a terminal: nothing is folded or cut for a file or a pipe."""
COLOURS = {
    "running": "green",
    "ready": "green",
    "starting": "yellow",
    "draining": "yellow",
    "restarting": "yellow",
    "stalled": "bold red",
    "failed": "bold red",
    "disabled": "dim",
}


def status(document: dict[str, Any]) -> None:
    """Print the whole status on one page."""
    console = _console()
    _head(console, document)
    _stops(console, document.get("stops", []))
    console.print(_flow(document))
    _tasks(console, document["processors"])
    if document["filters"]:
        console.print()
        _print_filters(console, document["filters"])
    console.print()
    console.print(_counts("Since start", document["totals"]))
    if wrong := document.get("unaccounted"):
        console.print(f"{wrong} messages are unaccounted for; the log names them", style="bold red")


def steps(document: dict[str, Any]) -> None:
    """Print the time of each step, in microseconds a message that came in."""
    console = _console()
    count = document["totals"]["received"] + document["totals"]["returned"]
    console.print()
    if not count:
        console.print("no message yet, so there is no time to show")
        return
    table = _table("PROCESS", "STEP", "MICROSECONDS A MESSAGE", "CPU", right=("MICROSECONDS A MESSAGE", "CPU"))
    for one in document["steps"]:
        table.add_row(one["process"], one["step"], *(f"{one[key] * 1e6 / count:.1f}" for key in ("wall_s", "cpu_s")))
    console.print(table)
    if count < TOO_FEW * SAMPLE:
        console.print(f"only one message in {SAMPLE} is timed: {count} messages are too few for reliable times")


def filters(found: list[dict[str, Any]]) -> None:
    if found:
        _print_filters(_console(), found)
    else:
        print("no filters are configured")


def message(document: dict[str, Any]) -> None:
    """Print state, reason, lines of the log, envelope and header."""
    facts = [document["state"]]
    if document["size"] is not None:
        facts += [say_size(document["size"]), f"{show_seconds(document['age_s'])} old"]
    print(f"{document['id']}  {', '.join(facts)}")
    if "now" in document:
        _fields("now", sentences(document["now"], document["state"], document["id"]))
    if "ended" in document:
        _fields("ended", _ended(document))
    elif document.get("files"):
        _fields("also", [f"for other recipients, to be delivered: {', '.join(document['files'])}"])
    if document["dropper"] is not None:
        _fields("dropped", [account(document["dropper"])])
    for name, values in details(document):
        _fields(name, values)
    _fields("log", document.get("log", ()))
    for part in ("envelope", "header"):
        if document[part]:
            print()
        for line in document[part]:
            print(fold(printable(line.replace("\t", "    ")), 4))


def _ended(document: dict[str, Any]) -> Iterator[str]:
    """Say how and when a message left the queue, and where its files are."""
    ended = document["ended"]
    if ended["time"]:
        yield f"at {ended['time']}: {ended['reason']}"
    elif not document["files"]:
        yield "the log has lines about it, but none that says how it ended: that line may be too old, or lost"
    if document["files"]:
        yield f"to be delivered: {', '.join(document['files'])}"
    elif document["state"] == "enqueued":
        yield "another program has taken it from its module queue"
    elif document["state"] in ("quarantined", "bad"):
        yield "its file is there no longer: another program, or the administrator, has removed it"


def _fields(name: str, values: Iterable[object]) -> None:
    """Print a line for each value."""
    for value in values:
        print(fold(f"{printable(name):>10}: {printable(str(value))}", 12))


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDTH)


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def _coloured(state: str) -> Text:
    return Text(printable(state), COLOURS.get(state, ""))


def _head(console: Console, document: dict[str, Any]) -> None:
    title = Text.assemble(("Enqueuer ", "bold"), printable(document["version"]), "  ", _coloured(document["state"]))
    title.append(f"  up {show_seconds(document['uptime_s'])}, pid {document['pid']}, {printable(document['base'])}")
    console.print(title)
    for each in document.get("failing", ()):
        text = f"The {each['process']} fails at every start, {each['times']} times so far: {each['last']}; the log in SystemLogs says why"
        console.print(Text(printable(text), "red"))
    if error := document["config"]["error"]:
        console.print(Text(f"The config file was refused, the last good one is active: {printable(error)}", "bold red"))
    elif waiting := document["config"].get("waiting"):
        console.print(Text(f"The config file has changed, the old one is still active: {printable(waiting)}", "yellow"))
    console.print()


def _stops(console: Console, found: list[dict[str, str]]) -> None:
    """Print what stops mail, and what to do about it."""
    if not found:
        return
    console.print(Text("What stops mail:", "bold red"))
    for each in found:
        console.print(Padding(Text(printable(each["what"]), "red"), (0, 0, 0, 2), expand=False))
        console.print(Padding(Text(printable(each["do"])), (0, 0, 0, 4), expand=False))
    console.print()


def _backlog(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the lines about the folders that others empty."""
    backlog = document.get("backlog")
    if backlog is None:
        return
    for module, found in backlog["outbound"].items():
        yield f"Outbound {module}", _counted(found)
    for name in ("quarantine", "bad"):
        yield name.title(), _counted(backlog[name])


def _counted(found: dict[str, Any]) -> str:
    if found["error"]:
        return f"cannot be read: {found['error']}"
    count = f"{'' if found['complete'] else 'at least '}{count_of(found['count'])}" if found["count"] else "empty"
    return count if found["oldest_s"] is None else f"{count}, the oldest for {show_seconds(found['oldest_s'])}"


def _flow(document: dict[str, Any]) -> Table:
    """Return a table of where messages are: a line for each stage."""
    queue = document["queue"]
    lanes = document["lanes"]
    table = Table(box=None, pad_edge=False, show_header=False)
    oldest = "" if queue["oldest_waiting_s"] is None else f", the oldest for {show_seconds(queue['oldest_waiting_s'])}"
    deferred = "" if queue["oldest_deferred_s"] is None else f", the oldest for {show_seconds(queue['oldest_deferred_s'])}"
    on_hold = f", {queue['on_hold']} on hold" if queue["on_hold"] else ""
    rows = {
        "Submitted": f"{document['spool']['waiting']} not taken yet",
        "Queue": f"{queue['waiting']} waiting{oldest}, {queue['active']} active, {queue['parked']} parked,"
        f" {queue['deferred']} deferred{deferred}{on_hold}",
        "Small": f"{lanes['small']['waiting']} waiting, {lanes['small']['active']} active",
        "Large": f"{lanes['large']['waiting']} waiting, {lanes['large']['active']} active of at most {lanes['large']['limit']}",
        "Processors": _pool(document["processors"]),
        **dict(_backlog(document)),
    }
    for name, text in (*rows.items(), *door_lines(document.get("doors", []))):
        table.add_row(Text(name, "dim"), Text(text, "yellow" if name == "Queue" and queue["deferred"] else ""))
    return table


def _pool(pool: dict[str, Any]) -> str:
    leaving = f", {pool['leaving']} leaving" if pool["leaving"] else ""
    auto = f" (auto, {pool['auto']['min']} to {pool['auto']['max']})" if pool.get("auto") else ""
    return f"{pool['running']} of {pool['configured']}{auto} running, {pool['busy']} busy{leaving}"


def _tasks(console: Console, pool: dict[str, Any]) -> None:
    """Print the work of busy processors, the longest busy one first."""
    busy = sorted((task for task in pool["tasks"] if task["state"] != "idle"), key=lambda task: -task["since_s"])
    if not busy:
        return
    table = _table("", "PROCESSOR", "PID", "DOES", "FOR", "MESSAGE", right=("PROCESSOR", "PID", "FOR"))
    for task in busy[:MAX_TASKS]:
        does = f"{task['state']} {task['filter']}" if task.get("filter") else task["state"]
        row = (task["id"], task["pid"], does, show_seconds(task["since_s"]), task.get("message") or "")
        table.add_row("", *(Text(printable(str(cell))) for cell in row))
    console.print(table)
    if len(busy) > MAX_TASKS:
        console.print(Text(f"  and {len(busy) - MAX_TASKS} more", "dim"))


def _print_filters(console: Console, found: list[dict[str, Any]]) -> None:
    """Print a table, and below it the errors. If the terminal is too narrow for the table, print some lines for each filter."""
    table = _filters(found)
    if console.measure(table, options=console.options.update(width=WIDTH)).maximum > console.width:
        for one in found:
            console.print(_narrow(one))
    else:
        console.print(table)
    for one in found:
        if one["last_error"] and not one["unavailable_since"]:
            console.print(Text(printable(f"{one['name']}, last error{_ago(one.get('last_error_at'))}: {one['last_error']}"), "red"))


def _ago(when: str | None) -> str:
    """Return how long ago a time of a document was, as ` 3 min ago`; "" if it is not known."""
    return f" {show_seconds(max(0.0, time.time() - datetime.fromisoformat(when).timestamp()))} ago" if when else ""


def _filters(found: list[dict[str, Any]]) -> Table:
    numbers = ("IN WORK", "PARKED", "ANSWERED", "RESTARTS", "MEDIAN", "P99")
    table = _table("FILTER", "STATE", "PIDS", *numbers, right=numbers)
    for one in found:
        counts = (str(one[key]) for key in ("in_flight", "parked", "answered", "restarts"))
        table.add_row(Text(printable(one["name"])), _coloured(one["state"]), _pids(one["pids"]), *counts, *_times(one))
    return table


def _narrow(one: dict[str, Any]) -> Text:
    text = Text.assemble((printable(one["name"]), "bold"), "  ", _coloured(one["state"]))
    text.append(f", pids {_pids(one['pids'])}" if one["pids"] else "")
    text.append(f"\n  {one['in_flight']} being scanned, {one['parked']} parked, {one['answered']} answered, {one['restarts']} restarts")
    median, p99 = _times(one)
    return text.append(f"\n  median {median}, p99 {p99 or '-'}" if median else "")


def _pids(pids: list[int]) -> str:
    """Return the first pids: a filter may have 64 helpers."""
    return ", ".join(map(str, pids[:MAX_PIDS])) + (f" and {len(pids) - MAX_PIDS} more" if len(pids) > MAX_PIDS else "")


def _times(one: dict[str, Any]) -> tuple[str, str]:
    """Return median and p99 of a filter's answers; nothing if there was no answer."""
    median, p99 = ("" if one[key] is None else show_short(one[key]) for key in ("median_s", "p99_s"))
    return median, p99


def _counts(title: str, counts: dict[str, int]) -> Text:
    line = Text(f"{title}: ", "dim")
    line.append(", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no message yet", "default")
    return line
