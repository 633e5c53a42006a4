"""The filter against a real spamd of SpamAssassin, with local rules made by hand."""

import concurrent.futures
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.filters.answer import Answer
from filterlink.filters.exchange import Unscannable
from filterlink.filters.service import Address, Unavailable
from filterlink.filters.spamd import Settings, SpamdFilter
from filterlink.filters.verdict import Verdict, error, header, ok, reply
from tests.filterlink.filters.daemons import CLEAN, ENVELOPE, GTUBE, SPAM, Daemon, needs, open_folder, queued

RULES = """
body GTUBE /{gtube}/
score GTUBE 1000
header FUN Subject =~ /fun/
score FUN 2.5
add_header all Status "_YESNO_, score=_SCORE_ required=_REQD_ tests=_TESTS_"
add_header all Level _STARS(*)_
add_header spam Flag _YESNOCAPS_
add_header all Checker-Version here
report_safe 1
use_bayes 0
"""
MAIN = "from enqueuer.cli.app import main; main()"
FUN = CLEAN.replace(b"hello", b"fun")
VERSION = "X-Spam-Checker-Version: here"
CAUGHT = header(("X-Spam-Status: Yes, score=1000.0 required=5.0 tests=GTUBE", "X-Spam-Level: " + "*" * 50, "X-Spam-Flag: YES", VERSION))
PASSED = header(("X-Spam-Status: No, score=2.5 required=5.0 tests=FUN", "X-Spam-Level: **", VERSION))

Judging = Callable[..., Callable[[bytes], Verdict]]


def make_spamd(folder: Path) -> Daemon:
    program = needs("spamd", "spamd")
    pattern = GTUBE.decode().replace("*", r"\*").replace(".", r"\.")
    (folder / "rules.cf").write_text(RULES.format(gtube=pattern))
    (folder / "init.pre").write_text("loadplugin Mail::SpamAssassin::Plugin::Check\n")
    paths = [f"--configpath={folder}", f"--siteconfigpath={folder}", f"--pidfile={folder}/pid"]
    limits = ["--local", "--nouser-config", "--max-children=4", "--syslog=stderr", "--timeout-child=0"]
    daemon = Daemon(folder, program, *paths, *limits, *(["--username=nobody"] if os.geteuid() == 0 else []))
    daemon.command += (f"--listen={daemon.socket}", f"--listen=127.0.0.1:{daemon.port}")
    return daemon


@pytest.fixture
def spamd() -> Iterator[Daemon]:
    """One that is not started yet."""
    with open_folder() as folder:
        daemon = make_spamd(folder)
        yield daemon
        daemon.kill()


@pytest.fixture(scope="module")
def running() -> Iterator[Daemon]:
    """One for all tests that leave it as it is."""
    with open_folder() as folder:
        daemon = make_spamd(folder)
        yield daemon.start()
        daemon.kill()


@pytest.fixture
def judging(tmp_path: Path) -> Judging:
    """Makes filters: judging(address, address, wait=1)(message)."""

    def make(*addresses: Address, envelope: bytes = ENVELOPE, **settings: Any) -> Callable[[bytes], Verdict]:
        made = SpamdFilter(addresses, Settings(**{"wait": 30.0, **settings}))
        return lambda message: made.judge(queued(tmp_path, message, envelope))

    return make


@pytest.mark.server
def test_clean_and_caught(running: Daemon, judging: Judging) -> None:
    """SpamAssassin's fields as it writes them, over both ways; none of those that were there, nor of its wrapping."""
    for address in (Address(running.socket), Address("127.0.0.1", running.port)):
        judge = judging(address)
        assert judge(FUN) == PASSED
        assert judge(SPAM) == CAUGHT
        assert judge(b"X-Spam-Status: No\nX-Spam-Forged: yes\n" + FUN.rstrip()) == PASSED
        assert judge(b"").fields[0].startswith("X-Spam-Status: No")


@pytest.mark.server
def test_what_may_be_added(running: Daemon, judging: Judging) -> None:
    """Fields of ours from the names of the rules, or nothing."""
    address = Address(running.socket)
    ours = header(("X-Spam-Flag: YES", "X-Spam-Status: Yes, score=1002.5 required=5.0\n\ttests=FUN,GTUBE", "X-Spam-Level: " + "*" * 50))

    assert judging(address, add="symbols")(FUN + GTUBE + b"\n") == ours
    assert judging(address, add="symbols")(CLEAN) == header(("X-Spam-Status: No, score=0.0 required=5.0\n\ttests=none",))
    assert judging(address, add="nothing")(SPAM) == ok()


