"""Real Postfix with a milter door: Debian's master.cf, and the lines of docs/postfix.md."""

import contextlib
import re
import smtplib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from enqueuer.lab.trial import ENGINE, Trial
from filterlink.filters.servers.milter import MilterFilter
from filterlink.filters.servers.service import Address
from tests.filterlink.filters.daemons import EICAR, Clamd, queued, served
from tests.filterlink.filters.starters import PLAIN, make_opendkim
from tests.helpers.doorcells import CELLS, DOOR, Cell, engine_config, message, ports, send
from tests.helpers.mta import free_port
from tests.helpers.paths import ROOT
from tests.helpers.postfix import Postfix, postfix

pytestmark = pytest.mark.server
PAGE = (ROOT / "docs/postfix.md").read_text().partition("## The milter door")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MAIN, NON_SMTPD, DEFAULT_ACTION, UNIX_MAIN = [text for language, text in BLOCKS if not language]
DOOR_TABLE, UNIX_TABLE = [text for language, text in BLOCKS if language == "toml"]
CLAMAV = """
[[filters]]
name = "ClamAV"
program = "enqueuer filter clamd --socket {socket} --wait 0s"
[[rules]]
name = "scan"
actions = [["ExternalFilter", "ClamAV"]]
[[routes]]
recipient = "*"
to = "OUT"
"""


RULES = (
    """
[enqueuer]
processors = 1
[[rules]]
name = "block list"
scope = "recipient"
when = 'any recipient is "blocked@b.example"'
actions = [["Reject with", """
    + '"""No mail for ^R\nsee https://b.example/why"""'
    + """]]
[[rules]]
name = "tag"
when = 'subject is "*tag*" and return_path is not "*@b.example"'
actions = [["Tag Subject", "[EXTERNAL]"]]
[[rules]]
name = "move"
when = 'subject is "*move*"'
actions = [["Redirect To", "new@b.example"], ["Mirror to", "copy@b.example"]]
[[rules]]
name = "wait"
when = 'subject is "*wait*"'
actions = [["Hold for", "1h"]]
[[rules]]
name = "odd"
when = 'subject is "*odd*"'
actions = [["Quarantine", "^S is odd"]]
[[routes]]
recipient = "*"
to = "OUT"
"""
)


class Site(NamedTuple):
    engine: Trial
    postfix: Postfix
    clamav: int
    """The port of the door whose engine a test starts."""
    ruled: int
    """The same for the engine with rules."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield one engine with a Postfix in front of it, for all tests of the module."""
    listening = ports()
    clamav = free_port()
    others = {name: f"inet:127.0.0.1:{port}" for name, port in listening.items()}
    others["clamav"] = f"inet:127.0.0.1:{clamav}"
    ruled = free_port()
    others["rules"] = f"inet:127.0.0.1:{ruled}"
    others["unix"] = UNIX_MAIN.partition(" = ")[2].strip()
    others["hasty"] = f"inet:127.0.0.1:{listening['waits']}\n  -o milter_content_timeout=6s"
    main = (MAIN + NON_SMTPD + DEFAULT_ACTION).replace("8891", str(listening["waits"]))
    with (
        postfix(main, others) as mta,
        Trial(tmp_path_factory.mktemp("site") / "base", engine_config(listening)) as engine,
    ):
        yield Site(engine, mta, clamav, ruled)


def test_the_page_has_the_door_of_these_tests() -> None:
    assert DOOR.format(name="postfix", port=8891, more="").split() == DOOR_TABLE.split()


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
        assert f"{id}: milter-hold: END-OF-MESSAGE" in mta.log()
        mta.command("postsuper", "-d", id)
    assert (cell.end == "held") == bool(added)
    if cell.end in ("refused", "dropped"):
        assert not mta.find(name.encode())
        assert not mta.queue()
        assert f"milter-{'reject' if cell.end == 'refused' else 'discard'}: END-OF-MESSAGE" in mta.log()


