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
TEST = """Runs the filter NAME of the config file on each FILE, and shows the dialogue and the verdict. A FILE is a message or a file of
Queue/. All settings of the filter apply: its user, limits, time-outs and variables. It runs in a temporary directory instead of
the base directory; messages that it submits there are not sent.

Exit codes: 0 the filter gave a verdict for each file, 65 it broke a rule of the protocol, 69 it did not answer for each file."""
BENCH = """Sends requests to a helper program, as a server does. Shows the first lines of the dialogue, latencies, throughput, and each
rule of the protocol that the program breaks. The program runs in a temporary directory. Without FILE it gets sample messages.

Exit codes: 0 it answered all requests and broke no rule, 65 it broke a rule, 69 the run could not be completed."""


def add_to(group: typer.Typer) -> None:
    group.command("test", **help("Run a configured filter on files.", "enqueuer filters test Virus mail.eml", text=TEST))(_test)
    examples = (
        "enqueuer filters bench ./myhelper mail.eml",
        'enqueuer filters bench "perl helper.pl" --count 1000 --concurrency 16 --chaos',
    )
    group.command("bench", **help("Measure a helper program, and check it against the protocol.", *examples, text=BENCH))(_bench)


FilesGiven = Annotated[list[Path], typer.Argument(metavar="FILE", help="Messages, or files of Queue/.")]
FilesWanted = Annotated[list[Path] | None, typer.Argument(metavar="FILE", help="Messages, or files of Queue/. Default: sample messages.")]


def _test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the filter in the config file.")],
    files: FilesGiven,
    base: Base = None,
) -> int:
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
        fail(f'{path} has no filter "{name}"; its filters are: {", ".join(filters) or "none"}', exits.NOINPUT)
    if not settings.enabled:
        print(f'filter "{name}" is not enabled: an engine does not start it', file=sys.stderr)
    plan = BenchPlan.of(settings, len(files))
    view = BenchView(ALL, names, settings)
    found = _run(plan, where, files, view)
    report(found, len(files), _tried(plan))
    return _code(found, view.judged == len(files))


def _bench(
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="The command that starts the helper, in quotes if it has several words.")
    ],
    files: FilesWanted = None,
    count: Annotated[
        int, typer.Option("--count", min=1, max=10_000_000, metavar="N", help="Send this many requests; each FILE in turn.")
    ] = 100,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=1000, metavar="N", help="Keep this many requests open at once.")
    ] = 8,
    timeout: Annotated[
        float, typer.Option("--timeout", parser=duration(0.1), metavar="DURATION", help="Wait this long for one answer.")
    ] = written("30s"),
    chaos: Annotated[
        bool, typer.Option("--chaos", help="Send also KEY, an unknown command, a missing file, a burst, and QUIT while requests are open.")
    ] = False,
    pipelining: Annotated[
        bool, typer.Option("--pipelining", help="Send the next request before the program has read the last one.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", min=0, metavar="N", help="Show this many lines of the dialogue.")] = 20,
    json: Json = False,
) -> int:
    from enqueuer.cli._benchview import BenchView, document, report
    from filterlink.workbench.testbench import BenchPlan

    try:
        words = shlex.split(program)
    except ValueError:
        fail(f"PROGRAM {program!r}: a quote is not closed", exits.USAGE)
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
    """Run the plan once in a directory that replaces `where`. Raises CommandFailure if the program cannot be started."""
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
    """Copy the files, which the caller may read, to where the account of the base directory may read them, too."""
    found = [folder / f"{number}.msg" for number in range(len(files))]
    for path, file in zip(found, files, strict=True):
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
    return found


def _samples(folder: Path) -> list[Path]:
    """Write made messages of all kinds except large ones."""
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
