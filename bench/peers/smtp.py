"""smtp-source and smtp-sink of Postfix: who gives a mail server messages, and who takes them from it. Loopback only."""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.peers.parts import PATIENCE, listens, need, running, until

__all__ = ["SESSIONS", "Route", "accepted", "sink"]

SESSIONS = 8
"""SMTP sessions that give messages side by side."""
BACKLOG = "256"
LOOK = 0.005
"""Seconds between two looks at the sink's counter."""
_COUNT = re.compile(rb"mesg=(\d+)")
_TAIL = 200
"""Bytes of the sink's counters that are looked at: the last are in them."""


class Route:
    """A mail server between smtp-source and smtp-sink."""

    def __init__(self, entrance: int, counters: Path) -> None:
        self._source = need("postfix", "smtp-source")
        self._entrance = entrance
        self._counters = counters

    def rate(self, messages: int, size: int) -> float:
        """Messages/s from the first connection to the entrance until the sink has the last message."""
        give = [self._source, "-s", str(SESSIONS), "-m", str(messages), "-l", str(size), "-d"]
        give += ["-f", "ann@example.com", "-t", "bob@example.org", f"127.0.0.1:{self._entrance}"]
        wanted = self._taken() + messages
        begun = time.monotonic()
        subprocess.run(give, check=True, timeout=2 * PATIENCE, stdout=subprocess.DEVNULL)
        until(lambda: self._taken() >= wanted, f"smtp-sink has {wanted} messages", self._counters, LOOK)
        return messages / (time.monotonic() - begun)

    def _taken(self) -> int:
        with self._counters.open("rb") as file:
            file.seek(max(0, self._counters.stat().st_size - _TAIL))
            found = _COUNT.findall(file.read())
        return int(found[-1]) if found else 0


def accepted(port: int, sessions: int, messages: int, size: int) -> float:
    """Return messages/s that a mail server accepts, from the first connection to the last answer."""
    give = [need("postfix", "smtp-source"), "-s", str(sessions), "-m", str(messages), "-l", str(size), "-d"]
    begun = time.monotonic()
    subprocess.run([*give, "-f", "ann@example.com", "-t", "bob@example.org", f"127.0.0.1:{port}"], check=True, timeout=4 * PATIENCE)
    return messages / (time.monotonic() - begun)


@contextlib.contextmanager
def sink(port: int, folder: Path) -> Iterator[Path]:
    """smtp-sink on that port; the file in which it counts."""
    counters = folder / "counters"
    with running([need("postfix", "smtp-sink"), "-4", "-c", "-u", "nobody", f"127.0.0.1:{port}", BACKLOG], counters):
        until(lambda: listens(port), "smtp-sink listens", counters)
        yield counters
