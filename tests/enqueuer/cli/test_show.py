"""The pages for people: the state first, then what hangs."""

import contextlib
import fcntl
import os
import pty
import struct
import termios
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from enqueuer.cli import _lists, _show
from enqueuer.cli._common import fold
from enqueuer.queue.message.timestamps import rfc3339


@pytest.fixture
def document() -> dict[str, Any]:
    tasks = [{"id": n, "pid": 100 + n, "state": "idle", "since_s": 9.0, "message": None, "filter": None} for n in range(1, 40)]
    for n in range(30):
        tasks[n] |= {"state": "filter", "since_s": float(n), "message": str(1000 + n), "filter": "Virus[Scan]"}
    return {
        "version": "0.1.0",
        "state": "running",
        "base": "/var/spool/enqueuer",
        "pid": 4711,
        "uptime_s": 4000.0,
        "processors": {"configured": 39, "running": 39, "leaving": 0, "busy": 30, "tasks": tasks},
        "spool": {"waiting": 3, "stuck": []},
        "intake": {"paused": None},
        "stops": [],
        "queue": {
            "waiting": 7,
            "active": 30,
            "parked": 1,
            "deferred": 2,
            "on_hold": 0,
            "oldest_waiting_s": 12.0,
            "oldest_deferred_s": 300.0,
        },
        "lanes": {"small": {"waiting": 7, "active": 29}, "large": {"waiting": 0, "active": 1, "limit": 2}},
        "filters": [
            {
                "name": "Virus[Scan]",
                "state": "failed",
                "pids": [],
                "in_flight": 1,
                "parked": 4,
                "answered": 10,
                "restarts": 5,
                "last_error": "no such program\x1b[2J",
                "median_s": 0.02,
                "p99_s": None,
                "unavailable_since": None,
            }
        ],
        "config": {"file": "f", "loaded_at": "2026-11-24T10:00:00Z", "error": "processors = 0: write a number"},
        "totals": {"received": 10, "returned": 0, "enqueued": 8, "quarantined": 2},
    }


