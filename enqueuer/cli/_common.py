"""The parts that all commands share: options, the form of help pages, failures, and the way to base directory and engine."""

import json
import os
import pwd
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperArgument, TyperCommand

from enqueuer import exits
from enqueuer.queue.message.printable import printable

__all__ = [
    "BASE",
    "JSON",
    "Base",
    "CommandFailure",
    "Json",
    "account",
    "answer",
    "ask",
    "duration",
    "enter",
    "expect_safe_config",
    "fail",
    "fold",
    "help",
    "order",
    "printable",
    "stream",
    "written",
]


class CommandFailure(Exception):
    """A command cannot do its work: one line for the user, and the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def fail(text: str, code: int) -> NoReturn:
    raise CommandFailure(text, code)


BASE = typer.Option(
    "--base",
    metavar="DIR",
    help="The base directory. Default: $ENQUEUER_BASE; else ./spool, if only you can write there; else /var/spool/enqueuer.",
)
JSON = typer.Option("--json", help="Print one JSON document.")
Base = Annotated[str | None, BASE]
Json = Annotated[bool, JSON]


class Page(TyperCommand):
    """A command whose help page shows no types of Python: `FILE ...`, and not `FILE <list[Path]>`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line."""
        return ["[OPTIONS]", *(_usage(each) for each in self.get_params(ctx) if isinstance(each, TyperArgument))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections Arguments and Options."""
        for kind in ("argument", "option"):
            found = [_record(each, ctx) for each in self.get_params(ctx) if each.param_type_name == kind]
            if found:
                with formatter.section(f"{kind.title()}s"):
                    formatter.write_dl(found)


def _usage(argument: TyperArgument) -> str:
    name = argument.metavar or argument.name.upper()
    if name.startswith("["):
        return name
    name = name if argument.required else f"[{name}]"
    return name if argument.nargs == 1 else f"{name} ..."


def _record(param: Any, ctx: Any) -> tuple[str, str]:
    """Return name and explanation of an argument or option."""
    name, text = param.get_help_record(ctx) or ("", "")
    if isinstance(param, TyperArgument):
        name = (param.metavar or param.name.upper()).strip("[ .]")
    text = re.sub(r"(\S+?)<=x<=(\S+?)(?=[;\]])", r"\1 to \2", re.sub(r"x>=(\S+?)(?=[;\]])", r"at least \1", text))
    return name, text.replace("; required]", "]").replace("  [required]", "")


def help(summary: str, *examples: str, text: str = "") -> dict[str, Any]:
    """Return the arguments of @app.command() for a help page that shows examples first."""
    shown = "".join(f"    {example}\n" for example in examples)
    return {"cls": Page, "short_help": summary, "help": f"{summary}\n\n\b\nExamples:\n{shown}\n{text}"}


def enter(base: str | None) -> Path:
    """Go into the base directory, to which all our paths are relative, with the rights of its account. Raises BaseDirError."""
    from enqueuer import basedir

    return basedir.enter(base)


def expect_safe_config(base: Path) -> None:
    """Check the config file before a command that runs its programs: as at a start, no other account may write it. Raises
    CommandFailure.
    """
    from enqueuer import basedir
    from enqueuer.system import trust

    if problem := trust.config(base / basedir.CONFIG, os.geteuid()):
        fail(problem, exits.CONFIG)


def ask(base: Path, *, within: float = 5.0, **request: object) -> dict[str, Any]:
    """Ask the running engine of the current base directory, and wait `within` seconds. Raises CommandFailure if no engine answers."""
    from enqueuer.control import client

    try:
        return client.ask(base, request, within, here=Path())
    except client.NotRunning as error:
        fail(str(error) or f"no engine runs in {base}: start one with `enqueuer run --base {base}`", exits.UNAVAILABLE)


def order(base: str | None, verb: str, id: int, json: bool, **more: object) -> None:
    """Have the running engine carry out an order for one message (0 = all), and print the result. Raises CommandFailure."""
    found = ask(enter(base), within=40.0, command=verb, id=id, **more)
    if not found["ok"]:
        fail(str(found["text"]), exits.NOINPUT)
    if json:
        answer(found)
    else:
        print(found["text"])


def duration(least: float = 0) -> Callable[[str], float]:
    """Return the parser of an option that is a duration, of at least this many seconds."""

    def read(text: str) -> float:
        from filterlink.config.units import Seconds

        try:
            return Seconds.option(text, least)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return read


def written(duration: str) -> Any:
    """Return a default of such an option: text, as the parser reads it and the help shows it."""
    return duration


def account(uid: int | None) -> str:
    """Return the account that dropped a message, for people. None: the engine's account, which the log does not name."""
    if uid is None:
        return "by the engine's account"
    try:
        return f"by {printable(pwd.getpwuid(uid).pw_name)} (uid {uid})"
    except KeyError:
        return f"by uid {uid}"


def fold(text: str, indent: int = 0, stream: TextIO | None = None) -> str:
    """Break text at blanks into lines that fit the terminal. Without a terminal it stays as it is."""
    stream = stream or sys.stdout
    width = shutil.get_terminal_size().columns if stream is not None and stream.isatty() else 0
    if not width or len(text) <= width:
        return text
    return textwrap.fill(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def answer(document: object) -> None:
    """Print one JSON document."""
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def stream(documents: Iterable[str]) -> None:
    """Print one JSON array of documents that are JSON already, while they come: there may be a million."""
    mark = "["
    for document in documents:
        sys.stdout.write(f"{mark}\n{document}")
        mark = ","
    sys.stdout.write("[]\n" if mark == "[" else "\n]\n")
