"""Demands on the facts about a client: how they travel, and that none of them can be forged or be taken for something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.queue.message import client

KEY = b"k" * 32
BELOW = b"From: a@a.example\nTo: b@b.example"
ANN = client.RemoteClient("192.0.2.1", b"mx.example.org", b"[192.0.2.1]", b"ann@example.com")


def _value(of: client.RemoteClient, key: bytes = KEY, below: bytes = BELOW) -> bytes:
    return client.field(of, key, below).partition(b":")[2]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_come_through(name: bytes, helo: bytes) -> None:
    """In one line of plain words, whatever a client calls itself."""
    made = client.given(b"2001:db8::1", name, helo)
    line = client.field(made, KEY, BELOW)

    assert client.read(line.partition(b":")[2], KEY, BELOW) == made
    assert line.isascii()
    assert line.decode().isprintable()


def test_only_the_key_makes_it_believed() -> None:
    """Another key, no key, other facts, another header: nobody."""
    value = _value(ANN)
    assert client.read(value, KEY, BELOW) == ANN

    for digits, key, below in ((value, b"x" * 32, BELOW), (value, b"", BELOW), (value, KEY, BELOW + b"\nX: y"), (b"", KEY, BELOW)):
        assert client.read(digits, key, below) == client.NOBODY
    assert client.read(value.replace(b"ann@", b"eve@"), KEY, BELOW) == client.NOBODY
    assert client.read(value + b" user=eve@example.com", KEY, BELOW) == client.NOBODY
    assert client.read(_value(ANN, b""), b"", BELOW) == client.NOBODY
    assert client.read(b"\xff ip=1.2.3.4", KEY, BELOW) == client.NOBODY


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (b"192.0.2.1", "192.0.2.1"),
        (b"2001:DB8:0::1", "2001:db8::1"),
        (b"IPv6:2001:db8::1", "2001:db8::1"),
        (b"::ffff:192.0.2.1", "192.0.2.1"),
        (b"fe80::1%eth0]b", "fe80::1"),
        (b"", ""),
        (b"unknown", ""),
        (b"0.0.0.0", ""),
        (b"::", ""),
    ],
)
def test_addresses_have_one_form(text: bytes, address: str) -> None:
    assert client.given(text).address == address


@pytest.mark.parametrize("text", [b"192.0.2", b"mx.example.org", b"[192.0.2.1]", b"192.0.2.1\nX: y", b"1" * 10_000, b"\xff"])
def test_what_is_no_address_is_an_error(text: bytes) -> None:
    with pytest.raises(client.ClientError, match="IPv4 or IPv6"):
        client.given(text)


@pytest.mark.parametrize("text", [b"a b", b"a\nb", b"a>b", b"a<b", b"a[1.2.3.4]", b"a(b)", b"a" * 321])
def test_an_account_that_could_be_taken_for_another_is_an_error(text: bytes) -> None:
    """Cut or changed it might be the account of another user."""
    with pytest.raises(client.ClientError, match="an account has"):
        client.given(account=text)


def test_names_of_any_length_are_cut() -> None:
    """A client chooses them, so no mail is refused for them."""
    made = client.given(name=b"n" * 10_000, helo=b"h" * 10_000)

    assert (len(made.name), len(made.helo)) == (client.MAX_TEXT, client.MAX_TEXT)
    assert client.given(name=b"unknown").name == b""
