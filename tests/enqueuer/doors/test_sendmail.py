"""Real Sendmail with a milter door: the lines of docs/sendmail.md."""

import re
import smtplib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from enqueuer.lab.trial import Trial, wait
from tests.helpers.doorcells import CELLS, DOOR, Cell, engine_config, message, ports, send
from tests.helpers.paths import ROOT
from tests.helpers.sendmail import Sendmail, sendmail

pytestmark = pytest.mark.server
PAGE = (ROOT / "docs/sendmail.md").read_text()
DOOR_TABLE, FILTER = re.findall(r"^```\w*\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


class Site(NamedTuple):
    engine: Trial
    sendmail: Sendmail


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield one engine with a Sendmail in front of it, for all tests of the module."""
    listening = ports()
    # INPUT_MAIL_FILTER is MAIL_FILTER for all services of the daemon: here each has a filter of its own
    line = FILTER.replace("INPUT_MAIL_FILTER", "MAIL_FILTER")
    filters = {name: line.replace("enqueuer", name).replace("8891", str(port)) for name, port in listening.items()}
    with (
        sendmail(filters) as mta,
        Trial(tmp_path_factory.mktemp("site") / "base", engine_config(listening)) as engine,
    ):
        yield Site(engine, mta)


def test_the_page_has_the_door_of_these_tests() -> None:
    assert DOOR.format(name="sendmail", port=8891, more="").split() == DOOR_TABLE.split()


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


def test_a_held_message_is_released_without_another_scan(site: Site) -> None:
    """With the commands of the page. The list has the reason."""
    mta = site.sendmail
    before = set(mta.held())
    assert send(mta.ports["holds"], message("freed.", '0 ERROR "odd"')).startswith("250 ")
    [id] = {name[2:] for name in set(mta.held()) - before}
    assert re.search(rf"{id} .*\n +QUARANTINE: odd \(Judge, id 1\d{{17}}\)\n", mta.command("mailq", "-qQ"))
    commands = re.findall(r"`sendmail ([^`]*-qI)6AT0AB12345678`", PAGE)
    assert len(commands) == 2
    for words in commands:
        mta.command("sendmail", *(words + id).split())

    mta.delivered(b"Subject: freed.")  # a scan would hold it again


def test_bytes_come_as_they_are(site: Site) -> None:
    """Below the added fields, which are on top."""
    for number, judge in enumerate(('0 ADDHEADER "X-Seen: yes\\eX-More: a\\e\\tb"', "0 OK")):
        data = message(
            f"odd{number}.", judge, "X-Folded: a\n b\n\tc  \nX-Empty:\nDate: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-ID: <odd@a>\n"
        )
        data += b"\n\n \t\n..\n" + b"x" * 900 + b"\n\n\n"
        assert send(site.sendmail.ports["waits"], data).startswith("250 ")
        [found] = site.sendmail.delivered(b"Subject: odd%d." % number)
        begin = found.index(b"X-Folded:")

        assert found[begin:].rstrip(b"\n") == data.rstrip(b"\n")
        assert (b"\nX-Seen: yes\nX-More: a\n\tb\n" in found[:begin]) == (number == 0)


def test_too_many_sessions(site: Site) -> None:
    """The client is answered at once; the open session goes on."""
    port = site.sendmail.ports["single"]
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as first:
        first.ehlo("helo.example")
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            smtplib.SMTP("127.0.0.1", port, timeout=60).close()
        answers = (first.mail("ann@a.example")[0], first.rcpt("bob@b.example")[0], first.data(message("first.").replace(b"\n", b"\r\n"))[0])

    assert refused.value.smtp_code == 421
    assert answers == (250, 250, 250)


def test_an_engine_that_is_down_or_restarts(site: Site) -> None:
    """451 while it is down. The next session is served."""
    mta = site.sendmail
    assert site.engine.stop() == 0
    try:
        with smtplib.SMTP("127.0.0.1", mta.ports["waits"], timeout=60) as client:
            client.ehlo("helo.example")
            assert client.mail("ann@a.example") == (451, b"4.3.2 Please try again later")
    finally:
        site.engine.start()
    site.engine.wait(lambda: send(mta.ports["waits"], message("again.")).startswith("250 "), "the next mail goes")
    mta.delivered(b"Subject: again.")
