"""A scanner's server goes away and comes back: what the status shows, and that deferred mail returns by itself."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enqueuer.lab.trial import Trial
from tests.filterlink.filters.daemons import Clamd, served

SLOTS = 4
MANY = 1000
CONFIG = """
[enqueuer]
processors = 4
retry_after = "1h"
[[filters]]
name = "ClamAV"
program = "enqueuer filter clamd --socket {socket} --wait 0s"
max_in_flight = {slots}
pipelining = true
[[rules]]
name = "scan"
actions = [["ExternalFilter", "ClamAV"]]
[[routes]]
recipient = "*"
to = "OUT"
"""


def the_filter(engine: Trial) -> dict[str, Any]:
    found: dict[str, Any] = engine.status()["filters"][0]
    return found


def connections(server: Clamd) -> int:
    """How many clients are connected to the socket of a server: its own ends have its path."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(server.socket) and line.split()[5] == "03" for line in lines)


@pytest.fixture
def clamd() -> Iterator[Clamd]:
    """A clamd that is not started yet."""
    with served(Clamd) as server:
        yield server


@pytest.mark.server
@pytest.mark.alone
def test_deferred_mail_returns_with_its_server_but_not_all_at_once(
    clamd: Clamd, trials: Callable[[str], Trial], mail: Callable[..., bytes]
) -> None:
    """The first within two seconds, and a thousand through as many connections as the filter has slots."""
    with trials(CONFIG.format(socket=clamd.socket, slots=SLOTS)) as engine:
        for number in range(MANY):
            engine.drop(str(number), mail(str(number)))
        engine.wait(lambda: engine.status()["queue"]["deferred"] == MANY, "all are deferred", 60)
        clamd.start()
        began = time.monotonic()
        engine.wait(lambda: engine.status()["totals"]["enqueued"] > 0, "the first one is scanned")
        first = time.monotonic() - began
        most = 0
        while engine.status()["totals"]["enqueued"] < MANY and time.monotonic() < began + 60:
            most = max(most, connections(clamd))
        took = time.monotonic() - began
        totals = engine.status()["totals"]

    print(f"first after {first:.2f} s, all after {took:.2f} s, at most {most} connections")
    assert totals["enqueued"] == MANY
    assert first < 2
    assert most <= SLOTS + 1  # the probe has one of its own


@pytest.mark.server
def test_an_outage_is_seen_at_once_and_without_mail(clamd: Clamd, trials: Callable[[str], Trial]) -> None:
    clamd.start()
    with trials(CONFIG.format(socket=clamd.socket, slots=SLOTS)) as engine:
        engine.wait(lambda: the_filter(engine)["state"] == "ready", "the filter is ready")
        assert the_filter(engine)["unavailable_since"] is None
        clamd.kill()
        engine.wait(lambda: the_filter(engine)["unavailable_since"] is not None, "the outage is shown", 2)
        shown = the_filter(engine)
        clamd.start()
        engine.wait(lambda: the_filter(engine)["unavailable_since"] is None, "its end is shown", 2)
        assert the_filter(engine)["state"] == "ready"
        log = engine.log()

    assert shown["state"] == "failed"
    assert clamd.socket in shown["last_error"]
    assert "EXTFILTER(ClamAV) unavailable, its messages wait: " in log
    assert "EXTFILTER(ClamAV) scans again, after " in log


@pytest.mark.server
def test_a_reload_with_a_wrong_socket_is_not_a_success(clamd: Clamd, trials: Callable[[str], Trial], mail: Callable[..., bytes]) -> None:
    """The old helper goes on scanning meanwhile."""
    clamd.start()
    with trials(CONFIG.format(socket=clamd.socket, slots=SLOTS)) as engine:
        engine.wait(lambda: the_filter(engine)["state"] == "ready", "the filter is ready")
        engine.configure(CONFIG.format(socket="/no/clamd", slots=SLOTS))
        engine.wait(lambda: the_filter(engine)["state"] == "failed", "the new helper's trouble is shown")
        assert "/no/clamd" in the_filter(engine)["last_error"]
        engine.drop("1", mail("1"))
        engine.wait(lambda: engine.status()["totals"]["enqueued"] == 1, "the old helper scans")
