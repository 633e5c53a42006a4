"""What conditions and macros may ask about a message. Each fact is made when a rule asks for it, once. Pure.

A processor, a door or `rules test` gives the facts as arguments. A function reads the header when the first condition needs it. What a
worker has to find out (files, digest) is the answer of the hidden filter #facts.
"""

import ipaddress
import re
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from datetime import datetime, tzinfo
from functools import cached_property
from zoneinfo import ZoneInfo

import msgspec

from enqueuer.policy.pictures import fold
from enqueuer.queue.message.headerlines import HeaderLines, display_name, is_signed, text_of, words_of

__all__ = ["Facts", "Networks", "SessionFacts", "folded_lines", "folded_values", "networks_of", "zone_of"]

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
BULK = (b"bulk", b"junk", b"list")
_ROBOT = re.compile(rb"(?:mailer-daemon|owner-[^@]*+|[^@]*?(?:-request|-owner|-bounces))@", re.IGNORECASE)


class SessionFacts(msgspec.Struct, frozen=True):
    """What is known of the session in which the message came."""

    submit_address: str = "PIPE"
    """SMTP [192.0.2.4], MILTER [192.0.2.4], HTTP [192.0.2.4], PIPE, DSN, SRULE."""
    client: str = ""
    """The IP address of the client; "" = unknown."""
    account: str = ""
    """The account with which the client logged in."""
    tls: str = ""
    """The version of TLS, "" = not encrypted."""
    orcpt: Mapping[bytes, bytes] = {}
    """ESMTP ORCPT of recipients: the address to which the sender had written."""
    others: tuple[bytes, ...] = ()
    """The other recipients of the message of which this is a part."""


UNKNOWN = SessionFacts()


