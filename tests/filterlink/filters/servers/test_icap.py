"""The ICAP filter against a real c-icap: its echo service, and its virus_scan with a real clamd behind it.

What it shares with the others is in test_servers.py.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from filterlink.filters.runtime.finding import Policy
from filterlink.filters.runtime.verdict import Verdict, discard, error, header, ok
from filterlink.filters.servers.icap import IcapFilter, IcapSettings
from filterlink.filters.servers.service import Address
from tests.filterlink.filters.daemons import CLEAN, Daemon, mail, served
from tests.filterlink.filters.kinds import VIRUS, IcapKind, large_virus
from tests.filterlink.filters.starters import make_icap

Judging = Callable[..., Callable[[bytes], Verdict]]


@pytest.fixture(scope="module")
def echo() -> Iterator[Daemon]:
    with served(make_icap) as server:
        yield server.start()


@pytest.fixture(scope="module")
def scanning() -> Iterator[Daemon]:
    """One with virus_scan and a clamd."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(served(IcapKind().server, stack)).start()


@pytest.fixture
def asking(judging: Judging) -> Judging:
    """Makes filters: asking(server, service="echo", wait=1)(message)."""

    def make(server: Daemon, service: str, **settings: Any) -> Callable[[bytes], Verdict]:
        return judging(IcapFilter([Address("127.0.0.1", server.port)], IcapSettings(service, **{"wait": 30.0, **settings})))

    return make


@pytest.mark.server
def test_unchanged_is_clean(echo: Daemon, asking: Judging) -> None:
    """Within the preview, beyond it, empty, and 50 MB."""
    judge = asking(echo, "echo")

    assert [judge(message) for message in (b"", CLEAN, CLEAN * 2000, mail(os.urandom(38_000_000)))] == [ok()] * 4


@pytest.mark.server
def test_caught_by_the_scanner(scanning: Daemon, asking: Judging, eicar: bytes) -> None:
    """The name that the server gives is in the verdict, by the action that was chosen."""
    assert asking(scanning, "antivirus")(mail(b"x" * 300_000 + eicar)) == error(VIRUS)
    assert asking(scanning, "antivirus", policy=Policy("discard"))(mail(eicar)) == discard()
    assert asking(scanning, "antivirus", policy=Policy("header"))(mail(eicar)) == header((f"X-Virus: {VIRUS}",))


@pytest.mark.server
def test_the_limit_of_virus_scan(judging: Judging, asking: Judging, serving: Callable[..., Daemon]) -> None:
    """The trap that docs/filters.md tells of: what is over MaxObjectSize passes unseen."""
    with contextlib.ExitStack() as stack:
        server = serving(IcapKind().server, stack)
        conf = server.folder / "conf"
        conf.write_text(conf.read_text().replace("MaxObjectSize 100M", "MaxObjectSize 5M"))

        assert asking(server.start(), "antivirus")(large_virus()) == ok()


@pytest.mark.server
def test_no_such_service(echo: Daemon, asking: Judging) -> None:
    """A wrong name holds the mail, and passes none, whatever becomes of messages that cannot be judged."""
    found = asking(echo, "missing", wait=0, policy=Policy("error", "pass"))(CLEAN)

    assert found.word == "REJECTED"
    assert "404" in found.text
