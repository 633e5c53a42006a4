"""rules check, export and import, as commands."""

from pathlib import Path

import pytest

from tests.enqueuer.cli.conftest import Run

HEAD = """
filters = [{name = "Virus", program = "enqueuer filter yara"}]
routes = [{recipient = "*", to = "OUT"}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rules.toml"


def test_the_rules_of_init_are_ok(enqueuer: Run, base: Path) -> None:
    done = enqueuer("rules", "check")

    assert done.returncode == 0
    assert done.stdout.decode() == f"{base}/Settings/enqueuer.toml: 1 rule: ok\n"
    assert done.stderr == b""


def test_each_sentence_that_is_wrong_has_its_place_and_a_caret(enqueuer: Run, file: Path) -> None:
    """Not only the first one. Line and column are those of the file, if the sentence is there as it is."""
    file.write_text(
        HEAD
        + '[[rules]]\nname = "one"\nwhen = \'any recipiant is "x"\'\nactions = []\n'
        + "[[rules]]\nname = \"two\"\nwhen = '''\nhuman\nand size over 10K'''\nactions = []\n"
        + '[[rules]]\nname = "three"\nwhen = "subject is \\"x"\nactions = []\n'
    )
    done = enqueuer("rules", "check", str(file))

    assert done.returncode == 78
    assert done.stdout == b""
    assert done.stderr.decode().splitlines() == [
        f'{file}: rule "one": line 6, column 13: "recipiant" is unknown: did you mean "recipient"?',
        '    any recipiant is "x"',
        "        ^",
        f'{file}: rule "two": line 12, column 10: write `greater than`',
        "    and size over 10K",
        "             ^",
        f'{file}: rule "three": when: line 1, column 12: the quotation mark is not closed on this line',
        '    subject is "x',
        "               ^",
    ]


def test_other_errors_name_the_rule(enqueuer: Run, file: Path) -> None:
    file.write_text(HEAD + '[[rules]]\nname = "R"\nconditions = [["Message Sice", "is", "1"]]\nactions = []\n')
    done = enqueuer("rules", "check", str(file))

    assert done.returncode == 78
    assert done.stderr.decode() == (f'enqueuer: {file}: rule "R": condition "Message Sice" is unknown: did you mean "Message Size"?\n')


def test_what_is_probably_not_meant_is_a_warning(enqueuer: Run, file: Path) -> None:
    file.write_text(
        HEAD
        + '[[rules]]\nname = "all"\npriority = 9\nactions = [["Discard"], ["Write To Log", "x"]]\n'
        + '[[rules]]\nname = "off"\npriority = 0\nactions = []\n[[rules]]\nname = "late"\nactions = [["ExternalFilter", "Virus"]]\n'
    )
    done = enqueuer("rules", "check", str(file))

    assert done.returncode == 0
    assert done.stdout.decode() == f"{file}: 3 rules, 1 of them off: ok\n"
    assert done.stderr.decode().splitlines() == [
        'warning: rule "all": action "Write To Log" is never reached: "Discard" ends the rule; write it before, or remove it',
        'warning: rule "late": it is never reached: rule "all" before it ends all mail with "Discard"; give it a higher priority',
    ]


def test_an_export_imports_as_the_same_tables(enqueuer: Run, file: Path, tmp_path: Path) -> None:
    rules = """[[rules]]
name = "scan \\"all\\""
priority = 9
comment = "two\\nlines"
conditions = [["Any Recipient", "in", "*@example.org,#ours"], ["Human Generated"]]
actions = [["ExternalFilter", "Virus"], ["Add Header", "X-A: \\\\ é ^S"]]

[[rules]]
name = "off"
priority = 0
actions = [["Discard"]]
"""
    file.write_text(HEAD + rules)
    settings = tmp_path / "Rules.settings"
    done = enqueuer("rules", "export", "--cgp", str(file))
    settings.write_bytes(done.stdout)

    assert done.stderr == b""
    again = enqueuer("rules", "import", "--cgp", str(settings))
    assert again.stdout.decode() == rules
    assert again.stderr.decode() == 'rule "scan "all"": list "#ours": write its entries into Settings/lists/ours.txt\n'
    assert enqueuer("rules", "import", "--cgp", "-", stdin=done.stdout).stdout == again.stdout


def test_a_long_row_has_a_line_for_each_condition(enqueuer: Run) -> None:
    pictures = ",".join(f"*@{number}.example.org" for number in range(10))
    done = enqueuer("rules", "import", "--cgp", "-", stdin=f'((5, R, ((From, in, "{pictures}"), (Subject, is, a)), ()))'.encode())

    assert f'conditions = [\n    ["From", "in", "{pictures}"],\n    ["Subject", "is", "a"],\n]' in done.stdout.decode()


def test_what_has_no_counterpart_is_named(enqueuer: Run, file: Path) -> None:
    file.write_text(HEAD + '[[rules]]\nname = "R"\nwhen = "not human"\nactions = [["Discard"]]\n')
    done = enqueuer("rules", "export", "--cgp", str(file))

    assert (done.returncode, done.stdout, done.stderr) == (0, b"()\n", b'rule "R": left out: `not` has no form there\n')


def test_nonsense_is_one_line_and_65(enqueuer: Run) -> None:
    done = enqueuer("rules", "import", "--cgp", "-", stdin=b"\n(\xff")

    assert (done.returncode, done.stdout) == (65, b"")
    assert done.stderr == b"enqueuer: -: line 2: not UTF-8: convert the file, e.g. with iconv\n"


@pytest.mark.parametrize("words", [["export"], ["import", "-"]])
def test_the_form_must_be_named(enqueuer: Run, words: list[str]) -> None:
    done = enqueuer("rules", *words)

    assert done.returncode == 64
    assert b"write --cgp" in done.stderr
