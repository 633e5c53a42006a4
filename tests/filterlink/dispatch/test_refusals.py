"""Demands on the proof that a message is refused for its own sake."""

from filterlink.dispatch.refusals import MOST_KNOWN, Refusals
from filterlink.wire.frames import AnswerKind


def test_refused_again_after_another_was_scanned() -> None:
    refusals = Refusals()

    assert not refusals.heard(1, AnswerKind.REJECTED), "the first time proves nothing"
    assert not refusals.heard(2, AnswerKind.OK)
    assert refusals.heard(1, AnswerKind.REJECTED)
    assert not refusals.heard(1, AnswerKind.REJECTED), "nothing was scanned since"


def test_an_outage_proves_nothing() -> None:
    refusals = Refusals()

    assert not any(refusals.heard(id, AnswerKind.REJECTED) for _ in range(9) for id in range(5))
    assert not any(refusals.heard(id, kind) for id, kind in ((7, AnswerKind.FAILURE), (8, AnswerKind.INVALID), (1, AnswerKind.REJECTED)))


def test_what_was_scanned_meanwhile_begins_again() -> None:
    refusals = Refusals()
    refusals.heard(1, AnswerKind.REJECTED)

    assert not refusals.heard(1, AnswerKind.OK)
    assert not refusals.heard(1, AnswerKind.REJECTED)


def test_its_memory_has_a_bound() -> None:
    refusals = Refusals()
    for id in range(3 * MOST_KNOWN):
        refusals.heard(id, AnswerKind.REJECTED)

    assert len(refusals._known) == MOST_KNOWN


def test_a_few_that_pass_in_an_outage_prove_nothing() -> None:
    """A filter lets messages pass that are too large for its server, and refuses all others."""
    refusals = Refusals()
    for round in range(9):
        assert not any(refusals.heard(id, AnswerKind.REJECTED) for id in range(20))
        assert not refusals.heard(1000 + round, AnswerKind.OK)


def test_two_that_are_refused_for_their_own_sake_are_found() -> None:
    refusals = Refusals()
    for id in (1, 2):
        refusals.heard(id, AnswerKind.REJECTED)
    for id in range(10, 20):
        refusals.heard(id, AnswerKind.OK)

    assert refusals.heard(1, AnswerKind.REJECTED)
    assert refusals.heard(2, AnswerKind.REJECTED)
