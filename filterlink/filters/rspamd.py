"""The filter for rspamd: each message goes to a worker's /checkv2, with its envelope, and the action decides.

rspamd closes the connection after each answer, so each message has one of its own. A message that rspamd cannot judge is
kept and comes again later, never passed unseen.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filterlink.filters.answer import Answer
from filterlink.filters.envelope import read_envelope
from filterlink.filters.exchange import UNSCANNABLE, Exchange, Unscannable
from filterlink.filters.handover import Handover
from filterlink.filters.rspamdwire import BadResult, Rules, read_result, request, verdict
from filterlink.filters.runtime import Verdict, ok, rejected, serve_threads
from filterlink.filters.service import Address, Away, Unavailable

__all__ = ["UNSCANNABLE", "BadPassword", "RspamdFilter", "Rules", "Settings", "read_password", "run"]


MESSAGES_FAULT = (400, 413, 422)
"""All others, such as a wrong password, are the server's: no message may pass for them."""


class BadPassword(Exception):
    """The password file cannot be used."""


class Settings(NamedTuple):
    """What is asked, and what is done with the answer."""

    rules: Rules = Rules()
    password: bytes = b""
    unscannable: str = "hold"
    max_size: int = 0
    """Bytes; a larger message passes without being judged. 0: each is judged."""
    wait: float = 60.0
    timeout: float = 110.0


def run(addresses: Sequence[Address], settings: Settings, threads: int) -> int:
    """Be the helper program. Return the exit code."""
    return serve_threads("rspamd", RspamdFilter(addresses, settings).judge, threads)


def read_password(path: str) -> bytes:
    """Read the first line. Raises BadPassword."""
    try:
        line = Path(path).read_bytes().partition(b"\n")[0].strip()
    except OSError as fault:
        raise BadPassword(f"{path}: {fault.strerror}") from None
    if not line or not line.decode("ascii", "replace").isprintable():
        raise BadPassword(f"{path}: its first line is no password")
    return line


class RspamdFilter:
    """Judge messages by one of several rspamds. For many threads."""

    def __init__(self, addresses: Sequence[Address], settings: Settings) -> None:
        self._exchange = Exchange("rspamd", addresses, settings.wait, settings.timeout, half_close=False)
        self._settings = settings

    def judge(self, path: str) -> Verdict:
        with Handover(path) as message:
            if 0 < self._settings.max_size < message.size:
                return ok()
            age = time.time() - message.time
            head = request(message.size, read_envelope(message.envelope()), _plain(Path(path).stem), self._settings.password)
            try:
                return self._exchange.ask(head, message.pieces, lambda answer: self._read(answer, age))
            except Away as fault:
                return rejected(f"no rspamd answers: {fault}")
            except Unscannable as fault:
                return UNSCANNABLE[self._settings.unscannable](f"rspamd cannot judge this message: {fault}")

    def _read(self, answer: Answer, age: float) -> Verdict:
        if answer.code == 200:
            try:
                return verdict(read_result(answer.body), age, self._settings.rules)
            except BadResult as fault:
                raise Unavailable(str(fault)) from None
        said = f"{answer.code} {answer.text}"
        if answer.code in MESSAGES_FAULT:
            raise Unscannable(said)
        raise Unavailable(said)


def _plain(name: str) -> bytes:
    return "".join(char for char in name if "!" <= char <= "~").encode()
