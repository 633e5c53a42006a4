"""Conditions: every word of the vocabulary with every operation, for absent, single and several values."""

import itertools
from datetime import UTC, datetime

import pytest

from enqueuer.config.schema import ConfigError, load
from enqueuer.policy import rules
from enqueuer.policy.facts import Facts, SessionFacts, networks_of
from enqueuer.policy.vocabulary import DATA, OPERATIONS
from filterlink.protocol.partfacts import FACTS, PartFacts, to_field
from filterlink.wire.frames import AnswerKind, FilterAnswer

ANN = "ann@example.com"
BOB = b"bob@example.com"
NOW = datetime(2026, 12, 24, 18, 30, 15, tzinfo=UTC).timestamp()
"""A Thursday."""
CONFIG = """
routes = [{{recipient = "*", to = "OUT"}}]
[[filters]]
name = "Scan"
program = "scan"
[[rules]]
name = "first"
priority = 9
actions = [{first}]
[[rules]]
name = "R"
when = '{when}'
scope = "{scope}"
actions = [["Discard"]]
"""
FIELDS = {
    "from": "From",
    "sender": "Sender",
    "to": "To",
    "cc": "Cc",
    "reply_to": "Reply-To",
    "message_id": "Message-ID",
    "subject": "Subject",
}
ONE_WAY = {"absent": "FTFT", "one": "TFTF", "several": "TFTF"}
"""is, is not, in, not in: positive operations are met if a value fits, negative ones if none does."""
SOME = {"absent": "FFFF", "one": "TFTF", "several": "TTTT"}
"""Met if one value is as the operation says; never without a value."""
EVERY = {"absent": "FTFT", "one": "TFTF", "several": "FFFF"}


def decide(
    when: str,
    facts: Facts,
    answers: dict[str, FilterAnswer] | None = None,
    *,
    first: str = "",
    lists: dict[str, tuple[str, ...]] | None = None,
) -> bool:
    """Return whether a rule with this condition discards the message."""
    config = load(CONFIG.format(when=when, first=first, scope="message").encode(), lists=lists)
    found = rules.decide(rules.compile(config), facts, answers or {})
    assert isinstance(found, rules.Ruling)
    assert found.only is not None
    return found.only.disposition is rules.Disposition.DISCARDED


def message(
    header: str = "", *, size: int = 1000, sender: bytes = b"ann@example.com", recipients: tuple[bytes, ...] = (BOB,), **more: object
) -> Facts:
    return Facts(size, sender, recipients, header.encode, now=NOW, zone=UTC, **more)  # type: ignore[arg-type]


def _shapes(word: str) -> dict[str, Facts]:
    """Return messages without a value, with ann@example.com, and with bob@example.com, too."""
    if word in ("any recipient", "each recipient"):
        return {"one": message(recipients=(ANN.encode(),)), "several": message(recipients=(ANN.encode(), BOB))}
    if word in ("any to_or_cc", "each to_or_cc"):
        return {"absent": message("X: y\n"), "one": message(f"Cc: {ANN}\n"), "several": message(f"To: {ANN}\nCc: {BOB.decode()}\n")}
    if word == 'header("X-From")':
        return {"absent": message("Y: y\n"), "one": message(f"X-From: {ANN}\n"), "several": message(f"X-From: {ANN}\nx-from: bob\n")}
    if word == "from_name":
        one = '"Ann@Example.Com" <x@y>'
        both = f"From: {one}\nFrom: Bob <b@b>\n"
        return {"absent": message("From: x@y\n"), "one": message(f"From: {one}\n"), "several": message(both)}
    field = FIELDS[word] or word.title()
    return {
        "absent": message("X: y\n"),
        "one": message(f"{field}: {ANN}\n"),
        "several": message(f"{field}: {ANN}\n{field}: bob@example.com\n"),
    }


