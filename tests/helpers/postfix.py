"""Postfix of its own: Debian's master.cf, a main.cf, a queue and a mailbox in a folder of its own, on loopback only."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from enqueuer.lab.trial import wait
from tests.helpers.mta import free_port

__all__ = ["Postfix", "postfix"]

MASTER = Path("/usr/share/postfix/master.cf.dist")
NOBODY = 65534
MAIN = f"""
compatibility_level = 3.6
queue_directory = {{folder}}/queue
data_directory = {{folder}}/data
maillog_file = {{folder}}/log
maillog_file_prefixes = {{folder}}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mx.b.example
mydestination =
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
hopcount_limit = 100
virtual_mailbox_domains = b.example
virtual_mailbox_base = {{folder}}/box
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{NOBODY}
virtual_gid_maps = static:{NOBODY}
"""


class Postfix:
    """One instance. `port` is that of the service that Debian's master.cf calls smtp; the others are in `more`."""

    def __init__(self, folder: Path, main: str, more: Mapping[str, str]) -> None:
        """`more`: name of a further smtpd service -> its milters."""
        self.folder = folder
        self.port = free_port()
        self.more = {name: free_port() for name in more}
        for name, owner in (("etc", "root"), ("queue", "root"), ("data", "postfix"), ("box", "nobody")):
            (folder / name).mkdir(mode=0o755)
            shutil.chown(folder / name, owner)
        self.configure(main)
        master = MASTER.read_text().replace("\nsmtp      inet", f"\n127.0.0.1:{self.port} inet", 1)
        for name, port in self.more.items():
            master += f"\n127.0.0.1:{port} inet n - y - - smtpd\n  -o smtpd_milters={more[name]}\n"
        (folder / "etc/master.cf").write_text(master)

    def configure(self, main: str) -> None:
        (self.folder / "etc/main.cf").write_text(MAIN.format(folder=self.folder) + main)

    def command(self, name: str, *arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        found = subprocess.run(
            [name, "-c", f"{self.folder}/etc", *arguments], input=text, capture_output=True, text=True, timeout=60, check=False
        )
        if found.returncode:
            raise AssertionError(f"{name}: {found.stdout}{found.stderr}\n{self.log()[-2000:]}")
        return found

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def queue(self) -> list[dict[str, Any]]:
        """Return what stands in the queue."""
        return [json.loads(line) for line in self.command("postqueue", "-j").stdout.splitlines()]

    def held(self) -> list[str]:
        return [each["queue_id"] for each in self.queue() if each["queue_name"] == "hold"]

    def box(self) -> list[bytes]:
        """Return what was delivered, without the fields that Postfix adds on top."""
        return [path.read_bytes() for path in sorted((self.folder / "box/all/new").glob("*"))]

    def find(self, words: bytes) -> list[bytes]:
        return [message for message in self.box() if words in message]

    def delivered(self, words: bytes, count: int = 1) -> list[bytes]:
        """Wait until messages with these words are delivered."""
        wait(lambda: len(self.find(words)) >= count, 20, f"{words!r} is delivered")
        return self.find(words)

    def swaks(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["swaks", "--server", f"127.0.0.1:{self.port}", *arguments], capture_output=True, text=True, timeout=60, check=False
        )


@contextlib.contextmanager
def postfix(main: str, more: Mapping[str, str] | None = None) -> Iterator[Postfix]:
    """Run an instance. `main`: lines for main.cf. Skips the test where it cannot run."""
    if os.geteuid() != 0 or shutil.which("postfix") is None or shutil.which("swaks") is None:
        pytest.skip("needs root, and the packages postfix and swaks")
    with tempfile.TemporaryDirectory(prefix="enqueuer-postfix") as name:  # pytest's folders are closed for Postfix's account
        folder = Path(name)
        folder.chmod(0o755)
        found = Postfix(folder, main, more or {})
        found.command("postfix", "start")
        try:
            yield found
        finally:
            found.command("postfix", "stop")
