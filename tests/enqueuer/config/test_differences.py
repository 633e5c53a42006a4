"""The line about a new configuration says what differs. It is short, uses the words of the file, and has no secrets."""

import pytest

from enqueuer.config import schema
from enqueuer.config.differences import MAX_TEXT, differences

BASE = """
[enqueuer]
processors = 4
[[filters]]
name = "VirusScan"
program = "scan --password old-secret"
environment = ["TOKEN=old-secret"]
[[filters]]
name = "Spam"
program = "spam"
[[rules]]
name = "scan everything"
actions = [["ExternalFilter", "VirusScan"]]
[[rules]]
name = "second"
actions = [["Stop Processing"]]
[[routes]]
recipient = "*@smtp.example"
to = "SMTP"
[[routes]]
recipient = "*"
to = "OUT"
"""
SECOND = """[[rules]]
name = "second"
actions = [["Stop Processing"]]
"""
SMALL = """[[rules]]
name = "scan small ones"
conditions = [["Message Size", "less than", "10K"]]
actions = [["Discard"]]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", ""),
        ("processors = 4", "processors = 8", "processors 4 -> 8"),
        ("processors = 4", 'processors = "auto"', "processors 4 -> auto"),
        ("processors = 4", "trace_field = true", "trace_field false -> true"),
        (
            "processors = 4",
            'retry_after = "90s"\n[enqueuer.lanes]\nlarge_over = "1536K"',
            "retry_after 5m -> 90s; lanes.large_over 1M -> 1536K",
        ),
        (
            '[[filters]]\nname = "Spam"',
            '[spool]\nmin_free = "7%"\nsuffixes = [".x"]\n[[filters]]\nname = "Spam"',
            "spool.suffixes [.sub, .eml] -> [.x]; spool.min_free 2% -> 7%",
        ),
        ('program = "spam"', 'program = "spam"\ntimeout = "3m"', "filters.Spam.timeout 2m -> 3m"),
        (
            'program = "spam"',
            'program = "spam"\ntimeout = "1500ms"\nmax_age = "1d"\nuser = "x"',
            'filters.Spam.timeout 2m -> 1500ms; filters.Spam.max_age never -> 1d; filters.Spam.user "" -> x',
        ),
        ("old-secret", "new-secret", "filters.VirusScan.program changed; filters.VirusScan.environment changed"),
        ('name = "Spam"', 'name = "Ham"', 'filter "Spam" removed; filter "Ham" added'),
        ('[[routes]]\nrecipient = "*@smtp', SMALL + '[[routes]]\nrecipient = "*@smtp', 'rule "scan small ones" added'),
        (SECOND, "", 'rule "second" removed'),
        (SECOND, SECOND + "priority = 0\n", "rules.second.priority 5 -> 0"),
        (SECOND, SECOND.replace("Stop Processing", "Discard"), "rules.second.actions changed"),
        ('to = "SMTP"', 'to = "MX"', "routes.*@smtp.example.to SMTP -> MX"),
        ("*@smtp.example", "*@mx.example", 'route "*@smtp.example" removed; route "*@mx.example" added'),
    ],
)
def test_each_kind_of_difference(old: str, new: str, said: str) -> None:
    changed = BASE.replace(old, new) if old else BASE

    assert differences(schema.load(BASE.encode()), schema.load(changed.encode())) == said


def test_lists_that_come_change_and_go() -> None:
    old = schema.load(BASE.encode(), lists={"a": ("1",), "b": ("1",), "c": ()})
    new = schema.load(BASE.encode(), lists={"a": ("1",), "b": ("2",), "c": ()})

    assert differences(old, new) == "list #b changed"
    assert differences(schema.load(BASE.encode(), lists={}), new) == "list #a added; list #b added; list #c added"
    assert differences(new, schema.load(BASE.encode(), lists={})) == "list #a removed; list #b removed; list #c removed"


def test_another_order_is_said() -> None:
    first = BASE.index("[[rules]]")
    second = BASE.index(SECOND)
    swapped = BASE[:first] + SECOND + BASE[first:second] + BASE[second + len(SECOND) :]

    assert differences(schema.load(BASE.encode()), schema.load(swapped.encode())) == "the order of rules changed"


def test_a_thousand_differences_have_a_limit() -> None:
    more = "".join(f'[[rules]]\nname = "rule {n} {"x" * 80}"\nactions = [["Discard"]]\n' for n in range(1000))
    found = differences(schema.load(BASE.encode()), schema.load(BASE.replace(SECOND, SECOND + more).encode()))

    assert len(found) < MAX_TEXT + 30
    assert found.endswith(" more")
