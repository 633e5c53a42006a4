"""Real Sendmail with a milter door: the lines of docs/sendmail.md."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from enqueuer.lab.trial import Trial, wait
from tests.helpers.doorcells import CELLS, Cell, engine_config, message, ports, send
from tests.helpers.sendmail import Sendmail, sendmail

pytestmark = pytest.mark.server
FILTER = "MAIL_FILTER(`{name}', `S=inet:{port}@127.0.0.1, F=T, T=C:30s;S:10s;R:30s;E:300s')dnl"


class Site(NamedTuple):
    engine: Trial
    sendmail: Sendmail


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield one engine with a Sendmail in front of it, for all tests of the module."""
    listening = ports()
    filters = {name: FILTER.format(name=name, port=port) for name, port in listening.items()}
    with (
        sendmail(filters) as mta,
        Trial(tmp_path_factory.mktemp("site") / "base", engine_config(listening)) as engine,
    ):
        yield Site(engine, mta)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_each_cell_of_the_verdict_table(site: Site, cell: Cell) -> None:
    name = f"cell{CELLS.index(cell)}."
    mta = site.sendmail
    before = set(mta.held())
    reply = send(mta.ports[cell.door], message(name, cell.judge, cell.header, cell.size))

    assert re.match(cell.reply, reply)
    added = set(mta.held()) - before
    assert (cell.end == "held") == bool(added)
    if cell.end == "delivered":
        (data,) = mta.delivered(name.encode())
        assert (b"\nX-Rcpt-Args: <c@b.example>" in data) == ("ADDROUTE" in cell.judge)
    if cell.end in ("refused", "dropped"):
        assert not mta.find(name.encode())
        wait(lambda: set(mta.queue()) <= {each for old in before for each in (old, "d" + old[1:])}, 10, "nothing stays in the queue")
