"""The helpers that our pages print, run as they stand there: README.md and docs/helper-protocol.md."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filterlink.protocol.protocol import HelperReply
from filterlink.wire.frames import AnswerKind
from filterlink.workbench.testbench import BenchPlan, TestBench
from tests.helpers.paths import ROOT

Rigs = Callable[..., Any]


def printed(language: str) -> str:
    """The helper in this language on the page of the protocol; "README": the one there."""
    if language == "README":
        [block] = re.findall(r"\n\n((?:    .*\n)*    #!/bin/sh\n(?:    .*\n)+)", (ROOT / "README.md").read_text())
        return textwrap.dedent(block)
    [block] = re.findall(rf"```{language}\n(#!.*?)```", (ROOT / "docs/helper-protocol.md").read_text(), re.DOTALL)
    return str(block)


@pytest.fixture(params=["README", "sh", "perl", "python"])
def helper(request: pytest.FixtureRequest, base: Path) -> Path:
    """A helper in the base directory, executable."""
    path = base / "nomoney"
    path.write_text(printed(request.param))
    path.chmod(0o755)
    return path


class Messages:
    """Every third message says the words."""

    def take(self, index: int) -> str:
        path = Path(f"Queue/{index}.{len(list(Path('Queue').iterdir()))}.msg")
        path.write_text("Subject: Free Money\n" if index % 3 == 0 else "Subject: hello\n")
        return str(path)

    def back(self, path: str) -> bool:
        return Path(path).read_text().startswith("Subject: ")

    def line(self, direction: str, line: bytes) -> None:
        """Nobody looks on."""

    def answer(self, index: int, reply: HelperReply | None, seconds: float) -> None:
        """They are counted elsewhere."""


def test_it_breaks_no_rule(helper: Path) -> None:
    """On the bench, with chaos, every message gets the right verdict and no rule is broken."""
    files = Messages()
    report = TestBench(BenchPlan(words=[str(helper)], count=60, concurrency=8, timeout=10, chaos=True), files, files).run()

    assert {rule: found.first for rule, found in report.broken.items()} == {}
    assert dict(report.verdicts) == {"ERROR": 20, "OK": 40}
    assert (report.starts, report.status) == (1, 0)


def test_it_judges_in_the_multiplexer(rig: Rigs, helper: Path) -> None:
    """Eight clients at once get the right verdicts."""
    for id in range(1, 25):
        Path(f"Queue/{id}.msg").write_text("free money\n" if id % 2 else "hello\n")
    answers = rig(f"./{helper.name}").ask_many(range(1, 25), clients=8)

    assert {id: AnswerKind.ERROR if id % 2 else AnswerKind.OK for id in range(1, 25)} == {
        id: answer.answer.kind for id, answer in answers.items()
    }
    assert answers[1].answer.text == "spam"
