"""What a virus scanner reports about a message, and the verdict that the filter's settings make of it. Pure."""

from typing import NamedTuple

from filterlink.filters.runtime.verdict import UNSCANNABLE, Verdict, discard, error, field, header, ok, rejected

__all__ = ["ACTIONS", "Policy", "ScannerFinding"]

ACTIONS = ("error", "discard", "header")


class ScannerFinding(NamedTuple):
    """Clean (all empty), the name of what was found, or why the scanner could not scan.

    `trouble` may be the message's fault (too large, broken, a bomb); `fault` is the scanner's own (no signatures).
    """

    name: str = ""
    trouble: str = ""
    fault: str = ""


class Policy(NamedTuple):
    """The reactions: `action` to a finding, `unscannable` to trouble. A fault always defers the message."""

    action: str = "error"
    unscannable: str = "defer"

    def verdict(self, found: ScannerFinding, scanner: str) -> Verdict:
        if found.fault:
            return rejected(f"{scanner} does not work properly: {found.fault}")
        if found.trouble:
            return UNSCANNABLE[self.unscannable](f"{scanner} cannot scan this message: {found.trouble}")
        if not found.name:
            return ok()
        if self.action == "discard":
            return discard()
        return header((field("X-Virus", found.name),)) if self.action == "header" else error(found.name)
