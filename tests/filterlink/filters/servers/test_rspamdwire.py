import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterlink.filters.runtime.envelope import FilterEnvelope
from filterlink.filters.runtime.verdict import Verdict, discard, error, header, ok, rejected
from filterlink.filters.servers.rspamdwire import MAX_RCPT, ActionRules, BadResult, RspamdResult, read_result, request, verdict

YOUNG = 1.0
OLD = 1000.0


def result(action: str, score: float = 7.0, **more: Any) -> RspamdResult:
    symbols = {"A": {"name": "A", "score": score, "metric_score": score}, "B": {"score": -1, "options": ["x"]}}
    more = {name.replace("dkim_", "dkim-"): value for name, value in more.items()}
    return read_result(json.dumps({"action": action, "score": score, "required_score": 15.0, "symbols": symbols, **more}).encode())


def test_a_question() -> None:
    """With everything that the envelope says."""
    envelope = FilterEnvelope(b"a@b", (b"c@d", b"e@f"), b"u@v", "192.0.2.1")

    assert request(7, envelope, b"17", b"secret").split(b"\r\n") == [
        *(b"POST /checkv2 HTTP/1.0", b"Host: rspamd", b"Content-Length: 7", b"Queue-Id: 17", b"From: <a@b>"),
        *(b"Rcpt: <c@d>", b"Rcpt: <e@f>", b"IP: 192.0.2.1", b"User: u@v", b"Password: secret", b"", b""),
    ]
    assert b"From: <>\r\n" in request(7, FilterEnvelope(b""), b"17")
    assert b"\r\nQueue-Id: 4F2\r\n" in request(7, FilterEnvelope(queue_id=b"4F2"), b"17")
    assert request(7, FilterEnvelope(), b"17").split(b"\r\n")[3:] == [b"Queue-Id: 17", b"", b""]
    assert request(7, FilterEnvelope(None, (b"c@d",) * 50_000), b"17").count(b"Rcpt:") == MAX_RCPT


def test_the_client_in_a_question() -> None:
    """Its host name and HELO, where they are known."""
    said = request(7, FilterEnvelope(peer="192.0.2.1", name=b"mx.example", helo=b"[192.0.2.1]"), b"17").split(b"\r\n")

    assert said[4:-2] == [b"IP: 192.0.2.1", b"Hostname: mx.example", b"Helo: [192.0.2.1]"]


SUMMARY = "X-Spamd-Result: default: True [7.00 / 15.00];\n\tA(7.00);\n\tB(-1.00)"


@pytest.mark.parametrize(
    ("action", "more", "expected"),
    [
        ("no action", {}, ok()),
        ("reject", {}, error("spam: score 7.0 of 15.0 (A)")),
        ("reject", {"messages": {"smtp_message": "go away"}}, error("go away")),
        ("quarantine", {}, error("spam: score 7.0 of 15.0 (A)")),
        ("discard", {}, discard()),
        ("soft reject", {}, rejected("rspamd: try again later")),
        ("soft reject", {"messages": {"smtp_message": "come again"}}, rejected("come again")),
        ("greylist", {}, rejected("rspamd: greylisted, score 7.0")),
        ("add header", {}, header(("X-Spam: Yes", SUMMARY))),
        ("rewrite subject", {"subject": "[spam] x"}, header(("X-Spam: Yes", "X-Spam-Subject: [spam] x", SUMMARY))),
        ("rewrite subject", {"subject": "x\nX-Y: z"}, header(("X-Spam: Yes", "X-Spam-Subject: x\n\tX-Y: z", SUMMARY))),
        ("tag", {}, Verdict("REJECTED", "rspamd asks for the unknown action tag")),
    ],
)
def test_each_action(action: str, more: dict[str, Any], expected: Verdict) -> None:
    """Has its verdict."""
    assert expected == verdict(result(action, **more), YOUNG, ActionRules())


