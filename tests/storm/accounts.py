"""Act as one of two accounts beside an engine: `accounts.py drop|attack BASE WORK UID SECONDS SEED`, started by root.

`drop` is a normal dropper: it writes each mail under another name, then renames it. It lists its mails in WORK/sent.
`attack` does everything that an account without rights can do to the drop folder and to all that it can reach. It prints how often
each action worked. Both first become the account UID, in the group GROUP.
"""

import contextlib
import ctypes
import json
import mmap
import os
import random
import secrets
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

GROUP = 4244
"""The group of a drop folder with mode 3730."""
RATE = {"drop": 25, "attack": 150}
"""Actions a second, on average."""
RENAME_EXCHANGE = 2
NAMES = (
    *(b"x" * 251 + b".eml", b"x" * 252 + b".eml", b"\xff\xfe.eml", b"new\nline.eml", "\u202eevil\u202c.eml".encode(), b"-rf.eml"),
    *(b"--help.sub", b"...eml", b"..", b".taken", b".taken/x.eml", b"a.bad", b"a.bad.why", b"a.eml", b"a.sub", b" .eml", b"\x1b[2J.eml"),
    *(b"%s%n.eml", b"17.msg", b"QUEUE([17]) from <>, 9 bytes, a.eml", b"x.eml, uid 0", b".eml", b"a.tmp"),
)
MAIL = b"From: eve@x.example\nTo: eve@x.example\nSubject: eve\n\nhello\n"
BODIES = (
    *(MAIL, b"", b"\0" * 5000, b"To: \n\n", b" folded\n" + MAIL, b"X" * 100_000, MAIL + b"y" * 300_000, b"To: " + b"a@b," * 5000 + b"\n\n"),
    b"Return-Path: <a@b>\nEnvelope-To: <eve@x.example>\nBcc: eve2@x.example\n" + MAIL,
)
_libc = ctypes.CDLL(None, use_errno=True)


class Dropper:
    def __init__(self, base: str, work: str, _chance: random.Random) -> None:
        self._folder = f"{base}/Submitted"
        self._sent = open(f"{work}/sent", "a", buffering=1)  # noqa: SIM115

    def deed(self) -> None:
        name = secrets.token_hex(8)
        body = secrets.token_hex(200)
        now = time.time_ns()
        mail = f"From: ann@a.example\nTo: bob@b.example\nSubject: {name}\nX-Sent: {now}\n\n{body}\n"
        fd = os.open(f"{self._folder}/{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w") as file:
            file.write(mail)
        os.rename(f"{self._folder}/{name}.tmp", f"{self._folder}/{name}.eml")
        self._sent.write(json.dumps([name, mail]) + "\n")


