"""`make profile`: where the CPU goes, per message. It measures a running engine with a no-op filter twice.

First without a profiler: what the kernel charged each process (/proc/PID/task/*/schedstat) and the machine (/proc/stat)
while N messages went through. Then again under py-spy, whose samples divide each process's time among its steps. The
profiler slows the engine down, so only the shares of the second run count, and the times of the first.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import steps
from bench.harness import Pile, config, engine, helper, message
from bench.results import RESULTS, machine
from enqueuer.lab.trial import Trial

RATE = 200
"""Samples a second of py-spy: more of them slow a machine of two cores down too much."""
TOP = 30
TICK = os.sysconf("SC_CLK_TCK")


class Cpu(NamedTuple):
    """Seconds of processor time."""

    total: float
    user: float
    system: float

    def plus(self, other: "Cpu", sign: int = 1) -> "Cpu":
        return Cpu(*(mine + sign * theirs for mine, theirs in zip(self, other, strict=True)))


class Measured(NamedTuple):
    """A run without the profiler."""

    messages: int
    seconds: float
    roles: dict[str, Cpu]
    machine: float
    """Seconds in which cores were not idle, of all cores together."""
    steps: dict[tuple[str, str], tuple[float, float]]
    """Seconds of wall and of processor time by process and step: the engine's own clocks."""


NOTHING = Cpu(0, 0, 0)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench profile", description="Say where the CPU goes, by process and step.")
    parser.add_argument("--processors", type=int, default=4)
    parser.add_argument("--messages", type=int, default=6000)
    parser.add_argument("--size", type=int, default=8192)
    options = parser.parse_args(arguments)
    report = _profile(options.processors, options.messages, options.size)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "profile.md").write_text(report)
    print(report)
    return 0


def _profile(processors: int, messages: int, size: int) -> str:
    data = message(size)
    with engine(config(processors, helper("noop"))) as trial, tempfile.TemporaryDirectory() as folder:
        Pile(trial, 500, data).run()  # warm
        measured = _measure(trial, messages, data)
        raw = Path(folder) / "raw"
        complaint = _spy(trial, messages, data, raw)
        samples = list(steps.parse(raw.read_text().splitlines())) if raw.exists() else []
    about = machine()
    head = f"{messages} messages of {size} bytes, {processors} processors, a helper that answers at once: {_rate(measured)}; "
    head += f"{about['cores']} cores, {about['filesystem']}, Linux {about['kernel']}, Enqueuer at {about['commit']}."
    head += f" **{about['warning']}.**" if about["warning"] else ""
    by_samples = _by_step(measured, samples) if samples else [complaint]
    return "\n".join([head, "", *_by_process(measured), "", *_by_lap(measured), "", *by_samples, ""])


def _measure(trial: Trial, messages: int, data: bytes) -> Measured:
    pile = Pile(trial, messages, data)
    timings = _timings(trial)
    before = _roles(trial)
    busy = _machine_busy()
    began = time.monotonic()
    pile.run()
    seconds = time.monotonic() - began
    after = _roles(trial)
    spent = {role: cpu.plus(before.get(role, NOTHING), -1) for role, cpu in after.items()}
    busy = _machine_busy() - busy
    lapped = {key: (wall - timings[key][0], cpu - timings[key][1]) for key, (wall, cpu) in _timings(trial).items()}
    return Measured(messages, seconds, spent, busy, lapped)


def _timings(trial: Trial) -> dict[tuple[str, str], tuple[float, float]]:
    return {(one["process"], one["step"]): (one["wall_s"], one["cpu_s"]) for one in trial.status()["steps"]}


