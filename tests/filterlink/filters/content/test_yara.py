import base64
import io
import itertools
import os
import re
import select
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from filterlink.filters.content import yara
from filterlink.filters.content.mime import Part, parts
from filterlink.filters.content.yara import DEFAULT_RULES, BadRules, YaraFilter, YaraSettings, compile_rules, extension
from filterlink.filters.runtime.standstill import STOOD_STILL
from filterlink.filters.runtime.verdict import Verdict, discard, header, ok
from tests.filterlink.filters.content.test_office import ole, vba
from tests.helpers import hostile
from tests.helpers.paths import ROOT

EICAR = "".join((r"X5O!P%@AP[4\PZX54(P^)", "7CC)7}$EICAR", "-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*")).encode()
GTUBE = "".join(("XJS*C4JDBQADN1.NSBN3*2IDNEN", "*GTUBE-STANDARD-", "ANTI-UBE-TEST-EMAIL*C.34X")).encode()
PROGRAM = "import sys; from filterlink.filters.content.yara import run; sys.exit(run(sys.argv[2:], sys.argv[1] == 'default'))"


@pytest.fixture(scope="module")
def shipped() -> YaraFilter:
    return YaraFilter(compile_rules([str(DEFAULT_RULES)]))


def attached(name: str, data: bytes) -> bytes:
    message = EmailMessage()
    message["Subject"] = "x"
    message.set_content("see the file")
    message.add_attachment(data, "application", "octet-stream", filename=name)
    return message.as_bytes()


def zipped(name: str, data: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, data)
    return target.getvalue()


def judge(judging: YaraFilter, message: bytes, folder: Path) -> Verdict:
    path = folder / "1.msg"
    path.write_bytes(b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>\nR W x <c@d>\n\n" + message)
    return judging.judge(str(path))


def own(folder: Path, *sources: str) -> YaraFilter:
    files = [folder / f"{number}.yar" for number in range(len(sources))]
    for file, source in zip(files, sources, strict=True):
        file.write_text(source)
    return YaraFilter(compile_rules([str(file) for file in files]))


@pytest.mark.parametrize(
    ("message", "report"),
    [
        (attached("a.bin", EICAR), "EICAR test file in a.bin (Eicar_Test_File)"),
        (attached("readme.zip", zipped("eicar.com", EICAR)), "EICAR test file in readme.zip/eicar.com (Eicar_Test_File)"),
        (b"Subject: x\n\n" + EICAR, "EICAR test file in part 1 (Eicar_Test_File)"),
        (b"Subject: " + EICAR + b"\n\nx", "EICAR test file in the message (Eicar_Test_File)"),
        (b"Subject: x\n\nhello\n" + GTUBE + b"\n", "GTUBE test message (unsolicited bulk mail) in part 1 (Gtube_Test_Message)"),
        (attached("a", b"MZ\x90\0\3" + bytes(60)), "Windows or DOS executable in a (Executable_Windows)"),
        (attached("a", b"\x7fELF\2\1\1"), "Unix executable (ELF) in a (Executable_Unix)"),
        (attached("a", b"\xcf\xfa\xed\xfe\7"), "macOS executable (Mach-O) or Java class in a (Executable_Mac_Or_Java)"),
        (attached("report.PDF.exe ", b"x"), "executable that poses as a document in report.PDF.exe (Double_Extension)"),
        (attached("report.pdf   .scr.", b"x"), "executable that poses as a document in report.pdf   .scr. (Double_Extension)"),
        (attached("a.vbs", b"x"), "file of a kind that runs when it is opened in a.vbs (Dangerous_Extension)"),
        (attached("a.zip", zipped("b.js", b"x")), "file of a kind that runs when it is opened in a.zip/b.js (Dangerous_Extension)"),
        (attached("a\u202egpj.exe", b"x"), "file name that is turned around to hide its extension in a\u202egpj.exe (Reversed_File_Name)"),
        (attached("a.zip", zipped("b", bytes(30 << 20))), "archive bomb in a.zip/b (Archive_Bomb)"),
        (b"Content-Type: message/rfc822\n\n" * 30, "too much in it to be looked at whole in part 21 (Beyond_Limits)"),
    ],
)
def test_what_the_rules_in_the_box_catch(shipped: YaraFilter, tmp_path: Path, message: bytes, report: str) -> None:
    """The report names the part and the rule."""
    assert ("ERROR", report, ()) == judge(shipped, message, tmp_path)


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: x\n\nMZ is how some texts begin, and \x7fELF stands in others\n",
        b"Subject: x\n\nsee http://example.com/setup.exe\n",
        attached("report.pdf", b"%PDF-1.7\n"),
        attached("photo.jpg", os.urandom(100_000)),
        attached("a.zip", zipped("report.pdf", b"x")),
        attached("exe", b"x"),
        b"",
        b"\0\xff\n\n\n",
    ],
)
def test_what_they_let_pass(shipped: YaraFilter, tmp_path: Path, message: bytes) -> None:
    """Ordinary mail, also where it speaks of dangerous things."""
    assert ok() == judge(shipped, message, tmp_path)


