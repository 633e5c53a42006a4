"""`enqueuer submit`: put messages into the drop folder, durably. It needs no engine: an engine that starts later finds them."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from enqueuer import exits
from enqueuer.cli import _drop
from enqueuer.cli._common import Base, enter, fail, help

if TYPE_CHECKING:
    from enqueuer.config.schema import Config
    from enqueuer.queue.message.client import RemoteClient

__all__ = ["add_to"]

WITHIN = 2.0
"""Seconds for a running engine to answer how full it is. A drop needs no engine."""
_JUNK = re.compile(rb"[\0-\x1f\x7f<>]")
_FIELD = re.compile(rb"(From |[!-9;-~]+[ \t]*:)")


Sign = Callable[[bytes], bytes]
"""Makes the field with the client of a message, for the start of its drop; b"" if there is no client."""
FILTER_VARIABLE = "ENQUEUER_FILTER"
"""The variable with the name of the filter, which helpers have."""


def add_to(app: typer.Typer) -> None:
    app.command("submit", **help("Put messages into the queue.", *EXAMPLES, text=TEXT))(_submit)


EXAMPLES = (
    "enqueuer submit -f ann@example.com bob@example.com < mail.eml",
    "enqueuer submit -t --file one.eml --file two.eml",
    "enqueuer submit -f ann@example.org --client 192.0.2.1 --helo mx.example.org bob@example.com < mail.eml",
)
TEXT = (
    "Prints one name for each message; `queue show` takes it. When the command has ended, the messages are on the disk for good.\n\n"
    "--client, --client-name, --helo and --user are for the mail of an MTA: filters use them. Only root and the engine's account "
    'may use them. An empty value ("") is not known.'
)


def _submit(
    recipients: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPIENT", help="Default: the recipients of the header. With -, the message comes from stdin."),
    ] = None,
    sender: Annotated[
        str | None, typer.Option("-f", metavar="SENDER", help='The envelope sender; "" is the null sender. Default: from the header.')
    ] = None,
    header: Annotated[bool, typer.Option("-t", help="Take the recipients from the header; each further word is a FILE.")] = False,
    files: Annotated[
        list[str] | None, typer.Option("--file", metavar="FILE", help="Read the message from FILE; repeat it for several. - is stdin.")
    ] = None,
    client: Annotated[str, typer.Option("--client", metavar="IP", help="The client from which an MTA has the message.")] = "",
    client_name: Annotated[str, typer.Option("--client-name", metavar="HOST", help="The host name of the client.")] = "",
    helo: Annotated[str, typer.Option("--helo", metavar="NAME", help="What the client said in HELO or EHLO.")] = "",
    user: Annotated[str, typer.Option("--user", metavar="ACCOUNT", help="The account with which the client authenticated.")] = "",
    base: Base = None,
) -> int:
    words = [word for word in recipients or [] if word != "-"]
    inputs = [*(files or []), *(words if header else [])]
    if not inputs or "-" in (recipients or []):
        inputs.append("-")
    envelope = _envelope(sender, [] if header else words)
    origin = _client(client, client_name, helo, user)
    from enqueuer.system import accounts

    with contextlib.ExitStack() as stack:
        given = [accounts.Given(sys.stdin.buffer) if name == "-" else accounts.give(Path(name)) for name in inputs]
        sources = [stack.enter_context(each.file) for each in given]
        where = enter(base)
        for each in given:
            each.expect_given()
        sign = _signer(origin)
        config = _config()
        _expect_room(where, config)
        suffix = config.spool.suffixes[0]  # a suffix that the engine takes
        drops = stack.enter_context(_drop.Drops(suffix))
        for name, source in zip(inputs, sources, strict=True):
            drops.write(_pieces(source, envelope, name, sign), source)
        return exits.OK if drops.commit() == len(inputs) else exits.IOERR


def _envelope(sender: str | None, recipients: Sequence[str]) -> tuple[bytes, ...]:
    """Return the header fields that give sender and recipients to the engine."""
    fields = [] if sender is None else [b"Return-Path: <%s>" % _address(sender)]
    return (*fields, *(b"Envelope-To: <%s>" % _address(recipient) for recipient in recipients))


def _address(text: str) -> bytes:
    """Return the address as the engine will read it. Fails if the engine would read something else."""
    from enqueuer.queue.message import header

    address = os.fsencode(text.removeprefix("<").removesuffix(">"))
    if address and (_JUNK.search(address) or [address] != list(header.addresses(b"<%s>" % address))):
        fail(f"{text!r} is not an address: write it as user@example.com", exits.DATAERR)
    if len(address) > header.MAX_ADDRESS:
        fail(f"an address has {len(address)} bytes: at most {header.MAX_ADDRESS} are allowed", exits.DATAERR)
    return address


def _client(address: str, name: str, helo: str, user: str) -> "RemoteClient":
    """Return what the options say about the client. Fails if they say nothing that can be right."""
    from enqueuer.queue.message import client

    try:
        return client.given(*map(os.fsencode, (address, name, helo, user)))
    except client.ClientError as error:
        fail(f"--client {address!r} --user {user!r}: {error}", exits.DATAERR)


def _signer(origin: "RemoteClient") -> Sign:
    """Return what makes the field for the engine above the start of a drop. Fails if this account is not the engine's."""
    from enqueuer.queue.directory import clientkey
    from enqueuer.queue.message import client, header

    if origin == client.NOBODY:
        return lambda start: b""  # noqa: ARG005  (there is nothing to sign)
    if os.geteuid() != _drop.engine_account():
        fail("--client, --client-name, --helo and --user are for root and the account of the engine only", exits.NOPERM)
    try:
        key = clientkey.make()
    except OSError as error:
        fail(f"{clientkey.FILE}: {error.strerror}", exits.CANTCREAT)

    def sign(start: bytes) -> bytes:
        end = header.header_end(start)
        return client.field(origin, key, start if end < 0 else start[:end])

    return sign


