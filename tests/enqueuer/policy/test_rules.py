"""Rules: what they ask, and what follows from the verdicts."""

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.config.schema import Config, load
from enqueuer.policy import rules
from enqueuer.policy.facts import Facts, SessionFacts
from enqueuer.policy.outcome import Copy, mark
from enqueuer.policy.rules import AskFilter, Disposition, RuleOutcome
from enqueuer.policy.tree import Node
from enqueuer.policy.when import print_when
from filterlink.config.settings import Filter
from filterlink.protocol import partfacts
from filterlink.protocol.partfacts import PartFacts, to_field
from filterlink.wire.frames import AnswerKind, FilterAnswer, VerdictFrame
from tests.helpers.trees import nodes

FACTS = Facts(20_000, b"ann@example.com", (b"bob@example.com",))
TWO = """
filters = [{name = "A", program = "a"}, {name = "B", program = "b"}]
routes = [{recipient = "*", to = "OUT"}]
"""
BOTH = TWO + '[[rules]]\nname = "both"\nactions = [["ExternalFilter", "A"], ["ExternalFilter", "B"]]\n'


def config(text: str) -> Config:
    return load(text.encode())


def decide(text: str, *verdicts: VerdictFrame, facts: Facts = FACTS) -> AskFilter | RuleOutcome:
    found = rules.decide(rules.compile(config(text)), facts, {verdict.filter: verdict.answer for verdict in verdicts})
    if isinstance(found, AskFilter):
        return found
    assert found.only is not None
    return found.only


def says(filter: str, kind: AnswerKind, text: str = "", *fields: bytes) -> VerdictFrame:
    return VerdictFrame(1, 1, filter, FilterAnswer(kind, text, fields))


def test_no_rule_asks_nobody() -> None:
    """An enabled filter does nothing until a rule names it."""
    assert decide(TWO + "rules = []") == RuleOutcome(Disposition.ENQUEUED)


def test_decide_goes_on_with_one_more_verdict() -> None:
    """Each verdict leads one step further, and none is asked for twice."""
    ok = says("A", AnswerKind.OK)

    assert decide(BOTH) == AskFilter("A")
    assert decide(BOTH, ok) == AskFilter("B")
    assert decide(BOTH, ok, says("B", AnswerKind.OK)) == RuleOutcome(Disposition.ENQUEUED)
    assert decide(BOTH, says("B", AnswerKind.OK)) == AskFilter("A")


def test_fields_gather_newest_on_top() -> None:
    """What the later filter adds stands above what the earlier added, once each."""
    text = BOTH + '[[rules]]\nname = "again"\npriority = 1\nactions = [["ExternalFilter", "A"]]\n'

    assert decide(text, says("A", AnswerKind.OK, "", b"X-A: 1"), says("B", AnswerKind.OK, "", b"X-B: 1", b"X-B: 2")) == RuleOutcome(
        Disposition.ENQUEUED, fields=(b"X-B: 1", b"X-B: 2", b"X-A: 1")
    )


def test_added_recipients_and_copies_are_told_apart() -> None:
    """Of copies also who wants them, for the trace."""
    said = VerdictFrame(1, 1, "A", FilterAnswer(AnswerKind.OK, routes=(b"r",), copies=(b"c",)))

    done = mark("A", "MIRRORTO"), mark("A", "ADDROUTE")
    assert decide(BOTH, said, says("B", AnswerKind.OK)) == RuleOutcome(
        Disposition.ENQUEUED, routes=(b"r",), copies=(Copy("A", b"c"),), done=done
    )


@pytest.mark.parametrize(
    ("kind", "disposition"),
    [(AnswerKind.ERROR, Disposition.QUARANTINED), (AnswerKind.REJECTED, Disposition.DEFERRED), (AnswerKind.DISCARD, Disposition.DISCARDED)],
)
def test_a_deciding_verdict_ends_it(kind: AnswerKind, disposition: Disposition) -> None:
    """The remaining rules are not run, and the outcome says by whom and why."""
    assert decide(BOTH, says("A", kind, "because")) == RuleOutcome(disposition, "because", "A", "both")


