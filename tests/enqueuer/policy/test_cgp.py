"""Rules from and to CommuniGate Pro: nothing is lost that both have, and everything else is named."""

import time

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.config.schema import load
from enqueuer.policy.active import ActivePolicy
from enqueuer.policy.cgp import PlainRule, export_rules, import_rules
from enqueuer.policy.cgpfile import CgpSyntaxError
from enqueuer.policy.facts import Facts, SessionFacts
from enqueuer.policy.outcome import AskFilter, Disposition, RuleOutcome
from enqueuer.policy.tree import AllOf, AnyOf, Node, Not, Test, all_of, any_of
from enqueuer.policy.vocabulary import ACCOUNT_ACTIONS, ACTIONS, DATA
from enqueuer.policy.walk import decide
from enqueuer.policy.when import parse, print_when
from tests.helpers.trees import conditions

DKIM = r"""( (6, "SIGN DKIM", ((Source, in, "trusted,authenticated"), ("Any Route", is, "SMTP\*")), ((ExternalFilter, SIGN),
("Stop Processing"))) )"""
SPAM = """
        (
          // scan what comes from outside
          (9, "Spam scan", (("Header Field", "is not", "From: MAILER-DAEMON@*"), (Source, "not in", "trusted,authenticated"),
            ("Any Route", in, "LOCAL(*,LIST(*")), ((ExternalFilter, CGPAV)), "a comment")
        )
    """


def imported(text: str) -> tuple[list[PlainRule], list[str]]:
    rules, remarks = import_rules(text.encode())
    return rules, [f"{remark.rule}: {remark.text}" for remark in remarks]


def exported(*rules: PlainRule) -> tuple[str, list[str]]:
    text, remarks = export_rules(rules)
    return text, [f"{remark.rule}: {remark.text}" for remark in remarks]


def rule(*row: str) -> str:
    return f"((5, R, (({', '.join(row)})), ((Discard))))"


def test_the_rule_that_signs() -> None:
    """A backslash before an asterisk, as in hand-written files, protects nothing there."""
    assert imported(DKIM) == (
        [
            PlainRule(
                "SIGN DKIM",
                6,
                AllOf((Test("source", "in", "trusted,authenticated"), Test("route", "is", "SMTP*", quantifier="any"))),
                (("ExternalFilter", "SIGN"), ("Stop Processing",)),
            )
        ],
        [],
    )


