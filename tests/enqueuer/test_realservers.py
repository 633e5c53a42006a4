"""The whole engine with real servers behind it: spamd and rspamd one after the other, clamav-milter with its clamd."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from enqueuer.lab.trial import Trial
from tests.filterlink.filters.daemons import EICAR, GTUBE, Clamd, Daemon, mail, served
from tests.filterlink.filters.starters import make_clamav_milter, make_rspamd, make_spamd
from tests.helpers.trace import bare

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
def serving() -> Iterator[Callable[..., Daemon]]:
    """Makes servers, not started yet. All are ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda make, *words: stack.enter_context(served(make, *words))


def message(subject: str, text: str = "x") -> bytes:
    return f"From: a@b\nTo: c@d\nSubject: {subject}\nMIME-Version: 1.0\nContent-Type: text/plain\n\n{text}\n".encode()


@pytest.mark.server
def test_spam_is_marked_and_refused(serving: Callable[..., Daemon], trials: Callable[[str], Trial]) -> None:
    """The fields of both stand on top; both servers go away in the middle and come back, and nothing is lost or deferred."""
    servers = [serving(make_spamd), serving(make_rspamd)]
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


@pytest.mark.server
def test_both_see_the_client_that_submit_names(serving: Callable[..., Daemon], trials: Callable[[str], Trial]) -> None:
    """And none where the same field comes with a message. No field about the client goes out with the mail."""
    servers = [serving(make_spamd), serving(make_rspamd)]
    with (servers[0].folder / "rules.cf").open("a") as rules:
        rules.write('add_header all Relays "_RELAYSTRUSTED_ _RELAYSUNTRUSTED_"\n')
    programs = [
        f"enqueuer filter {name} --socket {server.start().socket}" for name, server in zip(("spamd", "rspamd"), servers, strict=True)
    ]
    engine = trials(FILTER.format("spamd", programs[0]) + FILTER.format("rspamd", programs[1]) + RULES)
    command = [sys.executable, "-m", "enqueuer.cli.app", "submit", "--base", str(engine.base), "--client=198.51.100.7"]
    said = subprocess.run([*command, "--helo=[198.51.100.7]"], input=message("CLIENT"), capture_output=True, check=True, timeout=20)
    named = (engine.base / "Submitted" / said.stdout.decode().strip()).read_bytes()
    engine.drop("forged.eml", named.replace(b"CLIENT", b"CLIENT forged"))
    with engine:
        engine.wait(lambda: len(engine.outbound()) == 2, "both are judged")
    mails = sorted((path.read_bytes() for path in engine.outbound()), key=lambda data: b"forged" in data)

    assert b"\nX-Spam-Relays: [ ip=198.51.100.7 rdns= helo=!198.51.100.7!" in mails[0].replace(b"\n\t", b" ").replace(
        b"Relays:  ", b"Relays: "
    )
    assert b"\nX-Client: 198.51.100.7 - [198.51.100.7]\n" in mails[0]
    assert b"\nS PIPE [0.0.0.0]\n" in mails[1]
    assert b"198.51.100.7" not in mails[1]
    assert not any(b"Envelope-Client" in data or b"Received: from" in data for data in mails)


MILTER = """
[[rules]]
name = "scan"
actions = [["ExternalFilter", "ClamAV"]]
[[routes]]
recipient = "*"
to = "OUT"
"""


@pytest.mark.server
def test_what_a_milter_quarantines_ends_in_quarantine(serving: Callable[..., Daemon], trials: Callable[[str], Trial]) -> None:
    """With the reason; the clean message has the milter's field on top, and the one that it defers waits, and is not lost."""
    clamd = serving(Clamd).start()
    lines = "OnInfected Quarantine\nLogInfected Off\nAddHeader Add\nReportHostname here"
    server = serving(make_clamav_milter, clamd, lines).start()
    config = '[enqueuer]\nretry_after = "1s"\n' + FILTER.format("ClamAV", f"enqueuer filter milter --socket {server.socket}") + MILTER
    with trials(config) as engine:
        engine.drop("1.eml", mail(EICAR, b"To: c@d"))
        engine.drop("2.eml", mail(b"harmless", b"To: c@d"))
        engine.wait(lambda: len(engine.outbound()) == 1 and engine.status()["totals"]["quarantined"] == 1, "both are judged")
        clamd.kill()
        engine.drop("3.eml", mail(b"harmless", b"To: c@d"))
        engine.wait(lambda: engine.status()["queue"]["deferred"] == 1, "it is deferred")
        clamd.start()
        engine.wait(lambda: len(engine.outbound()) == 2, "it went on", 40)

    [why] = (engine.base / "Quarantine").glob("*.why")
    assert json.loads(why.read_text())["reason"].endswith("quarantined by the milter: quarantined by clamav-milter")
    for path in engine.outbound():
        assert bare(path.read_bytes().partition(b"\n\n")[2]).startswith(b"X-Virus-")
