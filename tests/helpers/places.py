"""Surroundings made for one engine: `Trial.prefix` for namespaces of its own. All of them need root, and skip the test without."""

import os
import shutil
import subprocess

import pytest

__all__ = ["in_namespaces"]


def in_namespaces(script: str, *flags: str) -> tuple[str, ...]:
    """A prefix that runs `script` in new namespaces, then what follows in its place. `flags` are those of unshare(1)."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare(1)")
    prefix = ("unshare", "--mount", "--propagation", "private", *flags, "sh", "-ec", f'{script}\nexec "$@"', "sh")
    tried = subprocess.run((*prefix, "true"), capture_output=True, text=True, timeout=30, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no such namespace here: {tried.stderr.strip()}")
    return prefix