def test_a_virus_is_refused_as_the_page_shows_it(site: Site, tmp_path: Path) -> None:
    """By clamd; both ids find it in the log; while clamd is unavailable the answer is 451."""
    attachment = tmp_path / "eicar.com"
    attachment.write_bytes(EICAR)
    words = ("--server", f"127.0.0.1:{site.postfix.more['clamav']}", "--from", "ann@a.example", "--to", "bob@b.example")
    with served(Clamd) as clamd:
        clamd.start()
        table = DOOR_TABLE.replace("8891", str(site.clamav))
        with Trial(tmp_path / "base", CLAMAV.format(socket=clamd.socket) + table) as engine:
            engine.wait(lambda: engine.status()["filters"][0]["state"] == "ready", "the filter is ready")
            refused = site.postfix.swaks(*words, "--attach", f"@{attachment}")
            taken = site.postfix.swaks(*words)
            clamd.kill()
            deferred = site.postfix.swaks(*words)
            engine.wait(lambda: engine.log().count(" DOOR([") == 3, "the log has a line a message")
            log = engine.log()
            [id] = re.findall(r"550 5\.7\.1 Test\.Eicar\S* \(ClamAV, id (1\d{17})\)", refused.stdout)
            [queue_id] = re.findall(rf"DOOR\(\[{id}\]\) postfix rejected: .* queue-id=(\w+), ClamAV=ERROR", log)
            found = [
                subprocess.run([*ENGINE, "log", each, "--base", engine.base], capture_output=True, text=True, check=False).stdout
                for each in (id, queue_id)
            ]

    shown = re.findall(r"^     ?(?:->|<-|<\*\*) .*", PAGE, re.MULTILINE)
    assert len(shown) > 8
    said = refused.stdout.replace(".UNOFFICIAL", "").replace(id, "101795910088344415")
    assert [line for line in shown if line.strip() not in said] == []
    assert "250 2.0.0 Ok: queued as " in taken.stdout
    assert re.search(r"<\*\* 451 4\.7\.1 ClamAV does not take the message now, try again later \(id 1\d{17}\)", deferred.stdout)
    assert f"{queue_id}: milter-reject: END-OF-MESSAGE" in site.postfix.log()
    for text in found:
        assert id in text


def test_bytes_come_as_they_are_and_signatures_stay_good(site: Site, tmp_path: Path) -> None:
    """A message signed before the door verifies behind it, with and without added fields, which are on top."""
    with contextlib.ExitStack() as stack:
        key = tmp_path / "key.pem"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        public = subprocess.run(["openssl", "rsa", "-in", str(key), "-pubout"], check=True, capture_output=True).stdout
        record = "".join(public.decode().splitlines()[1:-1])
        (tmp_path / "keys").write_text(f"s._domainkey.b.example v=DKIM1; k=rsa; p={record}\n")
        (tmp_path / "inside").write_text("192.0.2.1\n")
        sign = ("Mode s", "Domain b.example", "Selector s", f"KeyFile {key}", f"InternalHosts {tmp_path}/inside", "RequireSafeKeys no")
        signs, verifies = (
            MilterFilter([Address(stack.enter_context(served(make_opendkim, *words)).start().socket)])
            for words in (sign, ("Mode v", f"TestPublicKeys {tmp_path}/keys"))
        )
        for number, judge in enumerate(('0 ADDHEADER "X-Seen: yes\\eX-More: a\\e\\tb"', "0 OK")):
            plain = (
                f"X-Judge: {judge}\nMessage-ID: <odd{number}.@a.example>\n".encode()
                + PLAIN
                + b"\n\n \t\n..\n\xe4\xf6 \n"
                + b"x" * 900
                + b"\n\n\n"
            )
            fields = signs.judge(queued(tmp_path, plain)).fields
            signed = "\n".join(fields).encode() + b"\n" + plain
            assert send(site.postfix.more["waits"], signed).startswith("250 ")
            [found] = site.postfix.delivered(b"odd%d." % number)
            begin = found.index(b"DKIM-Signature:")

            assert found[begin:].rstrip(b"\n") == signed.rstrip(b"\n")
            assert (b"\nX-Seen: yes\nX-More: a\n\tb\n" in found[:begin]) == (number == 0)
            assert "dkim=pass" in verifies.judge(queued(tmp_path, found)).fields[0]
            assert "dkim=fail" in verifies.judge(queued(tmp_path, found.replace(b"end", b"END"))).fields[0]


def test_several_messages_of_one_session(site: Site) -> None:
    """Each has its own outcome, after refusals and RSET, too."""
    with smtplib.SMTP("127.0.0.1", site.postfix.more["waits"], timeout=60) as client:
        client.ehlo("helo.example")
        answers = []
        for number, judge in enumerate(('0 ERROR "bad"', "0 OK", '0 REJECTED "later"', '0 ADDHEADER "X-Seen: yes"', "0 DISCARD", "0 OK")):
            client.mail("ann@a.example")
            client.rcpt("no@b.example")
            client.rset()
            client.mail(f"ann{number}@a.example")
            client.rcpt("bob@b.example")
            answers.append(client.data(message(f"many{number}.", judge).replace(b"\n", b"\r\n"))[0])

    assert answers == [550, 250, 451, 250, 250, 250]
    for number in (1, 3, 5):
        [found] = site.postfix.delivered(b"Subject: many%d." % number)
        assert (b"X-Seen" in found.partition(b"X-Judge")[0]) == (number == 3)
    assert not site.postfix.find(b"Subject: many4.")
    site.engine.wait(lambda: "from=<ann5@a.example>" in site.engine.log(), "the log has all")
    for number in range(6):
        assert len(re.findall(rf"from=<ann{number}@a\.example>", site.engine.log())) == 1


