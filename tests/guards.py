"""Check what no linter checks: the shape of the code, the directions of imports, and text that must not be in the tree.

`make check` runs this program, which prints the shape. tests/test_layout.py runs each guard as a test. A guard yields its
complaints, one line each.
"""

import ast
import functools
import itertools
import re
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["GUARDS", "ROOT", "Function", "functions", "main", "modules", "shape"]

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("enqueuer", "queue", "filterlink")
MEDIAN = 9
P90 = 20
LONGEST = 50
MODULE = 320
"""Lines. The four limits of the code's shape keep each function and each file short enough to read at a glance."""

PURE_FOLDERS = ("enqueuer/config", "enqueuer/policy", "queue/message", "filterlink/protocol", "filterlink/config")
"""Folders of pure modules only. They decide and touch nothing: bytes and the time are arguments."""
IMPURE = {"os", "socket", "select", "time", "logging", "subprocess", "threading", "multiprocessing", "signal"}
PROCESSES = (
    "enqueuer/supervisor",
    "enqueuer/manager",
    "enqueuer/processor",
    "enqueuer/scan",
    "enqueuer/doors/drop",
    "enqueuer/doors/serving",
)
"""Folders of the engine's processes. Only the supervisor's folder imports the others, to start them."""
LAYERS = ("filterlink", "queue", "enqueuer")
"""The layers, lowest first. Each imports only itself and those before it; queue/ imports only the pure modules of filterlink."""


WHOLE = frozenset(
    {
        "test_badmail.py",
        "test_containers.py",
        "test_daemons.py",
        "test_deviations.py",
        "test_exim.py",
        "test_filesystems.py",
        "test_hostile.py",
        "test_httpdoor.py",
        "test_manners.py",
        "test_many.py",
        "test_pages.py",
        "test_postfix.py",
        "test_readme.py",
        "test_realservers.py",
        "test_rspamc.py",
        "test_sendmail.py",
        "test_servers.py",
        "test_stops.py",
        "test_strace.py",
        "test_wishes.py",
        "test_wrappings.py",
    }
)
"""Tests of the whole engine, which belong to no module. There must be few."""


MAY_FAIL = {
    "runtime/verdict.py": "UNSCANNABLE: --unscannable pass",
    "runtime/runtime.py": "a command that is not FILE",
    "command/execute.py": "the action Execute: its filter has failure_passes = false",
}
"""Modules of filterlink/filters that may answer FAILURE, and the reason."""


SPEAK_THE_PROTOCOL = {"filterlink/protocol/protocol.py", "filterlink/workbench/testbench.py"}
"""Modules that write the file name of a message into a line for helpers: `FILE Queue/<id>.msg`."""


VIEWS = ("_show.py", "_demoview.py", "_benchview.py")
"""Modules that draw with rich. Only the commands that need them import them."""


class Function(NamedTuple):
    lines: int
    place: str


class Import(NamedTuple):
    module: str
    place: str
    top: bool
    """True: the import is at the top of the file, not inside a function."""


def sources(*folders: str) -> Iterator[Path]:
    """Yield the Python files of these folders, except enqueuer/queue, which is a link to queue/."""
    for folder in folders:
        yield from sorted(path for path in (ROOT / folder).rglob("*.py") if "enqueuer/queue/" not in path.as_posix())


def functions() -> list[Function]:
    """Return every function of the program with its length, without docstring and decorators."""
    return [Function(_lines(node), f"{_name(path)}:{node.lineno} {node.name}") for path in sources(*PARTS) for node in _functions(path)]


def modules() -> list[Function]:
    return [Function(len(path.read_text().splitlines()), _name(path)) for path in sources(*PARTS)]


def shape() -> str:
    """Describe the shape of the code in a few lines."""
    lengths = sorted(function.lines for function in functions())
    median = statistics.median(lengths)
    longest = max(functions())
    module = max(modules())
    return (
        f"functions: {len(lengths)}, median {median:g}, p90 {_p90(lengths)}, longest {longest.lines} ({longest.place})\n"
        f"modules:   {len(modules())}, longest {module.lines} ({module.place})\n"
        f"circles of files: {len(_circles(_files_graph()))}, of folders: {len(_circles(_folders_graph()))}, "
        f"arrows upward: {len(list(arrows_fall()))}, class names in two modules: {len(list(no_noun_names_two_classes()))}"
    )


