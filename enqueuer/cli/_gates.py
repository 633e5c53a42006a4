"""`enqueuer filter icap` and `enqueuer filter milter`: the filters that ask an ICAP server or a milter."""

import re
from typing import Annotated

import typer

from enqueuer.cli import _scanners
from enqueuer.cli._common import help
from enqueuer.cli._servers import TIMEOUT, WAIT, Hosts, Port, ServerOptions, Threads, Timeout, Unscannable, Wait, addresses, asks, one_of

__all__ = ["add_to"]

ICAP = (
    "enqueuer filter icap --host 127.0.0.1 --service avscan",
    "enqueuer filter icap --host scan1 --host scan2:1345 --service virus_scan --action header",
)
MILTER = (
    "enqueuer filter milter --socket /run/opendkim/opendkim.sock",
    "enqueuer filter milter --host mx1:8891 --host mx2:8891 --changes error",
)
MILTER_TEXT = "The milter can add header fields. It cannot change anything else: see --changes. docs/filters.md describes all options."


def add_to(app: typer.Typer) -> None:
    app.command("milter", **help("Scan messages with a milter, as an MTA does.", *MILTER, text=MILTER_TEXT))(_milter)
    app.command("icap", **help("Scan messages with an ICAP server (RESPMOD).", *ICAP, text=_scanners.TEXT))(_icap)


def _icap(
    hosts: Hosts = None,
    port: Port = 1344,
    service: Annotated[str, typer.Option("--service", metavar="NAME", help="The service on the server: NAME in icap://host/NAME.")] = "",
    action: _scanners.Action = "error",
    unscannable: Unscannable = "defer",
    wait: Wait = WAIT,
    timeout: Timeout = TIMEOUT,
    threads: Threads = 16,
) -> int:
    from filterlink.filters.servers import icap

    if not re.fullmatch(r"[!-~]+", service):
        raise typer.BadParameter("name the service, as in --service avscan")
    settings = icap.IcapSettings(service.lstrip("/"), _scanners.policy(action, unscannable), wait, timeout)
    return icap.run(addresses(None, hosts, port), settings, threads)


@asks(port=8891, threads=16)
def _milter(
    server: ServerOptions,
    changes: Annotated[
        str,
        typer.Option(
            "--changes",
            metavar="ignore|error",
            help="What to do if the milter wants to change the message: ignore that, or stop the message.",
        ),
    ] = "ignore",
    quarantine: Annotated[
        str,
        typer.Option(
            "--quarantine", metavar="error|ignore", help="What to do if the milter wants quarantine: stop the message, or ignore that."
        ),
    ] = "error",
) -> int:
    from filterlink.filters.servers import milter

    settings = milter.MilterSettings(one_of("--changes", changes, milter.CHOICES), one_of("--quarantine", quarantine, milter.CHOICES))
    return milter.run(server.addresses, settings, server.terms, server.threads)
