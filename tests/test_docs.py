"""Demands on docs/: a table that names its tests names such as are there."""

import re

from filterlink.protocol.referee import CHAOS, RULES
from tests.helpers.paths import ROOT

DOCS = ROOT / "docs"
_NAMED = re.compile(r"`((?:tests/(?:\w+/)+)?test_\w+\.py)::(test_\w+)`")


def test_each_row_of_the_drop_folder_names_a_test_that_is_there() -> None:
    """Rows without a test, and tests that were renamed, are told."""
    rows = [
        line
        for line in (DOCS / "spool.md").read_text().splitlines()
        if line.startswith("| ") and "test" not in line.split("|")[-2].split()[:1]
    ]
    unnamed = [row for row in rows if not _NAMED.search(row)]
    missing = [name for row in rows for path, name in _NAMED.findall(row) if not _there(path, name)]

    assert len(rows) > 40
    assert (unnamed, missing) == ([], [])


def test_each_surrounding_names_a_test_that_is_there() -> None:
    """What the engine does there was tried."""
    rows = [line for line in (DOCS / "surroundings.md").read_text().splitlines() if line.startswith("| ")][1:]
    unnamed = [row for row in rows if not _NAMED.search(row)]
    missing = [name for row in rows for path, name in _NAMED.findall(row) if not _there(path, name)]

    assert len(rows) > 20
    assert (unnamed, missing) == ([], [])


def test_each_manner_of_a_real_helper_names_a_test_that_is_there() -> None:
    """What helpers do amiss is played somewhere, or does not stand in the table."""
    rows = _rows("helper-protocol.md", "## What real helpers do")
    unnamed = [row for row in rows if not _NAMED.search(row)]
    missing = [name for row in rows for path, name in _NAMED.findall(row) if not _there(path, name)]

    assert len(rows) > 30
    assert (unnamed, missing) == ([], [])


def test_each_cell_of_the_filters_names_a_test_that_is_there() -> None:
    """What a filter does when its server is away, reloads or hangs is shown by a test."""
    rows = _rows("filters.md", "## Servers that are unavailable, reload or hang")
    cells = [cell for row in rows for cell in row.strip("|").split(" | ")[1:]]
    unnamed = [cell for cell in cells if not _NAMED.search(cell)]
    missing = [name for cell in cells for path, name in _NAMED.findall(cell) if not _there(path, name)]

    assert len(cells) > 20
    assert (unnamed, missing) == ([], [])


def test_the_page_has_all_rules_of_the_protocol() -> None:
    """The table of the page is the table of the code."""
    said = {name: f"{rule} (tried with `--chaos`)" if name in CHAOS else rule for name, rule in RULES.items()}

    assert [f"| {name} | {rule} |" for name, rule in said.items()] == _rows("helper-protocol.md", "## The rules")


def test_figures_that_are_noise_are_called_so() -> None:
    """As the report of the benchmarks does: over 30% to either side is no result."""
    figures = re.findall(r"±(\d+)%( noise)?", (DOCS / "performance.md").read_text())

    assert len(figures) > 100
    assert [spread for spread, noise in figures if (int(spread) > 30) != bool(noise)] == []


def _rows(page: str, heading: str) -> list[str]:
    """The rows of the first table below a heading, without its head."""
    text = (DOCS / page).read_text().partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("|")][2:]


def _there(path: str, name: str) -> bool:
    """A file without a folder may be in any."""
    found = [ROOT / path] if path.startswith("tests/") else [*(ROOT / "tests").rglob(path)]
    return any(file.exists() and f"def {name}(" in file.read_text() for file in found)