CODED = b"Content-Transfer-Encoding: base64\n"
SIZELESS = re.sub(rb"(?s)(PK\x01\x02.{20}).{4}", rb"\1\0\0\0\0", zipped("a.txt", EICAR))


@pytest.mark.parametrize("outer", [b"", b"Content-Type: multipart/mixed; boundary=b\n\n--b\n"], ids=["message", "part"])
@pytest.mark.parametrize(
    "text",
    [
        b" x\n" + CODED + b"\n" + base64.b64encode(EICAR),
        b": x\n" + CODED + b"\n" + base64.b64encode(EICAR),
        b"X-A: 1\r" + CODED + b"\n" + base64.b64encode(EICAR),
        b"X-A: " + b"x" * (1 << 20) + b"\n" + CODED + b"\n" + base64.b64encode(EICAR),
        CODED + b"\n" + base64.b64encode(SIZELESS),
    ],
    ids=["continuation", "no name", "bare CR", "long header", "zip of size 0"],
)
def test_what_broken_mail_hides_is_caught(shipped: YaraFilter, tmp_path: Path, outer: bytes, text: bytes) -> None:
    """Each was seen to pass."""
    assert judge(shipped, outer + text, tmp_path).word == "ERROR"


def test_a_file_cut_short_hides_nothing_beside_it(shipped: YaraFilter, tmp_path: Path) -> None:
    """Three bytes of a gzip header, and EICAR in the next attachment."""
    message = EmailMessage()
    message.set_content("see the files")
    message.add_attachment(b"\x1f\x8b\x08", "application", "gzip", filename="a.gz")
    message.add_attachment(EICAR, "application", "octet-stream", filename="b.bin")

    assert judge(shipped, message.as_bytes(), tmp_path).text == "EICAR test file in b.bin (Eicar_Test_File)"


def test_the_verdict_is_what_the_rule_says(tmp_path: Path) -> None:
    """ERROR goes before DISCARD, DISCARD before header fields, and several fields are all added."""
    add = 'rule {} {{ meta: verdict = "ADDHEADER" header = "X-{}: 1" strings: $a = "{}" condition: $a }}'
    drop = 'rule drop { meta: verdict = "DISCARD" strings: $a = "drop" condition: $a }'
    plain = 'rule plain { meta: description = "says" strings: $a = "fail" condition: $a }'
    judging = own(tmp_path, add.format("one", "One", "one") + add.format("two", "Two", "two"), drop + plain)

    assert header(("X-One: 1", "X-Two: 1")) == judge(judging, b"\none two", tmp_path)
    assert discard() == judge(judging, b"\none drop", tmp_path)
    assert judge(judging, b"\none drop fail", tmp_path) == ("ERROR", "says in part 1 (plain)", ())
    assert ok() == judge(judging, b"\nother", tmp_path)


def test_a_field_without_text_names_the_rule(tmp_path: Path) -> None:
    """An administrator sees why it is there."""
    judging = own(tmp_path, 'rule r { meta: verdict = "ADDHEADER" condition: filesize > 0 }')

    assert judge(judging, b"\nx", tmp_path).fields == ("X-Yara: r in part 1", "X-Yara: r in the message")


