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
SPLITS = """
[[filters]]
name = "Again"
program = "{judge}"
max_in_flight = 20
auto_restart = "100ms"
[[rules]]
name = "scan for some"
priority = 3
scope = "recipient"
conditions = [["Any Recipient", "is", "lou@late.example"]]
actions = [["ExternalFilter", "Again"]]
[[rules]]
name = "hold for some"
priority = 2
scope = "recipient"
conditions = [["Any Recipient", "is", "hal@held.example"]]
actions = [["Hold for", "1s"]]
[[rules]]
name = "forward some"
priority = 1
conditions = [["Any Recipient", "is", "fay@b.example"]]
actions = [["Forward to", "far@forward.example"]]
[[routes]]
recipient = "*@late.example"
to = "LATE"
[[routes]]
recipient = "*@held.example"
to = "HELD"
[[routes]]
recipient = "*@forward.example"
to = "FORWARD"
"""
"""Rules by which a message becomes several: a rest that is deferred, one that is on hold, and a new message."""
BEFORE = """[[routes]]
recipient = "*@smtp.example"
"""
Status = dict[str, Any]
ADDRESSES = {
    "OUT": "bob@b.example",
    "SMTP": "sue@smtp.example",
    "LATE": "lou@late.example",
    "HELD": "hal@held.example",
    "FORWARD": "fay@b.example",
}
"""A recipient for each module. That of FORWARD gets the message in OUT, and another address gets a new one."""
FIELD = b"X-Storm: seen\n"
ROLES = ("supervisor", "logger", "filterlink", "queue manager", "watcher", "door", "processor")
PATIENCE = 120.0
"""Seconds until a storm that does not settle has failed: the longest pause of the engine is a minute."""


def config(markers: Path, processors: int = 4, log_level: str = "major", min_free: str = "1%", *, splits: bool = False) -> str:
    """Return the config file. `markers`: the folder in which the helper remembers messages that it has deferred."""
    markers.mkdir(exist_ok=True)
    judge = f"{sys.executable} -IS {JUDGE} 0 {markers}"
    text = CONFIG.format(processors=processors, log_level=log_level, min_free=min_free, judge=judge)
    if not splits:
        return text
    again = markers.with_name(f"{markers.name}-again")
    again.mkdir(exist_ok=True)
    return text.replace(BEFORE, SPLITS.format(judge=f"{sys.executable} -IS {JUDGE} 0 {again}") + BEFORE)


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

    def __init__(self, chance: random.Random, *, splits: bool = False) -> None:
        """`splits`: some messages become several (SPLITS)."""
        self._chance = chance
        self._splits = splits
        self.ids: dict[str, dict[str, set[str]]] = {}
        """The ids under which each message came out, and the places of each."""
        self.mails: dict[str, Mail] = {}
        self.came: dict[str, list[str]] = {}
        self.faults: list[str] = []

    def fresh(self) -> "Ledger":
        """Return a ledger of the same messages, without any output yet."""
        other = Ledger(self._chance, splits=self._splits)
        other.mails = self.mails
        return other

    def make(self) -> Mail:
        """Make a new message with a random verdict. One in ten has recipients in two modules, one in twenty is large."""
        name = f"m{len(self.mails):06}"
        chance = self._chance
        modules: tuple[str, ...] = chance.choices((("OUT",), ("SMTP", "OUT")), (9, 1))[0]
        answer, dispositions = self._verdict(frozenset(modules))
        if self._splits:
            modules, dispositions = self._split(modules, answer, dispositions)
        to = ", ".join(ADDRESSES[module] for module in modules)
        seconds = chance.choice((0, 0, 0.005, 0.02, 0.1))
        head = f"From: ann@a.example\nTo: {to}\nMessage-ID: <{name}>\nX-Judge: {seconds} {answer}\n\n"
        size = 40_000 if chance.random() < 0.05 else chance.randrange(2000)
        mail = Mail(name, head.encode() + chance.randbytes(size // 2).hex().encode() + b"\n", dispositions, FIELD * ("ADDHEADER" in answer))
        self.mails[name] = mail
        return mail

    def _split(
        self, modules: tuple[str, ...], answer: str, dispositions: tuple[frozenset[str], ...]
    ) -> tuple[tuple[str, ...], tuple[frozenset[str], ...]]:
        """Give some messages recipients for whom they become messages of their own. Return the modules, and what may come out."""
        more = tuple(module for module in ("LATE", "HELD", "FORWARD") if self._chance.random() < 0.1)
        if "fickle" in answer or (more[:1] == ("LATE",) and answer not in ("OK", "once OK")):
            return modules, dispositions
        if "FORWARD" not in more and more and self._chance.random() < 0.2:
            return more, tuple(frozenset(more) if places == frozenset(modules) else places for places in dispositions)
        return (*modules, *more), tuple(places | set(more) if places == frozenset(modules) else places for places in dispositions)

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

    def take(self, place: str, data: bytes, id: str = "") -> str:
        """Note that a file came out in a place, whole or not, with this id; return the message's name."""
        end = envelope.head_end(data)
        found = re.search(rb"^Message-ID: <(m\d+)>$", data[end:], re.MULTILINE)
        mail = self.mails.get(found[1].decode()) if found else None
        if mail is None:
            self.faults.append(f"unknown file in {place}: {data[:300]!r}")
            return ""
        line = envelope.parse_o(data)
        digest = envelope.Digest(data[: line.offset], data[line.offset + envelope.O_LENGTH :]).line(line.mark) if line else b""
        message = bare(data[end:]) if place != "Quarantine" else data[end:]
        self.ids.setdefault(mail.name, {}).setdefault(id, set()).add(place)
        if place == "FORWARD":
            if digest not in data or mail.data not in data[end:]:
                self.faults.append(f"{mail.name} was not forwarded whole: {data[:1000]!r}")
            self.came.setdefault(mail.name, []).append(place)
            return mail.name
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
        count = Counter(_disposition(places) for name in names for places in self.ids.get(name, {"": set()}).values())
        return {disposition: count[disposition] for disposition in ("enqueued", "discarded", "quarantined")} | {"received": count.total()}


def _disposition(places: set[str]) -> str:
    return "discarded" if not places else "quarantined" if "Quarantine" in places else "enqueued"


# The base directory


def take_outbound(base: Path, ledger: Ledger) -> None:
    """Consume the output: read each file, note it, remove it. Hidden files are skipped: a new queue manager tests a rename (mounts.py)."""
    for module in (base / "Outbound").iterdir():
        for path in module.glob("[!.]*"):
            ledger.take(module.name, path.read_bytes(), path.stem.partition("-")[0])
            path.unlink()


def take_quarantine(base: Path, ledger: Ledger) -> None:
    """Consume Quarantine: note and remove each message and its reason. Call this only when no message is in work."""
    for path in sorted((base / "Quarantine").glob("*.msg")):
        ledger.take("Quarantine", path.read_bytes(), path.stem)
        if not path.with_suffix(".why").exists():
            ledger.faults.append(f"{path.name} has no reason beside it")
        path.with_suffix(".why").unlink(missing_ok=True)
        path.unlink()


def left(base: Path) -> list[str]:
    """Return the files of messages that have not left yet. All names count except those that begin with a dot."""
    folders = ("Submitted", "Submitted/.taken", "Queue", "Staged", "Hold", "Bad")
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
