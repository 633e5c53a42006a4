"""How to call command-line scanners, and what their exit codes and their output mean. Pure.

Built in: ClamAV's clamscan, and McAfee's (Trellix's) uvscan with the exit codes of its product guide.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from filterlink.filters.runtime.finding import ScannerFinding
from filterlink.filters.servers.clamdwire import OVER_LIMITS

__all__ = ["FILE", "PROFILES", "QUEUE_FILE", "Profile", "arguments", "codes", "finding"]

_CODES = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")
FILE = "{file}"
QUEUE_FILE = "{queue_file}"


class Profile(NamedTuple):
    """A scanner: its command, what its exit codes mean, and where its output has a virus's name (the first group that matched)."""

    command: tuple[str, ...] = ()
    clean: frozenset[int] = frozenset({0})
    infected: frozenset[int] = frozenset({1})
    pattern: str = ""
    faults: Mapping[int, str] = {}
    """Exit codes by which the scanner reports that it is broken itself."""
    mail: bool = False
    """It detects mail by itself: it gets the message with a Received field on top."""


_CLAMSCAN = Profile(
    command=("clamscan", "--no-summary", "--stdout", "--alert-exceeds-max=yes", FILE),
    pattern=r"(?m): ([^\n:]+(?::\d+\))?) FOUND$",
    mail=True,
)
_UVSCAN = Profile(
    command=("uvscan", "--secure", "--mime", "--noboot", "--noexpire", FILE),
    infected=frozenset({12, 13, 19}),  # 12: could not be cleaned, 19: all were cleaned (in our copy)
    pattern=r"(?m)Found(?: the (.{1,300}?) (?:virus|trojan)| (?:virus|trojan) or variant ([^ \n]+)|: (.{1,300}?) NOT a virus)",
    faults={
        2: "its DAT files failed the integrity check",
        6: "a general problem",
        8: "a driver or its DAT files are missing",
        10: "a virus in memory",
        15: "its self-check failed, it may be infected or damaged",
        102: "its user ended it",
    },
    mail=True,
)
PROFILES = {"generic": Profile(), "clamscan": _CLAMSCAN, "uvscan": _UVSCAN}


def codes(text: str) -> frozenset[int]:
    """Read exit codes: "1", "1,13", "1-4,9". Raises ValueError."""
    found: set[int] = set()
    for piece in filter(None, text.replace(" ", "").split(",")):
        match = _CODES.fullmatch(piece)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= 255:
            raise ValueError(f"{text} is not a list of exit codes: write 1 or 1,13 or 1-4,9")
        found.update(range(first, last + 1))
    return frozenset(found)


def arguments(command: Sequence[str], file: str, queue_file: str) -> list[str]:
    """Put the paths into the command; the file is added as the last word if none is mentioned. No shell is used."""
    if not wants(command, FILE) and not wants(command, QUEUE_FILE):
        command = [*command, FILE]
    return [word.replace(FILE, file).replace(QUEUE_FILE, queue_file) for word in command]


def wants(command: Sequence[str], place: str) -> bool:
    return any(place in word for word in command)


def finding(profile: Profile, code: int, output: str) -> ScannerFinding:
    """Read exit code (negative: a signal) and output. A name in the output counts even if the code means clean."""
    name = _name(profile.pattern, output)
    if code in profile.infected or (code in profile.clean and name):
        if name.startswith(OVER_LIMITS):
            return ScannerFinding(trouble=f"over a limit ({name})")
        return ScannerFinding(name=name or f"infected (exit code {code})")
    if code in profile.clean:
        return ScannerFinding()
    if code in profile.faults:
        return ScannerFinding(fault=f"exit code {code}: {profile.faults[code]}")
    how = f"signal {-code} ended it" if code < 0 else f"exit code {code}"
    last = output.strip().rpartition("\n")[2].strip()
    return ScannerFinding(trouble=f"{how}: {last}" if last else how)


def _name(pattern: str, output: str) -> str:
    found = re.search(pattern, output) if pattern else None
    if not found:
        return ""
    return next((group.strip() for group in found.groups() if group), found[0].strip())
