"""`enqueuer filters` lists and tries the configured filters; `enqueuer filter NAME` is a filter we ship, as a helper program."""

from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli import _gates, _scanners, _spam, _tryout
from enqueuer.cli._common import Base, Json, answer, ask, enter, help
from enqueuer.cli._servers import TIMEOUT, Timeout, Unscannable, one_of, size

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="List and try the external filters.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list", **help("List the filters and how they do.", "enqueuer filters list", "enqueuer filters list --json"))(_list)
    _tryout.add_to(group)
    app.add_typer(group, name="filters")
    shipped = typer.Typer(help="A filter we ship, as a helper program on stdin and stdout.", no_args_is_help=True, rich_markup_mode=None)
    shipped.command("yara", **help("Look for patterns of YARA rules in messages and attachments.", *EXAMPLES, text=YARA))(_yara)
    _scanners.add_to(shipped)
    _spam.add_to(shipped)
    _gates.add_to(shipped)
    app.add_typer(shipped, name="filter")


Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Memory for one message, e.g. 2G; 0: no limit.")]
EXAMPLES = ("enqueuer filter yara", "enqueuer filter yara --rules /etc/enqueuer/mine.yar")
YARA = "Speaks the helper protocol of CommuniGate Pro: for `1 FILE mail.msg` it answers 1 OK, 1 ERROR, 1 DISCARD or 1 ADDHEADER."


def _list(base: Base = None, json: Json = False) -> int:
    found = ask(enter(base), command="status")["filters"]
    if json:
        answer(found)
    else:
        from enqueuer.cli import _show

        _show.filters(found)
    return exits.OK


def _yara(
    rules: Annotated[list[str] | None, typer.Option("--rules", metavar="PATH", help="A file or folder of rules; may be repeated.")] = None,
    no_default_rules: Annotated[bool, typer.Option("--no-default-rules", help="Leave out the rules in the box.")] = False,
    timeout: Timeout = TIMEOUT,
    unscannable: Unscannable = "hold",
    memory: Memory = "2G",
    threads: Annotated[int, typer.Option("--threads", min=0, max=256, help="Messages scanned at once; 0: as many as processors.")] = 0,
    more_rules: Annotated[list[str] | None, typer.Argument(metavar="FILE", help="More rules, after --rules FILE.")] = None,
) -> int:
    from filterlink.filters import verdict, yara

    settings = yara.Settings(timeout, one_of("--unscannable", unscannable, verdict.UNSCANNABLE), size("--memory", memory))
    return yara.run([*(rules or []), *(more_rules or [])], not no_default_rules, threads, settings)