def test_rules_know_the_part(tmp_path: Path) -> None:
    """Its name, extension, type and what could not be looked at."""
    judging = own(tmp_path, 'rule r { condition: filename == "A.Txt" and extension == "txt" and filetype == "a/b" and flags == "" }')

    assert judge(judging, b"Content-Type: a/b; name=A.Txt\n\nx", tmp_path).word == "ERROR"
    assert ok() == judge(judging, b"Content-Type: a/c; name=A.Txt\n\nx", tmp_path)


ENDLESS = "rule r { condition: for any i in (0..filesize): (for any j in (0..100000): (uint8(i) + uint8(j) == 999)) }"


@pytest.mark.parametrize(("unscannable", "word"), [("defer", "REJECTED"), ("error", "ERROR"), ("pass", "FAILURE")])
def test_rules_that_come_to_no_end(tmp_path: Path, unscannable: str, word: str) -> None:
    """Cost their time at most; what becomes of the message is said by --unscannable, and the next one is judged."""
    (tmp_path / "slow.yar").write_text(ENDLESS)
    slow = YaraFilter(compile_rules([str(tmp_path / "slow.yar")]), YaraSettings(0.5, unscannable))

    text = "the rules take longer than 0.5 s for this message"
    while (verdict := judge(slow, b"\n" + b"x" * 5_000_000, tmp_path)) == STOOD_STILL:
        pass  # other programs had the processors
    assert verdict == Verdict(word, text)
    assert judge(slow, b"\nx", tmp_path) == ok()


def test_a_message_is_not_to_blame_for_a_freeze(tmp_path: Path) -> None:
    """The worker was stopped until the time was over: nothing was scanned, and the message waits."""
    path = tmp_path / "1.msg"
    rule = tmp_path / "any.yar"
    path.write_bytes(b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>\nR W x <c@d>\n\n\nhello\n")
    rule.write_text("rule r { condition: true }")
    code = (
        "import os; from filterlink.filters.content.yara import *; from filterlink.filters.content import yara; read = yara.open_message; "
        "yara.open_message = lambda path: (os.kill(os.getpid(), 19), read(path))[1]; "
        f"print(YaraFilter(compile_rules([{str(rule)!r}]), YaraSettings(0.5, 'pass')).judge({str(path)!r}).word)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            select.select([], [], [], 0.1)
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdout
        assert process.stdout.read() == b"REJECTED\n"


def test_a_message_of_50_megabytes(shipped: YaraFilter, tmp_path: Path) -> None:
    """Clean, or with something bad behind all of it."""
    data = os.urandom(38_000_000)
    assert len(attached("a", data)) > 50_000_000

    assert judge(shipped, attached("a", data), tmp_path) == ok()
    assert judge(shipped, attached("a", data + EICAR), tmp_path).text == "EICAR test file in a (Eicar_Test_File)"


def test_every_name_of_a_part_is_tried(shipped: YaraFilter, tmp_path: Path) -> None:
    """A harmless one hides no other."""
    assert (
        judge(shipped, b'Content-Type: a/b; name=a.exe\nContent-Disposition: attachment; filename="a.txt"\n\nx', tmp_path).word == "ERROR"
    )


def test_the_report_names_the_file_that_is_the_reason(shipped: YaraFilter, tmp_path: Path) -> None:
    """By the name that matched, where a part has several."""
    message = b'Content-Type: image/png; name="a.png"\nContent-Disposition: attachment; filename="b.exe"\n\nx'

    assert " in b.exe (" in judge(shipped, message, tmp_path).text


CLOSED = attached("a.bin", b"LRZI0000")
ODD = b"Content-Transfer-Encoding: base64\n\nZmlyc3Q=\naGlkZGVuLCB0b28=\n"


def test_flags_that_stop_a_message(tmp_path: Path) -> None:
    """Those that are named, with the reason; others pass."""
    assert ok() == judge(YaraFilter(compile_rules([str(DEFAULT_RULES)])), CLOSED, tmp_path)
    stopping = YaraFilter(compile_rules([str(DEFAULT_RULES)]), YaraSettings(stop=frozenset({"unopened", "ambiguous"})))

    assert judge(stopping, CLOSED, tmp_path).text == "it is of a kind that the filter does not open in a.bin (--stop unopened)"
    assert judge(stopping, ODD, tmp_path).text == "mail programs read it in different ways in part 1 (--stop ambiguous)"
    assert ok() == judge(stopping, attached("a.txt", b"x"), tmp_path)


def test_flags_that_mark_a_message(tmp_path: Path) -> None:
    """All that it has go into one field, and rules see the ambiguous message as such."""
    marking = YaraFilter(compile_rules([str(DEFAULT_RULES)]), YaraSettings(mark=frozenset({"unopened", "ambiguous"})))
    own_rules = own(tmp_path, f'rule r {{ condition: flags == "ambiguous" and filesize == {len(ODD)} }}')

    assert judge(marking, CLOSED, tmp_path) == header(("X-Enqueuer-Flags: unopened",))
    assert judge(marking, ODD, tmp_path) == header(("X-Enqueuer-Flags: ambiguous",))
    assert ok() == judge(marking, attached("a.txt", b"x"), tmp_path)
    assert judge(own_rules, ODD, tmp_path).text == "YARA rule in the message (r)"


def test_equal_names_in_two_files(tmp_path: Path) -> None:
    """Each file is a namespace of its own."""
    judging = own(tmp_path, 'rule r { strings: $a = "one" condition: $a }', 'rule r { strings: $a = "two" condition: $a }')

    assert [judge(judging, b"\n" + word, tmp_path).word for word in (b"one", b"two")] == ["ERROR", "ERROR"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"rule a {\n condition: nope }", ":2: unknown identifier `nope`: this identifier has not been declared"),
        (b'rule a { meta: verdict = "DROP" condition: true }', ":1: metadata `verdict` is not valid"),
        (b"rule", ":1: syntax error"),
        (b"\xff", ": cannot be read: 'utf-8' codec"),
    ],
)
def test_bad_rules_are_explained(tmp_path: Path, source: bytes, reason: str) -> None:
    """In one line, with the file and the line in it."""
    file = tmp_path / "bad.yar"
    file.write_bytes(source)
    with pytest.raises(BadRules) as caught:
        compile_rules([str(file)])
    assert str(caught.value).startswith(f"{file}{reason}")
    assert "\n" not in str(caught.value)


