"""The filter against a real rspamd with rules of ours, which look at the subject."""

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.filters.answer import Answer
from filterlink.filters.exchange import Unscannable
from filterlink.filters.rspamd import BadPassword, RspamdFilter, Rules, Settings, read_password
from filterlink.filters.service import Address, Unavailable
from filterlink.filters.verdict import Verdict, error, header, ok, rejected
from tests.filterlink.filters.daemons import CLEAN, SPAM, Daemon, needs, open_folder, queued

CONFIG = """
options {{
    pidfile = "{0}/pid"; cache_file = "{0}/symbols.cache"; hs_cache_dir = "{0}"; control_socket = "{0}/control mode=0600";
    url_tld = "{0}/tld"; tempdir = "{0}"; filters = ""; dns {{ nameserver = ["127.0.0.1:1"]; }} max_message = {1};
}}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; "rewrite subject" = 8; "add header" = 6; greylist = 4; subject = "[spam] %s"; }}
worker "normal" {{ bind_socket = "{0}/socket mode=0666"; bind_socket = "127.0.0.1:{2}"; count = 1; task_timeout = 60s; }}
lua = "{0}/rules.lua";
"""
LUA = """
local function rule(name, score)
    rspamd_config:register_symbol{name = name, score = score, group = 'test', type = 'normal', callback = function(task)
        return (task:get_header('Subject') or ''):find(name) ~= nil
    end}
end
rule('GREY', 5) rule('TAG', 7) rule('REWRITE', 9) rule('BAD', 20)
rspamd_config:register_symbol{name = 'SOFT', type = 'prefilter', callback = function(task)
    if (task:get_header('Subject') or ''):find('SOFT') then task:set_pre_result('soft reject', 'come again') end
end}
rspamd_config:register_symbol{name = 'ENVELOPE', type = 'postfilter', callback = function(task)
    if (task:get_header('Subject') or ''):find('ENVELOPE') then
        local rcpt = task:get_recipients('smtp')
        task:set_milter_reply{add_headers = {
            ['X-Who'] = string.format('%s %s %s %s', task:get_from('smtp')[1].addr, rcpt[#rcpt].addr, task:get_ip(), task:get_user()),
            ['X-Id'] = {value = task:get_queue_id(), order = 0},
        }}
    end
end}
"""
MAIN = "from enqueuer.cli.app import main; main()"
CAUGHT = error("Gtube pattern")
TAGGED = header(("X-Spam: Yes", "X-Spamd-Result: default: True [7.00 / 15.00];\n\tTAG(7.00)"))

Judging = Callable[..., Callable[[bytes], Verdict]]


def titled(subject: str) -> bytes:
    return CLEAN.replace(b"hello", subject.encode())


def make_rspamd(folder: Path) -> Daemon:
    daemon = Daemon(folder, needs("rspamd", "rspamd"), "-f", "-c", str(folder / "rspamd.conf"))
    if os.geteuid() == 0:
        daemon.command += ("-i",)
    (folder / "tld").write_text("com\norg\n")
    (folder / "rules.lua").write_text(LUA)
    (folder / "rspamd.conf").write_text(CONFIG.format(folder, "60M", daemon.port))
    return daemon


@pytest.fixture
def rspamd() -> Iterator[Daemon]:
    """One that is not started yet."""
    with open_folder() as folder:
        daemon = make_rspamd(folder)
        yield daemon
        daemon.kill()


@pytest.fixture(scope="module")
def running() -> Iterator[Daemon]:
    """One for all tests that leave it as it is."""
    with open_folder() as folder:
        daemon = make_rspamd(folder)
        yield daemon.start()
        daemon.kill()


@pytest.fixture
def judging(tmp_path: Path) -> Judging:
    """Makes filters: judging(address, address, wait=1)(message)."""

    def make(*addresses: Address, **settings: Any) -> Callable[[bytes], Verdict]:
        made = RspamdFilter(addresses, Settings(**{"wait": 30.0, **settings}))
        return lambda message: made.judge(queued(tmp_path, message))

    return make


@pytest.mark.server
def test_clean_and_caught(running: Daemon, judging: Judging) -> None:
    """Over both ways."""
    for address in (Address(running.socket), Address("127.0.0.1", running.port)):
        judge = judging(address)
        assert judge(CLEAN) == ok()
        assert judge(b"") == ok()
        assert judge(SPAM) == CAUGHT


@pytest.mark.server
def test_each_action(running: Daemon, judging: Judging) -> None:
    """Of a real rspamd."""
    judge = judging(Address(running.socket))

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
    judge = RspamdFilter([Address(running.socket)], Settings(Rules(greylist=100))).judge
    assert judge(path).word == "REJECTED"
    os.utime(path, (1_700_000_000, 1_700_000_000))

    assert judge(path) == ok()


