"""Demands on who may close a mail loop: a filter by what it wrote, no remote sender and no other account."""

import os
from collections.abc import Callable

import pytest

from enqueuer.ipc import frames
from enqueuer.lab.trial import Trial
from enqueuer.manager.loops import LEAST, SURE
from enqueuer.processor.fingerprints import Fingerprints
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.ingest import MessageFile
from enqueuer.queue.message import envelope, header

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]


def _paced(trial: Trial, count: int, drop: Callable[[int], object]) -> None:
    """Drop messages that are discarded, each while the one before is scanned, and after the end of the one before that."""
    for n in range(count):
        drop(n)
        trial.wait(lambda: [n + 1, n] <= _totals(trial), "it is scanned, and the one before has ended")  # noqa: B023


def _totals(trial: Trial) -> list[int]:
    totals = trial.status()["totals"]
    return [totals["received"], totals["discarded"]]


def test_a_forged_sender_closes_the_way_of_no_other_mail(trials: Trials, config: Config, mail: Make) -> None:
    """A remote sender paces spam in another's name. What that other person sends is scanned and delivered as ever."""
    with trials(config(engine="max_hops = 3")) as trial:
        _paced(trial, SURE + 30, lambda n: trial.drop(f"spam{n}", mail(f"spam{n}", "0.05 DISCARD")))
        trial.drop("real", mail("real"))
        trial.wait(trial.outbound, "real mail is delivered")
        assert trial.status()["totals"]["bad"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give drops to another account")
def test_what_another_account_drops_is_no_loop_of_a_filter(trials: Trials, config: Config, mail: Make) -> None:
    """A gateway of its own account drops one message again and again, in step with the filter."""
    with trials(config(engine="max_hops = 3")) as trial:

        def drop(n: int) -> None:
            path = trial.base / f"Submitted/{n}.tmp"
            path.write_bytes(mail("same", "0.05 DISCARD"))
            os.chown(path, 65534, 65534)
            path.rename(path.with_suffix(".eml"))

        _paced(trial, LEAST + 30, drop)
        trial.wait(lambda: trial.status()["totals"]["discarded"] == LEAST + 30, "all of them are scanned")


def test_a_deferred_message_keeps_who_dropped_it() -> None:
    """Its drop has gone by then: only what may be a filter's own copy is kept from the filters."""
    text = b"From: a@a.example\nMessage-ID: <1@a>\n"
    made = envelope.make(b"a@a.example", (b"b@b.example",), "01-01-2026 00:00:00", "a.example")
    message = MessageFile(1, made, 0, 0, (0, 0), header=text)
    (kind, *_) = header.kinds(text, (b"b@b.example",))
    job = frames.Job(1, 1, 1, False, b"", True, False, None, (), ((kind, "Judge"),))
    disk = Disk()

    assert Fingerprints(disk).closed(job, message) == ""
    job.own = True
    assert Fingerprints(disk).closed(job, message) == "Judge"
    disk.close()
