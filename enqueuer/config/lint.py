"""What a config file may say, but perhaps does not mean: the warnings of `config check`. Pure.

Each names the place and the cure. Foremost what cannot fit: lanes without room for both kinds of messages, and filters in the
box whose own limits are wider than those that the engine sets them.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from enqueuer.config.doors import Door
from enqueuer.config.schema import Config, EngineSettings
from enqueuer.policy import rulelint
from enqueuer.policy.lanes import Lanes
from enqueuer.policy.rules import Rule
from filterlink.config.settings import Filter
from filterlink.config.units import Seconds, Size, show_seconds, show_size

__all__ = ["IN_THE_BOX", "Own", "warnings"]


class Own(NamedTuple):
    """Limits that a filter in the box sets itself, where its command does not say otherwise."""

    timeout: float
    """Seconds for one message: --timeout."""
    workers: int
    """Messages judged at once, 0 = as many as there are cores."""
    option: str = "--threads"
    """What says how many."""
    memory: int = 0
    """Bytes that a scan may use: --memory, 0 = no limit."""
    cpu: float = 0
    """Seconds of processor time for one message: --cpu, 0 = no limit."""


IN_THE_BOX = {
    "clamd": Own(110, 16),
    "command": Own(110, 0, "--processes", 4 << 30),
    "execute": Own(110, 0, "--processes", 4 << 30),
    "facts": Own(110, 0, "--processes", 2 << 30),
    "icap": Own(110, 16),
    "milter": Own(110, 16),
    "rspamd": Own(110, 16),
    "spamd": Own(110, 8),
    "yara": Own(110, 0, memory=2 << 30),
}
DELAYING = frozenset({"milter", "rspamd"})
"""Filters in the box that refuse a message for a while on purpose."""
LEAST_PATIENCE = 3600.0
"""Seconds for which such a message should be tried: greylisting takes minutes, a rate limit up to an hour."""
LITTLE = 64 << 10
"""Bytes: a disk with less is full, and what is larger is no large mail."""
FILES_KEPT = 3
"""Files of the log that should fit into the limit of all: the one that is written, and two that wait to be compressed."""
FLAGS = frozenset(("--file", "--rcpt", "--retpath", "--stderr", "--no-default-rules", "--result-for-all", "--self-test")) | frozenset(
    ("--strip-domain", "--user-from-recipient")
)
"""Options of theirs that take no value."""


def warnings(config: Config) -> list[str]:
    """One line each."""
    used = {name for rule in config.rules if rule.priority for name in _asked(rule)}
    found = [*_engine(config), *(f'rule "{rule.name}": {problem}' for rule in config.rules for problem in _rule(rule))]
    found += rulelint.warnings(config.rules)
    for filter in config.filters:
        problems = (
            *_filter(filter, filter.name in used),
            *(_slots(filter, config.enqueuer) if filter.enabled else ()),
            *_own(filter, config),
        )
        found += [f'filter "{filter.name}": {problem}' for problem in problems]
    found += [f'door "{door.name}": {problem}' for door in config.doors for problem in _door(door, config)]
    if not any(filter.enabled and filter.name in used for filter in config.filters):
        found.append('no rule asks an enabled filter, so mail goes on unscanned; write an action into a rule: ["ExternalFilter", NAME]')
    if (first := [route.recipient for route in config.routes].index("*")) < len(config.routes) - 1:
        found.append(f'routes[{first}]: recipient = "*" matches all, so the routes after it are never used; make it the last one')
    return found


def _engine(config: Config) -> Iterator[str]:
    engine = config.enqueuer
    if engine.most_processors == 1:
        key = "auto_max" if engine.processors == "auto" else "processors"
        yield f"enqueuer.{key} = 1: a large message makes all others wait; with 2 or more there is a lane for small ones"
    if engine.processors != "auto" and (idle := _set(engine, "auto_min", "auto_max", "auto_idle")):
        yield f'enqueuer.{", ".join(idle)}: used only with processors = "auto"'
    if engine.lanes.large_over >= config.spool.max_size:
        over = show_size(engine.lanes.large_over)
        most = show_size(config.spool.max_size)
        yield (
            f"enqueuer.lanes.large_over = {over}: spool.max_size = {most} refuses larger messages, so no message counts as large, "
            f"and a few may occupy all processors; write less, e.g. 1M"
        )
    if not config.spool.min_free.endswith("%") and int(config.spool.min_free) < LITTLE:
        free = show_size(Size(config.spool.min_free))
        yield f'spool.min_free = {free}: this protects nothing; write a percentage of the disk, e.g. "2%", or a size, e.g. "5G"'
    if config.spool.max_size < LITTLE:
        yield f"spool.max_size = {show_size(config.spool.max_size)}: most mail is larger, and is refused; write e.g. 256M"
    if config.spool.durability == "off":
        yield 'spool.durability = "off": nothing is synced, so a power cut loses mail; write "group"'
    yield from _logs(config)


def _door(door: Door, config: Config) -> Iterator[str]:
    if not door.listen.is_private:
        yield (
            f"listen = {door.listen}: other machines reach it, and it has no passwords"
            + (" but the token" if door.token_file else "")
            + "; let a firewall admit your MTAs only, or listen on 127.0.0.1"
        )
    if door.listen.path and door.mode.endswith(("6", "7", "2", "3")):
        yield f'mode = "{door.mode}": every account of this machine may ask it; write "0660" and the group of the MTA'
    slow = [
        each.name
        for each in config.filters
        if each.enabled and each.timeout > door.answer_within and each.on_failure not in (door.on_late, "reject")
    ]
    if slow:
        yield (
            f"answer_within = {show_seconds(door.answer_within)} is shorter than the timeout of {', '.join(slow)}: "
            f'on_late = "{door.on_late}" applies before on_failure of the filter; write a shorter timeout into the filter'
        )
    for word, what in (("on_late", door.on_late), ("on_failure", door.on_failure)):
        if what == "pass":
            yield f'{word} = "pass": mail goes on unscanned when we cannot answer; write "defer"'


def _logs(config: Config) -> Iterator[str]:
    keep = config.retention
    size = config.enqueuer.log_file_size
    if keep.logs == math.inf and not keep.logs_size:
        yield 'retention.logs = "never" and logs_size = "0": logs fill the disk, and then the mail stops; write e.g. logs_size = "10G"'
    if 0 < keep.logs_size < FILES_KEPT * size:
        yield (
            f"retention.logs_size = {show_size(keep.logs_size)}: less than {FILES_KEPT} files of enqueuer.log_file_size = "
            f"{show_size(size)}, so that a full file may be deleted before it is compressed; write a smaller log_file_size"
        )


def _rule(rule: Rule) -> Iterator[str]:
    if rule.on_failure and not any(_asked(rule)):
        yield f'on_failure = "{rule.on_failure}", but this rule asks no filter, so it has no effect; write it into the rule that asks one'


def _asked(rule: Rule) -> Iterator[str]:
    return (words[1] for words in rule.actions if words[0] == "ExternalFilter")


def _filter(filter: Filter, used: bool) -> Iterator[str]:
    if filter.enabled and not used:
        yield "enabled, but no rule asks it, so it does nothing; name it in a rule, or write enabled = false"
    if not filter.enabled and used:
        yield "disabled, so the rules that name it let mail go on unscanned; write enabled = true, or remove it from these rules"
    if filter.timeout == math.inf:
        yield 'timeout = "never": a scan that hangs keeps its message without end; write a time, e.g. "2m"'
    elif filter.slow_after >= filter.timeout:
        yield (
            f"slow_after = {show_seconds(filter.slow_after)} is not below timeout = {show_seconds(filter.timeout)}: a helper is restarted "
            f"before it counts as stalled, and processors wait until then; write less than half of timeout"
        )


def _slots(filter: Filter, engine: EngineSettings) -> Iterator[str]:
    """Whether its slots have room for what the processors bring."""
    slots = filter.slots
    if slots == 1:
        yield (
            "one request at a time (instances x max_in_flight = 1): a large scan makes small messages wait; "
            "with 2 or more there is a lane for small ones"
        )
    elif engine.processors != "auto" and slots < engine.processors:
        yield (
            f"instances x max_in_flight = {slots} are fewer than enqueuer.processors = {engine.processors}: it scans no more at once, and "
            f"the other processors cannot use it; write max_in_flight = {math.ceil(engine.processors / filter.instances)} if it "
            f"supports that, or processors = {slots}"
        )
    if 0 < filter.max_requests < filter.max_in_flight:
        yield (
            f"max_requests = {filter.max_requests} is less than max_in_flight = {filter.max_in_flight}: a helper is replaced before it has "
            f"had as many requests as it may have open; write more"
        )


def _own(filter: Filter, config: Config) -> Iterator[str]:
    """Whether the limits that a filter in the box sets itself fit into those that it is set."""
    if (own := _in_the_box(filter.words())) is None:
        return
    if own.timeout >= filter.timeout:
        yield (
            f"timeout = {show_seconds(filter.timeout)} is not longer than its own --timeout ({own.timeout:g} s): it is restarted before it "
            f"can report that a scan took too long; add --timeout {max(1, math.floor(filter.timeout * 0.9))}s to program, or write a "
            f"longer timeout"
        )
    patience = sum(config.enqueuer.retry_after * 2**count for count in range(config.enqueuer.max_attempts + 1))
    if filter.words()[2] in DELAYING and filter.on_refused != "defer" and patience < LEAST_PATIENCE:
        yield (
            f'on_refused = "{filter.on_refused}": it delays mail on purpose (greylisting, rate limits), and mail that it delays for over '
            f'{show_seconds(patience)} is given up; write on_refused = "defer", or a longer enqueuer.retry_after'
        )
    if 0 < filter.memory_limit < own.memory:
        yield (
            f"memory_limit = {show_size(filter.memory_limit)} is below its own --memory ({show_size(own.memory)}), and the smaller one "
            f"counts; add --memory {_written(filter.memory_limit)} to program, or write a larger memory_limit"
        )
    if filter.cpu_limit < own.cpu:
        yield (
            f"cpu_limit = {show_seconds(filter.cpu_limit)} is below its own --cpu ({show_seconds(own.cpu)}), and the smaller one counts; "
            f"add --cpu {math.ceil(filter.cpu_limit)}s to program, or write a longer cpu_limit"
        )
    large = math.ceil(Lanes(0, config.enqueuer.lanes.large_share, filter.slots).limit / filter.instances)
    if own.workers and filter.slots > 1 and large >= own.workers:
        yield (
            f"max_in_flight = {filter.max_in_flight} allows {large} large messages at once, and its {own.option} are {own.workers}: they "
            f"can make all small ones wait; write max_in_flight = {own.workers}, or add {own.option} {filter.max_in_flight} to program"
        )


def _written(size: int) -> str:
    """A size as it is written in an option, never rounded down to 0, which means no limit."""
    return f"{size >> 20}M" if size >= 1 << 20 else str(int(size))


def _in_the_box(words: Sequence[str]) -> Own | None:
    """The limits of `enqueuer filter NAME OPTIONS`; None for any other command."""
    if len(words) < 3 or words[0].rpartition("/")[2] != "enqueuer" or words[1] != "filter" or words[2] not in IN_THE_BOX:
        return None
    own = IN_THE_BOX[words[2]]
    said = dict(_options(words[3:]))
    try:
        timeout = Seconds.option(said["--timeout"]) if "--timeout" in said else own.timeout
        memory = Size.parse(said.get("--memory", own.memory))
        cpu = Seconds.option(said.get("--cpu", "0s"))
        return own._replace(timeout=timeout, workers=int(said.get(own.option, own.workers)), memory=memory, cpu=cpu)
    except ValueError:
        return None  # it says so itself when it is started


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options before the first word that is none: what follows that are another program's."""
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if not name.startswith("--") or name == "--":
            return
        yield name, value if equals or name in FLAGS else next(rest, "")


def _set(table: msgspec.Struct, *keys: str) -> list[str]:
    """Those of the keys that are not what they are by default."""
    return [key for key in keys if getattr(table, key) != getattr(type(table)(), key)]
