"""The command `enqueuer`: all commands, and their exit codes. Each command is in the file of its noun."""

import difflib
import errno
import io
import os
import re
import sys
import traceback
from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli import bad, config, demo, engine, filters, log, quarantine, queue, rules, scan, submit, tune
from enqueuer.cli._common import CommandFailure, fold
from enqueuer.cli._scan import ScanFailure
from enqueuer.queue.message.printable import printable_lines
from enqueuer.system import inherited

__all__ = ["app", "failed", "main"]

HELP = """Queue mail, and have each message scanned by filters before it goes on.

\b
Examples:
    enqueuer demo                        see it work, in a temporary folder
    enqueuer init /var/spool/enqueuer    make a base directory
    enqueuer run                         run the engine in it
    cp mail.eml /var/spool/enqueuer/Submitted/
    enqueuer status                      what it does now
"""
EXITS = """Exit codes are those of sysexits.h: 0 success, 64 usage, 65 bad data, 66 no such input, 69 no engine runs, 70 fault
in Enqueuer, 73 cannot create, 74 I/O error, 75 try again later, 77 no permission, 78 configuration."""


def _unknown(match: "re.Match[str]") -> str:
    """Return the words for an unknown option or command, with the one that is meant."""
    meant = difflib.get_close_matches(match[2], re.findall(r"--?\w[\w-]*|(?<=')[\w-]+(?=')", match[0])[1:], 1, 0.0)
    return f"no such {match[1]} {match[2]}" + (f"; did you mean {meant[0]}?" if meant else "")


WORDS = (
    (r"Invalid value for '?([^':]+)'?: ", r"\1: "),
    (r"Invalid value: ", ""),
    (r"No such (option|command): (\S+).*", _unknown),
    (r"No such (option|command) '(.+?)'\..*", _unknown),
    (r"Option '(\S+)' requires an argument\.?", r"option \1 needs a value"),
    (r"Missing (?:argument|option) '([^']+)'", r"\1 is missing"),
    (r"Input should be greater than or equal to (\S+)", r"write a number of at least \1"),
    (r"Input should be less than or equal to (\S+)", r"write a number of at most \1"),
    (r"Input should be a valid integer.*", "write a whole number"),
    (r"Input should be a valid number.*", "write a number"),
)
"""Texts of typer and pydantic about a faulty option or argument, and our words for them."""

OPTIONS = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    name="enqueuer",
    help=HELP,
    epilog=EXITS,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=OPTIONS,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print("enqueuer", version("enqueuer"))
        raise typer.Exit()


@app.callback(help=HELP)
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    pass


for part in (demo, engine, scan, submit, queue, quarantine, bad, log, filters, rules, config, tune):
    part.add_to(app)


def main() -> None:
    """Run one command. Every failure is one clear line and its exit code."""
    inherited.settle()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names are bytes with anything in them
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(standalone_mode=False, prog_name="enqueuer")
        if sys.stdout is not None:  # stdout may be closed
            sys.stdout.flush()
    except typer.TyperException as error:
        return _usage(error)
    except typer.Abort:
        return exits.INTERRUPTED
    except SystemExit as ended:  # click turns a BrokenPipeError into a silent 1
        return _unread() if ended.code == 1 else ended.code if isinstance(ended.code, int) else exits.OK
    except Exception as error:  # noqa: BLE001  the last place to turn a failure into a line and a code
        return failed(error)
    return code if isinstance(code, int) else exits.OK


def _unread() -> int:
    """Discard output that has no reader any more, so that the interpreter does not fail over it at exit."""
    os.close(1)
    inherited.fill_standard()
    return exits.OK


def _usage(error: typer.TyperException) -> int:
    """Print a usage error; return 64, as sysexits.h says. click would return 2."""
    path = getattr(getattr(error, "ctx", None), "command_path", "enqueuer")
    text = error.format_message()
    for theirs, ours in WORDS:
        text = re.sub(theirs, ours, text)
    if "\n" in text:  # a group called without a command: its help page
        print(printable_lines(text), file=sys.stderr)
    else:
        print(fold(f"{path}: {printable_lines(text).rstrip('.')} (see `{path} --help`)", 4, sys.stderr), file=sys.stderr)
    return exits.USAGE


def failed(error: Exception) -> int:
    """Print a failure; return its exit code."""
    if isinstance(error, BrokenPipeError):  # `enqueuer queue list | head`: the reader has ended
        return _unread()
    text, code = _explain(error)
    for line in f"enqueuer: {printable_lines(text)}".split("\n"):
        print(fold(line, 4, sys.stderr), file=sys.stderr)
    if code == exits.SOFTWARE and os.environ.get("ENQUEUER_TRACEBACK"):
        traceback.print_exception(error)
    return code


def _explain(error: Exception) -> tuple[str, int]:
    from enqueuer.basedir import BaseDirError
    from enqueuer.config.schema import ConfigError
    from enqueuer.queue.directory.format import FormatError
    from enqueuer.system.accounts import RightsRefused

    match error:
        case CommandFailure() | ScanFailure():
            return str(error), error.code
        case BaseDirError():
            return str(error), exits.NOINPUT
        case ConfigError() | FormatError():
            return str(error), exits.CONFIG
        case RightsRefused():
            return str(error), exits.NOPERM
        case OSError(errno=code) if code is not None:
            where = f"{error.filename}: " if error.filename is not None else ""
            return f"{where}{error.strerror}", ERRORS.get(code, exits.IOERR)
    at = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(at.filename)}:{at.lineno}"
    return f"internal error: {type(error).__name__}: {error} at {place} (ENQUEUER_TRACEBACK=1 shows the whole traceback)", exits.SOFTWARE


ERRORS = {
    errno.ENOENT: exits.NOINPUT,
    errno.ENOTDIR: exits.NOINPUT,
    errno.EACCES: exits.NOPERM,
    errno.EPERM: exits.NOPERM,
    errno.EROFS: exits.NOPERM,
    errno.ENOSPC: exits.TEMPFAIL,
    errno.EDQUOT: exits.TEMPFAIL,
}
"""Exit codes of errors of the system; all others are EX_IOERR."""


if __name__ == "__main__":
    main()