WORDS = {
    **dict.fromkeys(("from", "sender", "subject", "message_id", "from_name", 'header("X-From")'), ONE_WAY),
    **dict.fromkeys(("to", "cc", "reply_to", "any to_or_cc", "any recipient"), SOME),
    **dict.fromkeys(("each to_or_cc", "each recipient"), EVERY),
}


@pytest.mark.parametrize("word", WORDS)
def test_texts_of_header_and_envelope(word: str) -> None:
    """Each operation, for each number of values; case does not matter."""
    for shape, facts in _shapes(word).items():
        found = ""
        for operation in ('is "ANN@*.com"', 'is not "ANN@*.com"', 'in "nobody,ANN@*.com"', 'not in "nobody,ANN@*.com"'):
            found += "T" if decide(f"{word} {operation}", facts) else "F"
        assert found == WORDS[word][shape], f"{word}, {shape}"


def test_return_path_of_the_null_sender_is_the_empty_string() -> None:
    assert decide('return_path is ""', message(sender=b""))
    assert decide('return_path is not "*@*"', message(sender=b""))
    assert decide('return_path in "*@example.com"', message())


@pytest.mark.parametrize(
    ("when", "met"),
    [
        ("size is 1000", True),
        ("size is not 1000", False),
        ("size is less than 1K", True),
        ("size is greater than 1K", False),
        ("attempts is 0", True),
        ("attempts is not 0", False),
        ("attempts > 0", False),
        ("attempts < 1", True),
        ('date is "24 dec 2026"', True),
        ('date in "1 Jan *,24 Dec *"', True),
        ('date is less than "24 Dec 2026 18:30:15"', False),
        ('date is less than "24 Dec 2026 18:30:16"', True),
        ('date is greater than "2026-12-24"', True),
        ('day is "Thu"', True),
        ('day in "Sat,Sunday"', False),
        ('day in "thursday"', True),
        ('day is less than "Fri"', True),
        ('day is greater than "Thu"', False),
        ('time_of_day is "18:30"', True),
        ('time_of_day in "17:*,18:*"', True),
        ('time_of_day is less than "18:30"', False),
        ('time_of_day is greater than "8:00"', True),
        ("human", True),
        ("not human", False),
        ('submit_address is "SMTP [192.0.2.*"', True),
        ('submit_address is not "PIPE"', True),
        ('submit_address in "DSN,SMTP*"', True),
        ('submit_address not in "DSN,SMTP*"', False),
        ('client is "192.0.2.4"', True),
        ('client is not "192.0.2.0/24"', False),
        ('client in "10.0.0.0/8,192.0.2.0/24"', True),
        ('client not in "10.0.0.0/8"', True),
        ('source is "authenticated"', True),
        ('source in "trusted,authenticated"', True),
        ('source is not "trusted"', True),
        ('source not in "trusted,authenticated"', False),
        ('security is "encrypted"', True),
        ('security is "*encrypted*"', True),
        ('security is "TLSv1.3"', True),
        ('security in "signed,x"', True),
        ('security is not "signed"', False),
        ('any route is "OUT(example.com)bob@*"', True),
        ('each route is not "SMTP*"', True),
        ('any route in "LOCAL(*,LIST(*"', False),
        ('each route not in "OUT*"', False),
        ('header("X") is "a" or not (size is 1000 and human)', False),
        ('any recipient is "sales@example.com"', True),
    ],
)
def test_single_facts(when: str, met: bool) -> None:
    session = SessionFacts("SMTP [192.0.2.4]", "192.0.2.4", "ann", "TLSv1.3", {BOB: b"sales@example.com"})
    facts = message("Content-Type: multipart/signed\n", session=session, module_of=lambda _: "OUT")
    assert decide(when, facts) is met


