"""Demands on the referee: every way to stray is told under the rule's name, and who behaves hears nothing."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterlink.protocol.referee import RULES, Referee, faults

GOOD = [
    b"1 OK",
    b"00017 OK",
    b"1 DISCARD",
    b"1 FAILURE",
    b'1 FAILURE "no idea"',
    b'1 ERROR "EICAR \\"found\\" in \\\\x\\eline two"',
    b'1 REJECTED "later"',
    b"1 INTF 4",
    b'1 ADDHEADER "X-A: 1\\eX-B: 2\\e\\tmore" OK',
    b'1 ADDHEADER "X-A: 1" MIRRORTO a@example.com ADDROUTE "b@example.com" OK',
    b"* anything  at all\t",
]


@pytest.mark.parametrize("line", GOOD)
def test_who_behaves_hears_nothing(line: bytes) -> None:
    """A line as the protocol wants it breaks no rule."""
    assert list(faults(line)) == []


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        (b"", ["empty-line"]),
        (b"1 OK\r", ["line-feed"]),
        (b"\r", ["line-feed", "empty-line"]),
        (b"no number", ["number"]),
        (b"OK 1", ["number"]),
        (b"1", ["verdict"]),
        (b"1 FILE Queue/1.msg", ["verdict"]),
        (b"1 MAYBE", ["verdict"]),
        (b"1 ok", ["capitals"]),
        (b'1 ADDHEADER "X: 1" ok', ["capitals"]),
        (b"1  OK", ["blanks"]),
        (b" 1 OK", ["blanks"]),
        (b"1 OK ", ["blanks"]),
        (b'1\tERROR "x"', ["blanks"]),
        (b'1 ERROR  "x"', ["blanks"]),
        (b"1 ERROR", ["quotes"]),
        (b"1 REJECTED Try again later", ["quotes"]),
        (b"1 FAILURE it is broken", ["quotes"]),
        (b"1 ADDHEADER X-A: 1", ["quotes", "ok-last"]),
        (b'1 ERROR "no end', ["string-end"]),
        (b'1 ERROR "it\\\'s"', ["escape"]),
        (b'1 ERROR "\\\\\\q"', ["escape"]),
        (b'1 ADDHEADER "X-A: 1"', ["ok-last"]),
        (b'1 ADDHEADER "no field" OK', ["fields"]),
        (b"1 OK the domain is not served", ["nothing-after"]),
        (b'1 ADDHEADER "X-A: 1" OK signed', ["nothing-after"]),
        (b'1 ERROR "x" really', ["nothing-after"]),
        (b"1 OK2 OK", ["one-answer"]),
        (b'1 ERROR "x"2 FAILURE', ["one-answer"]),
        (b'1 ERROR "' + b"x" * 5000 + b'"', ["length"]),
    ],
)
def test_each_fault_has_its_rule(line: bytes, rules: list[str]) -> None:
    """What real helpers do amiss is told by the rule that it breaks, and by no other."""
    assert rules == list(faults(line))


def test_old_helpers_need_no_ok() -> None:
    """Up to version 3 ADDHEADER is an answer by itself."""
    assert list(faults(b'1 ADDHEADER "X-A: 1"', version=3)) == []


def told(*dialogue: tuple[int, str] | bytes) -> dict[str, int]:
    """The rules broken in a dialogue: (number, verb) is sent, bytes come."""
    referee = Referee()
    for each in dialogue:
        if isinstance(each, bytes):
            referee.line(each)
        else:
            referee.sent(*each)
    return {rule: found.count for rule, found in referee.broken.items()}


GREETING = ((1, "INTF"), b"1 INTF 4")


@pytest.mark.parametrize(
    ("dialogue", "broken"),
    [
        ((*GREETING, (2, "FILE"), b"* busy", b"2 OK", (3, "QUIT"), b"3 OK"), {}),
        ((*GREETING, (2, "FILE"), (3, "FILE"), b"3 OK", b"2 OK"), {}),
        (((1, "INTF"), b"1 OK"), {"intf": 1}),
        (((1, "INTF"), b"1 INTF 9"), {"version": 1}),
        ((*GREETING, (2, "FILE"), b"2 INTF 4"), {"verdict": 1}),
        ((*GREETING, (2, "FILE"), b"2 OK", b"2 OK", b"2 DISCARD"), {"once": 2}),
        ((*GREETING, (2, "FILE"), b"7 OK"), {"unasked": 1}),
        ((*GREETING, (2, "FILE"), (3, "QUIT"), b"3 OK", b"2 OK"), {"quit-last": 2}),
        (((1, "INTF"), b"1 INTF 3", (2, "FILE"), b'2 ADDHEADER "X: 1"'), {}),
    ],
)
def test_dialogues(dialogue: tuple[tuple[int, str] | bytes, ...], broken: dict[str, int]) -> None:
    """Numbers, order and versions are watched over the whole dialogue."""
    assert broken == told(*dialogue)


def test_a_new_process_owes_nothing() -> None:
    """After a restart the requests of the old process are not missed, and its QUIT is forgotten."""
    referee = Referee()
    referee.sent(1, "QUIT")
    referee.line(b"1 OK")
    referee.sent(2, "FILE")
    referee.begin()
    referee.sent(3, "FILE")
    referee.line(b"3 OK")
    referee.sent(4, "QUIT")
    referee.line(b"4 OK")

    assert referee.broken == {}


@given(st.binary(max_size=300))
def test_no_line_breaks_the_referee(line: bytes) -> None:
    """Whatever comes, rules of the table are named."""
    assert set(faults(line.replace(b"\n", b""))) <= set(RULES)


@pytest.mark.parametrize(
    "line", [b"1 ERROR " + b'"' * 200_000, b'1 ADDHEADER "' + b"\\e" * 200_000, b"1 " + b"OK1 " * 100_000, b" " * 300_000]
)
def test_no_line_takes_long(line: bytes) -> None:
    """A hostile line costs linear time."""
    begin = time.process_time()
    list(faults(line))

    assert time.process_time() - begin < 2
