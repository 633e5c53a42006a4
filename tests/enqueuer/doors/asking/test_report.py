"""The line of the log about a message that a door asked about."""

from enqueuer.doors.asking.decision import DoorDecision
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.doors.asking.report import cancelled_line, decided_line
from enqueuer.log.facts import Verdicts, without
from enqueuer.queue.message.client import RemoteClient
from filterlink.wire.frames import AnswerKind, FilterAnswer

MAIL = AskedMail(
    sender=b"ann@a.example", recipients=(b"bob@b.example", b"c@c.example"), client=RemoteClient("192.0.2.7"), queue_id=b"4F2K1"
)
HEADER = b"Message-ID: <1@x>\nSubject: hello\n"


def rejected(text: str = "a virus") -> DoorDecision:
    verdicts = Verdicts({"Scan": FilterAnswer(AnswerKind.ERROR, text)}, {"Scan": 0.1})
    return DoorDecision(id=7, action="reject", disposition="rejected", status="550 5.7.1", text=text, verdicts=verdicts, reason=text)


def test_the_line_has_the_facts_of_message_session_and_answer() -> None:
    line = decided_line("postfix", MAIL, HEADER, rejected(), 0.0481)
    assert line == (
        "postfix rejected: 550 5.7.1 a virus; to=<bob@b.example> (+1), message-id=<1@x>, delay=0.048s, from=<ann@a.example>, "
        'client=192.0.2.7, queue-id=4F2K1, Scan=ERROR, subject="hello"'
    )
    assert without(line) == "postfix rejected: 550 5.7.1 a virus"


def test_an_accepted_message_shows_no_subject() -> None:
    found = DoorDecision(id=7, action="accept", disposition="enqueued", verdicts=Verdicts({}, {}))
    assert decided_line("postfix", MAIL, HEADER, found, 0.0).startswith("postfix accepted; to=<bob@b.example>")
    assert "subject" not in decided_line("postfix", MAIL, HEADER, found, 0.0)


def test_values_of_strangers_cannot_forge_facts() -> None:
    hostile = AskedMail(sender=b"a>, client=1.2.3.4\n, b", recipients=(), queue_id=b"x, y=z")
    line = decided_line("postfix", hostile, HEADER, rejected(), 0.0)
    assert "\n" not in line
    assert "client=" not in line.replace("from=<a\\x3e, client=1.2.3.4", "")
    assert "queue-id" not in line


def test_a_client_that_left_is_named_with_what_it_waited_for() -> None:
    assert "while Scan scanned it" in cancelled_line("postfix", MAIL, "Scan", 1.0)
    assert "before the end of the message" in cancelled_line("postfix", MAIL, "", 1.0)
