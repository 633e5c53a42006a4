"""`enqueuer rules test`: try the rules on messages, and show why each outcome came about. No engine is needed."""

import contextlib
from collections.abc import Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, Json, answer, enter, expect_safe_config, fail, fold, help, printable

if TYPE_CHECKING:
    from enqueuer.config.schema import Config
    from enqueuer.lab.ruletrial import GivenSession, RuleTrial
    from enqueuer.policy.facts import Facts
    from enqueuer.policy.outcome import RuleOutcome
    from filterlink.wire.frames import FilterAnswer

__all__ = ["add_to"]

TEXT = """Shows each rule that is tried on FILE, and the first condition that does not hold, with the value seen. Then shows the answer and
time of each filter, and the outcome for each recipient. A FILE is a message or a file of Queue/. Options replace what its envelope says.
Without an envelope and options, the header names sender and recipients. The command sends and moves nothing.

It runs each filter in a temporary directory, unless --verdict gives the answer. It does not run programs of Execute, and assumes exit
code 0."""
EXAMPLES = (
    "enqueuer rules test mail.eml",
    "enqueuer rules test mail.eml -f ann@example.com --to bob@example.org --client 192.0.2.7",
    'enqueuer rules test mail.eml --verdict Virus=ok --verdict "Spam=ok score 7.5" --at 22:30',
)
SOURCES = ("trusted", "authenticated")


def add_to(group: typer.Typer) -> None:
    group.command("test", **help("Try the rules on messages.", *EXAMPLES, text=TEXT))(_test)


def _test(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Messages, or files of Queue/.")],
    sender: Annotated[str | None, typer.Option("--from", "-f", metavar="SENDER", help='The envelope sender; "" for none.')] = None,
    to: Annotated[list[str] | None, typer.Option("--to", metavar="RECIPIENT", help="An envelope recipient. It may be repeated.")] = None,
    client: Annotated[str, typer.Option("--client", metavar="IP", help="The address of the client.")] = "",
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="The account with which the client logged in.")] = "",
    security: Annotated[str, typer.Option("--security", metavar="TLS", help='The version of TLS, e.g. "TLSv1.3".')] = "",
    source: Annotated[str, typer.Option("--source", metavar="WORDS", help="trusted, authenticated, or both with a comma.")] = "",
    at: Annotated[str, typer.Option("--at", metavar="TIME", help='The time: "22:30", "2026-12-24" or "2026-12-24 22:30".')] = "",
    verdict: Annotated[
        list[str] | None,
        typer.Option("--verdict", metavar="NAME=ANSWER", help='The answer of a filter, e.g. "Virus=error a virus". It may be repeated.'),
    ] = None,
    base: Base = None,
    json: Json = False,
) -> int:
    from enqueuer.lab.ruletrial import GivenSession
    from enqueuer.system import accounts

    words = {word.strip() for word in source.split(",") if word.strip()}
    if wrong := words - set(SOURCES):
        raise typer.BadParameter(f"{printable(sorted(wrong)[0])!r} is neither trusted nor authenticated", param_hint="--source")
    if "authenticated" in words:
        account = account or "account"
    session = GivenSession(
        sender=sender, recipients=tuple(to or ()), client=client, account=account, tls=security, trusted="trusted" in words
    )
    with contextlib.ExitStack() as stack:
        given = [accounts.give(file) for file in files]
        sources = [stack.enter_context(each.file) for each in given]
        where = enter(base)
        for each in given:
            each.expect_given()
        config = _config(where)
        data = [file.read(config.spool.max_size + 1) for file in sources]
    session = _at(session, at, config)
    answers = dict(_answer(text, config) for text in verdict or ())
    return _try_all(config, where, list(zip(map(str, files), data, strict=True)), session, answers, json)


def _config(where: Path) -> "Config":
    from enqueuer.cli import _configfile
    from enqueuer.config import schema

    expect_safe_config(where)
    given = _configfile.read_here(where)
    return schema.load(given.data, given.name, given.lists)


def _at(session: "GivenSession", text: str, config: "Config") -> "GivenSession":
    import msgspec

    from enqueuer.cli._when import span
    from enqueuer.policy.facts import zone_of

    if not text:
        return session
    zone = zone_of(config.enqueuer.time_zone)
    begin, _ = span(text, datetime.now(zone).replace(tzinfo=None), "--at")
    return msgspec.structs.replace(session, at=datetime.fromisoformat(begin).replace(tzinfo=zone).timestamp())


def _answer(text: str, config: "Config") -> "tuple[str, FilterAnswer]":
    """Read `NAME=ANSWER TEXT`. Raises BadParameter."""
    from filterlink.wire.frames import AnswerKind, FilterAnswer

    name, equals, said = text.partition("=")
    kind, _, report = said.strip().partition(" ")
    names = [each.name for each in config.filters if not each.name.startswith("#")]
    if not equals or name not in names:
        raise typer.BadParameter(
            f"{printable(text)!r}: write NAME=ANSWER; filters are: {', '.join(names) or 'none'}", param_hint="--verdict"
        )
    if kind.lower() not in list(AnswerKind):
        raise typer.BadParameter(f"{printable(kind)!r} is no answer: write {', '.join(AnswerKind)}", param_hint="--verdict")
    return name, FilterAnswer(AnswerKind(kind.lower()), report)


