import pytest

from filterlink.filters.runtime.finding import Policy, ScannerFinding
from filterlink.filters.runtime.verdict import Verdict, discard, error, failure, header, ok, rejected

VIRUS = ScannerFinding(name="Eicar")
TROUBLE = ScannerFinding(trouble="too large")
FAULT = ScannerFinding(fault="no signatures")


@pytest.mark.parametrize(
    ("policy", "found", "verdict"),
    [
        (Policy(), ScannerFinding(), ok()),
        (Policy(), VIRUS, error("Eicar")),
        (Policy("discard"), VIRUS, discard()),
        (Policy("header"), VIRUS, header(("X-Virus: Eicar",))),
        (Policy("discard"), ScannerFinding(), ok()),
        (Policy(), TROUBLE, rejected("scan cannot scan this message: too large")),
        (Policy("discard", "error"), TROUBLE, error("scan cannot scan this message: too large")),
        (Policy("error", "pass"), TROUBLE, failure("scan cannot scan this message: too large")),
        (Policy("error", "pass"), FAULT, rejected("scan does not work properly: no signatures")),
    ],
)
def test_what_follows_from_a_finding(policy: Policy, found: ScannerFinding, verdict: Verdict) -> None:
    """A scanner that is broken itself lets nothing through, whatever is said of messages that cannot be scanned."""
    assert policy.verdict(found, "scan") == verdict
