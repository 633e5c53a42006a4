"""Demands on release, retry and delete: back into the queue with the same id, once, and the sums agree."""

import contextlib
import json
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from enqueuer import exits
from enqueuer.lab.trial import Trial
from enqueuer.queue.message import envelope
from tests.helpers.paths import HELPERS
from tests.helpers.trace import bare

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
SECOND = """
[[filters]]
name = "Second"
program = "{judge} 0.05"
[[rules]]
name = "second"
priority = 1
actions = [["ExternalFilter", "Second"]]
"""


def _enqueuer(trial: Trial, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "enqueuer.cli.app", *words, "--base", str(trial.base)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _message(path: Path) -> bytes:
    data = path.read_bytes()
    return bare(data[envelope.head_end(data) :])


def _sealed(data: bytes) -> bytes:
    """Give a message file that was changed the O line that fits it."""
    line = envelope.parse_o(data)
    assert line is not None
    above = data[: line.offset]
    below = data[line.offset + envelope.O_LENGTH :]
    return above + envelope.Digest(above, below).line() + below


@contextlib.contextmanager
def _asked(trial: Trial, request: dict[str, object]) -> "Iterator[BinaryIO]":
    """The answer to a control request, to be read when it comes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(trial.base / "Run/control.sock"))
        sock.sendall(json.dumps(request).encode() + b"\n")
        with sock.makefile("rb") as answer:
            yield answer


def _quarantined(trial: Trial, data: bytes) -> Path:
    trial.drop("caught", data)
    trial.wait(lambda: trial.status()["totals"]["quarantined"] == 1, "it is quarantined")
    (path,) = (trial.base / "Quarantine").glob("*.msg")
    return path


def test_release_goes_on_after_the_action_of_a_rule(trials: Trials, config: Config, mail: Make) -> None:
    """The reason has the words of the action. What follows it in the file's order is tried."""
    with trials(config()) as trial:
        path = _quarantined(trial, mail("caught", '0 ERROR "a virus"'))
        path.with_suffix(".why").write_text(json.dumps({"rule": "scan everything", "action": ["ExternalFilter", "x"], "filter": None}))
        done = _enqueuer(trial, "quarantine", "release", path.stem)

        assert done.stdout == f'{path.stem} released: goes on after "ExternalFilter" in rule "scan everything"\n', done.stderr


def test_release_goes_on_after_the_rule_that_kept_it(trials: Trials, config: Config, mail: Make) -> None:
    """The filter that said ERROR is not asked again, a later rule's is; the message is what lay in Quarantine."""
    text = config(more=SECOND.format(judge=sys.executable + " " + str(HELPERS / "judge.py")))
    data = mail("caught", '0 ERROR "a virus"')
    with trials(text) as trial:
        path = _quarantined(trial, data)
        # the second filter reads the same line, so it would catch it again: what it judges is the file as it lies there
        path.write_bytes(path.read_bytes().replace(b"0 ERROR", b"0 OK   "))
        done = _enqueuer(trial, "quarantine", "release", path.stem)
        assert (done.returncode, done.stderr) == (0, "")
        assert 'after filter "Judge" in rule "scan everything"' in done.stdout
        trial.wait(trial.outbound, "it is enqueued")
        trial.wait(lambda: not (trial.base / "Quarantine" / f"{path.stem}.why").exists(), "its reason is gone")
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 1, "it is counted")
        trial.wait(lambda: [each["answered"] for each in trial.status()["filters"]] == [1, 1], "each filter was asked once")
        totals = trial.status()["totals"]
        (out,) = trial.outbound()

    assert out.stem == path.stem
    assert (totals["received"], totals["returned"], totals["enqueued"], totals["quarantined"]) == (1, 1, 1, 1)
    assert _message(out) == data.replace(b"0 ERROR", b"0 OK   ")


def test_release_goes_on_with_the_rest_of_the_rule(trials: Trials, config: Config, mail: Make) -> None:
    """The rule that kept it asks two filters: the second one must see the message before it goes anywhere."""
    judge = sys.executable + " " + str(HELPERS / "judge.py")
    text = config(more=SECOND.format(judge=judge)).replace(
        '["ExternalFilter", "Judge"]', '["ExternalFilter", "Judge"], ["ExternalFilter", "Second"]'
    )
    with trials(text.replace("priority = 1", "priority = 0")) as trial:
        path = _quarantined(trial, mail("caught", '0 ERROR "a virus"'))
        assert _enqueuer(trial, "quarantine", "release", path.stem).returncode == 0
        trial.wait(lambda: trial.status()["totals"]["quarantined"] == 2, "the second filter keeps it, too")
        assert not trial.outbound()
        assert _enqueuer(trial, "quarantine", "release", path.stem).returncode == 0
        trial.wait(trial.outbound, "both filters have kept it, and it was released twice: it is enqueued")
        assert [each["answered"] for each in trial.status()["filters"]] == [1, 1]


