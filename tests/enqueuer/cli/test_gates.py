"""filter icap and filter milter: what is wrong with its options is said before it begins."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("icap --host x", b"name the service, as in --service avscan"),
        ("icap --service x", b"no server: name one with"),
        ("icap --service x --host a:b", b"--host a:b: write HOST, HOST:PORT or [IPV6]:PORT"),
        ("icap --service x --host a --action drop", b"drop is not one of error, discard, header"),
        ("milter", b"no server: name one with --socket or --host"),
        ("milter --socket x --changes all", b"all is not one of ignore, error"),
        ("milter --socket x --quarantine all", b"all is not one of ignore, error"),
        ("milter --socket x --unscannable drop", b"drop is not one of defer, error, pass"),
    ],
)
def test_wrong_options(enqueuer: Any, words: str, reason: bytes) -> None:
    """In one line, with the exit code for it."""
    done = enqueuer("filter", *words.split())

    assert (done.returncode, done.stdout) == (64, b"")
    assert reason in done.stderr
