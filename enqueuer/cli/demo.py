"""`enqueuer demo`: the main job on made messages."""

import sys
from typing import Annotated

import typer

from enqueuer.cli._common import help

__all__ = ["add_to"]

TEXT = "Makes about forty messages, good and bad ones, and shows what becomes of each. Needs no root, no server and no network."


def add_to(app: typer.Typer) -> None:
    app.command("demo", **help("See it work, in a temporary folder.", "enqueuer demo", "enqueuer demo --keep", text=TEXT))(demo)


def demo(keep: Annotated[bool, typer.Option("--keep", help="Keep the base directory and print its path.")] = False) -> int:
    """Run the demo; exit code 0 when each message went where it should."""
    from enqueuer.demo import run
    from enqueuer.demoview import DemoView
    from enqueuer.samples import samples

    made = samples()
    with DemoView(len(made)) as view:
        return run(made, view, keep, lambda text: print(text, file=sys.stderr))
