from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.config import schema as configs
from enqueuer.tune.apply import OLD, apply


def test_two_keys_are_written(make_base: Callable[..., Path]) -> None:
    """The rest stays, comments, order and mode included; the old file lies beside it."""
    base = make_base()
    file = base / "Settings/enqueuer.toml"
    file.chmod(0o604)
    before = file.read_text()

    assert apply(base, 12, {"Judge": 24})
    assert file.read_text() == before.replace("processors = 4 ", "processors = 12 ").replace("= 16 ", "= 24 ")
    assert (base / OLD).read_text() == before
    assert file.stat().st_mode & 0o777 == 0o604
    assert sorted(path.name for path in file.parent.iterdir()) == ["enqueuer.toml", "enqueuer.toml.before-tune", "lists"]


def test_what_stands_there_is_not_written_again(make_base: Callable[..., Path]) -> None:
    """Then there is nothing to go back to either."""
    base = make_base()

    assert not apply(base, 4, {"Judge": 16})
    assert not apply(base, None, {"Judge": 16})
    assert not (base / OLD).exists()


def test_a_file_that_became_faulty_is_left(make_base: Callable[..., Path]) -> None:
    """Somebody edits it meanwhile."""
    base = make_base()
    file = base / "Settings/enqueuer.toml"
    file.write_text(file.read_text() + "\nnonsense = 1\n")
    before = file.read_text()

    with pytest.raises(configs.ConfigError):
        apply(base, 12, {})
    assert file.read_text() == before
