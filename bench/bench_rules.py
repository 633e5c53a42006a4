"""Rules and log: what do Server-Wide Rules and a louder Server Log cost?

The answer shows from how many rules on the file becomes slow, and what a higher `log_level` costs during a search for a
fault. 4 processors, 8 KiB, a helper that answers at once. The rules come before the one that scans, have two conditions each, and
none of them holds, so all are tried. The default level is "problems": two lines a message; "all" has about ten.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, helper, message
from bench.record import note

NOT = 'conditions = [["Message Size", "greater than", "{n}"], ["Message Size", "less than", "{n}"]]'
RULE = '{{name = "rule {n}", priority = 9, ' + NOT + ', actions = [["Discard"]]}},'
MESSAGES = 3000


def measure(benchmark: BenchmarkFixture, text: str, x: dict[str, float | str]) -> None:
    data = message(8192)
    with engine(text) as trial:
        Pile(trial, 500, data).run()  # warm

        def setup() -> tuple[tuple[Pile], dict[str, object]]:
            return (Pile(trial, MESSAGES, data),), {}

        note(benchmark, x, messages=MESSAGES)
        benchmark.pedantic(Pile.run, setup=setup, rounds=3)  # type: ignore[no-untyped-call]


@pytest.mark.full
@pytest.mark.benchmark(group="rules that do not hold, 4 processors")
@pytest.mark.parametrize("count", [0, 20, 200])
def test_rules(benchmark: BenchmarkFixture, count: int) -> None:
    """Compare each message with all of them."""
    measure(benchmark, config(4, helper("noop"), rules="".join(RULE.format(n=n + 1) for n in range(count))), {"rules": count})


@pytest.mark.full
@pytest.mark.benchmark(group="log levels, 4 processors")
@pytest.mark.parametrize("level", ["crashes", "problems", "low-level", "all"])
def test_log_levels(benchmark: BenchmarkFixture, level: str) -> None:
    """Set the level of the engine and of the filter."""
    text = config(4, helper("noop"), log_level=level).replace('name = "F"', f'name = "F"\nlog_level = "{level}"')
    measure(benchmark, text, {"log_level": level})
