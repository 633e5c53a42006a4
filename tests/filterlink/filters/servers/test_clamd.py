"""The filter against real clamds, with a hand-made database. What it shares with the others is in test_servers.py."""

import contextlib
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.filters.runtime.finding import Policy
from filterlink.filters.runtime.verdict import Verdict, discard, error, header, ok
from filterlink.filters.servers.clamd import MAX_DEATHS, ClamdFilter, ClamdSettings
from filterlink.filters.servers.service import Address

Mail = Callable[..., bytes]
Queued = Callable[[bytes], str]
MAIN = "from enqueuer.cli.app import main; main()"
CAUGHT = error("Test.Eicar.UNOFFICIAL")
pytestmark = pytest.mark.server


@pytest.fixture
def asking() -> Iterator[Callable[..., ClamdFilter]]:
    """Makes filters: asking(address, address, wait=1)."""
    made: list[ClamdFilter] = []

    def make(*addresses: Address, **settings: Any) -> ClamdFilter:
        policy = Policy(**{key: settings.pop(key) for key in ("action", "unscannable") if key in settings})
        made.append(ClamdFilter(addresses, ClamdSettings(policy, **{"wait": 30, **settings})))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(params=["unix", "tcp"])
def address(request: pytest.FixtureRequest) -> Callable[[Any], Address]:
    """Where a clamd listens: both ways are tried."""
    return (lambda clamd: Address(clamd.socket)) if request.param == "unix" else (lambda clamd: Address("127.0.0.1", clamd.port))


Asking = Callable[..., ClamdFilter]
AddressOf = Callable[[Any], Address]


def test_clean_and_caught(clamds: Any, asking: Asking, address: AddressOf, mail: Mail, queued: Queued, eicar: bytes) -> None:
    """In the body and in attachments, whatever the first field is, many messages in one session."""
    judge = asking(address(clamds().start())).judge

    for _ in range(3):
        assert judge(queued(mail(b"harmless"))) == ok()
        assert judge(queued(b"")) == ok()
        assert judge(queued(mail(eicar))) == CAUGHT
        assert judge(queued(mail(eicar, b"From: a@b"))) == CAUGHT
        assert judge(queued(b"\n" + eicar)) == CAUGHT


def test_a_from_line_hides_nothing(clamds: Any, asking: Asking, address: AddressOf, mail: Mail, queued: Queued, eicar: bytes) -> None:
    """Neither on top, as of a mailbox, nor in the text."""
    judge = asking(address(clamds().start())).judge
    message = mail(eicar)

    assert judge(queued(b"From a Mon Jan  1 00:00:00 2026\n" + message)) == CAUGHT
    assert judge(queued(message.replace(b"hello", b"hello\n\nFrom here on\n\nmore"))) == CAUGHT


@pytest.mark.parametrize(
    ("action", "verdict"), [("error", CAUGHT), ("discard", discard()), ("header", header(("X-Virus: Test.Eicar.UNOFFICIAL",)))]
)
def test_what_is_done_with_a_virus(
    clamds: Any, asking: Asking, mail: Mail, queued: Queued, eicar: bytes, action: str, verdict: Verdict
) -> None:
    """As --action says; what is clean goes on in any case."""
    judge = asking(Address(clamds().start().socket), action=action).judge

    assert judge(queued(mail(eicar))) == verdict
    assert judge(queued(mail())) == ok()


def test_each_container_of_the_corpus(clamds: Any, asking: Asking, mail: Mail, queued: Queued, corpus: dict[str, bytes]) -> None:
    """Archives, packers, documents: clamd opens them all, attached to a message."""
    judge = asking(Address(clamds("MaxRecursion 30").start().socket)).judge
    found = {name: judge(queued(mail(data))) for name, data in corpus.items()}

    assert len(found) > 40
    assert {name: verdict for name, verdict in found.items() if verdict != error("ClamAV-Test-File.UNOFFICIAL")} == {}


