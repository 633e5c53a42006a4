"""The ICAP filter against a real c-icap: its echo service, and its virus_scan with a real clamd behind it."""

import concurrent.futures
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.filters.icap import IcapFilter, Settings
from filterlink.filters.service import Address
from filterlink.filters.verdict import Verdict, discard, error, header, ok
from tests.filterlink.filters.daemons import CLEAN, ENVELOPE, Daemon, needs, open_folder, queued

MAIN = "from enqueuer.cli.app import main; main()"
CONFIG = """
PidFile {folder}/pid
CommandsSocket {folder}/control
Port 127.0.0.1:{port}
StartServers 1
MaxServers 2
ThreadsPerChild 8
TmpDir {folder}
ModulesDir {modules}
ServicesDir {modules}
TemplateDir /usr/share/c_icap/templates/
LoadMagicFile /etc/c-icap/c-icap.magic
ServerLog {folder}/server.log
AccessLog {folder}/access.log
Service echo srv_echo.so
{more}
"""
SCAN = """
Service antivirus virus_scan.so
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE
virus_scan.MaxObjectSize 100M
virus_scan.SendPercentData 5
virus_scan.StartSendPercentDataAfter 100M
Module common clamd_mod.so
clamd_mod.ClamdSocket {clamd}
virus_scan.DefaultEngine clamd
"""
NAME = "Test.Eicar.UNOFFICIAL"

Judging = Callable[..., Callable[[bytes], Verdict]]


class Icap(Daemon):
    """It listens on its port alone."""

    def listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)


def make_icap(folder: Path, more: str = "") -> Icap:
    daemon = Icap(folder, needs("c-icap", "c-icap"), "-N", "-f", str(folder / "conf"))
    modules = next((str(each) for each in Path("/usr/lib").glob("*/c_icap")), "")
    (folder / "conf").write_text(CONFIG.format(folder=folder, port=daemon.port, modules=modules, more=more))
    return daemon


@pytest.fixture
def server() -> Iterator[Icap]:
    """One that is not started yet, with echo."""
    with open_folder() as folder:
        daemon = make_icap(folder)
        yield daemon
        daemon.kill()


@pytest.fixture
def scanning(clamds: Callable[..., Any]) -> Iterator[Icap]:
    """One with virus_scan and a clamd."""
    if not any(Path("/usr/lib").glob("*/c_icap/virus_scan.so")):
        pytest.skip("no virus_scan: apt-get install libc-icap-mod-virus-scan")
    clamd = clamds().start()
    with open_folder() as folder:
        daemon = make_icap(folder, SCAN.format(clamd=clamd.socket))
        yield daemon
        daemon.kill()


@pytest.fixture
def judging(tmp_path: Path) -> Judging:
    """Makes filters: judging(address, service="echo", wait=1)(message)."""

    def make(*addresses: Address, **settings: Any) -> Callable[[bytes], Verdict]:
        made = IcapFilter(addresses, Settings(**{"service": "echo", "wait": 30.0, **settings}))
        return lambda message: made.judge(queued(tmp_path, message, ENVELOPE))

    return make


@pytest.mark.server
def test_unchanged_is_clean(server: Icap, judging: Judging) -> None:
    """Within the preview, beyond it, and empty."""
    judge = judging(server.start().address)

    assert [judge(message) for message in (b"", CLEAN, CLEAN * 2000)] == [ok()] * 3


@pytest.mark.server
def test_caught_by_the_scanner(scanning: Icap, judging: Judging, eicar: bytes, mail: Callable[..., bytes], tmp_path: Path) -> None:
    """The name that the server gives is in the verdict, by the action that was chosen; small, large, and as a program."""
    address = scanning.start().address
    judge = judging(address, service="antivirus")

    assert judge(mail(b"harmless")) == ok()
    assert judge(mail(eicar)) == error(NAME)
    assert judge(mail(b"x" * 300_000 + eicar)) == error(NAME)
    policy = type(Settings("x").policy)
    assert judging(address, service="antivirus", policy=policy("discard"))(mail(eicar)) == discard()
    assert judging(address, service="antivirus", policy=policy("header"))(mail(eicar)) == header((f"X-Virus: {NAME}",))
    lines = f"1 INTF 4\n2 FILE {queued(tmp_path, mail(eicar))}\n3 QUIT\n"
    words = ["filter", "icap", "--host", str(address), "--service", "antivirus"]
    done = subprocess.run([sys.executable, "-c", MAIN, *words], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    assert done.stdout.splitlines()[1:] == [b"1 INTF 4", b'2 ERROR "%b"' % NAME.encode(), b"3 OK"]


@pytest.mark.server
def test_down_at_the_start(server: Icap, judging: Judging) -> None:
    """Messages wait for it; where that takes too long they are held, with the reason."""
    assert judging(server.address, wait=0)(CLEAN) == Verdict("REJECTED", f"no ICAP server answers: {server.address}: Connection refused")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [pool.submit(judging(server.address), CLEAN) for _ in range(3)]
        assert not concurrent.futures.wait(waiting, 0.3).done
        server.launch()

        assert [each.result() for each in waiting] == [ok()] * 3


@pytest.mark.server
def test_down_in_the_middle(server: Icap, judging: Judging) -> None:
    """The messages that it had are judged again when it is back."""
    judge = judging(server.start().address)
    assert judge(CLEAN) == ok()
    server.send(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [pool.submit(judge, CLEAN) for _ in range(4)]
        assert not concurrent.futures.wait(waiting, 0.3).done
        server.kill()
        server.launch()

        assert [each.result() for each in waiting] == [ok()] * 4


@pytest.mark.server
def test_slow_and_another_takes_over(server: Icap, judging: Judging) -> None:
    """It is waited for up to the time-out, then the message is held; one that is away is passed over."""
    address = server.start().address
    assert judging(Address(str(server.folder / "none")), address, wait=0)(CLEAN) == ok()
    server.send(signal.SIGSTOP)

    assert judging(address, timeout=0.5)(CLEAN) == Verdict("REJECTED", f"no ICAP server answers: {address}: no answer in time")


@pytest.mark.server
def test_no_such_service(server: Icap, judging: Judging) -> None:
    """A wrong name holds the mail, and passes none, whatever becomes of messages that cannot be judged."""
    policy = type(Settings("x").policy)("error", "pass")
    found = judging(server.start().address, service="missing", wait=0, policy=policy)(CLEAN)

    assert found.word == "REJECTED"
    assert "404" in found.text


@pytest.mark.server
def test_a_message_of_50_megabytes(server: Icap, scanning: Icap, judging: Judging, eicar: bytes, mail: Callable[..., bytes]) -> None:
    """It is judged: without looking, and by the scanner."""
    large = mail(os.urandom(37 << 20) + eicar)
    assert len(large) > 50_000_000

    assert judging(server.start().address)(large) == ok()
    assert judging(scanning.start().address, service="antivirus")(large) == error(NAME)
