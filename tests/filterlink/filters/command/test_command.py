"""The filter with scanners of a line or two, and with the real clamscan."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filterlink.filters.command.command import CommandFilter, CommandSettings
from filterlink.filters.command.commandline import PROFILES, Profile
from filterlink.filters.runtime import child
from filterlink.filters.runtime.child import ChildLimits
from filterlink.filters.runtime.finding import Policy
from filterlink.filters.runtime.handover import RECEIVED
from filterlink.filters.runtime.verdict import Verdict, error, ok

Mail = Callable[..., bytes]
Queued = Callable[[bytes], str]
LONG = ChildLimits(20)
MAIN = [sys.executable, "-c", "from enqueuer.cli.app import main; main()", "filter", "command"]


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies"


def judging(copies: Path, profile: Profile, text: str = "", limits: ChildLimits = LONG, **policy: str) -> Callable[[str], Verdict]:
    """A filter whose scanner is this text for the shell; $1 is the message."""
    if text:
        profile = profile._replace(command=("/bin/sh", "-c", text, "sh", "{file}"))
    return CommandFilter(CommandSettings(profile, Policy(**policy), limits), str(copies)).judge


def test_the_scanner_gets_the_message_alone(copies: Path, queued: Queued) -> None:
    """Without our envelope lines, in a file that only we may read, which is gone afterwards."""
    generic = judging(copies, PROFILES["generic"], f"cat $1 > {copies}/seen; stat -c %a $1; exit 1")

    assert generic(queued(b"Subject: x\n\nbody\n")) == error("infected (exit code 1)")
    assert (copies / "seen").read_bytes() == b"Subject: x\n\nbody\n"
    (copies / "seen").unlink()
    assert list(copies.iterdir()) == []


def test_mail_scanners_get_a_received_line(copies: Path, queued: Queued) -> None:
    """By which they know what it is."""
    judging(copies, PROFILES["clamscan"], f"cat $1 > {copies}/seen")(queued(b"X-A: x\n\n"))

    assert (copies / "seen").read_bytes() == RECEIVED + b"X-A: x\n\n"


def test_the_queue_file_itself(copies: Path, queued: Queued) -> None:
    """For a scanner that knows our files: nothing is copied, and the path is whole."""
    path = queued(b"x")
    scanner = Profile(command=("/bin/sh", "-c", f'test "$1" = {path} && test -z "$(ls {copies})"', "sh", "{queue_file}"))

    assert judging(copies, scanner)(os.path.relpath(path)) == ok()


@pytest.mark.parametrize(
    ("code", "output", "verdict"),
    [
        (0, "", ok()),
        (13, "Found the W32/Klez.h@MM virus !!!", error("W32/Klez.h@MM")),
        (12, "Found: EICAR test file NOT a virus.", error("EICAR test file")),
        (19, "", error("infected (exit code 19)")),
        (2, "", Verdict("REJECTED", "sh does not work properly: exit code 2: its DAT files failed the integrity check")),
        (8, "", Verdict("REJECTED", "sh does not work properly: exit code 8: a driver or its DAT files are missing")),
        (20, "frequency", Verdict("REJECTED", "sh cannot scan this message: exit code 20: frequency")),
    ],
)
def test_uvscan_by_its_documented_codes(copies: Path, queued: Queued, code: int, output: str, verdict: Verdict) -> None:
    """A stand-in that answers as the product guide says."""
    assert judging(copies, PROFILES["uvscan"], f"echo '{output}'; exit {code}")(queued(b"")) == verdict


@pytest.mark.parametrize(("unscannable", "word"), [("defer", "REJECTED"), ("error", "ERROR"), ("pass", "FAILURE")])
def test_a_scanner_that_hangs_or_crashes(copies: Path, queued: Queued, unscannable: str, word: str) -> None:
    """Costs its time at most; what becomes of the message is said by --unscannable."""
    hanging = judging(copies, PROFILES["generic"], "exec tail -f /dev/null", ChildLimits(0.3), unscannable=unscannable)
    crashing = judging(copies, PROFILES["generic"], "kill -11 $$", unscannable=unscannable)

    assert hanging(queued(b"")) == Verdict(word, "sh cannot scan this message: no answer within 0.3 s")
    assert crashing(queued(b"")) == Verdict(word, "sh cannot scan this message: signal 11 ended it")


def test_a_scanner_that_vanishes_holds(copies: Path, queued: Queued) -> None:
    """While it is being installed anew, say; nothing passes meanwhile, whatever --unscannable says."""
    verdict = judging(copies, Profile(command=("/nowhere/scan",)), unscannable="pass")(queued(b""))

    assert verdict == Verdict("REJECTED", "scan does not work properly: it cannot be started: No such file or directory")


def test_a_message_that_is_gone_holds(copies: Path, tmp_path: Path) -> None:
    """The runtime answers for it."""
    helper = run(["--", "/bin/true"], b"1 FILE /nowhere/1.msg\n", tmp_path)

    assert helper.stdout.splitlines()[1] == b'1 REJECTED "cannot open /nowhere/1.msg: No such file or directory"'


def run(words: list[str], given: bytes, folder: Path) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.run([*MAIN, *words], input=given, capture_output=True, timeout=60, check=False, env=environment)


def test_the_helper_program(tmp_path: Path, copies: Path, queued: Queued) -> None:
    """Options first, then the scanner with options of its own; no copy is left."""
    path = queued(b"Subject: x\n\nThis has worm-12 in it\n")
    helper = run(["--infected", "4", "--pattern", "worm-\\d+", "grep", "-o", "-e", "worm.*"], b"1 FILE %b\n" % path.encode(), copies)

    assert helper.stdout.splitlines()[1:] == [b'1 ERROR "worm-12"']
    assert helper.returncode == 0
    assert list(copies.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 78, b"no program"),
        (["/nowhere/scan"], 78, b"/nowhere/scan: no such program"),
        (["--pattern", "(", "true"], 78, b"--pattern ("),
        (["--profile", "other"], 64, b"generic, clamscan, uvscan"),
        (["--infected", "x", "true"], 64, b"1,13"),
        (["--memory", "much", "true"], 64, b"is not a size"),
        (["--folder", "/nowhere", "true"], 73, b"cannot make a folder for copies"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(tmp_path: Path, words: list[str], code: int, said: bytes) -> None:
    """In one line, by the exit code of its kind."""
    helper = run(words, b"", tmp_path)

    assert (helper.returncode, helper.stdout) == (code, b"")
    assert said in helper.stderr
    assert helper.stderr.count(b"\n") == 1


# The real clamscan


@pytest.fixture
def clamscan(copies: Path, database: Path, programs: Callable[[str, str], str]) -> Callable[..., Callable[[str], Verdict]]:
    """The profile in the box, with our signatures."""
    path = programs("clamscan", "clamav")

    def make(*options: str, **policy: str) -> Callable[[str], Verdict]:
        profile = PROFILES["clamscan"]
        command = (path, *profile.command[1:-1], f"--database={database}", *options, profile.command[-1])
        return judging(copies, profile._replace(command=command), limits=ChildLimits(60, memory=4 << 30), **policy)

    return make


@pytest.mark.server
def test_clamscan_clean_and_caught(clamscan: Any, mail: Mail, queued: Queued, eicar: bytes) -> None:
    """In an attachment, whatever the first field is; clean, large ones too."""
    judge = clamscan()

    assert judge(queued(mail(eicar))) == error("Test.Eicar.UNOFFICIAL")
    assert judge(queued(mail(b"harmless"))) == ok()


@pytest.mark.server
def test_clamscan_with_50_megabytes(clamscan: Any, mail: Mail, queued: Queued, eicar: bytes) -> None:
    """Clean, or with something bad behind all of it."""
    large = mail(os.urandom(37 << 20))

    assert clamscan()(queued(large)) == ok()
    assert clamscan()(queued(large.replace(b"--limit--\n", mail(eicar).partition(b"\n\n")[2]))) == error("Test.Eicar.UNOFFICIAL")


@pytest.mark.server
def test_clamscan_opens_the_corpus(clamscan: Any, mail: Mail, queued: Queued, corpus: dict[str, bytes]) -> None:
    """A container each, attached to a message."""
    judge = clamscan("--max-recursion=30")
    found = {name: judge(queued(mail(data))) for name, data in corpus.items()}

    assert {name: verdict for name, verdict in found.items() if verdict != error("ClamAV-Test-File.UNOFFICIAL")} == {}


@pytest.mark.server
def test_clamscan_and_its_limits(clamscan: Any, mail: Mail, queued: Queued) -> None:
    """What it did not scan to the end is not clean; neither is anything when its signatures are gone."""
    verdict = clamscan("--max-filesize=1M")(queued(mail(bytes(3 << 20))))
    assert verdict.word == "REJECTED"
    assert "over a limit" in verdict.text
    verdict = clamscan("--database=/nowhere")(queued(mail()))
    assert verdict.word == "REJECTED"
    assert "exit code 2" in verdict.text


@pytest.mark.server
def test_clamscan_and_new_signatures(clamscan: Any, mail: Mail, queued: Queued, database: Path) -> None:
    """They count from the next message on: it reads them for each."""
    path = queued(mail(b"a harmless marker"))
    assert clamscan()(path) == ok()
    (database / "more.ndb").write_text(f"Test.Marker:0:*:{b'harmless marker'.hex()}\n")

    assert clamscan()(path) == error("Test.Marker.UNOFFICIAL")


@pytest.mark.server
def test_clamscan_that_is_too_slow(copies: Path, database: Path, mail: Mail, queued: Queued, programs: Callable[[str, str], str]) -> None:
    """It is ended when its time is over, and the message is deferred."""
    command = (programs("clamscan", "clamav"), f"--database={database}", "{file}")
    judge = judging(copies, PROFILES["clamscan"]._replace(command=command), limits=ChildLimits(0.1))

    assert judge(queued(mail(os.urandom(37 << 20)))) == Verdict("REJECTED", "clamscan cannot scan this message: no answer within 0.1 s")


@pytest.mark.server
def test_clamscan_held_to_the_protocol(database: Path, programs: Callable[[str, str], str]) -> None:
    """As a program, on made messages and with chaos, it breaks no rule of the helper protocol."""
    words = f"--profile clamscan {programs('clamscan', 'clamav')} --no-summary --stdout --database={database} {{file}}"
    program = f"{sys.executable} -m enqueuer.cli.app filter command {words}"
    bench = [sys.executable, "-m", "enqueuer.cli.app", "filters", "bench", program, "--count", "30", "--chaos", "--json"]
    found = json.loads(subprocess.run(bench, stdout=subprocess.PIPE, timeout=60, check=False).stdout)

    assert (found["broken"], found["answered"], found["stopped"]) == ([], 30, "")


@pytest.mark.alone
def test_a_pattern_without_end_is_ended(tmp_path: Path, queued: Queued) -> None:
    """The process that looks for it is ended, and --unscannable decides; the next message is judged."""
    scanner = ["--pattern", "(a+)+$", "--timeout", "1s", "--processes", "1", "/bin/sh", "-c", "cat $0 | tail -1"]
    asked = f"1 FILE {queued(b'Subject: x' + b'a' * 80 + b'b')}\n2 FILE {queued(b'x')}\n".encode()
    done = subprocess.run([*MAIN, *scanner], input=asked, stdout=subprocess.PIPE, timeout=60, check=True)

    assert done.stdout.splitlines()[1:] == [b'1 REJECTED "sh cannot scan this message: no answer within 1 s"', b"2 OK"]


def test_limits_that_cannot_be_set_let_nothing_pass(copies: Path, queued: Queued, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message waits."""

    def refuse(*_: object) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(child, "restrain", refuse)
    scanner = judging(copies, PROFILES["generic"], "exit 0", ChildLimits(20, memory=1 << 30), unscannable="pass")

    assert scanner(queued(b"x")) == Verdict("REJECTED", "sh does not work properly: it cannot be started: its limits cannot be set")


def test_a_copy_of_a_process_that_was_killed_is_removed(copies: Path, queued: Queued) -> None:
    """By the next message; that of a living one stays."""
    for pid in (1 << 30, 1):
        (copies / f"{pid}.eml").write_bytes(b"x")
    judging(copies, PROFILES["generic"], "exit 0")(queued(b"x"))

    assert [path.name for path in copies.iterdir()] == ["1.eml"]
