import os
import pty
import signal
import subprocess
import sys
import termios

from enqueuer.tune.keys import Keys, keys

WAITER = """
from enqueuer.tune.keys import keys
with keys() as stop:
    print("ready", flush=True)
    while not stop(60.0):
        pass
    print("stopped", stop.signals, flush=True)
"""


def start(terminal: int) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-c", WAITER], stdin=terminal, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_q_stops() -> None:
    """At once, without a return key; the terminal is as it was afterwards."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = start(theirs)
    os.write(ours, b"xq")

    assert process.communicate(timeout=20)[0] == b"stopped 0\n"
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_signals_stop() -> None:
    """^C and SIGTERM, with no terminal at all."""
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start(subprocess.DEVNULL)
        process.send_signal(number)

        assert process.communicate(timeout=20)[0] == b"stopped 1\n"


def test_handlers_come_back() -> None:
    """Whoever called has his own again."""
    before = signal.getsignal(signal.SIGINT)
    with keys() as stop:
        assert signal.getsignal(signal.SIGINT) == stop.note
        assert not stop(0.0)

    assert signal.getsignal(signal.SIGINT) == before


def test_a_terminal_that_is_closed_is_no_stop() -> None:
    """Nor does it keep the CPU busy."""
    reader, writer = os.pipe()
    os.close(writer)
    found = Keys(reader)

    assert not found(0.01)
    assert found._terminal is None
    os.close(reader)
