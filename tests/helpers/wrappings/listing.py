"""A program that prints for each wrapping and payload which programs open it and what the filter in the box says.

    PYTHONPATH=. python -m tests.helpers.wrappings.listing [--passes FILE] [--all] [WORD ...]

Words choose wrappings by a part of "kind | name". --all prints the caught ones as well; --passes writes those that pass.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.helpers.oracles.opening import Case, opened
from tests.helpers.wrappings.base import PAYLOADS
from tests.helpers.wrappings.corpus import Shipped, wrappings

__all__ = ["Row", "main", "rows"]

DEEP = ("archives", "containers")
ROOT = Path(__file__).parents[3]
PASSES = f"""# kind | wrapping | payload | oracles that open it; the filter in the box lets it pass.
# In any tree: cd TREE && PYTHONPATH={ROOT} .venv/bin/python -m tests.helpers.wrappings.listing WORD
# WORD is a part of "kind | wrapping"; the filter is that of the current folder. tests.helpers.wrappings.corpus.message(NAME, PAYLOAD)
# gives the bytes of a message, NAME as below, PAYLOAD eicar, program or name.
"""


class Row(NamedTuple):
    kind: str
    name: str
    payload: str
    chains: list[str]
    says: str
    flags: list[str]

    @property
    def passes(self) -> bool:
        return bool(self.chains) and not self.says.startswith("ERROR")

    def __str__(self) -> str:
        return f"{self.kind} | {self.name} | {self.payload} | {', '.join(self.chains) or '-'}"


def rows(*words: str) -> list[Row]:
    """Make all messages, ask all programs, and judge."""
    chosen = [each for each in wrappings() if all(word in f"{each.kind} | {each.name}" for word in words)]
    cases = [(wrapping, payload, wrapping.build(payload)) for wrapping in chosen for payload in PAYLOADS]
    chains = opened([Case(message, wrapping.kind in DEEP) for wrapping, _, message in cases], thorough=True)
    shipped = Shipped()
    return [
        Row(wrapping.kind, wrapping.name, payload.label, found, shipped.says(message), shipped.flags(message))
        for (wrapping, payload, message), found in zip(cases, chains, strict=True)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--passes", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    begin = time.monotonic()
    found = rows(*options.words)
    passes = [row for row in found if row.passes]
    for row in found if options.all else passes:
        print(f"{row} | {row.says} | {','.join(sorted(set(row.flags)))}")
    wrapped = len({row.name for row in found})
    count = f"{wrapped} wrappings, {len(found)} messages, {sum(bool(row.chains) for row in found)} opened, {len(passes)} of them pass"
    print(f"{count} ({time.monotonic() - begin:.1f} s)")
    if options.passes:
        options.passes.write_text(f"{PASSES}# {count}\n" + "".join(f"{row}\n" for row in passes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
