"""Print for each wrapping and payload the programs that open it, and the verdict of the shipped filter.

    PYTHONPATH=. python -m tests.helpers.wrappings.listing [--passes FILE] [--all] [WORD ...]

Words choose wrappings by a part of "kind | name". --all prints the caught ones as well; --passes writes those that pass.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.wrappings import clean
from tests.helpers.wrappings.corpus import Shipped, rows

__all__ = ["clean_faults", "main"]

ROOT = Path(__file__).parents[3]
PASSES = f"""# kind | wrapping | payload | oracles that open it; the filter in the box lets it pass.
# In any tree: cd TREE && PYTHONPATH={ROOT} .venv/bin/python -m tests.helpers.wrappings.listing WORD
# WORD is a part of "kind | wrapping"; the filter is that of the current folder. tests.helpers.wrappings.corpus.message(NAME, PAYLOAD)
# gives the bytes of a message, NAME as below, PAYLOAD eicar, program or name.
"""


def clean_faults() -> Iterator[str]:
    """Yield a line for each clean message that is stopped or flagged."""
    shipped = Shipped.one()
    for name, message in clean.messages():
        says = shipped.says(message)
        flags = shipped.flags(message)
        if says != "OK" or flags:
            yield f"clean | {name} | {says} | flags: {', '.join(flags)}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--passes", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    begin = time.monotonic()
    found = rows(*options.words, thorough=True)
    passes = [row for row in found if row.passes]
    for row in found if options.all else passes:
        print(f"{row} | {row.says} | {','.join(sorted(set(row.flags)))}")
    wrapped = len({row.name for row in found})
    count = f"{wrapped} wrappings, {len(found)} messages, {sum(bool(row.chains) for row in found)} opened, {len(passes)} of them pass"
    print(f"{count} ({time.monotonic() - begin:.1f} s)")
    if options.passes:
        options.passes.write_text(f"{PASSES}# {count}\n" + "".join(f"{row}\n" for row in passes) + "".join(clean_faults()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
