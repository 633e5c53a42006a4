"""`enqueuer demo`: the main job on sample messages, or on copies of the reader's own mail."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import fail, help, printable
from enqueuer.queue.message.printable import printable_lines

if TYPE_CHECKING:
    from enqueuer.lab.ownmail import MailFound, Most
    from enqueuer.lab.samples import SampleMessage

__all__ = ["add_to", "own_mail"]

TEXT = """Scans about forty sample messages, good and bad ones, and shows where each one ends. Needs no root, no server and no network.

With --mail it scans copies of your own mail: a folder of files, an mbox or a Maildir, at most 1000 messages of 256 MiB together. It
only reads your mail and sends nothing. A message that names no recipient gets one.

Exit codes: 0 each message ended where it should (your own mail: came out once and unchanged), 66 no mail there, 70 one did not."""
EXAMPLES = ("enqueuer demo", "enqueuer demo --keep", "enqueuer demo --mail ~/Maildir", "enqueuer demo --mail archive.mbox")
NAMED = 10
"""Files named that are not messages. Others are only counted."""


def add_to(app: typer.Typer) -> None:
    app.command("demo", **help("Run an engine on sample messages, in a temporary folder.", *EXAMPLES, text=TEXT))(demo)


def demo(
    mail: Annotated[
        Path | None, typer.Option("--mail", metavar="PATH", help="Scan copies of this mail: a folder, mbox or Maildir.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the base directory, and print its path.")] = False,
) -> int:
    """Run the demo; exit code 0 if each message went to the right place."""
    from enqueuer.cli._demoview import DemoView
    from enqueuer.lab.demo import run

    messages = _made() if mail is None else _copies(mail)
    with DemoView(len(messages)) as view:
        return run(messages, view, keep, _say)


def own_mail(path: Path, most: "Most | None" = None) -> "MailFound":
    """Read the reader's own mail, and name on stderr the files that are not mail. Raises CommandFailure."""
    from enqueuer.lab.ownmail import MOST, NoMail, read

    try:
        found = read(path, most or MOST)
    except NoMail as error:
        fail(printable(str(error)), exits.NOINPUT)
    for name, reason in found.skipped[:NAMED]:
        _say(f"skipped: {printable(name)}: {printable(reason)}")
    if len(found.skipped) > NAMED:
        _say(f"skipped: {len(found.skipped) - NAMED} more")
    if found.more:
        _say(f"{printable(str(path))} has more mail; only the first {len(found.letters)} messages are scanned")
    return found


def _made() -> "list[SampleMessage]":
    from enqueuer.lab.samples import samples

    return samples()


def _copies(mail: Path) -> "list[SampleMessage]":
    from enqueuer.lab.demo import copies

    return copies(own_mail(mail).letters)


def _say(text: str) -> None:
    print(printable_lines(text), file=sys.stderr)
