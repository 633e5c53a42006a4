"""filters test and filters bench: a helper tried by hand, without an engine."""

import json
import os
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest

HELPER = """#!/bin/sh
# Judges by the message, and submits something.
while read -r number verb rest; do
  case $verb in
    INTF) echo "$number INTF 4" ;;
    FILE) if [ ! -r "$rest" ]; then echo "$number FAILURE"
          elif grep -q "^bad" "$rest"; then echo "$number ERROR \\"it is $(cat Settings/word)\\""
          else : > Submitted/copy.sub; echo "$number {ok}"; fi ;;
    QUIT) echo "$number OK"; exit 0 ;;
    *)    echo "$number FAILURE" ;;
  esac
done
"""
CONFIG = """
rules = []
[[routes]]
recipient = "*"
to = "OUT"
[[filters]]
name = "Judge"
program = "./judge.sh"
"""


@pytest.fixture
def judge(base: Path) -> Path:
    """The helper of the filter Judge, beside a file that it reads."""
    (base / "Settings/enqueuer.toml").write_text(CONFIG)
    (base / "Settings/word").write_text("evil")
    return helper(base / "judge.sh")


def helper(path: Path, ok: str = "OK") -> Path:
    path.write_text(HELPER.replace("{ok}", ok))
    path.chmod(0o755)
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A good message, a bad one without a recipient, and a queue file."""
    texts = {
        "good.eml": "From: a@a.example\nTo: b@b.example\n\ngood\n",
        "bad.eml": "Subject: x\n\nbad\n",
        "7.msg": "P I 01-01-2026 00:00:00 0000 ____ ____ <a@a.example>\nO L\n\nSubject: y\n\ngood\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return [str(tmp_path / name) for name in texts]


def test_no_program_of_a_config_file_that_others_may_write(enqueuer: Any, base: Path, judge: Path, files: list[str]) -> None:
    """As at a start: who writes the file would choose what runs here."""
    (base / "Settings/enqueuer.toml").chmod(0o666)
    done = enqueuer("filters", "test", "Judge", *files)

    assert (done.returncode, done.stdout) == (78, b"")
    assert b"Settings/enqueuer.toml can be written by every account" in done.stderr


def test_a_filter_tried_on_files(enqueuer: Any, base: Path, judge: Path, files: list[str]) -> None:
    """Each file gets its verdict, relative names in the helper lead where they would, and nothing is left or submitted."""
    done = enqueuer("filters", "test", "Judge", *files)
    lines = done.stdout.decode().splitlines()
    verdicts = [line.rpartition(" (")[0] for line in lines if line.startswith("= ")]

    assert (done.returncode, done.stderr) == (0, b"")
    assert [f"= {files[0]}: OK", f'= {files[1]}: ERROR "it is evil"', f"= {files[2]}: OK"] == verdicts
    assert lines[0] == "> 1 INTF 4"
    assert "rules of the protocol were kept" in lines[-1]
    assert ([path.name for path in (base / "Queue").iterdir()], list((base / "Submitted").glob("*.sub"))) == ([".format"], [])


def test_a_filter_that_judges_nothing_is_69(enqueuer: Any, base: Path, files: list[str]) -> None:
    """The reason is shown with the program's last words."""
    (base / "Settings/enqueuer.toml").write_text(CONFIG.replace("./judge.sh", "sh -c 'echo no licence >&2; sleep 0.01'"))
    done = enqueuer("filters", "test", "Judge", files[0])

    assert b"no licence" in done.stdout
    assert b"ended early" in done.stdout
    assert done.returncode == 65  # it did not answer INTF either


def test_an_unknown_filter(enqueuer: Any, judge: Path, files: list[str]) -> None:
    """It is one line and 66."""
    done = enqueuer("filters", "test", "Judy", files[0])

    assert done.returncode == 66
    assert done.stderr.endswith(b'enqueuer.toml has no filter "Judy"; its filters are: Judge\n')