def test_the_rule_of_a_spam_filter() -> None:
    rules, remarks = imported(SPAM)

    assert remarks == []
    assert rules == [
        PlainRule(
            "Spam scan",
            9,
            parse(
                'header is not "From: MAILER-DAEMON@*" and source is not in "trusted,authenticated" and any route is in "LOCAL(*,LIST(*"'
            ),
            (("ExternalFilter", "CGPAV"),),
            "a comment",
        )
    ]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (('"Human Generated"', '"---"'), "human"),
        (('"Human Generated"', "---"), "human"),
        (('"Current Date"', '"greater than"', '"24 Dec 2026 18:00:00"'), 'date is greater than "24 Dec 2026 18:00:00"'),
        (("\"'From' Name\"", "is", "x"), 'from_name is "x"'),
        (('"Message Size"', '"less than"', "32768"), "size is less than 32768"),
        (('"Each To or Cc"', "is", '"*@x"'), 'each to_or_cc is "*@x"'),
        (("Security", "is", '"*encrypted*"'), 'security is "*encrypted*"'),
        (('"Submit Address"', "is", '"SMTP*"'), 'submit_address is "SMTP*"'),
        (("From", "is", r'"a\\b"'), r'from is "a\b"'),
    ],
)
def test_conditions_of_the_original(row: tuple[str, ...], sentence: str) -> None:
    assert imported(rule(*row)) == ([PlainRule("R", 5, parse(sentence), (("Discard",),))], [])


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (rule("Preference", "is", "x"), 'R: condition "Preference": "Preference" is for account rules only'),
        (rule('"Existing Mailbox"', "is", "x"), '"Existing Mailbox" is for account rules only'),
        (rule("FreeBusy", "is", "x"), '"FreeBusy" is for account rules only'),
        (rule("Sujbect", "is", "x"), 'condition "Sujbect" is unknown: did you mean "Subject"?'),
        (rule('"Message Size"', "in", "x"), 'the operation "in" is not one of'),
        *((f'((5, R, (), (("{name}", x))))', f'"{name}" is for account rules only: use "{use}"') for name, use in ACCOUNT_ACTIONS.items()),
        ("((5, R, (), ((Discrad))))", 'action "Discrad" is unknown: did you mean "Discard"?'),
        ('((5, R, (), (("Reject with", a, b))))', "it has 2 parameters"),
    ],
)
def test_a_rule_with_a_part_that_is_missing_is_off(text: str, remark: str) -> None:
    """Without a condition it would apply to more mail than it should."""
    rules, remarks = imported(text)

    assert [each.priority for each in rules] == [0]
    assert remark in remarks[0]
    assert remarks[1] == "R: it is switched off (priority = 0), as a part of it is missing"


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (rule("From", "in", '"#RepliedAddresses"'), 'list "#RepliedAddresses": write its entries into Settings/lists/RepliedAddresses.txt'),
        (rule("From", "in", '"#a b"'), 'list "#a b": names of lists have letters'),
        (rule("From", "is", r'"a\\*"'), "a backslash before `*`, `,` or a backslash makes these literal here"),
        ('((5, "a\\eb", (), ()))', 'a\\nb: its name was "a\\nb"'),
        ("((5, a, (), ()), (4, a, (), ()))", 'a (2): its name was "a"'),
    ],
)
def test_what_means_something_else_here_is_named(text: str, remark: str) -> None:
    rules, remarks = imported(text)

    assert 0 not in [each.priority for each in rules]
    assert [each for each in remarks if remark in each] == remarks


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a", "line 1: expected an array of rules"),
        ("(\na)", "line 2: a rule is (priority, name, (conditions), (actions))"),
        ("((5, a, ()))", "line 1: a rule is"),
        ("((x, a, (), ()))", '"x" is not a priority'),
        ("((1001, a, (), ()))", '"1001" is not a priority'),
        ("((5, (), (), ()))", "expected a name, and an array is here"),
        ("((5, a, b, ()))", "expected the array of conditions"),
        ("((5, a, (b), ()))", "expected one of the conditions, an array of strings"),
        ("((5, a, ((\n(b))), ()))", "line 2: expected a string, and an array is here"),
        ("((5, a, (), (())))", "expected one of the actions"),
    ],
)
def test_what_is_no_rule_is_an_error_with_its_line(text: str, error: str) -> None:
    with pytest.raises(CgpSyntaxError) as found:
        imported(text)

    assert error in str(found.value)


