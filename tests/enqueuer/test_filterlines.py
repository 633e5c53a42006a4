"""Command lines of our own filters in a config file: a faulty one is refused before any mail waits for it."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from enqueuer import filterlines
from enqueuer.lab.trial import Trial
from filterlink.config.settings import Filter

FILTERS = """
{}
[[rules]]
name = "all"
actions = [["ExternalFilter", "V"]]
[[routes]]
recipient = "*"
to = "OUT"
"""
FILTER = '[[filters]]\nname = "V"\nprogram = "{}"\n'


def config(*lines: str) -> str:
    """A config file whose filters have these command lines; the first is V."""
    names = ["V", *(f"V{number}" for number in range(1, len(lines)))]
    return FILTERS.format("".join(FILTER.replace('"V"', f'"{name}"').format(line) for name, line in zip(names, lines, strict=True)))


def command(*words: str, base: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "enqueuer.cli.app", *words, "--base", str(base)], text=True, capture_output=True, timeout=60, check=False
    )


def checked(line: str, **settings: object) -> filterlines.LineCheck | None:
    """The result for one filter with this command line; None if it is not one of ours."""
    found = filterlines.check([msgspec.convert({"name": "V", "program": line, **settings}, Filter)], 30.0)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("enqueuer filter clamd --sockt /x", "enqueuer filter clamd: no such option --sockt; did you mean --socket?"),
        ("/opt/enqueuer/bin/enqueuer filter clamd --sockt /x", "did you mean --socket?"),
        ("enqueuer filter calmd", "enqueuer filter: no such command calmd; did you mean clamd?"),
        ("enqueuer filter", "enqueuer filter: it names no filter; write e.g. enqueuer filter yara"),
        ("enqueuer filter clamd", "enqueuer filter clamd: no server: name one with --socket or --host"),
        ("enqueuer filter clamd --socket", "option --socket needs a value"),
        ("enqueuer filter clamd --socket /x --timeout soon", "--timeout: 'soon': write a duration such as"),
        ("enqueuer filter clamd --socket /x --action stop", "--action: stop is not one of error, discard, header"),
        ("enqueuer filter clamd --host a:b:c", "--host a:b:c: write HOST, HOST:PORT or [IPV6]:PORT"),
        ("enqueuer filter spamd --socket /x --add all", "enqueuer filter spamd: --add: all is not one of"),
        ("enqueuer filter rspamd --host a --password-file /nosuch", "/nosuch: No such file or directory"),
        ("enqueuer filter icap --host a", "enqueuer filter icap: name the service"),
        ("enqueuer filter milter --socket /x --changes no", "enqueuer filter milter: --changes: no is not one of"),
        ("enqueuer filter yara --rules /nosuch", "enqueuer filter yara: /nosuch: cannot be read: No such file or directory"),
        ("enqueuer filter yara --threads many", "enqueuer filter yara: --threads: write a whole number"),
        ("enqueuer filter yara --self-test", "--self-test ends by itself"),
        ("enqueuer filter yara --help", "it would end at once instead of scanning"),
        ("enqueuer filter command", "enqueuer filter command: no program"),
        ("enqueuer filter command /nosuch {file}", "enqueuer filter command: /nosuch: no such program"),
        ("enqueuer filter command --folder /nosuch /bin/true {file}", "cannot make a folder for copies"),
    ],
)
def test_a_faulty_line_says_what_is_wrong(line: str, said: str) -> None:
    found = checked(line)

    assert found is not None
    assert said in (found.fault or "")


@pytest.mark.parametrize(
    "line",
    [
        "enqueuer filter clamd --host 127.0.0.1:1",
        "enqueuer filter yara",
        "enqueuer filter icap --host 127.0.0.1 --service avscan",
        "enqueuer filter milter --host 127.0.0.1",
        "enqueuer filter rspamd --host 127.0.0.1 --timeout 20s",
        "enqueuer filter spamd --host 127.0.0.1 --reject-above 15",
        "enqueuer filter command --infected 1,3 /bin/true -q {file}",
    ],
)
def test_a_good_line_is_parsed_and_not_run(line: str) -> None:
    """It neither reads requests nor asks a server."""
    found = checked(line)

    assert found is not None
    assert (found.fault, found.certain) == (None, True)


def test_other_programs_and_disabled_filters_are_not_checked() -> None:
    assert checked("/bin/cat --sockt") is None
    assert checked("enqueuer filters test") is None
    assert checked("enqueuer filter calmd", enabled=False) is None


def test_a_socket_that_is_missing_is_a_doubt() -> None:
    """Its server may only be down."""
    found = checked("enqueuer filter clamd --socket /nosuch/clamd.ctl")

    assert found is not None
    assert found.fault is None
    assert any("/nosuch/clamd.ctl" in doubt for doubt in found.doubts)


def test_a_check_that_takes_too_long_refuses_nothing() -> None:
    """And its process is ended."""
    filter = msgspec.convert({"name": "V", "program": "enqueuer filter calmd"}, Filter)
    began = time.monotonic()
    [found] = filterlines.check([filter], 0.0)

    assert (found.fault, found.certain) == (None, False)
    assert time.monotonic() - began < 10


def test_config_check_names_file_key_filter_and_cure(tmp_path: Path) -> None:
    """All lines are tried; the first faulty one is the error."""
    path = tmp_path / "new.toml"
    path.write_text(config("enqueuer filter clamd --host a", "enqueuer filter clamd --sockt /x"))
    done = subprocess.run(
        [sys.executable, "-m", "enqueuer.cli.app", "config", "check", str(path)], text=True, capture_output=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        f'enqueuer: {path}: filters[1].program of filter "V1": enqueuer filter clamd: no such option --sockt; did you mean --socket? '
        "(see `enqueuer filter clamd --help`)\n"
    )


def test_a_reload_refuses_the_line_in_the_same_words(trials: Callable[[str], Trial]) -> None:
    """The old revision stays active."""
    trial = trials(config("enqueuer filter yara"))
    trial.start()
    trial.configure(config("enqueuer filter calmd"))
    done = command("reload", base=trial.base)
    sentence = 'Settings/enqueuer.toml: filters[0].program of filter "V": enqueuer filter: no such command calmd; did you mean clamd?'

    assert done.returncode == 78
    assert sentence in done.stderr
    assert sentence in trial.status()["config"]["error"]
    checked = command("config", "check", base=trial.base)
    assert checked.returncode == 78
    assert sentence in checked.stderr


def test_a_reload_checks_only_lines_that_differ(trials: Callable[[str], Trial]) -> None:
    """A line that the engine has accepted cannot refuse a later change: the start has it only logged."""
    trial = trials(config("enqueuer filter calmd"))
    trial.start()
    trial.configure("[enqueuer]\nprocessors = 3\n" + config("enqueuer filter calmd"))

    assert command("reload", base=trial.base).returncode == 0
    assert trial.status()["processors"]["configured"] == 3