@pytest.mark.parametrize("concurrent", ["yes", "no"])
def test_new_signatures_are_loaded_meanwhile(
    concurrent: str, clamds: Any, asking: Asking, address: AddressOf, mail: Mail, queued: Queued
) -> None:
    """No message fails while clamd blocks for them (as long as IdleTimeout, where it may not load beside), and then they count."""
    clamd = clamds(f"ConcurrentDatabaseReload {concurrent}", "IdleTimeout 2").start()
    judge = asking(address(clamd)).judge
    path = queued(mail(b"a harmless marker"))
    assert judge(path) == ok()
    many = "".join(f"{number:032x}:{number}:Test.Many{number}\n" for number in range(1000, 201_000))
    (clamd.database / "many.hdb").write_text(many)
    (clamd.database / "more.ndb").write_text(f"Test.Marker:0:*:{b'harmless marker'.hex()}\n")
    assert clamd.ask("RELOAD") == b"RELOADING\0"
    found: list[Verdict] = []
    while not found or found[-1] == ok():
        found.append(judge(path))
        assert len(found) < 100_000

    assert found[-1] == error("Test.Marker.UNOFFICIAL")


def test_a_clamd_that_hangs(clamds: Any, asking: Asking, address: AddressOf, mail: Mail, queued: Queued) -> None:
    """Its message is deferred when its time is over, and the next one is scanned by the other clamd."""
    slow = clamds().start()
    other = clamds().start()
    judge = asking(address(slow), address(other), timeout=1).judge
    assert judge(queued(mail())) == ok()
    slow.send(signal.SIGSTOP)

    assert judge(queued(mail())).word == "REJECTED"
    assert judge(queued(mail())) == ok()
    slow.send(signal.SIGCONT)


@pytest.mark.parametrize(("unscannable", "word"), [("defer", "REJECTED"), ("error", "ERROR"), ("pass", "FAILURE")])
def test_what_clamd_cannot_scan(clamds: Any, asking: Asking, mail: Mail, queued: Queued, unscannable: str, word: str) -> None:
    """Larger than its stream may be: never passed without a word, and the next message has no trouble."""
    judge = asking(Address("127.0.0.1", clamds("StreamMaxLength 1M").start().port), unscannable=unscannable).judge

    assert judge(queued(mail(bytes(3 << 20)))) == Verdict(word, "clamd cannot scan this message: INSTREAM size limit exceeded.")
    assert judge(queued(mail())) == ok()


def test_what_is_over_a_limit_is_not_clean(clamds: Any, asking: Asking, address: AddressOf, mail: Mail, queued: Queued) -> None:
    """It was not scanned to its end; ClamAV says so with AlertExceedsMax."""
    verdict = asking(address(clamds("MaxFileSize 1M", "AlertExceedsMax yes").start())).judge(queued(mail(bytes(3 << 20))))

    assert verdict.word == "REJECTED"
    assert "over a limit (Heuristics.Limits.Exceeded.MaxFileSize" in verdict.text


def test_a_session_that_clamd_has_ended(clamds: Any, asking: Asking, mail: Mail, queued: Queued) -> None:
    """Is noticed before the next message."""
    clamd = clamds().start()
    judge = asking(Address(clamd.socket), wait=0).judge
    assert judge(queued(mail())) == ok()
    clamd.kill()
    clamd.start()

    assert judge(queued(mail())) == ok()


