"""Doors that ask: what does a site pay that puts Enqueuer beside its mail server by one line?

The answer says whether a milter door can be the default way to use Enqueuer. Figures of one group are measured in turns in one run.

- Postfix: smtp-source gives 8 KiB messages to an instance of Debian's Postfix, which throws them away after its queue. It has an smtpd
  for each milter, and one without any. Each milter has a helper in C that answers at once: Enqueuer's by its milter door on a unix
  socket or on TCP, MIMEDefang's as its worker. A site that uses MIMEDefang has its Perl worker instead: here without any filter.
- The door alone: clients in C that speak as Postfix does, one message of 8 KiB after the other on each connection. The CPU is that of all
  our processes, without the helper and the clients. Rules and a log line for each message are included.
- clamd: the same file, scanned for clients of the door through `enqueuer filter clamd`, and for as many clients of clamd itself, which
  are in C. Its cache is off. It has 200,000 random signatures, so that a scan takes
  several milliseconds. A real database may cost more or less.
- Neighbours: small messages, for which the filter takes 20 ms, beside 20 large scans.
"""

import contextlib
import os
import random
import shlex
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import engine, helper, message
from bench.peers.milter import ask_clamd, ask_milter, mimedefang_milter
from bench.peers.parts import Missing, compiled, free_port, public_folder
from bench.peers.postfix import entrances
from bench.peers.smtp import accepted
from bench.procs import roles, uses
from bench.record import note, sample
from enqueuer.lab.trial import Trial
from tests.filterlink.filters.daemons import Clamd, mail

ROUNDS = 5
CONNECTIONS = 20
SIZE = 8192
MIB = 1 << 20
WORKERS = 20
SIGNATURES = 200_000
OURS = ("supervisor", "logger", "filterlink", "queue manager", "watcher", "processor", "door")
CONFIG = """
rules = [{{name = "scan", actions = [["ExternalFilter", "F"]]}}]
[enqueuer]
processors = 2
log_level = "major"
[spool]
max_size = "200M"
[[doors]]
name = "unix"
kind = "milter"
listen = "unix:{socket}"
mode = "0666"
[[doors]]
name = "tcp"
kind = "milter"
listen = "inet:127.0.0.1:{port}"
[[filters]]
name = "F"
program = "{program}"
max_in_flight = {slots}
pipelining = true
[[routes]]
recipient = "*"
to = "OUT"
"""
RECEIVED = b"Received: from a.example.com by b.example.com; Sat, 28 Nov 2026 12:00:00 +0000\n"
"""By this field clamd knows mail. The door's filter puts one on top of each message."""
full = pytest.mark.full


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as path:
        yield path


class Doors:
    """An engine with two milter doors."""

    def __init__(self, trial: Trial, unix: str, tcp: int) -> None:
        self.trial = trial
        self.unix = f"unix:{unix}"
        self.tcp = f"inet:{tcp}"
        self.tcp_for_postfix = f"inet:127.0.0.1:{tcp}"

    def cpu(self) -> float:
        """Return the seconds of all our processes, without helpers."""
        found = roles(self.trial)
        return sum(uses(found.get(role, [])).cpu for role in OURS)

    @property
    def pid(self) -> int:
        [pid] = self.trial.pids("door")
        return pid


@contextlib.contextmanager
def doors(folder: Path, program: str, slots: int = 160) -> Iterator[Doors]:
    """Run an engine with one filter behind its doors."""
    socket = folder / "door.sock"
    port = free_port()
    with engine(CONFIG.format(socket=socket, port=port, program=program, slots=slots)) as trial:
        trial.wait(socket.exists, "the door listens")
        yield Doors(trial, str(socket), port)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "mail"
    path.write_bytes(data)
    return path


