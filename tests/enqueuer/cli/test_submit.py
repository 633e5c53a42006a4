"""submit: what lands in the drop folder is read by the engine as it was meant."""

import contextlib
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
from enqueuer.queue.directory import clientkey, ingest
from enqueuer.queue.directory.disk import Disk
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


CLIENT = ("--client=192.0.2.1", "--client-name=mx.example", "--helo=[192.0.2.1]", "--user=ann")
CLIENTS = (b"S <ann> SMTP [192.0.2.1]\n", b"A h name=mx.example helo=%5B192.0.2.1%5D\n")
NOBODY = (b"S PIPE [0.0.0.0]\n", b"A h\n")


def ingested(base: Path, drop: Path) -> tuple[tuple[bytes, ...], bytes]:
    """What the engine makes of a drop: its S and A line, and the message."""
    with contextlib.chdir(base), contextlib.closing(Disk()) as disk:
        made = ingest.ingest(disk, 7, f"Submitted/{drop.name}", "24-11-2026 10:00:00", "h")
        data = Path("Queue/7.msg").read_bytes()[made.head :]
        Path("Queue/7.msg").unlink()
        return made.envelope.lines[1:3], data


@pytest.mark.parametrize("words", [(), ("-f", "eve@example.com", "carl@example.com")])
@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_the_client_comes_to_the_engine(enqueuer: Any, base: Path, eol: bytes, words: Sequence[str]) -> None:
    """With the header's recipients or those of the command. The message stays as it is."""
    mail = MAIL.replace(b"\n", eol)
    assert enqueuer("submit", *CLIENT, *words, stdin=mail).returncode == 0
    (drop,) = drops(base)

    assert ingested(base, drop) == (CLIENTS, mail)
    assert stat.S_IMODE((base / clientkey.FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("mail", [b"just text\n", b"To: b@b.example", b"To: b@b.example\n\n" + b"x" * 5_000_000])
def test_the_client_of_messages_of_any_form(enqueuer: Any, base: Path, mail: bytes) -> None:
    """Without a header, without a body, longer than what is read at first."""
    assert enqueuer("submit", *CLIENT, "b@b.example", stdin=mail).returncode == 0
    assert ingested(base, drops(base)[0])[0] == CLIENTS


def test_a_field_of_the_message_is_not_believed(enqueuer: Any, base: Path) -> None:
    """The field of another drop, which a message brings along: as it is, with recipients of the command, and with another client."""
    assert enqueuer("submit", *CLIENT, stdin=MAIL).returncode == 0
    (first,) = drops(base)
    forged = first.read_bytes()
    first.unlink()
    assert forged.startswith(b"Envelope-Client: ")
    assert enqueuer("submit", "c@c.example", stdin=forged).returncode == 0
    (second,) = drops(base)
    assert ingested(base, second) == (NOBODY, MAIL)
    second.unlink()

    assert enqueuer("submit", "--client", "2001:db8::1", stdin=forged).returncode == 0
    assert ingested(base, drops(base)[0]) == ((b"S SMTP [2001:db8::1]\n", b"A h\n"), MAIL)


def test_what_an_mta_does_not_know_is_empty(enqueuer: Any, base: Path) -> None:
    """Postfix passes empty values for mail of local programs. Then the drop is as without the options."""
    empty = ("--client=", "--client-name=unknown", "--helo=", "--user=")
    assert enqueuer("submit", *empty, stdin=MAIL).returncode == 0
    assert drops(base)[0].read_bytes() == MAIL
    assert not (base / clientkey.FILE).exists()


@pytest.mark.parametrize("helo", ["--user=root", "-t", "a\nEnvelope-To: <e@e.example>", "h" * 10_000, "\udcff"])
def test_a_helo_is_nothing_but_a_helo(enqueuer: Any, base: Path, helo: str) -> None:
    """A remote client chooses it: it is no option, no field, and no reason to refuse mail."""
    assert enqueuer("submit", f"--helo={helo}", "--client=192.0.2.1", stdin=MAIL).returncode == 0
    (source, by), message = ingested(base, drops(base)[0])

    assert (source, message) == (b"S SMTP [192.0.2.1]\n", MAIL)
    assert len(by) < 800
    assert by.count(b" ") == 2


@pytest.mark.parametrize("words", [["--client=mx.example"], ["--client=" + "1" * 10_000], ["--user=a b"], ["--user=a>[1.2.3.4]"]])
def test_a_client_that_cannot_be_right_is_refused(enqueuer: Any, base: Path, words: list[str]) -> None:
    done = enqueuer("submit", *words, "-t", stdin=MAIL)

    assert (done.returncode, done.stderr.count(b"\n"), drops(base)) == (65, 1, [])


@as_root
@pytest.mark.parametrize("word", CLIENT)
def test_another_account_names_no_client(base: Path, word: str) -> None:
    """Its drop would be refused the belief; so the command says that at once."""
    (base / "Submitted").chmod(0o1733)
    done = submit_as(base, STRANGER, word, "-t")

    assert (done.returncode, drops(base)) == (77, [])
    assert done.stderr == b"enqueuer: --client, --client-name, --helo and --user are for root and the account of the engine only\n"


@as_root
def test_root_names_a_client_for_the_engines_account(enqueuer: Any, base: Path) -> None:
    """Its command works as that account, which can read the key."""
    give(base, 4711)
    base.parent.chmod(0o755)
    assert enqueuer("submit", *CLIENT, stdin=MAIL).returncode == 0
    os.seteuid(4711)
    try:
        assert ingested(base, drops(base)[0])[0] == CLIENTS
    finally:
        os.seteuid(0)
    assert (base / clientkey.FILE).stat().st_uid == 4711
