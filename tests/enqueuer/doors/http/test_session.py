"""HTTP sessions over real sockets: http.client and curl as strangers, and clients that mean no good."""

import contextlib
import http.client
import json
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.doors.http import session as module
from tests.helpers.httpdoor import ACCEPT, HttpDoor, decision, served, until

MAIL = b"Subject: hello\r\nMessage-ID: <a@b>\r\n\r\none\r\ntwo\rthree\n"


@pytest.fixture
def web() -> Iterator[tuple[HttpDoor, int]]:
    with served() as (door, port):
        yield door, int(port)


def ask(port: int, method: str, path: str, body: Any = None, **fields: str) -> tuple[int, dict[str, str], Any]:
    """Ask by http.client. Return status, fields and the document."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request(method, path, body, {name.replace("_", "-"): value for name, value in fields.items()})
        answer = link.getresponse()
        data = answer.read()
        return answer.status, dict(answer.getheaders()), json.loads(data) if data[:1] == b"{" else data
    finally:
        link.close()


def raw(port: int, data: bytes) -> bytes:
    """Send bytes, and return all that comes up to the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(data)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_a_message_is_asked_about_with_its_envelope_and_client(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    door.decide = lambda _: decision(removed=(b"bob@b.example",), changes=((b"Subject", b"[X] hello"),))
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    link.putrequest("POST", "/scan")
    for name, value in (
        ("X-From", "<ann@a.example>"),
        ("X-Rcpt", "bob@b.example, <carl@c.example>"),
        ("X-Rcpt", "dora@d.example"),
        ("X-Ip", "192.0.2.1"),
        ("X-Helo", "mx.a.example"),
        ("X-Hostname", "mail.a.example"),
        ("X-User", "ann"),
        ("X-Id", "4XYZ"),
        ("Content-Length", str(len(MAIL))),
    ):
        link.putheader(name, value)
    link.endheaders(MAIL)
    answer = link.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (200, "application/json")
    assert json.loads(answer.read()) == {
        "outcome": "enqueued",
        "text": "",
        "fields": [["X-Second", "b\n\tfolded"], ["X-First", "a"]],
        "changes": [["Subject", "[X] hello"]],
        "recipients": ["carl@c.example"],
        "removed": ["bob@b.example"],
        "outcomes": [
            {"recipients": ["bob@b.example", "carl@c.example"], "outcome": "enqueued", "text": ""},
            {"recipients": ["dora@d.example"], "outcome": "discarded", "text": "why"},
        ],
        "filters": [{"name": "VirusScan", "answer": "OK", "text": "", "seconds": 0.25}],
        "trail": ["rule scan everything", "VirusScan: OK"],
        "id": str(ACCEPT.id),
    }
    (message,) = door.mails
    assert bytes(message.data) == MAIL.replace(b"\r\n", b"\n")
    assert (message.mail.sender, message.mail.queue_id) == (b"ann@a.example", b"4XYZ")
    assert message.mail.recipients == (b"bob@b.example", b"carl@c.example", b"dora@d.example")
    client = message.mail.client
    assert (client.address, client.name, client.helo, client.account) == ("192.0.2.1", b"mail.a.example", b"mx.a.example", b"ann")
    link.close()


def test_the_envelope_may_be_in_the_query(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    path = "/scan?from=ann+1@a.example&rcpt=bob%40b.example&rcpt=c@c.example&ip=2001:db8::1&helo=h&user=u&id=7"
    assert ask(port, "POST", path, MAIL)[0] == 200
    mail = door.mails[0].mail
    assert (mail.sender, mail.recipients, mail.queue_id) == (b"ann+1@a.example", (b"bob@b.example", b"c@c.example"), b"7")
    assert (mail.client.address, mail.client.helo, mail.client.account) == ("2001:db8::1", b"h", b"u")


@pytest.mark.parametrize(
    ("action", "disposition", "text"),
    [
        ("reject", "rejected", "a virus"),
        ("tempfail", "deferred", "VirusScan is not ready"),
        ("discard", "discarded", ""),
        ("quarantine", "quarantined", "a virus"),
    ],
)
def test_each_outcome_is_an_answer(web: tuple[HttpDoor, int], action: Any, disposition: str, text: str) -> None:
    door, port = web
    door.decide = lambda _: decision(action=action, disposition=disposition, text=text, fields=(), recipients=())
    status, _, document = ask(port, "POST", "/scan", MAIL)
    assert (status, document["outcome"], document["text"]) == (200, disposition, text)


def test_a_tempfail_says_when_to_try_again(web: tuple[HttpDoor, int]) -> None:
    web[0].decide = lambda _: decision(action="tempfail", disposition="deferred", retry_after=30)
    assert ask(web[1], "POST", "/scan", MAIL)[1]["Retry-After"] == "30"


def test_a_connection_takes_one_request_after_another(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for path in ("/scan", "/nowhere", "/scan", "/health"):
        link.request("GET" if path == "/health" else "POST", path, MAIL if path == "/scan" else None)
        assert link.getresponse().read()
    assert (len(door.mails), door.seen) == (2, 1)
    link.close()


def test_requests_that_come_at_once_are_answered_in_their_order(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    door.decide = lambda _: None if len(door.mails) == 1 else ACCEPT
    one = b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(one + one + b"GET /ping HTTP/1.0\r\n\r\n")
        until(lambda: door.mails and door.mails[0].answer)
        assert len(door.mails) == 1  # the second waits for the first answer
        answer = door.mails[0].answer
        assert answer is not None
        door.loop.soon(lambda: answer(decision(id=100000000000000001)))
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    assert data.count(b"HTTP/1.1 200") == 3
    assert data.index(b"100000000000000001") < data.index(str(ACCEPT.id).encode())
    assert data.endswith(b"pong\r\n")


def test_chunks_and_line_ends_across_pieces_are_put_together(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    pieces = [b"a\r", b"\nb\r", b"\r\n", b"c\r"]
    assert ask(port, "POST", "/scan", iter(pieces))[0] == 200
    assert bytes(door.mails[0].data) == b"a\nb\r\nc\r"
    chunks = b"".join(b"%x;name=value\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\nTrailer: x\r\n\r\n"
    head = b"POST /scan HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b" 200 " in raw(port, head + chunks)
    assert bytes(door.mails[1].data) == b"a\nb\r\nc\r"


def test_the_probes(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    door.token = b"secret"
    door.full = "the disk is full"
    assert ask(port, "GET", "/health")[::2] == (200, {"status": "ok"})
    assert ask(port, "GET", "/ping")[::2] == (200, b"pong\r\n")
    assert ask(port, "GET", "/ready")[::2] == (200, {"status": "ready"})
    door.missing = ["VirusScan"]
    status, fields, document = ask(port, "GET", "/ready")
    assert (status, document) == (503, {"status": "not ready", "filters": ["VirusScan"]})
    assert fields["Retry-After"] == "10"
    assert ask(port, "GET", "/openapi.json")[2]["openapi"] == "3.1.0"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/scan", 405), ("HEAD", "/health", 405), ("PUT", "/checkv2", 405), ("GET", "/", 404), ("OPTIONS", "*", 404)],
)
def test_other_methods_and_paths_are_refused(web: tuple[HttpDoor, int], method: str, path: str, status: int) -> None:
    found, fields, _ = ask(web[1], method, path)
    assert found == status
    assert fields.get("Allow") == {"/scan": "POST", "/health": "GET", "/checkv2": "POST"}.get(path)


def test_the_token_is_needed_where_there_is_one(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    door.token = b"secret"
    for fields in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}, {"Password": "Secret"}):
        status, found, _ = ask(port, "POST", "/scan", MAIL, **fields)
        assert (status, found["WWW-Authenticate"]) == (401, "Bearer")
    assert not door.mails
    assert ask(port, "POST", "/scan", MAIL, Authorization="Bearer secret")[0] == 200
    assert ask(port, "POST", "/checkv2", MAIL, Password="secret")[0] == 200


def test_web_pages_are_refused(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    assert ask(port, "POST", "/scan", MAIL, Origin="http://evil.example")[0] == 403
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "[::1"):
        assert ask(port, "POST", "/scan", MAIL, Host=host)[0] == 403
    assert not door.mails
    for host in ("127.0.0.1", "localhost:8891", "[::1]:8891", ""):
        assert ask(port, "POST", "/scan", MAIL, Host=host)[0] == 200


def test_a_unix_socket_takes_any_host_name(tmp_path: Path) -> None:
    with served(tmp_path / "s") as (door, path):
        curl = ("curl", "-sS", "--unix-socket", path, "--data-binary", "@-", "-H", "Expect:", "http://enqueuer.example/scan")
        answer = subprocess.run(curl, input=MAIL, capture_output=True, check=True)
        assert json.loads(answer.stdout)["outcome"] == "enqueued"
        assert len(door.mails) == 1


def test_curl_waits_for_100_continue(web: tuple[HttpDoor, int], tmp_path: Path) -> None:
    door, port = web
    (tmp_path / "mail").write_bytes(b"a" * (2 << 20))
    door.max_size = 4 << 20
    curl = ("curl", "-sSv", "-T", tmp_path / "mail", "-X", "POST", f"http://127.0.0.1:{port}/scan")
    answer = subprocess.run(curl, capture_output=True, text=True, check=True)
    assert "100 Continue" in answer.stderr
    assert door.mails[0].length == 2 << 20
    door.max_size = 1 << 20
    answer = subprocess.run(curl, capture_output=True, text=True, check=True)
    assert "100 Continue" not in answer.stderr  # it did not send the body
    assert "at most 1048576 bytes" in answer.stdout
    assert len(door.mails) == 1


def test_too_large_is_413_by_the_announced_and_by_the_real_length(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    door.max_size = 1000
    assert ask(port, "POST", "/scan", b"a" * 1001)[0] == 413
    assert not door.mails
    assert ask(port, "POST", "/scan", iter([b"a" * 600, b"a" * 401]))[0] == 413
    assert door.mails[0].cancelled
    assert ask(port, "POST", "/scan", iter([b"a" * 600, b"a" * 400]))[0] == 200


def test_overload_is_503_with_retry_after(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    door.full = "the disk is full"
    status, fields, document = ask(port, "POST", "/scan", MAIL)
    assert (status, fields["Retry-After"], document) == (503, "10", {"error": "the disk is full"})
    door.full = ""
    door.refuse = "1000 sessions are open"
    status, fields, document = ask(port, "POST", "/checkv2", MAIL)
    assert (status, document["error"], fields["Connection"]) == (503, "1000 sessions are open", "close")
    assert document["action"] == "soft reject"  # Haraka does not look at the status
    assert not door.mails
    until(lambda: not door.sessions)


BAD = {
    "both lengths": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "negative": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: -4\r\n\r\nabcd",
    "chunks in 1.0": b"POST /scan HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no chunk": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "negative chunk": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "huge chunk size": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\nabc",
    "endless extension": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;" + b"a" * 200_000,
    "endless trailer": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 40_000,
    "blank before the colon": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length : 4\r\n\r\nabcd",
    "endless head": b"POST /scan HTTP/1.1\r\nHost: localhost\r\n" + b"X-Rcpt: a@b.example\r\n" * 10_000,
    "endless line": b"POST /" + b"a" * 200_000,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no length": b"POST /scan HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "gzip": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    "gzip, chunked": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "nonsense": b"\0\xff" * 20_000 + b"\r\n\r\n",
    "bad address": b"POST /scan?from=a%20b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd",
    "bad ip": b"POST /scan HTTP/1.1\r\nHost: localhost\r\nX-Ip: 1.2.3\r\nContent-Length: 4\r\n\r\nabcd",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_gets_a_4xx_and_the_door_goes_on(web: tuple[HttpDoor, int], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER", 0.2)
    door, port = web
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(BAD[name])
        answer = sock.recv(65536)
    assert answer[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5"), answer
    assert b'{"error":"' in answer
    assert len(answer) < 1000
    assert not any(message.submitted for message in door.mails)
    assert ask(port, "POST", "/scan", MAIL)[0] == 200
    until(lambda: not door.sessions)


def test_a_query_cannot_write_lines_of_the_envelope(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    ask(port, "POST", "/scan?rcpt=a@b.example%0aR%20x&from=%0d%0aS%20x@y.example&id=1%0a2&user=a%0ab", MAIL)
    ask(port, "POST", "/scan?rcpt=a@b.example%0aRx&id=1%0a2&helo=a%0ab", MAIL)
    for message in door.mails:
        mail = message.mail
        assert not any(b"\n" in text or b"\r" in text for text in (mail.sender, *mail.recipients, mail.queue_id, mail.client.words))


def test_a_client_that_goes_away_cancels_its_message(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    door.decide = lambda _: None
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")
        until(lambda: door.mails and door.mails[0].length == 2)
        assert next(iter(door.sessions)).busy
    until(lambda: door.mails[0].cancelled)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd")
        until(lambda: len(door.mails) == 2 and door.mails[1].answer)
    until(lambda: door.mails[1].cancelled and not door.sessions)


def test_slow_clients_are_given_up(web: tuple[HttpDoor, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HEAD_WITHIN", 0.2), ("PIECE_WITHIN", 0.2), ("IDLE", 0.2), ("LINGER", 0.2)):
        monkeypatch.setattr(module, name, value)
    door, port = web
    assert raw(port, b"POST /scan HT") == b""
    assert raw(port, b"") == b""
    answer = raw(port, b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400\r\n\r\nabcd")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert door.mails[0].cancelled
    assert raw(port, b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n").endswith(b"pong\r\n")
    assert raw(port, b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\nGET /pi").endswith(b"pong\r\n")
    until(lambda: not door.sessions)


def test_a_body_that_trickles_has_a_time_limit(web: tuple[HttpDoor, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY_WITHIN", 0.5)
    monkeypatch.setattr(module, "LINGER", 0.2)
    door, port = web
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=0.02) as sock:
        sock.sendall(b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        answer = b""
        while not answer:
            sock.sendall(b"a")
            try:
                answer = sock.recv(65536)
            except TimeoutError:
                assert time.monotonic() < began + 10
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert door.mails[0].cancelled


def test_a_client_that_does_not_read_ends_its_own_session(web: tuple[HttpDoor, int]) -> None:
    port = web[1]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, pytest.raises(ConnectionError):
        sock.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100_000)
    assert ask(port, "GET", "/health")[0] == 200


def test_tiny_chunks_do_not_hold_up_other_sessions(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        door.loop.after(0, turn)

    door.loop.soon(turn)
    chunks = b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"
    head = b"POST /scan HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(head)
        until(lambda: door.mails)
        before = turns
        sock.sendall(chunks)
        assert b" 200 " in sock.recv(65536)
    assert turns - before > 50  # without a limit: 2, one for each 64 KiB
    assert bytes(door.mails[0].data) == b"a" * 20_000


def test_many_connections_and_a_gibibyte_leave_memory_flat(web: tuple[HttpDoor, int], monkeypatch: pytest.MonkeyPatch) -> None:
    door, port = web
    door.max_size = 1 << 31
    piece = b"a" * (1 << 20)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    try:
        ask(port, "POST", "/scan", piece)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
            sock.sendall(b"POST /scan HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
            for _ in range(1 << 10):
                sock.sendall(piece)
            assert b" 200 " in sock.recv(65536)
        assert door.mails[-1].length == 1 << 30
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10
        assert ask(port, "GET", "/health")[0] == 200
    finally:
        for sock in idle:
            sock.close()
    until(lambda: not door.sessions)


def test_close_cancels_and_tells_the_door_once(web: tuple[HttpDoor, int]) -> None:
    door, port = web
    door.decide = lambda _: None
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(b"POST /scan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd")
        until(lambda: door.mails and door.mails[0].answer)
        (session,) = door.sessions
        door.loop.soon(session.close)
        door.loop.soon(session.close)
        assert sock.recv(100) == b""
    assert door.mails[0].cancelled
    answer = door.mails[0].answer
    assert answer is not None
    answer(ACCEPT)  # too late: it must do no harm


PARTS = st.sampled_from(
    [
        b"POST /scan HTTP/1.1\r\n",
        b"CHECK RSPAMC/1.3\r\n",
        b"GET /ping HTTP/1.0\r\n",
        b"HEAD /health HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"Host: localhost\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"Expect: 100-continue\r\n",
        b"Content-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"\r\n",
        b"\n",
        b"abcd",
        b"4\r\nabcd\r\n",
        b"0\r\n\r\n",
        b"X-Ip: 1.2.3.4\r\n",
        b"IP: \xff\r\n",
    ]
)


@given(st.lists(st.one_of(PARTS, st.binary(max_size=5)), max_size=30), st.booleans())
def test_no_input_raises_and_each_session_ends_once(pieces: list[bytes], answers: bool) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    ours, theirs = socket.socketpair()
    with listener, theirs:
        door = HttpDoor(listener)
        door.decide = lambda _: ACCEPT if answers else None
        session = module.HttpSession(door, ours, "", "")
        door.sessions.add(session)
        theirs.setblocking(False)
        for piece in pieces:
            with contextlib.suppress(OSError):
                theirs.send(piece)
            door.loop.turn(0)
        theirs.close()
        for _ in range(10):
            door.loop.turn(0)
        assert not door.sessions
        assert not session.busy
        assert all(message.cancelled or message.submitted for message in door.mails)
        door.loop.close()
