"""What the head of a request says about a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.doors.http.request import HttpHead, RefusedRequest, asked_mail, recipients, sender
from enqueuer.queue.message import envelope


def head(*fields: tuple[bytes, bytes], target: bytes = b"/scan") -> HttpHead:
    return HttpHead(b"POST", target, b"1.1", fields)


def test_without_fields_the_envelope_is_empty() -> None:
    mail = asked_mail(head())
    assert (mail.sender, mail.recipients, mail.queue_id) == (b"", (), b"")


def test_fields_count_before_the_query() -> None:
    mail = asked_mail(head((b"x-from", b"ann@a.example"), target=b"/scan?from=eve@e.example&rcpt=bob@b.example"))
    assert (mail.sender, mail.recipients) == (b"ann@a.example", (b"bob@b.example",))


@pytest.mark.parametrize("value", [b"", b"<>", b" <> "])
def test_the_null_sender(value: bytes) -> None:
    assert sender(value) == b""


@pytest.mark.parametrize("value", [b"a@b, c@d", b"a b", b"<" + b"a" * 1001 + b">"])
def test_a_sender_is_one_address(value: bytes) -> None:
    with pytest.raises(RefusedRequest):
        sender(value)


def test_recipients_come_once_each() -> None:
    assert recipients([b'a@b.example,<a@b.example>, "x,y"@c.example', b"d@e.example"]) == (
        b"a@b.example",
        b'"x,y"@c.example',
        b"d@e.example",
    )


@given(st.lists(st.tuples(st.sampled_from([b"from", b"rcpt", b"id", b"helo", b"user", b"ip", b"hostname"]), st.binary(max_size=20))))
def test_no_query_makes_a_line_of_the_envelope(values: list[tuple[bytes, bytes]]) -> None:
    query = b"&".join(b"%s=%s" % (name, b"".join(b"%%%02x" % byte for byte in value)) for name, value in values)
    try:
        mail = asked_mail(head(target=b"/scan?" + query))
    except RefusedRequest:
        return
    made = envelope.make(mail.sender, mail.recipients, "01-01-2026 00:00:00", "x", mail.client)
    assert all(line.count(b"\n") == 1 and b"\r" not in line for line in made.lines)
    read = envelope.parse(b"".join(made.lines))
    assert (read.sender, read.recipients) == (mail.sender, mail.recipients)