@full
@pytest.mark.benchmark(group="Postfix with a milter")
@pytest.mark.parametrize("sessions", [1, 20])
def test_postfix(benchmark: BenchmarkFixture, folder: Path, sessions: int) -> None:
    """Compare what Postfix accepts without a milter, with ours, and with MIMEDefang."""
    messages = 100 * min(sessions, 10) + 300
    with contextlib.ExitStack() as stack:
        try:
            ours = stack.enter_context(doors(folder, str(compiled("noop", folder))))
            defang = stack.enter_context(mimedefang_milter(folder / "defang", WORKERS))
            in_c = stack.enter_context(mimedefang_milter(folder / "defang-c", WORKERS, in_c=True))
            milters = {"bare": "", "unix socket": ours.unix, "TCP": ours.tcp_for_postfix, "MIMEDefang": defang, "its worker in C": in_c}
            ports = stack.enter_context(entrances(folder / "postfix", milters))
        except Missing as missing:
            pytest.skip(str(missing))
        for port in ports.values():
            accepted(port, sessions, 100, SIZE)  # warm

        def turn() -> None:
            rates = {name: accepted(port, sessions, messages, SIZE) for name, port in ports.items()}
            sample(benchmark, {f"{name}/s": rate for name, rate in rates.items()})
            sample(
                benchmark,
                {
                    "of bare, ratio": rates["unix socket"] / rates["bare"],
                    "of MIMEDefang, ratio": rates["unix socket"] / rates["MIMEDefang"],
                    "of it in C, ratio": rates["unix socket"] / rates["its worker in C"],
                    "TCP of unix socket, ratio": rates["TCP"] / rates["unix socket"],
                },
            )

        note(benchmark, {"sessions": sessions}, plot=[f"{name}/s" for name in milters], judged=["unix socket/s"])
        benchmark.pedantic(turn, rounds=ROUNDS)  # type: ignore[no-untyped-call]


@pytest.mark.benchmark(group="milter door alone, helper that answers at once")
@pytest.mark.parametrize("connections", [CONNECTIONS, pytest.param(1, marks=full)])
def test_alone(benchmark: BenchmarkFixture, folder: Path, connections: int) -> None:
    """Measure rate and CPU of a message of 8 KiB."""
    messages = 10_000 if connections > 1 else 3000
    with contextlib.ExitStack() as stack:
        try:
            ours = stack.enter_context(doors(folder, str(compiled("noop", folder))))
        except Missing as missing:
            pytest.skip(str(missing))
        data = written(folder, message(SIZE))
        ask_milter(folder, ours.unix, connections, 1000, data)  # warm

        def turn() -> None:
            before = ours.cpu()
            unix = ask_milter(folder, ours.unix, connections, messages, data)
            cpu = (ours.cpu() - before) / messages * 1e6
            tcp = ask_milter(folder, ours.tcp, connections, messages, data)
            sample(benchmark, {"unix socket/s": unix.rate, "TCP/s": tcp.rate, "our CPU, us": cpu, "p99 ms": unix.p99})

        note(benchmark, {"connections": connections}, plot=["unix socket/s", "TCP/s"])
        benchmark.pedantic(turn, rounds=ROUNDS)  # type: ignore[no-untyped-call]


@full
@pytest.mark.benchmark(group="milter door, one message of 100 MiB")
def test_memory(benchmark: BenchmarkFixture, folder: Path) -> None:
    """Measure how much the door process grows meanwhile, at its highest."""
    with contextlib.ExitStack() as stack:
        try:
            ours = stack.enter_context(doors(folder, str(compiled("noop", folder))))
        except Missing as missing:
            pytest.skip(str(missing))
        data = written(folder, message(100 * MIB))
        small = folder / "small"
        small.write_bytes(message(SIZE))
        ask_milter(folder, ours.unix, 1, 100, small)

        def turn() -> None:
            Path(f"/proc/{ours.pid}/clear_refs").write_text("5")  # the highest so far is forgotten
            before = resident(ours.pid)
            ask_milter(folder, ours.unix, 1, 1, data)
            sample(benchmark, {"MiB more": resident(ours.pid) - before})

        note(benchmark, {"MiB": 100}, judged=["MiB more"])
        benchmark.pedantic(turn, rounds=3)  # type: ignore[no-untyped-call]


