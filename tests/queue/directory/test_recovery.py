"""DESIGN.md's table of states: each row is built on disk, recovered, and compared."""

import errno
import json
import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from enqueuer.queue.directory import clientkey, ingest, names, recovery, stage
from enqueuer.queue.directory.attempts import AttemptsFile
from enqueuer.queue.directory.disk import Disk, DiskPort, Stamp
from enqueuer.queue.directory.ids import IdsFile
from enqueuer.queue.directory.store import Store
from enqueuer.queue.message import envelope

MAIL = b"From: a@a.example\nTo: b@b.example\n\nhello\n"
DROP = "Submitted/.taken/7.a.eml"
MSG = "Queue/7.msg"
OUT = "Outbound/OUT/7.msg"


@pytest.fixture
def store(disk: Disk) -> Store:
    return Store(disk)


def _drop() -> None:
    Path(DROP).write_bytes(MAIL)


def _msg(disk: DiskPort, *, keep_drop: bool = True) -> ingest.MessageFile:
    _drop()
    message = ingest.ingest(disk, 7, DROP, "24-11-2026 10:00:00", "h")
    if not keep_drop:
        Path(DROP).unlink()
    return message


def _files() -> set[str]:
    folders = ("Submitted/.taken", "Queue", "Staged", "Outbound/OUT", "Quarantine", "Hold", "Bad")
    return {f"{folder}/{path.name}" for folder in folders for path in Path(folder).iterdir() if path.name not in (".ids", ".format")}


def _recover(store: Store, *, cold: bool) -> tuple[recovery.RecoveredDirectory, list[tuple[int, int, str]]]:
    decided: list[tuple[int, int, str]] = []
    found = recovery.recover(store, cold=cold, decided=lambda *what: decided.append(what))
    return found, decided


def _a_drop(disk: DiskPort) -> None:
    _drop()


def _half_derived(disk: DiskPort) -> None:
    _drop()
    Path("Queue/7.tmp").write_bytes(b"half")


def _half_written(disk: DiskPort) -> None:
    _msg(disk)
    with Path(MSG).open("r+b") as file:
        file.truncate(100)


def _just_named(disk: DiskPort) -> None:
    _drop()
    Path(MSG).touch()


def _derived(disk: DiskPort) -> None:
    _msg(disk)


def _staged(disk: DiskPort) -> None:
    stage.stage_file(disk, _msg(disk), 3, "OUT", None, ())


def _alone(disk: DiskPort) -> None:
    _msg(disk, keep_drop=False)


def _alone_staged(disk: DiskPort) -> None:
    stage.stage_file(disk, _msg(disk, keep_drop=False), 3, "OUT", None, ())


OFFERED: list[tuple[Callable[[DiskPort], None], bool, set[str], bool, bool]] = [
    # state on disk, cold start, files afterwards, offered with its drop, message file trusted
    (_a_drop, True, {DROP}, True, False),
    (_a_drop, False, {DROP}, True, False),
    (_half_derived, True, {DROP}, True, False),
    (_half_derived, False, {DROP}, True, False),
    (_half_written, True, {DROP}, True, False),
    (_half_written, False, {DROP}, True, False),
    (_just_named, False, {DROP}, True, False),
    (_derived, True, {DROP}, True, False),
    (_derived, False, {DROP, MSG}, True, True),
    (_staged, True, {DROP}, True, False),
    (_staged, False, {DROP, MSG}, True, True),
    (_alone, True, {MSG}, False, True),
    (_alone, False, {MSG}, False, True),
    (_alone_staged, True, {MSG}, False, True),
    (_alone_staged, False, {MSG}, False, True),
]


