"""Six wishes of a real site, as one configuration with a real clamd and a real rspamd: by the drop folder, and through Postfix.

Scan incoming mail only, spam only below 10 KB, but not of one domain; tag a subject; quarantine executables but for one user; add a header.
"""

import json
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from enqueuer.lab.trial import Trial
from enqueuer.queue.message import envelope
from tests.filterlink.filters.daemons import EICAR, Clamd, served
from tests.filterlink.filters.starters import make_rspamd
from tests.helpers.mta import free_port
from tests.helpers.postfix import Postfix, postfix

pytestmark = pytest.mark.server
CONFIG = """
[enqueuer]
networks = ["192.0.2.0/24"]
retry_after = "1s"
[[filters]]
name = "ClamAV"
program = "enqueuer filter clamd --socket {clamd} --wait 0s"
[[filters]]
name = "Spam"
program = "enqueuer filter rspamd --socket {rspamd} --wait 0s"
[[rules]]
name = "executables"
priority = 9
scope = "recipient"
when = 'any attachment_name in "*.exe,*.scr" and not any recipient is "lab@b.example"'
actions = [["Quarantine", "an executable"]]
[[rules]]
name = "our own mail is not scanned"
priority = 8
when = 'source is "trusted"'
actions = [["Add Header", "X-Checked: not needed"], ["Stop Processing"]]
[[rules]]
name = "virus"
priority = 7
actions = [["ExternalFilter", "ClamAV"], ["Add Header", "X-Checked: ^Q"]]
[[rules]]
name = "spam"
priority = 6
when = 'size is less than 10K and return_path is not "*@friend.example"'
actions = [["ExternalFilter", "Spam"]]
[[rules]]
name = "external"
priority = 5
when = 'return_path is not "*@b.example"'
actions = [["Tag Subject", "[EXTERNAL]"]]
[[routes]]
recipient = "*"
to = "OUT"
[[doors]]
name = "postfix"
kind = "milter"
listen = "inet:127.0.0.1:{port}"
"""


class Site(NamedTuple):
    engine: Trial
    postfix: Postfix


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    port = free_port()
    with served(Clamd) as clamd, served(make_rspamd) as rspamd, postfix(f"smtpd_milters = inet:127.0.0.1:{port}\n") as mta:
        clamd.start()
        rspamd.start()
        text = CONFIG.format(clamd=clamd.socket, rspamd=rspamd.socket, port=port)
        with Trial(tmp_path_factory.mktemp("site") / "base", text) as engine:
            engine.wait(lambda: all(each["state"] == "ready" for each in engine.status()["filters"]), "all filters are ready")
            yield Site(engine, mta)


def _mail(
    name: str,
    subject: str = "hello",
    sender: str = "ann@a.example",
    to: str = "bob@b.example",
    file: str = "",
    data: bytes = b"",
    fill: int = 0,
) -> bytes:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = f"<{name}@test.example>"
    message.set_content("text\n" + "a line\n" * fill)
    if file:
        message.add_attachment(data or b"MZ not really\n", maintype="application", subtype="octet-stream", filename=file)
    return message.as_bytes()


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({}, "[EXTERNAL] hello"),
    "virus": ({"file": "a.txt", "data": EICAR}, "virus"),
    "spam": ({"subject": "BAD"}, "spam"),
    "large spam": ({"subject": "BAD", "fill": 2000}, "[EXTERNAL] BAD"),
    "spam of a friend": ({"subject": "BAD", "sender": "pal@friend.example"}, "[EXTERNAL] BAD"),
    "our own": ({"sender": "carl@b.example"}, "hello"),
    "executable": ({"file": "setup.exe"}, "executable"),
    "executable for one user": ({"file": "setup.exe", "to": "lab@b.example"}, "[EXTERNAL] hello"),
}


@pytest.mark.parametrize("case", CASES)
def test_by_the_drop_folder(site: Site, case: str) -> None:
    about, expected = CASES[case]
    name = case.replace(" ", ".")
    site.engine.drop(name, _mail(name, **about))
    site.engine.wait(lambda: _found(site.engine.base, name), "it is decided")
    path = _found(site.engine.base, name)
    assert path is not None
    if expected.endswith(("hello", "BAD")):
        data = path.read_bytes()
        head = data[envelope.head_end(data) :].partition(b"\n\n")[0]
        assert f"\nSubject: {expected}\n".encode() in head
        assert b"X-Checked: " in head
    else:
        why = json.loads(path.with_suffix(".why").read_text())
        assert why["rule"] == {"virus": "virus", "spam": "spam", "executable": "executables"}[expected]


def _found(base: Path, name: str) -> Path | None:
    files = [*base.glob("Outbound/OUT/*.msg"), *base.glob("Quarantine/*.msg")]
    return next((path for path in files if f"<{name}@test.example>".encode() in path.read_bytes()), None)


@pytest.mark.parametrize("case", CASES)
def test_through_postfix(site: Site, case: str) -> None:
    """The same rules in the open session: refused mail gets a 5xx, executables go to the hold queue."""
    about, expected = CASES[case]
    name = "smtp." + case.replace(" ", ".")
    sender = str(about.get("sender", "ann@a.example"))
    to = str(about.get("to", "bob@b.example"))
    mta = site.postfix
    before = set(mta.held())
    with smtplib.SMTP("127.0.0.1", mta.port, timeout=60) as client:
        client.ehlo()
        client.mail(sender)
        client.rcpt(to)
        code, text = client.data(_mail(name, **about))
    if expected in ("virus", "spam"):
        assert code == 550, text
    elif expected == "executable":
        assert (code, len(set(mta.held()) - before)) == (250, 1)
    else:
        assert code == 250, text
        (box,) = mta.delivered(f"<{name}@test.example>".encode())
        assert f"\nSubject: {expected}\n".encode() in box
        assert b"\nX-Checked: " in box


def test_trusted_mail_is_not_scanned(site: Site) -> None:
    """By the client of the session, as `submit` names it: a virus passes."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "enqueuer.cli.app", "submit", "--base", str(site.engine.base), "--client", "192.0.2.7", "-t", "-"]
    subprocess.run(command, input=_mail("trusted", file="a.txt", data=EICAR), check=True, capture_output=True, timeout=60)
    site.engine.wait(lambda: _found(site.engine.base, "trusted"), "it is decided")
    path = _found(site.engine.base, "trusted")
    assert path is not None
    assert path.parent.name == "OUT"
    assert b"\nX-Checked: not needed\n" in path.read_bytes()
