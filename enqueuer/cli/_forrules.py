"""`enqueuer filter facts` and `enqueuer filter execute`: the filters that rules use, without a [[filters]] table of their own."""

from typing import Annotated

import typer

from enqueuer.cli._common import help
from enqueuer.cli._servers import TIMEOUT, Timeout, size

__all__ = ["add_to"]

EXECUTE = "enqueuer filter execute --stderr --file --rcpt -- /usr/local/bin/archive-mail --fast"
EXECUTE_TEXT = "Rules with the action Execute use it. Exit code 0 answers OK, everything else FAILURE with the reason."
FACTS_TEXT = "Rules with conditions about attachments, digest or ambiguous mail use it. It answers one field, and refuses nothing."
Processes = Annotated[
    int, typer.Option("--processes", min=0, max=256, metavar="N", help="Take this many messages at once; 0: one for each CPU, at least 4.")
]
Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Limit the memory for one message, e.g. 2G; 0: no limit.")]


def add_to(app: typer.Typer) -> None:
    app.command("facts", **help("Find names and types of attachments, for rules.", "enqueuer filter facts", text=FACTS_TEXT))(_facts)
    program_last = {"allow_interspersed_args": False}
    app.command(
        "execute", context_settings=program_last, **help("Run a program about each message, for rules.", EXECUTE, text=EXECUTE_TEXT)
    )(_execute)


def _facts(timeout: Timeout = TIMEOUT, memory: Memory = "2G", processes: Processes = 0) -> int:
    from filterlink.filters.content import facts

    return facts.run(processes, facts.FactsSettings(timeout, size("--memory", memory)))


def _execute(
    stderr: Annotated[bool, typer.Option("--stderr", help="Put the first line of its standard error into the reason of FAILURE.")] = False,
    file: Annotated[
        bool, typer.Option("--file", help="Append -f and the name of the message file. Otherwise it reads the message.")
    ] = False,
    retpath: Annotated[bool, typer.Option("--retpath", help="Append -p and the sender of the envelope.")] = False,
    rcpt: Annotated[bool, typer.Option("--rcpt", help="Append -r and all recipients.")] = False,
    timeout: Timeout = TIMEOUT,
    memory: Annotated[str, typer.Option("--memory", metavar="SIZE", help="Limit the memory of the program, e.g. 4G; 0: no limit.")] = "4G",
    processes: Processes = 0,
    program: Annotated[list[str] | None, typer.Argument(metavar="[PROGRAM ARGUMENT ...]", help="The program and its arguments.")] = None,
) -> int:
    from filterlink.filters.command import execute
    from filterlink.filters.runtime import child

    if not program:
        raise typer.BadParameter("name the program after the options")
    limits = child.ChildLimits(timeout, 0, size("--memory", memory))
    return execute.run(execute.ExecuteSettings(tuple(program), stderr, file, retpath, rcpt, limits), processes)
