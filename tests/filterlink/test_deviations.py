"""The manners of real helpers, played: whatever they do, each message gets its verdict, and each helper its end.

docs/helper-protocol.md has the table of them.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filterlink.external import LAST_NUMBER, numbers_from
from filterlink.wire.frames import AnswerKind, VerdictFrame

Rigs = Callable[..., Any]
OK = AnswerKind.OK
FAILURE = AnswerKind.FAILURE


def kinds(answers: dict[int, VerdictFrame]) -> dict[AnswerKind, int]:
    return dict(Counter(answer.answer.kind for answer in answers.values()))


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("echoes", {FAILURE: 8}),  # the request comes back, then a line without a number
        ("rewrites", {OK: 8}),  # the queue file is changed in place
        ("forks", {OK: 8}),  # a child for each message
        ("leaves", {OK: 8}),  # after three requests, while its children still answer
        ("glues", {OK: 4, FAILURE: 4}),  # two threads write at once
        ("pieces", {OK: 8}),  # an answer comes in four writes
        ("twice", {OK: 8}),  # an alarm answers a second time
        ("wraps", {OK: 8}),  # information over several lines
        ("long", {OK: 8}),  # over 4096 bytes
        ("licence", {OK: 2, AnswerKind.REJECTED: 6}),  # unquoted text
        ("haunted", {OK: 8}),  # a gateway answers what the process before it was asked
        ("banner", {OK: 8}),  # a greeting before INTF's answer
        ("agrees", {OK: 8}),  # INTF is answered with OK
        ("refuses", {OK: 8}),  # INTF is answered with FAILURE
        ("older", {OK: 8}),
        ("newer", {OK: 8}),
        ("padded", {OK: 8}),
        ("silent", {OK: 8}),  # INTF is not answered
        ("stays", {OK: 8}),  # after QUIT
    ],
)
def test_every_manner_is_understood(rig: Rigs, base: Path, manner: str, expected: dict[AnswerKind, int]) -> None:
    """Eight messages of four clients each get their one verdict; then the helper comes to its end."""
    for id in range(1, 9):
        (base / f"Queue/{id}.msg").write_text("a message\n")
    here = rig(f"play.pl {manner}", timeout=4.0)

    assert kinds(here.ask_many(range(1, 9), clients=4)) == expected
    here.stop()


@pytest.mark.parametrize(
    ("said", "kind", "text", "fields"),
    [
        ('FAILURE "cannot reach the scanner"', FAILURE, "cannot reach the scanner", ()),
        ("FAILURE cannot reach it", FAILURE, "cannot reach it", ()),
        ("ERROR unexpected command: KEY", AnswerKind.ERROR, "unexpected command: KEY", ()),
        ('ERROR  "two blanks"', AnswerKind.ERROR, "two blanks", ()),
        ("REJECTED can't open Queue/1.msg: No such file", AnswerKind.REJECTED, "can't open Queue/1.msg: No such file", ()),
        ("OK the domain is not served", OK, "", ()),
        ("OK failed to sign", OK, "", ()),
        ("ok", OK, "", ()),
        ("ADDHEADER X-Unquoted: value", OK, "", (b"X-Unquoted: value",)),
        ('ADDHEADER "X-Old: no OK"', OK, "", (b"X-Old: no OK",)),
        ('ADDHEADER "X-A: 1\\nX-B: it\\\'s\\n\\n" OK', OK, "", (b"X-A: 1", b"X-B: it's")),
        ('ADDHEADER "X-A: a\\r\\n\\tb\\eX-B: 2\\e"', OK, "", (b"X-A: a\n\tb", b"X-B: 2")),
        ("MAYBE", AnswerKind.INVALID, "not an answer of the protocol: 'MAYBE'", ()),
    ],
)
def test_every_answer_is_understood(rig: Rigs, base: Path, said: str, kind: AnswerKind, text: str, fields: tuple[bytes, ...]) -> None:
    """What real helpers write comes out as what they mean."""
    (base / "Queue/5.msg").write_text(f"%N {said}\n")
    answer = rig("say.sh").ask(5)

    assert (answer.answer.kind, answer.answer.text, answer.answer.fields) == (kind, text, fields)


def test_an_answer_before_the_file_is_read(rig: Rigs) -> None:
    """Who answers first and then dies, because the file is gone already, costs a restart and no verdict."""
    here = rig("play.pl hasty")

    assert kinds(here.ask_many([1, 2, 3, 4], clients=1)) == {OK: 4}


def test_a_gateway_that_goes_silent(rig: Rigs) -> None:
    """A helper that lives on but answers no more is found by the time-out, and the next process answers."""
    here = rig("play.pl falters", timeout=1.0)
    answers = here.ask_many([1, 2, 3, 4, 5], clients=1)

    assert kinds(answers) == {OK: 4, AnswerKind.TIMEOUT: 1}
    assert answers[3].answer.kind == AnswerKind.TIMEOUT


@pytest.mark.parametrize("manner", ["agrees", "refuses", "banner"])
def test_any_answer_to_intf_will_do(rig: Rigs, manner: str) -> None:
    """A helper that answers INTF in its own way is ready by it, and need not be waited for."""
    here = rig(f"play.pl {manner}", timeout=60.0)

    here.until(lambda: here.states and here.states[0].state == "ready", 5.0)


def test_a_helper_that_leaves_at_once(rig: Rigs) -> None:
    """Exit status 0 at the start, without an answer, is no planned end: pauses grow, and who asks is told."""
    here = rig("play.pl quits", timeout=1.0, auto_restart=0.0)
    answer = here.ask(1)

    assert (answer.answer.kind, "exit status 0" in answer.answer.text) == (AnswerKind.UNAVAILABLE, True)
    assert here.states[0].restarts < 10


@pytest.mark.parametrize("manner", ["talks", "deaf", "spins", "late"])
def test_every_helper_comes_to_its_end(rig: Rigs, manner: str) -> None:
    """One that answers QUIT with information, that hears nothing, that spins at the end of its input, that answers late."""
    here = rig(f"play.pl {manner}")
    here.ask_many([1, 2], clients=1)
    [pid] = here.until_state("ready").pids
    here.stop()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_answers_after_quit(rig: Rigs, caplog: pytest.LogCaptureFixture) -> None:
    """What comes after the answer to QUIT changes no verdict that was given, and is told."""
    here = rig("play.pl late")
    answers = here.ask_many([1, 2], clients=2)
    with caplog.at_level(logging.WARNING):
        here.stop()

    assert kinds(answers) == {OK: 2}
    assert "not outstanding" in caplog.text


def test_numbers_fit_into_an_int() -> None:
    """Helpers in C read them into an int of 32 bits; after the last one they begin anew."""
    numbers = numbers_from(LAST_NUMBER - 1)

    assert [next(numbers), next(numbers), next(numbers)] == [LAST_NUMBER - 1, 1, 2]
    assert LAST_NUMBER < 1 << 31
