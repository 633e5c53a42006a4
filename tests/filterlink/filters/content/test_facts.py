import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest

from filterlink.config.settings import Filter
from filterlink.filters.content import facts
from filterlink.filters.content.facts import MAX_FACTS, FactsFilter, FactsSettings
from filterlink.filters.runtime.queuefile import open_message
from filterlink.filters.runtime.standstill import STOOD_STILL
from filterlink.filters.runtime.verdict import Verdict, rejected, reply
from filterlink.protocol.partfacts import FIELD, PartFacts, of_answer
from filterlink.protocol.protocol import HelperReply, Reader
from filterlink.wire.frames import MAX_TEXT, AnswerKind, FilterAnswer
from tests.filterlink.filters.content.test_yara import CLOSED, ODD, attached, zipped
from tests.helpers import hostile

HEAD = b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>\nR W x <c@d>\n\n"
UMLAUTS = "\u00e4" * 200
PROGRAM = "MZ\x90\0\3".encode("latin-1") + bytes(60)


def found(message: bytes, folder: Path, head: bytes = HEAD) -> PartFacts:
    """The facts, through the line of the helper protocol and the engine's reader of it."""
    path = folder / "1.msg"
    path.write_bytes(head + message)
    line = b"1 " + reply(FactsFilter().judge(str(path)), facts.MAX_REPLY) + b" OK\n"
    assert len(line) < 1 << 20
    (event,) = Reader().feed(line)
    assert isinstance(event, HelperReply)
    assert not event.complaints
    assert event.answer.kind is AnswerKind.OK
    assert sum(len(field) + 1 for field in event.answer.fields) < MAX_FACTS < MAX_TEXT
    known = of_answer(event.answer)
    assert known is not None
    return known


def named(*names: str) -> bytes:
    message = EmailMessage()
    message.set_content("see the files")
    for name in names:
        message.add_attachment(b"x", "application", "octet-stream", filename=name)
    return message.as_bytes()


def test_names_and_types_of_all_files(tmp_path: Path) -> None:
    """Those in archives, too. The digest is that of the message alone."""
    message = attached("report.zip", zipped("tools/setup.exe", PROGRAM))
    known = found(message, tmp_path)

    assert known.names == ("report.zip", "setup.exe")
    assert set(known.types) == {"text/plain", "application/zip", "application/x-dosexec"}
    assert known.digest == hashlib.sha256(message).hexdigest()
    assert not known.ambiguous
    assert known.complete


def test_names_for_people(tmp_path: Path) -> None:
    """Decoded, without characters that turn the text or are not seen; as Windows reads it, and quotes survive the way."""
    assert found(named("gr\u00fc\u00df\U0001f600.exe"), tmp_path).names == ("gr\u00fc\u00df\U0001f600.exe",)
    assert found(named("a\u202egpj.exe"), tmp_path).names == ("a gpj.exe",)
    assert found(named("a.exe. "), tmp_path).names == ("a.exe.", "a.exe")
    assert found(named("a\"b'c.exe"), tmp_path).names[0] == "a\"b'c.exe"
    assert "a\\b.exe" not in found(named("a\\b.exe"), tmp_path).names
    assert found(b'Content-Type: a/b; name="=?utf-8?b?4oCuYQ==?="\n\nx', tmp_path).names == (" a",)
    assert found(named("a\ud800.exe".encode("utf-8", "surrogatepass").decode("utf-8", "replace")), tmp_path).complete


def test_what_the_facts_do_not_know(tmp_path: Path) -> None:
    """A part that cannot be opened makes them incomplete. Two readings make them ambiguous, and both have their names."""
    assert not found(CLOSED, tmp_path).complete
    assert found(ODD, tmp_path).ambiguous
    both = found(b'Content-Type: a/b; name=a.exe\nContent-Disposition: attachment; filename="a.txt"\n\nx', tmp_path)
    assert set(both.names) == {"a.exe", "a.txt"}
    assert not found(b"Content-Type: message/rfc822\n\n" * 30, tmp_path).complete


def test_the_field_of_a_door_is_not_in_the_digest(tmp_path: Path) -> None:
    """Only filters see it. A message of the queue that begins with such a field keeps it."""
    received = b"Received: from mx ([192.0.2.1])\n\tby here (Enqueuer) with ESMTP id 1;\n\tSun, 1 Jan 2026\n"
    by_door = b"P I x <a@b>\nS SMTP [192.0.2.1]\nA here name=mx door=postfix\nR W x <c@d>\n\n"
    message = b"Subject: x\n\nhello\n"

    assert found(received + message, tmp_path, by_door).digest == hashlib.sha256(message).hexdigest()
    assert found(received + message, tmp_path).digest == hashlib.sha256(received + message).hexdigest()
    assert found(b"", tmp_path, by_door).digest == hashlib.sha256(b"").hexdigest()


