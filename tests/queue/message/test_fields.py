"""Message-ID and Subject for people: short, printable, and in linear time, whatever the header says."""

import pytest

from enqueuer.queue.message import fields
from tests.helpers.linear import is_linear


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"Message-ID: <a@b>\n", "a@b"),
        (b"From: x\r\nmessage-id :\r\n\t<a@b> (comment)\r\nTo: y\r\n", "a@b"),
        (b"Message-ID: a@b\nMessage-ID: <second>\n", "a@b"),
        (b"X-Message-ID: <no>\nMessage-ID-Old: <no>\nMessage-Id: <yes>\n", "yes"),
        (b"Subject: x\n Message-ID: <no>\n", ""),
        (b"Message-ID: <a\n\n", "a"),
        (b"Message-ID:\n", ""),
        (b"", ""),
        (b"Message-ID: <\x1b[31m\x00\xff\n b>", "\\x1b[31m\\x00\\xff\\n b"),
        (b"Message-ID: <" + b"x" * 5000 + b">", "x" * 197 + "..."),
    ],
)
def test_message_id(header: bytes, found: str) -> None:
    assert fields.message_id(header) == found


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"Subject: hello\n", "hello"),
        (b"Subject:  two\r\n\tlines \n", "two lines"),
        (b"Subject: =?UTF-8?B?SMOkbGxv?=\n =?iso-8859-1?q?_W=F6rld?= !\n", "Hällo Wörld !"),
        (b"Subject: =?utf-8*de?Q?=0Aa=1B[0m?=\n", "a\\x1b[0m"),
        (b"Subject: =?punycode?Q?abc?= =?hex?B?YWJj?= =?utf-8?X?abc?=\n", "=?punycode?Q?abc?==?hex?B?YWJj?==?utf-8?X?abc?="),
        (b"Subject: =?utf-8?B?a?=\n", "=?utf-8?B?a?="),
        (b"Subject: " + b"y" * 101, "y" * 97 + "..."),
        (b"Subject: \xe2\x80\xaeflip\n", "\\u202eflip"),
    ],
)
def test_subject(header: bytes, found: str) -> None:
    assert fields.subject(header) == found


@pytest.mark.parametrize(
    "piece",
    [b"Subject-\n", b"Subject\n", b"=?utf-8?B?", b"?= =?", b"Subject:\n ", b"Message-ID <", b"\nmessage-id" + b" " * 50],
    ids=repr,
)
@pytest.mark.parametrize("begin", [b"", b"Subject: ", b"Message-ID: <"])
def test_hostile_headers_take_linear_time(begin: bytes, piece: bytes) -> None:
    def read(size: int) -> None:
        data = begin + piece * (size // len(piece))
        fields.subject(data)
        fields.message_id(data)

    assert is_linear(read)
