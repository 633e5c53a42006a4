"""What a virus scanner says of a message, and the verdict that follows from it by the filter's settings. Pure."""

from typing import NamedTuple

from filterlink.filters.runtime.verdict import UNSCANNABLE, Verdict, discard, error, field, header, ok, rejected

__all__ = ["ACTIONS", "Policy", "ScannerFinding"]

ACTIONS = ("error", "discard", "header")


class ScannerFinding(NamedTuple):
    """Clean (all empty), the name of what was found, or why the scanner could not tell.

    `trouble` may be the message's doing (too large, broken, a bomb); `fault` is the scanner's own (no signatures).
    """

    name: str = ""
    trouble: str = ""
    fault: str = ""


class Policy(NamedTuple):
    """What follows: `action` for what was found, `unscannable` for trouble. A fault always holds the message."""

    action: str = "error"
    unscannable: str = "defer"

    def verdict(self, found: ScannerFinding, scanner: str) -> Verdict:
        if found.fault:
            return rejected(f"{scanner} is not in order: {found.fault}")
        if found.trouble:
            return UNSCANNABLE[self.unscannable](f"{scanner} cannot scan this message: {found.trouble}")
        if not found.name:
            return ok()
        if self.action == "discard":
            return discard()
        return header((field("X-Virus", found.name),)) if self.action == "header" else error(found.name)
