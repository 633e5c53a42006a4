"""Each server that a filter asks, with that filter, and what the scenarios of test_servers.py need to know of both.

What is told of one server alone stands in the test of its filter.
"""

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from filterlink.filters.runtime.verdict import Verdict, error, header, ok, rejected
from filterlink.filters.servers import clamd, icap, milter, rspamd, spamd
from filterlink.filters.servers.exchange import Terms
from filterlink.filters.servers.service import Address
from filterlink.filters.servers.watch import ServerWatch
from tests.filterlink.filters.daemons import CLEAN, DEADLINE, EICAR, GTUBE, SPAM, Clamd, Daemon, mail
from tests.filterlink.filters.starters import (
    FUN,
    ICAP_SCAN,
    LUA,
    PLAIN,
    SIGNED,
    VERSION,
    make_clamav_milter,
    make_icap,
    make_opendkim,
    make_rspamd,
    make_spamd,
    titled,
)

__all__ = ["KINDS", "VIRUS", "Case", "Filter", "IcapKind", "Kind", "OpendkimKind", "large_virus"]

Case = tuple[bytes, Verdict]
"""A message, and the verdict that it gets."""


class Filter(Protocol):
    watch: ServerWatch

    def judge(self, path: str) -> Verdict: ...


MARKER = b"a harmless marker"
VIRUS = "Test.Eicar.UNOFFICIAL"


class Kind(ABC):
    """A server and its filter."""

    name: str
    called: str
    """How the filter's answers call the server."""
    clean: Case
    caught: Case

    @abstractmethod
    def server(self, folder: Path, behind: ExitStack) -> Daemon:
        """Make one that is not started yet; what it needs behind it is started, and ended with `behind`."""

    @abstractmethod
    def filter(self, addresses: Sequence[Address], **settings: Any) -> Filter: ...

    @abstractmethod
    def options(self, server: Daemon) -> str:
        """The command line of the filter as a program."""

    @abstractmethod
    def renew(self, server: Daemon) -> tuple[bytes, Verdict, Verdict]:
        """Change its rules and have it read them: a message, the verdict that it got before, the one to come."""

    @abstractmethod
    def large(self) -> Iterator[Case]:
        """Messages of over 50 MB."""

    def addresses(self, server: Daemon) -> list[Address]:
        """The ways to reach it; the first is the one that is taken where one is enough."""
        return [Address(server.socket), Address("127.0.0.1", server.port)]


def large_virus() -> bytes:
    """Behind 50 MB of data that cannot be packed."""
    return mail(os.urandom(38_000_000) + EICAR)


class ClamdKind(Kind):
    name = "clamd"
    called = "clamd"
    clean = (mail(b"harmless"), ok())
    caught = (mail(EICAR), error(VIRUS))

    def server(self, folder: Path, behind: ExitStack) -> Clamd:
        return Clamd(folder)

    def filter(self, addresses: Sequence[Address], **settings: Any) -> Filter:
        return clamd.ClamdFilter(addresses, clamd.ClamdSettings(**settings))

    def options(self, server: Daemon) -> str:
        return f"clamd --socket {server.socket}"

    def renew(self, server: Daemon) -> tuple[bytes, Verdict, Verdict]:
        assert isinstance(server, Clamd)
        server.learn(MARKER)
        return mail(MARKER), ok(), error("Test.Marker.UNOFFICIAL")

    def addresses(self, server: Daemon) -> list[Address]:
        return [Address(server.socket)]

    def large(self) -> Iterator[Case]:
        yield mail(os.urandom(38_000_000)), ok()
        yield large_virus(), error(VIRUS)


class ClamdByTcp(ClamdKind):
    """It gets the message itself, and no descriptor."""

    name = "clamd-tcp"

    def options(self, server: Daemon) -> str:
        return f"clamd --host 127.0.0.1:{server.port}"

    def addresses(self, server: Daemon) -> list[Address]:
        return [Address("127.0.0.1", server.port)]


class SpamdKind(Kind):
    name = "spamd"
    called = "spamd"
    clean = FUN, header(("X-Spam-Status: No, score=2.5 required=5.0 tests=FUN", "X-Spam-Level: **", VERSION))
    caught = (
        SPAM,
        header(("X-Spam-Status: Yes, score=1000.0 required=5.0 tests=GTUBE", "X-Spam-Level: " + "*" * 50, "X-Spam-Flag: YES", VERSION)),
    )

    def server(self, folder: Path, behind: ExitStack) -> Daemon:
        return make_spamd(folder)

    def filter(self, addresses: Sequence[Address], **settings: Any) -> Filter:
        return spamd.SpamdFilter(addresses, terms=Terms(**settings))

    def options(self, server: Daemon) -> str:
        return f"spamd --socket {server.socket}"

    def renew(self, server: Daemon) -> tuple[bytes, Verdict, Verdict]:
        rules = server.folder / "rules.cf"
        rules.write_text(rules.read_text().replace("FUN 2.5", "FUN 3.5"))
        server.signal(signal.SIGHUP)
        return (*self.clean, header(("X-Spam-Status: No, score=3.5 required=5.0 tests=FUN", "X-Spam-Level: ***", VERSION)))

    def large(self) -> Iterator[Case]:
        part = b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" + (b"QUJD" * 18 + b"\n") * 700_000
        head = b'Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="limit"\n\n--limit\n\n'
        yield head + GTUBE + b"\n--limit\n" + part + b"--limit--\n", self.caught[1]