def test_a_released_message_outlives_a_restart(trials: Trials, config: Config, mail: Make) -> None:
    """Killed right after the release, the next engine goes on after the same rule."""
    with trials(config(processors=1)) as trial:
        path = _quarantined(trial, mail("caught", '0 ERROR "a virus"'))
        trial.drop("slow", mail("slow", "30 OK"))
        trial.wait(lambda: trial.status()["processors"]["busy"] == 1, "the one processor is busy")
        assert _enqueuer(trial, "quarantine", "release", path.stem).returncode == 0
        trial.kill()
        trial.configure(config(processors=4))
        trial.start()
        trial.wait(lambda: [each.stem for each in trial.outbound()] == [path.stem], "it is enqueued")


@pytest.mark.parametrize(
    ("why", "text"),
    [
        (b"[" * 100_000, "it is scanned again"),
        (b'{"rule": "\\udc80", "filter": "Judge"}', "it is scanned again"),
        (b'{"rule": "scan everything", "filter": "Judge"' + b" " * (1 << 20) + b"}", "it is scanned again"),
        (b'{"rule": "%b", "filter": "Judge"}' % (b"r" * 500_000), 'goes on after filter "Judge" in rule "rrr'),
    ],
    ids=["brackets", "surrogate", "length", "name"],
)
def test_a_broken_reason_costs_only_itself(trials: Trials, config: Config, mail: Make, why: bytes, text: str) -> None:
    """The message is released; without a mark it is scanned again. The queue manager lives on, and reads no more than 1 MiB."""
    with trials(config()) as trial:
        path = _quarantined(trial, mail("caught", '0 ERROR "a virus"'))
        managers = trial.pids("queue manager")
        path.with_suffix(".why").write_bytes(why)
        done = _enqueuer(trial, "quarantine", "release", path.stem)

        assert (done.returncode, done.stderr) == (0, "")
        assert text in done.stdout
        assert len(done.stdout) < 1000
        trial.wait(lambda: trial.status()["totals"]["returned"] == 1, "it is back")
        assert trial.pids("queue manager") == managers


def test_delete_removes_message_and_reason(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config()) as trial:
        path = _quarantined(trial, mail("caught", '0 ERROR "a virus"'))
        done = _enqueuer(trial, "quarantine", "delete", path.stem, "--json")

        assert json.loads(done.stdout)["ok"] is True
        assert list((trial.base / "Quarantine").iterdir()) == []
        again = _enqueuer(trial, "quarantine", "delete", path.stem)
        assert again.returncode == exits.NOINPUT
        assert "holds no message" in again.stderr
        assert trial.status()["totals"]["quarantined"] == 1


def test_retry_brings_everything_back_from_bad(trials: Trials, config: Config, mail: Make) -> None:
    """One by its id, the rest by --all; each is judged anew, with no attempts to its name."""
    with trials(config(engine="max_attempts = 1", filter='timeout = "400ms"')) as trial:
        for n in range(3):
            trial.drop(f"slow{n}", mail(f"slow{n}", "60 OK"))
        count = 0
        while trial.status()["totals"]["bad"] < 3:
            count += 1
            trial.drop(f"quick{count}", mail(f"quick{count}", "0.02 OK"))
            trial.wait(lambda: len(trial.outbound()) == count, f"quick ones pass, {count}")  # noqa: B023
            assert count < 500
        bad = sorted((trial.base / "Bad").glob("*.msg"))
        for path in bad:  # the sender has sent it again, so to say: now it is quick
            path.write_bytes(_sealed(path.read_bytes().replace(b"60 OK", b"0. OK")))
        assert _enqueuer(trial, "queue", "retry", bad[0].stem).returncode == 0
        done = _enqueuer(trial, "queue", "retry", "--all")
        assert "2 messages are scanned again" in done.stdout
        trial.wait(lambda: len(trial.outbound()) == count + 3, "all are enqueued")
        totals = trial.status()["totals"]

    assert list((trial.base / "Bad").iterdir()) == []
    assert (totals["returned"], totals["bad"], totals["received"]) == (3, 3, count + 3)


