"""The processes of a bare program: forked, each with its own ends of the socket pairs only, and with its CPU use."""

import gc
import os
import socket
import sys
from collections.abc import Callable, Sequence

__all__ = ["Channel", "Crew"]

Channel = socket.socket


class Crew:
    """The processes, by name. Each keeps only its own sockets."""

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self._ends: list[Channel] = []

    def pair(self) -> tuple[Channel, Channel]:
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ends += ends
        return ends

    def keep(self, *mine: Channel) -> None:
        for end in self._ends:
            if end not in mine:
                end.close()

    def fork(self, name: str, mine: Sequence[Channel], work: Callable[[], None]) -> None:
        if pid := os.fork():
            self.pids[name] = pid
            return
        code = 1
        try:
            self.keep(*mine)
            gc.freeze()
            work()
            code = 0
        except OSError as error:
            print(f"{name}: {error}", file=sys.stderr)
        finally:
            os._exit(code)

    def reap(self) -> dict[str, dict[str, float]]:
        """Return the CPU seconds of each kind of process, once all have ended."""
        used: dict[str, dict[str, float]] = {}
        for name, pid in self.pids.items():
            usage = os.wait4(pid, 0)[2]
            of = used.setdefault(name.split(" ")[0], {"user": 0.0, "system": 0.0})
            of["user"] += usage.ru_utime
            of["system"] += usage.ru_stime
        return used
