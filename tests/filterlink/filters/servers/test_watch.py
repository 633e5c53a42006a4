"""The watch over the servers of a filter, with servers that are functions here."""

import threading
from collections.abc import Callable
from queue import Empty, Queue

import pytest

from enqueuer.lab.trial import wait
from filterlink.filters.servers.service import Address, ServerGroup, TooLate, Unavailable
from filterlink.filters.servers.watch import ServerWatch

ONE = Address("one")
TWO = Address("two")


class Servers:
    """Answer probes as the test wants; note each probe and each report."""

    def __init__(self) -> None:
        self.faults: dict[Address, Exception | None] = {ONE: None, TWO: None}
        self.probes = 0
        self.reports = Queue[str]()

    def probe(self, address: Address, _end: float) -> None:
        self.probes += 1
        if (fault := self.faults[address]) is not None:
            raise fault

    def fail(self, fault: Exception | None) -> None:
        self.faults = {ONE: fault, TWO: fault}

    def report(self) -> str:
        return self.reports.get(timeout=20)


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
def watching(servers: Servers) -> Callable[..., ServerWatch]:
    return lambda every=0.05: ServerWatch([ONE, TWO], servers.probe, every, servers.reports.put)


def test_the_first_result_comes_before_the_helper_is_ready(servers: Servers, watching: Callable[..., ServerWatch]) -> None:
    servers.fail(ConnectionRefusedError(111, "Connection refused"))
    watching().begin()
    assert servers.reports.get_nowait() == 'UNAVAILABLE "one: Connection refused; two: Connection refused"'


def test_the_watch_outlives_what_a_probe_raises(servers: Servers, watching: Callable[..., ServerWatch]) -> None:
    """A host name that no resolver accepts raises ValueError."""
    servers.fail(UnicodeError("label too long"))
    watching().begin()
    assert servers.report() == 'UNAVAILABLE "one: label too long; two: label too long"'
    servers.fail(None)
    assert servers.report() == "AVAILABLE"


def test_an_outage_and_its_end_are_reported_once(servers: Servers, watching: Callable[..., ServerWatch]) -> None:
    watching().begin()
    servers.faults[ONE] = Unavailable("no")
    seen = servers.probes
    wait(lambda: servers.probes >= seen + 6, 20, "some probes")  # one of two is enough
    with pytest.raises(Empty):
        servers.reports.get_nowait()
    servers.fail(Unavailable('says "no"\n'))
    assert servers.report().startswith("UNAVAILABLE ")
    servers.fail(None)
    assert servers.report() == "AVAILABLE"


def test_answers_about_messages_need_no_probe(servers: Servers, watching: Callable[..., ServerWatch]) -> None:
    watch = watching(every=3600.0)
    watch.begin()
    probes = servers.probes
    group = ServerGroup([ONE], 30, watch)
    assert group.use(lambda _: "done") == "done"
    assert servers.probes == probes


def test_a_message_without_an_answer_has_the_server_probed_at_once(servers: Servers, watching: Callable[..., ServerWatch]) -> None:
    """The wait of a message ends with the outage."""
    watch = watching(every=3600.0)
    watch.begin()
    group = ServerGroup([ONE], 3600, watch)
    servers.fail(Unavailable("no"))

    def attempt(address: Address) -> str:
        servers.probe(address, 0.0)
        return "done"

    done = Queue[str]()
    threading.Thread(target=lambda: done.put(group.use(attempt)), daemon=True).start()
    assert servers.report().startswith("UNAVAILABLE")
    servers.fail(None)
    assert servers.report() == "AVAILABLE"
    assert done.get(timeout=20) == "done"


def test_a_busy_server_is_not_unavailable(servers: Servers, watching: Callable[..., ServerWatch]) -> None:
    """A probe that is late while messages are scanned proves nothing."""
    watch = watching()
    with watch.work():
        watch.begin()
        servers.fail(TooLate("no answer in time"))
        seen = servers.probes
        wait(lambda: servers.probes >= seen + 4, 20, "some probes")
        with pytest.raises(Empty):
            servers.reports.get_nowait()
    assert servers.report().startswith("UNAVAILABLE")
