"""Run the fault storm: system calls of the supervisor fail, and hostile bytes come to every socket. The engine must still answer.

After each fault the engine answers `status` within 5 s and has all its processes, or it has ended with 70 and left no process.
"""

import contextlib
import itertools
import json
import random
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from enqueuer import exits
from enqueuer.control import client
from enqueuer.ipc import frames
from enqueuer.lab.trial import Trial, signal_all, wait
from filterlink.wire.frames import Ask, encode
from tests.storm import weather
from tests.storm.faults import STRACE, Fault, traced

ERRORS = ("EAGAIN", "ENOSPC", "EMFILE", "EIO", "ENOMEM")
ALWAYS = ("exit_group", "rt_sigreturn", "restart_syscall", "getpid", "clock_nanosleep", "brk", "futex")
"""Calls that are left alone: they cannot fail with these errors, or libc would take the error for corrupted memory and abort."""
MORE = ("mmap", "munmap", "fsync", "rt_sigprocmask", "rt_sigaction", "getsockopt", "shutdown", "unlink", "mkdir", "kill", "fcntl")
"""Calls that a recording may miss, because they are rare."""
STARTS = (
    *("chdir", "umask", "flock", "ftruncate", "socket", "bind", "chmod", "listen", "socketpair", "setsockopt", "epoll_create1"),
    *("epoll_ctl", "clone", "pipe2", "prctl", "accept4", "epoll_wait", "setrlimit,prlimit64", "unlink", "fsync", "mkdir"),
)
"""Calls of a start that come after the interpreter's own."""
WITHIN = 5.0
SETTLED_WITHIN = 30.0
"""Seconds until every process runs again: several throttled pauses of 5 s each may come one after the other."""
WORKERS = 4
ROLES = Counter(("supervisor", "logger", "filterlink", "queue manager", "watcher"))


class Case(NamedTuple):
    phase: str
    call: str
    error: str
    when: str


