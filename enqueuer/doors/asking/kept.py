"""Keep the answers of filters about deferred messages. The MTA tries again, and the second try is quick. Pure.

Only answers are kept, and no outcome: the rules decide again. The key of an answer has the filter, the session and the content of the
whole message. A new revision of the configuration drops all answers.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property

from enqueuer.doors.asking.mail import AskedMail
from filterlink.wire.frames import AnswerKind, FilterAnswer

__all__ = ["KEPT_FOR", "KeptAnswers", "KeptOfMessage", "key_of"]

KEPT_FOR = 600.0
"""Seconds. MTAs try again after 5 to 15 minutes. Not longer, because filters get new signatures."""
MAX_KEPT = 2000
MAX_BYTES = 8 << 20
"""Answers and bytes that are kept. With more, the oldest ones are dropped."""
KINDS = (AnswerKind.OK, AnswerKind.ERROR, AnswerKind.DISCARD)
"""Answers about the message. All other answers are about the filter's state."""


def key_of(mail: AskedMail, content: bytes) -> bytes:
    """Return a key that stays the same when an MTA offers a message again. `content`: the SHA-256 of the message."""
    client = mail.client
    parts = (mail.sender, *mail.recipients, client.address.encode(), client.name, client.helo, client.account, mail.tls, mail.esmtp)
    parts += tuple(each for pair in mail.originals for each in pair)
    return hashlib.sha256(b"".join(b"%d:%s," % (len(part), part) for part in (content, *parts))).digest()


class KeptAnswers:
    """The answers by filter and message. Times are in seconds of any clock that only moves forward."""

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, str], tuple[float, FilterAnswer]] = {}  # the oldest first
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._kept)

    def keep(self, now: float, key: bytes, filter: str, answer: FilterAnswer) -> None:
        if answer.kind not in KINDS:
            return
        self._drop((key, filter))
        self._kept[key, filter] = now, answer
        self._bytes += answer.size
        while self._kept and (
            len(self._kept) > MAX_KEPT or self._bytes > MAX_BYTES or next(iter(self._kept.values()))[0] <= now - KEPT_FOR
        ):
            self._drop(next(iter(self._kept)))

    def find(self, now: float, key: bytes, filter: str) -> FilterAnswer | None:
        """Return the answer of a filter about a message, if it is not too old."""
        kept = self._kept.get((key, filter))
        return kept[1] if kept is not None and kept[0] > now - KEPT_FOR else None

    def clear(self) -> None:
        """Drop all answers: the configuration has changed."""
        self._kept.clear()
        self._bytes = 0

    def _drop(self, key: tuple[bytes, str]) -> None:
        if (kept := self._kept.pop(key, None)) is not None:
            self._bytes -= kept[1].size


class KeptOfMessage:
    """The answers that were kept about one message. `content`: returns the SHA-256 of the message, and may raise OSError."""

    def __init__(self, kept: KeptAnswers, mail: AskedMail, content: Callable[[], bytes]) -> None:
        self._kept = kept
        self._mail = mail
        self._content = content
        self._used: set[str] = set()
        """Filters whose answers were found: they do not count as new ones."""

    def find(self, now: float, filter: str) -> FilterAnswer | None:
        """Return an answer that was kept from an earlier try."""
        if not self._kept or not self._key:
            return None
        if found := self._kept.find(now, self._key, filter):
            self._used.add(filter)
        return found

    def keep(self, now: float, answers: Mapping[str, FilterAnswer]) -> None:
        """Keep the new answers for the next try."""
        for filter, answer in answers.items() if self._key else ():
            if filter not in self._used:
                self._kept.keep(now, self._key, filter, answer)

    @cached_property
    def _key(self) -> bytes:
        """The part of the message that stays the same in the next try; b"" if the file cannot be read."""
        try:
            return key_of(self._mail, self._content())
        except OSError:
            return b""
