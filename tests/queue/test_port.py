"""The demands on every message store, on the simulated disk with its power cuts and on a real directory."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.durability import Durability
from enqueuer.queue.directory.intake import Intake
from enqueuer.queue.directory.messagestore import DirectoryStore
from enqueuer.queue.directory.ref import taken_of
from enqueuer.queue.port import Accepted
from tests.queue import demands

ALL = pytest.mark.parametrize(
    ("name", "durability"),
    # a message file is moved only where a sync covers all of a batch
    [(name, way) for name in demands.TRANSITIONS for way in ("group", "each") if (name, way) != ("settle, moved", "each")],
)
MAIL = b"To: b@b.example\n\ntext\n"


@ALL
def test_a_transition_on_the_simulated_disk(name: str, durability: Durability) -> None:
    demands.check(demands.TRANSITIONS[name], demands.Simulated, durability)


@ALL
def test_a_transition_in_a_directory(disk: Disk, name: str, durability: Durability) -> None:
    demands.check(demands.TRANSITIONS[name], lambda: demands.Directory(disk), durability)


@pytest.mark.parametrize("name", ["hold", "release", "retry"])
def test_what_is_durable_when_it_returns(name: str) -> None:
    """Whatever a power cut leaves, the message file is there and whole."""
    bench = demands.Simulated()
    transition = demands.TRANSITIONS[name]
    trial = demands.Trial(bench, "group")
    transition.before(trial)
    transition.run(trial)

    for files in bench.futures():
        assert files["Queue/7.msg"] == bench.files()["Queue/7.msg"]


@pytest.fixture
def intake(disk: Disk) -> Iterator[Intake]:
    before = signal.getsignal(signal.SIGIO)
    yield Intake(disk, (".eml",), 1 << 20)
    signal.signal(signal.SIGIO, before)


def test_accept_and_refuse(disk: Disk, intake: Intake) -> None:
    """These read the drop folder as it is, so they are tried in a directory only."""
    store = DirectoryStore(disk, None, intake)
    Path("Submitted/a.eml").write_bytes(MAIL)
    Path("Submitted/.taken").rename("Submitted/away")
    with pytest.raises(FileNotFoundError):
        store.accept(7, b"a.eml")
    assert Path("Submitted/a.eml").exists()
    Path("Submitted/away").rename("Submitted/.taken")

    accepted = store.accept(7, b"a.eml")
    assert isinstance(accepted, Accepted)
    taken = taken_of(accepted.ref)
    assert taken is not None
    assert (taken.drop, taken.stamp) == ("7.a.eml", disk.stamp("Submitted/.taken/7.a.eml"))
    assert store.accept(8, b"a.eml") == "gone"
    assert (store.name(accepted.ref), store.has_source(accepted.ref), store.is_changed(accepted.ref)) == (b"a.eml", True, False)
    assert list(store.inventory()) == [7]

    assert store.refuse(7, accepted.ref, "no mail") == b"a.bad"
    assert store.refuse(7, accepted.ref, "no mail") is None
    assert sorted(disk.names("Submitted")) == [".taken", "a.bad", "a.bad.why"]
    assert not store.has_source(accepted.ref)


def test_what_is_there(disk: Disk) -> None:
    store = DirectoryStore(disk)
    for path in (
        "Queue/1.msg",
        "Queue/2.3.done",
        "Queue/4.tmp",
        "Submitted/.taken/5.a.eml",
        "Submitted/.taken/1.b.eml",
        "Bad/6.msg",
        "Bad/7.why",
    ):
        Path(path).write_bytes(b"x")

    assert sorted(store.inventory()) == [1, 1, 2, 5]
    assert list(store.decided()) == [2]
    assert (store.kept("bad"), store.kept("quarantine")) == ([6], [])
    assert (store.has_message(1), store.has_message(2), store.is_whole(1)) == (True, False, False)