def test_more_names_than_fit(tmp_path: Path) -> None:
    """The rest is shortened to its end, so that *.exe still fits. If not even these fit, the facts are incomplete."""
    some = found(named(*(f"{n:05}{UMLAUTS}.exe" for n in range(120))), tmp_path)
    assert some.complete
    assert some.names[0] == f"00000{UMLAUTS}.exe"
    assert some.names[-1] == f"*{UMLAUTS[:12]}.exe"

    many = found(named(*(f"{'x' * 230}{n:05}.exe" for n in range(900))), tmp_path)
    assert not many.complete
    assert many.names[-1].startswith("*xxx")
    assert many.names[-1].endswith(".exe")


@pytest.mark.parametrize("name", hostile.MESSAGES)
def test_hostile_mail_costs_little(tmp_path: Path, name: str) -> None:
    """Each answer fits, and comes within the bounds of the filter yara."""
    message = hostile.MESSAGES[name]()
    began = time.process_time()
    found(message, tmp_path)
    assert time.process_time() - began < 3


def test_time_and_memory_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is deferred, and no process stood still without being told apart."""
    path = tmp_path / "1.msg"
    path.write_bytes(HEAD + named("a"))
    assert FactsFilter(FactsSettings(0.0)).judge(str(path)) == rejected("reading the parts of this message takes longer than 0 s")

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(facts, "parts", full)
    assert FactsFilter().judge(str(path)) == rejected("this message needs more memory than 2.0G")
    monkeypatch.setattr(facts, "used", iter((0.0, 0.1)).__next__)

    def late(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(facts, "parts", late)
    assert FactsFilter(FactsSettings(9.0)).judge(str(path)) == STOOD_STILL


def test_the_helper_program(tmp_path: Path) -> None:
    """As filterlink starts it: its long answer comes whole, its parsers are confined, and small answers follow."""
    (tmp_path / "long").write_bytes(named(*('"' * 200 + f"{n}.exe" for n in range(2000))))
    (tmp_path / "small").write_bytes(named("a.exe"))
    command = [sys.executable, "-c", "from enqueuer.cli.app import main; main()", "filter", "facts", "--processes", "1"]
    asked = b"1 INTF 4\n2 FILE long\n3 FILE small\n4 FILE missing\n"
    done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, cwd=tmp_path, timeout=60, check=True)
    events = [event for event in Reader().feed(done.stdout) if isinstance(event, HelperReply)]
    long, small, missing = (event.answer for event in sorted(events, key=lambda event: event.number))

    assert done.stdout.startswith(b"* enqueuer filter facts ")
    assert len(long.fields[0]) > 30_000
    assert not (of_answer(long) or PartFacts()).complete
    assert (of_answer(small) or PartFacts()).names == ("a.exe",)
    assert missing.kind is AnswerKind.REJECTED


def test_answers_of_others_have_no_facts() -> None:
    """A field that is not the facts, or is broken, is none."""
    assert of_answer(FilterAnswer(AnswerKind.OK)) is None
    assert of_answer(FilterAnswer(AnswerKind.OK, fields=(FIELD + b"{",))) is None
    assert of_answer(FilterAnswer(AnswerKind.OK, fields=(FIELD + msgspec.json.encode(PartFacts(("a",))),))) == PartFacts(("a",))
    assert reply(Verdict("ADDHEADER", fields=(FIELD.decode() + "x" * 5000,))) == b"OK"


def test_the_way_through_filterlink(rig: Callable[..., Any], base: Path) -> None:
    """The facts come out as they went in, also where a name has quotes and backslashes and many names make a long line."""
    names = [f"{n}-\u00e9\"'x.exe" for n in range(900)]
    (base / "Queue" / "1.msg").write_bytes(HEAD + named(*names))
    program = f'{sys.executable} -c "from enqueuer.cli.app import main; main()" filter facts --processes 1'
    answer = rig(Filter(name="Test", program=program, failure_passes=False)).ask(1).answer

    assert answer.kind is AnswerKind.OK
    expected = facts.of_message(open_message("Queue/1.msg"), time.monotonic() + 60)
    assert of_answer(answer) == expected
    assert len(expected.names) > 800
