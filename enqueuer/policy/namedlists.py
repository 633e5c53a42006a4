"""Named lists: Settings/lists/NAME.txt, one picture a line. Pure.

A line that begins with # is a comment. The whole line is the picture: a comma in it is a comma.
"""

from collections.abc import Iterable, Mapping, Sequence

from enqueuer.policy.pictures import LIST_NAME, items
from enqueuer.policy.tree import Node, tests
from enqueuer.queue.message.printable import printable

__all__ = ["MAX_BYTES", "MAX_LISTS", "SUFFIX", "NamedLists", "list_names", "parse"]

SUFFIX = ".txt"
MAX_LISTS = 1000
MAX_BYTES = 16 << 20
"""Bytes of all lists together: each process of the engine has them in memory."""
NamedLists = Mapping[str, Sequence[str]]


def parse(name: str, data: bytes) -> tuple[str, ...]:
    """Read the entries of a list. Raises ValueError with the cure."""
    if not LIST_NAME.fullmatch(name):
        raise ValueError(
            f'"{printable(name)}" is not the name of a list: rename the file to 1 to 64 letters, digits, _ and -, with {SUFFIX} behind'
        )
    found = dict[str, None]()
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            line = raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise ValueError(f"line {number} is not UTF-8: save the file as UTF-8") from None
        if "\0" in line:
            raise ValueError(f"line {number} has a NUL character: this is not a list, or it is half written")
        if line and not line.startswith("#"):
            found[line] = None
    return tuple(found)


def list_names(nodes: Iterable[Node]) -> set[str]:
    """Return the names of the lists that conditions use."""
    found = set[str]()
    for node in nodes:
        for test in tests(node):
            if test.operation in ("in", "not in"):
                found |= {item[1:] for item in items(test.parameter) if item.startswith("#")}
    return found
