"""Demands on docs/: a table that names its tests names such as are there."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
_NAMED = re.compile(r"`((?:tests/\w+/)?test_\w+\.py)::(test_\w+)`")


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


def _there(path: str, name: str) -> bool:
    file = DOCS.parent / (path if path.startswith("tests/") else f"tests/queue/{path}")
    return file.exists() and f"def {name}(" in file.read_text()
