"""The verdict table of docs/doors.md as data: what a filter answers, and what an MTA does with the message. For real MTAs."""

import re
import sys
from typing import NamedTuple

from tests.helpers.mta import free_port
from tests.helpers.paths import HELPERS

__all__ = ["CELLS", "DOORS", "Cell", "engine_config", "ports"]

DOORS = {
    "defers": 'answer_within = "400ms"',
    "holds": 'answer_within = "400ms"\non_caught = "quarantine"\non_failure = "quarantine"\non_late = "quarantine"',
    "passes": 'answer_within = "400ms"\non_caught = "discard"\non_failure = "pass"\non_late = "pass"',
    "waits": "",
}
"""Doors by what they do in case of doubt. The last one has the defaults."""
CONFIG = """
[enqueuer]
processors = 1
log_level = "low-level"
max_hops = 5
{filters}
[[rules]]
name = "large"
priority = 9
conditions = [["Message Size", "greater than", "80K"]]
actions = [["ExternalFilter", "Rejects"]]
[[rules]]
name = "medium"
priority = 8
conditions = [["Message Size", "greater than", "40K"]]
actions = [["ExternalFilter", "Holds"]]
[[rules]]
name = "scan everything"
actions = [["ExternalFilter", "Judge"]]
[[routes]]
recipient = "*"
to = "OUT"
{doors}
"""
FILTER = """
[[filters]]
name = "{name}"
program = "{program}"
max_in_flight = 50
auto_restart = "100ms"
on_failure = "{on_failure}"
"""
DOOR = """
[[doors]]
name = "{name}"
kind = "milter"
listen = "inet:127.0.0.1:{port}"
{more}
"""


class Cell(NamedTuple):
    """A cell of the table."""

    cause: str
    door: str
    judge: str
    reply: str
    """A pattern for the answer to DATA."""
    end: str
    """What the MTA does: delivered, refused, held, dropped."""
    size: int = 0
    header: str = ""

    def __str__(self) -> str:
        return re.sub(r"\W+", "-", f"{self.cause}-{self.door}-{self.judge[:20]}")


SEEN = '0 ADDHEADER "X-Seen: yes"'
CAUGHT = '0 ERROR "100% a virus"'
LATE = "30 OK"
BROKEN = "0 nonsense"
LATER = r"451 4\.7\.1 Judge has not scanned the message yet, try again later \(id 1\d{17}\)"
CANNOT = r"451 4\.7\.1 \w+ cannot scan the message now, try again later \(id 1\d{17}\)"
HOPS = "".join(f"Received: from a by b; {number}\n" for number in range(6))
CELLS = [
    Cell("passed", "waits", "0 OK", "250 ", "delivered"),
    Cell("passed", "waits", SEEN, "250 ", "delivered"),
    Cell("passed", "waits", '0 ADDROUTE "<c@b.example>"', "250 ", "delivered"),
    Cell("caught", "waits", CAUGHT, r"550 5\.7\.1 100% a virus \(Judge, id 1\d{17}\)", "refused"),
    Cell("caught", "holds", CAUGHT, "250 ", "held"),
    Cell("caught", "passes", CAUGHT, "250 ", "dropped"),
    Cell("dropped", "waits", "0 DISCARD", "250 ", "dropped"),
    Cell("refused", "waits", '0 REJECTED "not now"', r"451 4\.7\.1 not now \(Judge, id 1\d{17}\)", "refused"),
    Cell("failed", "defers", BROKEN, CANNOT, "refused"),
    Cell("failed", "holds", BROKEN, "250 ", "held"),
    Cell("failed", "passes", BROKEN, "250 ", "delivered"),
    Cell("kept", "waits", BROKEN, "250 ", "held", size=50_000),
    Cell("turned away", "passes", BROKEN, CANNOT, "refused", size=90_000),
    Cell("loop", "waits", "0 OK", r"554 5\.4\.6 mail loop: too many hops \(id 1\d{17}\)", "refused", header=HOPS),
    Cell("late", "defers", LATE, LATER, "refused"),
    Cell("late", "holds", LATE, "250 ", "held"),
    Cell("late", "passes", LATE, "250 ", "delivered"),
]


def ports() -> dict[str, int]:
    return {name: free_port() for name in DOORS}


def engine_config(ports: dict[str, int]) -> str:
    program = f"{sys.executable} {HELPERS / 'judge.py'}"
    filters = (("Judge", "defer"), ("Holds", "quarantine"), ("Rejects", "reject"))
    return CONFIG.format(
        filters="".join(FILTER.format(name=name, program=program, on_failure=word) for name, word in filters),
        doors="".join(DOOR.format(name=name, port=ports[name], more=more) for name, more in DOORS.items()),
    )
