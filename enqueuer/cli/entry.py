"""Start the command `enqueuer`. The usual forms of `scan` run without typer, which takes 30 ms to load. typer reads all others."""

import sys
from typing import Any

__all__ = ["main", "quick"]

FLAGS = {"--json": "json", "--standalone": "standalone"}
VALUES = {"--base": "base", "--from": "sender", "--rcpt": "recipients", "--client": "client", "--helo": "helo", "--user": "user"}
"""Options of `enqueuer scan` -> their names in ScanOptions. cli/scan.py has the same options, for help and errors."""


def main() -> None:
    """Run one command. Every failure is one clear line and its exit code."""
    options = quick(sys.argv[1:])
    if options is None:
        from enqueuer.cli import app

        app.main()
    else:
        sys.exit(_scan(options))


def quick(words: list[str]) -> dict[str, Any] | None:
    """Return the options of a command line that is a plain `enqueuer scan`; None for all others."""
    if words[:1] != ["scan"]:
        return None
    found: dict[str, Any] = {"files": (), "recipients": ()}
    rest = iter(words[1:])
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "-" or not word.startswith("-"):
            found["files"] += (word,)
        elif word in FLAGS:
            found[FLAGS[word]] = True
        elif name in VALUES and (value := value if equals else next(rest, "-")) != "-":
            key = VALUES[name]
            found[key] = (*found[key], value) if key == "recipients" else value
        else:
            return None
    return found if found["files"] else None


def _scan(options: dict[str, Any]) -> int:
    from enqueuer import exits
    from enqueuer.cli import _scan
    from enqueuer.system import inherited

    inherited.settle()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _scan.run(_scan.ScanOptions(**options))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except Exception as error:  # noqa: BLE001  the last place to turn a failure into a line and a code
        from enqueuer.cli import app

        return app.failed(error)
    return code
