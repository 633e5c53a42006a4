"""The facts in the last line of a message: a program finds each of them, whatever strangers write into their mail."""

import re

import pytest

from enqueuer.log import facts
from enqueuer.queue.message import envelope
from filterlink.wire.frames import AnswerKind, FilterAnswer

FACT = re.compile(r'(\S+?)=(<[^<>]*>(?: \(\+\d+\))?|"(?:[^"\\]|\\.)*"|[^,]*)(?:, |\Z)')
"""As DESIGN.md has it."""
HOSTILE = '"; to=<evil@x>, message-id=<y>, subject="z'
ONE = (b"bob@example.com",)


def line(
    reason: str = "a virus",
    recipients: tuple[bytes, ...] = ONE,
    header: bytes = b"",
    answers: "dict[str, FilterAnswer] | None" = None,
    sender: bytes = b"ann@example.com",
) -> str:
    made = envelope.make(sender, recipients, "24-11-2026 10:00:00", "localhost")
    found = facts.before(made, header), facts.after(answers or {}, header)
    return facts.closing(f"quarantined: {reason}", found, 10**9, 1.0481)


def read(text: str) -> dict[str, str]:
    """Read a line as a program would."""
    reason, mark, rest = text.rpartition("; to=<")
    assert mark
    assert reason.startswith("quarantined: ")
    return dict(FACT.findall("to=<" + rest))


def test_a_line_with_all_facts() -> None:
    answers = {
        "VirusScan": FilterAnswer(AnswerKind.OK),
        "Spam": FilterAnswer(AnswerKind.ERROR, "spam: score 12.3 of 15.0"),
    }
    text = line(recipients=(*ONE, b"c@d", b"e@f"), header=b"Subject: Re: hello\nMessage-ID: <a@b>\n", answers=answers)

    assert text == (
        "quarantined: a virus; to=<bob@example.com> (+2), message-id=<a@b>, delay=0.048s, VirusScan=OK, Spam=ERROR 12.3/15.0,"
        ' subject="Re: hello"'
    )
    assert facts.without(text) == "quarantined: a virus"


def test_without_facts_the_line_is_as_before() -> None:
    assert facts.closing("enqueued: OUT(1)", ("", ""), 0, 1.0) == "enqueued: OUT(1)"
    assert facts.without("enqueued: OUT(1)") == "enqueued: OUT(1)"


@pytest.mark.parametrize("text", [HOSTILE, "; to=<", "a\\", "x\r\n\x00\x1b[31m\u202e", "=?utf-8?Q?=3B_to=3D=3Ca=3E?=", "ÿ" * 9000])
def test_no_value_ends_or_forges_another(text: str) -> None:
    """This text comes from each source: a stranger, a filter, the configuration."""
    raw = text.encode()
    field = raw.replace(b"\n", b"").replace(b"\r", b"")
    answers = {text[:60]: FilterAnswer(AnswerKind.ERROR, text), "Last": FilterAnswer(AnswerKind.OK, "", (b"X-Spam-Status: " + raw,))}
    shown = line(text, (raw.replace(b"\n", b""),), b"Subject: " + field + b"\nMessage-ID: <" + field + b">\n", answers)
    found = read(shown)

    assert list(found)[:3] == ["to", "message-id", "delay"]
    assert list(found)[-2:] == ["Last", "subject"]
    assert len(found) == 6
    assert (found["delay"], found["Last"]) == ("0.048s", "OK")
    rest = shown[shown.rindex("; to=<") :]
    assert rest.isprintable()
    assert len(rest) < 1000


def test_many_filters_have_a_limit() -> None:
    answers = {f"Filter {n:03}": FilterAnswer(AnswerKind.OK) for n in range(1000)}

    assert len(facts.after(answers)) == facts.MAX_VERDICTS


def test_a_reason_has_the_facts_too() -> None:
    made = envelope.make(b"ann@example.com", [b"r%d@x" % n for n in range(30)], "24-11-2026 10:00:00", "localhost")
    verdicts = facts.Verdicts({"Spam": FilterAnswer(AnswerKind.ERROR, "spam: score 12.3 of 15.0")}, {"Spam": 0.0214})
    found = facts.document(made, b"Subject: hello\nMessage-ID: <a@b>\n", verdicts, 1.23456)

    assert found["recipients"] == [f"r{n}@x" for n in range(20)]
    assert {key: value for key, value in found.items() if key != "recipients"} == {
        "sender": "ann@example.com",
        "recipient_count": 30,
        "message_id": "a@b",
        "subject": "hello",
        "verdicts": [{"filter": "Spam", "answer": "ERROR", "text": "spam: score 12.3 of 15.0", "score": "12.3/15.0", "seconds": 0.021}],
        "delay_s": 1.235,
    }
