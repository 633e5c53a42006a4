"""The policy of one revision of the configuration, compiled: rules, routes, networks, time zone. Pure."""

from collections.abc import Callable, Container
from datetime import tzinfo
from typing import Protocol

import msgspec

from enqueuer.policy import routes, rules
from enqueuer.policy.facts import Facts, Networks, SessionFacts, networks_of, zone_of
from enqueuer.policy.namedlists import NamedLists
from enqueuer.queue.message.envelope import Envelope
from enqueuer.queue.message.session import Session
from filterlink.config.settings import Filter

__all__ = ["ActivePolicy"]


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
        return Facts(
            size,
            envelope.sender,
            envelope.recipients,
            header,
            id=id,
            now=now,
            zone=self.zone,
            attempts=attempts,
            session=session_of(envelope),
            networks=self.networks,
            module_of=self.routes.module_of,
            remembered=remembered,
            done=done_of(envelope),
            route=envelope.word(b"route").decode("ascii", "replace"),
        )


def done_of(envelope: Envelope) -> frozenset[bytes]:
    """Return the marks of actions that were carried out with another part of this message."""
    return frozenset(filter(None, envelope.word(b"did").split(b",")))


def session_of(envelope: Envelope) -> SessionFacts:
    """Return what the envelope lines say about the session."""
    found = Session.of(envelope)
    account = found.account.decode("utf-8", "replace")
    return SessionFacts(found.submit_address or "PIPE", found.address, account, found.tls.partition(" ")[0], found.orcpt, found.others)