# The guards


def code_is_small() -> Iterator[str]:
    lengths = sorted(function.lines for function in functions())
    if statistics.median(lengths) > MEDIAN:
        yield f"the median function has {statistics.median(lengths):g} lines: at most {MEDIAN}"
    if _p90(lengths) > P90:
        yield f"one function in ten has more than {_p90(lengths)} lines: at most {P90}"
    yield from (f"{place} has {lines} lines: at most {LONGEST}" for lines, place in functions() if lines > LONGEST)
    yield from (f"{place} has {lines} lines: at most {MODULE}" for lines, place in modules() if lines > MODULE)


def queue_never_shadows_the_standard_library() -> Iterator[str]:
    if (ROOT / "queue/__init__.py").exists():
        yield "queue/__init__.py: it would hide the standard library's queue, which multiprocessing imports"
    if not (ROOT / "enqueuer/queue").is_symlink():
        yield "enqueuer/queue is not a symlink to ../queue: this link gives the folder its import name"
    if (ROOT / "enqueuer/__init__.py").read_bytes():
        yield "enqueuer/__init__.py is not empty: importing the queue would import the engine"


def arrows_fall() -> Iterator[str]:
    """Check that enqueuer imports only queue and filterlink, queue only pure modules of filterlink, and filterlink only itself."""
    for source, targets in _files_graph().items():
        own = LAYERS.index(source.partition("/")[0])
        for target in targets:
            layer = target.partition("/")[0]
            if LAYERS.index(layer) > own:
                yield f"{source} imports {target}: {source.partition('/')[0]}/ knows nothing of {layer}/"
            elif source.startswith("queue/") and layer == "filterlink" and not _is_pure(target):
                yield f"{source} imports {target}, which is not pure"


def nothing_goes_in_circles() -> Iterator[str]:
    """Check that neither files nor folders import each other in a circle, not even inside a function."""
    for kind, graph in (("files", _files_graph()), ("folders", _folders_graph())):
        yield from (f"a circle of {kind}: {', '.join(sorted(circle))}" for circle in _circles(graph))


def processes_import_no_other_process() -> Iterator[str]:
    """Check that a process imports no other: shared code has its own folder, and processes communicate by frames."""
    for source, targets in _files_graph().items():
        own = _process(source)
        for target in targets:
            if own and _process(target) not in (None, own) and own != "enqueuer/supervisor":
                yield f"{source} imports {target}, of another process"


def pure_modules_touch_nothing() -> Iterator[str]:
    """Check pure modules: those in one of PURE_FOLDERS, and those whose docstring says "Pure"."""
    for path in sources(*PARTS):
        if not _is_pure(_name(path)):
            continue
        yield from (f"{place} imports {module}: a pure module" for module, place, _ in _imports(path) if module.partition(".")[0] in IMPURE)
        yield from (f"{_name(path)} is pure and imports {target}" for target in _files_graph()[_name(path)] if not _is_pure(target))


def no_noun_names_two_classes() -> Iterator[str]:
    """Check that each class name is unique, so that a name in a log, a traceback or a search means one thing."""
    places: dict[str, set[str]] = {}
    for path in sources(*PARTS):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, set()).add(_name(path))
    yield from (f"class {name} is in {', '.join(sorted(found))}" for name, found in sorted(places.items()) if len(found) > 1)


def commands_start_fast() -> Iterator[str]:
    """Check that modules which are slow to import or start threads are imported only by the commands that need them."""
    heavy = {"multiprocessing", "multiprocessing_logging", "rich", "watchdog", "yara_x"}
    for path in sources("enqueuer/cli"):
        for module, place, top in _imports(path):
            if top and module.partition(".")[0] in heavy and path.name not in VIEWS:
                yield f"{place} imports {module} for every command"


