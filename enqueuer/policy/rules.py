"""Server-Wide Rules: the [[rules]] tables of the config file, and how they are compiled for the walk (walk.py). Pure."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal, Protocol

import msgspec

from enqueuer.policy import arrays, conditions, namedlists, when
from enqueuer.policy.actions import MAKERS, Action, ActionContext, module_of
from enqueuer.policy.branch import Branch
from enqueuer.policy.conditions import Context, ListNames
from enqueuer.policy.hiddenfilters import execute_name, hidden
from enqueuer.policy.outcome import AskFilter, Disposition, RuleOutcome, Ruling, mark
from enqueuer.policy.tree import Node, all_of
from enqueuer.policy.view import View
from enqueuer.policy.vocabulary import ACCOUNT_ACTIONS, ACTIONS, ALIASES, Parameter
from enqueuer.policy.walk import CompiledRule, Rules, decide, explain
from filterlink.config.settings import Filter, OnFailure

__all__ = [
    "AskFilter",
    "Disposition",
    "Rule",
    "RuleOutcome",
    "Rules",
    "Ruling",
    "compile",
    "decide",
    "explain",
    "helpers",
    "list_names",
    "mark",
    "modules",
    "order",
    "written_lists",
]

REMEMBER = "Remember 'From' in"
EXAMPLES: Mapping[Parameter, str] = {
    "filter": "name of the filter",
    "text": "text",
    "time": "22:00",
    "duration": "2h",
    "fields": "X-Checked: yes",
    "addresses": "ann@example.com",
    "module": "OUT",
    "program": "[FILE] program arguments",
    "list": "#known",
}


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[rules]] table."""

    name: str
    priority: int = 5
    """0 switches the rule off. Higher ones go first, equal ones in the order of the file."""
    comment: str = ""
    conditions: tuple[tuple[str, ...], ...] = ()
    """All of them must hold; none means every message."""
    when: str = ""
    """The same as a sentence, with and, or, not. If both are there, both must hold."""
    scope: Literal["message", "recipient"] = "message"
    """recipient: conditions about recipients hold for each one alone, and the actions act on those for which they hold."""
    mode: Literal["active", "shadow"] = "active"
    """shadow: the rule is evaluated, counted and logged, and nothing happens."""
    on_failure: Literal["", "defer", "pass", "quarantine", "reject"] = ""
    """What follows if a filter that this rule asks gives no answer; "" = the filter's own on_failure."""
    actions: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.name.isprintable() or len(self.name.encode()) > 100:
            raise ValueError(f"name = {self.name!r}: give the rule a name of 1 to 100 printable characters")
        if not 0 <= self.priority <= 1000:
            raise ValueError(f"priority = {self.priority}: write a number from 0 (off) to 1000 (first)")

    @property
    def node(self) -> Node:
        """Return its condition. Raises ValueError with the cure."""
        rows = arrays.of_rows(self.conditions)
        return all_of((rows, when.parse(self.when))) if self.when else rows


class _Source(Protocol):
    @property
    def rules(self) -> tuple[Rule, ...]: ...

    @property
    def filters(self) -> tuple[Filter, ...]: ...

    @property
    def lists(self) -> Mapping[str, Sequence[str]]: ...


def order(rules: Sequence[Rule]) -> list[int]:
    """Return the places of the rules that are on, in the order in which they are tried."""
    return sorted((n for n, rule in enumerate(rules) if rule.priority), key=lambda n: (-rules[n].priority, n))


def compile(config: _Source) -> Rules:
    """Compile the file's tables for decide(). Raises ValueError with rule and cure; rules that are off are checked too.

    `config.filters` has those of helpers(), too.
    """
    filters = {filter.name: filter for filter in config.filters}
    lists: ListNames = {**dict.fromkeys(written_lists(config.rules)), **config.lists}
    programs = itertools.count(1)
    compiled = [_compile(rule, filters, lists, programs) for rule in config.rules]
    return Rules(tuple(compiled[n] for n in order(config.rules)))


def helpers(rules: Sequence[Rule]) -> tuple[Filter, ...]:
    """Return the filters that rules need and the file does not have: for facts of a worker, and for each Execute. Raises ValueError."""
    on = [rule for rule in rules if rule.priority]
    try:
        facts = any(conditions.uses_worker(rule.node) for rule in on)
        return hidden(facts, [words[1] for rule in on for words in rule.actions if _name(words) == "Execute" and len(words) == 2])
    except ValueError:
        return ()  # compile() names the rule