@pytest.mark.parametrize(("build", "cold", "files", "with_drop", "ingested"), OFFERED)
def test_undecided_messages_are_offered(
    store: Store, build: Callable[[DiskPort], None], cold: bool, files: set[str], with_drop: bool, ingested: bool
) -> None:
    """Before the commit nothing is published: what was staged goes, and the message is judged (again)."""
    build(store.disk)

    found, decided = _recover(store, cold=cold)

    assert [(offer.id, offer.drop is not None, offer.ingested) for offer in found.offers] == [(7, with_drop, ingested)]
    assert _files() == files
    assert decided == []
    assert found.highest == 7


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("again", [False, True])
def test_a_drop_whose_writer_went_on_is_not_what_its_message_file_says(store: Store, cold: bool, again: bool) -> None:
    """Cold: it is ingested again. Warm: filters may have scanned the message file, so the drop goes back, and gets another id."""
    _staged(store.disk)
    with Path(DROP).open("ab") as file:
        file.write(b"more")
        os.utime(DROP, (1, 1))
    if again:
        Path("Submitted/a.eml").write_bytes(MAIL)

    found, _ = _recover(store, cold=cold)

    back = "Submitted/7.a.eml" if again else "Submitted/a.eml"
    assert [offer.drop for offer in found.offers] == (["7.a.eml"] if cold else [])
    assert _files() == ({DROP} if cold else set())
    assert cold or Path(back).read_bytes() == MAIL + b"more"


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("steps", range(5))
def test_decided_messages_are_finished(store: Store, cold: bool, steps: int) -> None:
    """After the commit the outcome is carried out from whatever step it had come to, and only what dispatch 3 staged is."""
    message = _msg(store.disk)
    stage.stage_why(store.disk, 7, 3, "quarantine", {"fate": "quarantined"})
    stage.stage_file(store.disk, message, 3, "quarantine", None, ())
    stage.stage_file(store.disk, message, 2, "OUT", None, ())
    done: list[Callable[[], object]] = [
        lambda: store.commit(7, 3),
        lambda: store.release_drop("7.a.eml"),
        lambda: store.publish(7, 3, "quarantine-why"),
        lambda: store.publish(7, 3, "quarantine"),
        lambda: None,
    ]
    for step in done[: steps + 1]:
        step()

    found, decided = _recover(store, cold=cold)

    assert _files() == {"Quarantine/7.msg", "Quarantine/7.why"}
    assert found.offers == []
    assert decided == [(7, 3, "quarantined")]


SPLIT = ("queue-8", "hold-9-why", "hold-9", "OUT")


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("steps", range(len(SPLIT) + 1))
def test_new_messages_come_with_the_outcome(store: Store, cold: bool, steps: int) -> None:
    """A rest is in the queue, another one is on hold. The counts have both; their ids are never given again."""
    message = _msg(store.disk)
    stage.stage_file(store.disk, message, 3, "OUT", None, (b"X-A: b",))
    stage.stage_why(store.disk, 7, 3, "hold-9", {"fate": "on_hold", "until": 0})
    for place in ("queue-8", "hold-9"):
        stage.stage_new(store.disk, 7, 3, place, message.envelope, [MAIL])
    store.commit(7, 3)
    for place in SPLIT[:steps]:
        store.publish(7, 3, place)

    found, decided = _recover(store, cold=cold)

    assert _files() == {"Queue/8.msg", "Hold/9.msg", "Hold/9.why", OUT}
    assert [(offer.id, offer.durable, offer.ingested) for offer in found.offers] == [(8, True, True)]
    assert (found.on_hold, found.highest, decided) == ([9], 9, [(7, 3, "enqueued")])


def test_new_messages_that_are_not_decided_go(store: Store) -> None:
    """Their ids count as used."""
    message = _msg(store.disk)
    stage.stage_new(store.disk, 7, 3, "queue-900", message.envelope, [MAIL])

    found, _ = _recover(store, cold=False)

    assert (_files(), [offer.id for offer in found.offers], found.highest) == ({DROP, MSG}, [7], 900)


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("steps", range(3))
def test_a_message_that_is_put_on_hold_has_not_ended(store: Store, cold: bool, steps: int) -> None:
    message = _msg(store.disk)
    stage.stage_why(store.disk, 7, 3, "hold", {"fate": "on_hold"})
    stage.stage_file(store.disk, message, 3, "hold", None, ())
    store.commit(7, 3)
    for place in ("hold-why", "hold")[:steps]:
        store.publish(7, 3, place)

    found, decided = _recover(store, cold=cold)

    assert _files() == {"Hold/7.msg", "Hold/7.why"}
    assert (found.on_hold, found.offers, decided) == ([7], [], [(7, 3, "on_hold")])


