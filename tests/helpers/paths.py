"""Give the tests the paths of the tree, at any depth of folders."""

from pathlib import Path

__all__ = ["HELPERS", "PROGRAMS", "ROOT", "UNPACKED"]

ROOT = Path(__file__).resolve().parents[2]
HELPERS = ROOT / "tests/helpers"
PROGRAMS = HELPERS / "programs"
"""Helper programs in shell, Perl and Python, correct and faulty ones."""
UNPACKED = Path("/var/cache/enqueuer-tests")
"""Where .ci/install-packages unpacks the packages of .ci/unpacked: a folder an MTA."""
