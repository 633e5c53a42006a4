"""The filter against a real spamd of SpamAssassin, with local rules made by hand. What it shares with the others is in test_servers.py."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.filters.runtime.verdict import Verdict, error, header, ok
from filterlink.filters.servers.answer import ServerAnswer
from filterlink.filters.servers.exchange import Unscannable
from filterlink.filters.servers.service import Address, Unavailable
from filterlink.filters.servers.spamd import SpamdFilter, SpamdSettings
from tests.filterlink.filters.daemons import CLEAN, GTUBE, SPAM, Daemon, served
from tests.filterlink.filters.starters import FUN, make_spamd

Parted = Callable[[dict[str, Any]], Any]
Judging = Callable[..., Callable[[bytes], Verdict]]


@pytest.fixture(scope="module")
def running() -> Iterator[Daemon]:
    """One for all tests that leave it as it is."""
    with served(make_spamd) as server:
        yield server.start()


@pytest.fixture
def asking(running: Daemon, judging: Judging, parted: Parted) -> Judging:
    """Makes filters: asking(add="symbols")(message)."""

    def make(*envelope: bytes, **said: Any) -> Callable[[bytes], Verdict]:
        settings, terms = parted(said)
        return judging(SpamdFilter([Address(running.socket)], SpamdSettings(**settings), terms), *envelope)

    return make


@pytest.mark.server
def test_what_may_be_added(asking: Judging) -> None:
    """Fields of ours from the names of the rules, or nothing."""
    ours = header(("X-Spam-Flag: YES", "X-Spam-Status: Yes, score=1002.5 required=5.0\n\ttests=FUN,GTUBE", "X-Spam-Level: " + "*" * 50))

    assert asking(add="symbols")(FUN + GTUBE + b"\n") == ours
    assert asking(add="symbols")(CLEAN) == header(("X-Spam-Status: No, score=0.0 required=5.0\n\ttests=none",))
    assert asking(add="nothing")(SPAM) == ok()


@pytest.mark.server
@pytest.mark.parametrize("add", ["headers", "symbols", "nothing"])
def test_a_score_from_which_it_refuses(asking: Judging, add: str) -> None:
    """This score or more, whatever is added to the others."""
    judge = asking(add=add, reject_above=1000)

    assert judge(SPAM) == error("spam: score 1000.0 of 5.0")
    assert judge(FUN).word in ("OK", "ADDHEADER")


@pytest.mark.server
@pytest.mark.parametrize(
    ("recipients", "settings", "user"),
    [
        (b"R W x <c@d>\n", {"user": "any"}, b"any"),
        (b"R W x <c@d>\n", {"user_from_recipient": True}, b"c@d"),
        (b"R W x <c@d>\n", {"user_from_recipient": True, "strip_domain": True}, b"c"),
        (b"R W x <c@d>\nR W x <e@f>\n", {"user_from_recipient": True, "user": "any"}, b"any"),
        (b"R W x <c d@e>\n", {"user_from_recipient": True}, b"(unknown)"),
    ],
)
def test_whose_preferences_count(running: Daemon, asking: Judging, recipients: bytes, settings: dict[str, Any], user: bytes) -> None:
    """The recipient's, where there is one alone."""
    said = b" for %b:" % user
    before = running.said(said)
    asking(b"P I x <a@b>\n" + recipients + b"\n", **settings)(CLEAN)

    running.until(lambda: running.said(said) > before)


@pytest.mark.server
def test_the_preferences_of_the_recipient(serving: Callable[..., Daemon], judging: Judging, tmp_path: Path) -> None:
    """A recipient's own scores count for his mail alone, and for nobody's mail to more than one."""
    server = serving(make_spamd)
    own = server.folder / "users" / "d" / "c"
    own.mkdir(parents=True)
    (own / "user_prefs").write_text("required_score 2\n")
    account = ["--username=nobody"] if os.geteuid() == 0 else []
    server.command += (f"--virtual-config-dir={server.folder}/users/%d/%l", "--nouser-config", *account)
    server.start()
    found = SpamdFilter([Address(server.socket)], SpamdSettings(add="symbols", user_from_recipient=True))
    envelope = "P I x <a@b>\n{}\n".format

    def status(*recipients: str) -> str:
        lines = "".join(f"R W x <{recipient}>\n" for recipient in recipients)
        return judging(found, envelope(lines).encode())(FUN).fields[-2]

    assert status("c@d").startswith("X-Spam-Status: Yes, score=2.5 required=2.0")
    assert status("e@d").startswith("X-Spam-Status: No, score=2.5 required=5.0")
    assert status("c@d", "e@d").startswith("X-Spam-Status: No, score=2.5 required=5.0")


