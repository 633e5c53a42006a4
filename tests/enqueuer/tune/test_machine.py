import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from enqueuer.system.cpu import ControlGroup
from enqueuer.tune.machine import between, look

SPINNER = "while True: pass"
PARENT = """
import subprocess, sys, setproctitle
setproctitle.setproctitle("enqueuer: " + sys.argv[1])
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
print(child.pid, flush=True)
sys.stdin.read()
child.kill()
"""


@pytest.fixture(params=["filterlink", "processor 1"])
def parent(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A process of that title with a child that computes."""
    process = subprocess.Popen([sys.executable, "-c", PARENT, request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield request.param, process.pid
    process.communicate(b"")


def test_cpu_time_belongs_to_whoever_used_it(parent: tuple[str, int]) -> None:
    """What filterlink started are helpers; the rest below the supervisor is the engine's own."""
    title, pid = parent
    before = look()
    deadline = time.monotonic() + 20
    while True:
        found = between(before, look(), pid)[0]
        if (found.helpers if title == "filterlink" else found.engine) > 0.2 and look().at - before.at > 0.5:
            break
        assert time.monotonic() < deadline, found
    assert found.hottest == pytest.approx(found.helpers)
    assert title == "filterlink" or found.helpers == 0
    assert found.outside <= found.cores - 0.1  # its child is ours
    assert 0 < found.busy <= 1
    assert found.cores <= (os.cpu_count() or 1)


def test_a_program_that_computes_beside_is_outside() -> None:
    before = look()
    with subprocess.Popen([sys.executable, "-c", SPINNER]) as program:
        deadline = time.monotonic() + 20
        while (found := between(before, look(), os.getpid())[0]).outside < 0.2 or look().at - before.at < 0.3:
            assert time.monotonic() < deadline, found
        program.kill()


def test_a_containers_limit_is_all_that_there_is() -> None:
    """Half a core of which all is used is a full CPU, whatever the machine has beside it."""
    before = look()
    deadline = time.monotonic() + 20
    while (now := look()).at - before.at < 0.3:
        assert time.monotonic() < deadline
    limited = [
        each._replace(groups={"/sys/fs/cgroup": ControlGroup(0.5, seconds)})
        for each, seconds in ((before, 7.0), (now, 7.0 + now.at - before.at))
    ]

    found = between(limited[0], limited[1], os.getpid())[0]
    assert (found.cores, found.busy) == (0.5, 1.0)


def test_the_disk_is_a_part_of_the_time() -> None:
    """Never more than all of it, with PSI or without."""
    before = look()
    without = look()._replace(stalled=None)

    assert 0 <= between(before, look(), os.getpid())[1] <= 1
    assert 0 <= between(before, without, os.getpid())[1] <= 1
