"""Demands on what becomes of messages: each verdict, each kind of drop, byte for byte."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.control import client
from enqueuer.ipc.frames import LOOP_SAMPLE
from enqueuer.lab.trial import Trial
from enqueuer.manager.loops import LEAST, OFTEN, SURE
from enqueuer.queue.message import envelope
from tests.helpers.paths import HELPERS
from tests.helpers.trace import bare, traced, untraced

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]

MIRRORS = """
while read -r n verb rest; do
  case $verb in
    INTF) echo $n INTF 4 ;;
    FILE) echo $n $(seq -f "MIRRORTO $1-%g@c.example" 101) OK ;;
    *) echo $n OK ;;
  esac
done
"""


def _whole(path: Path) -> bytes:
    data = path.read_bytes()
    return data[envelope.head_end(data) :]


def _message(path: Path) -> bytes:
    """Return the output without the trace field: what came in, and what filters added."""
    return bare(_whole(path))


def _gone(trial: Trial) -> bool:
    """Nothing is in the queue any more, and nothing is left of it."""
    names = [name for folder in ("Submitted/.taken", "Queue", "Staged") for name in os.listdir(trial.base / folder)]
    return sorted(names) == [".format", ".ids"]


def test_each_verdict_has_its_outcome(trials: Trials, config: Config, mail: Make) -> None:
    """OK, FAILURE and an echo are enqueued, ADDHEADER with its fields on top, ERROR is in Quarantine, DISCARD is gone."""
    verdicts = {
        "ok": "0 OK",
        "failure": '0 FAILURE "no idea"',
        "header": '0 ADDHEADER "X-Spam: yes\\eX-Score: 7" OK',
        "error": '0 ERROR "a virus"',
        "discard": "0 DISCARD",
        "odd": "0 FILE Queue/1.msg",
    }
    with trials(config()) as trial:
        for name, judge in verdicts.items():
            trial.drop(name, mail(name, judge))
        trial.wait(
            lambda: sum(trial.status()["totals"][disposition] for disposition in ("enqueued", "quarantined", "discarded")) == 6,
            "all are decided",
        )
        totals = trial.status()["totals"]
        assert trial.status()["unaccounted"] == 0
        out = {_message(path) for path in trial.outbound()}
        (quarantined,) = (trial.base / "Quarantine").glob("*.msg")
        why = json.loads(quarantined.with_suffix(".why").read_text())
        trial.wait(lambda: _gone(trial), "nothing is left behind")

    assert (totals["received"], totals["enqueued"], totals["quarantined"], totals["discarded"]) == (6, 4, 1, 1)
    plain = {mail(name, verdicts[name]) for name in ("ok", "failure", "odd")}
    assert out == plain | {b"X-Spam: yes\nX-Score: 7\n" + mail("header", verdicts["header"])}
    assert _message(quarantined) == mail("error", verdicts["error"])
    assert (why["reason"], why["filter"], why["rule"]) == ("a virus", "Judge", "scan everything")
    assert "QUEUE([" in trial.log()
    assert "no idea" in trial.log()


def test_rejected_is_held_and_offered_again(trials: Trials, config: Config, mail: Make) -> None:
    """Nothing is sent to anybody; the message comes back after retry_after, and its drop does not stay."""
    with trials(config()) as trial:
        trial.drop("later", mail("later", '0 REJECTED "not now"'))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "it is deferred")
        trial.wait(lambda: not os.listdir(trial.base / "Submitted/.taken"), "its drop is gone")
        trial.wait(lambda: trial.status()["filters"][0]["answered"] >= 2, "it is asked again")
        (path,) = (trial.base / "Queue").glob("*.msg")
        assert _message(path) == mail("later", '0 REJECTED "not now"')

    assert trial.log().count("deferred: not now") == 1


def test_each_module_gets_its_recipients(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config()) as trial:
        trial.drop("two", mail("two", to="a@smtp.example, b@b.example, C@SMTP.example"))
        trial.wait(lambda: trial.status()["totals"]["enqueued"], "it is enqueued")
        (out,) = trial.outbound("OUT")
        (smtp,) = trial.outbound("SMTP")

    assert envelope.parse(out.read_bytes().partition(b"\n\n")[0]).recipients == (b"b@b.example",)
    assert envelope.parse(smtp.read_bytes().partition(b"\n\n")[0]).recipients == (b"a@smtp.example", b"C@SMTP.example")
    assert out.name == smtp.name


def _envelope(path: Path) -> tuple[bytes, ...]:
    """The recipients of an output, whose O line is true of it."""
    data = path.read_bytes()
    line = envelope.parse_o(data)
    end = envelope.head_end(data)
    assert line is not None
    rest = data[: line.offset] + data[line.offset + envelope.O_LENGTH :]
    assert envelope.Digest(rest).line() == envelope.o_line(line.length, line.digest)
    return envelope.parse(data[:end]).recipients


def test_recipients_that_a_filter_adds(trials: Trials, config: Config, mail: Make) -> None:
    """ADDROUTE: one recipient more, routed as any other; who is there already is not doubled."""
    added = "0 ADDROUTE new@smtp.example ADDROUTE more@b.example ADDROUTE bob@b.example OK"
    with trials(config()) as trial:
        trial.drop("one", mail("one", added))
        trial.wait(lambda: trial.status()["totals"]["enqueued"], "it is enqueued")
        (out,) = trial.outbound("OUT")
        (smtp,) = trial.outbound("SMTP")

    assert (_envelope(out), _envelope(smtp)) == ((b"bob@b.example", b"more@b.example"), (b"new@smtp.example",))
    assert _message(out) == _message(smtp) == mail("one", added)


def test_recipients_that_a_filter_adds_to_one_module(trials: Trials, config: Config, mail: Make) -> None:
    """The queue file is never linked where the envelope differs."""
    with trials(config()) as trial:
        trial.drop("one", mail("one", "0 ADDROUTE more@b.example OK"))
        trial.wait(lambda: trial.status()["totals"]["enqueued"], "it is enqueued")
        (out,) = trial.outbound("OUT")

    assert _envelope(out) == (b"bob@b.example", b"more@b.example")


def test_copies_that_a_filter_wants(trials: Trials, config: Config, mail: Make) -> None:
    """MIRRORTO: a file of its own for each address, by its own route, with a trace; the message itself goes as it would without."""
    judge = '0 MIRRORTO copy@smtp.example MIRRORTO bob@b.example ADDHEADER "X-A: b" MIRRORTO copy@smtp.example OK'
    with trials(config()) as trial:
        trial.drop("one", mail("one", judge))
        trial.wait(lambda: trial.status()["totals"]["enqueued"], "it is enqueued")
        outbound = {path.name.partition("-")[2]: path for path in trial.outbound("OUT")}
        (smtp,) = trial.outbound("SMTP")
        trial.wait(lambda: "enqueued: OUT(1), SMTP(copy), OUT(copy)" in trial.log(), "the log tells")
        totals = trial.status()["totals"]
        assert not list((trial.base / "Staged").iterdir())

    assert sorted(outbound) == ["", "2.msg"]
    assert [_envelope(path) for path in (outbound[""], outbound["2.msg"], smtp)] == [
        (b"bob@b.example",),
        (b"bob@b.example",),
        (b"copy@smtp.example",),
    ]
    assert _message(outbound[""]) == b"X-A: b\n" + mail("one", judge)
    assert _message(smtp) == _message(outbound["2.msg"]) == b"X-Enqueuer-Trace: Judge\nX-A: b\n" + mail("one", judge)
    assert (totals["received"], totals["enqueued"]) == (1, 1)


def test_copies_that_are_left_out_are_told(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """A message has a thousand copies at the most, an answer adds a hundred: how many are missing, of which message, by whose wish."""
    script = tmp_path / "mirrors"
    script.write_text(MIRRORS)
    tables = [f'[[filters]]\nname = "F{n}"\nprogram = "sh {script} {n}"\n' for n in range(12)]
    rule = f'[[rules]]\nname = "copies"\nactions = [{", ".join(f"""["ExternalFilter", "F{n}"]""" for n in range(12))}]\n'
    with trials(config(more="".join(tables) + rule)) as trial:
        trial.drop("one", mail("one"))
        trial.wait(lambda: trial.status()["totals"]["enqueued"], "it is enqueued")
        (id,) = (path.stem for path in trial.outbound() if "-" not in path.name)
        assert len(trial.outbound()) == 1 + 1000
        trial.wait(lambda: "are left out" in trial.log(), "it is told")
        log = trial.log()

    assert f"QUEUE([{id}]) 200 of 1200 copies that filters want are left out (F1, F0): at most 1000 are made" in log
    assert f"EXTFILTER(F11) message {id}: 1 recipients and copies refused: an answer adds at most 100" in log


def test_what_is_not_enqueued_is_not_copied(trials: Trials, config: Config, mail: Make) -> None:
    """A later filter keeps it: nobody gets it."""
    second = """