def _config() -> "Config":
    from enqueuer import basedir
    from enqueuer.config import schema

    try:
        return schema.load(basedir.read_config(Path(basedir.CONFIG)))
    except (OSError, schema.ConfigError):  # `config check` reports a broken file; the engine uses its last good one
        return schema.Config(rules=(), routes=())


def _expect_room(base: Path, config: "Config") -> None:
    """Refuse for now, as every door does, if the disk or the queue of a running engine is full."""
    from enqueuer.control import client
    from enqueuer.doors import admission

    if (short := admission.disk_full(config.spool.min_free)) is not None:
        fail(f"{short}: try again later", exits.TEMPFAIL)
    with contextlib.suppress(client.NotRunning, OSError):
        queue = client.ask(base, {"command": "status"}, WITHIN, here=Path())["queue"]
        here = sum(queue[state] for state in ("waiting", "active", "parked", "deferred"))
        if here >= config.enqueuer.queue_limit:
            fail(f"the queue is full: {here} messages, queue_limit = {config.enqueuer.queue_limit}: try again later", exits.TEMPFAIL)


def _trace() -> tuple[bytes, ...]:
    """Return the field of a filter's helper that submits. By this field the engine sees a mail loop."""
    from enqueuer.queue.message import header

    filter = os.environ.get(FILTER_VARIABLE, "")
    return (header.TRACE + b": " + filter.encode("ascii", "replace"),) if filter.isprintable() and filter else ()


def _pieces(source: BinaryIO, envelope: Sequence[bytes], name: str, sign: Sign) -> Iterator[bytes]:
    """Return what comes before the rest of `source`: our fields, and its header without those that ours replace."""
    from enqueuer.queue.message import header

    data = source.read(header.MAX_HEADER)
    if not data.strip():
        fail(f"{name}: the message is empty", exits.DATAERR)
    end = header.header_end(data)
    head = data if end < 0 else data[:end]
    eol = b"\r\n" if b"\r\n" in head else b"\n"
    ours = b"".join(field + eol for field in (*envelope, *_trace()))
    if head and not _FIELD.match(head):  # no header at all, as in `echo text | enqueuer submit bob@example.com`
        head = b""
        ours = ours + eol
    try:
        header.read(ours + head)
    except header.HeaderError as error:
        fail(f"{name}: {error}", exits.DATAERR)
    kept = _without(head, {field.partition(b":")[0].lower() for field in envelope})
    rest = data[len(head) :]
    client = sign(ours + kept + rest[:2])  # with the empty line
    return iter((client + eol if client else b"", ours, kept, rest))


def _without(head: bytes, fields: set[bytes]) -> bytes:
    """Return the header without these fields: a recipient that stays in it would get the message as well."""
    for field in fields:
        head = re.sub(rb"(?im)^%s[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z)" % re.escape(field), b"", head)
    return head
