import os
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.config import schema as configs
from enqueuer.lab.trial import TrialError
from enqueuer.tune.rig import Rig, Stop, Stopped, rig, used_filters

HELPER = """#!/bin/sh
while read -r number verb rest; do
  case $verb in
    INTF) echo "$number INTF 4" ;;
    *)    [ "$(cat Settings/word)" = open ] && echo "$number OK" || echo "$number FAILURE" ;;
  esac
done
"""


def files(base: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in base.rglob("*") if path.is_file()}


def test_a_trial_runs_beside_the_real_one(make_base: Callable[..., Path]) -> None:
    """Helper and files are found as in the real folder; the real one is as it was, and nothing is left in it."""
    base = make_base(program="./judge.sh")
    (base / "judge.sh").write_text(HELPER)
    (base / "judge.sh").chmod(0o755)
    (base / "ready").mkdir()
    (base / "Settings/word").write_text("open")
    (base / "Settings/new").write_text("somebody's")
    (base / "Submitted/live.eml").write_bytes(b"To: a@b.c\n\n")
    before = files(base)
    with rig(base, Stop()) as found:
        assert found.trial.base.is_relative_to(base / "Run")
        found.start(1, {})
        found.trial.drop("1", b"To: a@b.c\n\n")
        found.trial.wait(found.trial.outbound, "it is out")
        found.resize(3)
        assert found.status()["processors"]["running"] == 3
        found.start(2, {"Judge": 7})
        assert found.trial.pids("processor 2")
        assert "max_in_flight = 7" in (found.trial.base / "Settings/enqueuer.toml").read_text()
        pid = found.engine

    assert files(base) == before
    assert not list((base / "Run").iterdir())
    assert not Path(f"/proc/{pid}").exists()


def test_a_filter_that_does_not_start_is_named(make_base: Callable[..., Path]) -> None:
    """With what it said, and soon."""
    with (
        rig(make_base(program="sh -c 'echo no such thing >&2; exit 3'"), Stop()) as found,
        pytest.raises(TrialError, match="no such thing"),
    ):
        found.start(1, {})


def test_the_reader_may_stop_any_wait(make_base: Callable[..., Path]) -> None:
    """There is no engine afterwards either."""

    class Now(Stop):
        def __call__(self, pause: float = 0.0) -> bool:
            return True

    base = make_base()
    with pytest.raises(Stopped), rig(base, Now()) as found:
        found.start(1, {})

    assert not list((base / "Run").iterdir())


def test_what_a_killed_one_left_is_removed(make_base: Callable[..., Path]) -> None:
    """And what one left that still runs is not."""
    base = make_base()
    (base / "Run/tune-4194305-x/base").mkdir(parents=True)
    (base / f"Run/tune-{os.getpid()}-x").mkdir()
    with rig(base, Stop()):
        pass

    assert [path.name for path in (base / "Run").iterdir()] == [f"tune-{os.getpid()}-x"]


def test_the_engine_ends_with_whoever_measures(make_base: Callable[..., Path]) -> None:
    """It is told by the kernel."""
    with rig(make_base(), Stop()) as found:
        assert "prctl(1" in found.trial.prefix[-1]


def test_filters_that_no_rule_asks_are_not_used() -> None:
    """Nor those that are disabled, nor those of rules that are off."""
    rules = "".join(
        f'[[rules]]\nname = "{name}"\npriority = {priority}\nactions = [["ExternalFilter", "{name}"]]\n'
        for name, priority in (("A", 5), ("B", 0), ("C", 5))
    )
    filters = "".join(
        f'[[filters]]\nname = "{name}"\nprogram = "x"\nenabled = {on}\n'
        for name, on in (("A", "true"), ("B", "true"), ("C", "false"), ("D", "true"))
    )
    config = configs.load((filters + rules + '[[routes]]\nrecipient = "*"\nto = "OUT"\n').encode())

    assert used_filters(config) == ["A"]


def test_the_log_tells_of_messages_whatever_its_level(make_base: Callable[..., Path]) -> None:
    """The wait is read from it; a chattier level stays."""
    base = make_base(top='enqueuer.log_level = "crashes"').joinpath()
    text = (base / "Settings/enqueuer.toml").read_text().replace("[enqueuer]\n", "").replace("processors = 4", "")
    (base / "Settings/enqueuer.toml").write_text(text)
    with rig(base, Stop()) as found:
        assert isinstance(found, Rig)
        assert configs.load((found.trial.base / "Settings/enqueuer.toml").read_bytes()).enqueuer.log_level == "major"
