"""`enqueuer filter yara`: the filter that comes with the program, and its self-test."""

from typing import Annotated

import typer

from enqueuer.cli._common import help
from enqueuer.cli._servers import TIMEOUT, Timeout, Unscannable, one_of, size

__all__ = ["add_to"]

Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Limit the memory for one message, e.g. 2G; 0: no limit.")]
EXAMPLES = (
    "enqueuer filter yara",
    "enqueuer filter yara --rules /etc/enqueuer/mine.yar",
    "enqueuer filter yara --stop encrypted,unopened --mark ambiguous",
    "enqueuer filter yara --self-test",
)
TEXT = "Speaks the helper protocol of CommuniGate Pro: to `1 FILE mail.msg` it answers 1 OK, 1 ERROR, 1 DISCARD or 1 ADDHEADER."
_FLAGS = "ambiguous, bomb, broken, encrypted, limit, unopened"


def add_to(app: typer.Typer) -> None:
    app.command("yara", **help("Scan messages and attachments with YARA rules.", *EXAMPLES, text=TEXT))(_yara)


def _yara(
    rules: Annotated[
        list[str] | None, typer.Option("--rules", metavar="PATH", help="A file or folder of rules; repeat it for several.")
    ] = None,
    no_default_rules: Annotated[bool, typer.Option("--no-default-rules", help="Leave out the rules that we ship.")] = False,
    stop: Annotated[
        str, typer.Option("--stop", metavar="FLAGS", help=f"Stop messages with a part that has one of these flags: {_FLAGS}.")
    ] = "",
    mark: Annotated[str, typer.Option("--mark", metavar="FLAGS", help="Add X-Enqueuer-Flags to messages with such a part.")] = "",
    timeout: Timeout = TIMEOUT,
    unscannable: Unscannable = "defer",
    memory: Memory = "2G",
    threads: Annotated[
        int,
        typer.Option("--threads", min=0, max=256, metavar="N", help="Scan this many messages at once; 0: one for each CPU, at least 4."),
    ] = 0,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Show which formats the filter can open here, scan sample messages, and end.")
    ] = False,
    more_rules: Annotated[list[str] | None, typer.Argument(metavar="FILE", help="More files of rules.")] = None,
) -> int:
    from filterlink.filters.content import yara
    from filterlink.filters.runtime import check, verdict

    if self_test:
        if check.only():
            raise typer.BadParameter("--self-test ends by itself, so it is no filter: leave it out")
        from enqueuer.lab import selftest

        return selftest.run()
    unscanned = one_of("--unscannable", unscannable, verdict.UNSCANNABLE)
    settings = yara.YaraSettings(timeout, unscanned, size("--memory", memory), _flags("--stop", stop), _flags("--mark", mark))
    return yara.run([*(rules or []), *(more_rules or [])], not no_default_rules, threads, settings)


def _flags(option: str, text: str) -> frozenset[str]:
    from filterlink.filters.content import yara

    return frozenset(one_of(option, word.strip(), yara.FLAGS) for word in text.split(",") if word.strip())