class RspamdKind(Kind):
    name = "rspamd"
    called = "rspamd"
    clean = (CLEAN, ok())
    caught = (SPAM, error("Gtube pattern"))

    def server(self, folder: Path, behind: ExitStack) -> Daemon:
        return make_rspamd(folder)

    def filter(self, addresses: Sequence[Address], **settings: Any) -> Filter:
        return rspamd.RspamdFilter(addresses, terms=Terms(**settings))

    def options(self, server: Daemon) -> str:
        return f"rspamd --socket {server.socket}"

    def renew(self, server: Daemon) -> tuple[bytes, Verdict, Verdict]:
        (server.folder / "rules.lua").write_text(LUA.replace("rule('TAG', 7)", "rule('TAG', 6.5)"))
        server.signal(signal.SIGHUP)
        tagged = [header(("X-Spam: Yes", f"X-Spamd-Result: default: True [{n} / 15.00];\n\tTAG({n})")) for n in ("7.00", "6.50")]
        return titled("TAG"), tagged[0], tagged[1]

    def large(self) -> Iterator[Case]:
        large = titled("BAD").replace(b"how are", b"how are you?\n" * 4_000_000 + b"and")
        yield large, error("spam: score 20.0 of 15.0 (BAD)")


class IcapKind(Kind):
    name = "icap"
    called = "ICAP server"
    clean = ClamdKind.clean
    caught = ClamdKind.caught

    def server(self, folder: Path, behind: ExitStack) -> Daemon:
        if not any(Path("/usr/lib").glob("*/c_icap/virus_scan.so")):
            pytest.skip("no virus_scan: apt-get install libc-icap-mod-virus-scan")
        return make_icap(folder, ICAP_SCAN.format(clamd=clamd_behind(folder, behind).socket))

    def filter(self, addresses: Sequence[Address], **settings: Any) -> Filter:
        return icap.IcapFilter(addresses, icap.IcapSettings("antivirus", **settings))

    def options(self, server: Daemon) -> str:
        return f"icap --host 127.0.0.1:{server.port} --service antivirus"

    def addresses(self, server: Daemon) -> list[Address]:
        return [Address("127.0.0.1", server.port)]

    def renew(self, server: Daemon) -> tuple[bytes, Verdict, Verdict]:
        """It is told to by its pipe for commands: it looks into no texts any more. A child that still starts would not be told."""
        server.until(lambda: "recomputing istag" in (server.folder / "server.log").read_text(errors="replace"))
        conf = server.folder / "conf"
        conf.write_text(conf.read_text().replace("ScanFileTypes TEXT DATA", "ScanFileTypes"))
        (server.folder / "control").write_text("reconfigure")
        return (*self.caught, ok())

    def large(self) -> Iterator[Case]:
        yield large_virus(), error(VIRUS)


def clamd_behind(folder: Path, behind: ExitStack) -> Clamd:
    (folder / "clamd").mkdir()
    server = Clamd(folder / "clamd")
    behind.callback(server.kill)
    return server.start()


class OpendkimKind(Kind):
    name = "opendkim"
    called = "milter"
    clean = PLAIN, header(("Authentication-Results: here; dkim=none; dkim-atps=neutral",))
    caught = SIGNED + PLAIN, error("550 5.7.0 DKIM key retrieval failed")

    def server(self, folder: Path, behind: ExitStack) -> Daemon:
        (folder / "keys").write_text("")
        return make_opendkim(folder, "Mode v", f"TestPublicKeys {folder}/keys", "On-Default reject")

    def filter(self, addresses: Sequence[Address], **settings: Any) -> Filter:
        return milter.MilterFilter(addresses, terms=Terms(**settings))

    def options(self, server: Daemon) -> str:
        return f"milter --socket {server.socket}"

    def addresses(self, server: Daemon) -> list[Address]:
        return [Address(server.socket)]

    def renew(self, server: Daemon) -> tuple[bytes, Verdict, Verdict]:
        conf = server.folder / "conf"
        conf.write_text(conf.read_text().replace("AuthservID here", "AuthservID there"))
        server.signal(signal.SIGUSR1)
        return (*self.clean, header(("Authentication-Results: there; dkim=none; dkim-atps=neutral",)))

    def large(self) -> Iterator[Case]:
        yield PLAIN + b"x" * 70 * 720_000 + b"\n", self.clean[1]


class _AskingAgain:
    def __init__(self, filter: Filter) -> None:
        self._filter = filter
        self.watch = filter.watch

    def judge(self, path: str) -> Verdict:
        end = time.monotonic() + DEADLINE
        while (found := self._filter.judge(path)) == rejected("the milter says: not now") and time.monotonic() < end:
            pass
        return found


class ClamavMilterKind(OpendkimKind):
    name = "clamav-milter"
    clean = ClamdKind.clean
    caught = (mail(EICAR), error(f"550 5.7.1 virus {VIRUS}"))

    def __init__(self) -> None:
        self._clamds: dict[Path, Clamd] = {}

    def server(self, folder: Path, behind: ExitStack) -> Daemon:
        self._clamds[folder] = clamd_behind(folder, behind)
        return make_clamav_milter(folder, self._clamds[folder])

    def filter(self, addresses: Sequence[Address], **settings: Any) -> Filter:
        """Asks again what is deferred in its first moments, as the engine does."""
        return _AskingAgain(super().filter(addresses, **settings))

    def renew(self, server: Daemon) -> tuple[bytes, Verdict, Verdict]:
        """It reads its settings at its start only; its signatures are those of the clamd behind it."""
        self._clamds[server.folder].learn(MARKER)
        return mail(MARKER), ok(), error("550 5.7.1 virus Test.Marker.UNOFFICIAL")

    def large(self) -> Iterator[Case]:
        yield large_virus(), self.caught[1]


KINDS: tuple[Kind, ...] = (ClamdKind(), ClamdByTcp(), SpamdKind(), RspamdKind(), IcapKind(), OpendkimKind(), ClamavMilterKind())
