"""`enqueuer filters` lists and tries the configured filters; `enqueuer filter NAME` is a filter we ship, as a helper program."""

from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli import _spam, _tryout
from enqueuer.cli._common import Base, Json, answer, ask, enter, help

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="List and try the external filters.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list", **help("List the filters and how they do.", "enqueuer filters list", "enqueuer filters list --json"))(_list)
    _tryout.add_to(group)
    app.add_typer(group, name="filters")
    shipped = typer.Typer(help="A filter we ship, as a helper program on stdin and stdout.", no_args_is_help=True, rich_markup_mode=None)
    shipped.command("yara", **help("Look for patterns of YARA rules in messages and attachments.", *EXAMPLES, text=YARA))(_yara)
    shipped.command("clamd", **help("Have ClamAV's daemon scan messages.", *CLAMD_EXAMPLES, text=SCANNER))(_clamd)
    _spam.add_to(shipped)
    app.add_typer(shipped, name="filter")


EXAMPLES = ("enqueuer filter yara", "enqueuer filter yara --rules /etc/enqueuer/mine.yar")
YARA = "Speaks the helper protocol of CommuniGate Pro: for `1 FILE mail.msg` it answers 1 OK, 1 ERROR, 1 DISCARD or 1 ADDHEADER."

CLAMD_EXAMPLES = (
    "enqueuer filter clamd --socket /run/clamav/clamd.ctl",
    "enqueuer filter clamd --host scan1 --host scan2:3310 --action header",
)
SCANNER = (
    "A scanner that is away makes messages wait, then be held. What it finds, and what it cannot scan, is described in docs/filters.md."
)


def _list(base: Base = None, json: Json = False) -> int:
    found = ask(enter(base), command="status")["filters"]
    if json:
        answer(found)
    else:
        from enqueuer.cli import _show

        _show.filters(found)
    return exits.OK


def _yara(
    rules: Annotated[list[str] | None, typer.Option("--rules", metavar="FILE", help="YARA rules; may be given several times.")] = None,
    no_default_rules: Annotated[bool, typer.Option("--no-default-rules", help="Leave out the rules in the box.")] = False,
    threads: Annotated[int, typer.Option("--threads", min=0, max=256, help="Messages scanned at once; 0: as many as processors.")] = 0,
    more_rules: Annotated[list[str] | None, typer.Argument(metavar="FILE", help="More rules, after --rules FILE.")] = None,
) -> int:
    from filterlink.filters import yara

    return yara.run([*(rules or []), *(more_rules or [])], not no_default_rules, threads)


ACTION = typer.Option("--action", metavar="error|discard|header", help="What to answer for an infected message; header: X-Virus: NAME.")
UNSCANNABLE = typer.Option("--unscannable", metavar="hold|error|pass", help="What becomes of a message that the scanner cannot scan.")
THREADS = typer.Option("--threads", min=1, max=256, help="Messages scanned at once.")


def _chosen(option: str, value: str, values: tuple[str, ...]) -> str:
    if value not in values:
        raise typer.BadParameter(f"{value} is none of {', '.join(values)}", param_hint=option)
    return value


def _clamd(
    sockets: Annotated[list[str] | None, typer.Option("--socket", metavar="PATH", help="A clamd's Unix socket (LocalSocket).")] = None,
    hosts: Annotated[
        list[str] | None, typer.Option("--host", metavar="HOST[:PORT]", help="A clamd's TCP address. The first of all that answers scans.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the hosts without one.")] = 3310,
    action: Annotated[str, ACTION] = "error",
    unscannable: Annotated[str, UNSCANNABLE] = "hold",
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds for which messages wait in an outage; then REJECTED.")] = 60,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="Seconds for one message, less than the filter's timeout in enqueuer.toml.")
    ] = 110,
    threads: Annotated[int, THREADS] = 16,
) -> int:
    from filterlink.filters import clamd, service

    try:
        addresses = service.parse(sockets or [], hosts or [], port)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None
    chosen = _chosen("--action", action, clamd.ACTIONS), _chosen("--unscannable", unscannable, clamd.UNSCANNABLE)
    return clamd.run(addresses, clamd.Settings(*chosen, wait, timeout), threads)
