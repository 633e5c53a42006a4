"""The built-in filter: YARA rules on the message, on each of its parts and on the content of archives.

A rule's `meta` says what follows from a match: verdict = "ERROR" (the default), "DISCARD" or
"ADDHEADER"; text, or description, for the report; header = "Name: value". ERROR wins over DISCARD, DISCARD over ADDHEADER.
Rules see the variables `filename`, `filepath`, `extension`, `filetype` and `flags` of the part.
"""

import functools
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yara_x

from filterlink.config.units import say_size
from filterlink.filters.content import office
from filterlink.filters.content.archives import unpack
from filterlink.filters.content.mime import Part, parts
from filterlink.filters.runtime.complain import complain
from filterlink.filters.runtime.runtime import ScanBounds, Verdict, discard, error, header, ok, open_message, say, serve
from filterlink.filters.runtime.standstill import STOOD_STILL, stood_still, used
from filterlink.filters.runtime.verdict import UNSCANNABLE
from filterlink.filters.runtime.workers import GRACE
from filterlink.process import sandbox

__all__ = ["DEFAULT_RULES", "FLAGS", "BadRules", "LiveRules", "YaraFilter", "YaraSettings", "compile_rules", "lacking", "run"]

DEFAULT_RULES = Path(__file__).parent / "rules" / "default.yar"
CHECK_EVERY = 2.0
"""Seconds between two looks at the rule files."""
FLAGS = {
    "ambiguous": "mail programs read it in different ways",
    "bomb": "it unpacks to far more than its size",
    "broken": "it is damaged, and cannot be scanned completely",
    "encrypted": "it is encrypted",
    "limit": "there is too much in it",
    "unopened": "it is of a kind that the filter does not open",
}
"""Why a part could not be scanned completely, or is scanned in several readings (mime.py)."""
MARK = "X-Enqueuer-Flags"
VARIABLES = ("filename", "filepath", "extension", "filetype", "flags")


class BadRules(Exception):
    """A rule file cannot be used. The text names file, line and reason."""


class RuleMatch(NamedTuple):
    """A rule that matched, and where."""

    rule: str
    place: str
    meta: dict[str, Any]

    @property
    def verdict(self) -> str:
        return str(self.meta.get("verdict", "ERROR"))

    @property
    def report(self) -> str:
        text = self.meta.get("text") or self.meta.get("description") or "YARA rule"
        return f"{text} in {self.place} ({self.rule})"

    @property
    def field(self) -> str:
        return str(self.meta.get("header") or f"X-Yara: {self.rule} in {self.place}".encode("ascii", "replace").decode())


class YaraSettings(NamedTuple):
    """Seconds and bytes of memory (0: no limit) for one message, and what happens to a message that needs more.

    `stop`: flags of parts for which a message is refused, without any rule. `mark`: those for which a field is added.
    """

    timeout: float = 110.0
    unscannable: str = "defer"
    memory: int = 2 << 30
    stop: frozenset[str] = frozenset()
    mark: frozenset[str] = frozenset()


DEFAULTS = YaraSettings()
_LATE = "the rules take longer than {:g} s for this message"


def run(rules: Sequence[str], default_rules: bool = True, threads: int = 0, settings: YaraSettings = DEFAULTS) -> int:
    """Run the helper program; return the exit code. `threads`: messages that are scanned at the same time (0 = by the processors)."""
    try:
        live = LiveRules([str(DEFAULT_RULES)] * default_rules + list(rules), settings)
    except BadRules as fault:
        print(f"enqueuer filter yara: {fault}", file=sys.stderr)
        return os.EX_CONFIG
    for what in lacking():
        complain(what)
    late = unscannable(settings, _LATE.format(settings.timeout))
    bounds = ScanBounds(settings.timeout + GRACE, late, settings.memory, confined=True)
    return serve("yara", live.filter.judge, threads, live.renewed, bounds)


