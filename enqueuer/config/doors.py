"""The [[doors]] tables: where MTAs and clients ask about messages, and what they get if there is no verdict in time. Pure."""

import ipaddress
import re
from typing import Literal

import msgspec

from filterlink.config.units import Seconds

__all__ = ["MAX_DOORS", "SCAN_DOOR", "Door", "ListenAddress", "OnTrouble"]

MAX_DOORS = 64
"""Doors of a config file. One message carries their descriptors (the kernel allows 253)."""
MAX_PATH = 107
"""Bytes of a socket's path (sun_path has 108, with the NUL)."""
LONGEST_ANSWER = 250.0
"""Seconds. Postfix and Sendmail wait 300 s for the answer to the end of a message."""
_INET = re.compile(r"inet:(?:\[([0-9A-Fa-f:.]+)\]|([^:\s\[\]]+)):([0-9]{1,5})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
OnTrouble = Literal["defer", "pass", "quarantine"]


class ListenAddress(str):
    """Where a door listens, as it was written: "inet:127.0.0.1:8891", "inet:[::1]:8891" or "unix:PATH"."""

    @classmethod
    def parse(cls, text: object) -> "ListenAddress":
        """Raises ValueError with the cure."""
        if isinstance(text, str) and text.startswith("unix:"):
            if 0 < len(text[5:].encode()) <= MAX_PATH and "\0" not in text and text.isprintable():
                return cls(text)
            raise ValueError(f"the path of a socket has 1 to {MAX_PATH} bytes")
        if isinstance(text, str) and (match := _INET.fullmatch(text)) and 0 < int(match[3]) < 65536:
            try:
                ipaddress.ip_address(match[1] or match[2].replace("localhost", "127.0.0.1"))
            except ValueError:
                raise ValueError(f"{text!r}: write an IP address, or localhost") from None
            return cls(text)
        raise ValueError(f'{text!r} is no address: write "inet:127.0.0.1:8891" or "unix:PATH"')

    @property
    def path(self) -> str:
        """Return the path of a unix socket, relative to the base directory; "" for inet."""
        return self[5:] if self.startswith("unix:") else ""

    @property
    def host(self) -> str:
        """Return the IP address of an inet socket; "" for unix."""
        match = _INET.fullmatch(self)
        return "" if match is None else match[1] or match[2].replace("localhost", "127.0.0.1")

    @property
    def port(self) -> int:
        match = _INET.fullmatch(self)
        return int(match[3]) if match else 0

    @property
    def is_private(self) -> bool:
        """Return whether only programs of this machine reach it."""
        return bool(self.path) or ipaddress.ip_address(self.host).is_loopback


class Door(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[doors]] table."""

    name: str
    kind: Literal["milter", "http"]
    listen: ListenAddress
    mode: str = "0660"
    """The permissions of a unix socket, in octal digits."""
    group: str = ""
    """The group of a unix socket; "" = the engine's own."""
    answer_within: Seconds = Seconds(100)
    on_late: OnTrouble = "defer"
    """What follows if there is no outcome within answer_within."""
    on_failure: OnTrouble = "defer"
    """What follows if a filter whose own on_failure is "defer" gives no answer, or if the engine itself fails."""
    on_caught: Literal["reject", "quarantine", "discard"] = "reject"
    """What follows if a filter catches a message (its answer is ERROR)."""
    max_sessions: int = 1000
    token_file: str = ""
    """A file with the token that HTTP clients must send; "" = none is needed."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f'name = {self.name!r}: use letters, digits, ".", "_" and "-", at most 32')
        if not re.fullmatch(r"0?[0-7]{3}", self.mode):
            raise ValueError(f'mode = {self.mode!r}: write octal digits in quotes, e.g. "0660"')
        if not 0.01 <= self.answer_within <= LONGEST_ANSWER:
            raise ValueError(f'answer_within: write a duration from "10ms" to "{LONGEST_ANSWER:.0f}s": the MTA waits for 300 s')
        if not 1 <= self.max_sessions <= 100_000:
            raise ValueError(f"max_sessions = {self.max_sessions}: write a number from 1 to 100000")
        if self.token_file and self.kind != "http":
            raise ValueError("token_file: only a door of kind http has tokens")


SCAN_DOOR = "scan"
"""The name of the engine's own HTTP door, Run/scan.sock, which `enqueuer scan` uses."""
