"""The trace field: standard, short lines, and the name of the machine only if it is a plain one."""

import email
import email.utils

import pytest

from enqueuer.queue.message import trace
from enqueuer.queue.message.header import hops

AT = 1_795_897_057.9


def test_the_field() -> None:
    assert trace.received("mx.example.com", 1764000000000000, AT) == (
        b"Received: by mx.example.com (Enqueuer) id 1764000000000000;\n\tSat, 28 Nov 2026 20:17:37 +0000"
    )


@pytest.mark.parametrize("host", ["h", "a" * 31, "a" * 32, "a" * 40, "a" * 64])
def test_it_is_folded_and_read_as_one_field(host: str) -> None:
    """No line has more than 78 characters; readers find id and time; it counts as a hop."""
    field = trace.received(host, 999999999999999999, AT)
    message = email.message_from_bytes(field.replace(b"\n", b"\r\n") + b"\r\nSubject: x\r\n\r\n")
    value = " ".join(message["Received"].split())

    assert max(map(len, field.split(b"\n"))) <= 78
    assert message.keys() == ["Received", "Subject"]
    assert value.startswith(f"by {host} (Enqueuer) id 999999999999999999; ")
    assert email.utils.parsedate_to_datetime(value.rpartition(";")[2]).timestamp() == int(AT)
    assert hops(field).count == 1


@pytest.mark.parametrize("host", ["", "-a", "a b", "a\nSubject: x", "a;b", "\u00fcber", "a" * 65, "(none)", "a."])
def test_an_odd_name_of_the_machine_is_not_used(host: str) -> None:
    assert trace.domain(host) == "localhost"


@pytest.mark.parametrize("host", ["a", "mx-1.example.com", "10.0.0.1", "a" * 64])
def test_a_plain_name_is(host: str) -> None:
    assert trace.domain(host) == host
