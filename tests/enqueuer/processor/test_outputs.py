"""What a running engine does with the outcomes of rules."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from enqueuer.lab.trial import Trial
from enqueuer.queue.message import envelope
from tests.enqueuer.conftest import JUDGE
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


def test_a_deferred_recipient_becomes_a_message_of_its_own(trials: Trials, config: Config, mail: Make) -> None:
    """The others get theirs at once. The rest is asked again, alone, without what was done already."""
    rules = """
[[rules]]
name = "copy"
priority = 10
actions = [["Mirror to", "copy@smtp.example"]]
[[rules]]
name = "not yet"
priority = 9
scope = "recipient"
when = 'any recipient is "bob@*" and header("X-Late") is "yes" and not any recipient in #open'
actions = [["ExternalFilter", "Never"], ["Stop Processing"]]
[[filters]]
name = "Never"
program = "false"
timeout = "1s"
"""
    trial = trials(config(more=rules))
    _lists(trial, "open", "nobody")
    data = mail("one", to=FOR_THREE).replace(b"Subject:", b"X-Late: yes\nSubject:")
    with trial:
        trial.drop("one", data)
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 1, "two recipients have it")
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "the third is deferred")
        assert trial.status()["totals"]["received"] == 2
        _lists(trial, "open", "bob@*")
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 2, "the third has it, too")
        assert trial.status()["unaccounted"] == 0
        outputs = sorted(trial.outbound())
        copies = trial.outbound("SMTP")
        log = trial.log()
    assert sorted(_recipients(each) for each in outputs) == [[b"ann@a.example", b"carl@c.example"], [b"bob@b.example"]]
    assert [_message(each) for each in outputs] == [data] * 2
    assert len(copies) == 1, "the effect of the first rule came once"
    assert any(each.read_bytes().count(b" other=ann@a.example other=carl@c.example\n") for each in outputs)
    assert re.search(r"QUEUE\(\[\d+\]\) from <ann@a.example>, \d+ bytes, rest of \[\d+\]", log)


def test_hold_and_release_by_a_rule(trials: Trials, config: Config, mail: Make) -> None:
    """It waits with its reason, is released by time, and goes on after the action."""
    rules = """
[[rules]]
name = "wait"
priority = 9
actions = [["Add Header", "X-Before: 1"], ["Hold for", "2s"], ["Add Header", "X-After: 1"]]
"""
    with trials(config(more=rules)) as trial:
        trial.drop("one", mail("one"))
        trial.wait(lambda: trial.status()["queue"]["on_hold"] == 1, "it is on hold")
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 1, "its time has come")
        totals = trial.status()["totals"]
        (out,) = trial.outbound()
    assert (totals["received"], totals["returned"]) == (1, 0)
    assert _message(out) == b"X-After: 1\nX-Before: 1\n" + mail("one")


def test_a_reply_a_forward_and_no_answer_to_answers(trials: Trials, config: Config, mail: Make) -> None:
    """New messages walk through the rules, too, as SRULE; a reply goes to a person once a day."""
    rules = """
[[rules]]
name = "answer"
priority = 9
when = 'not submit_address in "SRULE,DSN"'
actions = [["Reply with", "+Subject: away\\nX-Note: ^S\\n\\nThanks for ^S"], ["Forward to", "boss@smtp.example"]]
"""
    with trials(config(more=rules)) as trial:
        for count, name in enumerate(("one", "two"), 1):
            trial.drop(name, mail(name))
            trial.wait(lambda count=count: len(trial.outbound("SMTP")) == count, "it is forwarded")  # type: ignore[misc]
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 5, "all have left")
        assert trial.status()["totals"]["received"] == 5
        replies = [path for path in trial.outbound() if _recipients(path) == [b"ann@a.example"]]
        forwards = trial.outbound("SMTP")
    (reply,) = replies
    text = _message(reply)
    assert b"\nSubject: away\n" in text
    assert b"\nX-Note: one\n" in text
    assert text.endswith(b"\n\nThanks for one\n")
    assert b"\nAuto-Submitted: auto-replied\n" in text
    assert reply.read_bytes().partition(b"\n")[0].endswith(b"<>")
    assert b"S SRULE [0.0.0.0]\n" in reply.read_bytes()
    assert all(name in b"".join(map(_message, forwards)) for name in (mail("one"), mail("two")))


def test_a_report_goes_to_trusted_senders_only(trials: Trials, config: Config, mail: Make) -> None:
    """The sender of a submitted message with a trusted client gets a report; any other message is kept. A null sender gets none."""
    rules = """
