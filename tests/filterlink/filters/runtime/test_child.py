"""Real children, and what is left of them."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from filterlink.filters.runtime import child
from filterlink.filters.runtime.child import MAX_OUTPUT, ChildExit, ChildLimits, run_limited

LONG = ChildLimits(30)


def shell(text: str, limits: ChildLimits = LONG) -> ChildExit:
    return run_limited(["/bin/sh", "-c", text], limits)


def test_exit_code_and_output() -> None:
    """Of both its streams, with nothing on its standard input."""
    assert shell("cat; echo out; echo err >&2; exit 7") == ChildExit(7, b"out\nerr\n", False)
    assert shell("kill -9 $$") == ChildExit(-9, b"", False)


def test_a_program_that_is_not_there() -> None:
    """Is told at once."""
    with pytest.raises(FileNotFoundError):
        run_limited(["/nowhere/scan"], LONG)


def test_time_is_limited() -> None:
    """What it said until then is kept."""
    assert shell("echo begun; exec sleep 60", ChildLimits(0.5)) == ChildExit(-9, b"begun\n", True)
    assert shell("exec sleep 60 >&- 2>&-", ChildLimits(0.2)).late
    assert shell("while :; do echo y; done", ChildLimits(0.3)).late


def test_time_in_which_we_stand_still_is_not_counted(tmp_path: Path) -> None:
    """A freeze of filter and scanner together, as that of a container, is no time-out of the scanner."""
    pid = tmp_path / "pid"
    script = f"echo $$ >{pid}; kill -STOP $PPID; kill -STOP $$; exit 3"
    code = f"from filterlink.filters.runtime.child import *; print(run_limited(['/bin/sh', '-c', {script!r}], ChildLimits(2)))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            select.select([], [], [], 0.1)
        os.kill(process.pid, signal.SIGCONT)
        select.select([], [], [], 0.3)  # it looks at its clock before the other goes on
        os.kill(int(pid.read_text()), signal.SIGCONT)
        assert process.stdout
        assert process.stdout.read() == b"ChildExit(code=3, output=b'', late=False)\n"


def test_processor_time_and_memory_are_limited() -> None:
    """A scanner that a bomb makes grow harms nobody else."""
    assert shell("while :; do :; done", ChildLimits(30, cpu=1)).code in (-signal.SIGXCPU, -signal.SIGKILL)
    ended = run_limited([sys.executable, "-c", "bytearray(1 << 30)"], ChildLimits(30, memory=512 << 20))
    assert ended.code == 1
    assert b"MemoryError" in ended.output


@pytest.mark.parametrize(
    ("limit", "outer", "inner", "asked", "told"),
    [("RLIMIT_AS", 1 << 31, "memory=1 << 32", "ulimit -Hv", str(1 << 21)), ("RLIMIT_CPU", 40, "cpu=60", "ulimit -Ht", "40")],
)
def test_the_smaller_limit_counts(limit: str, outer: int, inner: str, asked: str, told: str) -> None:
    """Where the filter has one of its own, a wider one for its scanner is no fault: only root could set it."""
    code = (
        f"import resource; resource.setrlimit(resource.{limit}, ({outer}, {outer})); from filterlink.filters.runtime.child import *; "
        f"print(run_limited(['/bin/sh', '-c', '{asked}'], ChildLimits(30, {inner})).output.decode())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)

    assert done.stdout.decode().strip() == told


def _refuse(*_: object) -> None:
    """The kernel takes each limit that can be written, so it has to be played that it does not."""
    raise ValueError("not allowed")


def test_limits_that_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are told as what cannot be started."""
    monkeypatch.setattr(child, "restrain", _refuse)
    with pytest.raises(OSError, match="limits"):
        run_limited(["/bin/true"], ChildLimits(30, memory=1 << 30))


def test_a_limit_beyond_what_the_kernel_can_say() -> None:
    """Is the largest that it can say."""
    assert run_limited(["/bin/true"], ChildLimits(30, memory=1 << 70)).code == 0


def test_output_is_bounded() -> None:
    """And read to its end, so that it does not wait for us."""
    ended = shell("head -c 5000000 /dev/zero; exit 3")

    assert (ended.code, len(ended.output), ended.late) == (3, MAX_OUTPUT, False)


@pytest.mark.parametrize("end", ["exit 0", "exec sleep 60"])
def test_the_whole_group_ends_with_it(tmp_path: Path, end: str) -> None:
    """A process that it left behind holds up nobody, and is gone afterwards: its end of a pipe is closed."""
    os.mkfifo(tmp_path / "alive")
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    shell(f"(sleep 60 & ) 3>{tmp_path}/alive; {end}", ChildLimits(1))
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        assert select.select([pipe], [], [], 10)[0]
        assert pipe.read() == b""


def test_it_dies_with_us(tmp_path: Path) -> None:
    """When the process that runs it is killed."""
    os.mkfifo(tmp_path / "alive")
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    code = "import sys; from filterlink.filters.runtime.child import *; run_limited(['/bin/sh', '-c', sys.argv[1]], ChildLimits(60))"
    ours = subprocess.Popen([sys.executable, "-c", code, f"exec 3>{tmp_path}/alive; echo up >&3; exec sleep 60"])
    with os.fdopen(reader, "rb", buffering=0) as pipe, ours:
        assert select.select([pipe], [], [], 10)[0]
        assert pipe.read(3) == b"up\n"
        ours.kill()
        assert select.select([pipe], [], [], 10)[0]
        assert pipe.read() == b""
