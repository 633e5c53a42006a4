"""Demands on what is kept of a run: each benchmark once, as it was last measured."""

from pathlib import Path
from typing import Any

import pytest

from bench import results
from bench.results import Result, add, load, results_of


def entry(name: str, seconds: list[float], **said: Any) -> dict[str, Any]:
    """As pytest-benchmark writes it, with what bench.record.note adds."""
    told = {"x": ["processors", 4], "series": "", "messages": 0, "plot": [], "ideal": None, "judged": []} | said
    return {"name": name, "group": "g", "stats": {"data": seconds}, "extra_info": told}


def only(document: results.Document) -> Result:
    [found] = results_of(document)
    return found


def test_a_part_that_runs_again_replaces_its_own_entries(tmp_path: Path) -> None:
    """What was measured before and is not measured again stays; what was skipped and runs now is skipped no longer."""
    path = tmp_path / "full.json"
    add(path, "bench_a.py", [entry("one", [1.0]), entry("two", [1.0])], {"bench_a.py::three": "no clamd"})
    add(path, "bench_b.py", [entry("one", [5.0])], {})
    add(path, "bench_a.py", [entry("two", [2.0]), entry("three", [3.0])], {})

    found = [(each["file"], each["name"], each["seconds"]) for each in load(path)["benchmarks"]]
    expected = [("bench_a.py", "one", [1.0]), ("bench_b.py", "one", [5.0]), ("bench_a.py", "two", [2.0]), ("bench_a.py", "three", [3.0])]
    assert expected == found
    assert load(path)["skipped"] == {}


def test_a_file_that_ran_whole_leaves_nothing_old(tmp_path: Path) -> None:
    """A benchmark that was renamed or taken away is not in the report for ever; other files' are untouched."""
    path = tmp_path / "full.json"
    add(path, "bench_a.py", [entry("gone", [1.0])], {"bench_a.py::away": "no clamd"})
    add(path, "bench_b.py", [entry("gone", [1.0])], {})
    document = add(path, "bench_a.py", [entry("new", [1.0])], {}, whole=True)

    assert [(each.file, each.name) for each in results_of(document)] == [("bench_b.py", "gone"), ("bench_a.py", "new")]
    assert document["skipped"] == {}


def test_the_rate_is_that_of_each_round(tmp_path: Path) -> None:
    """100 messages in 1, 2 and 4 seconds are 100, 50 and 25 a second; the median is 50, and 37.5 to either side."""
    found = only(add(tmp_path / "x.json", "bench_a.py", [entry("one", [1.0, 2.0, 4.0], messages=100)], {}))

    assert found.values == {"messages/s": [100.0, 50.0, 25.0]}
    assert found.median("messages/s") == 50
    assert found.spread("messages/s") == 0.75
    assert found.plot == found.judged == ("messages/s",)


def test_samples_stand_for_themselves(tmp_path: Path) -> None:
    """Where nothing was counted, samples are the values; where there are none, the time of a round."""
    path = tmp_path / "x.json"

    assert only(add(path, "bench_a.py", [entry("one", [1.0], samples={"p99 ms": [3.0]})], {})).values == {"p99 ms": [3.0]}
    assert only(add(path, "bench_a.py", [entry("one", [1.5])], {})).values == {"ms a round": [1500.0]}


def test_the_durability_is_the_one_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc is no filesystem that a group sync is known of: the engine would use "each" there."""
    monkeypatch.setattr("tempfile.tempdir", "/proc")

    assert (results.in_force("group"), results.in_force("off")) == ("each", "off")
    assert results.machine()["durability"] == "each"


@pytest.mark.parametrize(("path", "warned"), [("/dev/shm", True), ("/proc", True)])
def test_a_filesystem_that_says_nothing_is_named(monkeypatch: pytest.MonkeyPatch, path: str, warned: bool) -> None:
    """Figures from a tmpfs, or from where no group sync is to be had, carry a warning that names the place."""
    monkeypatch.setattr("tempfile.tempdir", path)

    assert (path in results.warning()) == warned