@pytest.mark.parametrize("kind", [AnswerKind.TIMEOUT, AnswerKind.UNAVAILABLE])
@pytest.mark.parametrize(
    ("on_failure", "disposition"),
    [("defer", Disposition.DEFERRED), ("quarantine", Disposition.QUARANTINED), ("reject", Disposition.REJECTED), ("pass", None)],
)
def test_no_verdict_means_what_on_failure_says(kind: AnswerKind, on_failure: str, disposition: Disposition | None) -> None:
    """on_failure covers the time-out and the filter that cannot start."""
    text = BOTH.replace('"a"}', f'"a", on_failure = "{on_failure}"}}')
    found = decide(text, says("A", kind, "no answer"))

    assert found == (AskFilter("B") if disposition is None else RuleOutcome(disposition, "no answer", "A", "both"))


@pytest.mark.parametrize("kind", [AnswerKind.TIMEOUT, AnswerKind.UNAVAILABLE])
@pytest.mark.parametrize("own", ["defer", "pass", "quarantine", "reject"])
@pytest.mark.parametrize(
    ("on_failure", "disposition"),
    [("defer", Disposition.DEFERRED), ("quarantine", Disposition.QUARANTINED), ("reject", Disposition.REJECTED), ("pass", None)],
)
def test_a_rule_has_the_last_word_on_failure(kind: AnswerKind, own: str, on_failure: str, disposition: Disposition | None) -> None:
    """Whatever the filter's own on_failure says; a rule that says nothing leaves it at that."""
    text = BOTH.replace('"a"}', f'"a", on_failure = "{own}"}}')
    ruled = text.replace('name = "both"', f'name = "both"\non_failure = "{on_failure}"')
    found = decide(ruled, says("A", kind, "no answer"))

    assert found == (AskFilter("B") if disposition is None else RuleOutcome(disposition, "no answer", "A", "both"))
    if own == on_failure:
        assert decide(text, says("A", kind, "no answer")) == found


def test_what_one_rule_lets_pass_another_may_hold() -> None:
    """A filter is asked once, but each rule that asks it says what its silence means; what it said counts once."""
    text = TWO + '[[rules]]\nname = "lax"\npriority = 9\non_failure = "pass"\nactions = [["ExternalFilter", "A"]]\n'
    strict = text + '[[rules]]\nname = "strict"\nactions = [["ExternalFilter", "A"]]\n'
    silent = says("A", AnswerKind.TIMEOUT, "no answer")

    assert decide(text, silent) == RuleOutcome(Disposition.ENQUEUED, "passed by A: no answer")
    assert decide(strict, silent) == RuleOutcome(Disposition.DEFERRED, "no answer", "A", "strict")
    assert decide(text + text.removeprefix(TWO).replace("lax", "too"), silent) == RuleOutcome(
        Disposition.ENQUEUED, "passed by A: no answer"
    )


def test_a_failure_always_passes_and_is_told() -> None:
    """The verdict FAILURE is no dead filter: the message goes on, whatever on_failure says, and the reason stays."""
    assert decide(BOTH, says("A", AnswerKind.FAILURE, "no base"), says("B", AnswerKind.OK)) == RuleOutcome(
        Disposition.ENQUEUED, "passed by A: no base"
    )


def test_a_disabled_filter_does_nothing() -> None:
    """Not even a verdict that it gave before counts."""
    text = BOTH.replace('"a"}', '"a", enabled = false}')

    assert decide(text, says("A", AnswerKind.ERROR, "virus")) == AskFilter("B")


def test_higher_priority_goes_first_and_zero_is_off() -> None:
    """Equal ones go in the order of the file."""
    lines = [("low", 1, "A"), ("off", 0, "A"), ("first", 9, "B"), ("second", 9, "A")]
    text = TWO + "".join(f'[[rules]]\nname = "{name}"\npriority = {n}\nactions = [["ExternalFilter", "{f}"]]\n' for name, n, f in lines)

    assert [rule.name for rule in rules.compile(config(text)).active] == ["first", "second", "low"]
    assert decide(text) == AskFilter("B")


