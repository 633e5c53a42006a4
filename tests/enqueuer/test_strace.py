"""Demand on the whole engine: in `each` mode the kernel sees one message's calls in the order that DESIGN.md promises (Durability)."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial

STRACE = shutil.which("strace")
CALLS = "trace=fsync,fdatasync,syncfs,sync,rename,renameat,renameat2,unlink,unlinkat"
ORDER = [
    "rename Submitted/a.eml Submitted/.taken/ID.a.eml",
    "fsync Queue/ID.msg",
    "fsync Staged/ID.N.OUT",  # another file, because of its trace field
    "fsync Staged",
    "rename Queue/ID.msg Queue/ID.N.done",  # THE COMMIT POINT
    "fsync Queue",
    "unlink Submitted/.taken/ID.a.eml",
    "rename Staged/ID.N.OUT Outbound/OUT/ID.msg",
    "fsync Outbound/OUT",
    "fsync Staged",
    "fsync Submitted/.taken",
    "unlink Queue/ID.N.done",
]


@pytest.fixture
def traced(trials: Callable[[str], Trial], config: Callable[..., str], tmp_path: Path) -> Iterator[tuple[Trial, Path]]:
    """A running engine in `each` mode, and the file to which its queue manager's calls go."""
    if STRACE is None:
        pytest.skip("strace is not installed")
    output = tmp_path / "strace"
    errors = tmp_path / "strace.err"
    with trials(config(more='[spool]\ndurability = "each"')) as trial, errors.open("wb") as file:
        (manager,) = trial.pids("queue manager")
        command = [STRACE, "-f", "-y", "-e", CALLS, "-o", str(output), "-p", str(manager)]
        tracer = subprocess.Popen(command, stderr=file)
        trial.wait(lambda: tracer.poll() is not None or b"attached" in errors.read_bytes(), "strace is attached")
        if tracer.poll() is not None:
            pytest.skip(f"strace may not attach here: {errors.read_text().strip()}")
        yield trial, output
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)


def _calls(text: str, base: Path) -> list[str]:
    """The successful calls in short: name and paths below the base directory, with ID and N for this message's numbers."""
    found = []
    for line in re.findall(r"^\d+ +(\w+)\((.*)\) += 0$", _joined(text), re.MULTILINE):
        name = re.sub(r"(at2?|data)$", "", line[0])
        arguments = line[1]
        paths = re.findall(r'"([^"]+)"', arguments) or re.findall(r"<([^>]+)>", arguments)
        short = " ".join(path.removeprefix(f"{base}/") for path in paths)
        found.append(re.sub(r"ID\.\d+\.", "ID.N.", re.sub(r"\d{16}", "ID", f"{name} {short}")))
    return found


def _joined(text: str) -> str:
    """A call that another thread's interrupts is told in two lines: put the second half to the first."""
    halves: dict[str, str] = {}
    lines = []
    for line in text.splitlines():
        pid, _, rest = line.partition(" ")
        if rest.endswith("<unfinished ...>"):
            halves[pid] = rest.removesuffix("<unfinished ...>").strip()
        elif resumed := re.match(r" *<\.\.\. \w+ resumed>(.*)", rest):
            lines.append(f"{pid} {halves.pop(pid, '')}{resumed[1]}")
        else:
            lines.append(line)
    return "\n".join(lines)


def test_the_kernel_sees_the_order_of_the_design(traced: tuple[Trial, Path], mail: Callable[..., bytes]) -> None:
    """From the claim to the last name: files before folders, folders before the next step, no syncfs, nothing twice."""
    trial, output = traced
    trial.drop("a", mail("a", "0 OK"))
    trial.wait(lambda: re.search(r'unlink\(".*\.done"\) += 0', output.read_text()), "it is gone from the queue")

    calls = _calls(output.read_text(), trial.base)
    begin = calls.index(ORDER[0])
    assert calls[begin:] == ORDER, output.read_text()
