"""On a running engine: the line of a message's end and its .why say who gets it, what it is, what filters said, and how long it took."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enqueuer.lab.trial import Trial

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
FACTS = r"; to=<bob@b\.example> \(\+1\), message-id=<%s@test\.example>, delay=\d+\.\d{3}s, Judge=%s"
SUBJECT = ', subject="%s"'
FOR_TWO = "bob@b.example, carl@b.example"


@pytest.mark.parametrize(
    ("judge", "line", "said", "stopped"),
    [
        ("0 OK", r"enqueued: OUT\(2\)", "OK", False),
        (r'0 ADDHEADER "X-Spam-Status: No, score=3.1 required=5.0" OK', r"enqueued: OUT\(2\)", "OK 3.1/5.0", False),
        ('0 ERROR "spam: score 12.3 of 15.0"', r"quarantined: spam: score 12\.3 of 15\.0", "ERROR 12.3/15.0", True),
        ("0 DISCARD", "discarded: Judge said DISCARD", "DISCARD", True),
        ('0 REJECTED "not now"', "deferred: not now", "REJECTED", True),
    ],
)
def test_the_last_line_has_the_facts(trials: Trials, config: Config, mail: Make, judge: str, line: str, said: str, stopped: bool) -> None:
    with trials(config()) as trial:
        trial.drop("one", mail("one", judge, to=FOR_TWO))
        wanted = re.compile(
            rf"QUEUE\(\[\d+\]\) {line}" + FACTS % ("one", re.escape(said)) + (SUBJECT % "one" if stopped else "") + "$", re.M
        )
        trial.wait(lambda: wanted.search(trial.log()), "the line is there")


def _why(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("*.why")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def test_a_reason_has_the_facts(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config()) as trial:
        trial.drop("one", mail("one", '0.2 ERROR "a virus"', to=FOR_TWO))
        trial.wait(lambda: trial.status()["totals"]["quarantined"] == 1, "it is quarantined")
        why = _why(trial.base / "Quarantine")

    (verdict,) = why.pop("verdicts")
    assert verdict.pop("seconds") >= 0.2
    assert verdict == {"filter": "Judge", "answer": "ERROR", "text": "a virus", "score": None}
    assert why.pop("delay_s") >= 0.2
    for key in ("id", "time"):
        assert why.pop(key)
    assert why == {
        "fate": "quarantined",
        "reason": "a virus",
        "filter": "Judge",
        "rule": "scan everything",
        "attempts": 0,
        "sender": "ann@a.example",
        "recipients": ["bob@b.example", "carl@b.example"],
        "recipient_count": 2,
        "message_id": "one@test.example",
        "subject": "one",
        "log": ["Judge: ERROR a virus"],
        "action": [],
        "trail": ['rule "scan everything": met', "quarantined: a virus"],
    }


def test_a_message_in_a_loop_has_the_facts(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config(engine="max_hops = 2")) as trial:
        trial.drop("one", b"Received: x\n" * 3 + mail("one", "0 OK", to=FOR_TWO))
        trial.wait(lambda: trial.status()["totals"]["bad"] == 1, "it is given up")
        wanted = re.compile(
            r"\) bad: mail loop: [^;]*; to=<bob@b\.example> \(\+1\), message-id=<one@test\.example>, delay=.*, subject=\"one\"$", re.M
        )
        trial.wait(lambda: wanted.search(trial.log()), "the line is there")

        assert _why(trial.base / "Bad")["message_id"] == "one@test.example"


def test_each_filter_that_was_asked_is_named(trials: Trials, config: Config, mail: Make) -> None:
    """In the order in which they were asked."""
    first = config().partition("[[filters]]")[2].partition("[[rules]]")[0].replace('"Judge"', '"First"')
    rule = '[["ExternalFilter", "First"], ["ExternalFilter", "Judge"]]'
    with trials(config(more="[[filters]]" + first).replace('[["ExternalFilter", "Judge"]]', rule)) as trial:
        trial.drop("one", mail("one", "0 OK"))
        trial.wait(lambda: ", First=OK, Judge=OK" in trial.log(), "both are named")
