"""The filter against a real rspamd with rules of ours, which look at the subject. What it shares with the others is in test_servers.py."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filterlink.filters.runtime.verdict import Verdict, error, header, ok, rejected
from filterlink.filters.servers.answer import ServerAnswer
from filterlink.filters.servers.exchange import Terms, Unscannable
from filterlink.filters.servers.rspamd import ActionRules, BadPassword, RspamdFilter, RspamdSettings, read_password
from filterlink.filters.servers.service import Address, Unavailable
from tests.filterlink.filters.daemons import SPAM, Daemon, free_port, listens, queued, served
from tests.filterlink.filters.starters import make_rspamd, titled

TAGGED = header(("X-Spam: Yes", "X-Spamd-Result: default: True [7.00 / 15.00];\n\tTAG(7.00)"))

Judging = Callable[..., Callable[[bytes], Verdict]]


@pytest.fixture(scope="module")
def running() -> Iterator[Daemon]:
    """One for all tests that leave it as it is."""
    with served(make_rspamd) as server:
        yield server.start()


@pytest.fixture
def asking(running: Daemon, judging: Judging) -> Judging:
    """Makes filters: asking(wait=1)(message)."""
    return lambda **terms: judging(RspamdFilter([Address(running.socket)], terms=Terms(**terms)))


@pytest.mark.server
def test_each_action(asking: Judging) -> None:
    """Of a real rspamd."""
    judge = asking()

    assert judge(titled("BAD")) == error("spam: score 20.0 of 15.0 (BAD)")
    assert judge(titled("SOFT")) == rejected("come again")
    assert judge(titled("GREY")) == rejected("rspamd: greylisted, score 5.0")
    assert judge(titled("TAG")) == TAGGED
    summary = "X-Spamd-Result: default: True [9.00 / 15.00];\n\tREWRITE(9.00)"
    assert judge(titled("REWRITE")) == header(("X-Spam: Yes", "X-Spam-Subject: [spam] REWRITE", summary))


@pytest.mark.server
def test_greylisted_until_it_is_old(running: Daemon, tmp_path: Path) -> None:
    """By the time of its queue file."""
    path = queued(tmp_path, titled("GREY"))
    judge = RspamdFilter([Address(running.socket)], RspamdSettings(ActionRules(greylist=100))).judge
    assert judge(path).word == "REJECTED"
    os.utime(path, (1_700_000_000, 1_700_000_000))

    assert judge(path) == ok()


@pytest.mark.server
def test_rspamd_is_told_the_envelope(running: Daemon, tmp_path: Path) -> None:
    """Sender, recipient, address, account and number; what it wants added is added."""
    path = queued(tmp_path, titled("ENVELOPE"))
    found = RspamdFilter([Address(running.socket)]).judge(path)

    assert set(found.fields) == {"X-Who: a@b c@d 192.0.2.1 u@v", f"X-Id: {Path(path).stem}"}


@pytest.mark.server
@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (b"S SMTP [192.0.2.7]\nA h name=mx.example helo=%5B192.0.2.7%5D\n", "192.0.2.7 mx.example [192.0.2.7]"),
        (b"S SMTP [2001:db8::1]\nA h helo=helo.example\n", "2001:db8::1 - helo.example"),
        (b"S SMTP [192.0.2.7]\nA h helo=a%0D%0AUser:%20root\n", "192.0.2.7 - aUser: root"),
        (b"S SMTP [192.0.2.7]\nA h helo=%b\n" % (b"x" * 255), "192.0.2.7 - " + "x" * 255),
        (b"S SMTP [192.0.2.7]\nA h helo=%FF%C3:%22%5C%20%25s\n", '192.0.2.7 - \ufffd\ufffd:"\\ %s'),
    ],
)
def test_rspamd_sees_the_client(running: Daemon, judging: Judging, lines: bytes, client: str) -> None:
    """Address, name and HELO, hostile ones, too."""
    judge = judging(RspamdFilter([Address(running.socket)]), b"P I x <a@b>\n" + lines + b"R W x <c@d>\n\n")

    assert judge(titled("CLIENT")).fields == (f"X-Client: {client}",)


@pytest.mark.server
def test_larger_than_it_takes(asking: Judging) -> None:
    """Beyond its max_message it closes the connection, as one in trouble does: the message waits, unless --max-size lets it pass."""
    too_large = titled("BAD") + b"how are you?\n" * 5_000_000
    assert asking(wait=0)(too_large).word == "REJECTED"
    verdict = asking(unscannable="pass")(too_large)
    reason = r"no rspamd answers: 3 times: the connection (ended without an answer|was reset)"
    assert (verdict.word, bool(re.fullmatch(reason, verdict.text))) == ("REJECTED", True)
    assert asking(max_size=1 << 20)(too_large) == ok()


@pytest.mark.server
def test_the_password(serving: Callable[..., Daemon], judging: Judging) -> None:
    """A server that wants one judges with it; without it, or with a wrong one, mail waits and none passes, whatever else is said."""
    port = free_port()
    worker = f'worker "controller" {{ bind_socket = "127.0.0.1:{port}"; count = 1; password = "secret"; secure_ip = []; }}'
    server = serving(make_rspamd, worker).start()
    server.until(lambda: listens(port))

    def judged(password: bytes) -> Verdict:
        return judging(RspamdFilter([Address("127.0.0.1", port)], RspamdSettings(password=password), Terms(wait=0, unscannable="pass")))(
            SPAM
        )

    assert judged(b"secret") == error("Gtube pattern")
    assert [judged(b"").word, judged(b"wrong").word] == ["REJECTED"] * 2
    assert "the password is wrong or missing: --password-file" in judged(b"wrong").text


@pytest.mark.parametrize("text", ["", "\n", "a\0b", None])
def test_a_password_file_that_cannot_be_used(tmp_path: Path, text: str | None) -> None:
    """Is named."""
    path = tmp_path / "password"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadPassword, match=str(path)):
        read_password(str(path))
    path.write_text(" secret \nmore\n")
    assert read_password(str(path)) == b"secret"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"413 Too large", Unscannable),
        (b"403 Unauthorized", Unavailable),
        (b"503 busy", Unavailable),
        (b"200 OK", Unavailable),
    ],
)
def test_what_its_codes_mean(line: bytes, fault: type[Exception]) -> None:
    """Its own trouble has the message judged by another one, and never pass; a message's does not."""
    answer = ServerAnswer()
    answer.feed(b"HTTP/1.1 " + line + b"\r\n\r\n")
    answer.end()
    with pytest.raises(fault):
        RspamdFilter([])._read(answer, 0)
