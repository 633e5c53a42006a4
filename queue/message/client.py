"""The client from which an MTA has a message, as `submit` was told: in the first field of a drop, and in the envelope lines. Pure.

    Envelope-Client: <64 hex digits> ip=192.0.2.1 name=mx.example.org helo=mx.example.org user=ann@example.com

The digits are the HMAC-SHA256 of the facts and of the header below the field. So only a program that can read the engine's key can
write the field, and the field counts for one header only.
"""

import functools
import hashlib
import hmac
import ipaddress
import re

import msgspec

__all__ = ["FIELD", "MAX_ACCOUNT", "MAX_TEXT", "NOBODY", "ClientError", "RemoteClient", "decoded", "field", "given", "read", "words"]

FIELD = b"Envelope-Client"
MAX_TEXT = 255
"""Bytes of a host name and of HELO. What is longer is cut: a remote client chooses it, so it is no reason to refuse mail."""
MAX_ACCOUNT = 320
"""Bytes. A longer account is refused: if it were cut, it could be that of another user."""
_ODD = re.compile(rb"[^A-Za-z0-9.:@+_-]")
_CODE = re.compile(rb"%([0-9A-F]{2})")
_NO_ACCOUNT = re.compile(rb"[\0-\x20\x7f<>()\[\]]")
_UNKNOWN = (b"", b"unknown")
"""What MTAs say about an address or a name that they do not know."""


class ClientError(Exception):
    """A value is not what it should be. The text has the cure."""


class RemoteClient(msgspec.Struct, frozen=True):
    """The facts. An empty value is not known."""

    address: str = ""
    """IPv4 or IPv6, in the usual form, without brackets and zone."""
    name: bytes = b""
    """The host name that belongs to the address, as the MTA found it."""
    helo: bytes = b""
    """What the client said in HELO or EHLO: any bytes."""
    account: bytes = b""
    """The account with which the client authenticated."""
    session: bytes = b""
    """More words of the A line, each with a blank before it: what a door knows of the session (session.py)."""

    @property
    def source(self) -> bytes:
        """Return the value of the S line: `[<account> ]SMTP [address]`. Helpers read it up to its end."""
        account = b"<%s> " % self.account if self.account else b""
        return account + (b"SMTP [%s]" % self.address.encode() if self.address else b"PIPE [0.0.0.0]")

    @property
    def words(self) -> bytes:
        """Return the words of the A line, each with a blank before it."""
        return words((b"name", self.name), (b"helo", self.helo)) + self.session


NOBODY = RemoteClient()


def given(address: bytes = b"", name: bytes = b"", helo: bytes = b"", account: bytes = b"") -> RemoteClient:
    """Make the client of what an MTA says. Raises ClientError."""
    if len(account) > MAX_ACCOUNT or _NO_ACCOUNT.search(account):
        raise ClientError(f"an account has 1 to {MAX_ACCOUNT} bytes, without blanks, brackets and control characters")
    return RemoteClient(_address(address), b"" if name in _UNKNOWN else name[:MAX_TEXT], helo[:MAX_TEXT], account)


@functools.lru_cache(maxsize=1000)
def _address(text: bytes) -> str:
    """Return an address in the one form that all readers know. IPv4 in IPv6 becomes IPv4."""
    if text in _UNKNOWN:
        return ""
    plain = text.decode("ascii", "replace").removeprefix("IPv6:").partition("%")[0]
    try:
        found = ipaddress.ip_address(plain)
    except ValueError:
        raise ClientError("an address is IPv4 or IPv6, as 192.0.2.1 or 2001:db8::1") from None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return "" if found.is_unspecified else str(mapped or found)


def field(client: RemoteClient, key: bytes, below: bytes) -> bytes:
    """Make the field, without its line end. `below`: all of the header that follows its line."""
    known = (b"ip", client.address.encode()), (b"name", client.name), (b"helo", client.helo), (b"user", client.account)
    facts = words(*known, (b"session", client.session))
    return b"%s: %s%s" % (FIELD, _digits(facts, key, below), facts)


def read(value: bytes, key: bytes, below: bytes) -> RemoteClient:
    """Return the facts of a field's value; NOBODY if the field was not made with this key for this header."""
    digits, blank, rest = value.strip().partition(b" ")
    facts = blank + rest
    if not key or not hmac.compare_digest(digits, _digits(facts, key, below)):
        return NOBODY
    found = dict(word.partition(b"=")[::2] for word in facts.split())
    texts = [decoded(found.get(name, b"")) for name in (b"ip", b"name", b"helo", b"user", b"session")]
    return RemoteClient(texts[0].decode("ascii"), *texts[1:])


def _digits(facts: bytes, key: bytes, below: bytes) -> bytes:
    return hmac.new(key, facts + b"\n" + below, hashlib.sha256).hexdigest().encode()


def decoded(value: bytes) -> bytes:
    """Return the value of a word: the counterpart of words()."""
    return _CODE.sub(lambda match: bytes.fromhex(match[1].decode()), value)


def words(*pairs: tuple[bytes, bytes]) -> bytes:
    """Write known values as ` name=value`, with `%` and two hex digits for each byte that could mean something to a reader of lines."""
    return b"".join(b" %s=%s" % (name, _ODD.sub(lambda match: b"%%%02X" % match[0][0], value)) for name, value in pairs if value)
