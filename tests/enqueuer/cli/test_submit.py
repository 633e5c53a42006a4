"""submit: what lands in the drop folder is read by the engine as it was meant."""

import os
import pwd
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from enqueuer import basedir
from enqueuer.queue.message import header
from tests.helpers.paths import HELPERS

MAIL = b"From: ann@example.com\nTo: bob@example.com\nSubject: hello\n\nbody\n\nEnvelope-To: not a field\n"


@pytest.fixture
def base() -> Iterator[Path]:
    """A fresh base directory that other accounts reach, which pytest's own folder does not allow."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        basedir.create(Path(folder, "base"))
        yield Path(folder, "base")


def drops(base: Path) -> list[Path]:
    return sorted(path for path in (base / "Submitted").iterdir() if path.is_file())


def envelope(drop: Path) -> tuple[bytes, tuple[bytes, ...]]:
    data = drop.read_bytes()
    read = header.read(data[: header.header_end(data)])
    return read.sender, read.recipients


def test_recipients_and_sender_of_the_command_line_win(enqueuer: Any, base: Path) -> None:
    """A recipient that stands in the header alone gets nothing; the message's own bytes stay."""
    mail = b"Return-Path: <old@example.com>\nEnvelope-To: <old@example.com>,\n <older@example.com>\n" + MAIL
    done = enqueuer("submit", "-f", "<eve@example.com>", "carl@example.com", "dan@example.com", stdin=mail)
    (drop,) = drops(base)

    assert done.returncode == 0
    assert done.stdout.decode() == drop.name + "\n"
    assert drop.suffix == ".sub"
    assert envelope(drop) == (b"eve@example.com", (b"carl@example.com", b"dan@example.com"))
    assert drop.read_bytes().endswith(MAIL)


def test_recipients_come_from_the_header_otherwise(enqueuer: Any, base: Path) -> None:
    """With -t, and without any word, the header decides."""
    assert enqueuer("submit", "-t", stdin=MAIL).returncode == 0
    assert enqueuer("submit", stdin=MAIL).returncode == 0
    assert [envelope(drop) for drop in drops(base)] == [(b"ann@example.com", (b"bob@example.com",))] * 2
    assert drops(base)[0].read_bytes() == MAIL


def test_the_null_sender_can_be_given(enqueuer: Any, base: Path) -> None:
    """Reports have no return-path."""
    assert enqueuer("submit", "-f", "", "-t", stdin=MAIL).returncode == 0
    assert envelope(drops(base)[0])[0] == b""


def test_several_files_are_several_messages(enqueuer: Any, base: Path, tmp_path: Path) -> None:
    """One line a message, in the order given."""
    names = [tmp_path / "one", tmp_path / "two"]
    for name in names:
        name.write_bytes(b"Subject: " + name.name.encode() + b"\n" + MAIL)
    done = enqueuer("submit", "-t", "--file", str(names[0]), "--file", str(names[1]))

    assert done.returncode == 0
    written = [(base / "Submitted" / line).read_bytes() for line in done.stdout.decode().split()]
    assert written == [name.read_bytes() for name in names]


def test_line_ends_are_the_messages_own(enqueuer: Any, base: Path) -> None:
    """Fields are added with CRLF where the message has it."""
    assert enqueuer("submit", "carl@example.com", stdin=MAIL.replace(b"\n", b"\r\n")).returncode == 0
    assert drops(base)[0].read_bytes().startswith(b"Envelope-To: <carl@example.com>\r\nFrom:")


def test_text_without_a_header_gets_one(enqueuer: Any, base: Path) -> None:
    """`echo text | enqueuer submit bob@example.com` is a message with that body."""
    assert enqueuer("submit", "bob@example.com", stdin=b"just text\n").returncode == 0
    assert drops(base)[0].read_bytes() == b"Envelope-To: <bob@example.com>\n\njust text\n"


@pytest.mark.parametrize(
    ("words", "mail", "code"),
    [
        (["-t"], b"Subject: nobody\n\n", 65),
        (["-t"], b"", 65),
        (["a b"], MAIL, 65),
        (["a@b>\nEnvelope-To: <c@d"], MAIL, 65),
        (["-f", "a@b\r\nX: y", "c@d"], MAIL, 65),
        (["--file", "/nonexistent"], b"", 66),
        (["--base", "/nonexistent", "a@b"], MAIL, 66),
    ],
)
def test_bad_input_leaves_nothing_behind(enqueuer: Any, base: Path, words: list[str], mail: bytes, code: int) -> None:
    """One line and its code, and no file in the drop folder."""
    done = enqueuer("submit", *words, stdin=mail)

    assert done.returncode == code
    assert done.stderr.count(b"\n") == 1
    assert drops(base) == []


def test_the_suffix_is_one_that_the_engine_takes(enqueuer: Any, base: Path) -> None:
    """A drop under a name that nobody looks for would be lost in silence."""
    config = base / "Settings/enqueuer.toml"
    config.write_text(config.read_text().replace('[".sub", ".eml"]', '[".mail"]'))

    assert enqueuer("submit", "-t", stdin=MAIL).returncode == 0
    assert drops(base)[0].suffix == ".mail"


