"""What `config check` warns of: each doubt by its place, with a cure; and nothing where there is no doubt."""

import pytest
import typer.main

from enqueuer.cli.app import app
from enqueuer.config import lint, schema
from filterlink.config.units import Seconds, Size

ROUTES = '\n[[routes]]\nrecipient = "*"\nto = "OUT"\n'
RULE = '\n[[rules]]\nname = "R"\nactions = [["ExternalFilter", "F"]]\n'
BOX = "enqueuer filter"


def warned(text: str) -> list[str]:
    return lint.warnings(schema.load(text.encode()))


def of_filter(settings: str = "", program: str = "scan", engine: str = "") -> list[str]:
    """What is said of a filter with these settings that a rule asks."""
    return warned(f'[enqueuer]\n{engine}\n[[filters]]\nname = "F"\nprogram = "{program}"\n{settings}\n{RULE}{ROUTES}')


def test_sizes_that_lack_a_unit() -> None:
    """ "2" is two bytes, and was meant to be a part of the disk, or megabytes."""
    assert of_filter() == []
    assert [line.partition(":")[0] for line in of_filter(engine='[spool]\nmin_free = "2"')] == ["spool.min_free = 2"]
    (line,) = of_filter(engine='[spool]\nmax_size = "10"\n[enqueuer.lanes]\nlarge_over = "5"')
    assert line.startswith("spool.max_size = 10: most mail is larger")


def test_what_fits_is_not_spoken_of() -> None:
    assert of_filter() == []
    assert of_filter(engine='log_file_size = "0"\n[retention]\nlogs = "never"\nlogs_size = "10G"') == []
    assert of_filter(engine='[retention]\nlogs_size = "0"') == []
    assert of_filter("max_in_flight = 8", f"{BOX} spamd --host h") == []
    assert of_filter('timeout = "5m"', f"/usr/bin/{BOX} clamd --timeout=200 --socket s") == []


@pytest.mark.parametrize(
    ("engine", "place", "cure"),
    [
        ("processors = 1", "enqueuer.processors = 1: a large message makes all others wait", "2 or more"),
        ('processors = "auto"\nauto_min = 1\nauto_max = 1', "enqueuer.auto_max = 1: a large message", "2 or more"),
        ("auto_max = 16", "enqueuer.auto_max: used only", 'processors = "auto"'),
        ('[retention]\nlogs = "never"\nlogs_size = "0"', 'retention.logs = "never" and logs_size = "0": logs fill the disk', '"10G"'),
        ('[retention]\nlogs_size = "200M"', "retention.logs_size = 200M: less than 3 files", "write a smaller log_file_size"),
        ('[enqueuer.lanes]\nlarge_over = "256M"', "enqueuer.lanes.large_over = 256M: spool.max_size = 256M", "write less"),
    ],
)
def test_the_engines_lanes(engine: str, place: str, cure: str) -> None:
    (line,) = of_filter(engine=engine)

    assert place in line
    assert cure in line


@pytest.mark.parametrize(
    ("settings", "engine", "place", "cure"),
    [
        ("max_in_flight = 1", "", "one request at a time (instances x max_in_flight = 1)", "2 or more"),
        (
            "max_in_flight = 2",
            "processors = 8",
            "instances x max_in_flight = 2 are fewer than enqueuer.processors = 8",
            "max_in_flight = 8",
        ),
        ("max_in_flight = 2\ninstances = 3", "processors = 8", "= 6 are fewer", "max_in_flight = 3"),
        ("max_requests = 5", "", "max_requests = 5 is less than max_in_flight = 16", "write more"),
        ('timeout = "never"', "", 'timeout = "never": a scan that hangs', '"2m"'),
        ('timeout = "4s"', "", "slow_after = 5.0 s is not below timeout = 4.0 s", "less than half"),
    ],
)
def test_a_filters_slots_and_times(settings: str, engine: str, place: str, cure: str) -> None:
    (line,) = of_filter(settings, engine=engine)

    assert line.startswith('filter "F": ')
    assert place in line
    assert cure in line


def test_what_grows_by_itself_may_have_more_processors_than_a_filter_has_slots() -> None:
    """processors = "auto" looks at the slots."""
    assert of_filter("max_in_flight = 2", engine='processors = "auto"') == []


@pytest.mark.parametrize(
    ("program", "settings", "place", "cure"),
    [
        (
            "clamd --socket s",
            'timeout = "1m"',
            "timeout = 60 s is not longer than its own --timeout (110 s)",
            "add --timeout 54s to program",
        ),
        ("yara", 'timeout = "110s"', "not longer than its own --timeout (110 s)", "longer timeout"),
        ("icap --host h --service s --timeout 300", "", "timeout = 2 min is not longer than its own --timeout (300 s)", "--timeout 108s"),
        ("clamd --timeout 150s --host h", "", "its own --timeout (150 s)", "--timeout 108s"),
        ("milter --timeout=3m --host h", "", "its own --timeout (180 s)", "--timeout 108s"),
        ("rspamd --result-for-all --timeout=121 --host h", "", "its own --timeout (121 s)", "--timeout 108s"),
        ("spamd --host h", "", "max_in_flight = 16 allows 8 large messages at once, and its --threads are 8", "max_in_flight = 8"),
        ("milter --host h --threads 4", "", "its --threads are 4", "--threads 16"),
        ("command --processes 2 clamscan {file}", "", "its --processes are 2", "max_in_flight = 2"),
    ],
)
def test_a_filter_in_the_box_whose_own_limits_are_wider(program: str, settings: str, place: str, cure: str) -> None:
    """It would be restarted before it can say that a scan took too long; large messages would have all that it does at once."""
    (line,) = of_filter(settings, f"{BOX} {program}")

    assert place in line
    assert cure in line