[[filters]]
name = "Second"
program = "sh -c 'while read -r n verb rest; do case $verb in INTF) echo $n INTF 4;; FILE) echo $n ERROR no;; *) echo $n OK;; esac; done'"
[[rules]]
name = "second"
priority = 1
actions = [["ExternalFilter", "Second"]]
"""
    with trials(config(more=second)) as trial:
        trial.drop("one", mail("one", "0 MIRRORTO copy@smtp.example OK"))
        trial.wait(lambda: trial.status()["totals"]["quarantined"], "it is kept")
        assert not trial.outbound("OUT") + trial.outbound("SMTP")


def test_no_recipient_goes_back_to_its_writer(trials: Trials, config: Config) -> None:
    with trials(config()) as trial:
        trial.drop("nobody", b"Subject: nobody\n\ntext\n")
        trial.wait(lambda: trial.status()["totals"]["refused"], "it is refused")
        trial.wait(lambda: _gone(trial), "nothing is left behind")

        assert (trial.base / "Submitted/nobody.bad").read_bytes() == b"Subject: nobody\n\ntext\n"
        assert "no recipient" in json.loads((trial.base / "Submitted/nobody.bad.why").read_text())["reason"]
        assert trial.status()["totals"]["received"] == 0


def test_a_plain_copy_and_a_slow_writer(trials: Trials, config: Config, mail: Make) -> None:
    """`cp` is taken when it is complete, never half: the writer holds the file open."""
    with trials(config()) as trial:
        with (trial.base / "Submitted/slow.eml").open("wb") as file:
            file.write(mail("slow"))
            file.flush()
            trial.drop("quick", mail("quick"))
            trial.wait(lambda: len(trial.outbound()) == 1, "the other goes on")
            file.write(b"the end\n")
        trial.wait(lambda: len(trial.outbound()) == 2, "the slow one follows")

        assert mail("slow") + b"the end\n" in [_message(path) for path in trial.outbound()]


def test_large_messages_come_through(trials: Trials, config: Config, mail: Make) -> None:
    """100 MB, by a hard link where nothing is added and by a copy where something is."""
    with trials(config()) as trial:
        for name, judge in (("plain", "0 OK"), ("more", '0 ADDHEADER "X-A: b"')):
            trial.drop(name, mail(name, judge, size=100 << 20))
        trial.wait(lambda: len(trial.outbound()) == 2, "both are enqueued", 60)

        sizes = sorted(len(_message(path)) for path in trial.outbound())
    assert sizes == sorted([len(mail("plain", "0 OK", size=100 << 20)), len(mail("more", '0 ADDHEADER "X-A: b"', size=100 << 20)) + 7])


def test_a_message_that_goes_in_circles_ends_in_bad(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """A filter that discards each message and submits it anew: it is found by its traces, and named."""
    script = tmp_path / "around.sh"
    submit = f"{sys.executable} -m enqueuer.cli.app submit --base . bob@b.example"
    script.write_text(
        f"""
        while read -r n verb file; do
          case $verb in
            INTF) echo "$n INTF 4" ;;
            FILE) sed '1,/^$/d' "$file" | {submit} > /dev/null; echo "$n DISCARD" ;;
            *) echo "$n OK" ;;
          esac
        done
        """
    )
    with trials(config(engine="max_hops = 3", judge=f"sh {script}")) as trial:
        trial.drop("around", mail("around"))
        trial.wait(lambda: trial.status()["totals"]["bad"] == 1 and trial.status()["totals"]["discarded"] == 4, "it is found", 30)
        (why,) = (trial.base / "Bad").glob("*.why")
        (bad,) = (trial.base / "Bad").glob("*.msg")
        totals = trial.status()["totals"]

    assert (totals["received"], totals["discarded"], totals["enqueued"]) == (5, 4, 0)
    assert json.loads(why.read_text())["filter"] == "Judge"
    assert "hops, filter Judge submitted it last" in trial.log()
    assert _message(bad).count(b"X-Enqueuer-Trace: Judge\n") == 4


def test_a_filter_that_writes_files_around_is_found(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """Each copy is larger than the last, and has neither a Received nor a field of ours; other mail goes on, discarded or not."""
    script = tmp_path / "around.sh"
    script.write_text(
        """
        while read -r n verb file; do
          case $verb in
            INTF) echo "$n INTF 4" ;;
            FILE)
              if grep -q "Subject: spam" "$file"; then
                echo "$n DISCARD"
              elif grep -q "Subject: around" "$file"; then
                { echo "X-Signed: again"; sed '1,/^$/d' "$file"; } > Submitted/$n.tmp
                mv Submitted/$n.tmp Submitted/$n.sub
                echo "$n DISCARD"
              else
                echo "$n OK"
              fi ;;
            *) echo "$n OK" ;;
          esac
        done
        """
    )
    with trials(config(engine="max_hops = 3", judge=f"sh {script}")) as trial:
        trial.drop("around", mail("around"))
        trial.wait(lambda: trial.status()["totals"]["bad"] == 1, "it is found", 30)
        (why,) = (trial.base / "Bad").glob("*.why")
        (bad,) = (trial.base / "Bad").glob("*.msg")
        for n in range(10):
            trial.drop(f"spam{n}", mail("spam"))
        trial.drop("good", mail("good"))
        trial.wait(lambda: trial.status()["totals"]["enqueued"] == 1, "other mail passes")
        trial.wait(lambda: trial.status()["totals"]["discarded"] >= LEAST + 11, "what is spam is discarded")
        totals = trial.status()["totals"]

    found = json.loads(why.read_text())
    assert (totals["bad"], totals["enqueued"]) == (1, 1)
    assert LEAST < totals["discarded"] - 10 <= 4 * LEAST  # the row breaks where the machine stands still for a moment
    assert (found["filter"], "mail loop: filter Judge" in found["reason"]) == ("Judge", True)
    assert "mail loop: filter Judge discards this message and submits it again" in trial.log()
    assert _message(bad).count(b"X-Signed: again") == totals["discarded"] - 10


AROUND = HELPERS / "around.py"


@pytest.mark.parametrize(("way", "rounds"), [("id", SURE), ("to", SURE), ("error", LEAST), ("ok", LOOP_SAMPLE * (OFTEN - 1) + SURE)])
def test_whatever_stays_the_same_in_copies_is_enough(trials: Trials, config: Config, mail: Make, way: str, rounds: int) -> None:
    """Other Message-IDs or other recipients each time, refused or let pass besides: the loop ends, and other mail goes on."""
    with trials(config(engine="max_hops = 3", judge=f"{sys.executable} {AROUND} {way}")) as trial:
        trial.drop("around", b"X-Around: 1\n" + mail("around"))
        trial.wait(lambda: trial.status()["totals"]["bad"] == 1, "it is found", 60)
        trial.drop("good", mail("good", to="good@smtp.example"))
        trial.wait(lambda: trial.outbound("SMTP"), "other mail passes")
        trial.wait(lambda: _gone(trial), "nothing goes around any more")
        totals = trial.status()["totals"]

    # at most: rows break where processors overtake each other
    assert rounds < totals["discarded"] + totals["quarantined"] + totals["enqueued"] < 10 * rounds
    assert totals["bad"] == 1
    assert "mail loop: filter Judge" in trial.log()


def test_what_is_held_and_goes_around_is_found(trials: Trials, config: Config, mail: Make) -> None:
    """All copies that are deferred end in Bad/, when they are offered again, and make no further ones."""
    text = config(engine="max_hops = 3", judge=f"{sys.executable} {AROUND} deferred").replace('retry_after = "1s"', 'retry_after = "4s"')
    with trials(text) as trial:
        trial.drop("around", b"X-Around: 1\n" + mail("around"))
        trial.wait(lambda: trial.status()["totals"]["bad"] > SURE, "they are found", 60)
        trial.wait(lambda: _gone(trial), "nothing goes around any more")
        totals = trial.status()["totals"]
        log = trial.log()

    assert (totals["bad"], totals["received"] < 10 * SURE) == (totals["received"], True)
    assert "mail loop: filter Judge submits this message again each time" in log


def test_stations_on_the_way_are_counted(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config(engine="max_hops = 20")) as trial:
        for name, count in (("many", 21), ("few", 20)):
            trial.drop(name, b"Received: from a by b\n\tfor c\n" * count + mail(name))
        trial.wait(lambda: trial.status()["totals"]["bad"] == 1 and trial.status()["totals"]["enqueued"] == 1, "both are decided")
        (bad,) = (trial.base / "Bad").glob("*.msg")

    assert _message(bad).startswith(b"Received: from a by b\n\tfor c\n" * 21)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_field_is_on_top_of_all_others(trials: Trials, config: Config, mail: Make, end: bytes) -> None:
    """Above what filters add, in the line ends of the message; every other byte is the one that came in."""
    data = mail("one", '0 ADDHEADER "X-Added: yes" OK').replace(b"\n", end)
    with trials(config()) as trial:
        trial.drop("one", data)
        trial.wait(trial.outbound, "it is enqueued")
        (path,) = trial.outbound()
        found = _whole(path)

    assert traced(found, int(path.stem)) == b"X-Added: yes" + end + data
    assert found.count(b"(Enqueuer)") == 1
    assert (b"\r" in found) is (end == b"\r\n")


def test_each_output_has_it(trials: Trials, config: Config, mail: Make) -> None:
    data = mail("one", "0 MIRRORTO carl@c.example OK", to="bob@b.example, eve@smtp.example")
    with trials(config()) as trial:
        trial.drop("one", data)
        trial.wait(lambda: len(trial.outbound()) == 2 and trial.outbound("SMTP"), "it is enqueued")
        paths = [*trial.outbound(), *trial.outbound("SMTP")]
        found = {path.parent.name + path.stem.partition("-")[2]: _whole(path) for path in paths}

    assert untraced(found["OUT"]) == untraced(found["SMTP"]) == data
    assert untraced(found["OUT2"]) == b"X-Enqueuer-Trace: Judge\n" + data


def test_it_can_be_switched_off_and_on(trials: Trials, config: Config, mail: Make) -> None:
    off = config().replace("trace_field = true", "trace_field = false")
    with trials(off) as trial:
        trial.drop("off", mail("off"))
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")
        assert _whole(trial.outbound()[0]) == mail("off")
        trial.configure(off.replace("trace_field = false", "trace_field = true"))
        trial.wait(lambda: client.ask(trial.base, {"command": "reload"}, 20)["ok"], "it is active")
        trial.drop("on", mail("on"))
        trial.wait(lambda: len(trial.outbound()) == 2, "it is enqueued")
        assert untraced(_whole(max(trial.outbound()))) == mail("on")


def test_a_released_message_has_it_once(trials: Trials, config: Config, mail: Make) -> None:
    """A message in Quarantine has no trace field."""
    data = mail("caught", '0 ERROR "a virus"')
    with trials(config()) as trial:
        trial.drop("caught", data)
        trial.wait(lambda: trial.status()["totals"]["quarantined"] == 1, "it is quarantined")
        (kept,) = (trial.base / "Quarantine").glob("*.msg")
        assert _whole(kept) == data
        assert client.ask(trial.base, {"command": "release", "id": int(kept.stem)})["ok"]
        trial.wait(trial.outbound, "it is enqueued")
        assert traced(_whole(trial.outbound()[0]), int(kept.stem)) == data


def test_what_comes_back_from_outbound_is_stopped(trials: Trials, config: Config, mail: Make) -> None:
    """A script that drops all output again makes a loop. Each round leaves a field, and these are counted as hops."""
    with trials(config(engine="max_hops = 5")) as trial:
        trial.drop("one", b"Received: from a by b; date\n" + mail("one"))
        rounds = 0
        while True:
            trial.wait(lambda: trial.outbound() or trial.status()["totals"]["bad"], "it is out, or stopped")
            if not (found := trial.outbound()):
                break
            rounds += 1
            trial.drop(f"again{rounds}", _whole(found[0]))
            found[0].unlink()
        (bad,) = (trial.base / "Bad").glob("*.msg")

    assert rounds == 5
    assert len(re.findall(rb"^Received: by .* \(Enqueuer\)", _whole(bad), re.MULTILINE)) == 5
