"""rules list and rules test, as commands: the firing order, the trail, and each recipient's outcome."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run

import pytest

from enqueuer.lab.trial import Trial
from tests.enqueuer.cli.conftest import Run
from tests.enqueuer.cli.test_tryout import helper

RULES = """
[[filters]]
name = "Judge"
program = "./judge.sh"
[[rules]]
name = "off"
priority = 0
actions = []
[[rules]]
name = "scan"
actions = [["ExternalFilter", "Judge"], ["Add Header", "X-Scanned: yes"]]
[[rules]]
name = "refuse for one"
priority = 8
scope = "recipient"
comment = "of 2026"
when = 'any recipient is "ceo@example.org" and from is "*@spam.example"'
actions = [["Reject with", "not wanted"]]
[[rules]]
name = "late"
priority = 2
mode = "shadow"
conditions = [["Score(Judge)", "greater than", "5"], ["Source", "is", "trusted"]]
actions = [["Route to", "SPAM"]]
[[rules]]
name = "hold at night"
priority = 1
when = "time_of_day > 22:00"
actions = [["Hold until", "2030-01-02 03:04"]]
[[rules]]
name = "run"
priority = 7
when = 'any attachment_name is "*.exe"'
actions = [["Execute", "rm -rf /nowhere"], ["Discard"]]
[[routes]]
recipient = "*"
to = "OUT"
"""
MAIL = "From: Bob <bob@spam.example>\nTo: ceo@example.org, two@example.org\nSubject: x\n\n{}\n"


@pytest.fixture
def ruled(base: Path) -> Path:
    (base / "Settings/enqueuer.toml").write_text(RULES)
    (base / "Settings/word").write_text("evil")
    helper(base / "judge.sh")
    return base


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mail.eml"
    path.write_text(MAIL.format("good"))
    return str(path)


def test_a_list_without_an_engine(enqueuer: Run, ruled: Path) -> None:
    """In firing order, not in that of the file."""
    done = enqueuer("rules", "list")

    assert (done.returncode, done.stderr) == (0, b"")
    assert (
        done.stdout.decode()
        == """\
   8  refuse for one (for each recipient)
      # of 2026
      when  any recipient is "ceo@example.org" and from is "*@spam.example"
      do    Reject with "not wanted"
      then  it ends with "Reject with"
   7  run
      when  any attachment_name is "*.exe"
      do    Execute "rm -rf /nowhere"
            Discard
      then  it ends with "Discard"
   5  scan
      when  always
      do    ExternalFilter "Judge"
            Add Header "X-Scanned: yes"
      then  the next rule; filter Judge may end it
   2  late (shadow)
      when  score("Judge") is greater than 5 and source is "trusted"
      do    Route to "SPAM"
      then  the next rule: in shadow, the actions are only logged
   1  hold at night
      when  time_of_day is greater than 22:00
      do    Hold until "2030-01-02 03:04"
      then  it ends with "Hold until"
