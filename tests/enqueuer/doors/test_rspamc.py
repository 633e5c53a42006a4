"""Debian's rspamc and curl against the doors of a running engine, as docs/exim.md and docs/http.md print them."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial, wait
from tests.enqueuer.conftest import CONFIG, JUDGE
from tests.helpers.mta import free_port
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.server
PAGE = (ROOT / "docs/http.md").read_text()
PRINTED = "127.0.0.1:8892"
CAUGHT = '0 ERROR "Eicar found"'


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def engine(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    found = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    more = found[1].replace(PRINTED, f"127.0.0.1:{port}")
    text = CONFIG.format(top="", processors=1, engine="", judge=JUDGE, slots=20, filter="", more=more)
    with Trial(tmp_path_factory.mktemp("web") / "base", text) as made:
        yield made
        made.wait(lambda: not list((made.base / "Asked").iterdir()), "no message is left")


def shell(command: str, port: int, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = command.replace(PRINTED, f"127.0.0.1:{port}")
    return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def commands(page: str, begin: str) -> list[str]:
    """Return the indented commands of a page that begin with this word, without their comments."""
    joined = page.replace("\\\n", "")
    return [shlex.join(shlex.split(line, comments=True)) for line in re.findall(rf"^    ({begin} .*)$", joined, re.MULTILINE)]


def test_the_printed_curls(engine: Trial, port: int, tmp_path: Path, mail: Callable[..., bytes]) -> None:
    (tmp_path / "mail.eml").write_bytes(mail("1", judge=CAUGHT))
    first, with_envelope, health, ready, openapi = (command.replace("curl", "curl -sS", 1) for command in commands(PAGE, "curl"))
    found = json.loads(shell(first, port, tmp_path).stdout)
    printed = re.search(r'^    (\{"outcome".*?\})\n\n', PAGE, re.MULTILINE | re.DOTALL)
    assert printed is not None
    expected = json.loads(printed[1].replace("VirusScan", "Judge").replace("101795909303781971", found["id"]))
    expected["filters"][0]["seconds"] = found["filters"][0]["seconds"]
    assert found == expected
    assert json.loads(shell(with_envelope, port, tmp_path).stdout)["outcome"] == "rejected"
    line = engine.wait(lambda: [line for line in engine.log().splitlines() if "to=<bob@example.com> (+1)" in line], "the line")[0]
    assert "from=<ann@example.org>, client=192.0.2.1" in line
    assert shell(health, port, tmp_path).stdout == '{"status":"ok"}\n'
    engine.wait(lambda: shell(ready, port, tmp_path).stdout == '{"status":"ready"}\n', "all filters are ready")
    assert json.loads(shell(openapi, port, tmp_path).stdout)["openapi"] == "3.1.0"


def test_the_printed_scans(engine: Trial, port: int, tmp_path: Path, mail: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENQUEUER_BASE", str(engine.base))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "mail.eml").write_bytes(mail("1"))
    (tmp_path / "inbox.mbox").write_bytes(b"From ann@a.example Sat Nov 28 10:00:00 2026\n" + mail("2"))
    for name in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    (tmp_path / "Maildir/new/3").write_bytes(mail("3"))
    lines = re.findall(r"^    (enqueuer scan .*)$", PAGE, re.MULTILINE)
    assert len(lines) == 5
    enqueuer = f"{sys.executable} -c 'from enqueuer.cli.entry import main; main()'"
    for line in lines:
        found = shell(line.replace("enqueuer", enqueuer, 1), port, tmp_path)
        assert (found.returncode, found.stderr) == (0, ""), line


def rspamc(port: int, message: bytes, *words: str) -> dict[str, object]:
    command = ("rspamc", "-h", f"127.0.0.1:{port}", "--json", *words)
    found = subprocess.run(command, input=message, capture_output=True, timeout=60, check=True)
    return dict(json.loads(found.stdout))


def test_each_outcome_has_its_action(engine: Trial, port: int, mail: Callable[..., bytes]) -> None:
    assert shutil.which("rspamc")
    for judge, action, score in (
        ("0 OK", "no action", 0),
        (CAUGHT, "reject", 15),
        ("0 REJECTED later", "soft reject", 0),
        ("0 DISCARD", "discard", 15),
    ):
        found = rspamc(port, mail("1", judge=judge))
        assert (found["action"], found["score"], found["message-id"]) == (action, score, "1@test.example")


def test_the_fields_of_filters_come_back(engine: Trial, port: int, mail: Callable[..., bytes]) -> None:
    found = rspamc(port, mail("1", judge='0 ADDHEADER "X-A: a\\eX-B: b" OK'))
    assert found["milter"] == {"add_headers": {"X-A": {"value": "a", "order": 0}, "X-B": {"value": "b", "order": 1}}}


def test_the_client_counts_with_the_token_only(engine: Trial, port: int, tmp_path: Path, mail: Callable[..., bytes]) -> None:
    page = (ROOT / "docs/exim.md").read_text()
    plain, with_token = commands(page, "rspamc")
    (tmp_path / "mail.eml").write_bytes(mail("token"))
    before = (engine.base / "Settings/enqueuer.toml").read_text()
    assert "Action: no action" in shell(plain, port, tmp_path).stdout
    (tmp_path / "token").write_text("TOKEN\n")
    engine.configure(before.replace('token_file = ""', f'token_file = "{tmp_path}/token"'))
    try:
        wait(lambda: "Action" not in shell(plain, port, tmp_path).stdout, 20, "the token is needed")
        assert "Action: no action" in shell(with_token, port, tmp_path).stdout
    finally:
        engine.configure(before)
    line = engine.wait(
        lambda: [line for line in engine.log().splitlines() if "from=<ann@example.org>" in line and "<token@" in line], "a line"
    )[0]
    assert "to=<bob@example.com>" in line
    assert "client=192.0.2.1" in line