@pytest.mark.parametrize(
    ("when", "met"),
    [
        ('client is "10.0.0.1"', False),
        ('client is not "10.0.0.1"', True),
        ('client in "0.0.0.0/0"', False),
        ('client not in "0.0.0.0/0"', True),
        ('source is ""', True),
        ('source is not "trusted"', True),
        ('source in "trusted"', False),
        ('source not in "trusted,authenticated"', True),
        ('security is ""', True),
        ('security is not "*encrypted*"', True),
        ('verdict("Scan") is "ok"', False),
        ('verdict("Scan") in "ok,error"', False),
        ('score("Scan") < 100', False),
        ('score("Scan") is not 1', False),
    ],
)
def test_facts_that_are_not_known(when: str, met: bool) -> None:
    assert decide(when, message()) is met


def test_trusted_clients_are_those_of_the_networks() -> None:
    session = SessionFacts("SMTP [10.1.2.3]", "10.1.2.3")
    facts = message(session=session, networks=networks_of(["10.0.0.0/8"]))
    assert decide('source is "trusted"', facts)
    assert not decide('source is "authenticated"', facts)


@pytest.mark.parametrize(
    "field",
    ["Precedence: bulk", "Precedence: list", "X-List-Id: a", "X-Mirrored: b", "X-Mailing-List: c", "Auto-Submitted: no", "X-Autoreply: 1"],
)
def test_mail_of_programs_is_not_human(field: str) -> None:
    assert not decide("human", message(f"From: a@b\n{field}\n"))
    assert decide("human", message("From: a@b\nX-Auto-Response-Suppress: All\nPrecedence: first-class\n"))
    assert not decide("human", message(sender=b""))


@pytest.mark.parametrize(
    ("when", "names", "types", "complete", "met"),
    [
        ('any attachment_name is "*.exe"', ("a.txt", "B.EXE"), (), True, True),
        ('any attachment_name is not "*.exe"', ("B.EXE",), (), True, False),
        ('each attachment_name is not "*.exe"', (), (), True, True),
        ('any attachment_name in "*.exe,*.scr"', (), (), True, False),
        ('each attachment_name in "*.txt,*.exe"', ("a.txt", "B.EXE"), (), True, True),
        ('each attachment_name not in "*.txt"', ("a.txt", "B.EXE"), (), True, False),
        ('any attachment_type is "application/x-dosexec"', (), ("application/x-dosexec",), True, True),
        ('any attachment_type is "application/x-unreadable"', (), (), True, False),
        ('any attachment_type is "application/x-unreadable"', (), (), False, True),
        ('digest is "AB12"', (), (), True, True),
        ('digest is not "AB12"', (), (), True, False),
        ('digest in "x,ab12"', (), (), True, True),
        ('digest not in "x,ab12"', (), (), True, False),
        ("ambiguous", (), (), True, True),
        ("not ambiguous", (), (), True, False),
    ],
)
def test_facts_of_the_worker(when: str, names: tuple[str, ...], types: tuple[str, ...], complete: bool, met: bool) -> None:
    """The walk asks the worker first."""
    config = load(CONFIG.format(when=when, first="", scope="message").encode())
    assert rules.decide(rules.compile(config), message(), {}) == rules.AskFilter(FACTS)
    field = to_field(PartFacts(names, types, "ab12", ambiguous=True, complete=complete))
    assert decide(when, message(), {FACTS: FilterAnswer(AnswerKind.OK, fields=(field,))}) is met


@pytest.mark.parametrize(
    ("when", "met"),
    [
        ('verdict("Scan") is "ok"', True),
        ('verdict("Scan") in "error,failure"', False),
        ('score("Scan") is 7.5', True),
        ('score("Scan") is not 7.5', False),
        ('score("Scan") is greater than 5', True),
        ('score("Scan") is less than 5', False),
        ('header("X-Spam-Score") is "7.5"', True),
    ],
)
def test_answers_of_filters_that_were_asked_before(when: str, met: bool) -> None:
    answer = FilterAnswer(AnswerKind.OK, fields=(b"X-Spam-Score: 7.5",))
    assert decide(when, message(), {"Scan": answer}, first='["ExternalFilter", "Scan"]') is met
    assert not decide('verdict("Scan") is "*"', message(), {"Scan": answer}), "an answer of another dispatch, for a later rule"