@pytest.mark.server
@pytest.mark.parametrize("add", ["headers", "symbols", "nothing"])
def test_a_score_from_which_it_refuses(running: Daemon, judging: Judging, add: str) -> None:
    """This score or more, whatever is added to the others."""
    judge = judging(Address(running.socket), add=add, reject_above=1000)

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
def test_whose_preferences_count(running: Daemon, judging: Judging, recipients: bytes, settings: dict[str, Any], user: bytes) -> None:
    """The recipient's, where there is one alone."""
    said = b" for %b:" % user
    before = running.said(said)
    judging(Address(running.socket), envelope=b"P I x <a@b>\n" + recipients + b"\n", **settings)(CLEAN)

    running.until(lambda: running.said(said) > before)


@pytest.mark.server
def test_down_at_the_start(spamd: Daemon, judging: Judging) -> None:
    """Messages wait for it; where that takes too long they are held, with the reason."""
    address = Address(spamd.socket)
    assert judging(address, wait=0)(SPAM) == Verdict("REJECTED", f"no spamd answers: {spamd.socket}: No such file or directory")
    judge = judging(address)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [pool.submit(judge, SPAM) for _ in range(3)]
        assert not concurrent.futures.wait(waiting, 0.3).done
        spamd.launch()

        assert [each.result() for each in waiting] == [CAUGHT] * 3


@pytest.mark.server
def test_down_in_the_middle(spamd: Daemon, judging: Judging) -> None:
    """The messages that it was judging are judged again when it is back."""
    judge = judging(Address(spamd.start().socket))
    assert judge(SPAM) == CAUGHT
    spamd.send(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [pool.submit(judge, SPAM) for _ in range(4)]
        assert not concurrent.futures.wait(waiting, 0.3).done
        spamd.kill()
        spamd.launch()

        assert [each.result() for each in waiting] == [CAUGHT] * 4


@pytest.mark.server
def test_another_takes_over(running: Daemon, spamd: Daemon, judging: Judging) -> None:
    """At once."""
    judge = judging(Address(spamd.start().socket), Address(running.socket), wait=0)
    assert judge(SPAM) == CAUGHT
    spamd.kill()

    assert [judge(SPAM) for _ in range(3)] == [CAUGHT] * 3


@pytest.mark.server
def test_reloading(spamd: Daemon, judging: Judging) -> None:
    """No message fails meanwhile, and then the new rules count."""
    judge = judging(Address(spamd.start().socket))
    assert judge(FUN) == PASSED
    (spamd.folder / "rules.cf").write_text((spamd.folder / "rules.cf").read_text().replace("FUN 2.5", "FUN 3.5"))
    spamd.reload()
    found: list[Verdict] = []
    while not found or found[-1] == PASSED:
        found.append(judge(FUN))
        assert len(found) < 10_000

    assert found[-1] == header(("X-Spam-Status: No, score=3.5 required=5.0 tests=FUN", "X-Spam-Level: ***", VERSION))


@pytest.mark.server
def test_slow(spamd: Daemon, judging: Judging) -> None:
    """It is waited for, up to the time-out; then the message is held."""
    address = Address(spamd.start().socket)
    spamd.send(signal.SIGSTOP)
    assert judging(address, timeout=0.5)(SPAM).word == "REJECTED"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(judging(address), SPAM)
        assert not concurrent.futures.wait([waiting], 1).done
        spamd.send(signal.SIGCONT)

        assert waiting.result() == CAUGHT


@pytest.mark.server
def test_a_message_of_50_megabytes(running: Daemon, judging: Judging) -> None:
    """It is judged, unless one says otherwise."""
    part = b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" + (b"QUJD" * 18 + b"\n") * 700_000
    head = b'Subject: fun\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="limit"\n\n--limit\n\n'
    large = head + GTUBE + b"\n--limit\n" + part + b"--limit--\n"
    assert len(large) > 50_000_000

    assert judging(Address(running.socket), add="symbols", reject_above=1000)(large) == error("spam: score 1002.5 of 5.0")
    assert judging(Address(running.socket), max_size=1 << 20)(large) == ok()


@pytest.mark.server
def test_as_a_program(running: Daemon, tmp_path: Path) -> None:
    """`enqueuer filter spamd` speaks the helper protocol."""
    lines = f"1 INTF 4\n2 FILE {queued(tmp_path, SPAM)}\n3 QUIT\n"
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "filter", "spamd", "--socket", running.socket],
        input=lines.encode(),
        stdout=subprocess.PIPE,
        check=True,
    )

    assert done.stdout.splitlines()[1:] == [b"1 INTF 4", b"2 " + reply(CAUGHT) + b" OK", b"3 OK"]


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
    answer = Answer()
    answer.feed(line + b"\r\n")
    answer.end()
    with pytest.raises(fault):
        SpamdFilter([], Settings())._read(answer)