class Attacker:
    def __init__(self, base: str, work: str, chance: random.Random) -> None:
        self.base = base.encode()
        self.work = work.encode()
        self.chance = chance
        self.folder = self.base + b"/Submitted/"
        self.count = 0
        self.done: Counter[str] = Counter()
        self.deeds: list[Callable[[], object]] = [getattr(self, name) for name in dir(self) if name.startswith("try_")]
        self.open: list[int] = []
        self.targets = [
            self.base + each for each in (b"/secret", b"/Settings/enqueuer.toml", b"/Queue", b"/Submitted/.taken", b"/Outbound/OUT")
        ]
        self.targets += [b"/etc/shadow", b"/dev/zero", b"/proc/self/environ", b"/proc/self/mem", b".", b"/", b"loop.eml"]

    def deed(self) -> None:
        os.umask(self.chance.choice((0, 0o777, 0o022, 0o077)))
        deed = self.chance.choice(self.deeds)
        try:
            deed()
        except OSError:
            self.done[deed.__name__ + " refused"] += 1
        else:
            self.done[deed.__name__] += 1

    def place(self) -> bytes:
        """Return a name in the drop folder: a new one, an unusual one, or one that the normal dropper used a moment ago."""
        self.count += 1
        kind = self.chance.random()
        if kind < 0.2:
            return self.folder + self.chance.choice(NAMES)
        if kind < 0.4:
            with contextlib.suppress(OSError, ValueError, IndexError), open(self.work + b"/../normal/sent", "rb") as file:
                file.seek(-min(4000, os.fstat(file.fileno()).st_size), os.SEEK_END)
                name: str = json.loads(file.read().splitlines()[-1])[0]
                return self.folder + name.encode() + b".eml"
        return self.folder + b"e%d.eml" % self.count

    def file(self, body: bytes | None = None) -> bytes:
        """Make a file in the attacker's folder."""
        self.count += 1
        path = self.work + b"/f%d" % self.count
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, self.chance.choice((0o666, 0o600, 0, 0o7777))), "wb") as file:
            file.write(self.chance.choice(BODIES) if body is None else body)
        return path

    def try_mail(self) -> None:
        os.rename(self.file(), self.place())

    def try_direct(self) -> None:
        fd = os.open(self.place(), os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)  # it may be a pipe of ours, or leased
        self.open.append(fd)
        os.write(fd, self.chance.choice(BODIES))
        if len(self.open) > 20:
            os.close(self.open.pop(0))

    def try_symlink(self) -> None:
        os.symlink(self.chance.choice(self.targets), self.place())

    def try_hard_link_to_others(self) -> None:
        os.link(self.chance.choice(self.targets), self.place())

    def try_hard_link_to_a_drop(self) -> None:
        os.link(self.place(), self.place())

    def try_hard_link(self) -> None:
        os.link(self.file(), self.place())

    def try_fifo(self) -> None:
        os.mkfifo(self.place(), 0o666)

    def try_socket(self) -> None:
        os.chdir(self.folder)  # the path of a socket is short
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(os.path.basename(self.place()))
        finally:
            os.chdir(self.work)

    def try_folder(self) -> None:
        place = self.place()
        os.mkdir(place)
        os.mkdir(place + b"/x.eml")

    def try_to_rename_a_folder_with_a_mount(self) -> None:
        os.rename(self.work + b"/mounted", self.folder + b"mounted.eml")

    def try_in_and_out(self) -> None:
        here = self.file(MAIL)
        there = self.place()
        for _ in range(self.chance.randrange(1, 20)):
            os.rename(here, there)
            os.rename(there, here)

    def try_exchange(self) -> None:
        """Exchange a file and a link to a secret, again and again."""
        there = self.place()
        link = self.work + b"/l%d" % self.count
        os.symlink(self.chance.choice(self.targets), link)
        os.rename(self.file(MAIL), there)
        for _ in range(self.chance.randrange(1, 50)):
            if _libc.renameat2(-100, link, -100, there, RENAME_EXCHANGE):
                raise OSError(ctypes.get_errno(), "renameat2")

    def try_change_while_read(self) -> None:
        place = self.place()
        fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with open(fd, "r+b", buffering=0) as file:
            file.write(MAIL + b"z" * 200_000)
            for _ in range(20):
                os.ftruncate(fd, self.chance.randrange(1, 300_000))
                os.pwrite(fd, MAIL, self.chance.randrange(100))

    def try_mapping(self) -> None:
        path = self.file(MAIL + b"m" * 10_000)
        fd = os.open(path, os.O_RDWR)
        mapping = mmap.mmap(fd, 0)
        os.close(fd)
        os.rename(path, self.place())
        mapping[0:4] = b"Xrom"
        mapping.close()

    def try_to_plant_a_refusal(self) -> None:
        place = self.place().removesuffix(b".eml") + self.chance.choice((b".bad", b".bad.why"))
        os.symlink(self.base + b"/secret", place) if self.chance.random() < 0.5 else os.rename(self.file(), place)

    def try_to_remove(self) -> None:
        os.unlink(self.place())

    def try_to_replace(self) -> None:
        os.rename(self.place(), self.place())

    def try_to_list(self) -> None:
        os.listdir(
            self.base + self.chance.choice((b"/Submitted", b"/Submitted/.taken", b"/Queue", b"/Run", b"/Outbound/OUT", b"/SystemLogs"))
        )

    def try_to_read(self) -> None:
        path = os.fsdecode(self.chance.choice([*self.targets[:2], self.place()]))
        with open(path, "rb", opener=_unwaiting) as file:
            if b"canary" in file.read(100_000):
                self.done["canary"] += 1

    def try_to_rename_folders(self) -> None:
        name = self.chance.choice((b"/Submitted", b"/Queue", b"/Submitted/.taken", b"/Run"))
        os.rename(self.base + name, self.base + name + b".x")

    def try_control(self) -> None:
        """Open many connections at once, and send garbage, partial requests and commands."""
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                sock = stack.enter_context(socket.socket(socket.AF_UNIX))
                sock.settimeout(0.1)
                sock.connect(self.base + self.chance.choice((b"/Run/control.sock", b"/Run/manager.sock", b"/Run/supervisor.sock")))
                sock.send(self.chance.choice((b"", b'{"command": "stop"', b'{"command": "stop", "now": true}\n', b"\0" * 5000)))

    def try_signal(self) -> None:
        os.kill(os.getppid(), 0)


def _unwaiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def main() -> None:
    role, base, work, user, seconds, seed = sys.argv[1:]
    os.setgroups([GROUP])
    os.setgid(int(user))
    os.setuid(int(user))
    os.chdir(work)
    chance = random.Random(seed)
    account = Dropper(base, work, chance) if role == "drop" else Attacker(base, work, chance)
    end = time.monotonic() + float(seconds)
    due = time.monotonic()
    nothing = threading.Event()
    while (now := time.monotonic()) < end:
        account.deed()
        due += chance.expovariate(RATE[role])
        if due > now:
            nothing.wait(due - now)
        due = max(due, now - 0.5)
    if isinstance(account, Attacker):
        print(json.dumps(account.done))


if __name__ == "__main__":
    main()