def _try_all(
    config: "Config",
    where: Path,
    files: Sequence[tuple[str, bytes]],
    session: "GivenSession",
    answers: "dict[str, FilterAnswer]",
    json: bool,
) -> int:
    from enqueuer.lab.ruletrial import GivenMail, try_rules
    from enqueuer.queue.message.client import ClientError

    documents: list[dict[str, Any]] = []
    for number, (name, data) in enumerate(files):
        if len(data) > config.spool.max_size:
            fail(f"{printable(name)}: larger than spool.max_size: an engine refuses it", exits.DATAERR)
        try:
            mail = GivenMail.of(data, session)
        except ClientError as error:
            fail(str(error), exits.USAGE)
        trial = try_rules(config, mail, session, answers, where)
        if json:
            documents.append(document(name, trial))
        else:
            print("\n" * (number > 0), end="")
            _print(name, trial)
    if json:
        answer(documents)
    return exits.OK


def _print(name: str, trial: "RuleTrial") -> None:
    from filterlink.config.units import say_size, show_short

    facts = trial.facts
    more = f" and {len(facts.recipients) - 3} more" if len(facts.recipients) > 3 else ""
    to = ", ".join(f"<{printable(each)}>" for each in facts.recipients[:3]) + more
    _line(0, f"{printable(name)}: envelope from <{printable(facts.sender)}> to {to}, {say_size(facts.size)}")
    header = facts.addresses("from"), facts.addresses("to")
    _line(
        2,
        "header: "
        + ", ".join(f"{name} {printable(', '.join(found[:3])) or 'none'}" for name, found in zip(("From", "To"), header, strict=True)),
    )
    for line in trial.trail[: -len(trial.ruling.outcomes)]:
        _line(2, printable(line))
    for each in trial.asked:
        took = "given" if each.seconds is None else show_short(each.seconds)
        _line(2, f"filter {printable(each.name)}: {each.answer.kind.upper()}" + _text(each.answer.text) + f" ({took})")
    for rule, text in trial.ruling.would:
        _line(2, f'shadow rule "{printable(rule)}": {printable(text)}')
    for outcome in trial.ruling.outcomes:
        whom = outcome.recipients if outcome.recipients is not None else facts.recipients
        some = f" and {len(whom) - 5} more" if len(whom) > 5 else ""
        reason = f": {printable(outcome.reason)}" if outcome.reason else ""
        _line(0, f"=> {outcome.disposition} for {', '.join(printable(each) for each in whom[:5])}{some}{reason}")
        for line in _details(outcome, facts.zone):
            _line(3, printable(line))


def _text(text: str) -> str:
    return f" {printable(text)}" if text else ""


def _line(indent: int, text: str) -> None:
    print(fold(" " * indent + text, indent + 4))


def _details(outcome: "RuleOutcome", zone: tzinfo | None) -> list[str]:
    """Return what else happens, a line each."""
    lines = [f"adds {field.decode('utf-8', 'replace')}" for field in outcome.fields]
    lines += [f'tags the subject "{tag}"' for tag in outcome.tags]
    if outcome.redirected:
        lines.append(f"goes to {_addresses(outcome.redirected)} instead")
    if outcome.module:
        lines.append(f"goes into {outcome.module}" + (f"({outcome.queue})" if outcome.queue else ""))
    if outcome.routes:
        lines.append(f"goes also to {_addresses(outcome.routes)}")
    lines += [f"sends a copy to {_addresses((copy.address,))} ({copy.by})" for copy in outcome.copies]
    lines += [f"sends a new message ({letter.kind}) to {_addresses(letter.recipients)}" for letter in outcome.letters]
    lines += [f"remembers {_addresses((each.address,))} in #{each.list}" for each in outcome.remembered]
    lines += [f'writes to the log: "{text}"' for _, text in outcome.texts]
    if outcome.until:
        lines.append(f"until {datetime.fromtimestamp(outcome.until, zone):%Y-%m-%d %H:%M:%S}")
    return lines


def _addresses(found: Sequence[bytes]) -> str:
    return ", ".join(each.decode("utf-8", "replace") for each in found)


def document(name: str, trial: "RuleTrial") -> dict[str, Any]:
    """Return the result for programs."""
    facts = trial.facts
    return {
        "file": name,
        "sender": facts.sender.decode("utf-8", "replace"),
        "recipients": [each.decode("utf-8", "replace") for each in facts.recipients],
        "size": facts.size,
        "trail": list(trial.trail),
        "filters": [
            {
                "name": each.name,
                "answer": each.answer.kind,
                "text": each.answer.text,
                "seconds": None if each.seconds is None else round(each.seconds, 6),
            }
            for each in trial.asked
        ],
        "shadow": [{"rule": rule, "text": text} for rule, text in trial.ruling.would],
        "outcomes": [_outcome(each, facts) for each in trial.ruling.outcomes],
    }


def _outcome(outcome: "RuleOutcome", facts: "Facts") -> dict[str, Any]:
    whom = outcome.recipients if outcome.recipients is not None else facts.recipients
    return {
        "outcome": outcome.disposition,
        "recipients": [each.decode("utf-8", "replace") for each in whom],
        "reason": outcome.reason,
        "rule": outcome.rule or None,
        "filter": outcome.filter or None,
        "until": outcome.until or None,
        "effects": _details(outcome, facts.zone),
    }
