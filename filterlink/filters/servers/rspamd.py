"""The filter for rspamd: it sends each message with its envelope to a worker's /checkv2. The action decides.

rspamd closes the connection after each answer, so each message has its own. A message that rspamd cannot scan is
deferred by default, and never passes unscanned.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filterlink.filters.runtime.envelope import read_envelope
from filterlink.filters.runtime.handover import Handover
from filterlink.filters.runtime.runtime import Verdict, serve_threads
from filterlink.filters.servers.answer import ServerAnswer
from filterlink.filters.servers.exchange import USUAL, Exchange, Ping, Terms, Unscannable
from filterlink.filters.servers.rspamdwire import ActionRules, BadResult, read_result, request, verdict
from filterlink.filters.servers.service import Address, Unavailable
from filterlink.filters.servers.watch import IDLE

__all__ = ["ActionRules", "BadPassword", "RspamdFilter", "RspamdSettings", "read_password", "run"]


MESSAGES_FAULT = (400, 413, 422)
"""All other codes, such as for a wrong password, are the server's fault: no message may pass because of them."""


class BadPassword(Exception):
    """The password file cannot be used."""


class RspamdSettings(NamedTuple):
    """What to ask, and what to do with the answer."""

    rules: ActionRules = ActionRules()
    password: bytes = b""


DEFAULTS = RspamdSettings()
PING = Ping(b"GET /ping HTTP/1.0\r\n\r\n", (200,), IDLE)


def run(addresses: Sequence[Address], settings: RspamdSettings, terms: Terms, threads: int) -> int:
    """Run the helper program; return the exit code."""
    filter = RspamdFilter(addresses, settings, terms)
    filter.watch.begin()
    return serve_threads("rspamd", filter.judge, threads)


def read_password(path: str) -> bytes:
    """Read the first line. Raises BadPassword."""
    try:
        line = Path(path).read_bytes().partition(b"\n")[0].strip()
    except OSError as fault:
        raise BadPassword(f"{path}: {fault.strerror}") from None
    if not line or not line.decode("ascii", "replace").isprintable():
        raise BadPassword(f"{path}: its first line is not a password")
    return line


class RspamdFilter:
    """Scans messages with one of several rspamds. For many threads."""

    def __init__(self, addresses: Sequence[Address], settings: RspamdSettings = DEFAULTS, terms: Terms = USUAL) -> None:
        self._exchange = Exchange("rspamd", addresses, terms, half_close=False, ping=PING)
        self.watch = self._exchange.watch
        self._settings = settings

    def judge(self, path: str) -> Verdict:
        with Handover(path) as message:
            age = time.time() - message.time
            head = request(message.size, read_envelope(message.envelope()), _plain(Path(path).stem), self._settings.password)
            return self._exchange.judge(head, message, lambda answer: self._read(answer, age))

    def _read(self, answer: ServerAnswer, age: float) -> Verdict:
        if answer.code == 200:
            try:
                return verdict(read_result(answer.body), age, self._settings.rules)
            except BadResult as fault:
                raise Unavailable(str(fault)) from None
        said = f"{answer.code} {answer.text}"
        if answer.code in MESSAGES_FAULT:
            raise Unscannable(said)
        raise Unavailable(f"{said}: the password is wrong or missing: --password-file" if answer.code in (401, 403) else said)


def _plain(name: str) -> bytes:
    return "".join(char for char in name if "!" <= char <= "~").encode()
