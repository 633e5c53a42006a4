"""quarantine list and show: what was kept, and why."""

import json
from pathlib import Path
from typing import Any

import pytest

from enqueuer.queue.message import envelope


@pytest.fixture
def kept(base: Path) -> Path:
    made = envelope.make(b"ann@example.com", [b"bob@example.com"], "24-11-2026 10:00:00", "localhost")
    (base / "Quarantine/7.msg").write_bytes(made.above + envelope.Digest().line() + made.below + b"Subject: x\n\nbody\n")
    (base / "Quarantine/7.why").write_text('{"reason": "a virus", "filter": "VirusScan", "log": ["one", "two"]}')
    return base


@pytest.mark.usefixtures("kept")
def test_the_list_names_the_reason(enqueuer: Any) -> None:
    """It is what the administrator looks for."""
    assert enqueuer("quarantine", "list").stdout.decode().splitlines()[1].endswith("<ann@example.com>  a virus")
    assert json.loads(enqueuer("quarantine", "list", "--json").stdout)[0]["why"]["filter"] == "VirusScan"


@pytest.mark.usefixtures("kept")
def test_show_tells_all_of_it(enqueuer: Any) -> None:
    """Reason, envelope and header; each log line on its own."""
    page = enqueuer("quarantine", "show", "7").stdout.decode()

    for text in ("reason: a virus", "log: one", "log: two", "<bob@example.com>", "Subject: x"):
        assert text in page
