"""Draw throughput against processors with characters. Pure."""

import math
from collections.abc import Iterator, Sequence

from enqueuer.tune.law import Law

__all__ = ["chart"]

WIDTH = 56
"""Columns right of the axis; with the names of both axes the plot fits a terminal of 80."""
HEIGHT = 12
MEASURED = "●"
LAW = "·"
LABEL = 8
"""Columns left of the axis."""


def chart(points: Sequence[tuple[int, float]], law: Law, marked: int | None, cap: float = math.inf, why: str = "recommended") -> list[str]:
    """Return the lines of a plot: what was measured, the law up to `cap`, and an arrow below the number `marked` (None: no arrow), with
    the reason.

    The axis of processors is logarithmic, because they are tried in doublings.
    """
    last = max(2, *(n for n, _ in points))
    top = max(*(rate for _, rate in points), min(cap, max(law.at(n) for n, _ in points))) * 1.05
    rows = [[" "] * WIDTH for _ in range(HEIGHT)]
    for column in range(WIDTH):
        _dot(rows, column, min(cap, law.at(last ** (column / (WIDTH - 1)))) / top, LAW)
    for n, rate in points:
        _dot(rows, _column(n, last), rate / top, MEASURED)
    lines = [f"{_label(row, top):>{LABEL}} ┤{''.join(cells)}".rstrip() for row, cells in enumerate(rows)]
    return [*lines, " " * (LABEL + 1) + "└" + "─" * WIDTH, _axis([n for n, _ in points], last), *_arrow(marked, last, why)]


def _dot(rows: list[list[str]], column: int, height: float, mark: str) -> None:
    row = HEIGHT - 1 - round(min(1.0, max(0.0, height)) * (HEIGHT - 1))
    rows[row][column] = mark


def _column(n: float, last: int) -> int:
    return round(math.log(n) / math.log(last) * (WIDTH - 1))


def _label(row: int, top: float) -> str:
    """Return the label of a row: each third row has one."""
    value = top * (HEIGHT - 1 - row) / (HEIGHT - 1)
    return "" if row % 3 != (HEIGHT - 1) % 3 else f"{value:.0f}/s" if top >= 20 else f"{value:.2g}/s"


def _axis(counts: Sequence[int], last: int) -> str:
    cells = [" "] * (WIDTH + 4)
    free = 0
    for n in counts:
        if (at := _column(n, last)) >= free:
            cells[at : at + len(str(n))] = str(n)
            free = at + len(str(n)) + 1
    return " " * (LABEL + 2) + "".join(cells).rstrip() + "  processors"


def _arrow(marked: int | None, last: int, why: str) -> Iterator[str]:
    if marked is not None:
        at = LABEL + 2 + _column(marked, last)
        yield f"{why} ▲".rjust(at + 1) if at + len(why) > LABEL + WIDTH else " " * at + f"▲ {why}"
