"""What stops mail, on a running engine: what status and log show, and that deferred mail returns by itself when a server answers again."""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enqueuer import basedir
from enqueuer.lab.trial import ENGINE, Trial
from tests.filterlink.filters.daemons import Clamd, served
from tests.helpers.paths import ROOT

SLOTS = 4
MANY = 1000
CONFIG = """
[enqueuer]
processors = 4
retry_after = "1h"
[[filters]]
name = "ClamAV"
program = "enqueuer filter clamd --socket {socket} --wait 0s"
max_in_flight = {slots}
pipelining = true
[[rules]]
name = "scan"
actions = [["ExternalFilter", "ClamAV"]]
[[routes]]
recipient = "*"
to = "OUT"
"""


def the_filter(engine: Trial) -> dict[str, Any]:
    found: dict[str, Any] = engine.status()["filters"][0]
    return found


def connections(server: Clamd) -> int:
    """Return how many clients are connected to the socket of a server: its own ends have its path."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(server.socket) and line.split()[5] == "03" for line in lines)


@pytest.fixture
def clamd() -> Iterator[Clamd]:
    """Yield a clamd that is not started yet."""
    with served(Clamd) as server:
        yield server


@pytest.mark.server
@pytest.mark.alone
def test_deferred_mail_returns_with_its_server_but_not_all_at_once(
    clamd: Clamd, trials: Callable[[str], Trial], mail: Callable[..., bytes]
) -> None:
    """The first within two seconds, and a thousand through as many connections as the filter has slots."""
    with trials(CONFIG.format(socket=clamd.socket, slots=SLOTS)) as engine:
        for number in range(MANY):
            engine.drop(str(number), mail(str(number)))
        engine.wait(lambda: engine.status()["queue"]["deferred"] == MANY, "all are deferred", 60)
        clamd.start()
        began = time.monotonic()
        engine.wait(lambda: engine.status()["totals"]["enqueued"] > 0, "the first one is scanned")
        first = time.monotonic() - began
        most = 0
        while engine.status()["totals"]["enqueued"] < MANY and time.monotonic() < began + 60:
            most = max(most, connections(clamd))
        took = time.monotonic() - began
        totals = engine.status()["totals"]

    print(f"first after {first:.2f} s, all after {took:.2f} s, at most {most} connections")
    assert totals["enqueued"] == MANY
    assert first < 2
    assert most <= SLOTS + 1  # the probe has one of its own


@pytest.mark.server
def test_an_outage_is_seen_at_once_and_without_mail(clamd: Clamd, trials: Callable[[str], Trial]) -> None:
    clamd.start()
    with trials(CONFIG.format(socket=clamd.socket, slots=SLOTS)) as engine:
        engine.wait(lambda: the_filter(engine)["state"] == "ready", "the filter is ready")
        assert the_filter(engine)["unavailable_since"] is None
        clamd.kill()
        engine.wait(lambda: the_filter(engine)["unavailable_since"] is not None, "the outage is shown", 2)
        shown = the_filter(engine)
        clamd.start()
        engine.wait(lambda: the_filter(engine)["unavailable_since"] is None, "its end is shown", 2)
        assert the_filter(engine)["state"] == "ready"
        log = engine.log()

    assert shown["state"] == "failed"
    assert clamd.socket in shown["last_error"]
    assert "EXTFILTER(ClamAV) unavailable, its messages wait: " in log
    assert "EXTFILTER(ClamAV) scans again, after " in log


@pytest.mark.server
def test_a_reload_with_a_wrong_socket_is_not_a_success(clamd: Clamd, trials: Callable[[str], Trial], mail: Callable[..., bytes]) -> None:
    """The old helper goes on scanning until the new one has a server that answers."""
    clamd.start()
    with trials(CONFIG.format(socket=clamd.socket, slots=SLOTS)) as engine:
        engine.wait(lambda: the_filter(engine)["state"] == "ready", "the filter is ready")
        engine.configure(CONFIG.format(socket="/no/clamd", slots=SLOTS))
        engine.wait(lambda: the_filter(engine)["state"] == "failed", "the new helper's trouble is shown")
        assert "/no/clamd" in the_filter(engine)["last_error"]
        engine.drop("1", mail("1"))
        engine.wait(lambda: engine.status()["totals"]["enqueued"] == 1, "the old helper scans")


# ---- the ten stops of docs/stuck-queue.md

PASSES = """
[[rules]]
name = "scan"
actions = [["ExternalFilter", "{0}"]]
[[routes]]
recipient = "*"
to = "OUT"
"""
SCAN = """
[[filters]]
name = "Scan"
program = "{program}"
slow_after = "500ms"
"""
HUNG = "sh -c 'read n rest; echo $n INTF 4; exec sleep 1000'"
Make = Callable[..., bytes]


class Stops:
    """Makes each stop on a running engine. The method's name is that of the row."""

    def __init__(self, trials: Callable[[str], Trial], mail: Make) -> None:
        self._trials = trials
        self._mail = mail

    def min_free(self) -> Trial:
        return self._with_mail(self._started(f'[spool]\nmin_free = "99%"\n{_yara()}'))

    def queue_limit(self) -> Trial:
        return self._with_mail(self._started("[enqueuer]\nqueue_limit = 1\n" + _scan(HUNG)))

    def full_disk(self) -> Trial:
        engine = self._trials(f'[spool]\nmin_free = "0%"\n{_yara()}')
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8M,nr_inodes=1000", "tmpfs", engine.base], check=False, capture_output=True
        )
        if mounted.returncode:
            pytest.skip("mounting a small disk needs root")
        basedir.create(engine.base)
        engine.configure(f'[spool]\nmin_free = "0%"\n{_yara()}')
        engine.start()
        temporary = engine.base / "Submitted" / "big.tmp"
        temporary.write_bytes(self._mail("big", size=100_000))
        with (engine.base / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        temporary.rename(temporary.with_name("big.eml"))
        return engine

    def unreadable_drop_folder(self) -> Trial:
        engine = self._started(_yara())
        (engine.base / "Submitted").rename(engine.base / "moved")
        (engine.base / "Submitted").touch()  # as root, the engine could read a folder of any mode
        return engine

    def wrong_suffix(self) -> Trial:
        engine = self._started(_yara())
        (engine.base / "Submitted" / "mail.txt").write_bytes(self._mail("1"))
        return engine

    def scanner_unavailable(self, clamd: Clamd) -> Trial:
        engine = self._started(CONFIG.format(socket=clamd.socket, slots=SLOTS))
        engine.wait(lambda: the_filter(engine)["state"] == "ready", "the filter is ready")
        clamd.kill()
        return self._with_mail(engine)

    def wrong_socket(self) -> Trial:
        return self._started(CONFIG.format(socket="/no/such/clamd", slots=SLOTS))

    def filter_that_cannot_start(self) -> Trial:
        return self._started(_scan("/no/such/program"))

    def hung_filter(self) -> Trial:
        return self._with_mail(self._started(_scan(HUNG)))

    def module_queue_not_emptied(self) -> Trial:
        engine = self._started(_yara())
        engine.drop("1", self._mail("1"))
        engine.wait(lambda: len(engine.outbound()) == 1, "the message is enqueued")
        os.utime(engine.outbound()[0], (0, 0))
        return engine

    def _started(self, config: str) -> Trial:
        engine = self._trials(config)
        engine.start()
        return engine

    def _with_mail(self, engine: Trial) -> Trial:
        engine.drop("1", self._mail("1"))
        engine.drop("2", self._mail("2"))
        return engine


def _yara() -> str:
    return '[[filters]]\nname = "Scan"\nprogram = "enqueuer filter yara"\n' + PASSES.format("Scan")


def _scan(program: str) -> str:
    return SCAN.format(program=program) + PASSES.format("Scan")


def rows() -> dict[str, tuple[str, str]]:
    """Return the table of the page: for each stop, what `status` says and what the log says."""
    page = (ROOT / "docs" / "stuck-queue.md").read_text().partition("## The ten stops")[2].partition("\n## ")[0]
    cells = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")][1:]
    return {row[0].strip(): (row[1], row[2]) for row in cells}


def says(text: str, cell: str) -> bool:
    """Return whether one line of the text has all quoted pieces of a cell, in their order."""
    pieces = re.findall(r"`([^`]+)`", cell)
    return not pieces or re.search(".*".join(map(re.escape, pieces)), text) is not None


@pytest.fixture
def made(trials: Callable[[str], Trial], mail: Make, tmp_path: Path) -> Iterator[Stops]:
    yield Stops(trials, mail)
    for filler in tmp_path.glob("*/filler"):
        filler.unlink()  # an engine without room on its disk takes long to stop
    for mounted in (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()):
        if mounted.startswith(f"{tmp_path}/"):
            subprocess.run([*ENGINE, "stop", "--now", "--base", mounted], check=True, capture_output=True)
            subprocess.run(["umount", "-l", mounted], check=True)


def test_the_page_has_ten_stops() -> None:
    assert {re.sub(r"\W", "_", name).lower() for name in rows()} == {name for name in vars(Stops) if not name.startswith("_")}


def status(engine: Trial) -> str:
    """Return what the command prints."""
    done = subprocess.run([*ENGINE, "status", "--base", engine.base], check=True, capture_output=True, text=True)
    return done.stdout


def asked(engine: Trial, within: float, cell: str) -> str:
    """Return the first page with these texts. The call was made within that time; the command itself may take longer on a busy machine."""
    began = time.monotonic()
    while not says(page := status(engine), cell):
        assert time.monotonic() < began + within, f"{cell} is not in:\n{page}\n{engine.last_words()}"
    return page


@pytest.mark.server
@pytest.mark.parametrize("name", rows())
def test_status_names_each_stop_within_two_seconds(name: str, made: Stops, request: pytest.FixtureRequest) -> None:
    shown, logged = rows()[name]
    more = (request.getfixturevalue("clamd").start(),) if name == "scanner unavailable" else ()
    engine = getattr(made, re.sub(r"\W", "_", name).lower())(*more)
    page = asked(engine, 2.5 if name == "hung filter" else 2, shown)
    engine.wait(lambda: says(engine.log(), logged), f"the log says: {logged}", 5)
    assert page.splitlines()[2] == "What stops mail:"
