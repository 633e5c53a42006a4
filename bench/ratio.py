"""`python -m bench ratio`: the engine beside the bare loop, in turns, on the same filesystem, with the same pile of messages.

Both find the messages in the drop folder when they start, and both rates are read from the ctimes of what they published, without the
first tenth. So they include neither start-up nor the program that drops mail. With --live the messages are renamed into a
running engine's drop folder (so its watcher has work), and its rate is that from the first rename to the last message in Outbound.

Which work is compared:
    --helper noop            the engine publishes unchanged mail by hard link, the bare loop copies it with one header field more
    --helper noop --links    both link
    --helper header          both copy: the helper answers with a header field
    --trace                  the engine copies, too: it adds its trace field, as it does by default
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, folder, helper, lay, message, published, rate, until
from bench.record import note, sample
from bench.results import in_force
from enqueuer.lab.trial import Trial
from enqueuer.queue.directory.durability import Durability

__all__ = ["Case", "Pair", "beside", "main", "pairs"]


class Case(NamedTuple):
    """The work that both do."""

    processors: int = 4
    messages: int = 6000
    size: int = 8192
    helper: str = "noop"
    durability: Durability = "group"
    log_level: str = "problems"
    links: bool = False
    live: bool = False
    trace: bool = False


class Pair(NamedTuple):
    """Messages/s of both, measured one after the other."""

    bare: float
    engine: float

    @property
    def ratio(self) -> float:
        return self.engine / self.bare


def pairs(case: Case, rounds: int, first: int = 0) -> list[Pair]:
    """Measure in turns, each round in the opposite order, because a machine's speed drifts."""
    found = []
    for n in range(first, first + rounds):
        if n % 2:
            fast = run_bare(case)
            found.append(Pair(fast, run_engine(case)))
        else:
            ours = run_engine(case)
            found.append(Pair(run_bare(case), ours))
    return found


def beside(benchmark: BenchmarkFixture, x: Mapping[str, float | str], case: Case, *, series: str = "", rounds: int = 3) -> None:
    """Measure pairs in a benchmark, for a table with the ratio of each row."""
    note(benchmark, x, series=series, plot=["engine/s", "bare loop/s"], judged=["ratio"])
    turns = iter(range(rounds))

    def run() -> None:
        [pair] = pairs(case, 1, first=next(turns))
        sample(benchmark, {"engine/s": pair.engine, "bare loop/s": pair.bare, "ratio": pair.ratio})

    benchmark.pedantic(run, rounds=rounds)  # type: ignore[no-untyped-call]


def run_bare(case: Case) -> float:
    with folder() as base:
        lay(base / "Submitted", case.messages, message(case.size))
        options = {
            "base": base,
            "processors": case.processors,
            "messages": case.messages,
            "helper": case.helper,
            "durability": in_force(case.durability),
        }
        words = [
            sys.executable,
            "-m",
            "bench.limits.bare",
            *["--links"] * case.links,
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent.parent)
        return rate(published(base))


def run_engine(case: Case) -> float:
    text = config(case.processors, helper(case.helper), durability=case.durability, log_level=case.log_level, trace=case.trace)
    return _live(text, case) if case.live else _waiting(text, case)


def _waiting(text: str, case: Case) -> float:
    with folder() as path:
        trial = Trial(path / "base", text)
        lay(trial.base / "Submitted", case.messages, message(case.size))
        with trial:
            until(trial, case.messages)
        return rate(published(trial.base))


def _live(text: str, case: Case) -> float:
    with engine(text) as trial:
        Pile(trial, 50, message(case.size)).run()  # warm
        pile = Pile(trial, case.messages, message(case.size))
        begun = time.time()
        pile.run()
        return case.messages / (published(trial.base)[-1] - begun)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench ratio", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in Case()._asdict().items():
        if isinstance(default, bool):
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help=f"default: {default}")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    options = vars(parser.parse_args(arguments))
    rounds = options.pop("rounds")
    case = Case(**options)
    found = pairs(case, rounds)
    print("  bare/s  engine/s  ratio")
    for pair in sorted(found, key=lambda pair: pair.ratio):
        print(f"{pair.bare:8.0f}{pair.engine:10.0f}{pair.ratio:7.2f}")
    median = statistics.median(pair.ratio for pair in found)
    print(json.dumps({**case._asdict(), "durability": in_force(case.durability), "rounds": found, "median_ratio": round(median, 3)}))
    return 0
