"""The config file: its defaults are the documented ones, and each mistake is one line with place and cure."""

import math
from collections.abc import Iterator
from importlib import resources
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.config import lint, schema
from filterlink.config.settings import Filter
from filterlink.config.units import Seconds, Size

DEFAULT = resources.files("enqueuer.config").joinpath("default.toml").read_bytes()
ROUTES = '\n[[routes]]\nrecipient = "*"\nto = "OUT"\n'
LEAST = "rules = []\n" + ROUTES
FILTER = '\n[[filters]]\nname = "VirusScan"\nprogram = "scan"\n'


def load(text: str) -> schema.Config:
    return schema.load(text.encode())


def refusal(text: str | bytes) -> str:
    with pytest.raises(schema.ConfigError) as refused:
        schema.load(text if isinstance(text, bytes) else text.encode(), "mail.toml")
    return str(refused.value)


def test_the_default_file_says_the_defaults() -> None:
    """Leaving a key out, and leaving it as `init` wrote it, are the same, but for `trace_field`: an upgrade must not change mail."""
    written = schema.load(DEFAULT)
    least = load(LEAST + '[[filters]]\nname = "VirusScan"\nprogram = "enqueuer filter yara"\n')

    assert written.enqueuer == msgspec.structs.replace(least.enqueuer, trace_field=True)
    assert written.spool == least.spool
    assert written.retention == least.retention
    assert written.filters == least.filters
    assert lint.warnings(written) == []


def test_the_documented_defaults() -> None:
    """The numbers that administrators rely on."""
    found = load(LEAST)

    assert tuple(getattr(found.enqueuer, key) for key in found.enqueuer.__struct_fields__[:6]) == (4, "problems", 5, 300.0, 100_000, 20.0)
    assert (found.enqueuer.lanes.large_over, found.enqueuer.lanes.large_share) == (1 << 20, 0.5)
    assert tuple(getattr(found.spool, key) for key in found.spool.__struct_fields__) == ((".sub", ".eml"), 30.0, "group", "2%", 256 << 20)
    assert (found.enqueuer.log_format, found.enqueuer.log_file_size) == ("text", 100 << 20)
    assert tuple(getattr(found.retention, key) for key in found.retention.__struct_fields__) == (30 * 86400.0, 1 << 30)