def modules_name_what_they_offer() -> Iterator[str]:
    for path in sources(*PARTS):
        tree = _tree(path)
        if not tree.body:
            continue
        if ast.get_docstring(tree) is None:
            yield f"{_name(path)} has no docstring: say what may be in it, and what may not"
        names = {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)}
        if "__all__" not in names:
            yield f"{_name(path)} has no __all__"


def tests_never_sleep() -> Iterator[str]:
    """Forbid sleeps: too short on a slow machine, too long on all others. Tests wait for a condition, with a deadline."""
    for path in sources("tests"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"(?<![\w.\"'])(time|asyncio)\.sleep\(|from time import.*\bsleep\b", line):
                yield f"{_name(path)}:{number} sleeps"


def tests_mirror_the_modules() -> Iterator[str]:
    """Check that tests/<folder>/test_<module>.py has a module to test."""
    for path in sources("tests/enqueuer", "tests/queue", "tests/filterlink"):
        if path.name.startswith("test_") and path.name not in WHOLE:
            folder = path.parent.relative_to(ROOT / "tests")
            tested = path.name.removeprefix("test_")
            if not any((ROOT / folder / name).exists() for name in (tested, f"_{tested}", tested.removesuffix(".py"))):
                yield f"{_name(path)} tests no module: {folder}/{tested} is not there"


def failure_is_said_by_few() -> Iterator[str]:
    """Check that only modules in MAY_FAIL use verdict.failure or the word: a filter's FAILURE lets the message pass."""
    for path in sources("filterlink/filters"):
        if _name(path).removeprefix("filterlink/filters/") in MAY_FAIL:
            continue
        tree = _tree(path)
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            value = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
            text = value if isinstance(value, str) else value.decode("latin-1") if isinstance(value, bytes) else ""
            named = {getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "name", "")}
            if "failure" in named or "FAILURE" in text:
                yield f"{_name(path)}:{getattr(node, 'lineno', 0)} says FAILURE, and the message would pass: tests/guards.py names who may"


