"""Real Postfix with a milter door: Debian's master.cf, and the lines of docs/postfix.md."""

import re
import smtplib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from enqueuer.lab.trial import Trial
from tests.helpers.doorcells import CELLS, Cell, engine_config, ports
from tests.helpers.postfix import Postfix, postfix

pytestmark = pytest.mark.server


class Site(NamedTuple):
    engine: Trial
    postfix: Postfix
    ports: dict[str, int]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield one engine with a Postfix in front of it, for all tests of the module."""
    listening = ports()
    others = {name: f"inet:127.0.0.1:{port}" for name, port in listening.items()}
    with (
        postfix(f"smtpd_milters = inet:127.0.0.1:{listening['waits']}", others) as mta,
        Trial(tmp_path_factory.mktemp("site") / "base", engine_config(listening)) as engine,
    ):
        yield Site(engine, mta, listening)


def message(name: str, judge: str = "0 OK", header: str = "", size: int = 0) -> bytes:
    head = f"{header}From: ann@a.example\nTo: bob@b.example\nSubject: {name}\nX-Judge: {judge}\n"
    return f"{head}\nbody of {name}\n{('x' * 69 + chr(10)) * (size // 70)}".encode()


def send(port: int, data: bytes) -> str:
    """Send a message; return the answer to its end, as one line."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo("helo.example")
        client.mail("ann@a.example")
        client.rcpt("bob@b.example")
        code, text = client.data(data)
        return f"{code} {text.decode()}"


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_each_cell_of_the_verdict_table(site: Site, cell: Cell) -> None:
    name = f"cell{CELLS.index(cell)}."
    mta = site.postfix
    before = set(mta.held())
    reply = send(mta.more[cell.door], message(name, cell.judge, cell.header, cell.size))

    assert re.match(cell.reply, reply)
    added = set(mta.held()) - before
    if cell.end == "delivered":
        count = 2 if "ADDROUTE" in cell.judge else 1
        assert len(mta.delivered(name.encode(), count)) == count
    elif cell.end == "held":
        (id,) = added
        mta.command("postsuper", "-d", id)
    assert (cell.end == "held") == bool(added)
    if cell.end in ("refused", "dropped"):
        assert not mta.find(name.encode())
        assert not mta.queue()
