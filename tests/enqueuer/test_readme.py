"""README.md, "Your own filter": helper and config file as printed there, in a running engine."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

from enqueuer.lab.trial import Trial
from tests.helpers.paths import ROOT

README = ROOT / "README.md"


def blocks() -> list[str]:
    """The indented blocks of the section."""
    section = README.read_text().partition("## Your own filter\n")[2].partition("\n## ")[0]
    return [textwrap.dedent(block).lstrip("\n") for block in re.findall(r"(?:(?:    .*)?\n)+", section) if block.strip()]


def test_your_own_filter(trials: Callable[[str], Trial], mail: Callable[..., bytes], tmp_path: Path) -> None:
    """What says "free money" is in Quarantine with the reason, the rest goes out."""
    helper, config = blocks()
    program = tmp_path / "nomoney"
    program.write_text(helper)
    program.chmod(0o755)
    assert 'program = "/usr/local/bin/nomoney"' in config
    trial = trials(config.replace("/usr/local/bin/nomoney", str(program)) + '\n[[routes]]\nrecipient = "*"\nto = "OUT"\n')
    trial.start()
    trial.drop("good", mail("good"))
    trial.drop("bad", mail("Free Money"))
    trial.wait(lambda: len(trial.outbound()) == 1 and list((trial.base / "Quarantine").glob("*.why")), "both are judged")
    [why] = (trial.base / "Quarantine").glob("*.why")

    assert b"Subject: good" in trial.outbound()[0].read_bytes()
    assert "spam" in why.read_text()