@pytest.mark.parametrize("piece", ["(5,a,(),()),", "(5,a,((x1)),()),", "(5,a,(),((x1))),", "(),"])
def test_many_rules_cost_linear_time(piece: str) -> None:
    began = time.monotonic()
    text = "(" + piece * ((1 << 18) // len(piece)) + "(5, z, (), ()))"
    try:
        imported(text)
    except CgpSyntaxError as error:
        assert any(each in str(error) for each in ("more than 2000 words", "a rule is"))  # noqa: PT017

    assert time.monotonic() - began < 20


# They behave


def outcome(
    text: str, recipient: bytes, *, account: str = "", client: str = "", header: bytes = b"From: a@b\n"
) -> AskFilter | RuleOutcome | None:
    """Return the next step for a message to this recipient, whose module is LOCAL or SMTP."""
    found, _ = imported(text)
    names = {words[1] for rule in found for words in rule.actions if words[0] == "ExternalFilter"}
    given = {
        "filters": [{"name": name, "program": "x"} for name in names],
        "routes": [{"recipient": "*@example.org", "to": "LOCAL"}, {"recipient": "*", "to": "SMTP"}],
        "rules": [
            {"name": each.name, "priority": each.priority, "when": print_when(each.condition), "actions": each.actions} for each in found
        ],
    }
    policy = ActivePolicy.of(load(tomlkit.dumps(given).encode()))
    session = SessionFacts(account=account, client=client)
    facts = Facts(1000, b"a@b", [recipient], lambda: header, session=session, module_of=policy.routes.module_of)
    result = decide(policy.rules, facts, {})
    return result if isinstance(result, AskFilter) else result.only


def test_the_rule_that_signs_behaves() -> None:
    """It signs the mail of our own users that leaves by SMTP."""
    assert outcome(DKIM, b"x@else.example", account="ann") == AskFilter("SIGN")
    assert outcome(DKIM, b"x@example.org", account="ann") == RuleOutcome(Disposition.ENQUEUED)
    assert outcome(DKIM, b"x@else.example") == RuleOutcome(Disposition.ENQUEUED)


def test_the_rule_of_a_spam_filter_behaves() -> None:
    """It scans what strangers send to our own users, but no reports."""
    assert outcome(SPAM, b"x@example.org") == AskFilter("CGPAV")
    assert outcome(SPAM, b"x@else.example") == RuleOutcome(Disposition.ENQUEUED)
    assert outcome(SPAM, b"x@example.org", account="ann") == RuleOutcome(Disposition.ENQUEUED)
    assert outcome(SPAM, b"x@example.org", header=b"From: MAILER-DAEMON@b\n") == RuleOutcome(Disposition.ENQUEUED)


# Export

BOTH = tuple(datum for datum in DATA if not datum.ours)
ROWS = conditions(BOTH).filter(lambda test: isinstance(test, Test) and not test.argument)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=10)
PARAMETERS = {"none": st.just(()), "list": st.tuples(st.just("#known"))}
NAMES = [name for name, action in ACTIONS.items() if not action.ours]
STEPS = st.sampled_from(NAMES).flatmap(
    lambda name: PARAMETERS.get(ACTIONS[name].parameter, st.tuples(TEXT)).map(lambda words: (name, *words))
)
RULES = st.lists(
    st.builds(
        PlainRule,
        st.text("aB c#\u00e9", min_size=1, max_size=8).map(str.strip).filter(bool),
        st.integers(0, 10),
        st.lists(ROWS, max_size=3).map(all_of),
        st.lists(STEPS, max_size=3).map(tuple),
        st.text("ab c", max_size=5),
    ),
    max_size=4,
    unique_by=lambda each: each.name,
)


@given(RULES)
def test_an_export_imports_as_the_same_rules(rules: list[PlainRule]) -> None:
    """All that both have: conditions that must all hold, priorities to 10, and actions of the original."""
    text, _ = exported(*rules)

    assert imported(text)[0] == rules


HUMAN = Test("human")
SMALL = Test("size", "less than", "10K")
FROM = Test("from", "is", "a@b")
DISCARD = (("Discard",),)


def test_a_header_field_becomes_a_line() -> None:
    condition = parse('header("X-A") is "yes*" and header("X-B") is not in "a,b"')

    assert imported(exported(PlainRule("R", 5, condition, DISCARD))[0])[0] == [
        PlainRule("R", 5, parse('header is "X-A: yes*" and header is not in "X-B: a,X-B: b"'), DISCARD)
    ]


@pytest.mark.parametrize("actions", [DISCARD, (("Mirror to", "a@b"), ("Stop Processing",)), (("ExternalFilter", "A"),)])
def test_or_becomes_several_rules_where_that_is_the_same(actions: tuple[tuple[str, ...], ...]) -> None:
    text, remarks = exported(PlainRule("R", 7, any_of([HUMAN, AllOf((SMALL, FROM))]), actions))

    assert imported(text)[0] == [PlainRule("R (1)", 7, HUMAN, actions), PlainRule("R (2)", 7, AllOf((SMALL, FROM)), actions)]
    assert remarks == ["R: `or`: written as 2 rules"]


