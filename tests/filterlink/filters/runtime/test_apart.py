"""A real child, and what is left of it."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from filterlink.filters.runtime.apart import ChildOutput, apart
from filterlink.filters.runtime.child import ChildLimits

LONG = ChildLimits(30, memory=512 << 20)


def test_what_it_writes() -> None:
    """Also where it ends with an error."""

    def broken(file: BinaryIO) -> None:
        file.write(b"some")
        raise ValueError

    def whole(file: BinaryIO) -> None:
        file.write(b"all")

    assert apart(whole, LONG) == ChildOutput(b"all", "")
    assert apart(broken, LONG) == ChildOutput(b"some", "broken")


def test_time_in_which_we_stand_still_is_not_counted(tmp_path: Path) -> None:
    """A freeze of both, as that of a container, is no limit that the work met."""
    code = (
        "import os; from filterlink.filters.runtime.apart import *; from filterlink.filters.runtime.child import ChildLimits\n"
        "def work(file):\n"
        "    print(os.getpid(), flush=True); os.kill(os.getppid(), 19); os.kill(os.getpid(), 19); file.write(b'all')\n"
        "print(apart(work, ChildLimits(2)))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        assert process.stdout
        worker = int(process.stdout.readline())
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            select.select([], [], [], 0.1)
        os.kill(process.pid, signal.SIGCONT)
        select.select([], [], [], 0.3)  # it looks at its clock before the other goes on
        os.kill(worker, signal.SIGCONT)
        assert process.stdout.read() == b"ChildOutput(output=b'all', flag='')\n"


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


def _children() -> set[str]:
    """Return our children. Another test may have left one."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


@pytest.mark.parametrize(
    ("work", "limits"),
    [(hungry, LONG), (swallowing, LONG), (hanging, ChildLimits(0.3)), (spinning, ChildLimits(30, cpu=1)), (crashing, LONG)],
)
def test_its_limits(work: Callable[[BinaryIO], None], limits: ChildLimits) -> None:
    """Each is told, also that of memory by one that swallows the error; and no child is left."""
    before = _children()
    began = time.monotonic()
    assert apart(work, limits) == ChildOutput(b"", "limit")
    assert time.monotonic() - began < 20
    assert _children() <= before


def test_a_confined_process_ends_it_too() -> None:
    """It may signal its own group only, and has an end of its own to survive."""
    code = (
        "import os, signal; from filterlink.process import sandbox; from filterlink.filters.runtime.apart import apart\n"
        "from filterlink.filters.runtime.child import ChildLimits\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); sandbox.confine(sandbox.interpreter())\n"
        "for limits in (ChildLimits(0.3), ChildLimits(0.3, memory=1 << 30)):\n"
        "    print(apart(lambda file: signal.pause(), limits).flag, apart(lambda file: file.write(b'all'), limits).output)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20, check=True)

    assert done.stdout == b"limit b'all'\nlimit b'all'\n"
