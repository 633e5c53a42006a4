"""Show a run of `enqueuer filters test` or `bench`: the dialogue as it goes, then times, verdicts and broken rules."""

import sys
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from enqueuer.cli._common import printable
from filterlink.config.settings import Filter
from filterlink.protocol.protocol import HelperReply
from filterlink.protocol.referee import RULES
from filterlink.workbench.testbench import BenchReport

__all__ = ["BenchView", "document", "percentile", "report", "verdict"]

BOUNDS = tuple(step * 10.0**power for power in range(-4, 3) for step in (1, 2, 5))
"""Seconds: the upper ends of the histogram's rows, 1, 2, 5 of each decade, because latencies spread over many decades."""
BAR = 40
LINE = 300
"""Bytes shown of one line."""
STYLES = {">": "cyan", "<": "default", "!": "red"}


class BenchView:
    """Prints the first lines of the dialogue, and verdicts by file if files are given. Implements testbench.Watch."""

    def __init__(self, lines: int, names: Sequence[str] = (), filter: Filter | None = None) -> None:
        """`filter`: its settings decide what an engine would do."""
        self.judged = 0
        self._left = lines
        self._some = lines > 0
        self._names = names
        self._filter = filter
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=not sys.stdout.isatty())

    def line(self, direction: str, line: bytes) -> None:
        if self._left > 0:
            self._console.print(Text(f"{direction} {printable(line[:LINE])}", STYLES[direction]))
        elif self._left == 0 and self._some:
            self._console.print(Text("  ... and so on", "dim"))
        self._left -= 1

    def answer(self, index: int, reply: HelperReply | None, seconds: float) -> None:
        self.judged += reply is not None
        if self._names:
            told = verdict(reply, seconds, self._filter)
            self._console.print(Text(f"= {printable(self._names[index])}: {printable(told)}", "bold"))


def verdict(reply: HelperReply | None, seconds: float, filter: Filter | None = None) -> str:
    """Return a filter's verdict on one file, in one line; if it gave none, the consequence."""
    if reply is None:
        return f'no verdict; an engine follows on_failure = "{filter.on_failure}"' if filter else "no verdict"
    text = f' "{reply.answer.text}"' if reply.answer.text else ""
    fields = "".join(f", adds {field.decode('utf-8', 'replace')!r}" for field in reply.answer.fields)
    slow = ", over slow_after" if filter and seconds > filter.slow_after else ""
    return f"{reply.answer.kind.upper()}{text}{fields} ({_ms(seconds)}{slow})"


def report(found: BenchReport, count: int, rules: int) -> None:
    """Print the whole report, for people."""
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 200)
    console.print()
    spoken = "no version was agreed on" if found.version is None else f"version {found.version} of the protocol"
    console.print(f"{spoken}; processes started: {found.starts}")
    console.print(f"{sum(found.verdicts.values())} of {count} answered: {_verdicts(found)}")
    if found.latencies:
        console.print(f"{len(found.latencies) / max(found.seconds, 1e-9):.0f} answers/s; {_times(found.latencies)}")
        console.print(_histogram(found.latencies))
    if found.stopped:
        console.print(Text(f"ended early: {printable(found.stopped)}", "bold red"))
    if found.last_words:
        console.print(Text(f"last lines on its standard error: {printable(found.last_words.strip())}", "red"))
    console.print(_broken(found) if found.broken else Text(f"all {rules} rules of the protocol were kept", "green"))


def _verdicts(found: BenchReport) -> str:
    return ", ".join(f"{number} {word}" for word, number in found.verdicts.most_common()) or "none"


def document(found: BenchReport, count: int) -> dict[str, Any]:
    """Return the whole report, for programs."""
    times = {f"p{part}": percentile(found.latencies, part) for part in (50, 90, 99, 100)} if found.latencies else {}
    return {
        "version": found.version,
        "requests": count,
        "answered": sum(found.verdicts.values()),
        "verdicts": dict(found.verdicts),
        "seconds": round(found.seconds, 6),
        "latency_s": times,
        "processes": found.starts,
        "exit_status": found.status,
        "stopped": found.stopped,
        "broken": [{"rule": rule, "says": RULES[rule], "count": each.count, "first": each.first} for rule, each in found.broken.items()],
    }


def percentile(values: Sequence[float], part: int) -> float:
    """Return the value that `part` of a hundred do not exceed."""
    return sorted(values)[max(0, -(-len(values) * part // 100) - 1)]


def _times(latencies: Sequence[float]) -> str:
    return ", ".join(
        f"{name} {_ms(percentile(latencies, part))}" for name, part in (("median", 50), ("p90", 90), ("p99", 99), ("longest", 100))
    )


def _ms(seconds: float) -> str:
    if seconds < 0.01:
        return f"{seconds * 1000:.2g} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def _histogram(latencies: Sequence[float]) -> Table:
    """Return a row for each step of BOUNDS between the shortest and the longest."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(justify="right")
    counts = [0] * (len(BOUNDS) + 1)
    for seconds in latencies:
        counts[bisect_left(BOUNDS, seconds)] += 1
    used = [row for row, count in enumerate(counts) if count]
    for row in range(used[0], used[-1] + 1):
        bound = f"to {BOUNDS[row] * 1000:g} ms" if row < len(BOUNDS) else "longer"
        bar = "█" * (-(-counts[row] * BAR // max(counts)))
        table.add_row(Text(bound, "dim"), str(counts[row]), Text(bar, "green"))
    return table


def _broken(found: BenchReport) -> Table:
    table = Table("BROKEN RULE", "TIMES", "THE RULE", "FIRST CASE", box=None, pad_edge=False, header_style="dim")
    for rule, each in found.broken.items():
        table.add_row(Text(rule, "bold red"), str(each.count), RULES[rule], Text(printable(each.first)))
    return table
