"""Demands on outputs: whole, with the right recipients and fields, and a copy only where something differs."""

import email
import json
import os
from pathlib import Path

import pytest

from enqueuer.queue.directory import ingest, stage
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.message import envelope

BODY = b"Subject: x\nTo: a@a.example, b@b.example\n\nhello\n"


@pytest.fixture
def message(disk: Disk) -> ingest.MessageFile:
    Path("Submitted/.taken/7.a.eml").write_bytes(BODY)
    return ingest.ingest(disk, 7, "Submitted/.taken/7.a.eml", "24-11-2026 10:00:00", "h")


def _read(path: str) -> tuple[envelope.Envelope, bytes]:
    data = Path(path).read_bytes()
    end = envelope.head_end(data)
    line = envelope.parse_o(data)
    assert line is not None
    rest = data[: line.offset] + data[line.offset + envelope.O_LENGTH :]
    assert envelope.Digest(rest).line() == envelope.o_line(line.length, line.digest)
    return envelope.parse(data[:end]), data[end:]


def test_an_unchanged_output_is_a_second_name(disk: Disk, message: ingest.MessageFile) -> None:
    """No bytes are copied where nothing differs; what a killed processor left at the name is replaced."""
    Path("Staged/7.3.OUT").write_bytes(b"left over")
    stage.stage_file(disk, message, 3, "OUT", None, ())

    assert os.path.samefile("Staged/7.3.OUT", "Queue/7.msg")


def test_added_fields_stand_on_top_of_the_header(disk: Disk, message: ingest.MessageFile) -> None:
    stage.stage_file(disk, message, 3, "OUT", None, (b"X-Spam: yes", b"X-Folded: a\n\tb"))

    found, text = _read("Staged/7.3.OUT")
    assert text == b"X-Spam: yes\nX-Folded: a\n\tb\n" + BODY
    assert found == message.envelope


def test_added_fields_end_as_the_messages_lines_do(disk: Disk) -> None:
    Path("Submitted/.taken/8.a.eml").write_bytes(b"To: a@a.example\r\n\r\nhello\r\n")
    message = ingest.ingest(disk, 8, "Submitted/.taken/8.a.eml", "24-11-2026 10:00:00", "h")
    stage.stage_file(disk, message, 3, "OUT", None, (b"X-Folded: a\n\tb",))

    assert _read("Staged/8.3.OUT")[1] == b"X-Folded: a\r\n\tb\r\nTo: a@a.example\r\n\r\nhello\r\n"


@pytest.mark.parametrize("begin", [b" folded\n", b"\tfolded\r\n", b" \n", b" \r\n"])
def test_a_message_that_begins_with_a_continuation_folds_into_no_added_field(disk: Disk, begin: bytes) -> None:
    """A field of ours takes it. The message follows byte for byte."""
    mail = begin + b"To: a@a.example\n\nhello\n"
    Path("Submitted/.taken/8.a.eml").write_bytes(mail)
    message = ingest.ingest(disk, 8, "Submitted/.taken/8.a.eml", "24-11-2026 10:00:00", "h")
    stage.stage_file(disk, message, 3, "OUT", None, (b"X-Spam: yes",))
    text = _read("Staged/8.3.OUT")[1]

    assert text.endswith(mail)
    found = email.message_from_bytes(text)
    assert found["X-Spam"] == "yes"
    assert found["To"] == "a@a.example"
    assert "X-Enqueuer-Orphan" in found


def test_each_module_gets_its_own_recipients(disk: Disk, message: ingest.MessageFile) -> None:
    modules = stage.modules_of(message.envelope.recipients, lambda r: "A" if r.startswith(b"a") else "B")
    for module, recipients in modules.items():
        stage.stage_file(disk, message, 3, module, recipients, ())

    assert _read("Staged/7.3.A")[0].recipients == (b"a@a.example",)
    assert _read("Staged/7.3.B")[0].recipients == (b"b@b.example",)


def test_copies_of_their_own_have_places_of_their_own() -> None:
    """The next number in each module; nobody gets two; more than a thousand are cut."""
    copies = [b"a1", b"b1", b"a2", b"a1"]
    found = stage.places_of(copies, lambda r: r[:1].decode().upper(), ["A"])

    assert found == {"A.2": b"a1", "B": b"b1", "A.3": b"a2"}
    assert len(stage.places_of([b"%d" % n for n in range(2 * stage.MAX_COPIES)], lambda _: "A", [])) == stage.MAX_COPIES


def test_a_copy_is_for_one_alone(disk: Disk, message: ingest.MessageFile) -> None:
    """Even for who is a recipient of the message."""
    own = message.envelope.of_its_own(b"a@a.example", "24-11-2026 10:00:00")
    stage.stage_file(disk, message, 3, "OUT.2", None, (b"X-T: f",), own)

    found, text = _read("Staged/7.3.OUT.2")
    assert (found.sender, found.recipients) == (message.envelope.sender, (b"a@a.example",))
    assert text == b"X-T: f\n" + BODY


