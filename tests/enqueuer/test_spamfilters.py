"""The whole engine with a real spamd and a real rspamd behind it, one after the other."""

from collections.abc import Callable, Iterator

import pytest

from enqueuer.trial import Trial
from tests.filterlink.filters import test_rspamd, test_spamd
from tests.filterlink.filters.daemons import GTUBE, Daemon, open_folder

FILTER = """
[[filters]]
name = "{0}"
program = "{1}"
max_in_flight = 16
pipelining = true
"""
RULES = """
[[rules]]
name = "mark spam"
actions = [["ExternalFilter", "spamd"]]
[[rules]]
name = "refuse spam"
actions = [["ExternalFilter", "rspamd"]]
[[routes]]
recipient = "*"
to = "OUT"
"""


@pytest.fixture
def servers() -> Iterator[list[Daemon]]:
    with open_folder() as one, open_folder() as two:
        made = [test_spamd.make_spamd(one), test_rspamd.make_rspamd(two)]
        yield made
        for each in made:
            each.kill()


def message(subject: str, text: str = "x") -> bytes:
    return f"From: a@b\nTo: c@d\nSubject: {subject}\nMIME-Version: 1.0\nContent-Type: text/plain\n\n{text}\n".encode()


@pytest.mark.server
def test_spam_is_marked_and_refused(servers: list[Daemon], trials: Callable[[str], Trial]) -> None:
    """The fields of both stand on top; both servers go away in the middle and come back, and nothing is lost or held."""
    programs = [f"enqueuer filter {name} --socket {server.socket}" for name, server in zip(("spamd", "rspamd"), servers, strict=True)]
    for server in servers:
        server.start()
    with trials(FILTER.format("spamd", programs[0]) + FILTER.format("rspamd", programs[1]) + RULES) as engine:
        engine.drop("1.eml", message("TAG fun"))
        engine.drop("2.eml", message("spam", GTUBE.decode()))
        engine.wait(lambda: len(engine.outbound()) == 1 and engine.status()["totals"]["quarantined"] == 1, "both are judged")
        for server in servers:
            server.kill()
        for number in range(3, 23):
            engine.drop(f"{number}.eml", message("TAG fun"))
        engine.wait(lambda: "spamd at" in engine.log(), "the outage is in the log")
        for server in servers:
            server.launch()
        engine.wait(lambda: engine.status()["totals"]["enqueued"] == 21, "all others are judged", 40)
        totals = engine.status()["totals"]

    assert (totals["enqueued"], totals["quarantined"], totals["bad"]) == (21, 1, 0)
    for path in engine.outbound():
        header = path.read_bytes().partition(b"\n\n")[2]
        for field in (b"X-Spam-Status: No, score=2.5", b"X-Spam: Yes\n", b"X-Spamd-Result: default: True [7.00 / 15.00];\n\tTAG(7.00)\n"):
            assert field in header[: header.index(b"Subject:")]
    [why] = (engine.base / "Quarantine").glob("*.why")
    assert '"Gtube pattern"' in why.read_text()