@pytest.mark.parametrize(
    ("condition", "size", "holds"),
    [("greater than", 10_241, True), ("greater than", 10_240, False), ("less than", 10_239, True), ("less than", 10_240, False)],
)
def test_message_size(condition: str, size: int, holds: bool) -> None:
    """10K itself is neither greater nor less than 10K."""
    text = TWO + f'[[rules]]\nname = "R"\nconditions = [["Message Size", "{condition}", "10K"]]\nactions = [["Discard"]]\n'

    assert (decide(text, facts=Facts(size, b"", (b"bob@example.com",))) == RuleOutcome(Disposition.DISCARDED, "rule R", rule="R")) is holds


def test_all_conditions_must_hold() -> None:
    """Two conditions make a range."""
    conditions = '[["Message Size", "greater than", "1K"], ["Message Size", "less than", "2K"]]'
    text = TWO + f'[[rules]]\nname = "R"\nconditions = {conditions}\nactions = [["ExternalFilter", "A"]]\n'

    assert decide(text, facts=Facts(1500, b"", (b"bob@example.com",))) == AskFilter("A")
    assert decide(text, facts=Facts(3000, b"", (b"bob@example.com",))) == RuleOutcome(Disposition.ENQUEUED)


def test_stop_processing_ends_all_rules() -> None:
    """What follows, in this rule and in others, is not run; what was added stays."""
    text = TWO + '[[rules]]\nname = "R"\nactions = [["ExternalFilter", "A"], ["Stop Processing"], ["Discard"]]\n'
    text += '[[rules]]\nname = "later"\npriority = 1\nactions = [["Discard"]]\n'

    assert decide(text, says("A", AnswerKind.OK, "", b"X: 1")) == RuleOutcome(Disposition.ENQUEUED, rule="R", fields=(b"X: 1",))


def test_conditions_and_when_must_both_hold() -> None:
    """One row alone counts, too."""
    rule = rules.Rule(name="R", conditions=(("Human Generated",),), when="size < 10K or size > 1M", actions=())

    assert print_when(rule.node) == "human and (size is less than 10K or size is greater than 1M)"


FIELDS = [
    b"From: =?utf-8?q?=C3=A9?= <a@b>\n",
    b'To: a@b, "x" <c@d>;\n',
    b"Subject: =?x?b?!?=\n",
    b"X-Spam: yes\n\tfolded\n",
    b"no field\n",
    b": \n",
    b"Message-ID: <\xff>\n",
    b"Precedence: bulk\n",
]
HEADERS = st.binary(max_size=60) | st.lists(st.sampled_from(FIELDS), max_size=6).map(b"".join)
ADDRESSES = st.binary(max_size=8) | st.sampled_from([b"a@b", b"", b"A@B", b"\xff@b"])


@given(nodes(), HEADERS, ADDRESSES, st.lists(ADDRESSES, max_size=3, unique=True), st.sampled_from(AnswerKind), st.floats(0, 4e9))
def test_what_the_check_accepts_never_raises(
    node: Node, header: bytes, sender: bytes, recipients: list[bytes], kind: AnswerKind, now: float
) -> None:
    """On any message, with any answers; nor does its explanation."""
    rule = rules.Rule(name="R", when=print_when(node), scope="recipient", actions=(("Add Header", "X: ^S^F^E^I^R^T^Q"), ("Discard",)))
    source = CheckedSource((rule,))
    try:
        compiled = rules.compile(source)
    except ValueError as error:
        text = str(error)
    else:
        answers = {
            "X-Spam": FilterAnswer(kind, "score 5"),
            partfacts.FACTS: FilterAnswer(kind, "", (to_field(PartFacts(("a.exe",), ("x/y",))),)),
        }
        facts = Facts(1000, sender, recipients, lambda: header, now=now, session=SessionFacts("SMTP [::1]", "::1", "ann", "TLSv1.3"))
        rules.decide(compiled, facts, answers)
        text = "".join(rules.explain(compiled, facts, answers))

    assert "\n" not in text


class CheckedSource(msgspec.Struct, frozen=True):
    rules: tuple[rules.Rule, ...]
    filters: tuple[Filter, ...] = (Filter(name="X-Spam", program="x"),)
    lists: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: {"partners": ("a@b", "*")})