def test_others_cannot_read_the_drop_of_the_engines_user(enqueuer: Any, base: Path) -> None:
    """Mail is private where the engine can do without."""
    assert enqueuer("submit", "-t", stdin=MAIL).returncode == 0
    assert stat.S_IMODE(drops(base)[0].stat().st_mode) & 0o007 == 0


STRANGER = 4242
STRANGER_PY = HELPERS / "stranger.py"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to submit as another account")


def submit_as(base: Path, user: int, *words: str, umask: int = 0o022, groups: Sequence[int] = ()) -> Any:
    """`submit` of another account."""
    account = (str(user), f"{umask:o}", ",".join(map(str, groups)))
    command = [sys.executable, str(STRANGER_PY), *account, "submit", "--base", str(base), *(words or ("-t",))]
    return subprocess.run(command, input=MAIL, capture_output=True, timeout=20, check=False)


def give(base: Path, user: int) -> None:
    """The base directory becomes another account's, as an engine of its own has it."""
    for path in (base, *base.rglob("*")):
        os.chown(path, user, user)


@as_root
@pytest.mark.parametrize("mode", [0o1733, 0o1777, 0o3733])
def test_a_folder_that_may_not_be_listed_takes_mail(base: Path, mode: int) -> None:
    """The mail is in, so the command succeeds: on a failure its caller would send the mail a second time."""
    (base / "Submitted").chmod(mode)
    done = submit_as(base, STRANGER)

    assert (done.returncode, done.stderr) == (0, b"")
    assert [drop.name for drop in drops(base)] == [done.stdout.decode().strip()]


@as_root
@pytest.mark.parametrize("umask", [0, 0o022, 0o027, 0o077, 0o777])
def test_the_engine_can_read_a_drop_whatever_the_umask(base: Path, umask: int) -> None:
    """The mode of a drop comes from the folder, not from the umask of its dropper."""
    give(base, 4711)
    (base / "Submitted").chmod(0o1733)
    assert submit_as(base, STRANGER, umask=umask).returncode == 0
    (drop,) = drops(base)

    assert stat.S_IMODE(drop.stat().st_mode) == 0o644


@as_root
def test_in_a_setgid_folder_of_the_engines_group_only_that_group_reads(base: Path) -> None:
    """The drop gets the folder's group, in which the engine is."""
    give(base, pwd.getpwnam("nobody").pw_uid)
    os.chown(base / "Submitted", -1, pwd.getpwnam("nobody").pw_gid)
    (base / "Submitted").chmod(0o3730)
    assert submit_as(base, STRANGER, groups=[pwd.getpwnam("nobody").pw_gid]).returncode == 0
    (drop,) = drops(base)

    assert (stat.S_IMODE(drop.stat().st_mode), drop.stat().st_gid) == (0o640, pwd.getpwnam("nobody").pw_gid)


@as_root
def test_an_engine_of_root_needs_no_right_to_read(base: Path) -> None:
    (base / "Submitted").chmod(0o1733)
    assert submit_as(base, STRANGER, umask=0).returncode == 0
    assert stat.S_IMODE(drops(base)[0].stat().st_mode) == 0o600


@pytest.mark.parametrize("output", ["/dev/full", "closed"])
def test_an_output_that_takes_nothing_is_no_failure(base: Path, output: str) -> None:
    """The mail is in before its name is printed."""
    command = [sys.executable, "-m", "enqueuer.cli.app", "submit", "--base", str(base), "-t"]
    script = 'exec "$@" >&-' if output == "closed" else f'exec "$@" > {output}'
    done = subprocess.run(["sh", "-c", script, "sh", *command], input=MAIL, stderr=subprocess.PIPE, timeout=20, check=False)

    assert (done.returncode, len(drops(base))) == (0, 1)


def test_of_several_messages_none_is_in_while_one_may_still_fail(enqueuer: Any, base: Path, tmp_path: Path) -> None:
    """A caller that tries all of them again sends none twice."""
    (tmp_path / "good").write_bytes(MAIL)
    (tmp_path / "bad").write_bytes(b"Subject: no recipient\n\n")
    done = enqueuer("submit", "-t", "--file", str(tmp_path / "good"), "--file", str(tmp_path / "bad"))

    assert (done.returncode, drops(base)) == (65, [])


def test_a_signal_after_the_rename_is_no_failure(base: Path) -> None:
    """Who ends the command when the mail is in gets its success."""
    code = f"""
import os, signal, sys
from enqueuer.cli import app
real = os.rename
def rename(*words):
    real(*words)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(os.getpid(), number)
os.rename = rename
sys.argv = ["enqueuer", "submit", "--base", {str(base)!r}, "-t"]
app.main()
"""
    done = subprocess.run([sys.executable, "-c", code], input=MAIL, capture_output=True, timeout=20, check=False)

    assert (done.returncode, done.stdout.decode().strip()) == (0, drops(base)[0].name)


def test_a_name_cannot_be_guessed(enqueuer: Any, base: Path) -> None:
    """In a folder that may not be listed, a name that cannot be guessed keeps other droppers from the file."""
    assert enqueuer("submit", "-t", stdin=MAIL).returncode == 0
    assert re.fullmatch(r"\d+-\d+-\d+-[0-9a-f]{16}\.sub", drops(base)[0].name)
