"""One list of demands for every filter that asks a server, each on the real server: what docs/filters.md says of them all."""

import concurrent.futures
import contextlib
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.filters.runtime.verdict import Verdict, ok
from filterlink.filters.servers.clamd import ClamdFilter
from filterlink.filters.servers.service import Address
from tests.filterlink.filters.daemons import DEADLINE, Daemon, queued, served
from tests.filterlink.filters.kinds import KINDS, Kind

pytestmark = pytest.mark.server
Making = Callable[[], Daemon]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name, scope="module")
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def made(kind: Kind) -> Iterator[Making]:
    """Makes servers that are not started yet."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(served(kind.server, stack))


@pytest.fixture(scope="module")
def running(kind: Kind) -> Iterator[Daemon]:
    """One for all tests that leave it as it is."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(served(kind.server, stack)).start()


@pytest.fixture
def asking(kind: Kind, tmp_path: Path) -> Iterator[Callable[..., Callable[[bytes], Verdict]]]:
    """Makes filters: asking(address, address, wait=1)(message)."""
    with contextlib.ExitStack() as stack:

        def make(*addresses: Address, **settings: Any) -> Callable[[bytes], Verdict]:
            found = kind.filter(addresses, **{"wait": 30.0, **settings})
            if isinstance(found, ClamdFilter):
                stack.callback(found.close)
            return lambda message: found.judge(queued(tmp_path, message))

        yield make


Asking = Callable[..., Callable[[bytes], Verdict]]


def test_clean_and_caught(kind: Kind, running: Daemon, asking: Asking) -> None:
    """Over each way to it, one after the other; an empty message harms nobody."""
    for address in kind.addresses(running):
        judge = asking(address)
        for message, verdict in (kind.clean, kind.caught, kind.clean):
            assert judge(message) == verdict
        assert judge(b"").word in ("OK", "ADDHEADER")


def test_many_at_once(kind: Kind, running: Daemon, asking: Asking) -> None:
    """Each message gets its own verdict."""
    judge = asking(kind.addresses(running)[0])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(judge, [kind.clean[0], kind.caught[0]] * 20))

    assert found == [kind.clean[1], kind.caught[1]] * 20


def test_down_at_the_start(kind: Kind, made: Making, asking: Asking) -> None:
    """Messages wait for it; where that takes too long they are deferred, with the reason."""
    server = made()
    address = kind.addresses(server)[0]
    reason = "No such file or directory" if not address.port else "Connection refused"
    assert asking(address, wait=0)(kind.caught[0]) == Verdict("REJECTED", f"no {kind.called} answers: {address}: {reason}")
    judge = asking(address)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [pool.submit(judge, kind.caught[0]) for _ in range(3)]
        assert not concurrent.futures.wait(waiting, 0.3).done
        server.launch()

        assert [each.result() for each in waiting] == [kind.caught[1]] * 3


def test_its_probe_says_whether_it_answers(kind: Kind, made: Making) -> None:
    """The probe is the cheapest request that the server answers. It also shows when the server has ended and is back."""
    server = made()
    address = kind.addresses(server)[0]
    watch = kind.filter([address], wait=0.0).watch
    for _ in range(2):
        assert watch.ask().startswith(f"{address}: ")
        server.start()
        assert watch.ask() == ""
        server.kill()


def test_down_in_the_middle(kind: Kind, made: Making, asking: Asking) -> None:
    """The messages that it was judging are judged again when it is back."""
    server = made().start()
    judge = asking(kind.addresses(server)[0])
    assert judge(kind.caught[0]) == kind.caught[1]
    server.send(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [pool.submit(judge, kind.caught[0]) for _ in range(4)]
        assert not concurrent.futures.wait(waiting, 0.3).done
        server.kill()
        server.launch()

        assert [each.result() for each in waiting] == [kind.caught[1]] * 4


def test_another_takes_over(kind: Kind, running: Daemon, made: Making, asking: Asking) -> None:
    """At once."""
    server = made().start()
    judge = asking(kind.addresses(server)[0], kind.addresses(running)[0], wait=0)
    assert judge(kind.caught[0]) == kind.caught[1]
    server.kill()

    assert [judge(kind.caught[0]) for _ in range(3)] == [kind.caught[1]] * 3


def test_reloading(kind: Kind, made: Making, asking: Asking) -> None:
    """No message fails meanwhile, and then the new rules count. rspamd may leave a connection without an answer: that message waits."""
    server = made().start()
    judge = asking(kind.addresses(server)[0], timeout=10)
    assert judge(kind.clean[0]) == kind.clean[1]
    message, old, new = kind.renew(server)
    end = time.monotonic() + DEADLINE
    while (found := judge(message)) != new:
        assert found == old or (kind.name, found.word) == ("rspamd", "REJECTED")
        assert time.monotonic() < end


def test_slow(kind: Kind, made: Making, asking: Asking) -> None:
    """It is waited for, up to the time-out; then the message is deferred."""
    server = made().start()
    address = kind.addresses(server)[0]
    server.send(signal.SIGSTOP)
    found = asking(address, timeout=0.5)(kind.caught[0])
    assert (found.word, found.text.partition(":")[0]) == ("REJECTED", f"no {kind.called} answers")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(asking(address), kind.caught[0])
        assert not concurrent.futures.wait([waiting], 0.7).done
        server.send(signal.SIGCONT)

        assert waiting.result() == kind.caught[1]


def test_a_message_of_50_megabytes(kind: Kind, running: Daemon, asking: Asking) -> None:
    """It is judged to its end, over each way."""
    for message, verdict in kind.large():
        assert len(message) > 50_000_000
        for address in kind.addresses(running):
            assert asking(address)(message) == verdict


def test_held_to_the_protocol(kind: Kind, running: Daemon) -> None:
    """As a program, on made messages and with chaos, it breaks no rule of the helper protocol."""
    program = f"{shlex.quote(sys.executable)} -m enqueuer.cli.app filter {kind.options(running)}"
    words = [sys.executable, "-m", "enqueuer.cli.app", "filters", "bench", program, "--count", "60", "--chaos", "--json"]
    done = subprocess.run(words, stdout=subprocess.PIPE, timeout=60, check=False)
    found = json.loads(done.stdout)

    assert (found["broken"], found["answered"], found["stopped"], done.returncode) == ([], 60, "", 0)
    assert set(found["verdicts"]) <= {"OK", "ERROR"}
    assert ok().word in found["verdicts"]
