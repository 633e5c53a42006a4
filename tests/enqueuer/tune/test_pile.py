from pathlib import Path

import pytest

from enqueuer.tune import pile as module
from enqueuer.tune.pile import Pile, sweep_out


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base" / "Submitted").mkdir(parents=True)
    return tmp_path / "base"


def contents(base: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (base / "Submitted").iterdir()}


def test_messages_are_fed_in_turn(base: Path) -> None:
    """Each under a name of its own, whether it lay ready or not."""
    pile = Pile(base, [b"a", b"b"], ".eml")
    pile.prepare(2)

    assert pile.feed(3) == ["0.eml", "1.eml", "2.eml"]
    assert contents(base) == {"0.eml": b"a", "1.eml": b"b", "2.eml": b"a"}
    assert pile.feed(-1) == []


def test_only_what_is_missing_is_written(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more than the limits allow."""
    monkeypatch.setattr(module, "MOST_BYTES", 50)
    pile = Pile(base, [b"x" * 10], ".eml")
    pile.prepare(3)
    pile.feed(1)
    pile.prepare(3)
    ready = base.parent / "ready"

    assert len(list(ready.iterdir())) == 3
    pile.prepare(100)
    assert len(list(ready.iterdir())) == 5


def test_what_came_out_is_swept_out(base: Path) -> None:
    """Outputs go; what waits stays."""
    for name in ("Outbound/OUT/1.msg", "Quarantine/2.msg", "Quarantine/2.why", "Bad/3.msg", "Submitted/4.bad", "Submitted/4.bad.why"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).touch()
    (base / "Submitted/5.eml").touch()
    sweep_out(base)

    assert [path.name for path in base.rglob("*") if path.is_file()] == ["5.eml"]


def test_without_a_message_there_is_no_pile(base: Path) -> None:
    """It says so at once."""
    with pytest.raises(ValueError, match="no message"):
        Pile(base, [], ".eml")