def test_the_first_of_several_outcomes_counts(store: Store) -> None:
    """Module queues are published last: what is left of them shows that the message was enqueued, too."""
    message = _msg(store.disk)
    stage.stage_file(store.disk, message, 3, "OUT", None, ())
    stage.stage_why(store.disk, 7, 3, "quarantine", {"fate": "quarantined"})
    stage.stage_file(store.disk, message, 3, "quarantine", None, ())
    store.commit(7, 3)

    _, decided = _recover(store, cold=True)

    assert decided == [(7, 3, "enqueued")]


def test_a_discard_leaves_nothing(store: Store) -> None:
    _msg(store.disk)
    store.commit(7, 3)

    _recover(store, cold=True)

    assert _files() == set()


def test_a_message_file_that_is_not_whole_is_set_aside(store: Store) -> None:
    """It stands alone, so it is mail: it is never wiped and never delivered."""
    _msg(store.disk, keep_drop=False)
    data = Path(MSG).read_bytes()
    Path(MSG).write_bytes(data[:-3] + b"\0\0\0")

    found, _ = _recover(store, cold=True)

    assert found.broken == [7]
    assert _files() == {"Bad/7.msg", "Bad/7.why"}
    assert "digest" in json.loads(Path("Bad/7.why").read_text())["reason"]


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("rest", [0, 100, -1], ids=["empty", "half", "a byte is missing"])
def test_a_message_file_that_is_half_is_never_offered(store: Store, rest: int, cold: bool) -> None:
    """A process was writing it, and no drop is there to ingest it from. When only the queue manager is new, too."""
    _msg(store.disk, keep_drop=False)
    os.truncate(MSG, rest if rest >= 0 else os.stat(MSG).st_size - 1)

    found, _ = _recover(store, cold=cold)

    assert (found.offers, found.broken) == ([], [7])
    assert _files() == {"Bad/7.msg", "Bad/7.why"}


@pytest.mark.parametrize("cold", [True, False])
def test_a_placeholder_is_no_o_line(store: Store, cold: bool) -> None:
    """The writer died before it wrote the O line into its place: all bytes may be there, or not."""
    message = _msg(store.disk, keep_drop=False)
    store.disk.patch(MSG, len(message.envelope.above), envelope.PLACEHOLDER)

    found, _ = _recover(store, cold=cold)

    assert (found.offers, found.broken) == ([], [7])


@pytest.mark.parametrize("cold", [True, False])
def test_a_queue_file_of_others_is_offered(store: Store, cold: bool) -> None:
    """It has no O line of ours. Each line of its envelope must be a letter and words."""
    text = "S SMTP [10.0.0.1]\nP I 24-11-2026 10:00:00 0000 ____ ____ <a@a.example>\nR W 0000 <b@b.example>\nO L\n\n"
    Path(MSG).write_bytes(text.encode() + MAIL)
    Path("Queue/8.msg").write_bytes(text.replace("O L", "O\0L").encode() + MAIL)

    found, _ = _recover(store, cold=cold)

    assert ([offer.id for offer in found.offers], found.broken) == ([7], [8])


def test_foreign_files_are_left_alone_and_named(store: Store) -> None:
    for name in ("Queue/notes.txt", "Staged/x", "Submitted/.taken/readme"):
        Path(name).write_text("mine")

    found, _ = _recover(store, cold=True)

    assert sorted(found.foreign) == ["Queue/notes.txt", "Staged/x", "Submitted/.taken/readme"]
    assert _files() == set(found.foreign)