class Subject:
    """An engine under faults. If it has ended, it is started again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._numbers = itertools.count()
        self.trial = Trial(folder / "base", self._config())
        self.outcomes: Counter[str] = Counter()

    def _config(self) -> str:
        return weather.config(self._folder / "markers", 1 + next(self._numbers) % 3)

    def suffer(self, case: Case) -> None:
        """Cause one fault and check that the engine still answers. Raises TrialError or AssertionError."""
        if self.trial.process is None or self.trial.process.poll() is not None:
            self.trial.start()
            self._census()
        assert self.trial.process is not None
        with Fault(self.trial.process.pid, case.call, case.error, case.when, self._folder) as fault:
            PHASES[case.phase](self)
            if case.phase == "stop":
                self.trial.wait(lambda: not self.alive, f"{case}: it ends", SETTLED_WITHIN)
            else:
                wait(lambda: fault.hits or not self.alive or fault.quiet(0.7), 3, "the fault was done")
        hit = "hit" if fault.hits else "not hit"
        if self.alive and case.phase == "stop":
            self.trial.wait(lambda: not self.alive, f"{case}: it ends", 1)
        if self._answers(case):
            self._census()
            self.outcomes[f"answers, {hit}"] += 1
        else:
            self.outcomes["ended"] += 1

    @property
    def alive(self) -> bool:
        assert self.trial.process is not None
        return self.trial.process.poll() is None

    @property
    def state(self) -> str:
        """Describe what the supervisor does, for the report of a failure."""
        assert self.trial.process is not None
        found = [f"supervisor: exit code {self.trial.process.poll()}"]
        with contextlib.suppress(OSError):
            folder = Path(f"/proc/{self.trial.process.pid}")
            lines = (folder / "status").read_text().splitlines()
            found += [line for line in lines if line.startswith(("State", "TracerPid", "Sig"))]
            found += [(folder / "wchan").read_text(), (folder / "syscall").read_text()]
            found += map(str, weather.processes(self.trial.process.pid))
        return "\n".join(found)

    def _answers(self, case: Case) -> bool:
        """Return whether the engine runs. If not, check that it ended with 70 (or 0 after a stop) and left nothing."""
        assert self.trial.process is not None
        began = time.monotonic()
        try:
            assert self.trial.status()["state"] in ("starting", "running", "draining"), case
        except (client.NotRunning, OSError):
            code = self.trial.process.wait(max(0.5, WITHIN - (time.monotonic() - began)))
            assert code in ((exits.OK, exits.SOFTWARE) if case.phase == "stop" else (exits.SOFTWARE,)), (
                case,
                code,
                self.trial.last_words(),
            )
            wait(
                lambda: weather.inhabitants(self.trial.base) == [],
                WITHIN,
                f"{case}: no process is left: {weather.inhabitants(self.trial.base)}",
            )
            return False
        return True

    def _census(self) -> None:
        """Wait until every process runs, with the configured number of processors."""

        def whole() -> bool:
            assert self.trial.process is not None
            found = Counter(each.role for each in weather.processes(self.trial.process.pid) if each.state != "Z")
            processors = self.trial.status()["processors"]
            return all(found[role] == 1 for role in ROLES) and found["processor"] == processors["configured"] == processors["running"]

        self.trial.wait(whole, "every process runs", SETTLED_WITHIN)

    # ---- actions on the engine while a call fails

    def ask(self) -> None:
        with contextlib.suppress(client.NotRunning, OSError):
            self.trial.status()

    def reload(self) -> None:
        self.trial.configure(self._config())
        with contextlib.suppress(client.NotRunning, OSError):
            client.ask(self.trial.base, {"command": "reload"}, 3)

    def bury(self) -> None:
        signal_all([*self.trial.pids("processor")[:1], *self.trial.pids("watcher")])

    def orphan(self) -> None:
        signal_all([*self.trial.pids("filterlink"), *self.trial.pids("queue manager")])

    def stop(self) -> None:
        assert self.trial.process is not None
        self.trial.process.send_signal(signal.SIGTERM)


PHASES: dict[str, Callable[[Subject], None]] = {
    "status": Subject.ask,
    "reload": Subject.reload,
    "death": Subject.bury,
    "deaths": Subject.orphan,
    "stop": Subject.stop,
}


def _recorded(subject: Subject, phase: str) -> dict[str, int]:
    """Return the calls that the supervisor makes in this phase, and how often."""
    assert STRACE is not None
    assert subject.trial.process is not None
    output = subject.trial.base.parent / "calls"
    tracer = subprocess.Popen([STRACE, "-qq", "-c", "-o", str(output), "-p", str(subject.trial.process.pid)], stderr=subprocess.DEVNULL)
    wait(lambda: traced(str(subject.trial.process.pid)), 10, "strace is attached")  # type: ignore[union-attr]
    instant = time.monotonic() + 1.5
    PHASES[phase](subject)
    weather.until(instant)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    rows = [line.split() for line in output.read_text().splitlines() if line[:1] == " " and line.split()[-1] != "total"]
    return {row[-1]: int(row[3]) for row in rows if row[0] != "%" and row[-1] not in ALWAYS}


def _cases(folder: Path, chance: random.Random) -> list[Case]:
    """Return every call of each phase with every error: at its first time, and at a random one."""
    subject = Subject(folder)
    found = []
    subject.trial.start()
    try:
        for phase in PHASES:
            calls = _recorded(subject, phase)
            print(f"{phase}: {dict(sorted(calls.items()))}")
            for call, error in itertools.product(dict.fromkeys((*calls, *(MORE if phase in ("reload", "stop") else ()))), ERRORS):
                found.append(Case(phase, call, error, "1"))
                if calls.get(call, 1) > 2 and phase != "stop":
                    found.append(Case(phase, call, error, str(chance.randint(2, calls[call]))))
    finally:
        subject.trial.end()
    return found


def _blow(folder: Path, cases: Iterable[Case], seconds: float) -> Counter[str]:
    """Run all cases in several workers, each with an engine. Cases that are not begun in time count as left."""
    left = iter(cases)
    lock = threading.Lock()
    until = time.monotonic() + seconds

    def work(number: int) -> Counter[str]:
        subject = Subject(folder / f"w{number}")
        case = None
        try:
            while True:
                with lock:
                    case = next(left, None)
                if case is None:
                    return subject.outcomes
                if time.monotonic() > until:
                    subject.outcomes["left"] += 1
                    continue
                subject.suffer(case)
        except Exception as error:
            raise AssertionError(f"{case}: {error!r}\n{subject.state}\n{subject.trial.last_words()}") from error
        finally:
            subject.trial.end()

    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(work, range(WORKERS)), Counter())


@pytest.mark.parametrize("share", [pytest.param(0.03, id="short"), pytest.param(1.0, id="long", marks=pytest.mark.storm)])
def test_no_failed_call_leaves_a_deaf_engine(share: float, tmp_path: Path) -> None:
    """Each call of the supervisor, each error, in each phase of its life."""
    if STRACE is None:
        pytest.skip("strace is not installed")
    began = time.monotonic()
    chance = weather.seeded("fault storm")
    cases = _cases(tmp_path / "recorded", chance)
    chosen = chance.sample(cases, max(12, int(len(cases) * share)))
    outcomes = _blow(tmp_path, chosen, 280)
    print(f"fault storm: {len(chosen)} of {len(cases)} faults, {dict(outcomes)}, {time.monotonic() - began:.0f} s")
    assert outcomes["left"] < len(chosen) / 2, "the machine is too slow for this storm"


@pytest.mark.parametrize("share", [pytest.param(0.1, id="short"), pytest.param(1.0, id="long", marks=pytest.mark.storm)])
def test_no_failed_call_leaves_half_a_start(share: float, tmp_path: Path) -> None:
    """After a start in which a call fails the engine runs, or it has ended with an exit code and left no process."""
    if STRACE is None:
        pytest.skip("strace is not installed")
    chance = weather.seeded("start faults")
    cases = list(itertools.product(STARTS, ERRORS))
    with ThreadPoolExecutor(WORKERS) as pool:
        pool_of = pool.map(
            lambda each: _start(tmp_path / f"s{each[0]}", *each[1]), enumerate(chance.sample(cases, int(len(cases) * share)))
        )
        print(f"start faults: {Counter(pool_of)}")


def _start(folder: Path, call: str, error: str) -> str:
    folder.mkdir()
    trial = Trial(folder / "base", weather.config(folder / "markers", 1))
    assert STRACE is not None
    # the interpreter's own start makes none of these calls, or they do it no harm
    trial.prefix = (STRACE, "-qq", "-o", str(folder / "out"), "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=1")
    process = trial.launch()
    try:
        trial.wait(lambda: process.poll() is not None or weather.runs(trial), f"{call} {error}: it runs or has ended", 20)
        if process.poll() is None:
            return "runs"
        assert process.returncode > 0, (call, error, process.returncode)
        wait(lambda: weather.inhabitants(trial.base) == [], WITHIN, f"{call} {error}: no process is left")
        return f"ended with {process.returncode}"
    finally:
        trial.end()
        signal_all([int(each.split()[0]) for each in weather.inhabitants(trial.base)])


# Hostile bytes

REQUESTS = [
    b'{"command":"status"}',
    b'{"command":"where","id":17}',
    b'{"command":"retry","id":17}',
    b'{"command":"sing"}',
    b'{"command":"reload"}',
]
FRAMES = [
    encode(frame)
    for frame in (
        *(
            frames.Hello("processor", 1, 999_999, 1),
            frames.InForce(2),
            frames.Idle(),
            frames.CommandAnswer(1, True, "x"),
            frames.SpoolChanged(),
        ),
        *(
            frames.Wake("Judge", 1),
            frames.Guilty(1, 1, "Judge", "x"),
            frames.Renewed("Judge"),
            frames.DropRefused(1, 1, "x"),
            frames.WhereAnswer(1),
        ),
        *(Ask(17, 1, "Judge", False, 10), frames.Trouble(1, 1, "x"), frames.Outcome(1, 1, "enqueued", ("OUT",), "", (1, 1))),
    )
]


def _mutations(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield bytes that are nearly valid, and bytes that are not."""
    yield data[: chance.randrange(len(data) + 1)]
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] = chance.choice((0, 0x7F, 0x80, 0x91, 0xC1, 0xCF, 0xD9, 0xDF, 0xFF, chance.randrange(256)))
    yield bytes(changed)
    at = chance.randrange(len(data))
    yield data[:at] + chance.randbytes(chance.randint(1, 30)) + data[at:]
    yield chance.randbytes(chance.randint(0, 200))
    yield chance.choice((b"[", b"{", b"\x91", b"\x81", b'{"a":')) * chance.choice((10, 1000, 30_000))