def test_bytes_of_a_client_in_a_result_are_no_fault_of_rspamd() -> None:
    """It repeats what a client or a message said, which need not be UTF-8. That must not look like an outage."""
    assert read_result(b'{"action": "reject", "messages": {"smtp_message": "HELO \xff\xc3"}}').action == "reject"


def test_greylisting_is_not_for_ever() -> None:
    """A queue does not prove, by offering it again, that a message is good: it goes on when it has waited."""
    assert verdict(result("greylist"), OLD, ActionRules()) == ok()
    assert verdict(result("greylist"), 0.0, ActionRules(greylist=0)) == ok()
    assert verdict(result("soft reject"), OLD, ActionRules()).word == "REJECTED"


def test_the_result_may_be_had_for_all() -> None:
    """Also of clean messages."""
    expected = header(("X-Spamd-Result: default: False [0.00 / 15.00];\n\tB(-1.00);\n\tA(0.00)",))

    assert expected == verdict(result("no action", 0.0), YOUNG, ActionRules(result_for_all=True))


def test_fields_that_rspamd_asks_for() -> None:
    """In each form that it writes them, folded as they are; none of ours is added a second time; nothing is injected."""
    added = {
        "X-One": "1",
        "X-Two": {"value": "2", "order": 1},
        "X-Three": [{"value": "3", "order": 0}, "4"],
        "x-spam": {"value": "Yes"},
        "X-Fold": "a\r\n\tb\nBcc: c\rBcc: d\n",
        "X-None": None,
        "Bad Name": "x",
        "X-Bad\nBcc": "x",
    }
    found = verdict(
        result("add header", milter={"add_headers": added, "remove_headers": {"X": 1}}, dkim_signature="v=1"), YOUNG, ActionRules()
    )

    expected = ("X-One: 1", "X-Two: 2", "X-Three: 3", "X-Three: 4", "x-spam: Yes", "X-Fold: a\n\tb\n\tBcc: c Bcc: d", "DKIM-Signature: v=1")
    assert found == header((*expected, SUMMARY))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"action": 1}', b'{"action":"reject","score":"x"}', b"\xff", b'{"error":"x"}'])
def test_what_is_no_result(body: bytes) -> None:
    """Is said so."""
    with pytest.raises(BadResult):
        read_result(body)


ANY = st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)
)


@given(milter=ANY, headers=ANY, messages=ANY, signature=ANY)
def test_odd_forms_harm_nobody(milter: Any, headers: Any, messages: Any, signature: Any) -> None:
    """What has many forms in many versions is taken where it is understood, and no field ever holds two."""
    for part in (milter, {"add_headers": headers}):
        found = verdict(result("add header", milter=part, messages=messages, dkim_signature=signature), YOUNG, ActionRules())
        assert found.word == "ADDHEADER"
        assert all(line.startswith("\t") for field in found.fields for line in field.split("\n")[1:])


@pytest.mark.parametrize(("choice", "word"), [("defer", "REJECTED"), ("error", "ERROR"), ("pass", "FAILURE")])
def test_an_unknown_action_passes_nothing_by_itself(choice: str, word: str) -> None:
    assert verdict(RspamdResult("tag"), 0, ActionRules(unknown_action=choice)).word == word


def test_a_server_with_all_actions_off_has_no_scores() -> None:
    """It says null then."""
    result = read_result(b'{"action": "no action", "score": null, "required_score": null, "symbols": {"A": {"score": null}}}')

    assert verdict(result, 0, ActionRules(result_for_all=True)).fields == ("X-Spamd-Result: default: False [0.00 / 0.00];\n\tA(0.00)",)
    assert verdict(RspamdResult("reject", None, None), 0, ActionRules()).text == "spam: score 0.0 of 0.0"


def test_a_hundred_thousand_brackets_are_no_result() -> None:
    """Beside a reject: nothing of it may be taken for a verdict, nor end in an error that is not caught."""
    deep = b"[" * 100_000
    for body in (b'{"action": "reject", "milter": %b' % deep, b'{"action": "reject", "milter": %b%b}' % (deep, b"]" * 100_000)):
        with pytest.raises(BadResult):
            read_result(body)