def resident(pid: int) -> float:
    """Return the highest resident size since clear_refs was written, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


@full
@pytest.mark.benchmark(group="clamd behind the milter door, 20 connections")
@pytest.mark.parametrize(("kib", "messages"), [(32, 1500), (512, 200)])
def test_clamd(benchmark: BenchmarkFixture, folder: Path, kib: int, messages: int) -> None:
    """Compare clamd asked by the door's filter and by clients of its own. The attachment has `kib` KiB."""
    (folder / "clamd").mkdir()
    daemon = Clamd(folder / "clamd", f"MaxThreads {CONNECTIONS}", "DisableCache yes")
    chance = random.Random(1)
    signatures = (f"Test.Random{n}:0:*:{chance.randbytes(24).hex()}\n" for n in range(SIGNATURES))
    (daemon.database / "random.ndb").write_text("".join(signatures))
    program = f"{shlex.quote(sys.executable)} -m enqueuer.cli.app filter clamd --threads {CONNECTIONS} --socket {daemon.socket}"
    with contextlib.ExitStack() as stack:
        stack.callback(daemon.kill)
        daemon.start()
        try:
            ours = stack.enter_context(doors(folder, program, CONNECTIONS))
            data = written(folder, RECEIVED + mail(os.urandom(kib << 10)))
            ask_clamd(folder, daemon.socket, CONNECTIONS, 40, data)
        except Missing as missing:
            pytest.skip(str(missing))
        ask_milter(folder, ours.unix, CONNECTIONS, 40, data)

        def turn() -> None:
            theirs = ask_clamd(folder, daemon.socket, CONNECTIONS, messages, data)
            door = ask_milter(folder, ours.unix, CONNECTIONS, messages, data)
            alone = ask_clamd(folder, daemon.socket, 1, 20, data)
            rates = {"by the door/s": door.rate, "its own clients/s": theirs.rate, "ratio": door.rate / theirs.rate}
            sample(benchmark, rates | {"ms of one scan": alone.p50})

        note(benchmark, {"KiB": kib}, judged=["ratio"])
        benchmark.pedantic(turn, rounds=ROUNDS)  # type: ignore[no-untyped-call]


@full
@pytest.mark.benchmark(group="milter door, small messages beside 20 large scans of 2 s")
@pytest.mark.parametrize("large", [0, 20])
def test_neighbours(benchmark: BenchmarkFixture, folder: Path, large: int) -> None:
    """Measure what small messages wait beyond the 20 ms of the filter."""
    with contextlib.ExitStack() as stack:
        try:
            ours = stack.enter_context(doors(folder, helper("told:20"), 100))
        except Missing as missing:
            pytest.skip(str(missing))
        small = written(folder, message(4096))
        slow = folder / "slow"
        slow.write_bytes(b"X-Delay: 2000\n" + message(2 * MIB))
        ask_milter(folder, ours.unix, 4, 40, small)

        def turn() -> None:
            beside = threading.Thread(target=lambda: ask_milter(folder, ours.unix, large, large, slow))
            if large:
                beside.start()
                ours.trial.wait(lambda: ours.trial.status()["filters"][0]["in_flight"] >= large, "the large scans have begun")
            tally = ask_milter(folder, ours.unix, 4, 200, small)
            if large:
                beside.join()
            sample(benchmark, {"p50 ms over its own time": tally.p50 - 20, "p99 ms over its own time": tally.p99 - 20})

        note(benchmark, {"large": large}, judged=["p99 ms over its own time"])
        benchmark.pedantic(turn, rounds=ROUNDS)  # type: ignore[no-untyped-call]