def lacking() -> list[str]:
    """Return what this machine lacks, what that means, and the cure."""
    found = []
    if not unpack.available():
        found.append("without libarchive (apt-get install libarchive13): 7z, rar, cab, iso and others are not opened")
    if not office.available():
        found.append("without oletools (pip install enqueuer[office]): macros in Office files are not scanned")
    return found + [f"the parsers have more rights than they need: {what}" for what in sandbox.missing()]


def unscannable(settings: YaraSettings, text: str) -> Verdict:
    return UNSCANNABLE[settings.unscannable](text)


class LiveRules:
    """Rule files and folders of them, compiled again when they change. It is in the process that forks the workers."""

    def __init__(self, places: Sequence[str], settings: YaraSettings = DEFAULTS) -> None:
        """Compile the rules. Raises BadRules."""
        self._places = places
        files = rule_files(places)
        self._seen = stamps(files)
        self.filter = YaraFilter(compile_rules(files), settings)
        self._next = time.monotonic() + CHECK_EVERY

    def renewed(self) -> bool:
        """Return whether the filter has other rules than at the last call. It looks at most once each CHECK_EVERY seconds."""
        if (now := time.monotonic()) < self._next:
            return False
        self._next = now + CHECK_EVERY
        try:
            return self._reload()
        except Exception as fault:  # noqa: BLE001 - the helper must live on, whatever the compiler makes of them
            complain(f"rules changed and are faulty, so the old ones stay active: {fault}")
            return False

    def _reload(self) -> bool:
        files = rule_files(self._places)
        if (seen := stamps(files)) == self._seen:
            return False
        self._seen = seen  # a faulty file is tried once
        self.filter.take(compile_rules(files))
        say(f"rules reloaded: {len(files)} files")
        return True


def rule_files(places: Sequence[str]) -> list[str]:
    """Return the rule files; of a folder those that end in .yar or .yara, in the order of their names. Raises BadRules."""
    files: list[str] = []
    for place in places:
        try:
            names = sorted(os.listdir(place)) if Path(place).is_dir() else None
        except OSError as fault:
            raise BadRules(f"{place}: cannot be read: {fault.strerror}") from None
        files += [place] if names is None else [f"{place}/{name}" for name in names if name.endswith((".yar", ".yara"))]
    return files


def stamps(files: Sequence[str]) -> dict[str, tuple[int, int, int] | None]:
    """Return what changes when a file changes; None for a missing file."""
    found: dict[str, tuple[int, int, int] | None] = {}
    for file in files:
        try:
            told = os.stat(file)
            found[file] = (told.st_mtime_ns, told.st_size, told.st_ino)
        except OSError:
            found[file] = None
    return found


def compile_rules(files: Sequence[str]) -> yara_x.Rules:
    """Compile rule files, each in a namespace of its own. Raises BadRules."""
    if not files:
        raise BadRules("no rules: name a file with --rules, or leave out --no-default-rules")
    compiler = yara_x.Compiler()
    for name in VARIABLES:
        compiler.define_global(name, "")
    kind: Any = yara_x.MetaType
    compiler.allowed_metadata("verdict", kind.STRING, required=False, regexp="^(ERROR|DISCARD|ADDHEADER)$", error=True)
    for file in files:
        _add(compiler, file)
    return compiler.build()


def _add(compiler: yara_x.Compiler, file: str) -> None:
    try:
        source = Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as fault:
        raise BadRules(f"{file}: cannot be read: {getattr(fault, 'strerror', None) or fault}") from None
    compiler.add_include_dir(str(Path(file).resolve().parent))
    compiler.new_namespace(file)
    try:
        compiler.add_source(source, origin=file)
    except yara_x.CompileError:
        raise BadRules(_explain(compiler.errors()[0], file)) from None


def _explain(fault: dict[str, Any], file: str) -> str:
    label = (fault["labels"] or [{}])[0]
    place = f"{label.get('code_origin') or file}:{label.get('line', fault.get('line'))}"
    return f"{place}: {fault['title']}" + (f": {label['text']}" if label.get("text") else "")


