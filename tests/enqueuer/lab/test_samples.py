from collections import Counter
from pathlib import Path

import pytest

from enqueuer.lab import samples as module
from enqueuer.lab.samples import EICAR, GTUBE, SampleMessage, samples
from enqueuer.queue.message import header
from filterlink.filters.content.yara import DEFAULT_RULES, YaraFilter, compile_rules

ALL = samples()


def test_there_are_enough_of_each_kind() -> None:
    """About forty in all, each with a name of its own."""
    kinds = Counter(sample.expect for sample in ALL)

    assert 38 <= len(ALL) <= 50
    assert kinds["quarantined"] >= 8
    assert kinds["refused"] >= 1
    assert len({sample.name for sample in ALL}) == len(ALL)
    assert sum(len(sample.data) > 2_900_000 for sample in ALL) == 2


def test_the_same_seed_makes_the_same_messages() -> None:
    """So that a run can be repeated."""
    assert samples(7) == samples(7)
    assert samples(7) != samples(8)


def test_each_can_be_found_again() -> None:
    """By its Message-ID, which stands once in it."""
    assert all(sample.data.count(f"Message-ID: <demo.{sample.name}@".encode()) == 1 for sample in ALL)


@pytest.mark.parametrize("sample", ALL, ids=lambda sample: sample.name)
def test_each_has_the_fate_it_is_expected_to_have(sample: SampleMessage, tmp_path: Path) -> None:
    """The header gives recipients or none, the filter in the box a verdict."""
    head = sample.data[: header.header_end(sample.data)]
    if sample.expect == "refused":
        with pytest.raises(header.HeaderError):
            header.read(head)
        return
    assert header.read(head).recipients
    (tmp_path / "mail").write_bytes(sample.data)
    verdict = YaraFilter(compile_rules([str(DEFAULT_RULES)])).judge(str(tmp_path / "mail"))
    assert verdict.word == ("ERROR" if sample.expect == "quarantined" else "OK"), verdict.text


def test_the_test_strings_are_right_and_not_in_the_source() -> None:
    """They have their known length; the file itself is not one of them."""
    source = Path(module.__file__).read_bytes()

    assert (len(EICAR), len(GTUBE)) == (68, 68)
    assert EICAR not in source
    assert GTUBE not in source