def test_no_rules_at_all_are_refused() -> None:
    """Nobody wants a filter that catches nothing."""
    with pytest.raises(BadRules, match="no rules"):
        compile_rules([])


def test_extensions_as_windows_reads_them() -> None:
    """In lower case, without what stands behind."""
    assert [extension(name) for name in ("a.EXE", "a.exe. .", "a", ".exe", "a.tar.gz")] == ["exe", "exe", "", "", "gz"]


def test_the_helper_program(tmp_path: Path) -> None:
    """The whole of it, as a server starts it, with a rule file beside those in the box."""
    (tmp_path / "mine.yar").write_text('rule mine { strings: $a = "mine" condition: $a }')
    for name, text in (("a", b"\nhello"), ("b", b"\nmine"), ("c", b"\n" + base64.b64encode(b"x") + GTUBE)):
        (tmp_path / name).write_bytes(text)
    commands = b"1 INTF 4\n2 FILE a\n3 FILE b\n4 FILE c\n5 QUIT\n"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "default", "mine.yar"], input=commands, cwd=tmp_path, capture_output=True, timeout=30, check=False
    )

    expected = [
        b"1 INTF 4",
        b"2 OK",
        b'3 ERROR "YARA rule in part 1 (mine)"',
        b'4 ERROR "GTUBE test message (unsolicited bulk mail) in part 1 (Gtube_Test_Message)"',
        b"5 OK",
    ]
    assert (0, b"", expected) == (done.returncode, done.stderr, sorted(done.stdout.splitlines()[1:]))


