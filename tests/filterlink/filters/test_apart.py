"""A real child, and what is left of it."""

import os
import signal
import time
from collections.abc import Callable
from typing import BinaryIO

import pytest

from filterlink.filters.apart import Done, apart
from filterlink.filters.child import Limits

LONG = Limits(30, memory=512 << 20)


def test_what_it_writes() -> None:
    """Also where it ends with an error."""

    def broken(file: BinaryIO) -> None:
        file.write(b"some")
        raise ValueError

    def whole(file: BinaryIO) -> None:
        file.write(b"all")

    assert apart(whole, LONG) == Done(b"all", "")
    assert apart(broken, LONG) == Done(b"some", "broken")


def hungry(_file: BinaryIO) -> None:
    bytearray(1 << 30)


def swallowing(_file: BinaryIO) -> None:
    kept = [b"x" * (400 << 20)]
    try:
        kept.append(b"x" * (1 << 30))
    except MemoryError:
        kept.clear()


def hanging(_file: BinaryIO) -> None:
    signal.pause()


def spinning(_file: BinaryIO) -> None:
    while True:
        pass


def crashing(_file: BinaryIO) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("work", "limits"),
    [(hungry, LONG), (swallowing, LONG), (hanging, Limits(0.3)), (spinning, Limits(30, cpu=1)), (crashing, LONG)],
)
def test_its_limits(work: Callable[[BinaryIO], None], limits: Limits) -> None:
    """Each is told, also that of memory by one that swallows the error; and no child is left."""
    began = time.monotonic()
    assert apart(work, limits) == Done(b"", "limit")
    assert time.monotonic() - began < 20
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
