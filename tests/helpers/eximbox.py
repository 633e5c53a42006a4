"""Debian's Exim, unpacked and not installed: it conflicts with Postfix. It runs in a mount namespace in which it looks installed."""

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.mta import free_port
from tests.helpers.paths import UNPACKED

__all__ = ["EximBox"]

BOX = """
set -e
mkdir -p box && mount -t tmpfs tmpfs box
for each in etc usr var; do
  mkdir -p box/$each box/$each.work root/$each
  mount -t overlay overlay -o lowerdir=root/$each:/$each,upperdir=box/$each,workdir=box/$each.work /$each
done
echo 'Debian-exim:x:101:101::/var/spool/exim4:/usr/sbin/nologin' >>/etc/passwd
echo 'bob:x:1234:1234::/tmp:/bin/sh' >>/etc/passwd
echo 'Debian-exim:x:101:' >>/etc/group
install -d -o Debian-exim -g adm -m 2750 /var/log/exim4
spool=/var/spool/exim4
install -d -o Debian-exim -g Debian-exim -m 750 /run/exim4 $spool $spool/db $spool/input $spool/msglog
install -d /var/lib/exim4
install -d -m 3777 /var/mail
cat >/etc/exim4/update-exim4.conf.conf <<EOF
dc_eximconfig_configtype='local'
dc_other_hostnames='b.example'
dc_local_interfaces='127.0.0.1 ; ::1'
dc_use_split_config='false'
dc_minimaldns='false'
CFILEMODE='644'
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
EOF
echo b.example >/etc/mailname
echo ready
exec cat
"""


class EximBox:
    """A mount namespace with Exim in it. Its first process ends, and the namespace with it, when the box is closed."""

    def __init__(self, folder: Path) -> None:
        """Skips the test where it cannot run."""
        if os.geteuid() != 0 or not (UNPACKED / "exim").is_dir() or shutil.which("swaks") is None:
            pytest.skip("needs root, the package swaks, and Exim as .ci/install-packages unpacks it")
        shutil.copytree(UNPACKED / "exim", folder / "root", symlinks=True)  # an overlay of /var cannot have a part of /var below it
        (folder / "root/usr/sbin/exim4").chmod(0o4755)  # as Debian installs it: Exim delivers as root
        self._holder = subprocess.Popen(
            ("unshare", "-m", "sh", "-c", BOX), cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            pytest.skip(f"no such namespace here: {self._holder.communicate()[1]}")
        self.enter = ("nsenter", "-t", str(self._holder.pid), "-m")
        """The command before each command that is to run in the box."""
        self.port = free_port()

    def run(self, *words: str, stdin: str = "") -> str:
        return subprocess.run((*self.enter, *words), input=stdin, capture_output=True, text=True, timeout=60, check=True).stdout

    def write(self, path: str, text: str) -> None:
        self.run("tee", path, stdin=text)

    @contextlib.contextmanager
    def daemon(self) -> Iterator[None]:
        self.run("update-exim4.conf")
        process = subprocess.Popen((*self.enter, "exim4", "-bdf", "-oX", f"127.0.0.1.{self.port}"), stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)

    def log(self) -> str:
        return self.run("cat", "/var/log/exim4/mainlog")

    def swaks(self, message: bytes, sender: str = "ann@a.example") -> str:
        """Send a message to bob@b.example; return what the client heard at its end."""
        words = ("--server", f"127.0.0.1:{self.port}", "--helo", "mx.a.example", "--from", sender, "--to", "bob@b.example", "--data", "-")
        deadline = time.monotonic() + 20
        while True:
            found = subprocess.run(("swaks", *words), input=message, capture_output=True, timeout=60, check=False).stdout.decode()
            if answer := re.search(r"-> \.\n<[-*]+ +(.*)", found):
                return answer[1]
            assert time.monotonic() < deadline, found  # the daemon is not there yet

    def close(self) -> None:
        self._holder.communicate(timeout=30)
