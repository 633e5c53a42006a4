"""`enqueuer filter spamd` and `enqueuer filter rspamd`: the filters that ask a spam scanner."""

from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import duration, fail, help, written
from enqueuer.cli._servers import ServerOptions, asks, one_of

__all__ = ["add_to"]

SPAMD_EXAMPLES = ("enqueuer filter spamd --socket /run/spamd.sock", "enqueuer filter spamd --host mx1 --host mx2:783 --reject-above 15")
RSPAMD_EXAMPLES = (
    "enqueuer filter rspamd --host 127.0.0.1",
    "enqueuer filter rspamd --host scan1 --host scan2 --password-file /etc/rspamd.pw",
)
AWAY = "When no server answers, messages wait and are then deferred. docs/filters.md describes all options."


def add_to(app: typer.Typer) -> None:
    app.command("spamd", **help("Scan messages with SpamAssassin's daemon.", *SPAMD_EXAMPLES, text=AWAY))(_spamd)
    app.command("rspamd", **help("Scan messages with rspamd.", *RSPAMD_EXAMPLES, text=AWAY))(_rspamd)


@asks(port=783, threads=8)
def _spamd(
    server: ServerOptions,
    add: Annotated[
        str,
        typer.Option(
            "--add",
            metavar="headers|symbols|nothing",
            help="Add the X-Spam fields of SpamAssassin; shorter fields, which are faster; or none.",
        ),
    ] = "headers",
    reject_above: Annotated[
        float | None,
        typer.Option("--reject-above", metavar="SCORE", help="Answer ERROR if the score is at least this. Default: only mark spam."),
    ] = None,
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="Use the preferences of this user.")] = "",
    user_from_recipient: Annotated[
        bool, typer.Option("--user-from-recipient", help="Use the preferences of the recipient if there is only one, else those of --user.")
    ] = False,
    strip_domain: Annotated[
        bool, typer.Option("--strip-domain", help="With --user-from-recipient: use only the part of the address before the @.")
    ] = False,
) -> int:
    from filterlink.filters.servers import spamd

    settings = spamd.SpamdSettings(one_of("--add", add, spamd.METHODS), reject_above, user, user_from_recipient, strip_domain)
    return spamd.run(server.addresses, settings, server.terms, server.threads)


@asks(port=11333, threads=16)
def _rspamd(
    server: ServerOptions,
    password_file: Annotated[
        str | None, typer.Option("--password-file", metavar="FILE", help="Read the password of rspamd from the first line of FILE.")
    ] = None,
    result_for_all: Annotated[
        bool, typer.Option("--result-for-all", help="Add X-Spamd-Result also to messages for which rspamd asks no action.")
    ] = False,
    greylist: Annotated[
        float,
        typer.Option(
            "--greylist", parser=duration(), metavar="DURATION", help="Defer a message that rspamd wants to greylist until it is this old."
        ),
    ] = written("5m"),
    unknown_action: Annotated[
        str,
        typer.Option(
            "--unknown-action",
            metavar="defer|error|pass",
            help="What to do if rspamd asks for an unknown action: defer the message, stop it, or let it pass.",
        ),
    ] = "defer",
) -> int:
    from filterlink.filters.runtime import verdict
    from filterlink.filters.servers import rspamd

    try:
        password = rspamd.read_password(password_file) if password_file else b""
    except rspamd.BadPassword as fault:
        fail(str(fault), exits.CONFIG)
    unknown = one_of("--unknown-action", unknown_action, verdict.UNSCANNABLE)
    settings = rspamd.RspamdSettings(rspamd.ActionRules(result_for_all, greylist, unknown), password)
    return rspamd.run(server.addresses, settings, server.terms, server.threads)
