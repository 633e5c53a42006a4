"""`python -m bench`: run the suite, then report the results in tables and plots.

    python -m bench                    the short form (make bench): about two minutes
    python -m bench --full             all of it (make bench-full): under half an hour
    python -m bench --full bench_size.py -k 1MiB     a part of it; the results of the other parts stay
    python -m bench report [--full]    the report again, from the stored results
    python -m bench ratio              engine and bare loop in turns
    python -m bench compare BASE       what became slower
    python -m bench profile            where the CPU goes

Results go to bench/results (not committed): short.json or full.json, the report beside it as .md, the plots in a folder beside it as SVG
and PNG. --publish copies tables and plots to docs/. How to write a file of benchmarks: bench/record.py.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import compare, plots, profile, ratio, report
from bench.results import HERE, RESULTS, Document, add, in_force, load, results_of, warning

DOCS = HERE.parent / "docs"
PYTEST = ("-q", "-p", "no:cacheprovider", "-o", "python_files=bench_*.py", "-o", "addopts=--import-mode=importlib --strict-markers")
BENCHMARK = (
    "--benchmark-only",
    "--benchmark-disable-gc",
    "--benchmark-quiet",
    "-W",
    "ignore::pytest_benchmark.logger.PytestBenchmarkWarning",
)


class Skips:
    """A plugin for pytest that keeps the reason of each skip."""

    def __init__(self) -> None:
        self.why: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self.why[report.nodeid.rpartition("/")[2]] = report.longrepr[2].removeprefix("Skipped: ")


def main() -> int:
    others = {"ratio": ratio.main, "compare": compare.main, "profile": profile.main, "report": again}
    if sys.argv[1:2] and sys.argv[1] in others:
        return others[sys.argv[1]](sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE", help="files of benchmarks; without any: all")
    parser.add_argument("--full", action="store_true", help="also what takes long")
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="only what pytest's -k selects")
    parser.add_argument("--publish", action="store_true", help="put tables and plots into docs/")
    options = parser.parse_args()
    form = "full" if options.full else "short"
    begun = time.monotonic()
    if warning():
        print(f"WARNING: {warning()}", file=sys.stderr)
    files = [Path(name).name for name in options.files] or sorted(path.name for path in HERE.glob("bench_*.py"))
    failed = [file for file in files if not run(file, form, options.k)]
    only = [Path(name).name for name in options.files]
    show(form, publish=options.publish, only=only)
    print(f"{len(files)} files of benchmarks, {time.monotonic() - begun:.0f} s" + (f"; failed: {', '.join(failed)}" if failed else ""))
    print("\n".join(_closing(form, only)))
    return bool(failed)


def _closing(form: str, only: Sequence[str]) -> list[str]:
    """The last lines, of all results or of those of some files."""
    path = RESULTS / f"{form}.json"
    document = load(path) if path.exists() else {"benchmarks": [], "machine": {}}
    mine = [each for each in results_of(document) if not only or each.file in only]
    return report.closing(mine, os.path.relpath(RESULTS / form), document["machine"].get("durability", in_force("group")))


def run(file: str, form: str, select: str = "") -> bool:
    """Run one file and keep its results; return False if something in it failed."""
    skips = Skips()
    begun = time.monotonic()
    with tempfile.NamedTemporaryFile(suffix=".json") as data:
        words = [str(HERE / file), *PYTEST, *BENCHMARK, f"--benchmark-json={data.name}", "-k", select]
        words += [] if form == "full" else ["-m", "not full"]
        code = pytest.main(words, plugins=[skips])
        found = json.loads(Path(data.name).read_bytes() or b"{}").get("benchmarks", [])
    if code != pytest.ExitCode.NO_TESTS_COLLECTED:
        add(RESULTS / f"{form}.json", file, found, skips.why, whole=not select)
    print(f"{file}: {time.monotonic() - begun:.0f} s", flush=True)
    return code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def again(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench report")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--publish", action="store_true")
    options = parser.parse_args(arguments)
    form = "full" if options.full else "short"
    show(form, publish=options.publish)
    print("\n".join(_closing(form, ())))
    return 0


def show(form: str, *, publish: bool, only: Sequence[str] = ()) -> None:
    """Write report and plots, and print the tables (those of some files only)."""
    if not (RESULTS / f"{form}.json").exists():
        return
    document = load(RESULTS / f"{form}.json")
    _draw(RESULTS / form, document)
    (RESULTS / f"{form}.md").write_text(report.text(document, form, form))
    shown = {**document, "benchmarks": [each for each in document["benchmarks"] if not only or each["file"] in only]}
    print(report.without_plots(report.text(shown, form, form)))
    if publish:
        page = DOCS / "performance.md"
        page.write_text(report.splice(page.read_text(), report.text(document, form, "performance")))
        shutil.rmtree(DOCS / "performance", ignore_errors=True)
        (DOCS / "performance").mkdir()
        for path in (RESULTS / form).glob("*.png"):
            shutil.copy(path, DOCS / "performance")


def _draw(folder: Path, document: Document) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    machine = document["machine"]
    version = f"Enqueuer {machine['enqueuer']} ({machine['commit']})"
    force = f" (durability {machine['durability']})" if "durability" in machine else ""
    about = f"{version}, {machine['cores']} cores, {machine['filesystem']}{force}, Linux {machine['kernel']}"
    plots.draw(folder, report.by_group(results_of(document)), about)


if __name__ == "__main__":
    sys.exit(main())