def written_lists(rules: Sequence[Rule]) -> list[str]:
    """Return the names of the lists that rules write."""
    return [words[1].removeprefix("#") for rule in rules for words in rule.actions if len(words) == 2 and _name(words) == REMEMBER]


def list_names(rules: Sequence[Rule]) -> set[str]:
    """Return the names of the lists that conditions use."""
    found = set[str]()
    for rule in rules:
        with contextlib.suppress(ValueError):  # compile() names the rule
            found |= namedlists.list_names([rule.node])
    return found


def modules(rules: Sequence[Rule]) -> list[str]:
    """Return the modules that rules name. The rules are valid."""
    return [module_of(words[1])[0] for rule in rules for words in rule.actions if _name(words) == "Route to"]


def _compile(rule: Rule, filters: Mapping[str, Filter], lists: ListNames, programs: Iterator[int]) -> CompiledRule:
    if rule.on_failure:  # this rule's on_failure replaces that of the filters
        filters = {name: msgspec.structs.replace(filter, on_failure=rule.on_failure) for name, filter in filters.items()}
    try:
        condition = conditions.compile(rule.node, Context(lists, filters.keys(), when.print_when, rule.scope == "recipient"))
        actions = tuple(_action(rule, words, filters, programs) for words in rule.actions)
        _expect_each_once(rule.actions)
    except ValueError as error:
        raise ValueError(f'rule "{rule.name}": {error}') from None
    marks = tuple(mark(rule.name, *(words[1:] if words[0] == "ExternalFilter" else words)) for words in rule.actions)
    text = ", ".join(" ".join((words[0], *(f'"{word}"' for word in words[1:]))) for words in rule.actions)
    on_failure: OnFailure = rule.on_failure or "defer"
    return CompiledRule(rule.name, condition, actions, marks, text, rule.scope == "recipient", rule.mode == "shadow", on_failure)


def _name(words: Sequence[str]) -> str:
    """Return the name of an action as vocabulary.py spells it; "" if there is none."""
    return ALIASES.get(words[0], words[0]) if words else ""


def _action(rule: Rule, words: tuple[str, ...], filters: Mapping[str, Filter], programs: Iterator[int]) -> Action:
    """Compile one action. Raises ValueError with the cure."""
    name = _name(words)
    known = ACTIONS.get(name)
    if known is None:
        raise ValueError(_unknown(words[0] if words else ""))
    try:
        if known.parameter == "none" and words[1:]:
            raise ValueError("takes no parameter: leave out " + _quoted(words[1:]))
        if known.parameter != "none" and not (len(words) == 2 or (known.optional and len(words) == 1)):
            raise ValueError(f'write ["{name}", "{EXAMPLES[known.parameter]}"]')
        word = words[1] if len(words) == 2 else ""
        execute = ""
        if name == "Execute":
            hidden(False, [word])  # checks it
            execute = execute_name(next(programs), word) if rule.priority else ""
        step = MAKERS[name](word, ActionContext(rule.name, words, filters, execute))
    except ValueError as error:
        raise ValueError(f'action "{name}": {error}') from None
    return step or _nothing


def _expect_each_once(actions: Sequence[tuple[str, ...]]) -> None:
    """Raise ValueError if a release after an action would come to the same one again, and so never end."""
    kept = [words for words in actions if ACTIONS[_name(words)].ends and _name(words) not in ("Discard", "Stop Processing")]
    twice = next((words for at, words in enumerate(kept) if words in kept[:at]), None)
    if twice:
        raise ValueError(f'action "{twice[0]}" is there twice: a released message goes on after the first one; remove one of them')


def _nothing(_branch: Branch, _view: View) -> None:
    """Do nothing: the filter of the action is disabled."""


def _unknown(name: str) -> str:
    if name in ACCOUNT_ACTIONS:
        return f'action "{name}" is for the rules of an account, which do not exist here: use "{ACCOUNT_ACTIONS[name]}"'
    close = get_close_matches(name, ACTIONS, 1)
    hint = f': did you mean "{close[0]}"?' if close else "; known actions: " + _quoted(ACTIONS)
    return f'action "{name}" is unknown{hint}'


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