def test_held_mail_is_released_without_another_scan(site: Site) -> None:
    """As the page shows it: the queue has a mark."""
    mta = site.postfix
    assert send(mta.more["holds"], message("held.", '0 ERROR "odd"')).startswith("250 ")
    [id] = mta.held()
    assert f"\n{id}! " in mta.command("postqueue", "-p").stdout
    mta.command("postsuper", "-H", id)
    mta.command("postqueue", "-i", id)
    mta.delivered(b"Subject: held.")  # a scan would hold it again

    assert not mta.held()


def test_mail_of_the_sendmail_command(site: Site) -> None:
    """It is scanned, and a refusal comes back as a bounce."""
    for name, judge in (("own1.", "0 OK"), ("own2.", '0 ERROR "odd"')):
        command = ["/usr/sbin/sendmail", "-C", f"{site.postfix.folder}/etc", "-f", "carl@b.example", "bob@b.example"]
        subprocess.run(command, input=message(name, judge), check=True, timeout=30)
    site.postfix.delivered(b"Subject: own1.")
    [bounce] = site.postfix.delivered(b"Undelivered Mail Returned to Sender")

    assert re.search(rb"<bob@b\.example>: odd \(Judge, id 1\d{17}\)", bounce)


def test_postfix_is_kept_waiting_beyond_its_own_time(site: Site) -> None:
    began = time.monotonic()
    assert send(site.postfix.more["hasty"], message("slow.", "7 OK")).startswith("250 ")
    assert time.monotonic() > began + 7
    site.postfix.delivered(b"Subject: slow.")


def test_too_many_sessions(site: Site) -> None:
    """The client is answered at once, and Postfix logs the reason. The open session goes on."""
    with smtplib.SMTP("127.0.0.1", site.postfix.more["single"], timeout=60) as first:
        first.ehlo("helo.example")
        found = site.postfix.swaks("--server", f"127.0.0.1:{site.postfix.more['single']}", "--from", "a@a.example", "--to", "bob@b.example")
        answers = (first.mail("ann@a.example")[0], first.rcpt("bob@b.example")[0], first.data(message("first."))[0])

    assert "<** 421 mx.b.example Service unavailable - try again later" in found.stdout
    assert "milter-reject: CONNECT from unknown[127.0.0.1]: 421 4.3.2 too many sessions, try again later" in site.postfix.log()
    assert answers == (250, 250, 250)


def test_an_engine_that_is_down_or_restarts(site: Site) -> None:
    """451 while it is down, and for a session that began before. The next session is served."""
    mta = site.postfix
    with smtplib.SMTP("127.0.0.1", mta.more["waits"], timeout=60) as old:
        old.ehlo("helo.example")
        assert site.engine.stop() == 0
        try:
            with smtplib.SMTP("127.0.0.1", mta.more["waits"], timeout=60) as new:
                new.ehlo("helo.example")
                assert new.mail("ann@a.example") == (451, b"4.7.1 Service unavailable - try again later")
        finally:
            site.engine.start()
        assert (old.mail("ann@a.example")[0], old.rcpt("bob@b.example")[0], old.data(message("old."))[0]) == (250, 250, 451)
    site.engine.wait(lambda: send(mta.more["waits"], message("again.")).startswith("250 "), "the next mail goes")
    mta.delivered(b"Subject: again.")


def test_a_unix_socket_in_the_chroot(site: Site, trials: Callable[[str], Trial], tmp_path: Path) -> None:
    """Folder, door and main.cf as the page has them."""
    queue = site.postfix.folder / "queue"
    [install] = re.findall(r"^    (install -d .*)", PAGE, re.MULTILINE)
    subprocess.run(install.replace("/var/spool/postfix", str(queue)).replace("-o enqueuer", "").split(), check=True)
    with trials("rules = []\n[[routes]]\nrecipient = '*'\nto = 'OUT'\n" + UNIX_TABLE.replace("/var/spool/postfix", str(queue))) as engine:
        assert send(site.postfix.more["unix"], message("unix.")).startswith("250 ")
        site.postfix.delivered(b"Subject: unix.")
        engine.wait(lambda: engine.status()["doors"][0]["accepted"] == 1, "the door has scanned it")


