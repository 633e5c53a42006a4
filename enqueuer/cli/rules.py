"""`enqueuer rules`: check, list and try the rules of a config file, and translate them from and to CommuniGate Pro."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enqueuer import exits
from enqueuer.cli import _configfile, _ruletest
from enqueuer.cli._common import Base, Json, answer, enter, fail, fold, help, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from enqueuer.policy.cgp import Remark

__all__ = ["add_to"]

CHECK = """Prints "ok" if the rules are correct. Prints each error with its rule. For an error in `when` it also prints the line, with a
mark below the place. Warns of actions and rules that are never reached, and of conditions that never hold. Needs no engine and changes
nothing. The named lists are those of the base directory. If FILE is in no folder Settings/, its lists are not checked.

Exit codes: 0 the rules are correct, 78 they are not."""
LIST = """Shows the rules in the order in which they are tried: priority, name, conditions as a sentence, actions, and what ends the message
there. From a running engine also how often the conditions held, since the rules were last changed. Rules that are off are named at the end.
Needs no engine."""
EXPORT = """Prints the rules in the form of Settings/Rules.settings of CommuniGate Pro. A rule with `or` becomes several rules, if its
actions may be repeated. A rule that has no form there is left out. Stderr has its name and the reason."""
IMPORT = """Prints the rules as tables for our config file. FILE is Settings/Rules.settings of CommuniGate Pro, or "-" for stdin. A rule of
which a part has no counterpart here is switched off (priority = 0). Stderr names the part, and what to use instead. Put the tables into
the config file, and run `enqueuer rules check`.

Exit codes: 0 success, 65 the file has no rules of CommuniGate Pro."""
FileGiven = Annotated[Path | None, typer.Argument(metavar="FILE", help="Default: the config file of the base directory.")]
Cgp = Annotated[bool, typer.Option("--cgp", help="The form of CommuniGate Pro. This option is needed.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="Check, list, try and translate rules.", no_args_is_help=True, rich_markup_mode=None)
    group.command("check", **help("Check the rules.", "enqueuer rules check", "enqueuer rules check new.toml", text=CHECK))(_check)
    group.command("list", **help("List the rules in firing order.", "enqueuer rules list", "enqueuer rules list --json", text=LIST))(_list)
    _ruletest.add_to(group)
    group.command("export", **help("Write rules for CommuniGate Pro.", "enqueuer rules export --cgp > Rules.settings", text=EXPORT))(
        _export
    )
    group.command("import", **help("Read rules of CommuniGate Pro.", "enqueuer rules import --cgp Rules.settings", text=IMPORT))(_import)
    app.add_typer(group, name="rules")


def _check(file: FileGiven = None, base: Base = None) -> int:
    from enqueuer.cli import _rulesview
    from enqueuer.config import lint
    from enqueuer.config import schema as configs

    given = _configfile.read(file, base)
    faults = _rulesview.sentence_faults(given.data, given.name)
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return exits.CONFIG
    config = configs.load(given.data, given.name, given.lists)
    for warning in lint.warnings(config):
        if warning.startswith('rule "'):
            print(fold(f"warning: {printable(warning)}", 4, sys.stderr), file=sys.stderr)
    count = len(config.rules)
    off = sum(not rule.priority for rule in config.rules)
    print(f"{printable(given.name)}: {count} rule{'s' * (count != 1)}" + (f", {off} of them off" if off else "") + ": ok")
    return exits.OK


def _list(base: Base = None, json: Json = False) -> int:
    from enqueuer.cli import _rulesview
    from enqueuer.config import schema as configs
    from enqueuer.control import client

    where = enter(base)
    given = _configfile.read_here(where)
    config = configs.load(given.data, given.name, given.lists)
    counts: dict[str, int] | None = None
    with contextlib.suppress(client.NotRunning):
        found = client.ask(where, {"command": "rules"}, 5.0, here=Path())
        counts = {each["name"]: each["met"] for each in found["rules"]}
    listed = _rulesview.listing(config.rules, counts)
    if json:
        answer(listed)
    else:
        _rulesview.show(listed)
    return exits.OK


def _export(cgp: Cgp = False, file: FileGiven = None, base: Base = None) -> int:
    from enqueuer.config import schema as configs
    from enqueuer.policy.cgp import PlainRule, export_rules

    _expect_cgp(cgp)
    given = _configfile.read(file, base)
    rules = configs.load(given.data, given.name, given.lists).rules
    text, remarks = export_rules(
        PlainRule(rule.name, rule.priority, rule.node, rule.actions, rule.comment, rule.on_failure, rule.scope, rule.mode) for rule in rules
    )
    sys.stdout.write(text)
    _print_remarks(remarks)
    return exits.OK


def _import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help='Settings/Rules.settings, or "-".')],
    cgp: Cgp = False,
) -> int:
    from enqueuer.cli import _rulesview
    from enqueuer.policy.cgp import import_rules
    from enqueuer.policy.cgpfile import MAX_CGP_FILE, CgpSyntaxError

    _expect_cgp(cgp)
    if str(file) == "-":
        data = sys.stdin.buffer.read(MAX_CGP_FILE + 1)
    else:
        with file.open("rb") as opened:
            data = opened.read(MAX_CGP_FILE + 1)
    try:
        rules, remarks = import_rules(data)
    except CgpSyntaxError as error:
        fail(f"{printable(str(file))}: {error}", exits.DATAERR)
    print("\n".join(map(_rulesview.table, rules)), end="")
    _print_remarks(remarks)
    return exits.OK


def _expect_cgp(cgp: bool) -> None:
    if not cgp:
        raise typer.BadParameter("write --cgp: the form of CommuniGate Pro is the only one", param_hint="--cgp")


def _print_remarks(remarks: "Iterable[Remark]") -> None:
    for rule, text in remarks:
        print(fold(f'rule "{printable(rule)}": {printable(text)}', 4, sys.stderr), file=sys.stderr)
