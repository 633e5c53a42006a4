"""Copies for the queue, as the drop folder reads them."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from enqueuer.config.doors import Door, ListenAddress
from enqueuer.doors.asking.handover import CopyForQueue, CopyWriter, write
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.doors.asking.sessionlines import envelope_of
from enqueuer.queue.directory.asked import AskedFile
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.ingest import ingest
from enqueuer.queue.message.client import NOBODY, RemoteClient
from enqueuer.queue.message.envelope import make
from enqueuer.queue.message.session import Session
from filterlink.wire.loop import Loop

ID = 10**17 + 7
CLIENT = RemoteClient("192.0.2.1", b"mx.example", b"helo.example", b"ann@a.example")
RECEIVED = b"Received: by here (Enqueuer) with ESMTP id 7;\n\tSun, 1 Jan 2026\n"


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("Asked", "Submitted", "Queue"):
        (tmp_path / folder).mkdir()
    return tmp_path


@pytest.fixture
def loop() -> Iterator[Loop]:
    found = Loop()
    yield found
    found.close()


def asked(message: bytes) -> None:
    file = AskedFile(ID, make(b"ann@a.example", (b"bob@b.example", b"cid@c.example"), "at", "here", CLIENT, words=b" door=x"), RECEIVED)
    file.write(message)
    file.finish()


def copy(*recipients: bytes, client: RemoteClient = CLIENT, sender: bytes = b"ann@a.example") -> CopyForQueue:
    return CopyForQueue(ID, sender, recipients or (b"cid@c.example",), client, ".sub")


def drop() -> bytes:
    (found,) = Path("Submitted").iterdir()
    assert found.suffix == ".sub"
    assert found.stat().st_mode & 0o777 == 0o600
    return found.read_bytes()


@pytest.mark.parametrize("client", [CLIENT, NOBODY], ids=["client", "none"])
@pytest.mark.parametrize("size", [10, 200_000])
def test_the_engine_reads_the_copy(size: int, client: RemoteClient) -> None:
    """Its envelope is the given one, whatever the header says. The client is believed, and all other bytes stay."""
    body = b"x" * size
    header = b"Subject: x\nEnvelope-To: <eve@e.example>\n\t,<f@f>\nReturn-Path: <no>\nTo: all@example.com\n"
    asked(header + b"\n" + body)
    write(copy(b"cid@c.example", b'"odd, one"@d.example', client=client))
    drop()
    (path,) = Path("Submitted").iterdir()
    found = ingest(Disk(), 5, str(path), "at", "here")

    assert found.envelope.sender == b"ann@a.example"
    assert found.envelope.recipients == (b"cid@c.example", b'"odd, one"@d.example')
    assert found.envelope.lines[1] == (b"S <ann@a.example> SMTP [192.0.2.1]\n" if client == CLIENT else b"S PIPE [0.0.0.0]\n")
    assert found.envelope.word(b"helo") == (b"helo.example" if client == CLIENT else b"")
    assert Path("Queue/5.msg").read_bytes()[found.head :] == RECEIVED + b"Subject: x\nTo: all@example.com\n\n" + body


def test_the_null_sender_stays() -> None:
    """The From field is not taken in its place."""
    asked(b"From: eve@e.example\n\n")
    write(copy(sender=b"", client=NOBODY))
    assert b"\nReturn-Path: <>\nEnvelope-To: <cid@c.example>\nReceived: " in drop()


def test_rules_see_the_same_session_in_the_queue() -> None:
    """A rule that refused a recipient at the door must refuse it there, too."""
    door = Door(name="postfix", kind="milter", listen=ListenAddress.parse("inet:127.0.0.1:8891"))
    mail = AskedMail(
        sender=b"ann@a.example",
        recipients=(b"bob@b.example", b"cid@c.example"),
        client=CLIENT,
        tls=b"TLSv1.3 X",
        originals=((b"bob@b.example", b"b@x"),),
    )
    envelope = envelope_of(mail, door, "here", 0.0)
    file = AskedFile(ID, envelope, RECEIVED)
    file.write(b"Subject: x\n\n")
    file.finish()
    write(copy(b"bob@b.example"))
    (path,) = Path("Submitted").iterdir()

    found = Session.of(ingest(Disk(), 5, str(path), "at", "here").envelope)
    assert found == msgspec.structs.replace(Session.of(envelope), others=(b"cid@c.example",))
    assert (found.submit_address, found.tls, found.orcpt) == ("MILTER [192.0.2.1]", "TLSv1.3 X", {b"bob@b.example": b"b@x"})


def test_what_cannot_be_handed_over(loop: Loop) -> None:
    """The reason comes back, and nothing stays: an address that the drop folder would read in another way, a lost file, a full disk."""
    asked(b"Subject: x\n\n")
    writer = CopyWriter(loop)
    said: list[str] = []
    writer.give(copy(b"a b@c"), said.append)
    writer.give(CopyForQueue(ID + 1, b"", (b"c@d",), NOBODY, ".sub"), said.append)
    Path("Submitted").rename("Gone")
    writer.give(copy(client=NOBODY), said.append)
    until = time.monotonic() + 10
    while len(said) < 3 and time.monotonic() < until:
        loop.turn(0.1)
    writer.close()

    assert sorted(said) == [
        "the queue cannot take a copy: No such file or directory",
        "the queue cannot take a copy: No such file or directory",
        "the queue cannot take a copy: the drop folder does not know addresses like b'a b@c'",
    ]
    assert not list(Path("Gone").iterdir())


def test_an_error_while_it_is_written_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(b"Subject: x\n\n")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("enqueuer.doors.asking.handover.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(copy(client=NOBODY))
    assert not list(Path("Submitted").iterdir())
