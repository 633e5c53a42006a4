"""Demands on the message file: what a drop becomes, byte for byte, and what is left when it cannot."""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enqueuer.queue.directory import clientkey, ingest
from enqueuer.queue.directory.disk import CHUNK, Disk
from enqueuer.queue.message import client, envelope, header

AT = "24-11-2026 10:00:00"
HOST = "host.example"


def _derive(disk: Disk, data: bytes) -> ingest.MessageFile:
    Path("Submitted/.taken/7.a.eml").write_bytes(data)
    return ingest.ingest(disk, 7, "Submitted/.taken/7.a.eml", AT, HOST)


def _message() -> bytes:
    data = Path("Queue/7.msg").read_bytes()
    return data[envelope.head_end(data) :]


@pytest.mark.parametrize("size", [0, 10, ingest.FIRST, CHUNK - 50, CHUNK + 50, 3 * CHUNK])
@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_the_message_comes_through_byte_for_byte(disk: Disk, size: int, eol: bytes) -> None:
    """Small or large, LF or CRLF: only what the envelope takes out is missing, and the digest is right."""
    kept = b"To: b@b.example" + eol + b"X: \xff\x00" + eol + eol + (b"line\r\x00" + eol) * (size // 8)
    message = _derive(disk, b"Bcc: c@c.example" + eol + kept)

    assert _message() == kept
    assert message.size == len(kept)
    assert message.envelope.recipients == (b"b@b.example", b"c@c.example")
    assert ingest.whole(disk, 7)
    assert not Path("Queue/7.tmp").exists()


def test_a_message_without_a_body_is_a_message(disk: Disk) -> None:
    _derive(disk, b"To: b@b.example\n")

    assert _message() == b"To: b@b.example\n"


def test_no_recipient_is_refused_and_leaves_nothing(disk: Disk) -> None:
    with pytest.raises(ingest.InvalidDrop, match="no recipient"):
        _derive(disk, b"Subject: x\n\nbody\n")

    assert os.listdir("Queue") == [".format"]


def test_a_header_without_end_is_refused(disk: Disk) -> None:
    """A reader's memory stays bounded: what has no empty line within 4 MiB is no mail."""
    with pytest.raises(ingest.InvalidDrop, match="no end within 4 MiB"):
        _derive(disk, b"To: b@b.example\n" + b"x" * (5 << 20))


def test_a_full_disk_leaves_nothing_half(disk: Disk) -> None:
    """What cannot be written whole is not there at all."""

    def chunks() -> Iterable[bytes]:
        yield b"first"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        disk.create("Queue/7.tmp", chunks())
    assert not Path("Queue/7.tmp").exists()


def test_load_reads_back_what_derive_made(disk: Disk) -> None:
    made = _derive(disk, b"From: a@a.example\nTo: b@b.example\n\nhello\n")
    assert made.content == b"From: a@a.example\nTo: b@b.example\n\nhello\n"
    made = msgspec.structs.replace(made, content=b"")

    assert ingest.load(disk, 7, made.stamp) == made
    assert ingest.load(disk, 7, None) == made


def test_what_kinds_a_message_is_of_stays_the_same(disk: Disk) -> None:
    """Ingested or loaded, where the envelope fills all of what is read first, too: or a loop of the two would not be seen."""

    def made_for(recipients: int) -> ingest.MessageFile:
        bcc = b"".join(b"Bcc: %05d@b.example\n" % n for n in range(recipients))
        return _derive(disk, bcc + b"Return-Path: <c@c.example>\nMessage-ID: <1@a.example>\nFrom: a@a.example\n\nhello\n")

    one = made_for(1).head
    two = made_for(2).head
    made = made_for(1 + (ingest.FIRST - one) // (two - one))
    loaded = ingest.load(disk, 7, None)

    assert ingest.FIRST - 60 < made.head <= ingest.FIRST
    assert ingest.kinds(disk, loaded) == ingest.kinds(disk, made)
    assert loaded == msgspec.structs.replace(made, content=b"")


def test_load_refuses_what_is_no_message_file(disk: Disk) -> None:
    Path("Queue/7.msg").write_bytes(b"no empty line")

    with pytest.raises(ValueError, match="no empty line"):
        ingest.load(disk, 7, None)
    with pytest.raises(FileNotFoundError):
        ingest.load(disk, 8, None)


@pytest.mark.parametrize("change", ["grows", "shrinks", "is rewritten"])
def test_a_drop_that_changes_while_it_is_read_is_refused(disk: Disk, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Who opened it before the claim can still write: neither half of it nor a mixture becomes a message, and it has an end."""
    data = b"To: b@b.example\n\n" + b"x" * (3 << 20)
    drop = Path("Submitted/.taken/7.a.eml")
    read = disk.chunks

    def chunks(path: str, offset: int = 0, first: int = CHUNK) -> Iterator[bytes]:
        for count, chunk in enumerate(read(path, offset, first)):
            assert count < 20, "a drop that grows is read for ever"
            if change == "grows":
                with drop.open("ab") as file:
                    file.write(b"y" * CHUNK)
            elif change == "shrinks":
                os.truncate(drop, 1 << 20)
            else:
                drop.write_bytes(data)
                os.utime(drop, ns=(1, 1))
            yield chunk

    monkeypatch.setattr(disk, "chunks", chunks)
    with pytest.raises(ingest.InvalidDrop, match="changed while it was read"):
        _derive(disk, data)

    assert os.listdir("Queue") == [".format"]


def test_a_drop_that_has_gone_is_told_so(disk: Disk) -> None:
    with pytest.raises(FileNotFoundError):
        ingest.ingest(disk, 7, "Submitted/.taken/7.gone.eml", AT, HOST)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(odd=st.binary(max_size=400), body=st.binary(max_size=400))
def test_any_bytes_come_through(disk: Disk, odd: bytes, body: bytes) -> None:
    """Whatever follows the recipient, in header and body, is in the message file as it was: its digest says so."""
    kept = b"To: b@b.example\nX: " + odd.replace(b"\n", b"") + b"\n\n" + body
    _derive(disk, b"Bcc: c@c.example\n" + kept)

    assert hashlib.sha256(_message()).digest() == hashlib.sha256(kept).digest()
    assert ingest.whole(disk, 7)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.binary(max_size=400))
def test_any_file_is_a_message_or_refused(disk: Disk, data: bytes) -> None:
    """No bytes make the reader fail in any other way; nothing half is left."""
    try:
        _derive(disk, data)
    except ingest.InvalidDrop:
        assert not Path("Queue/7.tmp").exists()
    else:
        assert ingest.whole(disk, 7)
        Path("Queue/7.msg").unlink()


def _best(disk: Disk, data: bytes) -> float:
    def once() -> float:
        begun = time.process_time()
        _derive(disk, data)
        return time.process_time() - begun

    return min(once() for _ in range(3))


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["fields", "line", "recipients", "nesting", "body"])
def test_deriving_takes_linear_time(disk: Disk, kind: str) -> None:
    """Twice the message takes less than three times as long."""

    def make(n: int) -> bytes:
        head = b"To: " + b",".join(b"%d@x.example" % i for i in range(n // 20)) if kind == "recipients" else b"To: a@a.example"
        fields = {"fields": b"X-A: b\n" * (n // 7), "line": b"X: " + b"x" * n + b"\n"}.get(kind, b"")
        parts = b"".join(b'--%d\nContent-Type: multipart/mixed; boundary="%d"\n\n' % (i, i + 1) for i in range(n // 50))
        return head + b"\n" + fields + b"\n" + (parts if kind == "nesting" else b"x" * n if kind == "body" else b"")

    small, double = (_best(disk, make(n)) for n in (400_000, 800_000))
    assert double < 3 * small + 0.005, f"{small * 1000:.1f} ms, then {double * 1000:.1f} ms"


def test_load_reads_the_longest_envelope(disk: Disk) -> None:
    """What a header may name fits into what is read of an envelope."""
    recipients = ",".join(f"{n}@{'x' * 60}.example" for n in range(50_000))
    made = _derive(disk, f"To: {recipients}\n\nhello\n".encode())

    assert ingest.load(disk, 7, made.stamp) == made


MAIL = b"From: a@a.example\nTo: b@b.example\n\nhello\n"
ANN = client.given(b"192.0.2.1", b"mx.example", b"helo", b"ann")


def _field(mail: bytes = MAIL, key: bytes | None = None) -> bytes:
    return client.field(ANN, clientkey.make() if key is None else key, mail[: header.header_end(mail)]) + b"\n"


def _origin(made: ingest.MessageFile) -> tuple[bytes, ...]:
    return made.envelope.lines[1:3]


NOBODY = (b"S PIPE [0.0.0.0]\n", b"A host.example\n")


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
@pytest.mark.parametrize("owner", [None, 0])
def test_the_client_that_submit_writes_is_believed(disk: Disk, monkeypatch: pytest.MonkeyPatch, eol: bytes, owner: int | None) -> None:
    """In a drop of the engine's account or root. The field does not stay in the message."""
    monkeypatch.setattr(disk, "stranger", lambda _: owner)
    mail = MAIL.replace(b"\n", eol)
    made = _derive(disk, _field(mail).replace(b"\n", eol) + mail)

    assert _message() == mail
    by = b"" if owner is None else b" uid=%d" % owner
    assert _origin(made) == (b"S <ann> SMTP [192.0.2.1]\n", b"A host.example%b name=mx.example helo=helo\n" % by)
    assert _origin(ingest.load(disk, 7, None)) == _origin(made)


def test_the_client_of_another_accounts_drop_is_not_believed(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with the right key; nor does the field stay."""
    monkeypatch.setattr(disk, "stranger", lambda _: 4242)
    made = _derive(disk, _field() + MAIL)

    assert _origin(made) == (NOBODY[0], b"A host.example uid=4242\n")
    assert _message() == MAIL


@pytest.mark.parametrize(
    "place", ["with another key", "without a key", "below a field", "above another header", "of another message", "folded", "twice"]
)
def test_a_forged_client_is_not_believed(disk: Disk, place: str) -> None:
    """A message brings the field along, which root copies into the drop folder: it says nothing, wherever it is."""
    mail = {
        "with another key": lambda: _field(key=b"x" * 32) + MAIL,
        "without a key": lambda: _field(key=b"") + MAIL,
        "below a field": lambda: b"X: y\n" + _field() + MAIL,
        "above another header": lambda: _field() + b"Subject: more\n" + MAIL,
        "of another message": lambda: _field() + MAIL.replace(b"a@a.example", b"e@e.example"),
        "folded": lambda: _field().replace(b" ip=", b"\n ip=") + MAIL,
        "twice": lambda: _field(key=b"x" * 32) + _field() + MAIL,
    }[place]()
    if place != "without a key":
        clientkey.make()
    made = _derive(disk, mail)

    assert _origin(made) == NOBODY
    assert b"Envelope-Client" not in _message()