def test_status_leads_from_state_to_cause(document: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """State and config error at the top, then the flow, the longest tasks, filters, totals."""
    _show.status(document)
    page = capsys.readouterr().out
    wanted = [
        "running",
        "processors = 0",
        "7 waiting, the oldest for 12 s",
        "1029",
        "and 10 more",
        "failed",
        "no such program",
        "8 enqueued",
    ]
    places = [page.find(text) for text in wanted]

    assert -1 not in places
    assert places == sorted(places)
    assert "\x1b" not in page


def test_status_counts_messages_on_hold(document: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    document["queue"]["on_hold"] = 3
    _show.status(document)

    assert ", 3 on hold" in capsys.readouterr().out


def test_status_of_an_idle_engine_is_short(document: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to do, nothing to tell."""
    for task in document["processors"]["tasks"]:
        task["state"] = "idle"
    document |= {"filters": [], "totals": {"received": 0}}
    _show.status(document)
    page = capsys.readouterr().out

    assert len(page.splitlines()) < 12
    assert "no message yet" in page


def test_a_filter_without_answers_is_shown(document: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets in a name are a name, and a missing time is no time."""
    document["filters"][0] |= {"median_s": None, "last_error": None, "state": "starting"}
    _show.filters(document["filters"])

    assert "Virus[Scan]" in capsys.readouterr().out


def test_a_narrow_terminal_gets_lines_instead_of_a_table(document: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """A table of 80 columns, folded into 60, cuts numbers and words in two."""
    document["filters"][0] |= {"pids": [901], "p99_s": 3.0}
    console = Console(width=60, highlight=False)
    _show._print_filters(console, document["filters"])

    assert capsys.readouterr().out.splitlines() == [
        "Virus[Scan]  failed, pids 901",
        "  1 being scanned, 4 parked, 10 answered, 5 restarts",
        "  median 20 ms, p99 3.0 s",
        "Virus[Scan], last error: no such program\\x1b[2J",
    ]


def test_a_filters_processes_are_named(document: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """One can look at a helper with ps and strace; of very many the first are named."""
    document["filters"][0] |= {"pids": list(range(901, 911))}
    _show.filters(document["filters"])

    assert "901, 902, 903 and 7 more" in capsys.readouterr().out


def test_steps_are_shown_a_message(document: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Seconds since the start become microseconds a message; before the first one there are none."""
    document["steps"] = [{"process": "processors", "step": "filter", "wall_s": 0.02, "cpu_s": 0.00035}]
    _show.steps(document)
    told = capsys.readouterr().out
    assert "processors  filter                  2000.0  35.0" in told
    assert "10 messages are too few" in told

    document["totals"] = {"received": 1000, "returned": 0}
    _show.steps(document)
    assert "too few" not in capsys.readouterr().out

    document["totals"] = {"received": 0, "returned": 0}
    _show.steps(document)
    assert "no message yet" in capsys.readouterr().out


def on_a_terminal(show: Callable[[], None], monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> str:
    """What is printed where standard output is a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    for name in ("COLUMNS", "LINES", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    found = bytearray()

    def drain() -> None:
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while data := os.read(ours, 4096):
                found.extend(data)

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    with open(theirs, "w") as stdout, contextlib.redirect_stdout(stdout):
        monkeypatch.setattr("sys.__stdout__", stdout)  # where shutil looks
        show()
    reader.join(10)
    os.close(ours)
    return found.decode().replace("\r\n", "\n")


ENTRY: dict[str, Any] = {
    "id": 17,
    "state": "bad",
    "age_s": 9,
    "size": 9,
    "sender": None,
    "recipients": [],
    "message_id": "",
    "subject": "",
    "drop": None,
    "why": {},
}


def test_long_lines_break_at_words(monkeypatch: pytest.MonkeyPatch, document: dict[str, Any]) -> None:
    """On a terminal of 80 columns no command leaves it to the terminal to cut a word in two."""
    reason = "the scanner of the second data centre is not reachable at the moment, please try again later, says its server"
    document["filters"][0] |= {"name": "A scanner in the other data centre", "last_error": reason}
    document |= {"failing": [{"process": "queue manager", "times": 4, "last": reason}], "config": {"error": reason}}
    entry = ENTRY | {"sender": "a@b.c", "recipients": ["b"], "why": {"reason": reason}}

    def show() -> None:
        _show.status(document)
        _lists.messages([entry], "Quarantine")
        _show.message(entry | {"dropper": None, "envelope": [], "header": [f"Subject: {reason}"]})

    page = on_a_terminal(show, monkeypatch)

    assert [line for line in page.splitlines() if len(line) > 80] == []
    assert [page.count(word) for word in ("reachable", "moment", "please")] == [6, 6, 6]


def test_what_is_not_known_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A reason without a rule has no line for it; `None` is Python's."""
    entry = ENTRY | {"why": {"reason": "loop", "rule": None, "filter": None}}
    _show.message(entry | {"dropper": None, "envelope": [], "header": []})
    page = capsys.readouterr().out

    assert "reason: loop" in page
    assert "None" not in page


def test_a_long_error_breaks_at_words_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal alone: a script that reads stderr gets one line."""
    monkeypatch.setenv("COLUMNS", "80")
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal, open(os.devnull, "w") as pipe:
        assert fold("word " * 40 + "end", 4, pipe).count("\n") == 0
        assert [len(line) > 80 for line in fold("word " * 40 + "end", 4, terminal).split("\n")] == [False] * 3
    os.close(ours)


@pytest.mark.parametrize("columns", [80, 120, 0])
@pytest.mark.parametrize("folder", ["Quarantine", "Queue"])
def test_a_list_names_recipients_and_where_there_is_room_subjects(
    columns: int, folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first recipient and how many more there are; without a terminal nothing is cut."""
    to = ["a.rather.long.recipient@example.com", "b@example.com", "c@example.com"]
    entry = ENTRY | {"state": "deferred", "recipients": to, "subject": "Invoice\x1b " + "x" * 40, "sender": "ann@example.com"}

    if columns:
        page = on_a_terminal(lambda: _lists.messages([entry], folder), monkeypatch, columns)
    else:
        _lists.messages([entry], folder)
        page = capsys.readouterr().out
    head, line = page.splitlines()[:2]

    assert max(map(len, page.splitlines())) <= (columns or 999)
    assert (f"{to[0]} +2" if not columns else "a.rather.long.recipi~ +2") in line
    assert ("SUBJECT" in head) is ("Invoice\\x1b " in line) is (folder == "Quarantine" and columns != 80)
    assert ("x" * 40 in line) is (folder == "Quarantine" and not columns)
    assert ("deferred" in line) is (folder == "Queue")
    assert columns != 120 or line.index("<ann@example.com>") == head.index("SENDER")


def test_show_has_the_facts_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = {"filter": "Spam", "answer": "ERROR", "text": "spam", "score": "12.3/15.0", "seconds": 0.021}
    why = {
        "reason": "spam",
        "sender": "ann@example.com",
        "recipients": ["b@x"],
        "recipient_count": 22,
        "message_id": "a@b",
        "subject": "hello",
        "verdicts": [verdict],
        "delay_s": 0.5,
        "log": ["Spam: ERROR spam"],
    }
    entry = ENTRY | {"sender": "ann@example.com", "recipients": [f"r{n}@x" for n in range(22)], "subject": "hello", "message_id": "a@b"}
    _show.message(entry | {"why": why, "dropper": None, "envelope": [], "header": []})

    assert [line.strip() for line in capsys.readouterr().out.splitlines()[1:]] == [
        "reason: spam",
        "from: <ann@example.com>",
        "to: " + ", ".join(f"<r{n}@x>" for n in range(20)) + " and 2 more",
        "subject: hello",
        "message-id: a@b",
        "verdict: Spam said ERROR, score 12.3/15.0, after 21 ms: spam",
        "delay: 500 ms from its arrival to this decision",
    ]


@pytest.mark.parametrize("value", [None, 5, "x", [1], [{}], {"a": 1}])
def test_a_reason_that_was_changed_by_hand_is_shown(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ("reason", "filter", "sender", "recipients", "verdicts", "delay_s", "log")
    _show.message(ENTRY | {"why": dict.fromkeys(keys, value), "dropper": None, "envelope": [], "header": []})

    assert "17  bad" in capsys.readouterr().out


def test_an_error_has_an_age(document: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    document["filters"][0] |= {"last_error": "no such program", "last_error_at": rfc3339(time.time() - 185)}
    _show.status(document)

    assert "last error 3 min ago: no such program" in capsys.readouterr().out
