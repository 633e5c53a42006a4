"""The filter for any command-line scanner: it runs once for each message, on a copy without the envelope.

Worker processes run it, because each scan forks; see child.py for its limits.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from filterlink.filters.command.commandline import FILE, QUEUE_FILE, Profile, arguments, finding, wants
from filterlink.filters.runtime.child import ChildLimits, run_limited
from filterlink.filters.runtime.finding import Policy, ScannerFinding
from filterlink.filters.runtime.handover import RECEIVED, Handover
from filterlink.filters.runtime.room import room
from filterlink.filters.runtime.runtime import ScanBounds, Verdict, serve
from filterlink.filters.runtime.workers import GRACE

__all__ = ["CommandFilter", "CommandSettings", "run"]


_LATE = "no answer within {:g} s"


class CommandSettings(NamedTuple):
    """The scanner, what follows from its answer, and its limits."""

    profile: Profile
    policy: Policy = Policy()
    limits: ChildLimits = ChildLimits(110)


def run(settings: CommandSettings, folder: str, processes: int) -> int:
    """Run the helper program; return the exit code. Copies are made in `folder` ("": the usual place for temporary files)."""
    if trouble := _unusable(settings.profile):
        print(f"enqueuer filter command: {trouble}", file=sys.stderr)
        return os.EX_CONFIG
    try:
        with room(folder) as copies:
            late = settings.policy.verdict(
                ScannerFinding(trouble=_LATE.format(settings.limits.time)), Path(settings.profile.command[0]).name
            )
            bounds = ScanBounds(settings.limits.time + GRACE, late)  # --pattern may be one that never ends
            return serve("command", CommandFilter(settings, copies).judge, processes, bounds=bounds)
    except OSError as fault:
        print(f"enqueuer filter command: cannot make a folder for copies: {fault}", file=sys.stderr)
        return os.EX_CANTCREAT


def _unusable(profile: Profile) -> str:
    if not profile.command:
        return "no program: write it after the options, with {file} in the place of the message's path"
    if not shutil.which(profile.command[0]):
        return f"{profile.command[0]}: no such program"
    try:
        re.compile(profile.pattern)
    except re.error as fault:
        return f"--pattern {profile.pattern}: {fault}"
    return ""


class CommandFilter:
    """Scans messages with a program."""

    def __init__(self, settings: CommandSettings, folder: str) -> None:
        self._settings = settings
        self._folder = folder
        command = settings.profile.command
        self._copies = wants(command, FILE) or not wants(command, QUEUE_FILE)

    def judge(self, path: str) -> Verdict:
        """Scan one queue file."""
        copy = Path(self._folder, f"{os.getpid()}.eml")
        self._tidy()
        try:
            with Handover(path, RECEIVED if self._settings.profile.mail else b"") as message:
                if self._copies:
                    message.write(str(copy))
            found = self._scan(str(copy), os.path.abspath(path))
        finally:
            copy.unlink(missing_ok=True)
        return self._settings.policy.verdict(found, Path(self._settings.profile.command[0]).name)

    def _tidy(self) -> None:
        """Remove the copies of processes that were killed during a scan."""
        for left in Path(self._folder).glob("*.eml"):
            if not Path("/proc", left.stem).exists():
                left.unlink(missing_ok=True)

    def _scan(self, copy: str, path: str) -> ScannerFinding:
        profile = self._settings.profile
        limits = self._settings.limits
        try:
            ended = run_limited(arguments(profile.command, copy, path), limits)
        except OSError as fault:
            return ScannerFinding(fault=f"it cannot be started: {fault.strerror or fault}")
        if ended.late:
            return ScannerFinding(trouble=_LATE.format(limits.time))
        return finding(profile, ended.code, ended.output.decode("utf-8", "replace"))
