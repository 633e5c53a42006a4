"""The verdict table: a test a row."""

import pytest

from enqueuer.config.doors import Door, ListenAddress
from enqueuer.doors.asking.decision import Cause, DoorDecision, cause_of, decided
from enqueuer.log.facts import Verdicts
from enqueuer.policy.rules import Disposition, RuleOutcome
from filterlink.wire.frames import AnswerKind, FilterAnswer

ID = 101764372839123456


def door(**changed: str) -> Door:
    return Door(name="postfix", kind="milter", listen=ListenAddress("inet:127.0.0.1:8891"), **changed)  # type: ignore[arg-type]


def answered(kind: AnswerKind, text: str = "") -> Verdicts:
    return Verdicts({"Scan": FilterAnswer(kind, text)}, {"Scan": 0.1})


def decide(cause: Cause, reason: str = "why", door: Door = door()) -> DoorDecision:  # noqa: B008  (frozen)
    result = RuleOutcome(Disposition.QUARANTINED, reason, "Scan", "rule 1", (b"X-A: b",))
    return decided(cause, door, ID, result, answered(AnswerKind.ERROR), (b"c@c.example",))


ROWS = {
    Cause.PASSED: ("accept", "", "enqueued"),
    Cause.CAUGHT: ("reject", "550 5.7.1", "rejected"),
    Cause.DROPPED: ("discard", "", "discarded"),
    Cause.REFUSED: ("tempfail", "451 4.7.1", "deferred"),
    Cause.FAILED: ("tempfail", "451 4.7.1", "deferred"),
    Cause.KEPT: ("quarantine", "", "quarantined"),
    Cause.TURNED_AWAY: ("tempfail", "451 4.7.1", "deferred"),
    Cause.LOOP: ("reject", "554 5.4.6", "rejected"),
    Cause.LATE: ("tempfail", "451 4.7.1", "deferred"),
    Cause.TROUBLE: ("tempfail", "451 4.3.0", "deferred"),
}


@pytest.mark.parametrize("cause", Cause)
def test_each_row_has_its_answer_by_default(cause: Cause) -> None:
    found = decide(cause)
    assert (found.action, found.status, found.disposition) == ROWS[cause]


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in (Cause.CAUGHT, Cause.LOOP)])
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
    ],
)
def test_the_row_follows_from_the_result_of_the_rules(disposition: Disposition, kind: AnswerKind, cause: Cause) -> None:
    assert cause_of(RuleOutcome(disposition, "", "Scan"), answered(kind)) is cause