@pytest.mark.parametrize("rounds", [pytest.param(40, id="short"), pytest.param(1500, id="long", marks=pytest.mark.storm)])
def test_hostile_bytes_end_no_process(rounds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After hostile bytes on every socket of a running engine the same processes work as before, and the mail goes on."""
    chance = weather.seeded("hostile bytes")
    with Trial(tmp_path / "base", weather.config(tmp_path / "markers", 2)) as trial:
        monkeypatch.chdir(trial.base)
        trial.wait(lambda: trial.status()["processors"]["running"] == 2, "all run")
        ledger = weather.Ledger(chance)
        assert trial.process is not None
        before = {each.pid for each in weather.processes(trial.process.pid)}
        for number in range(rounds):
            for request in _mutations(chance.choice(REQUESTS), chance):
                _send("control", socket.SOCK_STREAM, (request + b"\n",), chance)
            for name in ("supervisor", "manager", "filterlink"):
                for data in _mutations(chance.choice(FRAMES), chance):
                    _send(
                        name,
                        socket.SOCK_SEQPACKET,
                        (encode(frames.Hello("processor", 1, 999_999, 1)), data)[chance.randint(0, 1) :],
                        chance,
                    )
            if number % 20 == 0:
                assert trial.status()["state"] == "running"
                mail = ledger.make()
                trial.drop(mail.name, mail.data)
        weather.settled(trial, lambda: weather.take_outbound(trial.base, ledger))
        assert {each.pid for each in weather.processes(trial.process.pid)} == before, trial.last_words()
        assert "fault in Enqueuer" not in trial.log()


def _send(name: str, kind: socket.SocketKind, records: tuple[bytes, ...], chance: random.Random) -> None:
    """Send the records; sometimes read the answers, sometimes close at once."""
    with socket.socket(socket.AF_UNIX, kind) as sock, contextlib.suppress(ConnectionError, TimeoutError):
        sock.settimeout(WITHIN)
        sock.connect(f"Run/{name}.sock")
        for record in records:
            sock.send(record[:200_000])
        if name == "control" and chance.random() < 0.5:
            answer = sock.recv(1 << 16)
            assert not answer or "ok" in json.loads(answer) or b'"version"' in answer
