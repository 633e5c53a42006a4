"""What every message store has to do: each transition of queue/port.py, before and after, repeated, and with an error in between.

A bench is one base directory, empty, in which a transition is tried; test_port.py makes them on the simulated disk and on a real one.
"""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from enqueuer.queue.directory.disk import DiskPort
from enqueuer.queue.directory.durability import Durability
from enqueuer.queue.directory.messagestore import DirectoryStore
from enqueuer.queue.directory.ref import ref_of
from enqueuer.queue.directory.sync import start
from enqueuer.queue.directory.workspace import DirectoryWorkspace
from enqueuer.queue.port import Decision, NotKept, Place, Progress, Witness
from enqueuer.queue.proof.simdisk import SimulatedDisk

__all__ = ["TRANSITIONS", "Bench", "Directory", "Simulated", "Transition", "check"]

MAIL = b"From: a@a.example\nTo: b@b.example\n\n" + b"hello\n" * 20
BODY = MAIL.partition(b"\n\n")[2]
DROP = "Submitted/.taken/7.a.eml"
MSG = "Queue/7.msg"
OUT = "Outbound/OUT/7.msg"
AT = "24-11-2026 10:00:00", "h"
CHANGES = ("create", "patch", "mark", "rename", "rename_new", "link", "unlink", "fsync", "fsync_all", "sync")
Files = dict[str, bytes]


class Bench(Protocol):
    def files(self) -> Files: ...
    def futures(self) -> Iterator[Files]:
        """What a power cut may leave now."""
        ...

    @property
    def real(self) -> DiskPort: ...


class Simulated:
    def __init__(self) -> None:
        self.twin = SimulatedDisk()

    @property
    def real(self) -> DiskPort:
        return self.twin

    def files(self) -> Files:
        return self.twin.state.read()

    def futures(self) -> Iterator[Files]:
        return (state.read() for state in self.twin.state.cuts())


class Directory:
    """The folders of the current directory, which is a base directory. Nothing cuts its power."""

    def __init__(self, disk: DiskPort) -> None:
        self.real = disk
        for path in self.files():
            Path(path).unlink()

    def files(self) -> Files:
        folders = ("Submitted", "Queue", "Staged", "Outbound", "Quarantine", "Hold", "Bad")
        return {str(path): path.read_bytes() for folder in folders for path in Path(folder).rglob("*") if path.is_file()}

    def futures(self) -> Iterator[Files]:
        yield self.files()


class Faulty:
    """A disk whose n-th change is refused, once."""

    def __init__(self, disk: DiskPort) -> None:
        self._disk = disk
        self._left = 0

    def arm(self, call: int) -> None:
        self._left = call

    @property
    def armed(self) -> bool:
        """It refused nothing so far."""
        return self._left > 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._disk, name)

        def counted(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO), name)
            return method(*args, **options)

        return counted if name in CHANGES else method


class Trial(Witness[Decision]):
    """One message on a bench, and the store that does something to it."""

    def __init__(self, bench: Bench, durability: Durability) -> None:
        self.bench = bench
        self.faulty = Faulty(bench.real)
        disk = cast(DiskPort, self.faulty)
        self.sync = start(disk, durability)
        self.store = DirectoryStore(disk, self.sync)
        self.workspace = DirectoryWorkspace(disk)
        self.ref = b""
        self.decision = Decision(7, 1, b"", None)

    # ---- states of port.py, made on a disk that refuses nothing

    def claimed(self) -> None:
        self.ref = ref_of("7.a.eml", self.bench.real.create(DROP, (MAIL,)))
        self.bench.real.sync()

    def ingested(self) -> None:
        self.claimed()
        self.workspace.lease(7, self.ref, *AT)
        self.decision = Decision(7, 1, self.ref, None)

    def durable(self) -> None:
        self.ingested()
        self.bench.real.sync()
        self.bench.real.unlink(DROP)
        self.ref = self.decision.ref = b""
        self.bench.real.sync()

    def kept(self, place: str) -> None:
        self.durable()
        self.bench.real.create(f"{place}/7.why", (b'{"reason": "x"}',))
        self.bench.real.rename(MSG, f"{place}/7.msg")
        self.bench.real.sync()

    def staged(self) -> None:
        self.ingested()
        self.bench.real.link(MSG, "Staged/7.1.OUT")
        self.decision.places = ("OUT",)

    # ---- what the engine does around them

    def settle(self) -> Progress:
        settlement = self.store.settlement(self)
        for sync, goal in settlement.phases:
            sync([self.decision], ())
            while self.decision.done < goal:
                settlement.step(self.decision)
        return self.decision.done

    def changed(self, decision: Decision) -> None:
        """As the queue manager does: what cannot go back now goes back later."""
        try:
            self.store.give_back(decision.id, decision.ref)
        except OSError:
            self.store.give_back(decision.id, decision.ref)

    def requeue(self, place: Place) -> object:
        came = list[OSError | None]()
        try:
            self.store.requeue(7, place, b"12345678", self._after_sync, lambda _, error: came.append(error))
        except NotKept:
            return "not kept"
        if came[0] is not None:
            raise came[0]
        return "came"

    def _after_sync(self, action: Callable[[], object], *paths: str) -> None:
        """As the settler does: what the disk refuses is repeated until it works."""
        for _ in range(2):
            try:
                self.sync.staged([], paths)
                action()
                return
            except OSError:
                continue

    def recover(self, *, cold: bool) -> list[tuple[int, bool]]:
        found = self.store.recover(cold=cold, decided=lambda *_: None, progress=lambda: None)
        return sorted((offer.id, offer.durable) for offer in found.offers)


