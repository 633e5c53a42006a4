"""queue list and show: they read the disk, with or without an engine."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from enqueuer.queue.message import envelope

MAIL = b"Subject: \x1b[31mhello\nTo: bob@example.com\n\nbody\n"


def put(base: Path, path: str, sender: bytes = b"ann@example.com") -> None:
    made = envelope.make(sender, [b"bob@example.com"], "24-11-2026 10:00:00", "localhost")
    (base / path).write_bytes(made.above + envelope.Digest().line() + made.below + MAIL)


def test_an_empty_queue_is_an_empty_list(enqueuer: Any) -> None:
    """A JSON answer is one document on stdout, whatever is found."""
    assert json.loads(enqueuer("queue", "list", "--json").stdout) == []


def test_the_list_tells_age_by_the_file_not_by_the_id(enqueuer: Any, base: Path) -> None:
    """An id is no clock."""
    put(base, "Queue/1.msg")
    put(base, "Queue/2.msg")
    os.utime(base / "Queue/1.msg", (1, 1))
    (base / os.fsdecode(b"Submitted/.taken/3.\xff.eml")).write_bytes(MAIL)
    found = json.loads(enqueuer("queue", "list", "--json").stdout)

    assert [(entry["id"], entry["state"]) for entry in found] == [(1, "deferred"), (2, "deferred"), (3, "waiting")]
    assert found[0]["age_s"] > 10**9 > found[1]["age_s"]
    assert found[0]["recipients"] == ["bob@example.com"]
    assert found[0]["size"] == len(MAIL)
    assert found[2]["drop"] == "\\xff.eml"


def test_the_table_holds_one_line_a_message(enqueuer: Any, base: Path) -> None:
    """For a person, and for grep."""
    put(base, "Queue/1795512499801693.msg")
    lines = enqueuer("queue", "list").stdout.decode().splitlines()

    assert len(lines) == 2
    assert lines[1].startswith("1795512499801693 ")
    assert lines[1].endswith(" <ann@example.com>")


def test_nothing_in_a_message_steers_the_terminal(enqueuer: Any, base: Path) -> None:
    """Escape sequences are shown, not sent."""
    put(base, "Queue/1.msg", b"\x1b]0;evil\x07@example.com")

    for words in (["list"], ["show", "1"]):
        shown = enqueuer("queue", *words).stdout
        assert b"\x1b" not in shown
        assert b"\\x1b" in shown


def test_show_prints_envelope_and_header(enqueuer: Any, base: Path) -> None:
    """And not the body."""
    put(base, "Queue/1.msg")
    page = enqueuer("queue", "show", "1").stdout.decode()
    document = json.loads(enqueuer("queue", "show", "1", "--json").stdout)

    assert "R W 24-11-2026 10:00:00 0000 ____ _FY_ <bob@example.com>" in page
    assert "To: bob@example.com" in page
    assert "body" not in page
    assert document["header"][1] == "To: bob@example.com"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a drop of another account")
def test_show_names_the_dropper(enqueuer: Any, base: Path) -> None:
    """Of a claimed drop by its file, of a message by its envelope."""
    (base / "Submitted/.taken/17.a.eml").write_bytes(b"To: bob@b.example\n\ntext\n")
    os.chown(base / "Submitted/.taken/17.a.eml", 4242, 4242)
    made = envelope.make(b"a@a.example", [b"b@b.example"], "24-11-2026 10:00:00", "localhost", dropper=4243)
    data = made.below + b"To: b@b.example\n\ntext\n"
    (base / "Queue/18.msg").write_bytes(made.above + envelope.Digest(made.above, data).line() + data)

    assert b"dropped: by uid 4242\n" in enqueuer("queue", "show", "17").stdout
    assert b"dropped: by uid 4243\n" in enqueuer("queue", "show", "18").stdout
    assert json.loads(enqueuer("queue", "show", "--json", "18").stdout)["dropper"] == 4243


@pytest.mark.parametrize(
    "words",
    [
        ("queue", "list"),
        ("queue", "show", "1"),
        ("quarantine", "list", "--json"),
        ("quarantine", "show", "1"),
        ("init",),
    ],
    ids=" ".join,
)
def test_a_base_directory_of_a_newer_version_is_not_read(enqueuer: Any, base: Path, words: tuple[str, ...]) -> None:
    """One line with the place and the cure, and 78, as for the engine."""
    for path in ("Queue/1.msg", "Quarantine/1.msg"):
        put(base, path)
    (base / "Queue/.format").write_text("4\n")

    ended = enqueuer(*words, *([str(base)] if words == ("init",) else []))

    assert (ended.returncode, ended.stdout, ended.stderr.count(b"\n")) == (78, b"", 1)
    assert b"/Queue/.format says format 4" in ended.stderr


def test_the_list_has_messages_on_hold(enqueuer: Any, base: Path) -> None:
    """In the order of the ids, with reason and time; no engine is needed."""
    for path in ("Hold/1.msg", "Queue/2.msg", "Hold/3.msg"):
        put(base, path)
    (base / "Hold/1.why").write_text(json.dumps({"reason": "ask Ann", "until": 4e9, "rule": None, "action": ["Hold for", "2h"]}))
    found = json.loads(enqueuer("queue", "list", "--json").stdout)
    lines = enqueuer("queue", "list").stdout.decode().splitlines()
    shown = enqueuer("queue", "show", "1").stdout.decode()

    assert [(entry["id"], entry["state"]) for entry in found] == [(1, "on_hold"), (2, "deferred"), (3, "on_hold")]
    assert found[0]["why"]["until"] == 4e9
    assert "ask Ann, until 2096-10-02" in lines[1]
    assert lines[3].endswith("until it is released")
    assert "until: 2096-10-02" in shown
    assert "action: Hold for 2h" in shown
    assert "enqueuer queue release 1" in shown