@pytest.fixture(scope="module")
def ruled(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """Yield the engine with rules, behind the service `rules` of Postfix."""
    with Trial(tmp_path_factory.mktemp("ruled") / "base", RULES + DOOR.format(name="postfix", port=site.ruled, more="")) as engine:
        yield engine


def offer(site: Site, subject: str, *recipients: str, head: str = "") -> tuple[int, str]:
    """Send a message to these recipients; return the answer."""
    with smtplib.SMTP("127.0.0.1", site.postfix.more["rules"], timeout=60) as client:
        client.ehlo("helo.example")
        client.mail("ann@a.example")
        for each in recipients or ("bob@b.example",):
            client.rcpt(each)
        code, text = client.data(f"{head}From: ann@a.example\nTo: all@b.example\nSubject: {subject}\n\ntext\n".replace("\n", "\r\n"))
        return code, text.decode()


def to(message: bytes) -> str:
    """The address that Postfix delivered to."""
    found = re.search(rb"^Delivered-To: (.*)$", message, re.MULTILINE)
    return found[1].decode() if found else ""


def test_a_rule_refuses_in_the_open_session(site: Site, ruled: Trial) -> None:
    """With its text, in its lines, and the id for the log."""
    code, text = offer(site, "no1.", "blocked@b.example")
    assert code == 550
    assert re.fullmatch(r"5\.7\.1 No mail for blocked@b\.example\n5\.7\.1 see https://b\.example/why \(id 1\d{17}\)", text)
    ruled.wait(lambda: "DOOR" in ruled.log() and "postfix rejected: 550 5.7.1 No mail for" in ruled.log(), "the log has it")


def test_one_of_three_recipients_is_refused(site: Site, ruled: Trial) -> None:
    """Two are delivered. The third one's copy is in the queue, where the rules refuse it: a stranger gets no report."""
    assert offer(site, "three.", "bob@b.example", "blocked@b.example", "cid@b.example")[0] == 250
    assert {to(each) for each in site.postfix.delivered(b"Subject: three.", 2)} == {"bob@b.example", "cid@b.example"}
    ruled.wait(lambda: list((ruled.base / "Quarantine").glob("*.msg")), "the copy is kept")
    (kept,) = [path.read_bytes() for path in (ruled.base / "Quarantine").glob("*.msg")]

    assert b"<blocked@b.example>\n" in kept
    assert b"_FY_ <bob@b.example>\n" not in kept
    assert b"Subject: three.\n" in kept
    assert len(site.postfix.find(b"Subject: three.")) == 2
    assert not site.postfix.queue()


def test_a_subject_is_tagged_and_all_other_bytes_stay(site: Site, ruled: Trial) -> None:
    """Once: a message that has the tag is not tagged again."""
    odd = "X-Odd:\tx  y \n z\nX-Other:no blank\nMessage-ID: <odd@a.example>\nDate: Sun, 29 Nov 2026 03:43:53 +0000\n"
    assert offer(site, "tag this.\n\tfolded", head=odd)[0] == 250
    assert offer(site, "Re: [EXTERNAL] tag again.")[0] == 250
    [found] = site.postfix.delivered(b"tag this.")
    [again] = site.postfix.delivered(b"tag again.")

    begin = found.index(b"X-Odd")
    expected = f"{odd}From: ann@a.example\nTo: all@b.example\nSubject: [EXTERNAL] tag this.\n\tfolded\n\ntext\n"
    assert found[begin:].rstrip() == expected.encode().rstrip()
    assert b"Subject: Re: [EXTERNAL] tag again.\n" in again


def test_a_message_goes_to_other_recipients(site: Site, ruled: Trial) -> None:
    """Those of Redirect To in place of its own, and those of Mirror to."""
    assert offer(site, "move.", "bob@b.example", "cid@b.example")[0] == 250
    assert {to(each) for each in site.postfix.delivered(b"Subject: move.", 2)} == {"new@b.example", "copy@b.example"}
    assert not site.postfix.queue()


@pytest.mark.parametrize(("subject", "reason"), [("wait1.", "rule wait, until "), ("strange odd.", "quarantined: strange odd. is odd;")])
def test_a_rule_puts_mail_on_hold(site: Site, ruled: Trial, subject: str, reason: str) -> None:
    """Postfix keeps it, and logs the reason."""
    mta = site.postfix
    before = set(mta.held())
    assert offer(site, subject)[0] == 250
    (id,) = set(mta.held()) - before
    assert f"{id}: milter-hold: END-OF-MESSAGE" in mta.log()
    ruled.wait(lambda: reason in ruled.log(), "the log has the reason")
    mta.command("postsuper", "-d", id)
    assert not mta.find(subject.encode())
