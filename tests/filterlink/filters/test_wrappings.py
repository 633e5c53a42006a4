"""Demands on the filter in the box as a whole: what another program opens of a message, the filter has looked at.

The wrappings are made in tests/helpers/wrappings, the other programs are asked in tests/helpers/oracles.
"""

import functools
import re
import sys
from importlib import resources
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from tests.helpers.oracles.readers import readers
from tests.helpers.oracles.unpackers import unpackers
from tests.helpers.paths import ROOT
from tests.helpers.wrappings import clean
from tests.helpers.wrappings.base import HEAD, PAYLOADS
from tests.helpers.wrappings.corpus import PASS, Shipped, reason, rows, wrappings


@functools.cache
def clean_messages() -> dict[str, bytes]:
    return dict(clean.messages())


def test_there_are_enough_wrappings() -> None:
    names = [each.name for each in wrappings()]
    assert len(names) == len(set(names)) >= 300
    assert {each.kind for each in wrappings()} == {"structure", "names", "archives", "containers"}
    assert (len(PAYLOADS), len(clean_messages())) >= (3, 60)


def test_the_docs_name_groups_that_are_there_and_all_that_pass() -> None:
    text = (ROOT / "docs/filters.md").read_text()
    kinds, _, passing = text.partition("### What other programs open")[2].partition("\n## ")[0].partition("These pass")
    told = [name for line in kinds.splitlines() if line.startswith("| ") for name in re.findall("`([^`]+)`", line.split(" | ")[-1])]
    names = [each.name for each in wrappings()]

    assert not [name for name in told if not any(each.startswith(name) for each in (*names, "tests/helpers/wrappings/clean.py"))]
    assert not [name for name in PASS if f"`{name}`" not in passing]
    assert len(told) > 40


@pytest.mark.server
def test_what_another_program_opens_is_caught() -> None:
    if len(readers()) < 6 or len(unpackers()) < 5:
        pytest.skip("needs the Debian packages of .ci/packages")
    found = rows()
    opened = [row for row in found if row.chains]
    passed = [row for row in opened if row.passes]

    assert len(opened) > 2000
    assert not [str(row) for row in passed if not reason(row.name)]
    listed = {row.name for row in passed} | {row.name.partition(":")[0] for row in passed}
    assert not [name for name in PASS if name not in listed], "these are caught now: take them from the list"


def _sample() -> dict[str, bytes]:
    """Of each group the first wrapping that may not pass, with the payload that only its name gives away."""
    groups: dict[str, bytes] = {}
    for wrapping in wrappings():
        message = wrapping.build(PAYLOADS[2])
        if message.startswith(HEAD) and not reason(wrapping.name):  # a drop needs a header
            groups.setdefault(wrapping.name.partition(":")[0], message)
    return {name: message for name, message in groups.items() if Shipped.one().says(message).startswith("ERROR")}


def test_an_engine_puts_them_into_quarantine(tmp_path: Path) -> None:
    """With the config as it is shipped, one of each group; a clean message goes on."""
    sample = _sample()
    text = (
        resources.files("enqueuer.config")
        .joinpath("default.toml")
        .read_text()
        .replace('"enqueuer filter yara"', f'"{sys.executable} -m enqueuer.cli.app filter yara"')
    )
    with Trial(tmp_path / "base", text) as trial:
        for number, message in enumerate(sample.values()):
            trial.drop(f"caught{number}", message)
        trial.drop("clean", clean_messages()["PDF"])
        trial.wait(lambda: sum(trial.status()["totals"][end] for end in ("enqueued", "quarantined")) > len(sample), "all have ended", 60)
        totals = trial.status()["totals"]

    assert len(sample) > 30
    assert (totals["quarantined"], totals["enqueued"]) == (len(sample), 1)
    assert len(list((tmp_path / "base/Quarantine").glob("*.msg"))) == len(sample)


@pytest.mark.parametrize("name", clean_messages())
def test_clean_mail_is_not_stopped(name: str) -> None:
    assert Shipped.one().says(clean_messages()[name]) == "OK"


def test_clean_mail_is_not_flagged() -> None:
    assert {name: flags for name, message in clean_messages().items() if (flags := Shipped.one().flags(message))} == {}