@pytest.mark.parametrize(
    ("text", "place", "cure"),
    [
        ("", "rules is missing", "rules = []"),
        ("rules = []", "routes is missing", "[[routes]]"),
        ("[enqueuer]\n=", "line 2", "not TOML"),
        ("x = " + "[" * 5000, "mail.toml", "nested too deep"),
        (LEAST + "[enqueuer]\nprocesors = 8", "enqueuer.procesors", "did you mean processors"),
        (LEAST + "[enqueuer]\nzzz = 8", "enqueuer.zzz", "known keys: processors"),
        (LEAST + "[enqueuer]\nprocessors = 0", "enqueuer.processors = 0", "from 1 to 1000"),
        (LEAST + '[enqueuer]\nprocessors = "8"', "enqueuer.processors", 'a whole number without quotes, or "auto"'),
        (LEAST + '[enqueuer]\nprocessors = "auto"\nauto_max = 1001', "enqueuer.auto_max = 1001", "from 1 to 1000"),
        (LEAST + '[enqueuer]\nprocessors = "auto"\nauto_min = 8\nauto_max = 4', "enqueuer.auto_min = 8", "from 1 to auto_max, which is 4"),
        (LEAST + '[enqueuer]\nprocessors = "auto"\nauto_idle = "0s"', "enqueuer.auto_idle", "at least 10ms"),
        (LEAST + "[enqueuer]\nprocessors = true", "enqueuer.processors", "a whole number"),
        (LEAST + '[enqueuer]\nlog_level = "loud"', "enqueuer.log_level = 'loud'", '"low-level"'),
        (LEAST + '[enqueuer]\nlog_format = "xml"', "enqueuer.log_format = 'xml'", 'one of "text", "json"'),
        (LEAST + '[enqueuer]\nlog_file_size = "1K"', "enqueuer.log_file_size = 1024", 'at least "1M", or "0"'),
        (LEAST + '[retention]\nlogs = "12h"', "retention.logs", 'at least 1d, e.g. "30d", or "never"'),
        (LEAST + "[retention]\nlogs = 30", "retention.logs", '"30s"'),
        (LEAST + '[retention]\nlogs_size = "100"', "retention.logs_size = 100", 'at least "1M", or "0"'),
        (LEAST + '[retention]\nlog_size = "1G"', "retention.log_size", "did you mean logs_size"),
        (LEAST + '[enqueuer]\nlogs_size = "1G"', "enqueuer.logs_size", "log_file_size"),
        (LEAST + "[enqueuer]\nretry_after = 300", "enqueuer.retry_after", '"5m"'),
        (LEAST + '[enqueuer]\nretry_after = "never"', "enqueuer.retry_after", "cannot be switched off"),
        (LEAST + "[enqueuer.lanes]\nlarge_share = nan", "enqueuer.lanes.large_share", "at most 1"),
        (LEAST + '[enqueuer.lanes]\nlarge_over = "1Q"', "enqueuer.lanes.large_over", '"1M"'),
        (LEAST + '[spool]\nmin_free = "much"', "spool.min_free", '"2%"'),
        (LEAST + '[spool]\nsuffixes = ["eml"]', "spool.suffixes", "with a dot"),
        (LEAST + '[spool]\nsuffixes = [".tmp"]', "spool.suffixes", ".tmp"),
        (LEAST + "[spool]\nsuffixes = []", "spool.suffixes", '".eml"'),
        (LEAST + FILTER + "timeout = 5", 'filter "VirusScan": timeout', '"30s"'),
        (LEAST + FILTER + 'timeOut = "5s"', 'filter "VirusScan": timeOut', "did you mean timeout"),
        (LEAST + FILTER + "instances = 0", 'filter "VirusScan": instances = 0', "from 1 to 64"),
        (LEAST + FILTER + 'on_failure = "drop"', 'filter "VirusScan": on_failure', '"quarantine"'),
        (LEAST + FILTER + 'on_failure = "hold"', 'filter "VirusScan": on_failure', 'write "defer", the new word for it'),
        (LEAST + FILTER + FILTER, "filters[1].name", "its own name"),
        (LEAST + '[[filters]]\nprogram = "x"', "filters[0].name", "missing"),
        (LEAST + "[[filters]]\nname = 5", "filters[0].name", "in quotes"),
        ("filters = [3]\n" + LEAST, "filters[0]", "a table"),
        ("filters = 3\n" + LEAST, "filters", "[[filters]], in double brackets"),
        (LEAST + '[filters]\nname = "V"\nprogram = "x"', "filters", "[[filters]], in double brackets"),
        ("processors = 8\n" + LEAST, "processors", "it belongs below [enqueuer]"),
        (LEAST + "max_in_flight = 8", "routes[0].max_in_flight", "it belongs below [[filters]]"),
        (LEAST + '[enqueuer]\nlog_level = "all\n', "line 7, column 17", 'not closed on its line: log_level = "all'),
        (LEAST + '[enqueuer]\nlog_level = "all', "at its end", "a quote is not closed"),
        (LEAST + "[enqueuer]\nprocessors = 4\nprocessors = 8", "at its end", "there twice in its table: leave one out: processors = 8"),
        (LEAST + "[enqueuer]\n[enqueuer]", "line 7", "this table is there twice: put all of its keys into one: [enqueuer]"),
        (LEAST + FILTER + "enabled = yes", "line 10", "true or false: enabled = yes"),
        (LEAST + FILTER + 'user = "a\\b\\c"', "line 10", "two backslashes"),
        (LEAST + "[enqueuer]\nprocessors 8", "line 7", "key = value: processors 8"),
        (LEAST + FILTER + 'environment = ["A B"]', "filter \"VirusScan\": environment: 'A B'", '"NAME=value"'),
        (LEAST + FILTER + 'environment = "A=b"', 'filter "VirusScan": environment', 'environment = ["NAME=value"]'),
        ('[[rules]]\nname = "R"\nactions = ["ExternalFilter", "V"]' + ROUTES, 'rule "R": actions[0]', '[["ExternalFilter", "NAME"]]'),
        ('[[rules]]\nname = "R"\nactions = []\nconditions = ["x"]' + ROUTES, 'rule "R": conditions[0]', '"less than"'),
        ('[[rules]]\nname = "R"\nactions = [["ExternalFilter", "Vrius"]]' + FILTER + ROUTES, 'rule "R"', '"VirusScan"'),
        ('[[rules]]\nname = "R"\nactions = [["Discrad"]]' + ROUTES, 'rule "R": action "Discrad"', 'did you mean "Discard"'),
        ('[[rules]]\nname = "R"\nactions = "Discard"' + ROUTES, 'rule "R": actions', "a list"),
        ('[[rules]]\nname = "R"\non_failure = "drop"\nactions = []' + ROUTES, 'rule "R": on_failure', '"quarantine"'),
        ("rules = []\nroutes = []", "routes", '"*"'),
        ('rules = []\n[[routes]]\nrecipient = "a@b"\nto = "OUT"', "routes", '"*"'),
        ('rules = []\n[[routes]]\nrecipient = "*"\nto = "out"', "routes[0].to", "capital letters"),
    ],
)
def test_a_mistake_is_one_line_with_place_and_cure(text: str, place: str, cure: str) -> None:
    """Who reads the line knows the file, the key and what to write."""
    line = refusal(text)

    assert line.startswith("mail.toml: ")
    assert place in line
    assert cure in line
    assert line.isprintable()


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    """The file may be saved in another encoding, or be no text at all."""
    assert "byte 1 is not UTF-8" in refusal(b"\xff")
    assert "not a config file" in refusal(b"#" * (schema.MAX_FILE + 1))