class Facts:
    """The facts of one message."""

    def __init__(
        self,
        size: int,
        sender: bytes,
        recipients: Sequence[bytes],
        header: Callable[[], bytes] = lambda: b"",
        *,
        id: int = 0,
        now: float = 0.0,
        zone: tzinfo | None = None,
        attempts: int = 0,
        session: SessionFacts = UNKNOWN,
        networks: Networks = (),
        module_of: Callable[[bytes], str] = lambda _recipient: "",
        remembered: Callable[[str], Container[str]] = lambda _name: (),
        done: Collection[bytes] = (),
        route: str = "",
    ) -> None:
        """`size`: bytes of the message without its envelope. `header`: reads the header, without the empty line. `now`: seconds since 1970.

        `remembered`: reads a list of State/lists/. `done`: marks of actions that were carried out for the message of which this is a rest.
        `route`: MODULE(queue) of a Route to before the action that kept the message.
        """
        self.size = size
        self.sender = sender
        self.recipients = tuple(recipients)
        self.id = id
        self.now = now
        self.zone = zone
        self.attempts = attempts
        self.session = session
        self.module_of = module_of
        self.remembered = remembered
        self.done = done
        self.route = route
        self._networks = networks
        self._read = header

    @cached_property
    def header(self) -> bytes:
        return self._read()

    @cached_property
    def all_recipients(self) -> Sequence[bytes]:
        """Return the recipients, with those of the other parts of the message."""
        return (*self.recipients, *self.session.others)

    @cached_property
    def lines(self) -> HeaderLines:
        return HeaderLines(self.header)

    def values(self, name: str) -> Sequence[str]:
        """Return the folded values of the fields of this name (lower case)."""
        known = self._values.get(name)
        if known is None:
            known = self._values[name] = folded_values(self.lines, name)
        return known

    @cached_property
    def _values(self) -> dict[str, Sequence[str]]:
        return {}

    @cached_property
    def whole_lines(self) -> Sequence[str]:
        return folded_lines(self.lines)

    def addresses(self, *names: str) -> Sequence[str]:
        """Return the folded addresses in fields of these names."""
        known = self._addresses.get(names)
        if known is None:
            known = self._addresses[names] = tuple(map(fold, self.lines.addresses(*names)))
        return known

    @cached_property
    def _addresses(self) -> dict[tuple[str, ...], tuple[str, ...]]:
        return {}

    @cached_property
    def return_path(self) -> Sequence[str]:
        return (fold(text_of(self.sender)),)

    @cached_property
    def subject(self) -> Sequence[str]:
        return tuple(fold(words_of(value)) for value in self.lines.values("subject"))

    @cached_property
    def from_name(self) -> Sequence[str]:
        return tuple(fold(name) for value in self.lines.values("from") if (name := display_name(value)))

    @cached_property
    def message_id(self) -> Sequence[str]:
        """Return the values without their angle brackets, and with them: pictures of both forms are in use."""
        values = [fold(text_of(value)) for value in self.lines.values("message-id")]
        return tuple(form for value in values for form in dict.fromkeys((value, value.removeprefix("<").removesuffix(">"))))

    @cached_property
    def human(self) -> bool:
        """Return whether no field says that a program or a list sent the message, and it has a sender."""
        if not self.sender or any(value.lower().startswith(BULK) for value in self.lines.values("precedence")):
            return False
        return not any(map(_of_a_program, self.lines.names()))

    @cached_property
    def answerable(self) -> bool:
        """Return whether the sender may get an automatic reply (RFC 3834): a person, not through a list, who does not refuse it."""
        suppressed = b",".join(self.lines.values("x-auto-response-suppress")).lower()
        if not self.human or any(word in suppressed for word in (b"all", b"autoreply")):
            return False
        return not any(name.startswith("list-") for name in self.lines.names()) and not _ROBOT.match(self.sender)

    def made_by(self, rule: str) -> bool:
        """Return whether a letter of this rule is among the messages from which this one was made."""
        made = self.session.submit_address.startswith("SRULE")
        return made and rule.encode("ascii", "replace") in self.lines.values("x-enqueuer-trace")

    @cached_property
    def source(self) -> Sequence[str]:
        words = [word for word, holds in (("trusted", self.trusted), ("authenticated", bool(self.session.account))) if holds]
        return tuple(words) or ("",)

    @cached_property
    def trusted(self) -> bool:
        """Return whether the client is in `networks`."""
        address = self.client
        return address is not None and any(address in network for network in self._networks)

    @property
    def reportable(self) -> bool:
        """Return whether the sender may get a report: the sender of others' mail may be forged."""
        return bool(self.sender) and (self.trusted or bool(self.session.account))

    @cached_property
    def client(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        try:
            return ipaddress.ip_address(self.session.client)
        except ValueError:
            return None

    @cached_property
    def submit_address(self) -> Sequence[str]:
        return (fold(self.session.submit_address),)

    @cached_property
    def security(self) -> Sequence[str]:
        """Return all words together, then each."""
        words = [*(["encrypted", fold(self.session.tls)] if self.session.tls else ()), *(["signed"] if is_signed(self.lines) else ())]
        return tuple(dict.fromkeys((" ".join(words), *words)))

    @cached_property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.now, self.zone)

    def address_of(self, recipient: bytes) -> str:
        """Return what conditions about recipients compare: the address, or the ORCPT that a known sender gave.

        A stranger could pass by the rules about a recipient with an ORCPT of another one.
        """
        known = self.session.orcpt and (self.trusted or self.session.account)
        return fold(text_of(self.session.orcpt.get(recipient, recipient) if known else recipient))


def folded_values(lines: HeaderLines, name: str) -> Sequence[str]:
    """Return the values of the fields of this name (lower case), as they are compared."""
    return [fold(text_of(value)) for value in lines.values(name)]


def folded_lines(lines: HeaderLines) -> Sequence[str]:
    """Return `name: value` of all fields, as they are compared."""
    return [f"{name}: {value}" for name in lines.names() for value in folded_values(lines, name)]


def _of_a_program(name: str) -> bool:
    """Return whether a field of this name (lower case) says that a program or a list sent the message."""
    if name.startswith(("x-list", "x-mirror", "auto-")) or name == "x-mailing-list":
        return True
    return name.startswith("x-auto") and name != "x-auto-response-suppress"


def networks_of(texts: Sequence[str]) -> Networks:
    """Read networks and addresses. Raises ValueError with the cure."""
    found = list[ipaddress.IPv4Network | ipaddress.IPv6Network]()
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            raise ValueError(f'networks: "{text}" is neither an address nor a network: write "10.0.0.0/8" or "192.0.2.4"') from None
    return tuple(found)


def zone_of(name: str) -> tzinfo | None:
    """Return a time zone by its name; None for "", that of the machine. Raises ValueError with the cure."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # also ZoneInfoNotFoundError
        raise ValueError(f'time_zone = "{name}" is unknown here: write a name as "Europe/Berlin", and install tzdata') from None
