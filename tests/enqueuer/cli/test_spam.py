"""filter spamd and filter rspamd: what is wrong with their options is said before they begin."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ("spamd", 64, b"no server: name one with --socket or --host"),
        ("rspamd", 64, b"no server: name one with --socket or --host"),
        ("spamd --host a:b", 64, b"--host a:b: write HOST, HOST:PORT or [IPV6]:PORT"),
        ("spamd --socket x --add all", 64, b"all is not one of headers, symbols, nothing"),
        ("rspamd --socket x --unscannable drop", 64, b"drop is not one of defer, error, pass"),
        ("rspamd --socket x --max-size much", 64, b"'much' is not a size"),
        (
            "spamd --socket x --wait long",
            64,
            b"""'long': write a duration such as "30s", "5m" or "2h", or a number of seconds, from 0s to 7d""",
        ),
        ("rspamd --socket x --timeout 0.5", 64, b"'0.5': write a duration"),
        ("rspamd --socket x --greylist never", 64, b"'never': write a duration"),
        ("rspamd --socket x --password-file /none/there", 78, b"/none/there: No such file or directory"),
    ],
)
def test_wrong_options(enqueuer: Any, words: str, code: int, reason: bytes) -> None:
    """In one line, with the exit code for it."""
    done = enqueuer("filter", *words.split())

    assert (done.returncode, done.stdout) == (code, b"")
    assert reason in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("name", ["spamd", "rspamd"])
def test_its_options_reach_it(enqueuer: Any, tmp_path: Path, name: str) -> None:
    """No server is there and no message may wait: it is deferred at once, unless it is too large to be asked about."""
    path = tmp_path / "1.msg"
    path.write_bytes(b"P I x <a@b>\nR W x <c@d>\n\nSubject: x\n\n" + b"x" * 2000)
    words = ("filter", name, "--socket", str(tmp_path / "none"), "--wait", "0")
    ask = b"1 FILE %b\n2 QUIT\n" % str(path).encode()

    reason = f"{tmp_path}/none: No such file or directory"
    done = enqueuer(*words, stdin=ask)
    assert done.stdout.decode().splitlines()[2:] == [f'1 REJECTED "no {name} answers: {reason}"', "2 OK"]
    assert done.stderr.decode() == f"{name} at {reason}\n"
    assert enqueuer(*words[:-1], "0s", stdin=ask).stdout == done.stdout
    assert enqueuer(*words, "--max-size", "1K", stdin=ask).stdout.splitlines()[2:] == [b"1 OK", b"2 OK"]