class Transition(NamedTuple):
    before: Callable[[Trial], object]
    run: Callable[[Trial], object]
    after: set[str]
    """The files that are there then."""
    value: object
    """What it returns."""
    repeated: object
    """What it returns when it is taken once more."""
    stays: str = ""
    """A file that an error may leave for recovery."""
    whole: bool = True
    """The message must be somewhere, whatever happens."""
    leaves: bool = False
    """What the disk refuses is only logged, and done by the next one."""


def _grown(trial: Trial) -> None:
    trial.staged()
    trial.bench.real.create(DROP, (MAIL + b"more\n",))
    trial.bench.real.sync()


def _moved(trial: Trial) -> None:
    trial.ingested()
    trial.decision.places = ("OUT",)
    trial.decision.moved = True


def _crashed(trial: Trial) -> None:
    """Decided and half published: a death left it so."""
    trial.staged()
    trial.bench.real.sync()
    trial.bench.real.rename(MSG, "Queue/7.1.done")
    trial.bench.real.sync()


TRANSITIONS = {
    "lease": Transition(Trial.claimed, lambda t: t.workspace.lease(7, t.ref, *AT).id, {DROP, MSG}, 7, 7),
    "hold": Transition(Trial.ingested, Trial.settle, {MSG}, Progress.GONE, Progress.GONE),
    "settle": Transition(Trial.staged, Trial.settle, {OUT}, Progress.GONE, Progress.GONE),
    "settle, moved": Transition(_moved, Trial.settle, {OUT}, Progress.GONE, Progress.GONE),
    "settle, changed": Transition(_grown, Trial.settle, {"Submitted/a.eml"}, Progress.GONE, Progress.GONE),
    "set_aside": Transition(
        Trial.durable,
        lambda t: t.store.set_aside(7, 2, "bad", {"reason": "x"}),
        {MSG, "Staged/7.2.bad", "Staged/7.2.bad-why"},
        ("bad", "bad-why"),
        ("bad", "bad-why"),
    ),
    "wipe": Transition(Trial.staged, lambda t: t.store.wipe({7: 1}), {DROP, MSG}, None, None),
    "wipe, of an older dispatch": Transition(Trial.staged, lambda t: t.store.wipe({7: 0}), {DROP, MSG, "Staged/7.1.OUT"}, None, None),
    "give_back": Transition(Trial.staged, lambda t: t.store.give_back(7, t.ref), {"Submitted/a.eml"}, b"a.eml", None),
    "release": Transition(lambda t: t.kept("Quarantine"), lambda t: t.requeue("quarantine"), {MSG}, "came", "not kept"),
    "retry": Transition(lambda t: t.kept("Bad"), lambda t: t.requeue("bad"), {MSG}, "came", "not kept"),
    "delete": Transition(
        lambda t: t.kept("Quarantine"), lambda t: t.store.delete(7, "quarantine"), set(), True, False, "Quarantine/7.why", whole=False
    ),
    "recover, claimed": Transition(Trial.claimed, lambda t: t.recover(cold=True), {DROP}, [(7, False)], [(7, False)], leaves=True),
    "recover, ingested, cold": Transition(Trial.staged, lambda t: t.recover(cold=True), {DROP}, [(7, False)], [(7, False)], leaves=True),
    "recover, ingested, warm": Transition(
        Trial.staged, lambda t: t.recover(cold=False), {DROP, MSG}, [(7, False)], [(7, False)], leaves=True
    ),
    "recover, durable": Transition(Trial.durable, lambda t: t.recover(cold=True), {MSG}, [(7, True)], [(7, True)], leaves=True),
    "recover, decided": Transition(_crashed, lambda t: t.recover(cold=True), {OUT}, [], [], leaves=True),
}


def check(transition: Transition, make: Callable[[], Bench], durability: Durability) -> None:
    """Try it without an error, then with an error at each change of the disk, and repeat it each time."""
    for call in itertools.count():
        trial = Trial(make(), durability)
        transition.before(trial)
        trial.faulty.arm(call)
        value, refused = _run(transition, trial)
        ended = trial.faulty.armed
        trial.faulty.arm(0)
        _expect_whole(transition, trial)
        if not call:
            assert (value, set(trial.bench.files())) == (transition.value, transition.after)
            value = transition.run(trial)
            assert (value, set(trial.bench.files())) == (transition.repeated, transition.after)
            continue
        if refused or transition.leaves:
            _run(transition, trial)
            _expect_whole(transition, trial)
        left = {transition.stays} if refused and transition.stays else set[str]()
        assert set(trial.bench.files()) - left == transition.after, f"after an error at change {call}"
        if ended:
            return


def _run(transition: Transition, trial: Trial) -> tuple[object, bool]:
    """What it returns, and whether the disk refused it."""
    try:
        return transition.run(trial), False
    except OSError:
        return None, True


def _expect_whole(transition: Transition, trial: Trial) -> None:
    """Whatever comes now, the message is somewhere, to its last byte."""
    if transition.whole:
        for files in trial.bench.futures():
            assert any(data.endswith((BODY, BODY + b"more\n")) for data in files.values()), sorted(files)