@pytest.mark.parametrize("cut", range(0, len(DEFAULT), 97))
def test_half_a_file_never_means_scan_nothing(cut: int) -> None:
    """A file that is only half written is refused, or says the same of rules and filters as the whole."""
    try:
        half = schema.load(DEFAULT[:cut])
    except schema.ConfigError:
        return
    whole = schema.load(DEFAULT)
    assert (whole.rules, whole.routes, [f.name for f in whole.filters]) == (half.rules, half.routes, [f.name for f in half.filters])


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "to", "lanes"]), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(schema.Config.__struct_fields__), _values))
def test_nothing_but_a_config_error_comes_out(document: dict[str, Any]) -> None:
    """Whatever stands in the file, the answer is a Config or one line."""
    text = "\n".join(f"{key} = {_toml(value)}" for key, value in document.items())
    line = ""
    try:
        load(text)
    except schema.ConfigError as error:
        line = str(error)
    assert line.isprintable()


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value) if isinstance(value, float) else msgspec.json.encode(value).decode()


def test_changes_name_what_needs_a_restart() -> None:
    """All is live but how messages are made durable; that difference is named by its key."""
    old = load(LEAST + FILTER)
    live = load(
        LEAST + FILTER + 'timeout = "1m"\n[enqueuer]\nprocessors = 8\nlog_level = "all"\n[spool]\nrescan = "1m"\n[retention]\nlogs = "9d"'
    )
    other = load(LEAST + FILTER + '[spool]\ndurability = "off"')

    assert schema.changes(old, live) == []
    assert schema.changes(old, other) == ["spool.durability"]
    assert schema.changes(old, load(LEAST)) == []


