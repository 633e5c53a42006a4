"""The verdict table: a test a row."""

import pytest

from enqueuer.config.doors import Door, ListenAddress
from enqueuer.doors.asking.decision import AskedContent, Cause, DoorDecision, PartDecision, cause_of, decided
from enqueuer.log.facts import Verdicts
from enqueuer.policy.outcome import Copy
from enqueuer.policy.rules import Disposition, RuleOutcome
from filterlink.wire.frames import AnswerKind, FilterAnswer

ID = 101764372839123456
HEADER = b"From: a@a.example\nSubject: Re: hello\n world\nTo: b@b.example\n"
CONTENT = AskedContent(ID, (b"b@b.example", b"d@d.example"), lambda: HEADER)


def door(**changed: str) -> Door:
    return Door(name="postfix", kind="milter", listen=ListenAddress("inet:127.0.0.1:8891"), **changed)  # type: ignore[arg-type]


def answered(kind: AnswerKind, text: str = "") -> Verdicts:
    return Verdicts({"Scan": FilterAnswer(kind, text)}, {"Scan": 0.1})


def decide(cause: Cause, reason: str = "why", door: Door = door()) -> DoorDecision:  # noqa: B008  (frozen)
    result = RuleOutcome(Disposition.QUARANTINED, reason, "Scan", "rule 1", (b"X-A: b",), (b"c@c.example",))
    return decided(cause, door, CONTENT, result, answered(AnswerKind.ERROR))


ROWS = {
    Cause.PASSED: ("accept", "", "enqueued"),
    Cause.CAUGHT: ("reject", "550 5.7.1", "rejected"),
    Cause.DROPPED: ("discard", "", "discarded"),
    Cause.RULED_OUT: ("reject", "550 5.7.1", "rejected"),
    Cause.SET_ASIDE: ("quarantine", "", "quarantined"),
    Cause.STOPPED: ("quarantine", "", "on_hold"),
    Cause.REFUSED: ("tempfail", "451 4.7.1", "deferred"),
    Cause.FAILED: ("tempfail", "451 4.7.1", "deferred"),
    Cause.KEPT: ("quarantine", "", "quarantined"),
    Cause.TURNED_AWAY: ("tempfail", "451 4.7.1", "deferred"),
    Cause.LOOP: ("reject", "554 5.4.6", "rejected"),
    Cause.LATE: ("tempfail", "451 4.7.1", "deferred"),
    Cause.TROUBLE: ("tempfail", "451 4.3.0", "deferred"),
    Cause.NOT_HANDED: ("tempfail", "451 4.3.0", "deferred"),
}


@pytest.mark.parametrize("cause", Cause)
def test_each_row_has_its_answer_by_default(cause: Cause) -> None:
    found = decide(cause)
    assert (found.action, found.status, found.disposition) == ROWS[cause]


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in (Cause.CAUGHT, Cause.LOOP, Cause.RULED_OUT)])
def test_what_is_our_fault_is_never_a_5xx(cause: Cause) -> None:
    for word in ("defer", "pass", "quarantine"):
        found = decide(cause, door=door(on_late=word, on_failure=word))
        assert found.action != "reject"
        assert not found.status.startswith("5")


@pytest.mark.parametrize(
    ("cause", "key", "word", "action"),
    [
        (Cause.CAUGHT, "on_caught", "quarantine", "quarantine"),
        (Cause.CAUGHT, "on_caught", "discard", "discard"),
        (Cause.LATE, "on_late", "pass", "accept"),
        (Cause.LATE, "on_late", "quarantine", "quarantine"),
        (Cause.FAILED, "on_failure", "pass", "accept"),
        (Cause.FAILED, "on_failure", "quarantine", "quarantine"),
        (Cause.TROUBLE, "on_failure", "pass", "accept"),
        (Cause.TROUBLE, "on_failure", "quarantine", "quarantine"),
    ],
)
def test_a_door_has_its_own_choice(cause: Cause, key: str, word: str, action: str) -> None:
    assert decide(cause, door=door(**{key: word})).action == action


@pytest.mark.parametrize("cause", [Cause.CAUGHT, Cause.REFUSED, Cause.FAILED, Cause.LATE, Cause.TURNED_AWAY])
def test_a_refusal_names_the_filter_and_the_id(cause: Cause) -> None:
    text = decide(cause, "Eicar found").text
    assert "Scan" in text
    assert str(ID) in text


def test_strangers_read_no_details_of_our_faults() -> None:
    assert "/run/clamd.sock" not in decide(Cause.FAILED, "cannot connect to /run/clamd.sock").text
    assert "/run/clamd.sock" in decide(Cause.FAILED, "cannot connect to /run/clamd.sock").reason


@pytest.mark.parametrize("place", ["/run/clamd.sock", "192.0.2.1:3310", "[::1]:3310", "localhost:783"])
def test_a_refusal_for_now_says_where_no_server_of_ours_is(place: str) -> None:
    found = decide(Cause.REFUSED, f"no clamd answers: {place}: Connection refused")
    assert found.text == f"Scan does not take the message now, try again later (id {ID})"
    assert place in found.reason
    assert decide(Cause.REFUSED, "greylisted").text == f"greylisted (Scan, id {ID})"


