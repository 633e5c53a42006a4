"""`enqueuer filter spamd` and `enqueuer filter rspamd`: the filters that ask a spam scanner."""

from collections.abc import Iterable
from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import fail, help
from filterlink.filters.service import Address

__all__ = ["Hosts", "Sockets", "Threads", "Timeout", "Unscannable", "Wait", "add_to", "addresses", "one_of"]

Sockets = Annotated[list[str] | None, typer.Option("--socket", metavar="PATH", help="A server's Unix socket; may be given several times.")]
Hosts = Annotated[
    list[str] | None, typer.Option("--host", metavar="HOST[:PORT]", help="A server's TCP address. The first of all that answers judges.")
]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds for which messages wait in an outage; then REJECTED.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds for one message, less than the filter's timeout in enqueuer.toml.")
]
MaxSize = Annotated[str, typer.Option("--max-size", metavar="SIZE", help='Larger messages pass without being judged ("10M"); 0: none.')]
Unscannable = Annotated[
    str, typer.Option("--unscannable", metavar="hold|error|pass", help="What becomes of a message that the server cannot judge.")
]
Threads = Annotated[int, typer.Option("--threads", min=1, max=256, help="Messages judged at once.")]
SPAMD_EXAMPLES = ("enqueuer filter spamd --socket /run/spamd.sock", "enqueuer filter spamd --host mx1 --host mx2:783 --reject-above 15")
RSPAMD_EXAMPLES = (
    "enqueuer filter rspamd --host 127.0.0.1",
    "enqueuer filter rspamd --host scan1 --host scan2 --password-file /etc/rspamd.pw",
)
AWAY = "A server that is away makes messages wait, then be held. See docs/filters.md."


def add_to(app: typer.Typer) -> None:
    app.command("spamd", **help("Have SpamAssassin's daemon judge messages.", *SPAMD_EXAMPLES, text=AWAY))(_spamd)
    app.command("rspamd", **help("Have rspamd judge messages.", *RSPAMD_EXAMPLES, text=AWAY))(_rspamd)


def addresses(sockets: list[str] | None, hosts: list[str] | None, port: int) -> list[Address]:
    from filterlink.filters import service

    try:
        found = service.parse(sockets or [], hosts or [], port)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None
    if not found:
        raise typer.BadParameter("no server: name one with --socket or --host")
    return found


def _size(text: str) -> int:
    from filterlink.units import Size

    try:
        return Size.parse(text)
    except ValueError as fault:
        raise typer.BadParameter(str(fault), param_hint="--max-size") from None


def one_of(option: str, value: str, values: Iterable[str]) -> str:
    if value not in values:
        raise typer.BadParameter(f"{value} is none of {', '.join(values)}", param_hint=option)
    return value


def _spamd(
    sockets: Sockets = None,
    hosts: Hosts = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the hosts without one.")] = 783,
    add: Annotated[
        str, typer.Option("--add", metavar="headers|symbols|nothing", help="SpamAssassin's own X-Spam fields; ours, which cost less; none.")
    ] = "headers",
    reject_above: Annotated[
        float | None, typer.Option("--reject-above", metavar="SCORE", help="Answer ERROR from this score on; else spam is only marked.")
    ] = None,
    user: Annotated[str, typer.Option("--user", help="Whose preferences spamd uses.")] = "",
    user_from_recipient: Annotated[
        bool, typer.Option("--user-from-recipient", help="The recipient's, where there is one alone; else those of --user.")
    ] = False,
    strip_domain: Annotated[bool, typer.Option("--strip-domain", help="Without the recipient's @domain.")] = False,
    unscannable: Unscannable = "hold",
    max_size: MaxSize = "0",
    wait: Wait = 60,
    timeout: Timeout = 110,
    threads: Threads = 8,
) -> int:
    from filterlink.filters import spamd

    add, unscannable = one_of("--add", add, spamd.METHODS), one_of("--unscannable", unscannable, spamd.UNSCANNABLE)
    settings = spamd.Settings(add, reject_above, user, user_from_recipient, strip_domain, unscannable, _size(max_size), wait, timeout)
    return spamd.run(addresses(sockets, hosts, port), settings, threads)


def _rspamd(
    sockets: Sockets = None,
    hosts: Hosts = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the hosts without one.")] = 11333,
    password_file: Annotated[
        str | None, typer.Option("--password-file", metavar="FILE", help="Its first line is rspamd's password.")
    ] = None,
    result_for_all: Annotated[
        bool, typer.Option("--result-for-all", help="Add X-Spamd-Result to messages without any action as well.")
    ] = False,
    greylist: Annotated[
        float, typer.Option("--greylist", min=0, metavar="SECONDS", help="Keep what rspamd would greylist until it is so old.")
    ] = 300,
    unscannable: Unscannable = "hold",
    max_size: MaxSize = "0",
    wait: Wait = 60,
    timeout: Timeout = 110,
    threads: Threads = 16,
) -> int:
    from filterlink.filters import rspamd

    try:
        password = rspamd.read_password(password_file) if password_file else b""
    except rspamd.BadPassword as fault:
        fail(str(fault), exits.CONFIG)
    unscannable = one_of("--unscannable", unscannable, rspamd.UNSCANNABLE)
    settings = rspamd.Settings(rspamd.Rules(result_for_all, greylist), password, unscannable, _size(max_size), wait, timeout)
    return rspamd.run(addresses(sockets, hosts, port), settings, threads)