def test_retry_of_thousands_keeps_nothing_else_waiting(trials: Trials, config: Config, mail: Make) -> None:
    """A question that comes after the order is answered before it is carried out; then all messages have come back, once."""
    with trials(config()) as trial:
        path = _quarantined(trial, mail("caught", '0 ERROR "a virus"'))
        clean = _sealed(path.read_bytes().replace(b"0 ERROR", b"0 OK   "))
        count = 3000
        for n in range(count):
            (trial.base / "Bad" / f"{int(path.stem) + 1 + n}.msg").write_bytes(clean)
        with _asked(trial, {"command": "retry", "id": 0}) as order, _asked(trial, {"command": "where", "id": 1}) as question:
            assert json.loads(question.read())["ok"]
            assert not select.select([order], [], [], 0)[0], "the order is carried out in slices"
            assert json.loads(order.read()) == {"ok": True, "text": f"{count} messages are scanned again"}
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == count, "all are enqueued", 60)
        assert (trial.status()["totals"]["returned"], len(trial.outbound())) == (count, count)


def _in_bad(trial: Trial, data: bytes, count: int) -> list[Path]:
    """Put whole messages into Bad/, as a quarantined one is, each with a reason."""
    path = _quarantined(trial, data)
    clean = _sealed(path.read_bytes().replace(b"0 ERROR", b"0 OK   "))
    found = [trial.base / "Bad" / f"{int(path.stem) + 1 + n}.msg" for n in range(count)]
    for each in found:
        each.write_bytes(clean)
        each.with_suffix(".why").write_text('{"reason": "given up"}')
    return found


@pytest.mark.parametrize("command", ["queue", "bad"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_message_that_is_not_whole_stays_in_bad(trials: Trials, config: Config, mail: Make, command: str, damage: str) -> None:
    """A power cut may have left half of a message, or zeros in it. retry refuses it with a reason, alone and among others."""
    with trials(config()) as trial:
        half, other = _in_bad(trial, mail("caught", '0 ERROR "a virus"'), 2)
        data = half.read_bytes()
        half.write_bytes(data[:-5] if damage == "cut" else data[:-5] + bytes(5))
        alone = _enqueuer(trial, command, "retry", half.stem)
        all = _enqueuer(trial, command, "retry", "--all")
        trial.wait(lambda: [each.stem for each in trial.outbound()] == [other.stem], "the whole one is enqueued")

        assert (alone.returncode, all.returncode) == (exits.NOINPUT, exits.NOINPUT)
        assert f"Bad/{half.name} is not whole" in alone.stderr
        assert all.stderr.startswith("enqueuer: 1 message is scanned again; Bad/")
        assert half.exists()
        assert half.with_suffix(".why").exists()
        assert trial.status()["totals"]["returned"] == 1


def test_bad_lists_shows_retries_and_deletes(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config()) as trial:
        first, second, third, last = _in_bad(trial, mail("caught", '0 ERROR "a virus"'), 4)
        listed = json.loads(_enqueuer(trial, "bad", "list", "--json").stdout)
        assert [(each["id"], each["state"], each["why"]["reason"]) for each in listed] == [
            (int(path.stem), "bad", "given up") for path in (first, second, third, last)
        ]
        assert "reason: given up" in _enqueuer(trial, "bad", "show", first.stem).stdout
        done = _enqueuer(trial, "bad", "retry", first.stem)
        assert (done.returncode, done.stdout) == (0, f"{first.stem} retried: it is scanned again\n")
        trial.wait(lambda: [each.stem for each in trial.outbound()] == [first.stem], "it is enqueued")
        done = _enqueuer(trial, "bad", "delete", f"Bad/{second.name}", "--json")
        assert json.loads(done.stdout) == {"ok": True, "text": f"{second.stem} deleted"}
        assert sorted(each.name for each in (trial.base / "Bad").iterdir()) == sorted(
            f"{path.stem}{suffix}" for path in (third, last) for suffix in (".msg", ".why")
        )
        assert _enqueuer(trial, "bad", "delete", "--all").stdout == "2 deleted\n"
        assert not list((trial.base / "Bad").iterdir())
        assert _enqueuer(trial, "bad", "delete", last.stem).returncode == exits.NOINPUT
        assert _enqueuer(trial, "bad", "delete").returncode == exits.USAGE
        assert len(list((trial.base / "Quarantine").glob("*.msg"))) == 1
        assert f"QUEUE([{second.stem}]) deleted from Bad" in trial.log()


def test_retry_of_bad_leaves_deferred_mail_alone(trials: Trials, config: Config, mail: Make) -> None:
    """`queue retry` takes a deferred message; `bad retry` takes only messages in Bad/."""
    with trials(config().replace('retry_after = "1s"', "")) as trial:
        trial.drop("later", mail("later", '0 REJECTED "not now"'))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "it is deferred")
        (path,) = (trial.base / "Queue").glob("*.msg")
        done = _enqueuer(trial, "bad", "retry", path.stem)

        assert (done.returncode, done.stderr) == (exits.NOINPUT, f"enqueuer: Bad holds no message {path.stem}\n")
        assert trial.status()["filters"][0]["answered"] == 1


def test_retry_offers_a_held_message_at_once(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config().replace('retry_after = "1s"', "")) as trial:
        trial.drop("later", mail("later", '0 REJECTED "not now"'))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "it is deferred")
        (path,) = (trial.base / "Queue").glob("*.msg")
        assert _enqueuer(trial, "queue", "retry", path.stem).returncode == 0
        trial.wait(lambda: trial.status()["filters"][0]["answered"] == 2, "it was asked again")