class YaraFilter:
    """Scans messages with compiled rules."""

    def __init__(self, rules: yara_x.Rules, settings: YaraSettings = DEFAULTS) -> None:
        self._rules = rules
        self._settings = settings
        self._own: yara_x.Scanner | None = None

    def take(self, rules: yara_x.Rules) -> None:
        """Use these rules from now on."""
        self._rules = rules
        self._own = None

    def judge(self, path: str) -> Verdict:
        """Scan one queue file: first the parts, whose reports name the file, then the raw message for the rest."""
        busy = used()
        end = time.monotonic() + self._settings.timeout
        try:
            return self._decided(self._findings(open_message(path).data, end))
        except (yara_x.TimeoutError, TimeoutError):
            if stood_still(used() - busy, self._settings.timeout):
                return STOOD_STILL
            return unscannable(self._settings, _LATE.format(self._settings.timeout))
        except MemoryError:
            return unscannable(self._settings, f"this message needs more memory than {say_size(self._settings.memory)}")

    def _decided(self, findings: Iterable[RuleMatch]) -> Verdict:
        fields: dict[str, None] = {}
        drop = False
        for finding in findings:
            if finding.verdict == "ERROR":
                return error(finding.report)
            drop = drop or finding.verdict == "DISCARD"
            if finding.verdict == "ADDHEADER":
                fields[finding.field] = None
        if drop:
            return discard()
        return header(tuple(fields)) if fields else ok()

    def _findings(self, message: bytes, end: float) -> Iterator[RuleMatch]:
        """Yield all matches. Raises TimeoutError of either kind."""
        macros = office.Macros()
        flags = set[str]()
        for part in parts(message, functools.partial(_look, end)):
            yield from self._of_flag(part)
            flags.add(part.flag)
            for number, name in enumerate(part.names or ("",)):
                yield from self._scan(part._replace(place=_place(part.place, name), data=part.data if number == 0 else b""), name, end)
            if not office.is_office(part.data):
                continue
            code, flag = macros.read(part.data)
            if code or flag:
                found = Part(f"the macros of {part.place}", (), "text/vba", code, flag)
                flags.add(flag)
                yield from self._of_flag(found)
                yield from self._scan(found, "", end)
        yield from self._scan(Part("the message", (), "", message, "ambiguous" if "ambiguous" in flags else ""), "", end)
        if marked := sorted(flags & self._settings.mark):
            yield RuleMatch("--mark", "the message", {"verdict": "ADDHEADER", "header": f"{MARK}: {', '.join(marked)}"})

    def _of_flag(self, part: Part) -> Iterator[RuleMatch]:
        if part.flag in self._settings.stop:
            yield RuleMatch(f"--stop {part.flag}", part.place, {"text": FLAGS[part.flag]})

    def _scan(self, part: Part, name: str, end: float) -> Iterator[RuleMatch]:
        scanner = self._scanner()
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        scanner.set_timeout(math.ceil(left))  # it counts in whole seconds
        for variable, value in zip(VARIABLES, (name, name, extension(name), part.type, part.flag), strict=True):
            scanner.set_global(variable, value.encode("utf-8", "replace").decode())
        for rule in scanner.scan(part.data).matching_rules:
            yield RuleMatch(rule.identifier, part.place, dict(rule.metadata))

    def _scanner(self) -> yara_x.Scanner:
        """Return the scanner. It is made at the first message, because it belongs to the thread and process that made it."""
        if self._own is None:
            self._own = yara_x.Scanner(self._rules)
        return self._own


def _place(place: str, name: str) -> str:
    """Return the position of a part, with the name under which it is scanned."""
    within, slash, _ = place.rpartition("/")
    return within + slash + name if name else place


def _look(end: float) -> None:
    if time.monotonic() >= end:
        raise TimeoutError


def extension(name: str) -> str:
    """Return the extension that Windows acts on: it ignores dots and blanks at the end."""
    stem, dot, last = name.rstrip(" .").rpartition(".")
    return last.lower() if dot and stem else ""
