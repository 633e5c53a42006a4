"""The action Execute with real programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from filterlink.filters.command.execute import MAX_ARGUMENTS, ExecuteFilter, ExecuteSettings, Unfit, arguments
from filterlink.filters.runtime.child import ChildLimits
from filterlink.filters.runtime.envelope import FilterEnvelope
from filterlink.filters.runtime.runtime import Verdict, ok
from filterlink.filters.runtime.verdict import failure

MESSAGE = b"Subject: x\n\nhello\n"
LIMITS = ChildLimits(30)
ECHO = "import json, sys; json.dump([sys.argv[1:], sys.stdin.read()], open('seen', 'w'))"


def message(folder: Path, *recipients: bytes, sender: bytes = b"ann@example.org") -> str:
    lines = b"".join(b"R W x <%s>\n" % each for each in recipients or (b"bob@example.org", b"cid@example.org"))
    (folder / "1.msg").write_bytes(b"P I x <" + sender + b">\nS PIPE [0.0.0.0]\n" + lines + b"\n" + MESSAGE)
    return str(folder / "1.msg")


def shell(text: str, *, stderr: bool = False, seconds: float = 30) -> ExecuteFilter:
    return ExecuteFilter(ExecuteSettings(("/bin/sh", "-c", text), stderr=stderr, limits=ChildLimits(seconds)))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ((False, False, False), []),
        ((True, False, False), ["-f", "{path}"]),
        ((False, True, False), ["-p", "ann@example.org"]),
        ((False, False, True), ["-r", "bob@example.org", "cid@example.org"]),
        ((True, True, True), ["-f", "{path}", "-p", "ann@example.org", "-r", "bob@example.org", "cid@example.org"]),
    ],
)
def test_the_program_gets_what_its_tags_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tags: tuple[bool, bool, bool], words: list[str]
) -> None:
    """In the order of the original, after its own arguments. Without the file's name it reads the message, without the envelope."""
    monkeypatch.chdir(tmp_path)
    path = message(tmp_path)
    settings = ExecuteSettings((sys.executable, "-c", ECHO, "own; $(x)"), False, *tags, LIMITS)

    assert ExecuteFilter(settings).judge(path) == ok()
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen == [["own; $(x)", *(word.replace("{path}", path) for word in words)], "" if tags[0] else MESSAGE.decode()]


def test_the_script_of_a_real_site_finds_its_values() -> None:
    """scanspam.sh reads the file at the second position, the return path at the fourth, the recipients from the sixth on."""
    settings = ExecuteSettings(("scanspam.sh",), True, True, True, True)
    found = arguments(settings, "Queue/7.msg", FilterEnvelope(b"a@b", (b"c@d", b"e@f")))

    assert (found[2], found[4], found[6:]) == ("Queue/7.msg", b"a@b", [b"c@d", b"e@f"])


@pytest.mark.parametrize(
    ("text", "stderr", "verdict"),
    [
        ("exit 0", False, ok()),
        ("echo noise; echo more >&2; exit 0", True, ok()),
        ("exit 7", False, failure("the program ended with exit code 7")),
        ("echo why >&2; exit 7", False, failure("the program ended with exit code 7")),
        ("echo out; echo 'why  \t not' >&2; echo more >&2; exit 7", True, failure("the program ended with exit code 7: why not")),
        ("printf '\\342\\200\\256a\\033[1m\\377' >&2; exit 1", True, failure("the program ended with exit code 1: a [1m\ufffd")),
        ("printf '%0300d' 0 >&2; exit 1", True, failure("the program ended with exit code 1: " + "0" * 200)),
        ("kill -9 $$", False, failure("signal 9 ended the program")),
        ("exec /nowhere", False, failure("the program ended with exit code 127")),
    ],
)
def test_how_the_program_ends(tmp_path: Path, text: str, stderr: bool, verdict: Verdict) -> None:
    """Only exit code 0 lets the rule go on."""
    assert shell(text, stderr=stderr).judge(message(tmp_path)) == verdict


def test_a_program_that_is_late_or_missing(tmp_path: Path) -> None:
    """It is ended, with what it has started."""
    path = message(tmp_path)
    assert shell("exec sleep 60", seconds=0.3).judge(path) == failure("the program did not end within 0.3 s")
    assert shell("while :; do echo y; echo z >&2; done", stderr=True, seconds=0.3).judge(path).text.endswith("0.3 s: z")
    assert ExecuteFilter(ExecuteSettings(("/nowhere/x",))).judge(path) == failure(
        "the program cannot be started: No such file or directory"
    )


def test_addresses_that_must_not_reach_a_program(tmp_path: Path) -> None:
    """One that begins with - would be an option. Control characters and brackets never are in an address."""
    program = ("/bin/sh", "-c", "touch ran")
    for sender, recipients in ((b"-oX@example.org", ()), (b"a@b", (b"c@d", b"-x"))):
        settings = ExecuteSettings(program, retpath=True, rcpt=True)
        assert ExecuteFilter(settings).judge(message(tmp_path, *recipients, sender=sender)).word == "FAILURE"
    assert ExecuteFilter(ExecuteSettings(("true",), rcpt=True)).judge(message(tmp_path, b"a\0b@example.org")) == ok()
    assert not (tmp_path / "ran").exists()


def test_the_null_sender_is_an_empty_word() -> None:
    """The words after it stay at their places."""
    settings = ExecuteSettings(("x",), retpath=True, rcpt=True)
    assert arguments(settings, "1.msg", FilterEnvelope(b"", (b"c@d",))) == ["x", "-p", b"", "-r", b"c@d"]


def test_more_recipients_than_fit() -> None:
    """The reason names the count."""
    settings = ExecuteSettings(("x",), rcpt=True)
    with pytest.raises(Unfit, match=f"with 50000 recipients: at most {MAX_ARGUMENTS}"):
        arguments(settings, "1.msg", FilterEnvelope(b"", tuple(b"%d@example.org" % n for n in range(50_000))))


def test_the_helper_program(tmp_path: Path) -> None:
    """With its options, and without a program."""
    command = [sys.executable, "-c", "from enqueuer.cli.app import main; main()", "filter", "execute"]
    message(tmp_path)
    words = ["--stderr", "--timeout", "20s", "--", "/bin/sh", "-c", "grep -q hello || exit 9; echo no >&2; exit 3"]
    done = subprocess.run([*command, *words], input=b"1 FILE 1.msg\n", capture_output=True, cwd=tmp_path, timeout=60, check=True)
    assert done.stdout.splitlines()[1:] == [b'1 FAILURE "the program ended with exit code 3: no"']

    for words, code, said in ((["--file"], 64, b"name the program"), (["/nowhere"], 78, b"/nowhere: no such program")):
        done = subprocess.run([*command, *words], input=b"", capture_output=True, cwd=tmp_path, timeout=60, check=False)
        assert done.returncode == code
        assert said in done.stderr
