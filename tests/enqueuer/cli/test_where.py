"""What a message waits for, in sentences; and where nobody is there to ask."""

import json
from pathlib import Path
from typing import Any

import pytest

from enqueuer.cli import _where
from tests.enqueuer.cli.test_queue import put

NOW: dict[str, Any] = {
    "engine": "running",
    "state": "waiting",
    "here_s": 50.0,
    "since_s": 12.0,
    "processor": None,
    "doing": None,
    "filter": None,
    "reason": None,
    "offered_in_s": None,
    "lane": "small",
    "older": 17,
    "alone": False,
    "attempts": 0,
    "log": [],
}
SCAN = {"name": "Scan", "state": "stalled", "median_s": 0.02, "p99_s": 3.0, "last_error": "no answer within 10 s"}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({}, ["waits for a processor, for 12 s; 17 older small messages wait before it"]),
        ({"alone": True}, ["it is then scanned alone, because it was being scanned when the engine ended"]),
        (
            {"state": "active", "processor": 3, "doing": "filter", "filter": SCAN},
            ["processor 3: filter Scan scans it, for 12 s", "(stalled, last"],
        ),
        ({"state": "active", "processor": 3, "doing": "reading"}, ["processor 3: reads it, for 12 s"]),
        ({"state": "active"}, ["it goes to a processor"]),
        (
            {"state": "parked", "filter": SCAN, "reason": "no free slot"},
            ["parked for filter Scan for 12 s: no free slot", "within 20 ms, 99 of 100"],
        ),
        ({"state": "parked", "filter": SCAN | {"median_s": None, "p99_s": None}}, ["has not answered yet"]),
        ({"state": "parked", "filter": SCAN | {"state": None}}, ["filter Scan is no longer configured"]),
        (
            {"state": "deferred", "filter": SCAN, "reason": "later", "offered_in_s": 240.0},
            ["deferred by filter Scan for 12 s: later", "again, at the latest in 4 min; at once with: enqueuer queue retry 4711"],
        ),
        ({"state": "deferred", "reason": "disk full", "offered_in_s": 5.0, "attempts": 2}, ["put off for 12 s: disk full", "2 attempts"]),
        ({"state": "settling"}, ["synced to the disk"]),
        ({"engine": "draining"}, ["it starts no message"]),
        ({"state": None}, ["does not have this message"]),
        ({"state": None, "engine": "no engine runs on /s"}, ["is not known: no engine runs on /s", "it was deferred, or released"]),
    ],
)
def test_sentences(now: dict[str, Any], said: list[str]) -> None:
    """What, for how long, and the cure or the usual time."""
    page = "\n".join(_where.sentences(NOW | now, "deferred", 4711))

    assert [text for text in said if text not in page] == [], page


def test_without_an_engine_the_files_tell_what_they_can(enqueuer: Any, base: Path) -> None:
    """The page says so; the exit code is 0, as the message was found."""
    put(base, "Queue/1.msg")
    page = enqueuer("queue", "show", "1")

    assert page.returncode == 0
    assert f"is not known: no engine runs on {base}: start it with: enqueuer run --base {base}".encode() in page.stdout
    assert json.loads(enqueuer("queue", "show", "1", "--json").stdout)["now"]["state"] is None


@pytest.mark.parametrize(
    ("path", "said"), [("Quarantine/1.msg", b"enqueuer quarantine release 1;"), ("Bad/1.msg", b"enqueuer bad delete 1\n")]
)
def test_a_message_is_found_where_it_has_come_to(enqueuer: Any, base: Path, path: str, said: bytes) -> None:
    """Whoever asks need not know that it is in the queue no longer."""
    put(base, path)

    assert said in enqueuer("queue", "show", "1").stdout


@pytest.mark.parametrize("name", ["1.msg", "1-2.msg"])
def test_a_message_that_has_passed_is_shown(enqueuer: Any, base: Path, name: str) -> None:
    """A message in a module queue is shown as any other, with its file."""
    (base / "Outbound/OUT").mkdir(exist_ok=True)
    put(base, f"Outbound/OUT/{name}")
    page = enqueuer("queue", "show", "1")

    assert (page.returncode, page.stderr) == (0, b"")
    assert page.stdout.startswith(b"1  enqueued, ")
    assert f"     ended: to be delivered: Outbound/OUT/{name}\n".encode() in page.stdout
    assert b"<bob@example.com>" in page.stdout
    assert json.loads(enqueuer("queue", "show", "1", "--json").stdout)["files"] == [f"Outbound/OUT/{name}"]
