"""Read the head of an HTTP request: its route, its rights, and its facts about the message. Pure."""

import hmac
import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from enqueuer.doors.asking.mail import AskedMail
from enqueuer.queue.message import client, header

__all__ = ["ROUTES", "HttpHead", "HttpRoute", "RefusedRequest", "asked_mail", "expect_allowed", "expect_message", "has_token"]

MAX_ID = 100
"""Bytes of the MTA's id of a message. Longer ids are cut."""
_NO_ID = re.compile(rb"[^!-~]")
_HOST = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?|([^:\[\]]*)(?::\d{1,5})?")


class RefusedRequest(Exception):
    """A request that gets no decision. It has a status, the reason with the cure, and further fields."""

    def __init__(self, status: int, text: str, *fields: tuple[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.fields = fields


class HttpRoute(NamedTuple):
    """One path."""

    method: bytes
    name: str
    takes_message: bool = False


ROUTES = {
    b"/scan": HttpRoute(b"POST", "scan", True),
    b"/checkv2": HttpRoute(b"POST", "check", True),
    b"/check": HttpRoute(b"POST", "check", True),
    b"/health": HttpRoute(b"GET", "health"),
    b"/ready": HttpRoute(b"GET", "ready"),
    b"/ping": HttpRoute(b"GET", "ping"),
    b"/openapi.json": HttpRoute(b"GET", "openapi"),
}


class HttpHead(NamedTuple):
    """Request line and fields. Names are in lower case."""

    method: bytes
    target: bytes
    version: bytes
    fields: tuple[tuple[bytes, bytes], ...]

    def all(self, name: bytes) -> list[bytes]:
        return [value for field, value in self.fields if field == name]

    def first(self, name: bytes) -> bytes:
        return next((value for field, value in self.fields if field == name), b"")

    @property
    def has_body(self) -> bool:
        return bool(self.all(b"transfer-encoding")) or self.length > 0

    @property
    def length(self) -> int:
        """Return the length of the body by Content-Length; 0 without it. h11 has checked that it is one number."""
        return int(self.first(b"content-length") or 0)

    def route(self) -> HttpRoute:
        """Raises RefusedRequest."""
        path = self.target.partition(b"?")[0]
        route = ROUTES.get(path)
        if route is None:
            known = ", ".join(each.decode() for each in ROUTES)
            raise RefusedRequest(404, f"no such path; there are {known}")
        if self.method != route.method:
            method = route.method.decode()
            raise RefusedRequest(405, f"the method of this path is {method}", ("Allow", method))
        return route

    def query(self) -> dict[bytes, list[bytes]]:
        """Return the values by name. A plus sign stays, because addresses have it, and no value has blanks."""
        found: dict[bytes, list[bytes]] = {}
        for part in self.target.partition(b"?")[2].split(b"&"):
            name, _, value = part.partition(b"=")
            if name:
                found.setdefault(name.lower(), []).append(unquote_to_bytes(value))
        return found


def expect_allowed(head: HttpHead, *, inet: bool) -> None:
    """Raise RefusedRequest for a request that a web page in a browser on this machine could send."""
    if head.all(b"origin"):
        raise RefusedRequest(403, "requests of web pages (with an Origin field) are refused")
    if inet and (host := head.first(b"host").decode("latin-1")) and not _is_plain(host):
        raise RefusedRequest(403, "the Host field must be an IP address or localhost")


def _is_plain(host: str) -> bool:
    match = _HOST.fullmatch(host)
    name = (match[1] or match[2]) if match else ""
    if name.lower() in ("", "localhost"):
        return match is not None
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def expect_message(head: HttpHead, max_size: int) -> None:
    """Check the fields about the body. Raises RefusedRequest."""
    chunked = head.all(b"transfer-encoding")
    if chunked and (head.all(b"content-length") or head.version < b"1.1"):
        raise RefusedRequest(400, "send Transfer-Encoding only with HTTP/1.1, and without Content-Length")
    if not chunked and not head.all(b"content-length"):
        raise RefusedRequest(411, "the body is the message: send it with Content-Length or Transfer-Encoding: chunked")
    if head.first(b"content-encoding").lower() not in (b"", b"identity") or head.all(b"compression"):
        raise RefusedRequest(415, "compressed messages are not taken: send the message as it is")
    if head.length > max_size:
        raise too_large(max_size)


def too_large(max_size: int) -> RefusedRequest:
    return RefusedRequest(413, f"a message has at most {max_size} bytes ([spool] max_size)")


def has_token(head: HttpHead, token: bytes) -> bool:
    """Return whether a request has the token: as `Authorization: Bearer`, or as Password from clients of rspamd."""
    word, _, value = head.first(b"authorization").partition(b" ")
    sent = value.strip() if word.lower() == b"bearer" else head.first(b"password")
    return hmac.compare_digest(sent, token)


def asked_mail(head: HttpHead) -> AskedMail:
    """Read the envelope and the client of POST /scan. Fields win over the query. Raises RefusedRequest."""
    query = head.query()

    def first(word: bytes) -> bytes:
        return head.first(b"x-" + word) or query.get(word, [b""])[0]

    try:
        found = client.given(first(b"ip"), first(b"hostname"), first(b"helo"), first(b"user"))
    except client.ClientError as error:
        raise RefusedRequest(400, f"X-Ip or X-User: {error}") from None
    return AskedMail(
        sender=sender(first(b"from")),
        recipients=recipients(head.all(b"x-rcpt") or query.get(b"rcpt", [])),
        client=found,
        queue_id=queue_id(first(b"id")),
    )


def sender(value: bytes) -> bytes:
    """Return the one address of a value, b"" for the null sender. Raises RefusedRequest."""
    if value.strip() in (b"", b"<>"):
        return b""
    found = _addresses((value,))
    if len(found) != 1:
        raise RefusedRequest(400, "the sender must be one address")
    return found[0]


def recipients(values: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return all addresses of these lists, each once. Raises RefusedRequest."""
    return tuple(dict.fromkeys(_addresses(values)))


def _addresses(values: Iterable[bytes]) -> list[bytes]:
    found: list[bytes] = []
    for value in values:
        here = list(header.addresses(value))
        if not here and value.strip():
            raise RefusedRequest(400, "write an address as user@example.com")
        found += here
    if any(len(each) > header.MAX_ADDRESS for each in found):
        raise RefusedRequest(400, f"an address has at most {header.MAX_ADDRESS} bytes")
    return found


def queue_id(value: bytes) -> bytes:
    return _NO_ID.sub(b"", value)[:MAX_ID]
