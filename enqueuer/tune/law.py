"""Gunther's universal scalability law: fit throughput against processors, and evaluate it. Pure.

X(N) = rate N / (1 + sigma (N - 1) + kappa N (N - 1)). `rate` is what one processor does. sigma is the part that the
others have to wait for (a lock, a core, a disk). kappa is what each processor costs each other one.
"""

import math
from collections.abc import Sequence

import msgspec

__all__ = ["Fit", "Law", "fit"]

Point = tuple[int, float]
"""Processors, and the messages/s that they did."""


class Law(msgspec.Struct, frozen=True):
    """One curve."""

    rate: float
    """Messages/s of one processor."""
    sigma: float = 0.0
    kappa: float = 0.0

    def at(self, processors: float) -> float:
        """Return the messages/s of this many processors."""
        return self.rate * processors / (1 + self.sigma * (processors - 1) + self.kappa * processors * (processors - 1))

    @property
    def peak(self) -> float:
        """Return the number beyond which more processors do less; infinity if there is none."""
        return math.sqrt(max(0.0, 1 - self.sigma) / self.kappa) if self.kappa > 0 else math.inf


class Fit(msgspec.Struct, frozen=True):
    """The law that is closest to the measurement, and its largest error, relative to the measured rate."""

    law: Law
    error: float


def fit(points: Sequence[Point]) -> Fit:
    """Find the law for these points, with each rate over 0. Raises ValueError without a point.

    N/X is linear in 1/rate, sigma/rate and kappa/rate. None of them can be below zero. So the system is solved for each
    choice of zeros, and of the solutions without a negative value the best one is taken.
    """
    if not points:
        raise ValueError("nothing was measured")
    rows = [(1.0, n - 1.0, n * (n - 1.0)) for n, _ in points]
    wanted = [n / rate for n, rate in points]
    weights = [rate / n for n, rate in points]  # relative errors count, else the slow ends would dominate
    found = [solution for used in ((0,), (0, 1), (0, 2), (0, 1, 2)) if (solution := _solve(rows, wanted, weights, used))]
    laws = [Law(1 / a, b / a, c / a) for a, b, c in found]
    return min((Fit(law, _error(law, points)) for law in laws), key=lambda each: _squares(each.law, points))


def _error(law: Law, points: Sequence[Point]) -> float:
    return max(abs(law.at(n) / rate - 1) for n, rate in points)


def _squares(law: Law, points: Sequence[Point]) -> float:
    return sum((law.at(n) / rate - 1) ** 2 for n, rate in points)


def _solve(
    rows: Sequence[tuple[float, float, float]], wanted: Sequence[float], weights: Sequence[float], used: tuple[int, ...]
) -> tuple[float, float, float] | None:
    """Solve least squares with these columns only. Return None if they do not determine the result, or a value is below zero."""
    if len(rows) < len(used):
        return None
    scale = [max(abs(row[column]) for row in rows) or 1.0 for column in used]
    matrix = [
        [weight * row[column] / unit for column, unit in zip(used, scale, strict=True)] for row, weight in zip(rows, weights, strict=True)
    ]
    right = [weight * value for value, weight in zip(wanted, weights, strict=True)]
    normal = [[sum(row[i] * row[j] for row in matrix) for j in range(len(used))] for i in range(len(used))]
    values = _gauss(normal, [sum(row[i] * value for row, value in zip(matrix, right, strict=True)) for i in range(len(used))])
    if values is None or values[0] <= 0 or min(values) < 0:
        return None
    whole = [0.0, 0.0, 0.0]
    for column, value, unit in zip(used, values, scale, strict=True):
        whole[column] = value / unit
    return whole[0], whole[1], whole[2]


def _gauss(matrix: list[list[float]], right: list[float]) -> list[float] | None:
    """Solve a small system; return None if its rows depend on each other."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for at in range(size):
        best = max(range(at, size), key=lambda row: abs(rows[row][at]))
        rows[at], rows[best] = rows[best], rows[at]
        if abs(rows[at][at]) < 1e-12:
            return None
        for other in range(size):
            if other != at:
                factor = rows[other][at] / rows[at][at]
                rows[other] = [value - factor * pivot for value, pivot in zip(rows[other], rows[at], strict=True)]
    return [rows[at][size] / rows[at][at] for at in range(size)]
