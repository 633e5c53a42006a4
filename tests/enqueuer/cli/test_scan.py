"""`enqueuer scan`: with a running engine, with one of its own, and what it finds in files and folders."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial, wait

ENTRY = (sys.executable, "-c", "from enqueuer.cli.entry import main; main()")
Scan = Callable[..., "subprocess.CompletedProcess[str]"]


def scan(base: Path, *words: str, stdin: bytes = b"", cwd: Path | None = None) -> tuple[int, str, str]:
    command = [*ENTRY, "scan", "--base", str(base), *words]
    found = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False, cwd=cwd)
    return found.returncode, found.stdout.decode(), found.stderr.decode()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    from tests.enqueuer.conftest import CONFIG, JUDGE

    text = CONFIG.format(top="", processors=1, engine="", judge=JUDGE, slots=20, filter='timeout = "30s"', more="")
    with Trial(tmp_path_factory.mktemp("scan") / "base", text) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, mail: Callable[..., bytes]) -> Path:
    (tmp_path / "good.eml").write_bytes(mail("1"))
    (tmp_path / "bad.eml").write_bytes(mail("2", judge='0 ERROR "Eicar found"'))
    (tmp_path / "later.eml").write_bytes(mail("3", judge='0 REJECTED "not today"'))
    (tmp_path / "drop.eml").write_bytes(mail("4", judge="0 DISCARD"))
    return tmp_path


def test_each_outcome_has_its_line_and_its_exit_code(engine: Trial, folder: Path) -> None:
    names = {each: str(folder / f"{each}.eml") for each in ("good", "bad", "later", "drop")}
    assert scan(engine.base, names["good"]) == (0, f"{names['good']}: passes\n", "")
    assert scan(engine.base, names["bad"]) == (1, f"{names['bad']}: caught by Judge: Eicar found\n", "")
    code, out, _ = scan(engine.base, names["later"])
    assert (code, out.partition(" (")[0]) == (75, f"{names['later']}: not now: not today")
    assert scan(engine.base, names["drop"])[:2] == (1, f"{names['drop']}: caught by Judge\n")
    code, out, _ = scan(engine.base, *names.values())
    assert (code, out.splitlines()[-1]) == (1, "4 messages: 1 passes, 2 caught, 1 not now")
    assert scan(engine.base, names["good"], names["later"])[0] == 75


def test_json_is_the_answer_of_the_door_with_the_file(engine: Trial, folder: Path) -> None:
    code, out, _ = scan(engine.base, "--json", str(folder / "good.eml"), str(folder / "bad.eml"))
    found = {Path(each["file"]).name: each for each in map(json.loads, out.splitlines())}
    assert (code, found["good.eml"]["outcome"], found["bad.eml"]["outcome"]) == (1, "enqueued", "rejected")
    bad = found["bad.eml"]
    assert set(bad) == {
        "file",
        "outcome",
        "text",
        "fields",
        "changes",
        "recipients",
        "removed",
        "outcomes",
        "filters",
        "trail",
        "id",
    }
    assert (bad["filters"][0]["name"], bad["filters"][0]["answer"], bad["filters"][0]["text"]) == ("Judge", "ERROR", "Eicar found")


def test_stdin_is_a_message_or_an_mbox(engine: Trial, mail: Callable[..., bytes]) -> None:
    assert scan(engine.base, "-", stdin=mail("1")) == (0, "-: passes\n", "")
    line = b"From ann@a.example Sat Nov 28 10:00:00 2026\n"
    code, out, _ = scan(engine.base, "-", stdin=line + mail("1") + b"\n" + line + mail("2", judge="0 ERROR virus"))
    assert (code, sorted(out.splitlines())) == (1, ["-#1: passes", "-#2: caught by Judge: virus", "2 messages: 1 passes, 1 caught"])


def test_a_folder_is_scanned_with_all_in_it_and_a_maildir_without_its_own_files(
    engine: Trial, folder: Path, mail: Callable[..., bytes]
) -> None:
    for name in ("cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"):
        (folder / "Maildir" / name).mkdir(parents=True)
    for name in ("cur/1:2,S", "new/2", "tmp/3", ".Sent/cur/4", "dovecot.index"):
        (folder / "Maildir" / name).write_bytes(mail("x"))
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "fifo")
    _, out, _ = scan(engine.base, ".", cwd=folder)
    found = sorted(line.partition(": ")[0] for line in out.splitlines())
    maildir = ["./Maildir/.Sent/cur/4", "./Maildir/cur/1:2,S", "./Maildir/new/2"]
    assert found == [*maildir, "./bad.eml", "./drop.eml", "./good.eml", "./later.eml", "7 messages"]


def test_envelope_and_client_reach_the_filter(engine: Trial, folder: Path) -> None:
    words = (
        "--from",
        "ann@a.example",
        "--rcpt=bob@b.example",
        "--rcpt",
        "carl@c.example",
        "--client",
        "192.0.2.1",
        "--helo",
        "h",
        "--user",
        "u",
    )
    assert scan(engine.base, *words, str(folder / "good.eml"))[0] == 0
    line = engine.wait(lambda: [line for line in engine.log().splitlines() if "from=<ann@a.example>" in line], "the log line")[0]
    assert "to=<bob@b.example> (+1)" in line
    code, _, err = scan(engine.base, "--client", "nonsense", str(folder / "good.eml"))
    assert code == 65
    assert "192.0.2.1 or 2001:db8::1" in err


def test_a_message_that_is_too_large_is_not_now(engine: Trial, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2 << 30)
    code, out, _ = scan(engine.base, str(tmp_path / "large"))
    assert code == 75
    assert "a message has at most" in out


def test_names_that_mean_nothing(engine: Trial, folder: Path) -> None:
    assert scan(engine.base, str(folder / "good.eml"), str(folder / "none")) == (
        66,
        "",
        f"enqueuer: {folder}/none: no such file or folder\n",
    )
    code, out, err = scan(engine.base, "/proc/self/mem")
    assert (code, out) == (66, "")
    assert err == "enqueuer: /proc/self/mem: Input/output error\n"


def test_without_an_engine(tmp_path: Path, folder: Path, config: Callable[..., str], trials: Callable[[str], Trial]) -> None:
    trial = trials(config())
    code, out, err = scan(trial.base, str(folder / "good.eml"))
    assert (code, out) == (69, "")
    assert "no engine runs on" in err
    assert "--standalone" in err
    assert scan(tmp_path / "none", str(folder / "good.eml"))[0] == 66


def test_eight_are_scanned_at_once(engine: Trial, tmp_path: Path, mail: Callable[..., bytes]) -> None:
    for number in range(9):
        (tmp_path / str(number)).write_bytes(mail("slow", judge="1.5 OK"))
    found: list[tuple[int, str, str]] = []
    thread = threading.Thread(target=lambda: found.append(scan(engine.base, str(tmp_path))))
    thread.start()
    most = 0
    while thread.is_alive():
        most = max(most, len(list((engine.base / "Asked").rglob("*.msg"))))
        thread.join(0.01)
    assert found[0][:2] == (0, found[0][1])
    assert found[0][1].splitlines()[-1] == "9 messages: 9 passes"
    assert most == 8


def test_a_reader_that_has_ended_is_no_fault(engine: Trial, folder: Path) -> None:
    command = f"{sys.executable} -c 'from enqueuer.cli.entry import main; main()' scan --base {engine.base} {folder} {folder} | head -1"
    found = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert (found.stdout.count("\n"), found.stderr) == (1, "")


def _below(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_standalone_leaves_nothing(folder: Path, config: Callable[..., str], trials: Callable[[str], Trial]) -> None:
    doors = '[[doors]]\nname = "web"\nkind = "http"\nlisten = "unix:Run/web.sock"\n'
    trial = trials(config(more=doors))
    before = sorted(trial.base.rglob("*"))
    code, out, err = scan(trial.base, "--standalone", "good.eml", "bad.eml", cwd=folder)
    assert (code, err) == (1, "")
    assert sorted(out.splitlines()) == ["2 messages: 1 passes, 1 caught", "bad.eml: caught by Judge: Eicar found", "good.eml: passes"]
    assert sorted(trial.base.rglob("*")) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_standalone_that_is_stopped_leaves_nothing(
    tmp_path: Path, mail: Callable[..., bytes], config: Callable[..., str], trials: Callable[[str], Trial], number: signal.Signals
) -> None:
    trial = trials(config())
    before = sorted(trial.base.rglob("*"))
    (tmp_path / "slow").write_bytes(mail("slow", judge="60 OK"))
    command = [*ENTRY, "scan", "--base", str(trial.base), "--standalone", str(tmp_path / "slow")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    with process:
        wait(
            lambda: list(trial.base.glob("Run/tune-*/base/Asked/*/*.msg")) or list(trial.base.glob("Run/tune-*/base/Asked/*.msg")),
            20,
            "a scan",
        )
        (engine,) = _below(process.pid)
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert sorted(trial.base.rglob("*")) == before
    assert not Path(f"/proc/{engine}").exists()


def test_standalone_with_a_filter_that_does_not_start(folder: Path, config: Callable[..., str], trials: Callable[[str], Trial]) -> None:
    trial = trials(config(judge="no-such-program"))
    code, _, err = scan(trial.base, "--standalone", str(folder / "good.eml"))
    assert code == 69
    assert 'filter "Judge" does not start' in err


def test_an_engine_that_ends_meanwhile(
    tmp_path: Path, mail: Callable[..., bytes], config: Callable[..., str], trials: Callable[[str], Trial]
) -> None:
    (tmp_path / "slow").write_bytes(mail("slow", judge="60 OK"))
    trial = trials(config())
    trial.start()
    found: list[tuple[int, str, str]] = []
    thread = threading.Thread(target=lambda: found.append(scan(trial.base, str(tmp_path / "slow"))))
    thread.start()
    trial.wait(lambda: list((trial.base / "Asked").rglob("*.msg")), "a scan")
    trial.stop(now=True)
    thread.join()
    assert found[0][:2] == (75, f"{tmp_path}/slow: not now: the engine ended before it had answered\n")


def test_it_takes_less_than_60_ms_of_cpu(engine: Trial, folder: Path) -> None:
    times = []
    for _ in range(10):
        before = os.times()
        assert scan(engine.base, str(folder / "good.eml"))[0] == 0
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) < 0.06
