"""Sendmail of its own, from a package that is unpacked and not installed. It relays what it accepts to a smtp-sink of Postfix."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from enqueuer.lab.trial import wait
from tests.helpers.mta import free_port
from tests.helpers.paths import UNPACKED
from tests.helpers.places import in_namespaces

__all__ = ["Sendmail", "sendmail"]

ROOT = UNPACKED / "sendmail"
PROGRAM = ROOT / "usr/libexec/sendmail/sendmail"
CF = ROOT / "usr/share/sendmail/cf"
LIBRARIES = os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, ROOT.glob("usr/lib/*-linux-gnu")))}
MC = """
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mx.b.example')dnl
define(`QUEUE_DIR', `{folder}/queue')dnl
define(`STATUS_FILE', `{folder}/status')dnl
define(`confHOST_STATUS_DIRECTORY', `{folder}/hosts')dnl
define(`confPID_FILE', `{folder}/pid')dnl
define(`confSERVICE_SWITCH_FILE', `{folder}/switch')dnl
define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe')dnl
define(`confMAX_HOP', `100')dnl
define(`ALIAS_FILE', `')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {sink}')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`promiscuous_relay')dnl
{more}
MAILER(`smtp')dnl
"""


class Sendmail:
    """One daemon. `ports`: name of a filter -> the port whose mail it scans."""

    def __init__(self, folder: Path, filters: Mapping[str, str], prefix: tuple[str, ...]) -> None:
        """`filters`: name -> the line of sendmail.mc that defines it."""
        self.folder = folder
        self.prefix = prefix
        self.ports = {name: free_port() for name in filters}
        self.sink = free_port()
        for name in ("queue", "hosts", "sink"):
            (folder / name).mkdir()
        (folder / "switch").write_text("hosts files\n")
        more = [
            f"DAEMON_OPTIONS(`Name={name}, Addr=127.0.0.1, Port={port}, InputMailFilters={name}')dnl" for name, port in self.ports.items()
        ]
        text = MC.format(folder=folder, sink=self.sink, more="\n".join((*filters.values(), *more)))
        made = subprocess.run(
            [ROOT / "usr/bin/m4", f"-D_CF_DIR_={CF}/", CF / "m4/cf.m4", "-"], input=text.encode(), capture_output=True, check=True
        )
        (folder / "sendmail.cf").write_bytes(made.stdout)

    def held(self) -> list[str]:
        """Return the messages that Sendmail keeps in quarantine."""
        return [path.name for path in (self.folder / "queue").glob("hf*")]

    def queue(self) -> list[str]:
        return [path.name for path in (self.folder / "queue").iterdir()]

    def command(self, name: str, *arguments: str) -> str:
        """Run one of Sendmail's commands; return its output."""
        command = [*self.prefix, str(PROGRAM.with_name(name)), "-C", f"{self.folder}/sendmail.cf", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=LIBRARIES).stdout

    def find(self, words: bytes) -> list[bytes]:
        """Return what was relayed, once for each message."""
        return [data for path in sorted((self.folder / "sink").iterdir()) if words in (data := path.read_bytes())]

    def delivered(self, words: bytes) -> list[bytes]:
        wait(lambda: self.find(words), 20, f"{words!r} is delivered")
        return self.find(words)


@contextlib.contextmanager
def sendmail(filters: Mapping[str, str]) -> Iterator[Sendmail]:
    """Run a daemon. Skips the test where it cannot run."""
    if os.geteuid() != 0 or not PROGRAM.exists() or shutil.which("smtp-sink") is None:
        pytest.skip("needs root, the package postfix, and Sendmail as .ci/install-packages unpacks it")
    prefix = in_namespaces("hostname mx.b.example", "--uts")  # with an unqualified host name it sleeps for a minute
    with tempfile.TemporaryDirectory(prefix="enqueuer-sendmail") as name, contextlib.ExitStack() as stack:
        found = Sendmail(Path(name), filters, prefix)
        daemon = [*prefix, str(PROGRAM), "-C", f"{name}/sendmail.cf", "-bD"]
        sink = ["smtp-sink", "-u", "root", "-d", f"{name}/sink/%H%M%S.", f"127.0.0.1:{found.sink}", "100"]
        with (found.folder / "out").open("wb") as output:
            for command in (sink, daemon):
                process = stack.enter_context(subprocess.Popen(command, stdout=output, stderr=output, env=LIBRARIES))
                stack.callback(process.terminate)
        for port in (found.sink, *found.ports.values()):
            wait(lambda port=port: _open(port), 20, f"port {port} is open")  # type: ignore[misc]
        yield found


def _open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
