"""What a benchmark says about itself, so that table, plot and comparison need no code of its own.

A file `bench/bench_<question>.py` asks one question. Its docstring is the text of its section: the first paragraph is the
question, the rest says what the answer decides, and what the figures do not show. It needs nothing else to be in the report but

    @pytest.mark.benchmark(group="throughput, helper of 20 ms")      one group is one table and one plot
    @pytest.mark.full                                                 left out of `make bench`: only `make bench-full` has it
    def test_x(benchmark, processors):
        note(benchmark, {"processors": processors}, messages=600)     the row; so many messages a round, so messages/s
        benchmark.pedantic(run, setup=..., rounds=3)

    note(..., series="log level all")        one column and one curve more in the same table
    note(..., ideal=processors / 0.02)       a dashed line
    note(..., plot=["p50 ms", "p99 ms"])     which values are drawn; without it messages/s, else the first sample, else the time of a round
    note(..., scale="log")                   the y axis (x is where it goes far); names instead of numbers as x give bars
    note(..., judged=["ratio"])              what `make bench-compare` looks at; without it everything
    sample(benchmark, {"p99 ms": 3.1})       measured otherwise than by the time of a round, once a round; medians are shown

Units stand in the names. What ends with "/s" or is called "ratio" is better when it is more, all else when it is less.
A benchmark that cannot run here says why by pytest.skip: the report names it. A helper that is not there, a peer that is not installed: so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

__all__ = ["Scale", "more_is_better", "note", "sample"]

Scale = str
"""linear or log"""


def note(
    benchmark: BenchmarkFixture,
    x: Mapping[str, float | str],
    *,
    series: str = "",
    messages: int = 0,
    plot: Sequence[str] = (),
    scale: Scale = "linear",
    ideal: float | None = None,
    judged: Sequence[str] = (),
) -> None:
    """Say which row of the group's table this is, and how it is shown; `x` has one entry."""
    [(name, value)] = x.items()
    said: dict[str, Any] = {"x": [name, value], "series": series, "messages": messages, "plot": list(plot), "scale": scale}
    benchmark.extra_info |= said | {"ideal": ideal, "judged": list(judged)}


def sample(benchmark: BenchmarkFixture, values: Mapping[str, float]) -> None:
    """Add what one round measured."""
    samples = benchmark.extra_info.setdefault("samples", {})
    for name, value in values.items():
        samples.setdefault(name, []).append(value)


def more_is_better(name: str) -> bool:
    return name.endswith(("/s", "ratio"))