off: off
"""
    )
    found = json.loads(enqueuer("rules", "list", "--json").stdout)
    assert [each["name"] for each in found] == ["refuse for one", "run", "scan", "late", "hold at night", "off"]
    assert found[2] == {
        "name": "scan",
        "priority": 5,
        "on": True,
        "when": "",
        "actions": [["ExternalFilter", "Judge"], ["Add Header", "X-Scanned: yes"]],
        "ends": None,
        "filters": ["Judge"],
        "scope": "message",
        "mode": "active",
        "on_failure": None,
        "comment": "",
        "met": None,
    }


def test_a_list_with_the_counts_of_the_engine(trials: Callable[..., Trial], config: Callable[..., str], mail: Callable[..., bytes]) -> None:
    more = '[[rules]]\nname = "never"\nwhen = "size > 1G"\nactions = [["Discard"]]\n'
    with trials(config(more=more)) as trial:
        trial.drop("a", mail("a"))
        trial.wait(trial.outbound, "the message to go on")
        done = run(
            [sys.executable, "-m", "enqueuer.cli.app", "rules", "list", "--json", "--base", str(trial.base)],
            capture_output=True,
            check=True,
        )
        counts = {each["name"]: each["met"] for each in json.loads(done.stdout)}

    assert counts.pop("never") == 0
    assert set(counts.values()) == {1}


def test_the_trail_of_a_message(enqueuer: Run, ruled: Path, file: str) -> None:
    """The filter was asked, and each recipient has an outcome."""
    done = enqueuer("rules", "test", file, "--at", "12:00")

    assert done.returncode == 0
    assert re.sub(r"\((under )?[0-9.]+ m?s\)", "(T)", done.stdout.decode().replace(file, "FILE")).splitlines() == [
        "FILE: envelope from <bob@spam.example> to <ceo@example.org>, <two@example.org>, 83 bytes",
        "  header: From bob@spam.example, To ceo@example.org, two@example.org",
        '  rule "refuse for one": met for ceo@example.org',
        '  rule "run": not met: any attachment_name is "*.exe" (it has none)',
        '  rule "scan": met',
        '  rule "late": not met: score("Judge") is greater than 5 (it has none)',
        '  rule "hold at night": not met: time_of_day is greater than 22:00 (it is "12:00:00")',
        "  filter #facts: OK (T)",
        "  filter Judge: OK (T)",
        "=> rejected for ceo@example.org: not wanted",
        "=> enqueued for two@example.org",
        "   adds X-Scanned: yes",
    ]
    assert not list((ruled / "Submitted").glob("*.sub"))
    assert not list((ruled / "Queue").glob("*.msg"))


def test_options_replace_the_envelope_and_answers(enqueuer: Run, ruled: Path, file: str) -> None:
    words = ["-f", "", "--to", "a@example.org", "--source", "trusted", "--verdict", "Judge=ok score 7.5", "--at", "2026-12-24 23:00"]
    (found,) = json.loads(enqueuer("rules", "test", file, *words, "--json").stdout)

    assert (found["sender"], found["recipients"]) == ("", ["a@example.org"])
    assert found["filters"][0] == {"name": "Judge", "answer": "ok", "text": "score 7.5", "seconds": None}
    assert found["shadow"] == [{"rule": "late", "text": 'would have done Route to "SPAM" for a@example.org'}]
    (outcome,) = found["outcomes"]
    assert outcome["outcome"] == "on_hold"
    assert outcome["effects"] == ["adds X-Scanned: yes", "until 2030-01-02 03:04:00"]


def test_a_verdict_that_stops_it(enqueuer: Run, ruled: Path, tmp_path: Path) -> None:
    """Given, or from the filter, which reads its files of the base directory."""
    (tmp_path / "bad.eml").write_text(MAIL.format("bad"))
    (found,) = json.loads(enqueuer("rules", "test", str(tmp_path / "bad.eml"), "--to", "a@b.example", "--json").stdout)

    assert [(each["outcome"], each["reason"], each["filter"], each["rule"]) for each in found["outcomes"]] == [
        ("quarantined", "it is evil", "Judge", "scan")
    ]


def test_a_program_of_execute_does_not_run(enqueuer: Run, ruled: Path, tmp_path: Path) -> None:
    (tmp_path / "exe.eml").write_text('Subject: x\nContent-Disposition: attachment; filename="a.exe"\n\ngood\n')
    done = enqueuer("rules", "test", str(tmp_path / "exe.eml"))

    assert "OK not run; exit code 0 is assumed (given)" in done.stdout.decode()
    assert "=> discarded for recipient@example.org" in done.stdout.decode()


def test_a_queue_file_has_its_session(enqueuer: Run, ruled: Path, tmp_path: Path) -> None:
    """The envelope lines say who sent it, to whom, and from where."""
    (tmp_path / "7.msg").write_text(
        "P I 01-01-2026 00:00:00 0000 ____ ____ <a@a.example>\nO L\nS SMTP [192.0.2.7]\nA here\n"
        "R W 01-01-2026 00:00:00 ____ _FY_ <c@c.example>\n\nSubject: y\n\ngood\n"
    )
    text = (
        RULES + '[[rules]]\nname = "client"\npriority = 9\nwhen = \'client is "192.0.2.0/24" and source is ""\'\nactions = [["Discard"]]\n'
    )
    (ruled / "Settings/enqueuer.toml").write_text(text)
    (found,) = json.loads(enqueuer("rules", "test", str(tmp_path / "7.msg"), "--json").stdout)
    (other,) = json.loads(enqueuer("rules", "test", str(tmp_path / "7.msg"), "--client", "198.51.100.1", "--json").stdout)

    assert (found["sender"], found["recipients"], found["outcomes"][0]["rule"]) == ("a@a.example", ["c@c.example"], "client")
    assert (other["sender"], other["recipients"], other["outcomes"][0]["outcome"]) == ("a@a.example", ["c@c.example"], "enqueued")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--verdict", "Nosuch=ok"], "write NAME=ANSWER; filters are: Judge"),
        (["--verdict", "Judge=maybe"], "is no answer: write ok, error"),
        (["--source", "friends"], "is neither trusted nor authenticated"),
        (["--at", "noon"], "write a duration"),
        (["--client", "x"], "an address is IPv4 or IPv6"),
        (["--to", "a\nb"], "an address has no < >"),
    ],
)
def test_a_wrong_option_is_one_line_and_64(enqueuer: Run, ruled: Path, file: str, words: list[str], error: str) -> None:
    done = enqueuer("rules", "test", file, *words)

    assert (done.returncode, done.stdout) == (64, b"")
    assert error in done.stderr.decode()


def test_no_program_of_a_config_file_that_others_may_write(enqueuer: Run, ruled: Path, file: str) -> None:
    (ruled / "Settings/enqueuer.toml").chmod(0o666)

    assert enqueuer("rules", "test", file).returncode == 78


@pytest.mark.parametrize("data", [b"", b"\n", b"P \n\n", b"\xff" * 1000, b"A: b\n" * 10_000, b"R <a\n\nx"])
def test_any_bytes_have_an_outcome(enqueuer: Run, ruled: Path, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "any").write_bytes(data)
    done = enqueuer("rules", "test", str(tmp_path / "any"), "--verdict", "Judge=ok", "--at", "12:00")

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"=> enqueued for recipient@example.org" in done.stdout
