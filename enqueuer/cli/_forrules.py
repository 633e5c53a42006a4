"""`enqueuer filter facts` and `enqueuer filter execute`: the filters that rules use, without a [[filters]] table of their own."""

from typing import Annotated

import typer

from enqueuer.cli._common import help
from enqueuer.cli._servers import TIMEOUT, Timeout, size

__all__ = ["add_to"]

FACTS_TEXT = "Rules with conditions about attachments, digest or ambiguous mail use it. It answers one field, and refuses nothing."
Processes = Annotated[
    int, typer.Option("--processes", min=0, max=256, metavar="N", help="Take this many messages at once; 0: one for each CPU, at least 4.")
]
Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Limit the memory for one message, e.g. 2G; 0: no limit.")]


def add_to(app: typer.Typer) -> None:
    app.command("facts", **help("Find names and types of attachments, for rules.", "enqueuer filter facts", text=FACTS_TEXT))(_facts)


def _facts(timeout: Timeout = TIMEOUT, memory: Memory = "2G", processes: Processes = 0) -> int:
    from filterlink.filters.content import facts

    return facts.run(processes, facts.FactsSettings(timeout, size("--memory", memory)))