def test_the_helper_program_with_a_bad_file(tmp_path: Path) -> None:
    """It says why, and ends with the code for a wrong configuration."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "none", "no.yar"], input=b"", cwd=tmp_path, capture_output=True, timeout=30, check=False
    )

    assert (
        done.returncode,
        done.stdout,
        done.stderr,
    ) == (78, b"", b"enqueuer filter yara: no.yar: cannot be read: No such file or directory\n")


def test_the_rule_file_is_no_test_file() -> None:
    """Else other scanners would take it away."""
    source = DEFAULT_RULES.read_bytes()

    assert EICAR not in source
    assert GTUBE not in source
    assert EICAR[27:] not in source


def test_macros_are_scanned(tmp_path: Path) -> None:
    """As a part of type text/vba, also of an Office file in an archive."""
    judging = own(tmp_path, 'rule r { strings: $a = "AutoOpen" condition: $a and filetype == "text/vba" }')
    document = ole(vba(b"Attribute VB_Name\r\nSub AutoOpen()\r\n"))

    assert judge(judging, attached("a.doc", document), tmp_path).text == "YARA rule in the macros of a.doc (r)"
    assert judge(judging, attached("a.docm", zipped("word/vbaProject.bin", document)), tmp_path).word == "ERROR"
    assert ok() == judge(judging, attached("a.txt", b"AutoOpen"), tmp_path)


def test_macros_that_run_programs_are_marked(shipped: YaraFilter, tmp_path: Path) -> None:
    """Where they run by themselves and start something; either alone is ordinary."""
    marked = header(("X-Office-Macro: runs by itself and starts programs",))
    both = {
        'Sub AutoOpen()\r\nShell "calc.exe"': marked,
        'Private Sub Workbook_Open()\r\nCreateObject("WScript.Shell").Run x': marked,
        'Sub document_open()\r\nx = "powershell -e"': marked,
        "Sub AutoOpen()\r\nMsgBox 1": ok(),
        'Sub Button1_Click()\r\nShell "calc.exe"': ok(),
    }
    found = {
        code: judge(shipped, attached("a.xls", ole(vba(b"Attribute VB_Name\r\n" + code.encode() + b"\r\n"))), tmp_path) for code in both
    }

    assert found == both
    assert ok() == judge(shipped, attached("a.txt", next(iter(both)).encode()), tmp_path)


def test_the_rules_of_the_page(tmp_path: Path) -> None:
    """Those that docs/filters.md gives as examples do as it says, as printed."""
    page = (ROOT / "docs" / "filters.md").read_text()
    judging = own(tmp_path, *re.findall(r"^    rule .*?^    }$", page, re.MULTILINE | re.DOTALL))
    document = attached("a.doc", ole(vba(b'Attribute VB_Name\r\nSub AutoOpen()\r\nShell "x"\r\n')))

    assert judge(judging, document, tmp_path).text == "macro in the macros of a.doc (No_Macros)"
    assert ok() == judge(judging, attached("a.txt", b"AutoOpen"), tmp_path)


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The helper program with a folder of rules, looking at it each time."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yar").write_text('rule r { strings: $a = "one" condition: $a }')
    (tmp_path / "mail").write_bytes(b"\none")
    program = PROGRAM.replace("import run;", "import run; import filterlink.filters.content.yara as y; y.CHECK_EVERY = 0;")
    command = [sys.executable, "-c", program, "none", "rules"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline().startswith(b"* ")
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(30) == 0


def say(process: subprocess.Popen[bytes], line: bytes, answers: int) -> list[bytes]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(line)
    process.stdin.flush()
    return [process.stdout.readline() for _ in range(answers)]


def test_a_changed_folder_is_read_again(helper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """By the next message, with one line for the log; a faulty file keeps the old rules, and is told of once."""
    rules = tmp_path / "rules"
    assert say(helper, b"1 FILE mail\n", 1) == [b'1 ERROR "YARA rule in part 1 (r)"\n']

    (rules / "a.yar").write_text('rule other { strings: $a = "another" condition: $a }')
    assert say(helper, b"2 FILE mail\n", 2) == [b"* rules reloaded: 1 files\n", b"2 OK\n"]

    (rules / "b.yara").write_text('rule b { strings: $a = "one" condition: nope }')
    assert say(helper, b"3 FILE mail\n", 1) + say(helper, b"4 FILE mail\n", 1) == [b"3 OK\n", b"4 OK\n"]
    assert helper.stderr
    told = helper.stderr.readline()
    assert told.startswith(b"rules changed and are faulty, so the old ones stay active: rules/b.yara:1: unknown identifier `nope`")

    (rules / "b.yara").write_text('rule b { strings: $a = "one" condition: $a }')
    assert say(helper, b"5 FILE mail\n", 2) == [b"* rules reloaded: 2 files\n", b'5 ERROR "YARA rule in part 1 (b)"\n']


NOTHING = "rule r { condition: false }"


@pytest.mark.parametrize("name", hostile.MESSAGES)
def test_hostile_mail_costs_little(shipped: YaraFilter, tmp_path: Path, name: str) -> None:
    """With the rules in the box, and with such that let all of it be looked at; it is scanned, or refused, but never let pass."""
    message = hostile.MESSAGES[name]()
    for judging in (shipped, own(tmp_path, NOTHING)):
        began = time.process_time()
        assert judge(judging, message, tmp_path).word in ("OK", "ERROR")
        assert time.process_time() - began < 3


@pytest.mark.parametrize("name", hostile.MESSAGES)
def test_the_clock_is_looked_at_all_the_time(name: str) -> None:
    """Between any two looks little is done, so that the time for a message is kept."""
    message = hostile.MESSAGES[name]()
    looks = [time.process_time()]
    for _ in parts(message, lambda: looks.append(time.process_time())):
        pass

    assert max(after - before for before, after in itertools.pairwise((*looks, time.process_time()))) < 1


@pytest.mark.parametrize(("unscannable", "word"), [("defer", "REJECTED"), ("error", "ERROR"), ("pass", "FAILURE")])
def test_time_and_memory_of_a_message_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unscannable: str, word: str) -> None:
    """In the parts as in the rules: --unscannable says what becomes of it."""
    judging = YaraFilter(compile_rules([str(DEFAULT_RULES)]), YaraSettings(0.0, unscannable))
    assert judge(judging, b"Subject: x\n\nx", tmp_path) == Verdict(word, "the rules take longer than 0 s for this message")

    def full(_message: bytes, _look: object) -> list[Part]:
        raise MemoryError

    monkeypatch.setattr(yara, "parts", full)
    judging = YaraFilter(compile_rules([str(DEFAULT_RULES)]), YaraSettings(9.0, unscannable))
    assert judge(judging, b"Subject: x\n\nx", tmp_path) == Verdict(word, "this message needs more memory than 2.0G")


def test_its_parsers_are_confined(tmp_path: Path) -> None:
    """Also while they read the macros of an Office file, for which modules are imported and another process is forked."""
    (tmp_path / "mine.yar").write_text('rule r { strings: $a = "AutoOpen" condition: $a and filetype == "text/vba" }')
    (tmp_path / "a").write_bytes(attached("a.doc", ole(vba(b"Attribute VB_Name\r\nSub AutoOpen()\r\n"))))
    command = [sys.executable, "-c", PROGRAM, "none", "mine.yar"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert say(process, b"1 FILE a\n", 2)[1] == b'1 ERROR "YARA rule in the macros of a.doc (r)"\n'
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        status = Path(f"/proc/{workers[0]}/status").read_text()
        process.kill()

    assert "NoNewPrivs:\t1\n" in status
    assert "Seccomp:\t2\n" in status


def test_the_memory_of_the_program(tmp_path: Path) -> None:
    """The largest message that the engine takes fits into it; one that does not is said to be too large, and the next is judged."""
    (tmp_path / "large").write_bytes(hostile.large())
    (tmp_path / "small").write_bytes(b"Subject: x\n\nx")
    for options, said in (([], b"OK"), (["--memory", "500M"], b'REJECTED "this message needs more memory than 500M"')):
        command = [sys.executable, "-c", "from enqueuer.cli.app import main; main()", "filter", "yara", "--threads", "1", *options]
        asked = f"1 FILE {tmp_path}/large\n2 FILE {tmp_path}/small\n".encode()
        done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, timeout=60, check=True)
        assert [b"1 " + said, b"2 OK"] == done.stdout.splitlines()[1:]
