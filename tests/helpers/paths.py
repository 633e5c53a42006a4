"""Give the tests the paths of the tree, at any depth of folders."""

from pathlib import Path

__all__ = ["HELPERS", "PROGRAMS", "ROOT"]

ROOT = Path(__file__).resolve().parents[2]
HELPERS = ROOT / "tests/helpers"
PROGRAMS = HELPERS / "programs"
"""Helper programs in shell, Perl and Python, correct and faulty ones."""
