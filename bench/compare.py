"""`python -m bench compare BASE.json [NEW.json]`: what became slower than a stored run, beyond the noise of both.

Noise is the larger one of 10 % (30 % for a single round) and the spread of the rounds in either run. Runs of
different machines or filesystems are compared with a warning, because they show little.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.report import number
from bench.results import RESULTS, Document, Result, load, results_of

__all__ = ["Change", "changes", "main"]

FLOOR = 0.10
ALONE = 0.30
"""The least noise that is assumed; a single round does not show its spread."""
SAME = ("cores", "cpu", "filesystem", "python")


class Change(NamedTuple):
    name: str
    value: str
    then: float
    now: float
    worse: float
    """The change, relative to the old value."""
    noise: float

    @property
    def counts(self) -> bool:
        return abs(self.worse) > self.noise

    def __str__(self) -> str:
        word = "worse" if self.worse > 0 else "better"
        return f"{self.name}: {self.value} {number(self.then)} -> {number(self.now)}, {abs(self.worse):.0%} {word} (noise {self.noise:.0%})"


def changes(base: Document, new: Document) -> Iterator[Change]:
    """Yield the change of each value that both runs have."""
    before = {(each.file, each.name): each for each in results_of(base)}
    for each in results_of(new):
        old = before.get((each.file, each.name))
        if old is not None:
            yield from (_change(old, each, value) for value in each.judged if value in old.values and value in each.values)


def _change(old: Result, new: Result, value: str) -> Change:
    floor = FLOOR if min(len(old.values[value]), len(new.values[value])) > 1 else ALONE
    noise = max(floor, 2 * old.spread(value), 2 * new.spread(value))
    return Change(f"{new.file}::{new.name}", value, old.median(value), new.median(value), new.is_worse(value, old), noise)


def main(arguments: list[str]) -> int:
    """Print the comparison; return 1 if something is worse."""
    parser = argparse.ArgumentParser(
        prog="python -m bench compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", type=Path, help="a stored short.json or full.json")
    parser.add_argument("new", type=Path, nargs="?", help="default: the file of the same name in bench/results")
    options = parser.parse_args(arguments)
    try:
        base = load(options.base)
        new = load(options.new or RESULTS / options.base.name)
    except (OSError, ValueError) as error:
        parser.error(f"{error}: run `make bench` first, and name a copy of its bench/results/short.json")
    for key in SAME:
        if base["machine"][key] != new["machine"][key]:
            print(f"Warning: {key} was {base['machine'][key]}, is {new['machine'][key]}: the runs say little about each other")
    found = list(changes(base, new))
    counted = sorted((each for each in found if each.counts), key=lambda each: -each.worse)
    print("\n".join(str(each) for each in counted))
    worse = sum(each.worse > 0 for each in counted)
    print(f"{len(found)} values compared: {worse} worse, {len(counted) - worse} better, the others within their noise")
    return bool(worse)
