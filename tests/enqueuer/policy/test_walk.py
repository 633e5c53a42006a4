"""The walk: actions, macros, scopes, shadow, and the trail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.config.schema import ConfigError, load
from enqueuer.policy import rules
from enqueuer.policy.facts import Facts, SessionFacts
from enqueuer.policy.hiddenfilters import execute_name
from enqueuer.policy.outcome import Copy, Remembered, RuleOutcome, mark
from enqueuer.policy.rules import AskFilter, Disposition, Ruling
from enqueuer.policy.vocabulary import ACTIONS
from filterlink.wire.frames import AnswerKind, FilterAnswer

A, B, C = (b"%s@example.com" % name for name in (b"ann", b"bob", b"carl"))
HEADER = b"From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>\nSubject: hello\nMessage-ID: <1@x>\nReceived: by y\n"
BASE = """
routes = [{recipient = "*", to = "OUT"}]
[[filters]]
name = "Scan"
program = "scan"
[[filters]]
name = "Quiet"
program = "scan"
mode = "shadow"
"""
ENCODED = b"X-B: =?UTF-8?B?Wm/DqyA8em9lQGV4YW1wbGUub3JnPiBe?="
NOW = 1_800_000_000.0


def compiled(text: str) -> rules.Rules:
    return rules.compile(load((BASE + text).encode(), lists={}))


def rule(name: str, *actions: str, more: str = "") -> str:
    return f'[[rules]]\nname = "{name}"\n{more}\nactions = [{", ".join(actions)}]\n'


def facts(*recipients: bytes, **more: object) -> Facts:
    return Facts(100, b"zoe@example.org", recipients or (A, B, C), lambda: HEADER, id=7, now=NOW, **more)  # type: ignore[arg-type]


def walk(text: str, message: Facts | None = None, **answers: FilterAnswer) -> Ruling:
    found = rules.decide(compiled(text), message or facts(), answers)
    assert isinstance(found, Ruling), found
    return found


def only(text: str, message: Facts | None = None, **answers: FilterAnswer) -> RuleOutcome:
    found = walk(text, message, **answers).only
    assert found is not None
    return found


OK = FilterAnswer(AnswerKind.OK)
ANSWERS = {"Scan": OK, execute_name(1, "[FILE] true"): OK}
KNOWN = SessionFacts("SMTP [192.0.2.1]", "192.0.2.1", "zoe")
ENQUEUED = Disposition.ENQUEUED


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ('["Stop Processing"]', RuleOutcome(ENQUEUED, rule="R")),
        ('["Discard"]', RuleOutcome(Disposition.DISCARDED, "rule R", rule="R")),
        (
            '["Reject with", "no ^S for ^R"]',
            RuleOutcome(
                Disposition.REJECTED,
                "no hello for ann@example.com, bob@example.com, carl@example.com",
                rule="R",
                action=("Reject with", "no ^S for ^R"),
                report=True,
            ),
        ),
        ('["Quarantine", "odd"]', RuleOutcome(Disposition.QUARANTINED, "odd", rule="R", action=("Quarantine", "odd"))),
        (
            '["Hold for", "2h"]',
            RuleOutcome(Disposition.ON_HOLD, "rule R", rule="R", action=("Hold for", "2h"), until=NOW + 7200),
        ),
        ('["Hold for"]', RuleOutcome(Disposition.ON_HOLD, "rule R", rule="R", action=("Hold for",))),
        (
            '["Add Header", "X-A: ^Q\\\\eX-B: ^F ^^"]',
            RuleOutcome(ENQUEUED, fields=(b"X-A: 7", b"X-B: =?UTF-8?B?Wm/DqyA8em9lQGV4YW1wbGUub3JnPiBe?=")),
        ),
        ('["Tag Subject", "[EXT]"]', RuleOutcome(ENQUEUED, tags=("[EXT]",))),
        ('["Redirect To", "x@y.example, z@y.example"]', RuleOutcome(ENQUEUED, redirected=(b"x@y.example", b"z@y.example"))),
        ('["Route to", "SMTP(relay)"]', RuleOutcome(ENQUEUED, module="SMTP", queue="relay")),
    ],
)
def test_actions(action: str, expected: RuleOutcome) -> None:
    assert only(rule("R", action)) == expected


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ('["Mirror to", "x@y.example"]', {"copies": (Copy("R", b"x@y.example"),)}),
        ('["Forward to", "x@y.example"]', {"letters": ("forward", (b"x@y.example",), "")}),
        ('["Reply with", "thanks for ^S"]', {"letters": ("reply", (b"zoe@example.org",), "thanks for hello")}),
        ('["Remember \'From\' in", "#known"]', {"remembered": (Remembered("known", b"zoe@example.org"),)}),
        ('["Write To Log", "from ^E at ^T"]', {"texts": (("R", "from zoe@example.org at Fri, 15 Jan 2027 08:00:00 +0000"),)}),
    ],
)
def test_effects_are_carried_out_once(action: str, expected: dict[str, object]) -> None:
    """They are part of the outcome; an effect that another part of the message had is left out."""
    found = only(rule("R", action), facts(session=KNOWN))
    for name, value in expected.items():
        there = getattr(found, name)
        assert (there and (there[0].kind, there[0].recipients, there[0].text)) == value if name == "letters" else there == value
    assert len(found.done) == 1
    again = only(rule("R", action), facts(session=KNOWN, done=frozenset(found.done)))
    assert not any(getattr(again, name) for name in expected)


@pytest.mark.parametrize(
    ("action", "kept"), [('["Discard"]', True), ('["Quarantine"]', False), ('["Reject with"]', False), ('["Hold for"]', True)]
)
def test_effects_of_mail_that_does_not_go_on(action: str, kept: bool) -> None:
    found = only(rule("R", '["Mirror to", "x@y.example"]', action))
    assert bool(found.copies) is kept


def test_remembered_and_replied_are_only_proper_senders() -> None:
    assert not only(rule("R", '["Remember \'From\' in", "#known"]')).remembered
    bulk = Facts(1, b"zoe@example.org", (A,), lambda: b"Precedence: bulk\n", now=NOW)
    assert not only(rule("R", '["Reply with", "x"]'), bulk).letters


def test_discard_after_redirect_sends_to_the_new_recipients() -> None:
    assert only(rule("R", '["Redirect To", "x@y.example"]', '["Discard"]')).redirected == (b"x@y.example",)


def test_a_tag_is_there_once() -> None:
    for subject, tagged in ((b"[EXT] a", False), (b"Re: [EXT] a", False), (b"Fwd: Re: [EXT] a", False), (b"a [EXT]", True), (b"", True)):
        message = Facts(1, b"", (A,), lambda subject=subject: b"Subject: " + subject + b"\n")  # type: ignore[misc]
        assert bool(only(rule("R", '["Tag Subject", "[EXT]"]', '["Tag Subject", "[EXT]"]'), message).tags) is tagged


def test_later_rules_see_added_fields_and_the_new_route() -> None:
    first = rule("1", '["Add Header", "X-A: 1"]', '["Route to", "LATER"]', more="priority = 9")
    assert (
        only(first + rule("2", '["Discard"]', more='when = \'header("X-A") is 1 and any route is "LATER*"\'')).disposition
        is Disposition.DISCARDED
    )


def test_a_block_list_refuses_one_recipient_and_scans_once() -> None:
    """The message is asked about once, and splits by outcome."""
    block = rule("block", '["Reject with", "not ^S"]', more="scope = 'recipient'\npriority = 9\nwhen = 'any recipient is \"bob@*\"'")
    text = block + rule("scan", '["ExternalFilter", "Scan"]')
    assert rules.decide(compiled(text), facts(), {}) == AskFilter("Scan")
    refused, passed = walk(text, Scan=OK).outcomes
    assert (refused.disposition, refused.recipients) == (Disposition.REJECTED, (B,))
    assert (passed.disposition, passed.recipients) == (ENQUEUED, (A, C))


def test_a_rule_without_scope_acts_on_the_whole_message() -> None:
    found = only(rule("block", '["Reject with"]', more="when = 'any recipient is \"bob@*\"'"))
    assert (found.disposition, found.recipients) == (Disposition.REJECTED, None)


def test_a_message_without_recipients_meets_rules() -> None:
    """An HTTP client may ask about one. Its rules must not be passed over."""
    nobody = Facts(5, b"a@b", ())
    for scope in ("message", "recipient"):
        found = only(rule("r", '["Quarantine", "odd"]', more=f'scope = "{scope}"'), nobody)
        assert found.disposition is Disposition.QUARANTINED
    assert only(rule("r", '["Quarantine"]', more="when = 'any recipient is \"x@y\"'"), nobody).disposition is Disposition.ENQUEUED


def test_each_effect_of_a_split_message_is_carried_out_once() -> None:
    """The part that is deferred notes what the other part has done."""
    mirror = rule("copy", '["Mirror to", "x@y.example"]', more="priority = 9")
    split = rule("scan", '["ExternalFilter", "Scan"]', more="scope = 'recipient'\nwhen = 'any recipient is \"bob@*\"'")
    passed, deferred = walk(mirror + split, Scan=FilterAnswer(AnswerKind.REJECTED, "later")).outcomes[::-1]
    assert (deferred.recipients, deferred.disposition, deferred.copies) == ((B,), Disposition.DEFERRED, ())
    assert len(passed.copies) == 1
    assert deferred.done == (mark("copy", "Mirror to", "x@y.example"),)


def test_outcomes_that_are_alike_are_one() -> None:
    """Recipients with the same outcome share it, in the order of the envelope."""
    one = rule("1", '["Add Header", "X-A: 1"]', more="scope = 'recipient'\npriority = 9\nwhen = 'any recipient is \"bob@*\"'")
    other = rule("2", '["Add Header", "X-A: 1"]', more="scope = 'recipient'\nwhen = 'not any recipient is \"bob@*\"'")
    found = only(one + other)
    assert (found.fields, found.recipients) == ((b"X-A: 1",), None)


def test_too_many_outcomes_are_bad() -> None:
    """Each may be a copy of the message."""
    text = "".join(
        rule(f"r{n}", f'["Add Header", "X-{n}: 1"]', more=f"scope = 'recipient'\nwhen = 'any recipient is \"*{n}*\"'") for n in range(10)
    )
    many = tuple(b"%d@example.com" % n for n in range(1000, 2000))
    assert only(text, facts(*many)).disposition is Disposition.BAD


def test_shadow_changes_nothing() -> None:
    """The rule is counted, and says what it would have done; so does the filter."""
    shadow = rule("S", '["Reject with", "no"]', more="mode = 'shadow'\npriority = 9")
    found = walk(shadow + rule("Q", '["ExternalFilter", "Quiet"]'), Quiet=FilterAnswer(AnswerKind.ERROR, "spam", (b"X-Spam: 1",)))
    assert found.only == RuleOutcome(ENQUEUED, texts=(("Q", "shadow filter Quiet would have decided quarantined: spam"),))
    assert found.met == (0, 1)
    assert found.would == (("S", 'would have done Reject with "no" for ann@example.com, bob@example.com, carl@example.com'),)


def test_a_released_message_goes_on_after_the_action() -> None:
    text = rule("R", '["Hold for", "1h"]', '["Add Header", "X-A: 1"]')
    held = only(text)
    found = rules.decide(compiled(text), facts(), {}, mark("R", *held.action))
    assert isinstance(found, Ruling)
    assert found.only == RuleOutcome(ENQUEUED, fields=(b"X-A: 1",))


@pytest.mark.parametrize(
    ("on_failure", "expected"), [("", Disposition.DEFERRED), ("pass", ENQUEUED), ("quarantine", Disposition.QUARANTINED)]
)
def test_facts_that_the_worker_cannot_find_out(on_failure: str, expected: Disposition) -> None:
    """on_failure of the rule decides; by default the message is deferred."""
    text = rule("R", '["Discard"]', more=f"when = 'any attachment_name is \"*.exe\"'\non_failure = '{on_failure}'")
    found = rules.decide(compiled(text), facts(), {"#facts": FilterAnswer(AnswerKind.TIMEOUT)})
    assert isinstance(found, Ruling)
    assert found.outcomes[0].disposition is expected


def test_the_trail_says_what_did_not_hold() -> None:
    text = rule("1", '["Discard"]', more="priority = 9\nwhen = 'size < 1K and subject is \"bye\"'") + rule("2", '["Reject with", "no"]')
    assert rules.explain(compiled(text), facts(), {}) == (
        'rule "1": not met: subject is "bye" (it is "hello")',
        'rule "2": met',
        "rejected: no",
    )


def test_macros_inject_nothing() -> None:
    """Line ends, controls, marks of direction and length: what a macro inserts is one line."""
    subject = b"a\r\n\tBcc: x\x00\x1b[31m\xe2\x80\xae" + b"x" * 5000
    message = Facts(1, b"zoe@example.org", (A,), lambda: b"Subject: " + subject + b"\n")
    (field,) = only(rule("R", '["Add Header", "X-S: ^S"]'), message).fields
    assert len(field) < 600
    assert not any(byte < 32 or byte > 126 for byte in field)


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ('["Add Header", "no field"]', "not a header field"),
        ('["Add Header", "X-A: 1\\nno field"]', "not a header field"),
        ('["Mirror to", "nobody"]', "not an address"),
        ('["Redirect To", "-x@y"]', "not an address"),
        ('["Route to", "out"]', "not a module"),
        ('["Hold until", "later"]', "not a date"),
        ('["Hold for", "0s"]', "duration"),
        ('["Hold for", "2 hours"]', '"2 hours": write a duration of 1s to 3650d, e.g. "2h", or leave it out'),
        ('["Hold for", "never"]', '"never": write a duration'),
        ('["Remember \'From\' in", "known"]', "not a list"),
        ('["Execute", ""]', "names no program"),
        ('["Tag Subject", ""]', "1 to 100"),
        ('["Discard", "x"]', "takes no parameter"),
        ('["Reject"]', 'did you mean "Reject with"'),
        ('["Store in", "INBOX"]', 'rules of an account.*use "Route to"'),
        ('["ExternalFilter", "Scam"]', "no filter is named"),
        ('["Reply with"]', r"write \[\"Reply with\", \"text\"\]"),
    ],
)
def test_a_wrong_action_names_rule_and_cure(action: str, error: str) -> None:
    with pytest.raises(ConfigError, match=f'rule "R": action.*{error}'):
        compiled(rule("R", action))


def test_each_action_is_tested_above() -> None:
    import inspect
    import sys

    text = inspect.getsource(sys.modules[__name__])
    assert all(f'"{name}' in text or f"{name}".replace("'", "\\'") in text for name in ACTIONS)


@given(
    header=st.binary(max_size=300),
    sender=st.binary(max_size=30),
    recipients=st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=5, unique=True),
)
def test_no_message_is_an_error(header: bytes, sender: bytes, recipients: list[bytes]) -> None:
    """What the check accepts walks through any message: here with each condition and each action at once."""
    found = rules.decide(EVERYTHING, Facts(1, sender, recipients, lambda: header, now=NOW), ANSWERS)
    assert isinstance(found, Ruling | AskFilter)
    rules.explain(EVERYTHING, Facts(1, sender, recipients, lambda: header, now=NOW), ANSWERS)


EVERYTHING = compiled(
    "".join(
        rule(f"{scope}{n}", '["Add Header", "X-N: ^S ^F ^E ^I ^R ^T ^Q"]', more=f"when = '{when}'\nscope = '{scope}'")
        for scope in ("message", "recipient")
        for n, when in enumerate(
            (
                'from is "*a*" or sender not in "b" or to is "c" or cc is "d" or reply_to is "e"',
                'any to_or_cc is "*x*" or each to_or_cc is not "*"',
                'from_name is "*" and subject is not "x" and message_id is "*@*"',
                'human or header("Subject") is "*" or header("X-N") is "*"',
                'any recipient is "*a*" or each route is "OUT(*"',
                'source is "" and submit_address is "P*" and security is "" and client is not "10.0.0.0/8"',
                'date is "*" and day is "*" and time_of_day < "23:00"',
                'verdict("Scan") is "ok" or score("Scan") > 1 or attempts is 0',
            )
        )
    )
    + rule("e", '["Execute", "[FILE] true"]', '["ExternalFilter", "Scan"]', '["Tag Subject", "[x]"]', '["Mirror to", "a@b.example"]')
    + rule("f", '["Reply with", "+Subject: ^S\\n\\n^F"]', '["Forward to", "a@b.example"]', '["Hold until", "12:00"]')
)


BOB_WAITS = "scope = 'recipient'\nwhen = 'any recipient is \"bob@*\"'"
LATER = FilterAnswer(AnswerKind.REJECTED, "later")
MARK = mark("copy", "Mirror to", "x@y.example")
MIRROR = rule("copy", '["Mirror to", "x@y.example"]', more="priority = 9")


def test_a_part_that_does_not_go_on_has_done_nothing() -> None:
    """Its copies are not sent. So a part that is deferred must not leave them out later."""
    kept = rule("keep", '["Quarantine"]', more=f"priority = 8\n{BOB_WAITS}")
    text = MIRROR + kept + rule("scan", '["ExternalFilter", "Scan"]')
    found = {each.disposition: each for each in walk(text, Scan=LATER).outcomes}
    assert (found[Disposition.QUARANTINED].copies, found[Disposition.DEFERRED].done) == ((), ())


def test_a_part_on_hold_does_not_repeat_what_others_did() -> None:
    hold = rule("wait", '["Hold for", "1h"]', more=f"priority = 10\n{BOB_WAITS}")
    found = {each.disposition: each for each in walk(hold + MIRROR).outcomes}
    assert len(found[ENQUEUED].copies) == 1
    assert found[Disposition.ON_HOLD].done == (MARK,)


def test_what_a_filter_adds_is_added_once() -> None:
    """A part that is deferred keeps the answer, and must not add its copies and recipients again."""
    both = BASE + '[[filters]]\nname = "Other"\nprogram = "scan"\n'
    text = rule("scan", '["ExternalFilter", "Scan"]', more="priority = 9") + rule("more", '["ExternalFilter", "Other"]', more=BOB_WAITS)
    answers = {"Scan": FilterAnswer(AnswerKind.OK, routes=(b"r@x.example",), copies=(b"c@x.example",)), "Other": LATER}
    policy = rules.compile(load((both + text).encode(), lists={}))
    found = rules.decide(policy, facts(), answers)
    assert isinstance(found, Ruling)
    passed = next(each for each in found.outcomes if each.disposition is ENQUEUED)
    rest = next(each for each in found.outcomes if each.disposition is Disposition.DEFERRED)
    assert (passed.routes, passed.copies) == ((b"r@x.example",), (Copy("Scan", b"c@x.example"),))
    again = rules.decide(policy, facts(B, done=frozenset(rest.done)), answers | {"Other": OK})
    assert isinstance(again, Ruling)
    assert (again.outcomes[0].routes, again.outcomes[0].copies) == ((), ())


def test_effects_alone_do_not_split_a_message() -> None:
    """200 users with a copy each: one outcome with 200 copies, and not too many outcomes."""
    text = "".join(
        rule(f"r{n}", f'["Mirror to", "{n}@y.example"]', more=f"scope = 'recipient'\nwhen = 'any recipient is \"{n}@example.com\"'")
        for n in range(200)
    )
    found = only(text, facts(*(b"%d@example.com" % n for n in range(200))))
    assert (found.disposition, len(found.copies), len(found.done)) == (ENQUEUED, 200, 200)


def test_parts_that_wait_for_different_filters_are_one_message() -> None:
    """Nothing was done yet, so the whole message is deferred."""
    both = BASE + '[[filters]]\nname = "Other"\nprogram = "scan"\n'
    text = rule("more", '["ExternalFilter", "Other"]', more=f"priority = 9\n{BOB_WAITS}") + rule("scan", '["ExternalFilter", "Scan"]')
    found = rules.decide(rules.compile(load((both + text).encode(), lists={})), facts(), {"Scan": LATER, "Other": LATER})
    assert isinstance(found, Ruling)
    assert found.only is not None
    assert (found.only.disposition, found.only.recipients) == (Disposition.DEFERRED, None)


@pytest.mark.parametrize("action", ['["Hold for"]', '["Quarantine"]'])
def test_a_message_that_is_kept_goes_on_as_it_was(action: str) -> None:
    """Redirect To and Route to before the action hold after a release."""
    text = rule("R", '["Redirect To", "x@y.example"]', '["Route to", "LATER(night)"]', action)
    found = only(text)
    assert (found.redirected, found.module, found.queue) == ((b"x@y.example",), "LATER", "night")
    after = rules.decide(compiled(text), facts(b"x@y.example", route="LATER(night)"), {}, mark("R", *found.action))
    assert isinstance(after, Ruling)
    assert after.only == RuleOutcome(ENQUEUED, module="LATER", queue="night")


def test_a_subject_begins_no_header_of_a_reply() -> None:
    """Only the text of the rule says with "+" that header lines follow."""
    message = Facts(1, b"zoe@example.org", (A,), lambda: b"Subject: +Reply-To: evil@x.example\n")
    (letter,) = only(rule("R", '["Reply with", "^S\\n\\nthanks"]'), message).letters
    assert not letter.text.startswith("+")


def test_only_what_is_about_recipients_is_tried_for_each() -> None:
    """With 50,000 recipients and a header of 4 MiB, a condition about the header would take hours."""
    asked: list[str] = []

    def remembered(name: str) -> tuple[str, ...]:
        asked.append(name)
        return ()

    remember = rule("1", '["Remember \'From\' in", "#known"]', more="priority = 9")
    refuse = rule("2", '["Discard"]', more="scope = 'recipient'\nwhen = 'not from in #known and any recipient is \"b*\"'")
    many = tuple(b"%d@example.com" % n for n in range(100))
    walk(remember + refuse, facts(*many, remembered=remembered))
    assert asked == ["known"]


def test_too_many_branches_are_bad() -> None:
    """Each rule would be tried for each of them."""
    text = "".join(
        rule(f"r{n}", '["ExternalFilter", "Scan"]', more=f"scope = 'recipient'\nwhen = 'any recipient is \"*{chr(97 + n)}*\"'")
        for n in range(11)
    )
    names = (b"%s@x" % bytes(97 + bit for bit in range(11) if n >> bit & 1) for n in range(1, 2048))
    found = only(text, facts(*names), Scan=OK)
    assert (found.disposition, found.recipients) == (Disposition.BAD, None)


def test_a_rule_on_the_whole_message_holds_for_each_part_of_it() -> None:
    """A part that was deferred is tried with all recipients of the message, and its own ones get the outcome."""
    text = rule("keep", '["Quarantine"]', more="when = 'any recipient is \"ann@*\"'")
    part = facts(C, session=SessionFacts(others=(A, B)))
    assert only(text, part).disposition is Disposition.QUARANTINED
    assert only(text.replace("when", "scope = 'recipient'\nwhen"), part).disposition is ENQUEUED


def test_a_rule_that_several_parts_meet_counts_once() -> None:
    text = rule("1", '["Add Header", "X-A: 1"]', more=f"priority = 9\n{BOB_WAITS}") + rule("2", '["Discard"]', more="mode = 'shadow'")
    assert walk(text).met == (0, 1)


def test_the_answer_of_a_program_is_not_that_of_another_one() -> None:
    """The rules may change while a message waits. A program whose rule takes the place of another must not count as run."""
    scan = rule("scan", '["Execute", "scan-mail"]')
    asked = rules.decide(compiled(rule("archive", '["Execute", "archive"]', more="priority = 9") + scan), facts(), {})
    assert isinstance(asked, AskFilter)
    found = rules.decide(compiled(scan), facts(), {asked.filter: OK})
    assert isinstance(found, AskFilter)


@pytest.mark.parametrize(
    ("sender", "field"),
    [
        (b"zoe@x", b"List-Id: <l.x>"),
        (b"zoe@x", b"X-Auto-Response-Suppress: OOF, AutoReply"),
        (b"MAILER-DAEMON@x", b"X-A: b"),
        (b"list-bounces@x", b"X-A: b"),
        (b"owner-list@x", b"X-A: b"),
    ],
)
def test_lists_and_programs_get_no_reply(sender: bytes, field: bytes) -> None:
    assert not only(rule("R", '["Reply with", "x"]'), Facts(1, sender, (A,), lambda: field + b"\n", now=NOW)).letters


def test_a_rule_does_not_forward_what_it_forwarded() -> None:
    """Two rules that forward all mail would double it at each hop. A field of a stranger stops nothing."""
    header = b"X-Enqueuer-Trace: other\nX-Enqueuer-Trace: R\n"
    for source, count in (("SRULE", 0), ("SMTP [192.0.2.1]", 1)):
        message = Facts(1, b"", (A,), lambda: header, now=NOW, session=SessionFacts(source))
        assert len(only(rule("R", '["Forward to", "x@y.example"]'), message).letters) == count


@pytest.mark.parametrize(("account", "refused"), [("", (B,)), ("zoe", None)])
def test_a_stranger_does_not_choose_the_address_that_rules_see(account: str, refused: tuple[bytes, ...] | None) -> None:
    """ORCPT is a parameter of the sender. Of a known one it is the address before aliases."""
    session = SessionFacts("SMTP [192.0.2.1]", "192.0.2.1", account, orcpt={B: b"other@x"})
    found = walk(rule("block", '["Reject with"]', more=BOB_WAITS), facts(session=session)).outcomes
    assert next((each.recipients for each in found if each.disposition is Disposition.REJECTED), None) == refused


@pytest.mark.parametrize("action", ['["Hold for", "1h"]', '["Hold for"]', '["Quarantine"]', '["Quarantine", "x"]'])
def test_the_same_hold_twice_is_refused(action: str) -> None:
    """A released message goes on after the first action with this mark: it would be kept again each time."""
    with pytest.raises(ConfigError, match=r'rule "R": action ".*" is there twice'):
        compiled(rule("R", action, '["Add Header", "X-A: 1"]', action))
