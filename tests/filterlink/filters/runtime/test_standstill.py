"""Demands on the clock that stops while its process does."""

import os
import select
import signal
import subprocess
import sys
import time

from filterlink.filters.runtime.standstill import Awake, stood_still, used


def test_a_time_out_comes() -> None:
    """In time, whether nothing is ready or something is all the time."""
    poll = select.poll()
    began = time.monotonic()
    clock = Awake(0.3)
    assert clock.wait(poll) == []
    assert 0.3 <= time.monotonic() - began < 5

    nothing = os.open("/dev/null", os.O_RDWR)
    poll.register(nothing)
    clock = Awake(0.2)
    while clock.wait(poll):
        pass
    os.close(nothing)


def test_a_stop_is_not_counted() -> None:
    """A process that is stopped for longer than its time-out has all of that left but one lap."""
    code = (
        "import os, select, signal, time; from filterlink.filters.runtime.standstill import Awake; clock = Awake(2); "
        "os.kill(os.getpid(), signal.SIGSTOP); began = time.monotonic(); clock.wait(select.poll()); print(time.monotonic() - began)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            select.select([], [], [], 0.1)
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdout
        assert float(process.stdout.read()) > 1.4


def test_who_is_to_blame() -> None:
    """A message that kept the processor busy is, one that waited is not."""
    began = used()
    while (busy := used() - began) < 0.2:
        pass
    assert (stood_still(busy, 0.3), stood_still(busy, 1.0)) == (False, True)