@pytest.mark.server
def test_rspamd_is_told_the_envelope(running: Daemon, tmp_path: Path) -> None:
    """Sender, recipient, address, account and number; what it wants added is added."""
    path = queued(tmp_path, titled("ENVELOPE"))
    found = RspamdFilter([Address(running.socket)], Settings()).judge(path)

    assert set(found.fields) == {"X-Who: a@b c@d 192.0.2.1 u@v", f"X-Id: {Path(path).stem}"}


@pytest.mark.server
def test_down_at_the_start(rspamd: Daemon, judging: Judging) -> None:
    """Messages wait for it; where that takes too long they are held, with the reason."""
    address = Address(rspamd.socket)
    assert judging(address, wait=0)(SPAM) == Verdict("REJECTED", f"no rspamd answers: {rspamd.socket}: No such file or directory")
    judge = judging(address)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [pool.submit(judge, SPAM) for _ in range(3)]
        assert not concurrent.futures.wait(waiting, 0.3).done
        rspamd.launch()

        assert [each.result() for each in waiting] == [CAUGHT] * 3


@pytest.mark.server
def test_down_in_the_middle(rspamd: Daemon, judging: Judging) -> None:
    """The messages that it was judging are judged again when it is back."""
    judge = judging(Address(rspamd.start().socket))
    assert judge(SPAM) == CAUGHT
    rspamd.send(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [pool.submit(judge, SPAM) for _ in range(4)]
        assert not concurrent.futures.wait(waiting, 0.3).done
        rspamd.kill()
        rspamd.launch()

        assert [each.result() for each in waiting] == [CAUGHT] * 4


@pytest.mark.server
def test_another_takes_over(running: Daemon, rspamd: Daemon, judging: Judging) -> None:
    """At once."""
    judge = judging(Address(rspamd.start().socket), Address(running.socket), wait=0)
    assert judge(SPAM) == CAUGHT
    rspamd.kill()

    assert [judge(SPAM) for _ in range(3)] == [CAUGHT] * 3


@pytest.mark.server
def test_reloading(rspamd: Daemon, judging: Judging) -> None:
    """No message fails meanwhile, and then the new rules count."""
    judge = judging(Address(rspamd.start().socket))
    assert judge(titled("TAG")) == TAGGED
    (rspamd.folder / "rules.lua").write_text(LUA.replace("rule('TAG', 7)", "rule('TAG', 6.5)"))
    rspamd.reload()
    found: list[Verdict] = []
    while not found or found[-1] == TAGGED:
        found.append(judge(titled("TAG")))
        assert len(found) < 100_000

    assert found[-1] == header(("X-Spam: Yes", "X-Spamd-Result: default: True [6.50 / 15.00];\n\tTAG(6.50)"))


@pytest.mark.server
def test_slow(rspamd: Daemon, judging: Judging) -> None:
    """It is waited for, up to the time-out; then the message is held."""
    address = Address(rspamd.start().socket)
    rspamd.send(signal.SIGSTOP)
    assert judging(address, timeout=0.5)(SPAM).word == "REJECTED"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(judging(address), SPAM)
        assert not concurrent.futures.wait([waiting], 1).done
        rspamd.send(signal.SIGCONT)

        assert waiting.result() == CAUGHT


@pytest.mark.server
def test_large_messages(running: Daemon, judging: Judging) -> None:
    """50 MB are judged; of what is larger than rspamd takes (max_message) one says what becomes: it closes the connection."""
    large = titled("BAD").replace(b"how are", b"how are you?\n" * 4_000_000 + b"and")
    assert len(large) > 50_000_000

    judge = judging(Address(running.socket), wait=0)
    assert judge(large) == error("spam: score 20.0 of 15.0 (BAD)")
    too_large = large + large[:11_000_000]
    assert judge(too_large).word == "REJECTED"
    reason = r"rspamd cannot judge this message: 3 times: the connection (ended without an answer|was reset)"
    assert re.fullmatch(reason, judging(Address(running.socket), unscannable="pass")(too_large).text)
    assert judging(Address(running.socket), unscannable="error")(too_large).word == "ERROR"
    assert judging(Address(running.socket), max_size=1 << 20)(large) == ok()


@pytest.mark.server
def test_as_a_program(running: Daemon, tmp_path: Path) -> None:
    """`enqueuer filter rspamd` speaks the helper protocol."""
    (tmp_path / "password").write_text("secret\n")
    lines = f"1 INTF 4\n2 FILE {queued(tmp_path, SPAM)}\n3 QUIT\n"
    program = [sys.executable, "-c", MAIN, "filter", "rspamd", "--socket", running.socket, "--password-file", str(tmp_path / "password")]
    done = subprocess.run(program, input=lines.encode(), stdout=subprocess.PIPE, check=True)

    assert done.stdout.splitlines()[1:] == [b"1 INTF 4", b'2 ERROR "Gtube pattern"', b"3 OK"]


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
    answer = Answer()
    answer.feed(b"HTTP/1.1 " + line + b"\r\n\r\n")
    answer.end()
    with pytest.raises(fault):
        RspamdFilter([], Settings())._read(answer, 0)
