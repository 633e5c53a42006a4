"""`enqueuer filters test` and `enqueuer filters bench`: try a helper by hand. No engine is needed."""

import contextlib
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, Json, answer, duration, enter, expect_safe_config, fail, help, written

if TYPE_CHECKING:
    from filterlink.workbench.dialogue import Watch
    from filterlink.workbench.testbench import BenchPlan, BenchReport

__all__ = ["add_to"]

ALL = 1 << 60
"""More lines than any dialogue has."""
TEST = """Runs the filter NAME of the config file on each FILE, a plain message or a queue file, and shows the dialogue and the verdict.
It runs by all settings of the filter: as its user, within its limits and times, with its variables.
It runs in a temporary directory that stands for the base directory; what it submits again goes nowhere.

Exit codes: 0 all judged, 65 a rule of the protocol was broken, 69 not all were judged."""
BENCH = """Asks any helper program as a server would: the first lines of the dialogue, latencies, throughput, and each rule of the
protocol that it breaks. It runs in a temporary directory that stands for this one. Without a FILE it gets made messages.

Exit codes: 0 all answered and no rule broken, 65 a rule was broken, 69 it could not be tried to the end."""


def add_to(group: typer.Typer) -> None:
    group.command("test", **help("Run a configured filter on files.", "enqueuer filters test Virus mail.eml", text=TEST))(_test)
    examples = (
        "enqueuer filters bench ./myhelper mail.eml",
        'enqueuer filters bench "perl helper.pl" --count 1000 --concurrency 16 --chaos',
    )
    group.command("bench", **help("Try a helper program, and hold it to the protocol.", *examples, text=BENCH))(_bench)


FilesGiven = Annotated[list[Path], typer.Argument(metavar="FILE")]
FilesWanted = Annotated[list[Path] | None, typer.Argument(metavar="FILE")]


def _test(name: Annotated[str, typer.Argument(metavar="NAME")], files: FilesGiven, base: Base = None) -> int:
    from enqueuer.system import accounts

    with contextlib.ExitStack() as stack:
        given = [accounts.give(file) for file in files]
        sources = [stack.enter_context(each.file) for each in given]
        where = enter(base)
        for each in given:
            each.expect_given()
        return _try(name, where, [str(file) for file in files], sources)


def _try(name: str, where: Path, names: Sequence[str], files: Sequence[BinaryIO]) -> int:
    from enqueuer import basedir
    from enqueuer.cli._benchview import BenchView, report
    from enqueuer.config import schema
    from filterlink.workbench.testbench import BenchPlan

    path = where / basedir.CONFIG
    expect_safe_config(where)
    filters = {each.name: each for each in schema.load(basedir.read_config(Path(basedir.CONFIG)), str(path)).filters}
    settings = filters.get(name)
    if settings is None:
        fail(f'{path} has no filter "{name}": there are {", ".join(filters) or "none"}', exits.NOINPUT)
    if not settings.enabled:
        print(f'filter "{name}" is not enabled: an engine does not start it', file=sys.stderr)
    plan = BenchPlan.of(settings, len(files))
    view = BenchView(ALL, names, settings)
    found = _run(plan, where, files, view)
    report(found, len(files), _tried(plan))
    return _code(found, view.judged == len(files))


def _bench(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="The command, in quotes where it has words.")],
    files: FilesWanted = None,
    count: Annotated[int, typer.Option("--count", min=1, max=10_000_000, help="Requests; the files come in turn.")] = 100,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=1000, help="Requests open at once.")] = 8,
    timeout: Annotated[
        float, typer.Option("--timeout", parser=duration(0.1), metavar="DURATION", help="Longest wait for one answer.")
    ] = written("30s"),
    chaos: Annotated[
        bool, typer.Option("--chaos", help="Also KEY, an unknown command, a missing file, a burst, QUIT with requests open.")
    ] = False,
    pipelining: Annotated[bool, typer.Option("--pipelining", help="Let several lines stand in its pipe at once.")] = False,
    lines: Annotated[int, typer.Option("--lines", min=0, help="Lines of the dialogue shown.")] = 20,
    json: Json = False,
) -> int:
    from enqueuer.cli._benchview import BenchView, document, report
    from filterlink.workbench.testbench import BenchPlan

    try:
        words = shlex.split(program)
    except ValueError as error:
        fail(f"PROGRAM {program!r}: {error}", exits.USAGE)
    if not words:
        fail("PROGRAM is empty: write the command that starts the helper", exits.USAGE)
    plan = BenchPlan(words=words, count=count, concurrency=concurrency, timeout=timeout, pipelining=pipelining, chaos=chaos)
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(file.open("rb")) for file in files or []]
        found = _run(plan, Path(), sources, BenchView(-1 if json else lines))
    if json:
        answer(document(found, count))
    else:
        report(found, count, _tried(plan))
    return _code(found, not found.stopped)


def _run(plan: "BenchPlan", where: Path, files: Sequence[BinaryIO], watch: "Watch") -> "BenchReport":
    """One run in a directory that stands for `where`. Raises Failure where the program cannot be started."""
    import msgspec

    from enqueuer.lab.handmade import handmade, program
    from filterlink.workbench.dialogue import HelperCannotStart
    from filterlink.workbench.testbench import TestBench

    with (
        tempfile.TemporaryDirectory(prefix="enqueuer-") as folder,
        handmade(where, _copies(Path(folder), files) or _samples(Path(folder))) as made,
    ):
        plan = msgspec.structs.replace(plan, words=program(plan.words, where.absolute()))
        try:
            return TestBench(plan, made, watch).run()
        except HelperCannotStart as error:
            fail(str(error), exits.NOINPUT)


def _copies(folder: Path, files: Sequence[BinaryIO]) -> list[Path]:
    """The files, which the caller may read, where the account of the base directory may read them, too."""
    found = [folder / f"{number}.msg" for number in range(len(files))]
    for path, file in zip(found, files, strict=True):
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
    return found


def _samples(folder: Path) -> list[Path]:
    """Made messages of all kinds but large ones."""
    from enqueuer.lab.samples import samples

    found: list[Path] = []
    for sample in samples():
        if sample.expect != "refused" and len(sample.data) < 1 << 18:
            found.append(folder / f"{len(found)}.eml")
            found[-1].write_bytes(sample.data)
    return found


def _tried(plan: "BenchPlan") -> int:
    from filterlink.protocol.referee import CHAOS, RULES

    return len(RULES) if plan.chaos else len(RULES) - len(CHAOS)


def _code(found: "BenchReport", done: bool) -> int:
    return exits.DATAERR if found.broken else exits.OK if done else exits.UNAVAILABLE
