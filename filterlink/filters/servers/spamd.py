"""The filter for SpamAssassin's daemon: it sends each message to spamd, and adds its X-Spam fields to the message.

SpamAssassin tags and does not refuse: a message is refused only with `reject_above`. A message that spamd cannot scan
is deferred by default, and never passes unscanned.

If the client is known, spamd gets a Received field with it on top of the message, so that its network tests see that client. Only
X-Spam fields of its answer are used, so the field does not come back.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filterlink.filters.runtime.envelope import read_envelope
from filterlink.filters.runtime.handover import Handover
from filterlink.filters.runtime.runtime import Verdict, error, header, ok, serve_threads
from filterlink.filters.servers.answer import BadAnswer, ServerAnswer
from filterlink.filters.servers.exchange import USUAL, Exchange, Ping, Terms, Unscannable
from filterlink.filters.servers.service import Address, Unavailable
from filterlink.filters.servers.spamc import METHODS, TEMPORARY, SpamdFinding, finding, own_fields, received, request, spam_fields
from filterlink.filters.servers.watch import QUIET

__all__ = ["METHODS", "SpamdFilter", "SpamdSettings", "run"]


class SpamdSettings(NamedTuple):
    """What to ask, and what to do with the answer."""

    add: str = "headers"
    """A key of METHODS."""
    reject_above: float | None = None
    user: str = ""
    user_from_recipient: bool = False
    """Whose preferences to use: those of a single recipient, else those of `user`."""
    strip_domain: bool = False


DEFAULTS = SpamdSettings()
PING = Ping(b"PING SPAMC/1.2\r\n\r\n", (0,), QUIET)


def run(addresses: Sequence[Address], settings: SpamdSettings, terms: Terms, threads: int) -> int:
    """Run the helper program; return the exit code."""
    filter = SpamdFilter(addresses, settings, terms)
    filter.watch.begin()
    return serve_threads("spamd", filter.judge, threads)


class SpamdFilter:
    """Scans messages with one of several spamds. For many threads."""

    def __init__(self, addresses: Sequence[Address], settings: SpamdSettings = DEFAULTS, terms: Terms = USUAL) -> None:
        self._exchange = Exchange("spamd", addresses, terms, half_close=True, ping=PING)
        self.watch = self._exchange.watch
        self._settings = settings

    def judge(self, path: str) -> Verdict:
        with Handover(path) as message:
            envelope = read_envelope(message.envelope())
            message.put_before(received(envelope, os.fsencode(Path(path).stem), message.time))
            head = request(METHODS[self._settings.add], message.size, self._user(envelope.recipients))
            return self._exchange.judge(head, message, self._read)

    def _user(self, recipients: Sequence[bytes]) -> bytes:
        if self._settings.user_from_recipient and len(recipients) == 1:
            return recipients[0].rpartition(b"@")[0] or recipients[0] if self._settings.strip_domain else recipients[0]
        return self._settings.user.encode()

    def _read(self, answer: ServerAnswer) -> Verdict:
        if answer.code in TEMPORARY:
            raise Unavailable(f"{answer.code} {answer.text}")
        if answer.code:
            raise Unscannable(f"{answer.code} {answer.text}")
        try:
            return self._verdict(finding(answer))
        except BadAnswer as fault:
            raise Unavailable(str(fault)) from None

    def _verdict(self, found: SpamdFinding) -> Verdict:
        least = self._settings.reject_above
        if least is not None and found.score >= least:
            return error(f"spam: score {found.score:.1f} of {found.required:.1f}")
        fields = self._fields(found)
        return header(fields) if fields else ok()

    def _fields(self, found: SpamdFinding) -> tuple[str, ...]:
        if self._settings.add == "headers":
            return spam_fields(found.body)
        return own_fields(found) if self._settings.add == "symbols" else ()
