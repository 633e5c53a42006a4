"""`enqueuer filter clamd` and `enqueuer filter command`: virus scanners as helper programs."""

import math
from typing import TYPE_CHECKING, Annotated

import typer

from enqueuer.cli._common import duration, help, written
from enqueuer.cli._servers import TIMEOUT, WAIT, Hosts, Port, Sockets, Threads, Timeout, Unscannable, Wait, addresses, one_of

if TYPE_CHECKING:
    from filterlink.filters.command.commandline import Profile
    from filterlink.filters.runtime.finding import Policy

__all__ = ["TEXT", "Action", "add_to", "policy"]

CLAMD = (
    "enqueuer filter clamd --socket /run/clamav/clamd.ctl",
    "enqueuer filter clamd --host scan1 --host scan2:3310 --action header",
)
COMMAND = (
    "enqueuer filter command --profile clamscan",
    "enqueuer filter command --profile uvscan --memory 2G /usr/local/uvscan/uvscan --secure --mime {file}",
    "enqueuer filter command --infected 1,3 --pattern 'virus: (.+)' /opt/scan -q {file}",
)
TEXT = "When no scanner answers, messages wait and are then deferred. docs/filters.md describes all options."


def add_to(app: typer.Typer) -> None:
    app.command("clamd", **help("Scan messages with ClamAV's daemon.", *CLAMD, text=TEXT))(_clamd)
    program_last = {"allow_interspersed_args": False}
    app.command("command", context_settings=program_last, **help("Scan messages with a command-line scanner.", *COMMAND, text=TEXT))(
        _command
    )


Action = Annotated[
    str,
    typer.Option(
        "--action", metavar="error|discard|header", help="What to do with an infected message: stop it, discard it, or add X-Virus: NAME."
    ),
]


def _clamd(
    sockets: Sockets = None,
    hosts: Hosts = None,
    port: Port = 3310,
    action: Action = "error",
    unscannable: Unscannable = "defer",
    wait: Wait = WAIT,
    timeout: Timeout = TIMEOUT,
    threads: Threads = 16,
) -> int:
    from filterlink.filters.servers import clamd

    return clamd.run(addresses(sockets, hosts, port), clamd.ClamdSettings(policy(action, unscannable), wait, timeout), threads)


def _command(
    profile: Annotated[
        str, typer.Option("--profile", metavar="generic|clamscan|uvscan", help="Start from the settings for this scanner.")
    ] = "generic",
    clean: Annotated[
        str | None, typer.Option("--clean", metavar="CODES", help="Exit codes of the scanner for a clean message, e.g. 0.")
    ] = None,
    infected: Annotated[
        str | None, typer.Option("--infected", metavar="CODES", help="Exit codes of the scanner for an infected message, e.g. 1,13.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option("--pattern", metavar="REGEX", help="Finds the name of the virus in the output; a group marks the name.")
    ] = None,
    action: Action = "error",
    unscannable: Unscannable = "defer",
    timeout: Timeout = TIMEOUT,
    memory: Annotated[str, typer.Option("--memory", metavar="SIZE", help="Limit the memory of the scanner, e.g. 4G; 0: no limit.")] = "4G",
    cpu: Annotated[
        float, typer.Option("--cpu", parser=duration(), metavar="DURATION", help="Limit the processor time of the scanner; 0s: no limit.")
    ] = written("0s"),
    folder: Annotated[str, typer.Option("--folder", metavar="DIR", help="Put copies of messages here. Default: $TMPDIR or /tmp.")] = "",
    processes: Annotated[
        int,
        typer.Option("--processes", min=0, max=256, metavar="N", help="Scan this many messages at once; 0: one for each CPU, at least 4."),
    ] = 0,
    program: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROGRAM ARGUMENT ...]",
            help="The scanner. {file} becomes the name of the message, {queue_file} that of the file in Queue/.",
        ),
    ] = None,
) -> int:
    from filterlink.config import units
    from filterlink.filters.command import command
    from filterlink.filters.runtime import child

    try:
        limits = child.ChildLimits(timeout, math.ceil(cpu), units.Size.parse(memory))
        scanner = _profile(profile, clean, infected, pattern, program)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None
    return command.run(command.CommandSettings(scanner, policy(action, unscannable), limits), folder, processes)


def _profile(name: str, clean: str | None, infected: str | None, pattern: str | None, program: list[str] | None) -> "Profile":
    """Return the profile of that name, with the changes from the options. Raises ValueError."""
    from filterlink.filters.command import commandline

    found = commandline.PROFILES[one_of("--profile", name, commandline.PROFILES)]
    return found._replace(
        command=tuple(program) if program else found.command,
        clean=found.clean if clean is None else commandline.codes(clean),
        infected=found.infected if infected is None else commandline.codes(infected),
        pattern=found.pattern if pattern is None else pattern,
    )


def policy(action: str, unscannable: str) -> "Policy":
    from filterlink.filters.runtime import finding, verdict

    return finding.Policy(one_of("--action", action, finding.ACTIONS), one_of("--unscannable", unscannable, verdict.UNSCANNABLE))
