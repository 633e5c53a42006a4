"""Answers that are kept for the MTA's next try."""

from enqueuer.doors.asking import kept
from enqueuer.doors.asking.kept import KEPT_FOR, KeptAnswers, key_of
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.queue.message.client import RemoteClient
from filterlink.wire.frames import AnswerKind, FilterAnswer

OK = FilterAnswer(AnswerKind.OK, fields=(b"X-A: b",))


def test_an_answer_is_found_for_ten_minutes() -> None:
    answers = KeptAnswers()
    answers.keep(100.0, b"k", "Scan", OK)
    assert answers.find(100.0 + KEPT_FOR - 1, b"k", "Scan") == OK
    assert answers.find(100.0 + KEPT_FOR, b"k", "Scan") is None
    assert answers.find(101.0, b"k", "Other") is None
    assert answers.find(101.0, b"other", "Scan") is None


def test_only_answers_about_the_message_are_kept() -> None:
    answers = KeptAnswers()
    for kind in AnswerKind:
        answers.keep(0.0, kind.encode(), "Scan", FilterAnswer(kind))
    found = {kind for kind in AnswerKind if answers.find(1.0, kind.encode(), "Scan")}
    assert found == {AnswerKind.OK, AnswerKind.ERROR, AnswerKind.DISCARD}


def test_a_new_configuration_drops_them() -> None:
    answers = KeptAnswers()
    answers.keep(0.0, b"k", "Scan", OK)
    answers.clear()
    assert not answers


def test_memory_is_bounded_and_the_newest_stay() -> None:
    answers = KeptAnswers()
    for number in range(kept.MAX_KEPT + 50):
        answers.keep(0.0, b"%d" % number, "Scan", OK)
    assert answers.find(1.0, b"0", "Scan") is None
    assert answers.find(1.0, b"%d" % (kept.MAX_KEPT + 49), "Scan") == OK
    large = FilterAnswer(AnswerKind.ERROR, "x" * (kept.MAX_BYTES // 4))
    for number in range(20):
        answers.keep(0.0, b"large %d" % number, "Scan", large)
    assert sum(answers.find(1.0, b"large %d" % number, "Scan") is not None for number in range(20)) <= 4


def test_old_answers_leave_when_new_ones_come() -> None:
    answers = KeptAnswers()
    answers.keep(0.0, b"old", "Scan", OK)
    answers.keep(KEPT_FOR + 1, b"new", "Scan", OK)
    assert len(answers._kept) == 1


def test_the_key_has_the_session_and_the_content_but_not_the_queue_id() -> None:
    mail = AskedMail(sender=b"a@a.example", recipients=(b"b@b.example",), queue_id=b"1")
    again = AskedMail(sender=b"a@a.example", recipients=(b"b@b.example",), queue_id=b"2")
    assert key_of(mail, b"digest") == key_of(again, b"digest")
    others = [
        AskedMail(sender=b"x@a.example", recipients=(b"b@b.example",)),
        AskedMail(sender=b"a@a.example", recipients=(b"b@b.example", b"c@c.example")),
        AskedMail(sender=b"a@a.example", recipients=(b"b@b.example",), client=RemoteClient("192.0.2.1")),
        AskedMail(sender=b"a@a.example", recipients=(b"b@b.example",), client=RemoteClient(account=b"ann")),
        AskedMail(sender=b"a@a.example", recipients=(b"b@b.example",), client=RemoteClient(helo=b"ann")),
    ]
    assert len({key_of(each, b"digest") for each in (mail, *others)} | {key_of(mail, b"other digest")}) == 7
