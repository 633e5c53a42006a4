"""Share code among the storms: the seed, messages that name their own disposition, the ledger of the results, the engine's processes."""

import contextlib
import os
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from enqueuer.control import client
from enqueuer.lab.trial import Trial, TrialError
from enqueuer.queue.message import envelope
from tests.helpers.paths import HELPERS
from tests.helpers.trace import bare

JUDGE = HELPERS / "judge.py"
CONFIG = """
[enqueuer]
processors = {processors}
log_level = "{log_level}"
max_attempts = 1000
retry_after = "500ms"
[enqueuer.lanes]
large_over = "20K"
[spool]
min_free = "{min_free}"
rescan = "1s"
[[filters]]
name = "Judge"
program = "{judge}"
max_in_flight = 20
auto_restart = "100ms"
[[rules]]
name = "scan everything"
actions = [["ExternalFilter", "Judge"]]
[[routes]]
recipient = "*@smtp.example"
to = "SMTP"
[[routes]]
recipient = "*"
to = "OUT"
"""
Status = dict[str, Any]
FIELD = b"X-Storm: seen\n"
ROLES = ("supervisor", "logger", "filterlink", "queue manager", "watcher", "door", "processor")
PATIENCE = 120.0
"""Seconds until a storm that does not settle has failed: the longest pause of the engine is a minute."""


def config(markers: Path, processors: int = 4, log_level: str = "major", min_free: str = "1%") -> str:
    """Return the config file. `markers`: the folder in which the helper remembers messages that it has deferred."""
    markers.mkdir(exist_ok=True)
    judge = f"{sys.executable} -IS {JUDGE} 0 {markers}"
    return CONFIG.format(processors=processors, log_level=log_level, min_free=min_free, judge=judge)


def seeded(name: str) -> random.Random:
    """Return the random generator of a storm. ENQUEUER_SEED repeats it; the timing of real processes is still random."""
    seed = os.environ.get("ENQUEUER_SEED") or str(random.SystemRandom().randrange(1 << 32))
    print(f"\n{name}: ENQUEUER_SEED={seed}")
    return random.Random(f"{name} {seed}")


def until(moment: float, work: Callable[[], object] = lambda: None) -> None:
    """Let time pass until a time of time.monotonic(), and do the work now and then. Only the storms wait in this way."""
    nothing = threading.Event()
    while (left := moment - time.monotonic()) > 0:
        work()
        nothing.wait(min(left, 0.01))


# The messages


class Mail(NamedTuple):
    name: str
    data: bytes
    dispositions: tuple[frozenset[str], ...]
    """The possible sets of places: it must come out in all places of one set. An empty set means "discarded"."""
    fields: bytes = b""
    """The fields on top of its header when it comes out."""


class Ledger:
    """Every message that was made, and every place in which it came out."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.mails: dict[str, Mail] = {}
        self.came: dict[str, list[str]] = {}
        self.faults: list[str] = []

    def fresh(self) -> "Ledger":
        """Return a ledger of the same messages, without any output yet."""
        other = Ledger(self._chance)
        other.mails = self.mails
        return other

    def make(self) -> Mail:
        """Make a new message with a random verdict. One in ten has recipients in two modules, one in twenty is large."""
        name = f"m{len(self.mails):06}"
        chance = self._chance
        modules = chance.choices((("OUT",), ("SMTP", "OUT")), (9, 1))[0]
        answer, dispositions = self._verdict(frozenset(modules))
        to = ", ".join({"OUT": "bob@b.example", "SMTP": "sue@smtp.example"}[module] for module in modules)
        seconds = chance.choice((0, 0, 0.005, 0.02, 0.1))
        head = f"From: ann@a.example\nTo: {to}\nMessage-ID: <{name}>\nX-Judge: {seconds} {answer}\n\n"
        size = 40_000 if chance.random() < 0.05 else chance.randrange(2000)
        mail = Mail(name, head.encode() + chance.randbytes(size // 2).hex().encode() + b"\n", dispositions, FIELD * ("ADDHEADER" in answer))
        self.mails[name] = mail
        return mail

    def _verdict(self, modules: frozenset[str]) -> tuple[str, tuple[frozenset[str], ...]]:
        passes = modules
        caught = frozenset({"Quarantine"})
        gone = frozenset[str]()
        verdicts: tuple[tuple[str, tuple[frozenset[str], ...]], ...] = (
            ("OK", (passes,)),
            ('ADDHEADER "X-Storm: seen" OK', (passes,)),
            ('ERROR "never"', (caught,)),
            ("DISCARD", (gone,)),
            ("once OK", (passes,)),
            ("FAILURE", (passes,)),
            ("fickle", (passes, caught, gone)),
        )
        return self._chance.choices(verdicts, (6, 3, 2, 2, 1, 1, 2))[0]

    def take(self, place: str, data: bytes) -> str:
        """Note that a file came out in a place, whole or not; return the message's name."""
        end = envelope.head_end(data)
        found = re.search(rb"^Message-ID: <(m\d+)>$", data[end:], re.MULTILINE)
        mail = self.mails.get(found[1].decode()) if found else None
        if mail is None:
            self.faults.append(f"unknown file in {place}: {data[:300]!r}")
            return ""
        line = envelope.parse_o(data)
        digest = envelope.Digest(data[: line.offset], data[line.offset + envelope.O_LENGTH :]).line() if line else b""
        message = bare(data[end:]) if place != "Quarantine" else data[end:]
        if digest not in data or message.removeprefix(mail.fields) != mail.data:
            self.faults.append(f"{mail.name} came broken to {place}: {data[:300]!r}")
        if place != "Quarantine" and not message.startswith(mail.fields):
            self.faults.append(f"{mail.name} came to {place} without the added field")
        self.came.setdefault(mail.name, []).append(place)
        return mail.name

    def wrong(self, names: Iterable[str]) -> list[str]:
        """Return the faults after all has settled: each of these messages must have one of its dispositions, whole and once."""
        return self.faults + [
            f"{name} came to {self.came.get(name, [])}, not {[*map(sorted, self.mails[name].dispositions)]}: "
            f"{self.mails[name].data[:150]!r}"
            for name in names
            if not self._right(name)
        ]

    def _right(self, name: str) -> bool:
        places = self.came.get(name, [])
        return len(places) == len(set(places)) and frozenset(places) in self.mails[name].dispositions

    def totals(self, names: Iterable[str]) -> dict[str, int]:
        """Return the totals that `status` must have for these messages."""
        count = Counter(_disposition(self.came.get(name, [])) for name in names)
        return {disposition: count[disposition] for disposition in ("enqueued", "discarded", "quarantined")} | {"received": count.total()}


