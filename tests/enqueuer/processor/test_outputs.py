"""What a running engine does with the outcomes of rules."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from enqueuer.lab.trial import Trial
from enqueuer.queue.message import envelope
from tests.helpers.trace import bare

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
FOR_THREE = "ann@a.example, bob@b.example, carl@c.example"
BLOCK = """
[[rules]]
name = "block"
priority = 9
scope = "recipient"
when = 'any recipient in #blocked'
actions = [["Reject with", "no mail for this address"]]
"""


def _message(path: Path) -> bytes:
    data = path.read_bytes()
    return bare(data[envelope.head_end(data) :])


def _recipients(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return list(envelope.parse(data[: envelope.head_end(data)]).recipients)


def _lists(trial: Trial, name: str, *entries: str) -> None:
    folder = trial.base / "Settings" / "lists"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text("\n".join(entries) + "\n")


def _drop(trial: Trial, name: str, data: bytes, count: int = 1) -> None:
    trial.drop(name, data)
    trial.wait(lambda: trial.status()["totals"]["received"] >= count and not trial.status()["queue"]["active"], "it is decided")


def test_a_block_list_refuses_one_recipient(trials: Trials, config: Config, mail: Make) -> None:
    """One scan; two recipients get the message, the third one's is kept, because the sender of a drop gets no report."""
    trial = trials(config(more=BLOCK))
    _lists(trial, "blocked", "# these", "bob@*")
    with trial:
        trial.drop("one", mail("one", to=FOR_THREE))
        trial.wait(lambda: trial.status()["totals"]["enqueued"], "it is decided")
        trial.wait(lambda: not list((trial.base / "Queue").glob("1*")), "it has left")
        (out,) = trial.outbound()
        (kept,) = (trial.base / "Quarantine").glob("*.msg")
        totals = trial.status()["totals"]
        trial.wait(lambda: trial.status()["filters"][0]["answered"], "the filter's count is shown")
        asked = trial.status()["filters"][0]["answered"]
        log = trial.log()
    assert asked == 1
    assert (totals["received"], totals["enqueued"], totals["rejected"], totals["quarantined"]) == (1, 1, 0, 0)
    assert _recipients(out) == [b"ann@a.example", b"carl@c.example"]
    assert _recipients(kept) == [b"bob@b.example"]
    assert _message(out) == _message(kept) == mail("one", to=FOR_THREE)
    why = json.loads(kept.with_suffix(".why").read_text())
    assert (why["fate"], why["reason"], why["rule"], why["recipients"]) == (
        "rejected",
        "no mail for this address",
        "block",
        ["bob@b.example"],
    )
    assert 'rule "block": met for bob@b.example' in why["trail"]
    assert re.search(r"enqueued: OUT\(2\), rejected for <bob@b.example>: no mail for this address;", log)
    assert "ENQUEUERRULES([" in log, "the trail is in the log at low-level"


def test_lists_are_taken_while_it_runs(trials: Trials, config: Config, mail: Make) -> None:
    """A new list is a new revision; a list that is not UTF-8 is refused with file and line, and the old ones stay."""
    trial = trials(config(more=BLOCK))
    _lists(trial, "blocked", "nobody@*")
    with trial:
        _lists(trial, "blocked", "bob@*")
        trial.wait(lambda: "list #blocked changed" in trial.log(), "the list is taken")
        _drop(trial, "one", mail("one"))
        assert len(list((trial.base / "Quarantine").glob("*.msg"))) == 1
        (trial.base / "Settings/lists/blocked.txt").write_bytes(b"a@b\n\xff\n")
        trial.wait(lambda: trial.status()["config"]["error"], "the list is refused")
        error = trial.status()["config"]["error"]
        _drop(trial, "two", mail("two"), 2)
        assert len(list((trial.base / "Quarantine").glob("*.msg"))) == 2
    assert "Settings/lists/blocked.txt" in error
    assert "line 2 is not UTF-8" in error


def test_what_rules_change_in_a_message(trials: Trials, config: Config, mail: Make) -> None:
    """Fields on top, the tag before the subject, all other bytes as they came; routes, copies and new recipients."""
    rules = """
[[rules]]
name = "change"
priority = 9
actions = [["Add Header", "X-Id: ^Q"], ["Tag Subject", "[Ä]"], ["Mirror to", "copy@smtp.example"]]
[[rules]]
name = "away"
priority = 8
when = 'subject is "two"'
actions = [["Redirect To", "new@smtp.example, other@d.example"]]
[[rules]]
name = "route"
priority = 7
when = 'subject is "three"'
actions = [["Route to", "LATER(night)"]]
"""
    with trials(config(more=rules)) as trial:
        for count, name in enumerate(("one", "two", "three"), 1):
            _drop(trial, name, mail(name, size=100_000 if name == "three" else 0), count)
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 3, "all are enqueued")
        one, two = sorted(trial.outbound())
        copies = sorted(trial.outbound("SMTP"))
        (later,) = trial.outbound("LATER")
    id = one.stem.encode()
    assert _message(one) == b"X-Id: " + id + b"\n" + mail("one").replace(b"Subject: ", b"Subject: =?UTF-8?B?W8OEXQ==?= ")
    assert _recipients(two) == [b"other@d.example"]
    assert [_recipients(each) for each in copies].count([b"copy@smtp.example"]) == 3
    assert [b"new@smtp.example"] in [_recipients(each) for each in copies]
    assert b" queue=night\n" in later.read_bytes()
    assert _message(later).endswith(mail("three", size=100_000).partition(b"Subject: ")[2])
