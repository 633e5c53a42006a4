"""Where the tests find what is in the tree, however deep they are in it themselves."""

from pathlib import Path

__all__ = ["HELPERS", "PROGRAMS", "ROOT"]

ROOT = Path(__file__).resolve().parents[2]
HELPERS = ROOT / "tests/helpers"
PROGRAMS = HELPERS / "programs"
"""Helper programs in shell, Perl and Python: well behaved and misbehaved ones."""