def test_what_a_helper_rewrote_is_copied_as_it_is_now(disk: Disk, message: ingest.MessageFile) -> None:
    """Helpers that rewrite the queue file exist; the output is the new text, under a digest that is true of it."""
    data = Path("Queue/7.msg").read_bytes().replace(b"Subject: x", b"Subject: [spam] x")
    Path("Queue/7.msg").write_bytes(data)
    stage.stage_file(disk, message, 3, "OUT", None, ())

    assert _read("Staged/7.3.OUT")[1] == BODY.replace(b"x\n", b"[spam] x\n", 1)


def test_a_reason_lies_beside_its_message(disk: Disk) -> None:
    stage.stage_why(disk, 7, 3, "quarantine", {"reason": "EICAR"})

    assert json.loads(Path("Staged/7.3.quarantine-why").read_text()) == {"reason": "EICAR"}


def test_a_reason_steers_no_terminal_and_says_the_same(disk: Disk) -> None:
    """A filter's words are in it, and people read it with cat."""
    why: dict[str, object] = {"reason": "\x9b31m\u202eevil\u2028\u200b\U000e0041 \u00e9", "log": ["a\x1b[2Jb\n"]}
    stage.stage_why(disk, 7, 3, "quarantine", why)

    text = Path("Staged/7.3.quarantine-why").read_text()
    assert text.replace("\n", "").isprintable()
    assert "\u00e9" in text
    assert json.loads(text) == why


@pytest.mark.parametrize("size", [10, ingest.FIRST - len(BODY) - 1, ingest.FIRST - len(BODY), 3 << 20])
@pytest.mark.parametrize("loaded", [False, True])
def test_a_copy_is_whole_whatever_its_size(disk: Disk, size: int, loaded: bool) -> None:
    """The output is the same in one write from memory, in one from the file, or in several; also if the header exceeds the first read."""
    body = BODY + b"x" * size
    Path("Submitted/.taken/7.a.eml").write_bytes(body)
    message = ingest.ingest(disk, 7, "Submitted/.taken/7.a.eml", "24-11-2026 10:00:00", "h")
    stage.stage_file(disk, ingest.load(disk, 7, message.stamp) if loaded else message, 3, "OUT", None, (b"X-A: b",))

    assert bool(message.content) is (len(body) < ingest.FIRST)
    assert _read("Staged/7.3.OUT")[1] == b"X-A: b\n" + body


def test_a_copy_has_what_a_helper_wrote_into_the_file(disk: Disk, message: ingest.MessageFile) -> None:
    """Some helpers edit the message in place: the engine does not use what it read before."""
    path = Path("Queue/7.msg")
    path.write_bytes(path.read_bytes().replace(b"hello", b"HELLO again"))
    stage.stage_file(disk, message, 3, "OUT", None, (b"X-A: b",))

    assert _read("Staged/7.3.OUT")[1] == b"X-A: b\n" + BODY.replace(b"hello", b"HELLO again")


@pytest.mark.parametrize("size", [10, ingest.FIRST - 1, ingest.FIRST, 3 << 20], ids=["small", "below", "first", "large"])
@pytest.mark.parametrize("at", ["begin", "middle", "end"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_bytes_are_inserted_into_the_message(disk: Disk, size: int, at: str, in_memory: bool) -> None:
    """At any offset, below the added fields. The digest fits."""
    mail = b"Subject: x\nTo: a@a.example\n\n" + b"x" * size
    Path("Submitted/.taken/8.a.eml").write_bytes(mail)
    message = ingest.ingest(disk, 8, "Submitted/.taken/8.a.eml", "24-11-2026 10:00:00", "h")
    if not in_memory:
        message = ingest.load(disk, 8, None)
    offset = {"begin": 9, "middle": len(mail) // 2, "end": len(mail)}[at]
    stage.stage_file(disk, message, 3, "OUT", None, (b"X-A: b",), insert=(offset, b"[tag] "))
    stage.stage_file(disk, message, 3, "OUT.2", None, (), insert=(offset, b"[tag] "))

    assert _read("Staged/8.3.OUT")[1] == b"X-A: b\n" + mail[:offset] + b"[tag] " + mail[offset:]
    assert _read("Staged/8.3.OUT.2")[1] == mail[:offset] + b"[tag] " + mail[offset:]


@pytest.mark.parametrize("pieces", [[], [b"To: b\n\n"], [b"x" * 1000] * 3000, [b"x" * (3 << 20)]], ids=["none", "one", "many", "large"])
@pytest.mark.parametrize("place", ["queue-9", "hold-9"])
def test_a_new_message_is_staged_with_the_outcome_of_another(disk: Disk, pieces: list[bytes], place: str) -> None:
    made = envelope.make(b"", [b"b@b.example"], "24-11-2026 10:00:00", "h")

    assert stage.stage_new(disk, 8, 3, place, made, iter(pieces)) == len(b"".join(pieces))

    assert _read(f"Staged/8.3.{place}") == (made, b"".join(pieces))
    assert ingest.fits(disk, f"Staged/8.3.{place}")
