"""`enqueuer scan`: scan messages, and store nothing. entry.py runs its usual forms without this module."""

from typing import Annotated

import typer

from enqueuer.cli import _scan
from enqueuer.cli._common import Base, help

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command("scan", **help("Say whether filters and rules catch messages.", *EXAMPLES, text=TEXT))(_command)


EXAMPLES = (
    "enqueuer scan mail.eml",
    "enqueuer scan --json ~/Maildir inbox.mbox | jq -r 'select(.outcome != \"enqueued\").file'",
    "enqueuer scan --from ann@example.org --client 192.0.2.1 - < mail.eml",
    "enqueuer scan --standalone mail.eml",
)
TEXT = """The command queues, stores and changes nothing. FILE is a message, an mbox, or a folder with all files and folders in it. Of a
Maildir the command takes cur and new. - is stdin. It scans up to 8 messages at a time, and prints a line for each as soon as it has its
decision.

The running engine scans. With --standalone no engine is needed: one with the same config runs for the time of the command.

Exit codes: 0 all messages pass, 1 one was caught, 65 an option has a fault, 66 a file cannot be read, 69 no engine runs, 75 one message
could not be scanned now and none was caught."""


def _command(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Messages, folders, mboxes; - is stdin.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a message, each on its line.")] = False,
    standalone: Annotated[bool, typer.Option("--standalone", help="Start the filters for this command; no engine is needed.")] = False,
    sender: Annotated[str, typer.Option("--from", metavar="SENDER", help="The envelope sender. Default: the null sender.")] = "",
    rcpt: Annotated[
        list[str] | None, typer.Option("--rcpt", metavar="RECIPIENT", help="An envelope recipient; repeat it for several.")
    ] = None,
    client: Annotated[str, typer.Option("--client", metavar="IP", help="The client from which an MTA has the message.")] = "",
    helo: Annotated[str, typer.Option("--helo", metavar="NAME", help="What the client said in HELO or EHLO.")] = "",
    user: Annotated[str, typer.Option("--user", metavar="ACCOUNT", help="The account with which the client authenticated.")] = "",
    base: Base = None,
) -> int:
    options = _scan.ScanOptions(tuple(files), json, standalone, base, sender, tuple(rcpt or ()), client, helo, user)
    return _scan.run(options)
