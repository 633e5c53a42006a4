"""Programs as our pages print them, in a running engine: README.md, "Your own filter", and docs/postfix.md."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from enqueuer.lab.trial import Trial
from tests.helpers.paths import ROOT
from tests.helpers.trace import bare

README = ROOT / "README.md"
ROUTES = '\n[[routes]]\nrecipient = "*"\nto = "OUT"\n'


def blocks() -> list[str]:
    """The indented blocks of the section."""
    section = README.read_text().partition("## Your own filter\n")[2].partition("\n## ")[0]
    return [textwrap.dedent(block).lstrip("\n") for block in re.findall(r"(?:(?:    .*)?\n)+", section) if block.strip()]


def test_the_unit_starts_what_the_readme_installs() -> None:
    """The command is a link into an environment of its own: `pip install .` without one fails on Debian 12 (PEP 668)."""
    text = README.read_text()
    [folder] = re.findall(r"^    python3 -m venv (\S+)", text, re.MULTILINE)
    [pip] = re.findall(r"^    (\S*pip) install \.", text, re.MULTILINE)
    [(target, link)] = re.findall(r"^    ln -s (\S+) (\S+)", text, re.MULTILINE)
    [started] = re.findall(r"^ExecStart=(\S+)", (ROOT / "packaging/enqueuer.service").read_text(), re.MULTILINE)

    assert (pip, target) == (f"{folder}/bin/pip", f"{folder}/bin/enqueuer")
    assert started == link
    assert link in (ROOT / "packaging/README.md").read_text()


def test_your_own_filter(trials: Callable[[str], Trial], mail: Callable[..., bytes], tmp_path: Path) -> None:
    """What says "free money" is in Quarantine with the reason, the rest goes out."""
    helper, config = blocks()
    program = tmp_path / "nomoney"
    program.write_text(helper)
    program.chmod(0o755)
    assert 'program = "/usr/local/bin/nomoney"' in config
    trial = trials(config.replace("/usr/local/bin/nomoney", str(program)) + ROUTES)
    trial.start()
    trial.drop("good", mail("good"))
    trial.drop("bad", mail("Free Money"))
    trial.wait(lambda: len(trial.outbound()) == 1 and list((trial.base / "Quarantine").glob("*.why")), "both are judged")
    [why] = (trial.base / "Quarantine").glob("*.why")

    assert b"Subject: good" in trial.outbound()[0].read_bytes()
    assert "spam" in why.read_text()


def script(name: str, folder: Path, **instead: str) -> Path:
    """A script of docs/postfix.md, with other paths in it."""
    [text] = re.findall(rf"`/usr/local/bin/{name}`.*?```sh\n(.*?)```", (ROOT / "docs/postfix.md").read_text(), re.DOTALL)
    for old, new in instead.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_behind_postfix(trials: Callable[[str], Trial], tmp_path: Path) -> None:
    """A message goes by both scripts to sendmail with its envelope and its bytes; its file is removed when sendmail took it.

    Postfix says from which client it has the message.
    """
    trial = trials("rules = []\n" + ROUTES)
    (tmp_path / "sendmail").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$0.words"\ncat > "$0.mail"\n[ ! -e "$0.fails" ]\n')
    (tmp_path / "sendmail").chmod(0o755)
    (tmp_path / "sendmail.fails").touch()
    into = script(
        "to-enqueuer",
        tmp_path,
        **{"/var/spool/enqueuer": str(trial.base), "enqueuer submit": f"{sys.executable} -m enqueuer.cli.app submit"},
    )
    back = script("from-enqueuer", tmp_path, **{"/usr/sbin/sendmail": str(tmp_path / "sendmail")})
    mail = b"Subject: hello\n\nbody\n\n.\nR W <no@example.com>\n"
    recipients = ["bob@example.com", '"a * b"@example.com']
    trial.start()
    [words] = re.findall(r"argv=\S+ (\$\{sender\}.*?)\n\n", (ROOT / "docs/postfix.md").read_text(), re.DOTALL)
    macros = {"sender": "", "client_address": "192.0.2.1", "client_hostname": "unknown", "client_helo": "--user=root", "sasl_username": ""}
    line = [re.sub(r"\$\{(\w+)\}", lambda match: macros[match[1]], word) for word in words.split()[:-1]]
    subprocess.run([into, *line, *recipients], input=mail, check=True, timeout=20)
    trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")
    assert b"\nS SMTP [192.0.2.1]\n" in trial.outbound()[0].read_bytes()
    assert b" helo=--user%3Droot\n" in trial.outbound()[0].read_bytes()

    assert subprocess.run([back, trial.base / "Outbound/OUT"], check=False, timeout=20).returncode != 0
    assert len(trial.outbound()) == 1
    os.unlink(tmp_path / "sendmail.fails")
    assert subprocess.run([back, trial.base / "Outbound/OUT"], check=False, timeout=20).returncode == 0
    assert trial.outbound() == []
    assert (tmp_path / "sendmail.words").read_text().splitlines() == ["-G", "-i", "-f", "", "--", *recipients]
    assert bare((tmp_path / "sendmail.mail").read_bytes()) == mail
    assert (
        subprocess.run([into, "no address", "--", *recipients], input=mail, check=False, timeout=20, capture_output=True).returncode == 75
    )