def _disposition(places: list[str]) -> str:
    return "discarded" if not places else "quarantined" if "Quarantine" in places else "enqueued"


# The base directory


def take_outbound(base: Path, ledger: Ledger) -> None:
    """Consume the output: read each file, note it, remove it. Hidden files are skipped: a new queue manager tests a rename (mounts.py)."""
    for module in (base / "Outbound").iterdir():
        for path in module.glob("[!.]*"):
            ledger.take(module.name, path.read_bytes())
            path.unlink()


def take_quarantine(base: Path, ledger: Ledger) -> None:
    """Consume Quarantine: note and remove each message and its reason. Call this only when no message is in work."""
    for path in sorted((base / "Quarantine").glob("*.msg")):
        ledger.take("Quarantine", path.read_bytes())
        if not path.with_suffix(".why").exists():
            ledger.faults.append(f"{path.name} has no reason beside it")
        path.with_suffix(".why").unlink(missing_ok=True)
        path.unlink()


def left(base: Path) -> list[str]:
    """Return the files of messages that have not left yet. All names count except those that begin with a dot."""
    folders = ("Submitted", "Submitted/.taken", "Queue", "Staged", "Bad")
    return [f"{folder}/{name}" for folder in folders for name in os.listdir(base / folder) if not name.startswith(".")]


def settled(trial: Trial, work: Callable[[], object] = lambda: None) -> None:
    """Wait until every message has left. Raises TrialError."""

    def empty() -> bool:
        work()
        assert trial.process is not None
        if trial.process.poll() is not None:
            raise TrialError(f"the engine has ended: {trial.process.returncode}\n{trial.last_words()}")
        here = left(trial.base)
        if refused := [path for path in here if path.startswith("Bad/") or ".bad" in path]:
            raise TrialError(f"taken for broken: {refused}\n{trial.last_words()}")
        return not here

    try:
        trial.wait(empty, "every message has left", PATIENCE)
    except TrialError:
        print(f"still here: {left(trial.base)[:20]}")
        raise
    work()  # for messages that left after the last work


def runs(trial: Trial) -> bool:
    """Return whether recovery is done and drops are taken."""
    with contextlib.suppress(client.NotRunning):
        return bool(trial.status()["state"] == "running")
    return False


# The processes


class Process(NamedTuple):
    pid: int
    role: str
    state: str
    """The state as in /proc/<pid>/stat: S, R, T, Z ..."""
    descriptors: int
    """Open descriptors without pipes: a process also inherits two pipes of multiprocessing for each older sibling."""


def processes(pid: int) -> Iterator[Process]:
    """Yield a process and all below it. Every process that is not one of ours is a helper."""
    with contextlib.suppress(OSError):
        title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        count = sum(not os.readlink(path).startswith("pipe:") for path in Path(f"/proc/{pid}/fd").iterdir()) if state != "Z" else 0
        role = next((role for role in ROLES if title.startswith(f"enqueuer: {role}")), "helper")
        yield Process(pid, role, state, count)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from processes(int(child))


def inhabitants(base: Path) -> list[str]:
    """Return the processes whose current directory is the base directory, with any parent."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(entry / "cwd")) == base:
                found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
    return found
