"""Demands on the answer to: what does this message wait for, since when, and how long does that take?"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enqueuer.ipc.frames import Seek, WhereAnswer
from enqueuer.ipc.scoreboard import Task
from enqueuer.lab.trial import Trial
from enqueuer.manager import where
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.policy.lanes import Lanes
from enqueuer.supervisor import where as shown
from filterlink.wire.frames import FilterState

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
SCAN = FilterState("Scan", "ready", median_s=0.02, p99_s=0.3)


def _schedule(*ids: int) -> Schedule:
    schedule = Schedule(Lanes(1000, 0.5, 4))
    for id in ids:
        schedule.add(Entry(id, f"{id}.a.eml", 100, 10.0))
    return schedule


def test_a_message_that_waits_for_a_processor() -> None:
    """How many are before it in its lane; a large one is not before a small one."""
    schedule = _schedule(1, 2, 3)
    schedule.add(Entry(0, None, 5000, 10.0))
    found = where.seen(Seek(7, 3), schedule, 0, 12.5)

    assert (found.token, found.state, found.since_s, found.older) == (7, "waiting", 2.5, 2)


def test_who_is_parked_again_for_the_same_filter_has_waited_all_the_time() -> None:
    """It was let try meanwhile; what it waits for, and since when, is what it was. Another filter is another wait."""
    schedule = _schedule(1)
    for now in (20.0, 30.0):
        entry = schedule.next()
        assert entry is not None
        schedule.park(entry, "Scan", apart=True, now=now, reason="has no free slot")
        found = where.seen(Seek(1, 1), schedule, 0, 50.0)
        assert (found.state, found.filter, found.since_s, found.here_s) == ("parked", "Scan", 30.0, 40.0)
        assert found.reason == "has no free slot"
        schedule.wake_one("Scan", 1)
    entry = schedule.next()
    assert entry is not None
    schedule.park(entry, "Other", now=45.0)

    assert where.seen(Seek(1, 1), schedule, 0, 50.0).since_s == 5.0


def test_when_a_held_one_is_offered_again() -> None:
    schedule = _schedule(1)
    entry = schedule.next()
    assert entry is not None
    schedule.defer(entry, "Scan", 300.0, now=20.0, reason="no licence")
    found = where.seen(Seek(1, 1), schedule, 2, 50.0)

    assert (found.state, found.since_s, found.offered_s, found.attempts) == ("deferred", 30.0, 250.0, 2)
    assert found.reason == "no licence"


def test_a_message_that_is_not_here() -> None:
    """The queue manager does not have it: there is nothing to tell, and no error."""
    found = where.seen(Seek(1, 9), _schedule(1), 0, 50.0)

    assert shown.document(found, 9, {}, (), 50.0)["state"] is None


def test_an_active_one_waits_for_what_its_processor_does() -> None:
    """Which one, at what, since when; for a filter: how long that takes as a rule."""
    tasks = {1: Task("idle", 0.0, 0, False, ""), 2: Task("filter", 47.0, 5, False, "Scan")}
    now = shown.document(WhereAnswer(1, "active", 9.0, 9.0), 5, tasks, (SCAN,), 50.0)

    assert (now["processor"], now["doing"], now["since_s"], now["here_s"]) == (2, "filter", 3.0, 9.0)
    assert now["filter"] == {"name": "Scan", "state": "ready", "median_s": 0.02, "p99_s": 0.3, "last_error": None}


def test_a_filter_that_is_gone_is_said_to_be() -> None:
    now = shown.document(WhereAnswer(1, "parked", 9.0, 9.0, "Old"), 5, {}, (SCAN,), 50.0)

    assert now["filter"]["state"] is None


def _show(trial: Trial, id: str) -> tuple[dict[str, Any], str]:
    """Document and page of a message."""
    command = [sys.executable, "-m", "enqueuer.cli.app", "queue", "show", id, "--base", str(trial.base)]
    document = json.loads(subprocess.run([*command, "--json"], capture_output=True, timeout=20, check=True).stdout)
    return document, subprocess.run(command, capture_output=True, timeout=20, check=True).stdout.decode()


def _id(trial: Trial, text: bytes) -> str:
    """The message with these words in it, once it is in the queue."""

    def found() -> Path | None:
        return next((path for path in (trial.base / "Queue").glob("*.msg") if text in path.read_bytes()), None)

    path = trial.wait(found, f"{text!r} is in the queue")
    assert path is not None
    return path.stem


def test_a_running_engine_says_what_its_messages_wait_for(trials: Trials, config: Config, mail: Make) -> None:
    """In a filter's hands, behind it, held by it, kept; and when the engine is gone, that it is."""
    engine = 'retry_after = "1h"'
    text = config(processors=2, slots=1, engine=engine).replace('retry_after = "1s"\n', "")
    with trials(text) as trial:
        trial.drop("first", mail("first"))
        trial.wait(trial.outbound, "the filter has answered once")
        trial.drop("no", mail("no", '0 REJECTED "no licence"'))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "one is deferred")
        held = _id(trial, b"text of no")
        trial.drop("kept", mail("kept", '0 ERROR "a virus"'))
        kept = trial.wait(lambda: next((trial.base / "Quarantine").glob("*.msg"), None), "one is kept")
        assert kept is not None
        trial.drop("slow", mail("slow", "60 OK"))
        slow = _id(trial, b"text of slow")
        trial.wait(lambda: trial.status()["filters"][0]["in_flight"] == 1, "one is being judged")
        trial.drop("behind", mail("behind"))
        trial.wait(lambda: trial.status()["queue"]["parked"] >= 1, "one is parked")
        behind = _id(trial, b"text of behind")

        document, page = _show(trial, held)
        assert (document["now"]["state"], document["now"]["filter"]["name"]) == ("deferred", "Judge")
        assert 3500 < document["now"]["offered_in_s"] < 3600
        assert "deferred by filter Judge for" in page
        assert "no licence" in page
        document, page = _show(trial, behind)
        assert (document["now"]["state"], document["now"]["filter"]["name"]) == ("parked", "Judge")
        assert "has no free slot" in page
        assert "usually answers within" in page
        document, page = _show(trial, slow)
        assert document["now"]["filter"]["name"] == "Judge"
        assert document["now"]["filter"]["p99_s"] < 10
        document, page = _show(trial, kept.stem)
        assert (document["state"], document["now"]["state"]) == ("quarantine", None)
        assert "a virus" in page
        assert "quarantine release" in page
        trial.kill()
        document, page = _show(trial, held)

    assert document["now"]["state"] is None
    assert "no engine runs on" in page
    assert "its files say" in page