[[rules]]
name = "no"
priority = 9
when = 'not submit_address is "DSN"'
actions = [["Reject with", "not ^S"]]
"""
    with trials(config(more=rules, engine='networks = ["192.0.2.0/24"]')) as trial:
        _submit(trial, mail("one"), "192.0.2.7")
        trial.wait(lambda: trial.status()["totals"]["rejected"] == 1, "it is refused")
        trial.wait(trial.outbound, "the report is there")
        _submit(trial, mail("two"), "198.51.100.7")
        trial.wait(lambda: trial.status()["totals"]["rejected"] == 2, "the other is refused")
        (kept,) = (trial.base / "Quarantine").glob("*.msg")
        (report,) = trial.outbound()
    assert mail("two") == _message(kept)
    assert _recipients(report) == [b"ann@a.example"]
    text = _message(report)
    assert b"Content-Type: multipart/report; report-type=delivery-status" in text
    assert b"\nFinal-Recipient: rfc822; bob@b.example\nAction: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; 550 5.7.1 not one\n" in text
    assert b"\nMessage-ID: <one@test.example>\n" in text


def _submit(trial: Trial, data: bytes, address: str) -> None:
    command = [sys.executable, "-m", "enqueuer.cli.app", "submit", "--base", str(trial.base), "--client", address, "-t", "-"]
    subprocess.run(command, input=data, check=True, capture_output=True, timeout=60)


def test_a_redirected_message_on_hold_goes_to_its_new_recipients(trials: Trials, config: Config, mail: Make) -> None:
    """Redirect To and Route to come before the hold: the release does not undo them."""
    rules = """
[[rules]]
name = "away"
priority = 9
actions = [["Redirect To", "new@smtp.example"], ["Route to", "LATER(night)"], ["Hold for", "1s"]]
"""
    with trials(config(more=rules)) as trial:
        trial.drop("one", mail("one", to=FOR_THREE))
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 1, "its time has come")
        (out,) = trial.outbound("LATER")
    assert _recipients(out) == [b"new@smtp.example"]
    assert b" queue=night\n" in out.read_bytes()


def test_two_filters_that_wait_defer_the_whole_message(trials: Trials, config: Config, mail: Make) -> None:
    rules = f"""
[[rules]]
name = "for bob"
priority = 9
scope = "recipient"
when = 'any recipient is "bob@*"'
actions = [["ExternalFilter", "Other"], ["Stop Processing"]]
[[filters]]
name = "Other"
program = "{JUDGE}"
"""
    with trials(config(more=rules)) as trial:
        trial.drop("one", mail("one", '0 REJECTED "not now"', to="ann@a.example, bob@b.example"))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "it is deferred")
        assert trial.status()["totals"]["received"] == 1
        log = trial.log()
    assert "Traceback" not in log


def test_a_filter_in_shadow_that_cannot_start_stops_no_mail(trials: Trials, config: Config, mail: Make) -> None:
    rules = """
[[rules]]
name = "try"
priority = 9
actions = [["ExternalFilter", "New"]]
[[filters]]
name = "New"
program = "false"
mode = "shadow"
timeout = "1s"
"""
    with trials(config(more=rules)) as trial:
        trial.drop("one", mail("one"))
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 1, "it is enqueued")