def test_bench_of_a_good_helper(enqueuer: Any, judge: Path, files: list[str]) -> None:
    """Chaos included, it breaks no rule: exit code 0, with times and verdicts."""
    done = enqueuer("filters", "bench", str(judge), *files[:2], "--count", "40", "--chaos", "--json")
    found = json.loads(done.stdout)

    assert (done.returncode, found["answered"], found["broken"], found["stopped"]) == (0, 40, [], "")
    assert {"p50", "p90", "p99", "p100"} == set(found["latency_s"])


def test_bench_names_the_broken_rule(enqueuer: Any, tmp_path: Path, files: list[str]) -> None:
    """Who strays gets 65, and the rule by its name."""
    strays = helper(tmp_path / "strays.sh", "ok then")
    done = enqueuer("filters", "bench", str(strays), files[0], "--count", "3")

    assert done.returncode == 65
    assert {"capitals", "nothing-after"} == {
        line.split()[0] for line in done.stdout.decode().splitlines() if line.startswith(("capitals", "nothing"))
    }


def test_bench_of_nothing(enqueuer: Any) -> None:
    """A program that is not there is one line."""
    done = enqueuer("filters", "bench", "no-such-helper")

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (66, b"", 1)
    assert b"no-such-helper" in done.stderr


def test_a_message_that_is_not_there(enqueuer: Any, judge: Path) -> None:
    """It is one line that names the file, and 66."""
    for words in (("bench", str(judge)), ("test", "Judge")):
        done = enqueuer("filters", *words, "no-such-mail.eml")

        assert (done.returncode, len(done.stderr.splitlines())) == (66, 1)
        assert b"no-such-mail.eml: No such file" in done.stderr


def test_our_own_filter_breaks_no_rule(enqueuer: Any) -> None:
    """What we ask of others holds for the filter in the box, on made messages and with chaos."""
    done = enqueuer("filters", "bench", f"{sys.executable} -m enqueuer.cli.app filter yara", "--count", "60", "--chaos", "--json")
    found = json.loads(done.stdout)

    assert (found["broken"], found["answered"], done.returncode) == ([], 60, 0)
    assert found["verdicts"]["ERROR"] > 0


SAYS = """sh -c 'while read -r n verb rest; do case $verb in INTF) echo "$n INTF 4" ;; QUIT) echo "$n OK"; exit ;; \
FILE) echo "$n ERROR \\"$(id -un) $(ulimit -v) $(ulimit -t) $ENQUEUER_FILTER $LEVEL $(grep -c good $rest 2>&1)\\"" ;; esac; done'"""


def test_by_all_settings_of_the_filter(enqueuer: Any, base: Path, files: list[str]) -> None:
    """The helper runs within its limits, with its variables, and as its user: one that may not read the queue is told how it may."""
    account = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    settings = f'user = "{account}"\nmemory_limit = "1G"\ncpu_limit = "7s"\nenvironment = ["LEVEL=high"]\nenabled = false\n'
    program = f"program = {json.dumps(SAYS)}\n"
    (base / "Settings/enqueuer.toml").write_text(CONFIG.replace('program = "./judge.sh"\n', program + settings))
    if os.geteuid() == 0:
        refused = enqueuer("filters", "test", "Judge", files[0])
        assert b"may not read messages: chgrp -R" in refused.stderr
        assert (refused.returncode == 0, refused.stdout) == (False, b"")
        os.chown(base / "Queue", -1, pwd.getpwnam(account).pw_gid)
        os.chmod(base / "Queue", 0o2750)
    done = enqueuer("filters", "test", "Judge", files[0])
    [line] = [line for line in done.stdout.decode().splitlines() if line.startswith("= ")]

    assert f'ERROR "{account} {1 << 20} 7 Judge high 1"' in line
    assert (done.returncode, done.stderr) == (0, b'filter "Judge" is not enabled: an engine does not start it\n')


def test_an_account_that_is_not_there(enqueuer: Any, base: Path, files: list[str]) -> None:
    """It is one line and 66."""
    (base / "Settings/enqueuer.toml").write_text(CONFIG.replace("./judge.sh", 'true"\nuser = "no-such-user'))
    done = enqueuer("filters", "test", "Judge", files[0])

    assert (done.returncode, len(done.stderr.splitlines())) == (66, 1)
    assert b"user = no-such-user: there is no such account" in done.stderr
