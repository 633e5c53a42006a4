"""Put a steady load on a running engine, and measure each message from its drop to Outbound.

A process of its own drops messages at the given rate (one rename each, of messages written before, with the time noted). This
process gets an inotify event for each file in Outbound. ctimes are not exact enough: the kernel's clock for them moves in milliseconds.
"""

import ctypes
import mmap
import os
import re
import select
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bench.harness import PATIENCE
from enqueuer.lab.trial import Trial

__all__ = ["Arrivals", "latencies", "numbered", "quantile"]

IN_CREATE = 0x100
IN_MOVED_TO = 0x80
EVENT = struct.Struct("iIII")
CHUNK = 1 << 20
NUMBER = re.compile(rb"^X-Number: (\d+)", re.MULTILINE)
HEAD = 4096
"""Bytes of an output in which its number is searched."""


def numbered(data: bytes, number: int) -> bytes:
    """Return the message with its number on top."""
    return b"X-Number: %d\n" % number + data


def quantile(values: Sequence[float], q: float) -> float:
    """Return the value of sorted values that a part q of them does not exceed."""
    return values[min(int(len(values) * q), len(values) - 1)]


def latencies(trial: Trial, messages: Sequence[bytes], rate: float) -> list[float]:
    """Drop these at `rate` a second; return the milliseconds of each, in their order. All must arrive within PATIENCE."""
    ready = trial.base / "ready"
    ready.mkdir(exist_ok=True)
    for n, data in enumerate(messages):
        (ready / f"{n}.eml").write_bytes(numbered(data, n))
    os.sync()
    arrivals = Arrivals(trial.base / "Outbound/OUT")
    dropped = mmap.mmap(-1, 8 * len(messages))
    child = os.fork()
    if child == 0:
        _drop(trial.base, len(messages), rate, dropped)
    came = _ours(arrivals, trial.base / "Outbound/OUT", len(messages), time.monotonic() + len(messages) / rate + PATIENCE)
    os.waitpid(child, 0)
    times = struct.unpack(f"{len(messages)}d", dropped)
    return [(came[n] - times[n]) * 1000 for n in sorted(came)]


def _ours(arrivals: "Arrivals", folder: Path, count: int, deadline: float) -> dict[int, float]:
    """Return when each numbered message arrived. Files are read only once there are enough, to leave the processor to the engine."""
    found: dict[int, float] = {}
    with arrivals:
        while len(found) < count:
            came = arrivals.take(count - len(found), deadline)
            found |= {n: when for name, when in came.items() if (n := _number(folder / name)) is not None}
    return found


def _drop(base: Path, count: int, rate: float, dropped: mmap.mmap) -> None:
    """Rename one message after the other in the child, none early; then end the process."""
    code = 1
    try:
        begun = time.monotonic()
        for n in range(count):
            time.sleep(max(0.0, begun + n / rate - time.monotonic()))
            struct.pack_into("d", dropped, 8 * n, time.monotonic())
            os.rename(base / f"ready/{n}.eml", base / f"Submitted/{os.getpid()}-{n}.eml")
        code = 0
    finally:
        os._exit(code)


def _number(path: Path) -> int | None:
    """Return the number of a message; None if it was not dropped here."""
    with path.open("rb") as file:
        found = NUMBER.search(file.read(HEAD))
    return int(found[1]) if found else None


class Arrivals:
    """Receives inotify events for files in a folder."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0 or libc.inotify_add_watch(self._fd, os.fsencode(folder), IN_CREATE | IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), "inotify", str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def take(self, count: int, deadline: float) -> dict[str, float]:
        """Return the time (time.monotonic) of each of the next files, at least `count` of them. Raises TimeoutError."""
        came: dict[str, float] = {}
        while len(came) < count:
            if not select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"{len(came)} of {count} messages came into Outbound in time")
            data = os.read(self._fd, CHUNK)
            now = time.monotonic()
            at = 0
            while at < len(data):
                _, _, _, length = EVENT.unpack_from(data, at)
                came[data[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0").decode()] = now
                at += EVENT.size + length
        return came