def test_only_a_message_that_goes_on_gets_fields_and_recipients() -> None:
    assert decide(Cause.PASSED).fields == (b"X-A: b",)
    assert decide(Cause.PASSED).recipients == (b"c@c.example",)
    assert decide(Cause.KEPT).fields == (b"X-A: b",)
    assert decide(Cause.CAUGHT).fields == decide(Cause.FAILED).recipients == ()


@pytest.mark.parametrize(
    ("disposition", "kind", "cause"),
    [
        (Disposition.ENQUEUED, AnswerKind.OK, Cause.PASSED),
        (Disposition.ENQUEUED, AnswerKind.FAILURE, Cause.PASSED),
        (Disposition.DISCARDED, AnswerKind.DISCARD, Cause.DROPPED),
        (Disposition.QUARANTINED, AnswerKind.ERROR, Cause.CAUGHT),
        (Disposition.QUARANTINED, AnswerKind.TIMEOUT, Cause.KEPT),
        (Disposition.QUARANTINED, AnswerKind.UNAVAILABLE, Cause.KEPT),
        (Disposition.REJECTED, AnswerKind.TIMEOUT, Cause.TURNED_AWAY),
        (Disposition.DEFERRED, AnswerKind.REJECTED, Cause.REFUSED),
        (Disposition.DEFERRED, AnswerKind.INVALID, Cause.FAILED),
        (Disposition.DEFERRED, AnswerKind.UNAVAILABLE, Cause.FAILED),
        (Disposition.BAD, AnswerKind.OK, Cause.TROUBLE),
        (Disposition.ON_HOLD, AnswerKind.OK, Cause.STOPPED),
    ],
)
def test_the_row_follows_from_the_result_of_the_rules(disposition: Disposition, kind: AnswerKind, cause: Cause) -> None:
    assert cause_of(RuleOutcome(disposition, "", "Scan"), answered(kind)) is cause


def ruled(result: RuleOutcome) -> DoorDecision:
    """The decision about a message that no filter was asked about."""
    nothing = Verdicts({}, {})
    return decided(cause_of(result, nothing), door(), CONTENT, result, nothing)


def test_the_text_of_a_rule_is_the_answer() -> None:
    """It may have an address of a page, and several lines."""
    found = ruled(RuleOutcome(Disposition.REJECTED, "not here\nsee https://example.com/no", rule="r", report=True))
    assert (found.action, found.status, found.disposition) == ("reject", "550 5.7.1", "rejected")
    assert found.text == f"not here\nsee https://example.com/no (id {ID})"
    assert found.parts == (PartDecision(CONTENT.recipients, "rejected", found.text),)


def test_a_rule_puts_mail_on_hold() -> None:
    """With the reason, and until when."""
    found = ruled(RuleOutcome(Disposition.ON_HOLD, "rule r", rule="r", until=1_800_000_000.0))
    assert (found.action, found.disposition) == ("quarantine", "on_hold")
    assert found.text == f"rule r, until Fri, 15 Jan 2027 08:00:00 +0000 (id {ID})"
    assert ruled(RuleOutcome(Disposition.ON_HOLD, "rule r", rule="r")).reason == "rule r, until it is released"
    assert ruled(RuleOutcome(Disposition.QUARANTINED, "odd", rule="r")).text == f"odd (id {ID})"


def test_a_tag_changes_the_first_subject() -> None:
    """Its value stays as it is behind the tags. A message without a subject gets one, below the other fields."""
    tagged = RuleOutcome(Disposition.ENQUEUED, fields=(b"X-A: b",), tags=("[A]", "[\u00c4]"))
    assert ruled(tagged).changes == ((b"Subject", b"=?UTF-8?B?W8OEXQ==?= [A] Re: hello\n world"),)
    assert ruled(tagged).fields == (b"X-A: b",)
    bare = decided(Cause.PASSED, door(), AskedContent(ID, (), lambda: b"From: a@b\n"), tagged, Verdicts({}, {}))
    assert (bare.changes, bare.fields) == ((), (b"X-A: b", b"Subject: =?UTF-8?B?W8OEXQ==?= [A]"))
    assert ruled(RuleOutcome(Disposition.DEFERRED, tags=("[A]",))).changes == ()


def test_other_recipients() -> None:
    """Redirect To replaces them. The copies of a message that is dropped go out."""
    moved = ruled(RuleOutcome(Disposition.ENQUEUED, redirected=(b"n@n",), copies=(Copy("r", b"m@m"), Copy("s", b"m@m"))))
    assert (moved.action, moved.recipients, moved.removed) == ("accept", (b"n@n", b"m@m"), CONTENT.recipients)
    dropped = ruled(RuleOutcome(Disposition.DISCARDED, copies=(Copy("r", b"m@m"),)))
    assert (dropped.action, dropped.disposition, dropped.recipients) == ("accept", "discarded", (b"m@m",))
    assert dropped.removed == CONTENT.recipients
    assert ruled(RuleOutcome(Disposition.ENQUEUED, copies=(Copy("r", b"m@m"),))).removed == ()


def test_a_program_of_a_rule_has_no_name_for_strangers() -> None:
    failed = Verdicts({"#execute 1": FilterAnswer(AnswerKind.FAILURE, "exit code 1")}, {})
    result = RuleOutcome(Disposition.DEFERRED, "exit code 1", "#execute 1")
    found = decided(cause_of(result, failed), door(), CONTENT, result, failed)
    assert found.text == f"a program cannot scan the message now, try again later (id {ID})"
