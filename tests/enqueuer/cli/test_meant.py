"""Which message is meant, and what the log tells of one that has left."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from enqueuer.log.entries import parse
from enqueuer.queue.directory import names

DROP = "1764000000000000000-4711-1.sub"
LOG = f"""\
10:00:00.000 2 QUEUE([17]) from <ann@a.example>, 6910 bytes, {DROP}
10:00:00.100 2 QUEUE([17]) enqueued: OUT(1)
10:00:00.100 2 QUEUE([18]) from <x, 1 bytes, {DROP}@a.example>, 6910 bytes, other.eml
"""


@pytest.fixture
def log(base: Path) -> Path:
    """The log of a day on which one message came and went."""
    path = base / "SystemLogs/2026-11-24.log"
    path.write_text(LOG)
    return path


@pytest.mark.parametrize("word", ["17", "17.msg", "Outbound/OUT/17-2.msg", "Bad/17.why", DROP, f"Submitted/{DROP}"])
@pytest.mark.usefixtures("log")
def test_a_message_has_many_names(enqueuer: Any, word: str) -> None:
    """It takes the id, the names of its files, and the name that `submit` printed. A message that has left the queue is no error."""
    page = enqueuer("queue", "show", word)

    assert (page.returncode, page.stderr) == (0, b"")
    assert page.stdout.decode().splitlines() == [
        "17  enqueued",
        "     ended: at 2026-11-24 10:00:00.100: OUT(1)",
        "     ended: another program has taken it from its module queue",
        f"       log: 2026-11-24 10:00:00.000 2 QUEUE([17]) from <ann@a.example>, 6910 bytes, {DROP}",
        "       log: 2026-11-24 10:00:00.100 2 QUEUE([17]) enqueued: OUT(1)",
    ]


@pytest.mark.usefixtures("log")
def test_a_message_that_has_left_in_json(enqueuer: Any) -> None:
    """The document has the keys of all others. Scripts see by `state` that the message has left."""
    document = json.loads(enqueuer("queue", "show", "17", "--json").stdout)

    assert (document["id"], document["state"], document["size"], document["files"]) == (17, "enqueued", None, [])
    assert document["ended"] == {"reason": "OUT(1)", "time": "2026-11-24 10:00:00.100"}
    assert document["log"] == [f"2026-11-24 {line}" for line in LOG.splitlines()[:2]]
    assert enqueuer("queue", "show", "99").returncode == 66


def test_a_message_with_many_lines(enqueuer: Any, log: Path) -> None:
    """It shows the last lines, and names the command that shows all of them."""
    log.write_text("".join(f"10:00:00.000 2 QUEUE([17]) line {number}\n" for number in range(150)))
    page = enqueuer("queue", "show", "17").stdout.decode().splitlines()

    assert "       log: the last 100 lines; all of them: enqueuer log --id 17" in page
    assert [page[-100].rpartition(" ")[2], page[-1].rpartition(" ")[2]] == ["50", "149"]


def old(base: Path, form: str) -> None:
    """The log of that day as it is some days later: closed files, compressed, in either format; and the log of today."""
    (base / "SystemLogs/2026-11-24.log").unlink()
    lines = [parse(line.encode(), "2026-11-24") for line in LOG.splitlines()]
    texts = [entry.in_json() if form == "json" else entry.line for entry in lines]
    (base / "SystemLogs/2026-11-24-001.log.gz").write_bytes(gzip.compress(f"{texts[0]}\n".encode()))
    (base / "SystemLogs/2026-11-24-002.log.gz").write_bytes(gzip.compress(f"{texts[1]}\n{texts[2]}\n".encode()))
    (base / "SystemLogs/2026-11-30.log").write_text("10:00:00.000 2 ENQUEUER running\n")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("word", ["17", DROP])
@pytest.mark.usefixtures("log")
def test_a_message_is_found_in_old_logs(enqueuer: Any, base: Path, word: str, form: str) -> None:
    """The page is the same if the lines are compressed, of another day, in several files, or in both formats."""
    page = enqueuer("queue", "show", word).stdout
    old(base, form)

    assert enqueuer("queue", "show", word).stdout == page
    assert page.startswith(b"17  enqueued\n")


@pytest.mark.parametrize(
    ("end", "state", "words"),
    [
        ("discarded: a rule", "discarded", "a rule"),
        ("quarantined: EICAR; to=<bob@b.example> (+2), delay=0.048s", "quarantined", "its file is there no longer"),
        ("deferred: later", "unknown", "none that says how it ended"),
        ("deleted from Quarantine", "deleted", "deleted from Quarantine"),
    ],
)
def test_how_a_message_ended(enqueuer: Any, log: Path, end: str, state: str, words: str) -> None:
    log.write_text(f"10:00:00.000 2 QUEUE([17]) from <ann@a.example>, 6910 bytes, {DROP}\n10:00:01.000 2 QUEUE([17]) {end}\n")
    page = enqueuer("queue", "show", "17")

    assert page.returncode == 0
    assert page.stdout.startswith(f"17  {state}\n".encode())
    assert words.encode() in page.stdout


def test_a_drop_that_is_being_judged_is_found_by_its_name(enqueuer: Any, base: Path) -> None:
    """Without the log."""
    (base / f"Submitted/.taken/17.{DROP}").write_bytes(b"To: bob@b.example\n\ntext\n")
    page = enqueuer("queue", "show", DROP)

    assert (page.returncode, page.stdout[:4]) == (0, b"17  ")


def test_a_drop_that_never_became_a_message(enqueuer: Any, base: Path) -> None:
    """Where it lies, or why it was refused."""
    assert b"names a drop a.eml" in enqueuer("queue", "show", "a.eml").stderr
    (base / "Submitted/a.eml").touch()
    assert b"a.eml is in Submitted, and was not taken yet" in enqueuer("queue", "show", "a.eml").stdout
    (base / "Submitted/a.eml").unlink()
    (base / "Submitted/a.bad.why").write_text('{"reason": "no recipient"}')
    assert b"a.eml was refused: no recipient" in enqueuer("queue", "show", "a.eml").stdout
    assert b"a.eml was refused: no recipient" in enqueuer("log", "--id", "a.eml").stderr
    assert json.loads(enqueuer("queue", "show", "a.eml", "--json").stdout)["text"].startswith("a.eml was refused: no recipient")


@pytest.mark.parametrize("words", [("queue", "show"), ("queue", "retry"), ("quarantine", "show"), ("quarantine", "release")])
def test_what_is_no_id_is_told(enqueuer: Any, words: tuple[str, ...]) -> None:
    page = enqueuer(*words, "abc")

    assert page.returncode == 64
    assert b"'abc' is not the id of a message: an id is a number" in page.stderr


def test_a_name_that_two_droppers_use_is_ambiguous(enqueuer: Any, log: Path) -> None:
    """Each is listed with its dropper: neither answers for the other."""
    with log.open("a") as file:
        file.write(f"10:00:01.000 2 QUEUE([19]) from <eve@x.example>, 9 bytes, {DROP}, uid 4242\n")
    done = enqueuer("queue", "show", DROP)

    assert done.returncode == 65
    assert b"message 17, by the engine's account: enqueuer queue show 17\n" in done.stderr
    assert b"message 19, by uid 4242: enqueuer queue show 19\n" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        f"from <eve@x.example>, 9 bytes, evil>, 6910 bytes, {DROP}, uid 4242",
        f"from <eve@x.example>, 9 bytes, x.eml QUEUE([17]) from <>, 1 bytes, {DROP}, uid 4242",
        f"rejected: filter said: QUEUE([19]) from <>, 1 bytes, {DROP}",
    ],
)
def test_no_name_and_no_reason_answers_for_another_message(enqueuer: Any, log: Path, text: str) -> None:
    """A dropper writes lines of the log, as far as names and reports go into them."""
    with log.open("a") as file:
        file.write(f"10:00:01.000 2 QUEUE([19]) {text}\n")
    done = enqueuer("queue", "show", DROP)

    assert done.stdout.startswith(b"17  enqueued")
    assert b" QUEUE([19]) from <eve" not in done.stdout
    assert b" QUEUE([19]) rejected" not in done.stdout


def test_claimed_drops_of_the_same_name_are_ambiguous(enqueuer: Any, base: Path) -> None:
    for id in (17, 19):
        (base / f"Submitted/.taken/{id}.{DROP}").write_bytes(b"To: bob@b.example\n\ntext\n")
    done = enqueuer("queue", "show", DROP)

    assert done.returncode == 65
    assert [b"message %d" % id in done.stderr for id in (17, 19)] == [True, True]


@pytest.mark.usefixtures("log")
def test_a_planted_reason_hides_no_message(enqueuer: Any, base: Path) -> None:
    """Any account that may drop may write NAME.bad.why for the name of another."""
    (base / f"Submitted/{DROP.replace('.sub', '.bad.why')}").write_text('{"reason": "fake"}')
    done = enqueuer("queue", "show", DROP)

    assert done.returncode == 65
    assert b"was refused: fake (this reason is in a file of root (uid 0))" in done.stderr or os.geteuid() > 0
    assert b"message 17, by the engine's account" in done.stderr


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_a_reason_is_no_fifo_and_no_link(enqueuer: Any, base: Path, tmp_path: Path, kind: str) -> None:
    """The caller, mostly root, neither waits for a writer nor reads a file elsewhere."""
    why = base / "Submitted/a.bad.why"
    (tmp_path / "secret").write_text('{"reason": "secret"}')
    os.mkfifo(why) if kind == "fifo" else why.symlink_to(tmp_path / "secret")
    done = enqueuer("queue", "show", "a.eml")

    assert (done.returncode, b"secret" in done.stderr) == (66, False)


def test_a_long_name_is_found_as_it_was_shortened(enqueuer: Any, base: Path) -> None:
    name = "x" * 251 + ".eml"
    (base / "Submitted/.taken" / os.fsdecode(names.taken(17, name.encode()))).write_bytes(b"To: bob@b.example\n\ntext\n")

    assert enqueuer("queue", "show", name).stdout[:4] == b"17  "
