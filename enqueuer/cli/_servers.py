"""The options of filters that ask a server. `asks` adds them to a command: the servers, and the time-outs."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from enqueuer.cli._common import duration, written

if TYPE_CHECKING:
    from filterlink.filters.servers.exchange import Terms
    from filterlink.filters.servers.service import Address

__all__ = [
    "TIMEOUT",
    "WAIT",
    "Hosts",
    "Port",
    "ServerOptions",
    "Sockets",
    "Threads",
    "Timeout",
    "Unscannable",
    "Wait",
    "addresses",
    "asks",
    "one_of",
    "size",
]

Sockets = Annotated[list[str] | None, typer.Option("--socket", metavar="PATH", help="The Unix socket of a server; repeat it for several.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="HOST[:PORT]",
        help="The TCP address of a server; repeat it for several. The first one that answers scans the message.",
    ),
]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, metavar="N", help="The port of each HOST without PORT.")]
Wait = Annotated[
    float,
    typer.Option(
        "--wait", parser=duration(), metavar="DURATION", help="Wait this long for a server that is unavailable, then answer REJECTED."
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        parser=duration(1),
        metavar="DURATION",
        help="The longest time for one message. Make it shorter than the timeout of the filter in enqueuer.toml.",
    ),
]
WAIT = written("60s")
TIMEOUT = written("110s")
Unscannable = Annotated[
    str,
    typer.Option(
        "--unscannable",
        metavar="defer|error|pass",
        help="What to do with a message that cannot be scanned: defer it, stop it, or let it pass.",
    ),
]
MaxSize = Annotated[str, typer.Option("--max-size", metavar="SIZE", help='Let larger messages pass unscanned, e.g. "10M"; 0: scan all.')]
Threads = Annotated[int, typer.Option("--threads", min=1, max=256, metavar="N", help="Scan this many messages at once.")]


class ServerOptions(NamedTuple):
    """The values of the options."""

    addresses: "list[Address]"
    terms: "Terms"
    threads: int


def asks(port: int, threads: int) -> Callable[[Callable[..., int]], Callable[..., int]]:
    "Give a command these options after its own. It takes what they say as its first parameter, a ServerOptions."

    def server(
        sockets: Sockets = None,
        hosts: Hosts = None,
        port: Port = port,
        wait: Wait = WAIT,
        timeout: Timeout = TIMEOUT,
        unscannable: Unscannable = "defer",
        max_size: MaxSize = "0",
        threads: Threads = threads,
    ) -> ServerOptions:
        from filterlink.filters.runtime.verdict import UNSCANNABLE
        from filterlink.filters.servers.exchange import Terms

        terms = Terms(wait, timeout, one_of("--unscannable", unscannable, UNSCANNABLE), size("--max-size", max_size))
        return ServerOptions(addresses(sockets, hosts, port), terms, threads)

    return functools.partial(_joined, server)


def _joined(server: Callable[..., ServerOptions], command: Callable[..., int]) -> Callable[..., int]:
    """Return the command with the parameters of both functions; typer reads them from the signature."""
    own = list(inspect.signature(command).parameters.values())[1:]
    shared = inspect.signature(server).parameters

    def run(**values: Any) -> int:
        return command(server(**{name: values.pop(name) for name in shared}), **values)

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *shared.values())]
    run.__dict__["__signature__"] = inspect.Signature(parameters, return_annotation=int)
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def addresses(sockets: list[str] | None, hosts: list[str] | None, port: int) -> "list[Address]":
    """Return the addresses of the servers. Raises BadParameter."""
    from filterlink.filters.runtime import check
    from filterlink.filters.servers import service

    check.doubt_sockets(sockets or [])
    try:
        found = service.parse(sockets or [], hosts or [], port)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None
    if not found:
        raise typer.BadParameter("no server: name one with --socket or --host")
    return found


def one_of(option: str, value: str, values: Iterable[str]) -> str:
    """Return the value if it is one of `values`. Raises BadParameter."""
    if value not in values:
        raise typer.BadParameter(f"{value} is not one of {', '.join(values)}", param_hint=option)
    return value


def size(option: str, text: str) -> int:
    """Return the bytes that a size means. Raises BadParameter."""
    from filterlink.config.units import Size

    try:
        return Size.parse(text)
    except ValueError as fault:
        raise typer.BadParameter(str(fault), param_hint=option) from None
