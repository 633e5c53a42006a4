"""The milter filter against real OpenDKIMs: one that signs, and some that verify."""

import concurrent.futures
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.filters.milter import MilterFilter, Settings
from filterlink.filters.milterwire import Outcome
from filterlink.filters.service import Address
from filterlink.filters.verdict import Verdict, discard, error, header
from tests.filterlink.filters.daemons import ENVELOPE, Daemon, needs, open_folder, queued

MAIN = "from enqueuer.cli.app import main; main()"
PLAIN = b"From: a@b.example\nTo: c@d\nSubject: long,\n long\nDate: Thu, 1 Jan 2026 00:00:00 +0000\n\nhello  \n\n.\nend\n"
SIGNED = (
    b"DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=b.example; s=s; t=1700000000;\n"
    b"\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; h=From:Subject; b=MTIzNDU2\n"
)
CONFIG = "Syslog no\nPidFile {folder}/pid\nAuthservID here\nUMask 000\nAlwaysAddARHeader yes\nTrustAnchorFile /dev/null\n"
NONE = header(("Authentication-Results: here; dkim=none; dkim-atps=neutral",))

Judging = Callable[..., Callable[[bytes], Verdict]]
Making = Callable[..., Daemon]


@pytest.fixture
def milters() -> Iterator[Making]:
    """Makes OpenDKIMs, not started yet: milters("On-NoSignature reject", tcp=True)."""
    program = needs("opendkim", "opendkim")
    with open_folder() as folder:
        made: list[Daemon] = []

        def make(*lines: str, tcp: bool = False) -> Daemon:
            own = folder / str(len(made))
            own.mkdir()
            (own / "conf").write_text(CONFIG.format(folder=own) + "\n".join(("", *lines, "")))
            daemon = Daemon(own, program, "-f", "-x", str(own / "conf"))
            daemon.command += ("-p", f"inet:{daemon.port}@127.0.0.1" if tcp else f"local:{daemon.socket}")
            made.append(daemon)
            return daemon

        yield make
        for each in made:
            each.kill()


@pytest.fixture
def judging(tmp_path: Path) -> Judging:
    """Makes filters: judging(address, changes="error")(message)."""

    def make(*addresses: Address, **settings: Any) -> Callable[[bytes], Verdict]:
        made = MilterFilter(addresses, Settings(**{"wait": 30.0, **settings}))
        return lambda message: made.judge(queued(tmp_path, message, ENVELOPE))

    return make


@pytest.mark.server
def test_signed_by_one_and_verified_by_another(milters: Making, judging: Judging, tmp_path: Path) -> None:
    """Each byte of header and body reaches them as it is: the signature that one adds is good for the other."""
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    public = subprocess.run(["openssl", "rsa", "-in", str(key), "-pubout"], check=True, capture_output=True).stdout
    (tmp_path / "keys").write_text("s._domainkey.b.example v=DKIM1; k=rsa; p=" + "".join(public.decode().splitlines()[1:-1]) + "\n")
    (tmp_path / "inside").write_text("192.0.2.1\n")
    inside = ("Mode s", "Domain b.example", "Selector s", f"KeyFile {key}", f"InternalHosts {tmp_path}/inside", "RequireSafeKeys no")
    signs = milters(*inside).start()
    verifies = milters("Mode v", f"TestPublicKeys {tmp_path}/keys").start()

    signed = judging(Address(signs.socket))(PLAIN)
    assert signed.fields[0].startswith("DKIM-Signature: v=1; a=rsa-sha256;")
    message = "\n".join(signed.fields).encode() + b"\n" + PLAIN
    verify = judging(Address(verifies.socket))
    assert "dkim=pass" in verify(message).fields[0]
    assert "dkim=pass" in verify(message.replace(b"\n", b"\r\n")).fields[0]
    assert "dkim=fail" in verify(message.replace(b"end", b"END")).fields[0]


@pytest.mark.server
@pytest.mark.parametrize(
    ("action", "found"),
    [
        ("reject", error("550 5.7.0 DKIM key retrieval failed")),
        ("tempfail", Verdict("REJECTED", "451 4.7.5 DKIM key retrieval failed")),
        ("discard", discard()),
    ],
)
def test_what_it_decides(milters: Making, judging: Judging, tmp_path: Path, action: str, found: Verdict) -> None:
    """Its answer is the verdict."""
    (tmp_path / "keys").write_text("")
    server = milters("Mode v", f"TestPublicKeys {tmp_path}/keys", f"On-Default {action}").start()

    assert judging(Address(server.socket))(SIGNED + PLAIN) == found


@pytest.mark.server
def test_what_cannot_be_done(milters: Making, judging: Judging) -> None:
    """A forged Authentication-Results that it removes: it stays, or the message is refused."""
    address = Address(milters("Mode v").start().socket)
    forged = b"Authentication-Results: here; dkim=pass\n" + PLAIN

    assert judging(address)(forged) == NONE
    assert judging(address, changes="error")(forged) == error("the milter changes a header field, which cannot be done here")


@pytest.mark.parametrize(("choice", "found"), [("error", error("quarantined by the milter: odd")), ("ignore", header(("X-A: b",)))])
def test_quarantine(choice: str, found: Verdict) -> None:
    """It is refused with the reason, or goes on with what was added."""
    outcome = Outcome()
    outcome.take(b"h", b"X-A\0b\0")
    outcome.take(b"q", b"odd\0")

    assert MilterFilter([], Settings(quarantine=choice))._decided(outcome) == found


@pytest.mark.server
def test_down_and_back_and_another(milters: Making, judging: Judging, tmp_path: Path) -> None:
    """Messages wait for it, in the middle as well; another takes over at once; what hangs is held after the time-out."""
    first, second = milters("Mode v"), milters("Mode v").start()
    address = Address(first.socket)
    assert judging(address, wait=0)(PLAIN) == Verdict("REJECTED", f"no milter answers: {address}: No such file or directory")
    assert judging(address, Address(second.socket), wait=0)(PLAIN) == NONE
    first.start().send(signal.SIGSTOP)
    assert judging(address, timeout=0.5)(PLAIN) == Verdict("REJECTED", f"no milter answers: {address}: no answer in time")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [pool.submit(judging(address), PLAIN) for _ in range(3)]
        assert not concurrent.futures.wait(waiting, 0.3).done
        first.kill()
        Path(first.socket).unlink(missing_ok=True)
        first.launch()

        assert [each.result() for each in waiting] == [NONE] * 3


@pytest.mark.server
def test_large_and_as_a_program_by_tcp(milters: Making, tmp_path: Path) -> None:
    """50 MB are told to it; `enqueuer filter milter` speaks the helper protocol."""
    server = milters("Mode v", tcp=True)
    server.launch()
    large = queued(tmp_path, PLAIN + b"x" * 70 * 720_000 + b"\n")
    words = ["filter", "milter", "--host", f"127.0.0.1:{server.port}"]
    lines = f"1 INTF 4\n2 FILE {large}\n3 QUIT\n"
    done = subprocess.run([sys.executable, "-c", MAIN, *words], input=lines.encode(), stdout=subprocess.PIPE, check=True)

    assert done.stdout.splitlines()[1:] == [
        b"1 INTF 4",
        b'2 ADDHEADER "Authentication-Results: here; dkim=none; dkim-atps=neutral" OK',
        b"3 OK",
    ]
