"""The milter filter against real milters: OpenDKIMs that sign and verify, and clamav-milter with a clamd behind it.

What it shares with the others is in test_servers.py.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlink.filters.runtime.verdict import Verdict, discard, error, header, ok
from filterlink.filters.servers.milter import MilterFilter, MilterSettings
from filterlink.filters.servers.milterwire import MilterOutcome
from filterlink.filters.servers.service import Address
from tests.filterlink.filters.daemons import EICAR, Clamd, Daemon, mail
from tests.filterlink.filters.kinds import VIRUS, OpendkimKind, large_virus
from tests.filterlink.filters.starters import PLAIN, SIGNED, make_clamav_milter, make_opendkim

NONE = OpendkimKind.clean[1]

Judging = Callable[..., Callable[[bytes], Verdict]]
Serving = Callable[..., Daemon]


@pytest.fixture
def asking(judging: Judging) -> Judging:
    """Makes filters: asking(server, changes="error")(message)."""

    return lambda server, **settings: judging(MilterFilter([Address(server.socket)], MilterSettings(**settings)))


@pytest.mark.server
def test_signed_by_one_and_verified_by_another(serving: Serving, asking: Judging, tmp_path: Path) -> None:
    """Each byte of header and body reaches them as it is: the signature that one adds is good for the other."""
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    public = subprocess.run(["openssl", "rsa", "-in", str(key), "-pubout"], check=True, capture_output=True).stdout
    (tmp_path / "keys").write_text("s._domainkey.b.example v=DKIM1; k=rsa; p=" + "".join(public.decode().splitlines()[1:-1]) + "\n")
    (tmp_path / "inside").write_text("192.0.2.1\n")
    inside = ("Mode s", "Domain b.example", "Selector s", f"KeyFile {key}", f"InternalHosts {tmp_path}/inside", "RequireSafeKeys no")
    signs = serving(make_opendkim, *inside).start()
    verifies = serving(make_opendkim, "Mode v", f"TestPublicKeys {tmp_path}/keys").start()

    signed = asking(signs)(PLAIN)
    assert signed.fields[0].startswith("DKIM-Signature: v=1; a=rsa-sha256;")
    message = "\n".join(signed.fields).encode() + b"\n" + PLAIN
    verify = asking(verifies)
    assert "dkim=pass" in verify(message).fields[0]
    assert "dkim=pass" in verify(message.replace(b"\n", b"\r\n")).fields[0]
    assert "dkim=fail" in verify(message.replace(b"end", b"END")).fields[0]


@pytest.mark.server
def test_opendkim_sees_the_client(serving: Serving, judging: Judging, tmp_path: Path) -> None:
    """It signs for addresses and host names from inside and for authenticated clients, whatever the others call themselves."""
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    (tmp_path / "inside").write_text("192.0.2.1\nmx.inside.example\n2001:db8::1\n")
    inside = ("Mode s", "Domain b.example", "Selector s", f"KeyFile {key}", f"InternalHosts {tmp_path}/inside", "RequireSafeKeys no")
    milter = MilterFilter([Address(serving(make_opendkim, *inside).start().socket)])

    def signed(source: str, by: str = "h") -> bool:
        lines = f"P I x <a@b.example>\nS {source}\nA {by}\nR W x <c@d>\n\n".encode()
        return judging(milter, lines)(PLAIN).fields != ()

    assert signed("SMTP [192.0.2.1]")
    assert signed("SMTP [2001:db8::1]")
    assert signed("SMTP [198.51.100.7]", "h name=mx.inside.example")
    assert signed("<ann> SMTP [198.51.100.7]")
    assert not signed("SMTP [198.51.100.7]")
    assert not signed("SMTP [198.51.100.7]", "h name=mx.example helo=mx.inside.example")
    assert not signed("SMTP [198.51.100.7]", "h helo=%5B192.0.2.1%5D%00{auth_type}%00PLAIN")


@pytest.mark.server
@pytest.mark.parametrize(
    ("action", "found"),
    [
        ("reject", error("550 5.7.0 DKIM key retrieval failed")),
        ("tempfail", Verdict("REJECTED", "451 4.7.5 DKIM key retrieval failed")),
        ("discard", discard()),
    ],
)
def test_what_it_decides(serving: Serving, asking: Judging, tmp_path: Path, action: str, found: Verdict) -> None:
    """Its answer is the verdict."""
    (tmp_path / "keys").write_text("")
    server = serving(make_opendkim, "Mode v", f"TestPublicKeys {tmp_path}/keys", f"On-Default {action}").start()

    assert asking(server)(SIGNED + PLAIN) == found


@pytest.mark.server
def test_what_cannot_be_done(serving: Serving, asking: Judging) -> None:
    """A forged Authentication-Results that it removes: it stays, or the message is refused."""
    server = serving(make_opendkim, "Mode v").start()
    forged = b"Authentication-Results: here; dkim=pass\n" + PLAIN

    assert asking(server)(forged) == NONE
    assert asking(server, changes="error")(forged) == error("the milter changes a header field, which this filter cannot do")


@pytest.mark.server
def test_by_tcp(serving: Serving, judging: Judging) -> None:
    """The same by its port."""
    server = serving(make_opendkim, "Mode v", tcp=True)
    server.launch()

    assert judging(MilterFilter([Address("127.0.0.1", server.port)]))(PLAIN) == NONE


@pytest.mark.server
def test_each_answer_of_clamav_milter(serving: Serving, asking: Judging, clamds: Callable[..., Clamd]) -> None:
    """What it does by default with a virus is quarantine; all of its other answers; what it adds; its trouble holds the mail."""
    clamd = clamds().start()
    virus = mail(EICAR)
    clean = mail(b"harmless")

    def milter(action: str) -> Daemon:
        return serving(make_clamav_milter, clamd, f"OnInfected {action}\nAddHeader Replace\nReportHostname here").start()

    quarantines = milter("Quarantine")
    assert asking(quarantines)(virus) == error("quarantined by the milter: quarantined by clamav-milter")
    assert asking(quarantines, quarantine="ignore")(virus).fields[1:] == (f"X-Virus-Status: Infected ({VIRUS})",)
    assert asking(quarantines)(clean).fields[1:] == ("X-Virus-Status: Clean",)
    assert asking(milter("Blackhole"))(virus) == discard()
    assert asking(milter("Defer"))(virus).word == "REJECTED"
    clamd.kill()
    assert asking(quarantines)(clean).word == "REJECTED"


@pytest.mark.server
def test_the_limit_of_clamav_milter(serving: Serving, asking: Judging, clamds: Callable[..., Clamd]) -> None:
    """The trap that docs/filters.md tells of: what is over MaxFileSize passes unseen."""
    server = serving(make_clamav_milter, clamds().start(), maximum="5M").start()

    assert asking(server)(large_virus()) == ok()


@pytest.mark.parametrize(("choice", "found"), [("error", error("quarantined by the milter: odd")), ("ignore", header(("X-A: b",)))])
def test_quarantine(choice: str, found: Verdict) -> None:
    """It is refused with the reason, or goes on with what was added."""
    outcome = MilterOutcome()
    outcome.take(b"h", b"X-A\0b\0")
    outcome.take(b"q", b"odd\0")

    assert MilterFilter([], MilterSettings(quarantine=choice))._decided(outcome) == found