def test_orders_need_an_engine_and_a_message(trials: Trials, config: Config) -> None:
    trial = trials(config())
    assert _enqueuer(trial, "quarantine", "release", "17").returncode == exits.UNAVAILABLE
    with trial:
        assert _enqueuer(trial, "quarantine", "release", "17").returncode == exits.NOINPUT
        assert _enqueuer(trial, "queue", "retry").returncode == exits.USAGE


def test_retry_of_all_and_of_one_filter_means_deferred_mail_too(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """The helper refuses each message once, and passes it at the second try."""
    judge = f"{sys.executable} {HELPERS / 'judge.py'} 0 {tmp_path}"
    text = config(judge=judge, engine="max_attempts = 2").replace('retry_after = "1s"', 'retry_after = "1h"')
    with trials(text) as trial:
        for name in ("1", "2", "3"):
            trial.drop(name, mail(name, "0 once OK"))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 3, "all are deferred")
        assert trial.status()["queue"]["oldest_deferred_s"] >= 0
        none = _enqueuer(trial, "queue", "retry", "--filter", "Other")
        assert trial.status()["queue"]["deferred"] == 3
        done = _enqueuer(trial, "queue", "retry", "--filter", "Judge")
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 3, "all are enqueued")
        for name in ("4", "5"):
            trial.drop(name, mail(name, "0 once OK"))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 2, "these are deferred, too")
        again = _enqueuer(trial, "queue", "retry", "--all")
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 5, "all are enqueued")
        assert trial.status()["queue"]["oldest_deferred_s"] is None

    assert [each.stdout for each in (none, done, again)] == [f"{count} messages are scanned again\n" for count in (0, 3, 2)]


@pytest.mark.parametrize("words", [("queue", "retry"), ("queue", "retry", "--all", "--filter", "A"), ("queue", "retry", "1", "--all")])
def test_retry_wants_one_of_its_three_forms(trials: Trials, config: Config, words: tuple[str, ...]) -> None:
    with trials(config()) as trial:
        done = _enqueuer(trial, *words)
    assert (done.returncode, done.stdout) == (exits.USAGE, "")
    assert "--filter NAME" in done.stderr


def test_status_list_and_show_use_one_word(trials: Trials, config: Config, mail: Make) -> None:
    """One slot: the first message is active, the second parked. The files alone would show both as active."""
    with trials(config(slots=1)) as trial:
        for name in ("1", "2"):
            trial.drop(name, mail(name, "30 OK"))
        trial.wait(lambda: (trial.status()["queue"]["active"], trial.status()["queue"]["parked"]) == (1, 1), "one is parked")
        listed = json.loads(_enqueuer(trial, "queue", "list", "--json").stdout)
        shown = [json.loads(_enqueuer(trial, "queue", "show", str(each["id"]), "--json").stdout) for each in listed]

    assert sorted(each["state"] for each in listed) == ["active", "parked"]
    assert [each["now"]["state"] for each in shown] == [each["state"] for each in listed]
    assert [each["state"] for each in shown] == [each["state"] for each in listed]
