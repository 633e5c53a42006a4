"""The policy of one revision of the configuration, compiled: rules, routes, networks, time zone. Pure."""

import functools
from collections.abc import Callable, Container
from datetime import tzinfo
from typing import NamedTuple, Protocol

import msgspec

from enqueuer.policy import routes, rules
from enqueuer.policy.facts import Facts, Networks, SessionFacts, networks_of, zone_of
from enqueuer.policy.namedlists import NamedLists
from enqueuer.queue.message.envelope import Envelope
from enqueuer.queue.message.session import Session
from filterlink.config.settings import Filter

__all__ = ["ActivePolicy"]

LINES = (b"S ", b"A ")
MAX_LINES = 1000
"""Bytes of the lines of a message whose facts are remembered for the next message."""


class _Settings(Protocol):
    @property
    def networks(self) -> tuple[str, ...]: ...

    @property
    def time_zone(self) -> str: ...


class _PolicySource(Protocol):
    @property
    def enqueuer(self) -> _Settings: ...

    @property
    def rules(self) -> tuple[rules.Rule, ...]: ...

    @property
    def routes(self) -> tuple[routes.Route, ...]: ...

    @property
    def filters(self) -> tuple[Filter, ...]: ...

    @property
    def lists(self) -> NamedLists: ...


class ActivePolicy(msgspec.Struct, frozen=True):
    """What decides about messages."""

    rules: rules.Rules
    routes: routes.Routes
    networks: Networks
    zone: tzinfo | None

    @classmethod
    def of(cls, config: _PolicySource) -> "ActivePolicy":
        """Compile a configuration, which was checked before."""
        settings = config.enqueuer
        return cls(rules.compile(config), routes.compile(config.routes), networks_of(settings.networks), zone_of(settings.time_zone))

    def facts(
        self,
        id: int,
        size: int,
        envelope: Envelope,
        header: Callable[[], bytes],
        remembered: Callable[[str], Container[str]],
        *,
        now: float,
        attempts: int = 0,
    ) -> Facts:
        """Return what rules may ask about a message. `size`: bytes without the envelope. `header`: reads the header."""
        found = facts_of(envelope)
        return Facts(
            size,
            envelope.sender,
            envelope.recipients,
            header,
            id=id,
            now=now,
            zone=self.zone,
            attempts=attempts,
            session=found.session,
            networks=self.networks,
            module_of=self.routes.module_of,
            remembered=remembered,
            done=found.done,
            route=found.route,
        )


class EnvelopeFacts(NamedTuple):
    """What the S and A lines of an envelope say."""

    session: SessionFacts
    done: frozenset[bytes]
    """Marks of actions that were carried out with another part of this message."""
    route: str


def facts_of(envelope: Envelope) -> EnvelopeFacts:
    """Read the lines about the session and the parts of a message. Most messages of a site have the same lines."""
    lines = tuple(line for line in envelope.lines if line[:2] in LINES)
    return _remembered(lines) if sum(map(len, lines)) < MAX_LINES else _read(lines)


def _read(lines: tuple[bytes, ...]) -> EnvelopeFacts:
    envelope = Envelope(lines, b"", ())
    found = Session.of(envelope)
    account = found.account.decode("utf-8", "replace")
    session = SessionFacts(found.submit_address or "PIPE", found.address, account, found.tls.partition(" ")[0], found.orcpt, found.others)
    done = frozenset(filter(None, envelope.word(b"did").split(b",")))
    return EnvelopeFacts(session, done, envelope.word(b"route").decode("ascii", "replace"))


_remembered = functools.lru_cache(maxsize=64)(_read)
