"""docs/rules.md: its reference is that of the code, its tables name all keys, and each recipe does what it says."""

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from enqueuer.cli._ruletest import document
from enqueuer.config import lint
from enqueuer.config.schema import Config, load
from enqueuer.lab.ruletrial import GivenMail, GivenSession, try_rules
from enqueuer.policy.rules import Rule
from filterlink.protocol.partfacts import FACTS, PartFacts, to_field
from filterlink.wire.frames import AnswerKind, FilterAnswer
from tests.helpers.rulespage import PAGE, with_reference

TEXT = PAGE.read_text()
RECIPES = {
    int(number): (title, re.findall(r"```toml\n(.*?)```", body, re.DOTALL))
    for number, title, body in re.findall(r"^### (\d+)\. ([^\n]+)\n(.*?)(?=^### |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}
REST = """
[[filters]]
name = "Virus"
program = "virus"
[[filters]]
name = "Spam"
program = "spam"
[[routes]]
recipient = "*"
to = "OUT"
"""
LISTS = {
    "partners": ("*@partner.example",),
    "blocked": ("eve@blocked.example",),
    "friends": ("ann@friend.example",),
}
NIGHT = 1798149600.0
"""24 Dec 2026 22:00 in UTC."""


class Case(NamedTuple):
    """A message, and what becomes of it: outcome, recipients and effects of each part."""

    expected: list[tuple[str, str, list[str]]]
    session: GivenSession = GivenSession()
    size: int = 100
    subject: str = "hello"
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    score: float | None = None
    virus: AnswerKind | None = None
    header: str = ""
    human: str = "bob@out.example"
    shadow: int = 0
    remembered: str = ""


def came(*to: str, sender: str = "bob@out.example", client: str = "192.0.2.7", at: float = NIGHT) -> GivenSession:
    return GivenSession(sender=sender, recipients=to or ("a@example.org",), client=client, at=at)


INSIDE = came(client="10.1.2.3")
PASSED = [("enqueued", "a@example.org", list[str]())]
DAY = NIGHT - 10 * 3600
CASES: dict[int, list[Case]] = {
    1: [
        Case([("enqueued", "a@example.org", ['tags the subject "[EXTERNAL]"'])], came()),
        Case(PASSED, came(), subject="Re: [EXTERNAL] hello"),
        Case(PASSED, INSIDE),
        Case(PASSED, came(sender="x@partner.example")),
        Case(PASSED, came(sender="x@example.org")),
    ],
    2: [
        Case(
            [("quarantined", "a@example.org", []), ("enqueued", "lab@example.org", [])],
            came("a@example.org", "lab@example.org"),
            names=("B.EXE",),
        ),
        Case(PASSED, came(), names=("b.pdf",)),
    ],
    3: [
        Case([("quarantined", "a@example.org", [])], came(), size=11_000, virus=AnswerKind.ERROR),
        Case(PASSED, came(), size=9_000),
        Case(PASSED, INSIDE, size=11_000),
    ],
    4: [
        Case(
            [("rejected", "office@example.org", []), ("enqueued", "b@example.org, c@example.org", [])],
            came("office@example.org", "b@example.org", "c@example.org"),
            human="eve@blocked.example",
        ),
        Case([("enqueued", "office@example.org", [])], came("office@example.org")),
    ],
    5: [
        Case([("on_hold", "a@example.org", ["until 20:00"])], came(at=DAY), size=21 << 20),
        Case(PASSED, came(at=DAY)),
        Case(PASSED, came(at=NIGHT), size=21 << 20),
    ],
    6: [Case([("enqueued", "a@example.org", ["sends a copy to archive@example.net (archive)"])], came())],
    7: [
        Case(
            [("enqueued", "info@example.org", ["sends a new message (reply) to bob@out.example"])],
            came("info@example.org", at=NIGHT + 86400),
        ),
        Case([("enqueued", "info@example.org", [])], came("info@example.org", at=NIGHT + 86400), header="Precedence: bulk\n"),
        Case([("enqueued", "info@example.org", [])], came("info@example.org", at=NIGHT - 30 * 86400)),
    ],
    8: [
        Case([("enqueued", "a@example.org", ["adds X-Spam-Flag: YES"])], came(), score=5.5),
        Case(PASSED, came(), score=4.5),
    ],
    9: [
        Case([("enqueued", "a@example.org", ["goes into JUNK"])], came(), score=7.5),
        Case(PASSED, came(), score=7.5, human="ann@friend.example"),
        Case(PASSED, came(), score=3.0),
    ],
    10: [
        Case(PASSED, INSIDE, virus=AnswerKind.OK),
        Case(PASSED, came(), virus=AnswerKind.OK, score=1.0),
    ],
    11: [
        Case(
            [("rejected", "all-staff@example.org", []), ("enqueued", "a@example.org", [])], came("all-staff@example.org", "a@example.org")
        ),
        Case([("enqueued", "all-staff@example.org", [])], came("all-staff@example.org", client="10.0.0.1")),
    ],
    12: [
        Case(
            [("enqueued", "b@example.org", []), ("enqueued", "postmaster@example.org", ["goes to ann@example.org instead"])],
            came("postmaster@example.org", "b@example.org"),
        ),
    ],
    13: [
        Case([("enqueued", "a@example.org", ["remembers bob@out.example in #known"])], INSIDE, score=1.0),
        Case(PASSED, came(), remembered="bob@out.example"),
        Case(PASSED, came(), score=1.0),
    ],
    14: [
        Case([("rejected", "a@example.org", [])], came(), names=("a.zip", "a.scr")),
        Case([("quarantined", "a@example.org", [])], came(), names=("a.zip",), types=("application/x-unreadable",)),
        Case(PASSED, came(), names=("a.zip",), types=("application/zip",)),
    ],
    15: [Case(PASSED, came(), header="Precedence: bulk\n", shadow=1), Case(PASSED, came())],
}


def config_of(number: int) -> Config:
    (piece,) = RECIPES[number][1]
    config = load((piece + REST).encode(), lists=LISTS)
    return msgspec.structs.replace(config, enqueuer=msgspec.structs.replace(config.enqueuer, time_zone="UTC"))


def test_the_reference_is_that_of_the_code() -> None:
    """If it is not: python -m tests.helpers.rulespage."""
    assert with_reference(TEXT) == TEXT


def test_the_table_of_keys_names_all() -> None:
    told = re.findall(r"^\| `(\w+)` \|", TEXT.partition("Commands for rules")[0], re.MULTILINE)

    assert sorted(told) == sorted(Rule.__struct_fields__)


def test_each_recipe_has_its_cases() -> None:
    assert sorted(RECIPES) == sorted(CASES) == list(range(1, 16))


@pytest.mark.parametrize("number", sorted(RECIPES))
def test_a_recipe_is_free_of_warnings(number: int) -> None:
    """It is a complete piece of a configuration."""
    piece = tomllib.loads(RECIPES[number][1][0])

    assert piece["rules"]
    assert not [warning for warning in lint.warnings(config_of(number)) if warning.startswith("rule ")]


@pytest.mark.parametrize(
    ("number", "case"),
    [pytest.param(number, case, id=f"{number}-{at}") for number, cases in CASES.items() for at, case in enumerate(cases)],
)
def test_a_recipe_does_what_it_says(number: int, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if case.remembered:
        (tmp_path / "State/lists").mkdir(parents=True)
        (tmp_path / "State/lists/known.txt").write_text(f"{NIGHT:.0f} {case.remembered}\n")
    head = f"From: Bob <{case.human}>\nSubject: {case.subject}\n{case.header}\n"
    mail = GivenMail.of(head.encode() + b"x" * (case.size - len(head)), case.session)
    found = document("", try_rules(config_of(number), mail, case.session, _answers(case), tmp_path))

    assert [(each["outcome"], ", ".join(each["recipients"]), _effects(each)) for each in found["outcomes"]] == case.expected
    assert [each["seconds"] for each in found["filters"]] == [None] * len(found["filters"]), "no filter was asked that has no answer here"
    assert len(found["shadow"]) == case.shadow


def _answers(case: Case) -> dict[str, FilterAnswer]:
    found = {FACTS: FilterAnswer(AnswerKind.OK, "", (to_field(PartFacts(names=case.names, types=case.types)),))}
    if case.score is not None:
        found["Spam"] = FilterAnswer(AnswerKind.OK, f"score {case.score}")
    if case.virus is not None:
        found["Virus"] = FilterAnswer(case.virus)
    return found


def _effects(outcome: dict[str, Any]) -> list[str]:
    return [re.sub(r"until \S+ (\d\d:\d\d):\d\d", r"until \1", each) for each in outcome["effects"]]
