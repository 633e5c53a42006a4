"""Rules and log: what do Server-Wide Rules and a louder Server Log cost?

The answer shows from how many rules on the file becomes slow, and what a higher `log_level` costs during a search for a
fault. 4 processors, 8 KiB, a helper that answers at once. The rules come before the one that scans, have two conditions each, and
none of them holds, so all are tried. The default level is "problems": two lines a message; "all" has about ten.

Two more figures are in one run each, as ratios. The engine with 20 rules that read the header is compared with the engine with
one rule that scans (at least 0.85 is wanted). And 200 rules of all kinds are tried on one message, without an engine (less than 1
ms is wanted).
"""

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, helper, message, published
from bench.record import note, sample
from enqueuer.config.schema import load
from enqueuer.policy import rules
from enqueuer.policy.active import ActivePolicy
from enqueuer.queue.message import envelope

NOT = 'conditions = [["Message Size", "greater than", "{n}"], ["Message Size", "less than", "{n}"]]'
RULE = '{{name = "rule {n}", priority = 9, ' + NOT + ', actions = [["Discard"]]}},'
MESSAGES = 3000


def measure(benchmark: BenchmarkFixture, text: str, x: dict[str, float | str]) -> None:
    data = message(8192)
    with engine(text) as trial:
        Pile(trial, 500, data).run()  # warm

        def setup() -> tuple[tuple[Pile], dict[str, object]]:
            return (Pile(trial, MESSAGES, data),), {}

        note(benchmark, x, messages=MESSAGES)
        benchmark.pedantic(Pile.run, setup=setup, rounds=3)  # type: ignore[no-untyped-call]


@pytest.mark.full
@pytest.mark.benchmark(group="rules that do not hold, 4 processors")
@pytest.mark.parametrize("count", [0, 20, 200])
def test_rules(benchmark: BenchmarkFixture, count: int) -> None:
    """Compare each message with all of them."""
    measure(benchmark, config(4, helper("noop"), rules="".join(RULE.format(n=n + 1) for n in range(count))), {"rules": count})


@pytest.mark.full
@pytest.mark.benchmark(group="log levels, 4 processors")
@pytest.mark.parametrize("level", ["crashes", "problems", "low-level", "all"])
def test_log_levels(benchmark: BenchmarkFixture, level: str) -> None:
    """Set the level of the engine and of the filter."""
    text = config(4, helper("noop"), log_level=level).replace('name = "F"', f'name = "F"\nlog_level = "{level}"')
    measure(benchmark, text, {"log_level": level})


HEADERS = (
    'from in "*@spam.example,*@junk.example"',
    'subject is "*invoice*" and not human',
    'header("X-Spam-Flag") is "yes"',
    'any to_or_cc is "list@example.net" or header("List-Id") is "*example*"',
    'message_id is "*@bulk.example>" or from_name is "*bank*"',
)
MIXED = (
    *HEADERS,
    'any recipient in "ann@example.org,bob@example.org,*@old.example"',
    'size > 10M and time_of_day < "06:00"',
    'source is "trusted" or client in "10.0.0.0/8,192.168.0.0/16"',
    'return_path not in "*@example.com,*@example.org" and subject is "[ext]*"',
    'any route is "SMTP*" or submit_address is "DSN"',
)
WHEN = '{{name = "rule {n}", priority = 9, when = \'{when}\', actions = [["Discard"]]}},'


def _rules(sentences: tuple[str, ...], count: int) -> str:
    return "".join(WHEN.format(n=n + 1, when=sentences[n % len(sentences)]) for n in range(count))


def _rate(text: str) -> float:
    """Return the messages a second of an engine whose drops come while it runs."""
    data = message(8192)
    with engine(text) as trial:
        Pile(trial, 200, data).run()  # warm
        begun = time.time()
        Pile(trial, MESSAGES, data).run()
        return MESSAGES / (published(trial.base)[-1] - begun)


@pytest.mark.full
@pytest.mark.benchmark(group="20 rules that read the header, beside one rule, 4 processors")
def test_rules_that_read_headers(benchmark: BenchmarkFixture) -> None:
    """Measure in turns, each round in the opposite order."""
    note(benchmark, {"rules": 20}, plot=["20 rules/s", "one rule/s"], judged=["ratio"])
    many = config(4, helper("noop"), rules=_rules(HEADERS, 20))
    one = config(4, helper("noop"))
    turns = iter(range(6))

    def run() -> None:
        order = (many, one) if next(turns) % 2 else (one, many)
        rates = {text: _rate(text) for text in order}
        sample(benchmark, {"20 rules/s": rates[many], "one rule/s": rates[one], "ratio": rates[many] / rates[one]})

    benchmark.pedantic(run, rounds=6)  # type: ignore[no-untyped-call]


@pytest.mark.benchmark(group="200 rules of all kinds on one message")
def test_rules_alone(benchmark: BenchmarkFixture) -> None:
    """Parse the header, and try all rules; none of them holds."""
    text = "rules = [" + _rules(MIXED, 200) + ']\nroutes = [{recipient = "*", to = "OUT"}]'
    policy = ActivePolicy.of(load(text.encode()))
    lines = envelope.make(b"ann@example.com", [b"carl@example.net", b"dora@example.net"], "24-12-2026 10:00:00", "mx.example.net")
    header = message(8192).partition(b"\n\n")[0] + b"\n"

    def walk() -> None:
        facts = policy.facts(1, 8192, lines, lambda: header, lambda _: (), now=1.8e9)
        assert isinstance(rules.decide(policy.rules, facts, {}), rules.Ruling)

    note(benchmark, {"rules": 200})
    benchmark.pedantic(walk, rounds=200, iterations=5, warmup_rounds=20)  # type: ignore[no-untyped-call]
