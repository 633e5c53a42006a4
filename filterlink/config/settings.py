"""Define the settings of one filter: the [[filters]] table of the config file. Pure."""

import math
import re
import shlex
from typing import Literal

import msgspec

from filterlink.config.units import Seconds, Size

__all__ = ["LEVELS", "Filter", "LogLevel", "OnFailure", "OnRefused"]

OnFailure = Literal["defer", "pass", "quarantine", "reject"]
OnRefused = Literal["bad", "quarantine", "defer"]
LEVELS = {"crashes": 50, "failures": 40, "major": 35, "problems": 30, "low-level": 20, "all": 10}
"""The levels of the logging module by the names of log levels. Their digits in the Server Log are 0 to 5."""
LogLevel = Literal["crashes", "failures", "major", "problems", "low-level", "all"]


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One External Filter. Durations are seconds; infinity means "never"."""

    name: str
    program: str
    """Shell-style words. The first is a path from the base directory if it has a slash, else a program on PATH."""
    enabled: bool = True
    mode: Literal["active", "shadow"] = "active"
    """shadow: rules ask the filter, and nothing follows from its answer; the log and the counts have it."""
    log_level: LogLevel = "problems"
    timeout: Seconds = Seconds(120)
    """An answer that takes longer counts as a failure; the helper is restarted."""
    timeout_per_mb: Seconds = Seconds(0)
    """Added to `timeout` for each MiB of the message."""
    auto_restart: Seconds = Seconds(5)
    """The pause before a helper that ended is started again; "never" leaves it to the administrator."""
    slow_after: Seconds = Seconds(5)
    instances: int = 1
    max_in_flight: int = 16
    pipelining: bool = False
    """True: several request lines may be in the helper's pipe at once."""
    on_failure: OnFailure = "defer"
    failure_passes: bool = True
    """The answer FAILURE lets a message pass, as in CommuniGate Pro. False: `on_failure` says what follows."""
    on_refused: OnRefused = "bad"
    """The end of a message that the filter refuses (REJECTED) `max_attempts` times while it scans others."""
    max_requests: int = 0
    """A helper process is replaced after this many requests; 0 = never. The new process is ready before the old one leaves."""
    max_age: Seconds = Seconds(math.inf)
    memory_limit: Size = Size(0)
    """Address space of one helper process; 0 = no limit."""
    cpu_limit: Seconds = Seconds(math.inf)
    """Processor time that one helper process may use in its life."""
    user: str = ""
    """The account of the helper; needs an engine that runs as root."""
    new_privileges: bool = False
    """False: programs that the helper starts get no more rights than it has (sudo, setgid programs)."""
    environment: tuple[str, ...] = ()
    """NAME or NAME=value: variables in addition to the usual ones."""
    confined: bool = False
    """True: the helper can change files only below the temporary folder and `writable`, and can signal only its own children."""
    writable: tuple[str, ...] = ()
    """Folders that a confined helper may write to, absolute or relative to the base directory."""

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable() or any(c in self.name for c in "()\"'"):
            raise ValueError(f"filter name {self.name!r}: give it a short name of printable characters without brackets and quotes")
        if len(self.name.encode()) > 60:
            raise ValueError(f"filter name {self.name!r}: at most 60 bytes")
        if not any(self.words()[:1]):
            raise ValueError(f'filter "{self.name}": program is empty: write the command that starts the helper')
        if not 1 <= self.instances <= 64:
            raise ValueError(f'filter "{self.name}": instances = {self.instances}: write a number from 1 to 64')
        if not 1 <= self.max_in_flight <= 1000:
            raise ValueError(f'filter "{self.name}": max_in_flight = {self.max_in_flight}: write a number from 1 to 1000')
        if not 0 <= self.max_requests <= 1_000_000_000:
            raise ValueError(
                f'filter "{self.name}": max_requests = {self.max_requests}: write a number from 1 to 1000000000, or 0 for no limit'
            )
        if min(self.max_age, self.cpu_limit) < 1:
            raise ValueError(f'filter "{self.name}": max_age and cpu_limit must be at least 1s')
        if odd := [word for word in self.environment if not re.fullmatch(r"[^=\s\0]+(=[^\0]*)?", word)]:
            raise ValueError(f'filter "{self.name}": environment: {odd[0]!r} is neither "NAME" nor "NAME=value"')
        if self.writable and not self.confined:
            raise ValueError(f'filter "{self.name}": writable is for a confined filter: add confined = true, or leave writable out')
        if self.timeout <= 0 or self.slow_after <= 0:
            raise ValueError(f'filter "{self.name}": timeout and slow_after must be longer than 0s')
        if self.timeout_per_mb == math.inf:
            raise ValueError(f'filter "{self.name}": timeout_per_mb: write a duration, or timeout = "never" for no time-out')
        if "\0" in self.program + self.user:
            raise ValueError(f'filter "{self.name}": program and user must not have a NUL in them')

    def words(self) -> list[str]:
        """Split `program` as a shell would. Raises ValueError if a quote is not closed."""
        try:
            return shlex.split(self.program)
        except ValueError:
            raise ValueError(f'filter "{self.name}": program = {self.program!r}: a quote is not closed') from None

    def limit(self, size: int) -> float:
        """Return the seconds that the scan of a message of `size` bytes may take."""
        return self.timeout + self.timeout_per_mb * (size / (1 << 20))

    @property
    def slots(self) -> int:
        """Return how many requests the filter takes at once."""
        return self.instances * self.max_in_flight

    @property
    def restarts(self) -> bool:
        return self.auto_restart != math.inf