def test_what_ends_the_scanner_again_and_again(asking: Asking, mail: Mail, queued: Queued) -> None:
    """Is not given to it all the time, and never passes: that the message kills it is not proven."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.closing(Dying(server)) as dying:
        verdict = asking(Address("127.0.0.1", server.getsockname()[1]), unscannable="pass").judge(queued(mail()))
        assert dying.scans == MAX_DEATHS

    assert verdict.word == "REJECTED"
    assert "3 times during its scan" in verdict.text


class Dying:
    """A server that ends each connection when the whole message is there."""

    def __init__(self, server: socket.socket) -> None:
        self.server = server
        self.scans = 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self.server.accept()[0] as sock:
                    data = b""
                    while not data.endswith(b"\0\0\0\0"):
                        data += sock.recv(65536)
                    self.scans += 1

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.thread.join()


def test_the_helper_program(clamds: Any, mail: Mail, queued: Queued, eicar: bytes) -> None:
    """Says which signatures clamd has, and judges."""
    clamd = clamds().start()
    arguments = [sys.executable, "-c", MAIN, "filter", "clamd", "--socket", clamd.socket]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as helper:
        assert helper.stdin
        assert helper.stdout
        told = sorted([helper.stdout.readline(), helper.stdout.readline()])
        assert told[0].startswith(b"* clamd at %b: ClamAV " % clamd.socket.encode())
        assert told[1].startswith(b"* enqueuer filter clamd")
        helper.stdin.write(b"1 FILE %b\n" % queued(mail(eicar)).encode())
        helper.stdin.close()
        assert helper.stdout.read() == b'1 ERROR "Test.Eicar.UNOFFICIAL"\n'
    assert helper.returncode == 0


def test_an_outage_is_told_at_any_level_of_the_log(tmp_path: Path) -> None:
    """On standard error: what is said on the other output, servers log with their traffic only."""
    arguments = [sys.executable, "-c", MAIN, "filter", "clamd", "--socket", "none"]
    with subprocess.Popen(arguments, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as helper:
        assert helper.stdin
        assert helper.stderr
        assert select.select([helper.stderr], [], [], 20)[0]
        assert helper.stderr.readline() == b"clamd at none: not there: No such file or directory\n"
        helper.stdin.close()


def test_behind_the_multiplexer(clamds: Any, base: Path, rig: Any, mail: Mail, eicar: bytes) -> None:
    """As a configured filter: started before clamd is, and it judges as soon as that is there."""
    clamd = clamds()
    (base / "Queue" / "1.msg").write_bytes(b"O L\nR W x <c@d>\n\n" + mail(eicar))
    running = rig(shlex.join(["env", sys.executable, "-c", MAIN, "filter", "clamd", "--socket", clamd.socket]))
    running.until_state("failed")
    clamd.launch()

    assert running.ask(1).answer.text == "Test.Eicar.UNOFFICIAL"


def test_without_a_server_there_is_no_helper(tmp_path: Path) -> None:
    """And it says which option is missing."""
    done = subprocess.run([sys.executable, "-c", MAIN, "filter", "clamd"], capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (64, b"")
    assert b"--socket or --host" in done.stderr


class Proxy:
    """A Unix socket in front of clamd's that passes on bytes, and no descriptors."""

    def __init__(self, path: Path, behind: str) -> None:
        self._listener = socket.create_server(str(path), family=socket.AF_UNIX)
        self._behind = behind
        self._open = [self._listener]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.socket(socket.AF_UNIX)
                self._open += [near, far]
                far.connect(self._behind)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def test_a_socket_that_passes_no_descriptors_on(
    clamds: Any, asking: Asking, mail: Mail, queued: Queued, eicar: bytes, tmp_path: Path
) -> None:
    """Messages themselves go there. Nothing passes unseen, whatever --unscannable says."""
    with contextlib.closing(Proxy(tmp_path / "proxy", clamds().start().socket)):
        judge = asking(Address(str(tmp_path / "proxy")), unscannable="pass").judge

        assert [judge(queued(mail(eicar))) for _ in range(3)] == [CAUGHT] * 3
        assert judge(queued(mail())) == ok()


def test_a_fault_of_the_server_is_never_the_messages(asking: Asking, mail: Mail, queued: Queued, tmp_path: Path) -> None:
    """It waits, also with `--unscannable pass`."""
    with socket.create_server(str(tmp_path / "full"), family=socket.AF_UNIX) as server:
        threading.Thread(target=_full, args=(server,), daemon=True).start()
        verdict = asking(Address(str(tmp_path / "full")), unscannable="pass", wait=1).judge(queued(mail()))

    assert verdict == Verdict("REJECTED", "clamd does not work properly: fd[10]: Can't create temporary file")


def _full(server: socket.socket) -> None:
    """Answers each scan that there is no room for it."""
    with contextlib.suppress(OSError):
        while True:
            with server.accept()[0] as sock:
                data = b""
                while not data.endswith(b"FILDES\0\0"):
                    data += sock.recv(1 << 16)
                sock.sendall(b"1: fd[10]: Can't create temporary file ERROR\0")
