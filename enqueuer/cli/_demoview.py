"""Show `enqueuer demo`: a live table on a terminal, plain lines on a pipe. This module does nothing else."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from enqueuer.cli._common import printable
from enqueuer.lab.demo import DemoListener, DemoResult
from filterlink.config.units import say_size, show_seconds, show_size

__all__ = ["DemoView"]

COLOURS = {"enqueued": "green", "quarantined": "yellow", "refused": "magenta", "bad": "red"}
DISPOSITIONS = ("enqueued", "discarded", "quarantined", "rejected", "bad", "refused")
MOST = 60
"""Lines for the reader's own messages that passed. Others that passed are only counted."""


class DemoView(DemoListener):
    """Show a demo of `count` messages."""

    def __init__(self, count: int, console: Console | None = None) -> None:
        self._count = count
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, transient=True, auto_refresh=False) if self._console.is_terminal else None

    def __enter__(self) -> "DemoView":
        self._console.print(f"Dropping {_counted(self._count)} into a fresh engine. Each is scanned before it is enqueued.")
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def status(self, document: dict[str, Any]) -> None:
        """Draw the table again."""
        if self._live:
            self._live.start()
            self._live.update(_working(document, self._count), refresh=True)

    def done(self, results: Sequence[DemoResult], seconds: float, document: dict[str, Any]) -> None:
        """Print a line for each message, and the sum."""
        self._end()
        shown, others = _shown(results)
        for result in shown:
            self._print(*_line(result))
        if others:
            self._console.print(Text(f"  ok  and {others} more that were enqueued", "dim"))
        self._console.print()
        self._console.print(_sum(results, seconds, document), soft_wrap=not self._console.is_terminal)

    def _print(self, head: Text, reason: Text) -> None:
        """Print a line. A reason that is too long for the terminal continues below. It is never cut: its end names the rule."""
        if not self._console.is_terminal:
            self._console.print(head + reason, soft_wrap=True)
            return
        grid = Table.grid()
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(head, reason)
        self._console.print(grid)

    def _end(self) -> None:
        if self._live:
            self._live.stop()


def _working(document: dict[str, Any], count: int) -> Group:
    totals = document["totals"]
    done = min(count, sum(totals[disposition] for disposition in DISPOSITIONS))
    counts = ", ".join(f"{totals[disposition]} {disposition}" for disposition in DISPOSITIONS if totals[disposition]) or "nothing done yet"
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("PROCESSOR", "DOES", "FOR", "MESSAGE"):
        table.add_column(column, min_width=10)
    for task in document["processors"]["tasks"]:
        idle = task["state"] == "idle"
        does = task["state"] if not task.get("filter") else f"{task['state']} {task['filter']}"
        row = (str(task["id"]), does, "" if idle else show_seconds(task["since_s"]), str(task.get("message") or ""))
        table.add_row(*(Text(cell, "dim" if idle else "") for cell in row))
    waiting = (
        f"{document['spool']['waiting']} in Submitted, {document['queue']['waiting']} waiting, {document['queue']['deferred']} deferred"
    )
    bar = Table.grid()
    bar.add_row(ProgressBar(total=count, completed=done, width=60))
    return Group(bar, Text(f"{done} of {count}: {counts}"), Text(waiting, "dim"), table)


def _shown(results: Sequence[DemoResult]) -> tuple[list[DemoResult], int]:
    """Return the results by disposition and name, and how many of the reader's own messages passed and have no line."""
    plain = [result for result in results if result.sample.expect == "any" and not result.wrong and _word(result) == "enqueued"]
    left_out = {result.sample.name for result in plain[MOST:]}
    kept = [result for result in results if result.sample.name not in left_out]
    return sorted(kept, key=lambda result: (_rank(result), result.sample.name)), len(left_out)


def _rank(result: DemoResult) -> int:
    word = _word(result) if result.sample.expect == "any" else result.sample.expect
    return DISPOSITIONS.index(word) if word in DISPOSITIONS else len(DISPOSITIONS)


def _word(result: DemoResult) -> str:
    return result.disposition.word if result.disposition else "missing"


def _line(result: DemoResult) -> tuple[Text, Text]:
    """Return the end of a message, and the reason."""
    sample = result.sample
    disposition = result.disposition
    word = _word(result)
    line = Text("  ok  " if not result.wrong else "WRONG ", "green" if not result.wrong else "bold red")
    line.append(f"{sample.name:<16} {show_size(len(sample.data)):>6}  ")
    line.append(f"{word:<12}", COLOURS.get(word, "red"))
    why = Text()
    reason = disposition.reason if disposition else ""
    if result.wrong:
        why.append(f"{result.wrong}; ", "bold red")
    if sample.expect == "any":  # the reader's own message: its name comes first
        why.append(printable(sample.why) + (": " if reason else ""), "dim")
    why.append(printable(reason) or ("" if sample.expect == "any" else sample.why), "" if reason else "dim")
    return line, why


def _sum(results: Sequence[DemoResult], seconds: float, document: dict[str, Any]) -> Text:
    words = [_word(result) for result in results]
    own = any(result.sample.expect == "any" for result in results)
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys((*DISPOSITIONS, "missing")) if word in words)
    size = say_size(sum(len(result.sample.data) for result in results))
    processors = document["processors"]["running"]
    wrong = sum(bool(result.wrong) for result in results)
    line = Text(f"{_counted(len(results))}, {size}, in {seconds:.1f} s with {processors} processors: ")
    line.append(f"{len(results) / seconds:.0f} messages/s", "bold")
    line.append(f"\n{counts}. ")
    right = "Each came out once, unchanged." if own else "Each ended where it should."
    line.append(f"{wrong} of them should have ended elsewhere." if wrong else right, "bold red" if wrong else "green")
    return line


def _counted(messages: int) -> str:
    return "1 message" if messages == 1 else f"{messages} messages"