def test_whose_verdicts_may_differ_under_another_file() -> None:
    """A filter whose own table differs or is gone; all of them when a rule does; none for what judges nothing."""
    one = FILTER
    two = FILTER.replace("VirusScan", "Other")
    old = load(LEAST + one + two)

    assert schema.judges_anew(old, load(LEAST + one + two + "[spool]\nrescan = '9s'")) == frozenset()
    assert schema.judges_anew(old, load(LEAST + two)) == {"VirusScan"}
    assert schema.judges_anew(old, load(LEAST + one + two + 'on_failure = "pass"')) == {"Other"}
    rule = '[[rules]]\nname = "all"\nactions = [["Discard"]]\n'
    assert schema.judges_anew(old, load(ROUTES + one + two + rule)) == {"VirusScan", "Other"}


def test_min_free_is_a_part_or_a_size() -> None:
    """2% of the disk, or so many bytes of it."""
    assert math.ceil(0.02 * 12345) == schema.MinFree.parse("2%").of(12345)
    assert Size.parse("5G") == schema.MinFree.parse("5G").of(10**12)


# Extreme values

NUMBERS = (0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30)
SIZES = ("0", "1", "1023T", "1024T", "1025T", "99999999T", "9" * 30, "9" * 5000, "16777216T")
TIMES = ("0s", "1ms", "0.0000000001ms", "10ms", "3650d", "3651d", "99999999999d", "9" * 400 + "d", "9" * 5000 + "d", "never")
SEATS = {
    "number": (
        *map(str, NUMBERS),
        "9" * 400,
        "9" * 5000,
        "0x" + "f" * 400,
        "1e308",
        "1e999",
        "nan",
        "inf",
        "-inf",
        "true",
        "[]",
        "{}",
        "1979-05-27",
    ),
    "text": tuple(f'"{each}"' for each in (*SIZES, *TIMES, "", "\\u0000", "a\\u0000b", "\\U0010ffff", "x" * 5000, "100%", "99.999999999%")),
}
TABLE_KEYS = {
    "[enqueuer]": schema.EngineSettings.__struct_fields__[:-1],
    "[enqueuer.lanes]": schema.LaneSettings.__struct_fields__,
    "[spool]": schema.Spool.__struct_fields__,
    "[retention]": schema.RetentionSettings.__struct_fields__,
    "[[filters]]": Filter.__struct_fields__[1:],
}


def extremes() -> list[str]:
    """Config files, each with one extreme value."""
    made = []
    for table, keys in TABLE_KEYS.items():
        for key in keys:
            for value in (*SEATS["number"], *SEATS["text"]):
                about = {"name": '"F"', "program": '"true"'} if table == "[[filters]]" else {}
                lines = "\n".join(f"{name} = {text}" for name, text in (about | {key: value}).items())
                made.append(f'rules = []\n{table}\n{lines}\n[[routes]]\nrecipient = "*"\nto = "OUT"\n')
    return made


def test_an_extreme_value_is_refused_in_one_line_or_within_what_the_machine_can_say() -> None:
    """What is taken fits into every clock, limit and sum."""
    for text in extremes():
        taken, refused = _tried(text)
        assert "\n" not in refused
        assert len(refused) < 700, refused
        assert list(_out_of_range(taken)) == [], text[:200]


def _tried(text: str) -> tuple[schema.Config | None, str]:
    try:
        return load(text), ""
    except schema.ConfigError as error:
        return None, str(error)


def _out_of_range(table: Any) -> Iterator[str]:
    if isinstance(table, (tuple, list)):
        for each in table:
            yield from _out_of_range(each)
    elif isinstance(table, msgspec.Struct):
        for key in table.__struct_fields__:
            value = getattr(table, key)
            largest = 3650 * 86400 if isinstance(value, Seconds) else 1 << 50
            if isinstance(value, (int, float)) and value != math.inf and not 0 <= value <= largest:
                yield f"{key} = {value}"
            yield from _out_of_range(value)
