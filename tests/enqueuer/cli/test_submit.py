"""submit: what lands in the drop folder is read by the engine as it was meant."""

import stat
from pathlib import Path
from typing import Any

import pytest

from enqueuer.queue import header

MAIL = b"From: ann@example.com\nTo: bob@example.com\nSubject: hello\n\nbody\n\nEnvelope-To: not a field\n"


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