def _spy(trial: Trial, messages: int, data: bytes, raw: Path) -> str:
    """Run the load again under py-spy; return why there are no samples, if there are none."""
    assert trial.process is not None
    pile = Pile(trial, messages, data)
    program = shutil.which("py-spy", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        return "No table of steps: py-spy is not installed (pip install py-spy)."
    command = [program, "record", "--pid", str(trial.process.pid), "--subprocesses", "--format", "raw", "--rate", str(RATE)]
    spy = subprocess.Popen([*command, "--output", str(raw)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    pile.run()
    spy.send_signal(signal.SIGINT)  # like a ^C: it writes what it has
    return f"No table of steps: py-spy said: {spy.communicate(timeout=60)[1].decode(errors='replace').strip()[-300:]}"


# ---- what the kernel says


def _roles(trial: Trial) -> dict[str, Cpu]:
    """Return processor time by role, of the engine, its helpers and this program."""
    assert trial.process is not None
    found = {"this benchmark": _cpu(os.getpid())}
    for pid in _tree(trial.process.pid):
        role = steps.role_of(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
        found[role] = found.get(role, NOTHING).plus(_cpu(pid))
    return found


def engine_cpu(trial: Trial) -> float:
    """Return the processor seconds of all processes of the engine, without its helpers."""
    return sum(cpu.total for role, cpu in _roles(trial).items() if role not in ("helper", "this benchmark"))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _tree(int(child))


def _cpu(pid: int) -> Cpu:
    """Read `total` to the nanosecond; the division into user and system by clock ticks is less exact."""
    nanoseconds = sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Cpu(nanoseconds / 1e9, int(fields[11]) / TICK, int(fields[12]) / TICK)


def _machine_busy() -> float:
    """Return the seconds since boot in which the cores were neither idle nor waiting for the disk."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICK


# ---- tables


def _rate(measured: Measured) -> str:
    return f"{measured.messages / measured.seconds:.0f}/s"


def _by_process(measured: Measured) -> Iterator[str]:
    yield "| process | CPU us a message | user | system | % of the machine's work |"
    yield "|---|---:|---:|---:|---:|"
    each = 1e6 / measured.messages
    for role, cpu in sorted(measured.roles.items(), key=lambda item: -item[1].total):
        split = cpu.user / (cpu.user + cpu.system) if cpu.user + cpu.system else 0.0
        user = cpu.total * split * each
        system = cpu.total * (1 - split) * each
        yield f"| {role} | {cpu.total * each:.0f} | {user:.0f} | {system:.0f} | {100 * cpu.total / measured.machine:.0f} |"
    rest = measured.machine - sum(cpu.total for cpu in measured.roles.values())
    yield f"| kernel threads and all else | {rest * each:.0f} | | {rest * each:.0f} | {100 * rest / measured.machine:.0f} |"
    cores = (os.cpu_count() or 1) * measured.seconds
    yield f"| **the machine's work** | **{measured.machine * each:.0f}** | | | 100 |"
    yield f"| idle | {max(0.0, cores - measured.machine) * each:.0f} | | | |"


def _by_lap(measured: Measured) -> Iterator[str]:
    """Yield the engine's own clocks. The rest of a process is wake-ups, links between processes, and log lines between steps."""
    yield "| process | step, by the engine's own clocks | CPU us a message | from its start to its end |"
    yield "|---|---|---:|---:|"
    each = 1e6 / measured.messages
    for process in dict.fromkeys(process for process, _ in measured.steps):
        left = measured.roles[process].total * each
        for step, (wall, cpu) in ((step, times) for (of, step), times in measured.steps.items() if of == process):
            left -= cpu * each
            if wall:
                yield f"| {process} | {step} | {cpu * each:.1f} | {wall * each:.1f} |"
        yield f"| {process} | waking up, links, the rest | {left:.1f} | |"


def _by_step(measured: Measured, samples: list[steps.Sample]) -> Iterator[str]:
    """Divide each process's time by its samples. Samples in waits show how often it waited, not the cost of waiting."""
    found = steps.by_step(samples)
    sizes: Counter[str] = Counter()
    for (role, step), count in found.items():
        sizes[role] += count if step != steps.WAIT else 0
    each = {role: measured.roles.get(role, NOTHING).total * 1e6 / measured.messages / max(1, count) for role, count in sizes.items()}
    yield "| process | step | us a message | % of the process |"
    yield "|---|---|---:|---:|"
    for (role, step), count in sorted(found.items(), key=lambda item: (-each[item[0][0]] * sizes[item[0][0]], -item[1])):
        if step != steps.WAIT and count * 100 >= sizes[role]:
            yield f"| {role} | {step} | {count * each[role]:.1f} | {100 * count / sizes[role]:.0f} |"
    yield ""
    yield "| process | function, its own time | us a message |"
    yield "|---|---|---:|"
    costs = {key: count * each[key[0]] for key, count in steps.by_function(samples).items()}
    for (role, function), cost in sorted(costs.items(), key=lambda item: -item[1])[:TOP]:
        yield f"| {role} | {function} | {cost:.1f} |"