def test_each_word_and_operation_is_tested_above() -> None:
    """The tables of this file name each datum and operation of the vocabulary."""
    import inspect
    import sys

    text = inspect.getsource(sys.modules[__name__])
    for datum in DATA:
        assert datum.word in text
        assert OPERATIONS[datum.kind]


def test_a_line_of_the_header_is_compared_whole_in_the_arrays() -> None:
    def met(condition: str, header: str) -> bool:
        text = f'rules = [{{name = "R", conditions = [{condition}], actions = [["Discard"]]}}]\nroutes = [{{recipient = "*", to = "OUT"}}]'
        found = rules.decide(rules.compile(load(text.encode())), message(header), {})
        return isinstance(found, rules.Ruling) and found.outcomes[0].disposition is rules.Disposition.DISCARDED

    folded = "X-Spam:  yes,\n\tvery\nY: 1\n"
    assert met('["Header Field", "is", "X-Spam: yes,*very"]', folded)
    assert met('["Header Field", "in", "Y: 2,*very"]', folded)
    assert met('["Header Field", "is not", "X-Spam: no*"]', folded)
    assert not met('["Header Field", "not in", "*spam*"]', folded)
    assert met('["Header Field", "is", "X-Spam*"]', folded)
    assert met('["header field", "is", "x-\\\\*"]', "X-*: 1\n") is False
    assert met('["Header Field", "is", "x-\\\\*:*"]', "X-*: 1\n")


def test_named_lists() -> None:
    lists = {"friends": ("*@example.com", "a,b@x"), "none": ()}
    assert decide("return_path in #friends", message(), lists=lists)
    assert decide('return_path in "x@y, #friends"', message(), lists=lists)
    assert not decide("return_path not in #friends", message(), lists=lists)
    assert decide("return_path in #friends", message(sender=b"A,B@x"), lists=lists)
    assert not decide("return_path in #none", message(), lists=lists)
    with pytest.raises(ConfigError, match=r'no list is named "#enemies".*Settings/lists/enemies.txt'):
        decide("return_path in #enemies", message(), lists=lists)


def test_lists_that_rules_write() -> None:
    """Their entries are addresses, and are read when a condition asks."""
    known = {"met": {"ann@example.com": 1.0}}
    facts = message(remembered=lambda name: known[name])
    first = '["Remember \'From\' in", "#met"]'
    assert decide("return_path in #met", facts, first=first, lists={})
    known["met"] = {}
    assert not decide("return_path in #met", facts, first=first, lists={})


def test_long_lists_and_headers_take_linear_time() -> None:
    """10,000 entries of each form, 100,000 fields, 50,000 recipients: no loop of one inside the other."""
    entries = tuple(itertools.chain(*((f"user{n}@x.example", f"*@d{n}.example", f"a*{n}z") for n in range(10_000))))
    facts = message("".join(f"X-Field-{n}: {n}\n" for n in range(100_000)), recipients=tuple(b"r%d@d77.example" % n for n in range(50_000)))
    assert decide("each recipient in #long", facts, lists={"long": entries})
    assert decide('header("X-Field-99999") is "99999"', facts, lists={})
    assert decide('header("None") is not "99999"', facts, lists={})


@pytest.mark.parametrize(
    ("when", "error"),
    [
        ('verdict("Other") is "ok"', 'no filter is named "Other"'),
        ('client in "10.0.0.0/99"', "neither an address nor a network"),
        ('time_of_day < "25:00"', "not a time of day"),
        ('date > "30 Feb 2026"', "not a date"),
        ('day > "Someday"', "not a day"),
        ("size > 10X", "10X"),
        ('attempts > "many"', "not a number"),
    ],
)
def test_a_wrong_parameter_names_rule_condition_and_cure(when: str, error: str) -> None:
    with pytest.raises(ConfigError, match=f'rule "R".*{error}'):
        decide(when, message())
