"""Demands on the meter of the CPU that we may use."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer.system.cpu import CGROUP, LONGEST, MOUNTS, ControlGroup, CpuMeter, allowed, folders, fullest, groups, parse, used

TEXT = "cpu  100 20 30 400 50 6 7 8 90 10\ncpu0 100 0 0 100 0 0 0 0 50 0\ncpu1 0 20 30 300 50 6 7 8 40 10\nintr 7 0\n"
MOUNTED = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
BOTH = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


def test_waiting_for_the_disk_is_not_use() -> None:
    """Of the cores that we may run on; guests are in the other numbers already."""
    assert parse(TEXT, {0, 1}) == (171, 621)
    assert parse(TEXT, {0}) == (100, 200)


def _burn(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_the_share_is_of_the_time_between_two_looks() -> None:
    """From 0 to 1; nothing is known at the first look, nor a moment or a long time after the last."""
    meter = CpuMeter()
    now = time.monotonic()
    assert meter.share(now) is None
    _burn(0.3)

    share = meter.share(now + 0.3)
    assert share is not None
    assert 0 < share <= 1
    assert meter.share(now + 0.3001) is None
    assert meter.share(now + 1 + LONGEST) is None


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000\n", None), ("150000 100000\n", 1.5), ("20000 100000\n", 0.2), ("max\n", None), ("", None), ("0 100000", None)],
)
def test_what_a_limit_allows(text: str, cores: float | None) -> None:
    assert allowed(text) == cores


def test_what_was_used() -> None:
    assert used("usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 7\n") == 1.5
    assert used("") is None


@pytest.mark.parametrize(
    ("cgroup", "mountinfo", "found"),
    [
        ("0::/system.slice/e.service\n", MOUNTED, ("system.slice/e.service", "system.slice", "")),
        ("0::/\n", MOUNTED, ("",)),  # a container with a cgroup namespace
        ("0::/../../a\n", MOUNTED, ("",)),  # one that was entered from outside
        ("0::/docker/abc/sub\n", MOUNTED.replace("0:28 / ", "0:28 /docker/abc "), ("sub", "")),  # one without
        ("0::/other\n", MOUNTED.replace("0:28 / ", "0:28 /docker/abc "), ("",)),
        ("8:pids:/\n1:cpu:/a\n0::/a\n", BOTH, ("unified/a", "unified")),  # both generations at once
        ("1:cpu:/a\n", MOUNTED, ()),
        ("0::/a\n", "", ()),
        ("", "", ()),
    ],
)
def test_where_limits_stand(cgroup: str, mountinfo: str, found: tuple[str, ...]) -> None:
    """Of our own group and of those above it, as far as we can see them."""
    assert folders(cgroup, mountinfo) == tuple(f"/sys/fs/cgroup/{name}".rstrip("/") for name in found)


def test_the_fullest_group_counts() -> None:
    """A new one is known at the second look."""
    before = {"a": ControlGroup(2.0, 10.0), "b": ControlGroup(1.0, 5.0)}
    after = {"a": ControlGroup(2.0, 11.0), "b": ControlGroup(1.0, 5.75), "c": ControlGroup(1.0, 9.0)}
    assert fullest(before, after, 1.0) == 0.75
    assert fullest(before, after, 0.5) == 1.0
    assert fullest({}, after, 1.0) == 0.0


def test_a_limit_is_read_each_time(tmp_path: Path) -> None:
    """It may come, change and go while we run; a folder without one counts for nothing."""
    assert groups([str(tmp_path)]) == {}
    (tmp_path / "cpu.stat").write_text("usage_usec 1000\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert groups([str(tmp_path)]) == {}
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert groups([str(tmp_path)]) == {str(tmp_path): ControlGroup(0.5, 0.001)}


def test_the_fuller_one_counts_the_machine_or_the_limit(tmp_path: Path) -> None:
    """Files as the kernel's: of an idle machine a tenth of a core, all of it used; then of a busy one."""
    core = min(os.sched_getaffinity(0))
    stat = tmp_path / "stat"
    usage = tmp_path / "cpu.stat"
    (tmp_path / "cpu.max").write_text("10000 100000\n")
    meter = CpuMeter(stat, [str(tmp_path)])
    found = []
    for now, busy, idle, spent in ((1.0, 0, 0, 0), (1.5, 5, 45, 50_000), (2.0, 50, 50, 60_000)):
        stat.write_text(f"cpu 0\ncpu{core} {busy} 0 0 {idle} 0 0 0 0 0 0\n")
        usage.write_text(f"usage_usec {spent}\nuser_usec 0\n")
        found.append(meter.share(now))

    assert found == [None, 1.0, 0.9]


@pytest.fixture
def limited() -> Iterator[Path]:
    """A control group of a tenth of a core. Skipped where there is none to be had."""
    own = next(iter(folders(CGROUP.read_text(), MOUNTS.read_text())), "")
    folder = Path(own, f"enqueuer-test-{os.getpid()}")
    with contextlib.suppress(OSError):
        folder.mkdir()
    try:
        (folder / "cpu.max").write_text("10000 100000")
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip("no control group with a limit can be made here: it takes root and cgroup v2 with the cpu controller")
    yield folder
    folder.rmdir()


SHARE = """
import time
from enqueuer.system.cpu import CpuMeter
meter = CpuMeter()
then = time.monotonic()
meter.share(then)
while time.monotonic() < then + 1:
    pass
print(meter.share(time.monotonic()))
"""


def test_a_full_control_group_is_a_full_cpu(limited: Path) -> None:
    """Whoever may use a tenth of a core, and does, is told that all of the CPU is in use, on however idle a machine."""
    enter = f"import os; open({str(limited / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
    done = subprocess.run([sys.executable, "-c", enter + SHARE], capture_output=True, text=True, timeout=60, check=True)

    assert float(done.stdout) > 0.9
