"""Describe a benchmark, so that table, plot and comparison need no code of their own.

A file `bench/bench_<question>.py` asks one question. Its docstring is the text of its section: the first paragraph is the
question, the rest says what the answer decides, and what the figures do not show. To be in the report, it needs only:

    @pytest.mark.benchmark(group="throughput, helper of 20 ms")      one group is one table and one plot
    @pytest.mark.full                                                 left out of `make bench`: only `make bench-full` has it
    def test_x(benchmark, processors):
        note(benchmark, {"processors": processors}, messages=600)     the row; messages of a round, for messages/s
        benchmark.pedantic(run, setup=..., rounds=3)

    note(..., series="log level all")        a further column and curve in the same table
    note(..., ideal=processors / 0.02)       a dashed line
    note(..., plot=["p50 ms", "p99 ms"])     the values to draw; default: messages/s, else the first sample, else the time of a round
                                             axes are logarithmic if they can be; names instead of numbers as x give bars
    note(..., judged=["ratio"])              what `make bench-compare` compares; default: everything
    sample(benchmark, {"p99 ms": 3.1})       a value other than the time of a round, once a round; medians are shown

Names contain the units. Of values whose name ends with "/s" or is "ratio", more is better; of all others, less is better.
A benchmark that cannot run here, because a helper or peer is missing, calls pytest.skip with the reason: the report has it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

__all__ = ["more_is_better", "note", "sample"]


def note(
    benchmark: BenchmarkFixture,
    x: Mapping[str, float | str],
    *,
    series: str = "",
    messages: int = 0,
    plot: Sequence[str] = (),
    ideal: float | None = None,
    judged: Sequence[str] = (),
) -> None:
    """Name the row of the group's table, and how it is shown; `x` has one entry."""
    [(name, value)] = x.items()
    said: dict[str, Any] = {"x": [name, value], "series": series, "messages": messages, "plot": list(plot)}
    benchmark.extra_info |= said | {"ideal": ideal, "judged": list(judged)}


def sample(benchmark: BenchmarkFixture, values: Mapping[str, float]) -> None:
    """Add the values of one round."""
    samples = benchmark.extra_info.setdefault("samples", {})
    for name, value in values.items():
        samples.setdefault(name, []).append(value)


def more_is_better(name: str) -> bool:
    return name.endswith(("/s", "ratio"))