@pytest.mark.parametrize(
    ("given", "remark"),
    [
        (PlainRule("R", 5, AnyOf((HUMAN, SMALL)), (("Mirror to", "a@b"),)), "`or`: its actions would be done more than once"),
        (PlainRule("R", 5, Not(HUMAN), DISCARD), "`not`"),
        (PlainRule("R", 5, AllOf((FROM, AnyOf((HUMAN, SMALL)))), DISCARD), "`or` inside of `and`"),
        (PlainRule("R", 5, Test("client", "is", "::1"), DISCARD), 'condition "Client Address"'),
        (PlainRule("R", 5, HUMAN, (("Quarantine", "x"),)), 'action "Quarantine"'),
        (PlainRule("R", 5, HUMAN, (("Hold for", "1h"),)), 'action "Hold for"'),
        (PlainRule("R", 5, parse('header("X") is in "#a"'), DISCARD), 'a list with condition "Header Field(X)"'),
        (PlainRule("R", 5, parse('any recipient is "a"'), DISCARD, scope="recipient"), 'scope = "recipient"'),
    ],
)
def test_a_rule_that_cannot_be_exported_is_left_out_whole(given: PlainRule, remark: str) -> None:
    text, remarks = exported(given)

    assert text == "()\n"
    assert len(remarks) == 1
    assert remarks[0].startswith(f"R: left out: {remark}")


@pytest.mark.parametrize(
    ("given", "written", "remark"),
    [
        (PlainRule("R", 5, HUMAN, DISCARD, mode="shadow"), PlainRule("R", 0, HUMAN, DISCARD), 'mode = "shadow": written with priority 0'),
        (PlainRule("R", 5, HUMAN, DISCARD, on_failure="pass"), PlainRule("R", 5, HUMAN, DISCARD), 'on_failure = "pass": left out'),
        (PlainRule("R", 5, HUMAN, DISCARD, scope="recipient"), PlainRule("R", 5, HUMAN, DISCARD), 'scope = "recipient": left out'),
        (PlainRule("R", 50, HUMAN, DISCARD), PlainRule("R", 10, HUMAN, DISCARD), "priority = 50: written as 10"),
        (
            PlainRule("R", 5, HUMAN, (("Write To Log", "x"), *DISCARD)),
            PlainRule("R", 5, HUMAN, DISCARD),
            'action "Write To Log": left out',
        ),
        (
            PlainRule("R", 5, HUMAN, (("Reject with", "^Q"),)),
            PlainRule("R", 5, HUMAN, (("Reject with", "^Q"),)),
            "the macro ^Q is unknown there",
        ),
        (
            PlainRule("R", 5, Test("from", "is", r"\*"), DISCARD),
            PlainRule("R", 5, Test("from", "is", r"\*"), DISCARD),
            "a backslash protects no character there",
        ),
    ],
)
def test_what_is_lost_in_an_export_is_named(given: PlainRule, written: PlainRule, remark: str) -> None:
    text, remarks = exported(given)

    assert imported(text)[0] == [written]
    assert len(remarks) == 1
    assert remark in remarks[0]


def test_priorities_over_ten_keep_their_order() -> None:
    """Equal priorities go in the order of the file."""
    nodes: list[Node] = [HUMAN, SMALL, FROM, HUMAN]
    given = [PlainRule(str(priority), priority, node, DISCARD) for priority, node in zip((10, 900, 20, 3), nodes, strict=True)]

    assert [(each.name, each.priority) for each in imported(exported(*given)[0])[0]] == [("900", 10), ("20", 10), ("10", 10), ("3", 3)]


def test_a_redirect_that_also_delivers_is_named() -> None:
    """Unless Discard follows, the first recipients get the message there, and not here."""
    alone = b'((5, away, (), (("Redirect To", "new@example.org"))))'
    both = b'((5, away, (), (("Redirect To", "new@example.org"), (Discard))))'
    assert ["Mirror to" in remark.text for remark in import_rules(alone)[1]] == [True]
    assert import_rules(both)[1] == []