@pytest.mark.parametrize(
    "program", ["command clamscan --timeout 500", "command --clean 0 -- x --timeout 500", "clamd --timeout soon", "other --timeout 500"]
)
def test_what_is_no_option_of_ours_is_left_alone(program: str) -> None:
    """What follows a scanner's name is the scanner's; a value that is none the filter complains of itself."""
    assert of_filter(program=f"{BOX} {program}") == []


def test_our_filters_are_known_as_they_are() -> None:
    """The table has each filter in the box, with the defaults of its command."""
    shipped = typer.main.get_command(app).commands["filter"].commands  # type: ignore[attr-defined]
    found = {}
    for name, command in shipped.items():
        defaults = {option: each.default for each in command.params for option in each.opts}
        workers = next(option for option in ("--threads", "--processes") if option in defaults)
        memory = Size.parse(defaults.get("--memory", 0))
        cpu = Seconds.option(defaults.get("--cpu", "0s"))
        found[name] = lint.Own(Seconds.option(defaults["--timeout"]), defaults[workers], workers, memory, cpu)

    assert found == lint.IN_THE_BOX
    flags = {option for command in shipped.values() for each in command.params if getattr(each, "is_flag", False) for option in each.opts}
    assert flags - {"--help"} == lint.FLAGS


def test_filters_and_rules_that_do_nothing() -> None:
    """And routes behind the one that takes all."""
    found = "\n".join(
        warned(
            '[[filters]]\nname = "Off"\nprogram = "x"\nenabled = false\n[[filters]]\nname = "Idle"\nprogram = "x"\n'
            '[spool]\ndurability = "off"\n[[rules]]\nname = "A"\nactions = [["ExternalFilter", "Off"]]\n'
            '[[rules]]\nname = "B"\non_failure = "pass"\nactions = [["Discard"]]\n' + ROUTES + ROUTES
        )
    )

    for doubt in (
        'filter "Off": disabled, so the rules',
        'filter "Idle": enabled, but no rule asks it',
        "no rule asks an enabled filter",
        'rule "B": on_failure = "pass", but this rule asks no filter',
        'routes[0]: recipient = "*" matches all',
        'spool.durability = "off"',
    ):
        assert doubt in found


@pytest.mark.parametrize(
    ("settings", "options", "place", "cure"),
    [
        ('memory_limit = "10"', "scan", "memory_limit = 10 is below its own --memory (4.0G)", "--memory 10 "),
        ('memory_limit = "2G"', "scan", "memory_limit = 2.0G is below its own --memory (4.0G)", "--memory 2048M"),
        ('memory_limit = "2G"', "--memory 3G scan", "memory_limit = 2.0G is below its own --memory (3.0G)", "--memory 2048M"),
        ('memory_limit = "2G"', "--memory 0 scan", "", ""),
        ('memory_limit = "2G"', "--memory 1G scan", "", ""),
        ('cpu_limit = "30s"', "--cpu 60s scan", "cpu_limit = 30 s is below its own --cpu (60 s)", "--cpu 30s"),
        ('cpu_limit = "30s"', "scan", "", ""),
    ],
)
def test_limits_of_its_own_that_are_wider(settings: str, options: str, place: str, cure: str) -> None:
    """The smaller one counts, and the administrator may have meant the other."""
    lines = of_filter(settings, f"{BOX} command {options}")

    assert bool(lines) == bool(place)
    assert all(place in line and cure in line for line in lines)


@pytest.mark.parametrize(
    ("engine", "settings", "program", "warned"),
    [
        ('retry_after = "3s"', "", "rspamd --host 127.0.0.1", True),
        ('retry_after = "3s"', 'on_refused = "defer"', "rspamd --host 127.0.0.1", False),
        ('retry_after = "3s"', "", "clamd --host 127.0.0.1", False),
        ("", "", "milter --host 127.0.0.1:8891", False),
    ],
)
def test_who_delays_mail_on_purpose_needs_patience(engine: str, settings: str, program: str, warned: bool) -> None:
    text = f"""
        [enqueuer]
        {engine}
        [[filters]]
        name = "F"
        program = "enqueuer filter {program}"
        {settings}
        [[rules]]
        name = "r"
        actions = [["ExternalFilter", "F"]]
        [[routes]]
        recipient = "*"
        to = "OUT"
    """
    assert any("delays mail on purpose" in line for line in lint.warnings(schema.load(text.encode()))) is warned
