"""Idle: what does an engine cost that has nothing to do?

The answer decides whether a small machine can keep many processors. Wake-ups are those of all threads of a role. CPU
is in percent of one core. Private memory is what would be free if the process ended (without the memory that all share with the
supervisor). The figures cover ten seconds of an engine that has done a thousand messages before. Helpers are not counted, because they
are the administrator's choice.
"""

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, helper, message
from bench.procs import private_mib, roles, uses
from bench.record import note, sample

SECONDS = 10
PROCESSORS = 8
ROLES = ("supervisor", "queue manager", "filterlink", "watcher", "logger", "processor")


def idle() -> dict[str, dict[str, float]]:
    """Return the use by role, and of all together."""
    with engine(config(PROCESSORS, helper("noop"))) as trial:
        Pile(trial, 1000, message(8192)).run()
        time.sleep(2)  # timers and caches of a second have expired
        found = roles(trial)
        before = {role: uses(pids) for role, pids in found.items()}
        time.sleep(SECONDS)
        spent = {role: uses(pids).since(before[role]) for role, pids in found.items()}
        table = {role: _row(spent[role].wakeups, spent[role].cpu, [private_mib(pid) for pid in found[role]]) for role in found}
    table["all"] = {name: sum(row[name] for row in table.values()) for name in ("wake-ups a second", "CPU %")}
    return table


def _row(wakeups: int, cpu: float, memory: list[float]) -> dict[str, float]:
    return {"wake-ups a second": wakeups / SECONDS, "CPU %": cpu / SECONDS * 100, "private MiB each": sum(memory) / len(memory)}


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, float]]:
    return idle()


@pytest.mark.benchmark(group="an idle engine, 8 processors")
@pytest.mark.parametrize("role", [*ROLES, "all"])
def test_idle(benchmark: BenchmarkFixture, role: str, table: dict[str, dict[str, float]]) -> None:
    """Measure an engine that was busy before."""
    note(benchmark, {"process": role}, plot=["CPU %"])
    sample(benchmark, table[role])
    benchmark.pedantic(lambda: None, rounds=1)  # type: ignore[no-untyped-call]
