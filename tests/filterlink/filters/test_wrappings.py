"""Demands on the filter in the box as a whole: what another program opens of a message, the filter has looked at.

The wrappings are made in tests/helpers/wrappings, the other programs are asked in tests/helpers/oracles.
"""

import functools

import pytest

from tests.helpers.oracles.readers import readers
from tests.helpers.oracles.unpackers import unpackers
from tests.helpers.wrappings import clean
from tests.helpers.wrappings.base import PAYLOADS
from tests.helpers.wrappings.corpus import PASS, Shipped, reason, rows, wrappings


@functools.cache
def clean_messages() -> dict[str, bytes]:
    return dict(clean.messages())


def test_there_are_enough_wrappings() -> None:
    names = [each.name for each in wrappings()]
    assert len(names) == len(set(names)) >= 300
    assert {each.kind for each in wrappings()} == {"structure", "names", "archives", "containers"}
    assert (len(PAYLOADS), len(clean_messages())) >= (3, 60)


@pytest.mark.server
def test_what_another_program_opens_is_caught() -> None:
    """Where no program is installed but Python's own, this holds as well, for what these open."""
    if len(readers()) < 6 or len(unpackers()) < 5:
        pytest.skip("needs the Debian packages of .ci/packages")
    found = rows()
    opened = [row for row in found if row.chains]
    passed = [row for row in opened if row.passes]

    assert len(opened) > 2000
    assert not [str(row) for row in passed if not reason(row.name)]
    listed = {row.name for row in passed} | {row.name.partition(":")[0] for row in passed}
    assert not [name for name in PASS if name not in listed], "these are caught now: take them from the list"


@pytest.mark.parametrize("name", clean_messages())
def test_clean_mail_is_not_stopped(name: str) -> None:
    assert Shipped.one().says(clean_messages()[name]) == "OK"


def test_clean_mail_is_hardly_ever_flagged() -> None:
    flagged = {name: flags for name, message in clean_messages().items() if (flags := Shipped.one().flags(message))}
    assert len(flagged) < len(clean_messages()) / 100, flagged