@pytest.mark.server
def test_large_ones_may_pass(asking: Judging) -> None:
    """What is larger than one says is not judged."""
    assert asking(max_size=100, reject_above=1000)(SPAM) == ok()
    assert asking(max_size=1000, reject_above=1000)(SPAM).word == "ERROR"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"SPAMD/1.0 76 Bad header line", Unscannable),
        (b"SPAMD/1.0 79 EX_TIMEOUT", Unscannable),
        (b"SPAMD/1.0 75 EX_TEMPFAIL", Unavailable),
        (b"SPAMD/1.1 0 EX_OK", Unavailable),
    ],
)
def test_what_its_codes_mean(line: bytes, fault: type[Exception]) -> None:
    """Its own trouble has the message judged by another one; the message's own trouble holds it."""
    answer = ServerAnswer()
    answer.feed(line + b"\r\n")
    answer.end()
    with pytest.raises(fault):
        SpamdFilter([])._read(answer)


RELAYS = 'add_header all Relays "_RELAYSTRUSTED_ _RELAYSUNTRUSTED_"\n'
CLIENT = b"P I x <a@b>\nS %bSMTP [198.51.100.7]\nA here.example name=mx.example helo=%b\nR W x <c@d>\n\n"


@pytest.fixture(scope="module")
def relays() -> Iterator[Daemon]:
    """One that says what it knows about the way of the message."""
    with served(make_spamd) as server:
        with (server.folder / "rules.cf").open("a") as rules:
            rules.write(RELAYS)
        yield server.start()


@pytest.mark.server
@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
@pytest.mark.parametrize("add", ["headers", "symbols", "nothing"])
def test_spamassassin_sees_the_client(relays: Daemon, judging: Judging, eol: bytes, add: str) -> None:
    """Address, name, HELO and account of the newest relay; its field does not come into the message."""
    judge = judging(SpamdFilter([Address(relays.socket)], SpamdSettings(add)), CLIENT % (b"<ann> ", b"helo.example"))
    older = b"Received: from old.example (old.example [203.0.113.9]) by mx.example (Postfix) with ESMTP id 12345\n"
    fields = judge((older + FUN).replace(b"\n", eol)).fields

    assert all(field.startswith("X-Spam-") for field in fields)
    if add == "headers":
        said = next(field for field in fields if field.startswith("X-Spam-Relays:")).replace("\n\t", " ")
        assert "[ ip=198.51.100.7 rdns=mx.example helo=helo.example by=here.example ident= envfrom= intl=" in said
        assert "auth=ESMTPA" in said
        assert said.index("198.51.100.7") < said.index("203.0.113.9")


@pytest.mark.server
@pytest.mark.parametrize(
    ("lines", "relay"),
    [
        (CLIENT % (b"", b"Exim"), "ip=198.51.100.7 rdns=mx.example helo=Exim by=here.example"),
        (CLIENT % (b"", b"%5B198.51.100.7%5D"), "ip=198.51.100.7 rdns=mx.example helo=!198.51.100.7! by=here.example"),
        (CLIENT % (b"", b"a%0AX-Spam-Status:%20No"), "ip=198.51.100.7 rdns=mx.example helo=aX-Spam-Status:!No by=here.example"),
        (CLIENT % (b"", b"x" * 255), f"ip=198.51.100.7 rdns=mx.example helo={'x' * 255} by=here.example"),
        (b"P I x <a@b>\nS SMTP [2001:db8::1]\nA h\nR W x <c@d>\n\n", "ip=2001:db8::1 rdns= helo="),
        (b"P I x <a@b>\nS PIPE [0.0.0.0]\nA h helo=x\nR W x <c@d>\n\n", ""),
    ],
)
def test_spamassassin_sees_clients_of_any_kind(relays: Daemon, judging: Judging, lines: bytes, relay: str) -> None:
    """Hostile ones, too; without an address it sees none, as before."""
    fields = judging(SpamdFilter([Address(relays.socket)]), lines)(CLEAN).fields
    said = next((field for field in fields if field.startswith("X-Spam-Relays:")), "").replace("\n\t", " ")

    assert relay in said
    assert said.count("ip=") == bool(relay)
    assert "auth= " in said or not relay


@pytest.mark.server
@pytest.mark.parametrize("blank", [b" ", b"\t"])
def test_a_message_cannot_continue_the_field(relays: Daemon, judging: Judging, blank: bytes) -> None:
    """One that begins with a blank would otherwise add words to our field: here that its client has authenticated."""
    judge = judging(SpamdFilter([Address(relays.socket)]), CLIENT % (b"", b"x"))
    fields = judge(blank + b"by h with ESMTPA id 12345; Sat, 28 Nov 2026 20:17:37 +0000\n" + CLEAN).fields
    said = next(field for field in fields if field.startswith("X-Spam-Relays:")).replace("\n\t", " ")

    assert "ip=198.51.100.7 rdns=mx.example helo=x by=here.example" in said
    assert "auth=ESMTPA" not in said