def tree_holds_no_bait() -> Iterator[str]:
    """Forbid whole test strings: scanners stop at them in any file, so tests build them at run time."""
    bait = {"EICAR": b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE", "GTUBE": b"XJS*C4JDBQADN1." + b"NSBN3*2IDNEN*GTUBE"}
    for path in _files():
        data = path.read_bytes()
        yield from (f"{_name(path)} holds {name} whole" for name, text in bait.items() if text in data)
        if b"../" + b"shared" in data or b"/work/" + b"shared" in data:
            yield f"{_name(path)} mentions a place outside of the project"


def no_tuple_assignments_of_unrelated_things() -> Iterator[str]:
    """Forbid `a, b = x, y`, except if a value is read before a target changes, as in a swap. Else write one assignment a line."""
    for path in sources(*PARTS, "bench", "tests"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Assign) and any(_unrelated(target, node.value) for target in node.targets):
                yield f"{_name(path)}:{node.lineno} assigns unrelated things in one line"


def paths_stay_in_the_store() -> Iterator[str]:
    """Check that only the store knows its paths (queue/directory/layout.py). Docstrings and help texts may name them."""
    path_of_the_store = re.compile(r"\b(?:Queue|Staged|Incoming|Outbound|Quarantine|Hold|Bad)/(?![\s.,;:)]|$)|\.taken\b")
    begins = re.compile(r"(?:Queue|Staged|Incoming|Outbound|Quarantine|Hold|Bad|Submitted)/$")
    for path in sources("enqueuer", "filterlink"):
        if _name(path) in SPEAK_THE_PROTOCOL:
            continue
        tree = _tree(path)
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        in_f_strings = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or id(node) in docstrings:
                continue
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1") if isinstance(node.value, bytes) else ""
            if path_of_the_store.search(text) or (id(node) in in_f_strings and begins.fullmatch(text)):
                yield f"{_name(path)}:{node.lineno} knows a path of the store: ask queue/ for it"


GUARDS: tuple[Callable[[], Iterator[str]], ...] = (
    code_is_small,
    queue_never_shadows_the_standard_library,
    arrows_fall,
    nothing_goes_in_circles,
    processes_import_no_other_process,
    pure_modules_touch_nothing,
    no_noun_names_two_classes,
    commands_start_fast,
    modules_name_what_they_offer,
    tests_never_sleep,
    tests_mirror_the_modules,
    failure_is_said_by_few,
    paths_stay_in_the_store,
    tree_holds_no_bait,
    no_tuple_assignments_of_unrelated_things,
)


def main() -> int:
    """Print the shape, then all complaints; return 1 if there are any."""
    print(shape())
    complaints = list(itertools.chain.from_iterable(guard() for guard in GUARDS))
    print("\n".join(complaints) or f"{len(GUARDS)} guards: nothing to complain of")
    return bool(complaints)


# The graph of imports

Graph = dict[str, set[str]]


@functools.cache
def _files_graph() -> Graph:
    """Return each of our files with those that it imports, including imports in functions and for type checkers."""
    files = {_name(path) for path in sources(*PARTS)}
    return {_name(path): {target for module, _, _ in _imports(path) if (target := _file(module, files))} for path in sources(*PARTS)}


def _file(module: str, files: set[str]) -> str | None:
    """Return the file of a module, or of the module that has this name; None if it is not ours."""
    parts = module.removeprefix("enqueuer.queue.") if module.startswith("enqueuer.queue.") else None
    words = ["queue", *parts.split(".")] if parts is not None else module.split(".")
    return next((found for count in (len(words), len(words) - 1) if (found := "/".join(words[:count]) + ".py") in files), None)


def _folders_graph() -> Graph:
    graph: Graph = {}
    for source, targets in _files_graph().items():
        folder = source.rpartition("/")[0]
        graph.setdefault(folder, set()).update(target.rpartition("/")[0] for target in targets)
        graph[folder].discard(folder)
    return graph


def _circles(graph: Graph) -> list[set[str]]:
    """Return the sets of more than one node that reach each other."""
    reached = {node: _reach(graph, node) for node in graph}
    circles = {frozenset(other for other in reached[node] if node in reached.get(other, ())) for node in graph if node in reached[node]}
    return [set(circle) for circle in circles if len(circle) > 1]


def _reach(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _process(name: str) -> str | None:
    return next((folder for folder in PROCESSES if name.startswith(folder + "/")), None)


def _is_pure(name: str) -> bool:
    return name.startswith(tuple(folder + "/" for folder in PURE_FOLDERS)) or bool(
        re.search(r"\bPure\b", ast.get_docstring(_tree(ROOT / name)) or "")
    )


# Reading the tree

SKIPPED = {".git", ".venv", "__pycache__", "build", "dist", "spool", "results"}


def _files() -> Iterator[Path]:
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not (SKIPPED & set(parts) or any(part.endswith(("_cache", ".egg-info")) for part in parts)):
            yield path


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(_tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines from `def` to the last line, without the docstring."""
    documented = ast.get_docstring(node) is not None
    docstring = node.body[0].end_lineno or 0
    return (node.end_lineno or 0) - node.lineno + 1 - (docstring - node.body[0].lineno + 1 if documented else 0)


def _p90(lengths: list[int]) -> int:
    return lengths[int(len(lengths) * 0.9)]


def _imports(path: Path) -> Iterator[Import]:
    tree = _tree(path)
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        place = f"{_name(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, place, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from enqueuer import queue` imports enqueuer.queue as much as `import enqueuer.queue` does
            yield from (Import(f"{node.module}.{alias.name}", place, id(node) in top) for alias in node.names)


def _unrelated(target: ast.expr, value: ast.expr) -> bool:
    """Return whether a tuple is assigned to a tuple, and no value reads what an earlier target changes."""
    if not (isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts)):
        return False
    if any(isinstance(each, ast.Starred) for each in (*target.elts, *value.elts)):
        return False
    changed: set[str] = set()
    for one, read in zip(target.elts, value.elts, strict=True):
        if any(isinstance(node, ast.expr) and ast.unparse(node) in changed for node in ast.walk(read)):
            return False
        changed.add(ast.unparse(one))
    return True


if __name__ == "__main__":
    sys.exit(main())