def test_the_key_of_the_clients_is_our_own(store: Store) -> None:
    for name in (clientkey.FILE, clientkey.NEXT):
        Path(name).write_text("x")

    found, _ = _recover(store, cold=True)

    assert found.foreign == []
    assert _files() == {clientkey.FILE, clientkey.NEXT}


def test_a_reason_without_its_message_goes(store: Store) -> None:
    Path("Quarantine/7.why").write_text("{}")
    Path("Quarantine/8.why").write_text("{}")
    Path("Quarantine/8.msg").write_text("x")

    _recover(store, cold=True)

    assert _files() == {"Quarantine/8.why", "Quarantine/8.msg"}


@pytest.mark.parametrize("cold", [True, False])
def test_recovery_may_be_interrupted_and_repeated(store: Store, cold: bool) -> None:
    """A second recovery of the same files offers the same and changes nothing."""
    _staged(store.disk)
    first, _ = _recover(store, cold=cold)
    files = _files()

    second, _ = _recover(store, cold=cold)

    assert second.offers == first.offers
    assert _files() == files


def test_an_output_that_is_there_already_does_not_count_as_done(store: Store) -> None:
    """EEXIST never means done: what is staged replaces what lies at its place."""
    message = _msg(store.disk)
    stage.stage_file(store.disk, message, 3, "OUT", None, ())
    Path(OUT).write_bytes(b"broken by a power cut")
    store.commit(7, 3)

    _recover(store, cold=True)

    assert envelope.parse_o(Path(OUT).read_bytes()) is not None
    assert names.parse_shelf("7.msg") == 7


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("shelf", ["Quarantine", "Hold", "Bad"])
def test_a_release_that_was_interrupted_is_finished(store: Store, cold: bool, shelf: str) -> None:
    """Renamed into Queue/, its reason still on the shelf: it is offered, with the mark of the action it goes on after."""
    message = _msg(store.disk, keep_drop=False)
    mark_at = len(message.envelope.above) + envelope.O_LENGTH - 9
    store.disk.patch(MSG, mark_at, b"0123abcd")
    Path(f"{shelf}/7.why").write_text("{}")

    found, _ = _recover(store, cold=cold)

    assert [offer.id for offer in found.offers] == [7]
    assert _files() == {MSG}
    assert ingest.load(store.disk, 7, None).mark == b"0123abcd"


@pytest.mark.parametrize("cold", [True, False])
def test_a_release_that_had_not_begun_changes_nothing(store: Store, cold: bool) -> None:
    """The mark is written, the rename is not done: the message lies where it lay."""
    message = _msg(store.disk, keep_drop=False)
    store.disk.patch(MSG, len(message.envelope.above) + envelope.O_LENGTH - 9, b"0123abcd")
    store.disk.rename(MSG, "Quarantine/7.msg")
    Path("Quarantine/7.why").write_text("{}")

    found, _ = _recover(store, cold=cold)

    assert found.offers == []
    assert _files() == {"Quarantine/7.msg", "Quarantine/7.why"}


# ---- what should not be there

ODD = (
    "Queue/7.msg",
    "Queue/7.tmp",
    "Queue/7.3.done",
    "Queue/.ids",
    "Queue/.ids.tmp",
    "Queue/.attempts",
    "Queue/.attempts.tmp",
    "Staged/7.3.OUT",
    "Staged/7.3.quarantine-why",
    "Submitted/.taken/7.a.eml",
    "Quarantine/7.why",
    "Bad/7.why",
)
KINDS: dict[str, Callable[[str], object]] = {
    "folder": lambda path: os.makedirs(path + "/x"),
    "link": lambda path: os.symlink("/etc/passwd", path),
    "dangling": lambda path: os.symlink("nowhere", path),
    "FIFO": os.mkfifo,
}


