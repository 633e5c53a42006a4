import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from enqueuer import basedir
from enqueuer.cli._demoview import DemoView
from enqueuer.lab.demo import DemoListener, DemoResult, SampleEnd, collect, compare, drop, run
from enqueuer.lab.samples import SampleMessage, samples

PLAIN = SampleMessage("plain", b"To: a@b.c\nMessage-ID: <demo.plain@example.org>\n\nhello\n", "enqueued", "a plain one")
VIRUS = SampleMessage("virus", b"To: a@b.c\nMessage-ID: <demo.virus@example.org>\n\nvirus\n", "quarantined", "a bad one")
NOBODY = SampleMessage("nobody", b"Message-ID: <demo.nobody@example.org>\n\nx\n", "refused", "for nobody")
ALL = [PLAIN, VIRUS, NOBODY]
DOCUMENT = {
    "totals": {"enqueued": 1, "discarded": 0, "quarantined": 1, "rejected": 0, "bad": 0, "refused": 1},
    "processors": {
        "running": 2,
        "tasks": [
            {"id": 1, "state": "idle", "since_s": 1.0, "message": None, "filter": None},
            {"id": 2, "state": "filter", "since_s": 0.2, "message": "17", "filter": "VirusScan"},
        ],
    },
    "spool": {"waiting": 4},
    "queue": {"waiting": 5, "deferred": 0},
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base directory in which the three samples have got where they should."""
    base = tmp_path / "spool"
    basedir.create(base)
    envelope = b"P I 01-01-2026 00:00:00 0000 ____ ____ <>\n\n"
    (base / "Outbound" / "OUT").mkdir(exist_ok=True)
    (base / "Outbound" / "OUT" / "1.msg").write_bytes(envelope + PLAIN.data)
    (base / "Quarantine" / "2.msg").write_bytes(envelope + VIRUS.data)
    (base / "Quarantine" / "2.why").write_text(json.dumps({"reason": "a virus"}))
    (base / "Submitted" / "nobody.bad").write_bytes(NOBODY.data)
    (base / "Submitted" / "nobody.bad.why").write_text(json.dumps({"reason": "no recipient"}))
    lines = [f"10:00:00.00{id} 2 QUEUE([{id}]) from <>, 9 bytes, {name}.eml\n" for id, name in enumerate(("plain", "virus", "plain"), 1)]
    (base / "SystemLogs" / "2026-01-01.log").write_text("".join(lines))
    return base


def wrong(base: Path) -> list[str]:
    return [result.wrong for result in compare(ALL, collect(base))]


def test_messages_are_dropped_under_their_name(base: Path) -> None:
    """Whole, and with nothing else left in the folder."""
    drop(base, [PLAIN])

    assert (base / "Submitted" / "plain.eml").read_bytes() == PLAIN.data
    assert not list((base / "Submitted").glob("*.tmp"))


def test_each_fate_is_found_with_its_reason(base: Path) -> None:
    """By the name under which its id came, wherever the message is."""
    found = collect(base)

    assert found["plain"] == [SampleEnd("enqueued", base / "Outbound" / "OUT" / "1.msg")]
    assert found["virus"] == [SampleEnd("quarantined", base / "Quarantine" / "2.msg", "a virus")]
    assert found["nobody"] == [SampleEnd("refused", base / "Submitted" / "nobody.bad", "no recipient")]
    assert wrong(base) == ["", "", ""]


def test_a_lost_message_is_wrong(base: Path) -> None:
    """Nothing may vanish."""
    (base / "Outbound" / "OUT" / "1.msg").unlink()

    assert wrong(base) == ["lost, or not done in time", "", ""]


def test_a_doubled_message_is_wrong(base: Path) -> None:
    """Each comes out once."""
    (base / "Outbound" / "OUT" / "3.msg").write_bytes(PLAIN.data)

    assert wrong(base) == ["came out 2 times", "", ""]


def test_another_fate_is_wrong(base: Path) -> None:
    """Also the better one."""
    (base / "Quarantine" / "2.msg").rename(base / "Outbound" / "OUT" / "2.msg")

    assert wrong(base) == ["", "should have been quarantined", ""]


def test_a_changed_text_is_wrong(base: Path) -> None:
    """What comes out is what came in."""
    path = base / "Outbound" / "OUT" / "1.msg"
    path.write_bytes(path.read_bytes() + b"more")

    assert wrong(base) == ["its text was changed", "", ""]


def test_a_missing_reason_is_wrong(base: Path) -> None:
    """Whoever keeps a message says why."""
    (base / "Quarantine" / "2.why").write_text("{")

    assert wrong(base) == ["", "no reason is given", ""]


def show(base: Path, terminal: bool) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100, highlight=False, _environ={"TERM": "xterm"})
    with DemoView(3, console) as view:
        view.status(DOCUMENT)
        view.done(compare(ALL, collect(base)), 0.5, DOCUMENT)
    return output.getvalue()


def test_a_pipe_gets_plain_lines(base: Path) -> None:
    """A line a message, then the sum; nothing of the live table, no colours."""
    lines = show(base, terminal=False).splitlines()

    assert lines[1].split() == ["ok", "plain", "54", "enqueued", "a", "plain", "one"]
    assert lines[2].split() == ["ok", "virus", "54", "quarantined", "a", "virus"]
    assert lines[5:] == [
        "3 messages, 149 bytes, in 0.5 s with 2 processors: 6 messages/s",
        "1 enqueued, 1 quarantined, 1 refused. Each ended where it should.",
    ]
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_a_live_table(base: Path) -> None:
    """What each processor does, and how far it is."""
    text = show(base, terminal=True)

    assert "3 of 3: 1 enqueued, 1 quarantined, 1 refused" in text
    assert "filter VirusScan" in text


def test_what_went_wrong_is_said(base: Path) -> None:
    """In the line and in the sum."""
    (base / "Quarantine" / "2.msg").unlink()
    text = show(base, terminal=False)

    assert "WRONG virus" in text
    assert "lost, or not done in time" in text
    assert "1 of them should have ended elsewhere." in text


@pytest.mark.parametrize("keep", [False, True])
def test_an_engine_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keep: bool) -> None:
    """What it said is shown, the exit code is 70, and the folder is removed unless it was to be kept."""
    said: list[str] = []
    monkeypatch.setattr("enqueuer.lab.trial.ENGINE", (sys.executable, "-c", "import sys; sys.exit('no such luck')"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert run([PLAIN], DemoListener(), keep, said.append) == 70
    assert said[0] == "enqueuer demo: the engine ended at once, with exit code 1\nno such luck"
    assert len(said) == len(list(tmp_path.iterdir())) + 1 == 1 + keep


def test_the_demo_as_a_whole(tmp_path: Path) -> None:
    """Every message goes where it should, and nothing is left: no folder, no process."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "enqueuer.cli.app", "demo"], env=environment, capture_output=True, text=True, timeout=90, check=False
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    lines = [line.split()[:2] for line in done.stdout.splitlines()]
    assert all(["ok", sample.name] in lines for sample in samples())
    assert "EICAR test file in readme.zip/eicar.com (Eicar_Test_File)" in done.stdout
    assert "messages/s" in done.stdout
    assert not list(tmp_path.iterdir())


def test_ones_own_mail(tmp_path: Path) -> None:
    """Copies of it go through the engine: each comes out once, what is caught has its reason, what is no mail is named."""
    mail = tmp_path / "mail"
    mail.mkdir()
    (mail / "box").write_bytes(
        b"From a 10:00 2026\nReturn-Path: <x@y.z>\nSubject: for nobody\n\n>From here\n\nFrom b 10:00 2026\n" + PLAIN.data
    )
    (mail / "virus").write_bytes(next(sample for sample in samples() if sample.name == "eicar").data)
    (mail / "notes").write_bytes(b"no mail\n")
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "enqueuer.cli.app", "demo", "--mail", str(mail)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)

    assert (done.returncode, done.stderr) == (0, "skipped: notes: does not begin with a header field, as mail messages do\n"), done.stdout
    assert "box#1" in done.stdout
    assert "virus: " in done.stdout
    assert "EICAR test file" in done.stdout
    assert "2 enqueued, 1 quarantined. Each came out once, unchanged." in done.stdout


def test_many_that_pass_are_counted() -> None:
    """A line each for the first ones, and for all that were caught."""
    mine = [SampleMessage(f"mail-{number:04}", b"A: b\n\n", "any", f"box#{number}") for number in range(100)]
    results = [
        DemoResult(sample, SampleEnd("quarantined" if sample.name == "mail-0099" else "enqueued", Path(), "\x1b[2J"), "") for sample in mine
    ]
    output = io.StringIO()
    with DemoView(100, Console(file=output, width=100, highlight=False)) as view:
        view.done(results, 1.0, DOCUMENT)

    assert "ok  and 39 more that were enqueued" in output.getvalue()
    assert "quarantined box#99: \\x1b[2J" in output.getvalue()
    assert "\x1b" not in output.getvalue()
