"""`enqueuer filter icap` and `enqueuer filter milter`: the filters that ask an ICAP server or a milter."""

import re
from typing import Annotated

import typer

from enqueuer.cli import _scanners, _spam
from enqueuer.cli._common import help

__all__ = ["add_to"]

ICAP = (
    "enqueuer filter icap --host 127.0.0.1 --service avscan",
    "enqueuer filter icap --host scan1 --host scan2:1345 --service virus_scan --action header",
)
MILTER = (
    "enqueuer filter milter --socket /run/opendkim/opendkim.sock",
    "enqueuer filter milter --host mx1:8891 --host mx2:8891 --changes error",
)
MILTER_TEXT = "It can add header fields, and change nothing: --changes. docs/filters.md has it all."


def add_to(app: typer.Typer) -> None:
    app.command("milter", **help("Have a milter judge messages, as it does for an MTA.", *MILTER, text=MILTER_TEXT))(_milter)
    app.command("icap", **help("Have an ICAP server scan messages (RESPMOD).", *ICAP, text=_scanners.TEXT))(_icap)


def _icap(
    hosts: Annotated[
        list[str] | None, typer.Option("--host", metavar="HOST[:PORT]", help="A server's TCP address; the first that answers scans.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the hosts without one.")] = 1344,
    service: Annotated[str, typer.Option("--service", metavar="NAME", help="The service: what follows the host in icap://host/NAME.")] = "",
    action: Annotated[str, _scanners.ACTION] = "error",
    unscannable: Annotated[str, _scanners.UNSCANNABLE] = "hold",
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds for which messages wait in an outage; then REJECTED.")] = 60,
    timeout: Annotated[float, _scanners.TIMEOUT] = 110,
    threads: Annotated[int, typer.Option("--threads", min=1, max=256, help="Messages scanned at once.")] = 16,
) -> int:
    from filterlink.filters import icap

    if not re.fullmatch(r"[!-~]+", service):
        raise typer.BadParameter("name the service, as in --service avscan")
    settings = icap.Settings(service.lstrip("/"), _scanners.policy(action, unscannable), wait, timeout)
    return icap.run(_spam.addresses(None, hosts, port), settings, threads)


def _milter(
    sockets: _spam.Sockets = None,
    hosts: _spam.Hosts = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the hosts without one.")] = 8891,
    changes: Annotated[
        str, typer.Option("--changes", metavar="ignore|error", help="What to do where it wants to change what is there already.")
    ] = "ignore",
    quarantine: Annotated[
        str, typer.Option("--quarantine", metavar="error|ignore", help="What to do where it wants quarantine.")
    ] = "error",
    unscannable: _spam.Unscannable = "hold",
    wait: _spam.Wait = 60,
    timeout: _spam.Timeout = 110,
    threads: _spam.Threads = 16,
) -> int:
    from filterlink.filters import milter

    changes = _spam.one_of("--changes", changes, milter.CHOICES)
    quarantine = _spam.one_of("--quarantine", quarantine, milter.CHOICES)
    unscannable = _spam.one_of("--unscannable", unscannable, milter.UNSCANNABLE)
    settings = milter.Settings(changes, quarantine, unscannable, wait, timeout)
    return milter.run(_spam.addresses(sockets, hosts, port), settings, threads)