def _good(disk: Disk) -> None:
    """Another message, and one that was decided, whose ids come after the odd one's."""
    Path("Submitted/.taken/8.b.eml").write_bytes(MAIL)
    Path("Submitted/.taken/9.c.eml").write_bytes(MAIL)
    stage.stage_file(disk, ingest.ingest(disk, 9, "Submitted/.taken/9.c.eml", "24-11-2026 10:00:00", "h"), 4, "OUT", None, ())
    Store(disk).commit(9, 4)


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ODD)
def test_what_is_no_file_of_ours_is_set_aside(store: Store, disk: Disk, path: str, kind: str, cold: bool) -> None:
    """A folder, link or FIFO under a name of ours: it is named and moved out of the way, nothing is read from it, all else goes on."""
    _good(disk)
    if "done" in path or "Staged" in path:
        _drop()
    KINDS[kind](path)

    AttemptsFile(disk)
    found, decided = _recover(store, cold=cold)
    IdsFile(disk, found.highest).take(1)
    AttemptsFile(disk).charge(8)

    assert 8 in [offer.id for offer in found.offers]
    assert [id for id, _, _ in decided] == [9]
    assert [offer.id for offer in found.offers if offer.id == 7] == ([7] if "done" in path or "Staged" in path else [])
    folder, _, name = path.rpartition("/")
    assert not os.path.lexists(path) or name in (".ids", ".attempts") or name.endswith(".why")
    if kind == "folder":
        assert name.endswith(".why") or Path(f"{folder}/odd.{name}/x").is_dir()
    again, _ = _recover(store, cold=cold)
    assert [offer.id for offer in again.offers] == [offer.id for offer in found.offers]


class _Failing(Disk):
    """A disk on which what is done to a path fails."""

    path = ""
    code = errno.EIO

    def _fail(self, path: str) -> None:
        if path == self.path:
            raise OSError(self.code, os.strerror(self.code), path)

    def stamp(self, path: str) -> Stamp | None:
        self._fail(path)
        return super().stamp(path)

    def chunks(self, path: str, offset: int = 0, first: int = 1 << 20) -> Generator[bytes, None, None]:
        self._fail(path)
        return super().chunks(path, offset, first)

    def unlink(self, path: str) -> bool:
        self._fail(path)
        return super().unlink(path)

    def rename(self, source: str, target: str) -> None:
        self._fail(source)
        super().rename(source, target)


FAILING = (DROP, MSG, "Queue/7.tmp", "Queue/7.3.done", "Staged/7.3.OUT", "Quarantine/7.why", "Queue/.ids", "Queue/.attempts", "Bad/7.why")


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("with_drop", [True, False])
@pytest.mark.parametrize("path", FAILING)
def test_what_the_disk_refuses_of_one_message_stops_no_other(
    base: Path, path: str, with_drop: bool, cold: bool, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named, and left or set aside: no mail is wiped that could not be read."""
    disk = _Failing()
    _msg(disk, keep_drop=with_drop)
    if path not in (DROP, MSG):
        Path(path).write_bytes(b"x")
    _good(disk)
    disk.path = path
    disk.code = code

    AttemptsFile(disk)
    found, decided = _recover(Store(disk), cold=cold)
    IdsFile(disk, found.highest).take(1)

    assert 8 in [offer.id for offer in found.offers]
    assert [id for id, _, _ in decided if id == 9] == [9]
    if not (path == DROP and not with_drop) and not (path == MSG and not cold and not with_drop):
        assert os.strerror(code) in caplog.text
    assert os.path.lexists(DROP) or os.path.lexists(MSG) or os.path.lexists("Bad/7.msg") or "done" in path
    disk.close()


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EMFILE])
def test_what_the_machine_refuses_is_no_message_s_fault(base: Path, code: int) -> None:
    """A read-only disk, no descriptor: nothing is set aside for it, the next queue manager tries again."""
    disk = _Failing()
    _msg(disk)
    disk.path = MSG
    disk.code = code

    with pytest.raises(OSError, match="Queue"):
        _recover(Store(disk), cold=True)
    assert _files() == {DROP, MSG}
    disk.close()
