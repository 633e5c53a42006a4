import pytest

from filterlink.filters.command.commandline import PROFILES, Profile, arguments, codes, finding
from filterlink.filters.runtime.finding import ScannerFinding
from tests.helpers.linear import is_linear

CLAMSCAN = PROFILES["clamscan"]
UVSCAN = PROFILES["uvscan"]


@pytest.mark.parametrize(("text", "found"), [("0", {0}), ("1,13", {1, 13}), ("1-4, 9", {1, 2, 3, 4, 9}), ("", set())])
def test_lists_of_exit_codes(text: str, found: set[int]) -> None:
    """Single ones and ranges."""
    assert codes(text) == found


@pytest.mark.parametrize("text", ["a", "1-", "-1", "4-1", "256", "1;2"])
def test_bad_lists_say_how_to_write_them(text: str) -> None:
    """In one line."""
    with pytest.raises(ValueError, match="write 1 or 1,13 or 1-4,9"):
        codes(text)


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (["scan", "-q"], ["scan", "-q", "/f"]),
        (["scan", "{file}", "-q"], ["scan", "/f", "-q"]),
        (["scan", "--in={file}"], ["scan", "--in=/f"]),
        (["scan", "{queue_file}"], ["scan", "/q"]),
    ],
)
def test_where_the_path_goes(command: list[str], found: list[str]) -> None:
    """Where the command says, else at its end."""
    assert arguments(command, "/f", "/q") == found


@pytest.mark.parametrize(
    ("code", "output", "found"),
    [
        (0, "/x/1.eml: OK\n", ScannerFinding()),
        (1, "/x/1.eml: Win.Test.EICAR_HDB-1 FOUND\n", ScannerFinding("Win.Test.EICAR_HDB-1")),
        (1, "/x/1.eml: A FOUND\n/x/1.eml: B FOUND\n", ScannerFinding("A")),
        (1, "/x: a: A(44d88612fea8a8f36de82e1278abb02f:68) FOUND\n", ScannerFinding("A(44d88612fea8a8f36de82e1278abb02f:68)")),
        (1, "", ScannerFinding("infected (exit code 1)")),
        (
            1,
            "/x: Heuristics.Limits.Exceeded.MaxFileSize FOUND\n",
            ScannerFinding(trouble="over a limit (Heuristics.Limits.Exceeded.MaxFileSize)"),
        ),
        (2, "noise\nERROR: Can't open file\n", ScannerFinding(trouble="exit code 2: ERROR: Can't open file")),
        (-9, "", ScannerFinding(trouble="signal 9 ended it")),
        (77, "", ScannerFinding(trouble="exit code 77")),
    ],
)
def test_clamscan(code: int, output: str, found: ScannerFinding) -> None:
    """Only what it calls clean is clean."""
    assert finding(CLAMSCAN, code, output) == found


@pytest.mark.parametrize(
    ("code", "output", "found"),
    [
        (0, "", ScannerFinding()),
        (13, "/x/1.eml\n\tFound the W32/Klez.h@MM virus !!!\n", ScannerFinding("W32/Klez.h@MM")),
        (13, "Found: EICAR test file NOT a virus.\n", ScannerFinding("EICAR test file")),
        (13, "Found trojan or variant Exploit-MIME.gen !!!\n", ScannerFinding("Exploit-MIME.gen")),
        (13, "something new\n", ScannerFinding("infected (exit code 13)")),
        (12, "Found the X virus !!!\n", ScannerFinding("X")),
        (19, "", ScannerFinding("infected (exit code 19)")),
        (20, "", ScannerFinding(trouble="exit code 20")),
    ],
)
def test_uvscan(code: int, output: str, found: ScannerFinding) -> None:
    """Found, could not be cleaned, was cleaned in our copy: the message has it in all three."""
    assert finding(UVSCAN, code, output) == found


@pytest.mark.parametrize("code", [2, 6, 8, 10, 15, 102])
def test_uvscan_that_is_not_in_order(code: int) -> None:
    """Its documented codes for that have a text each, and are no fault of the message."""
    found = finding(UVSCAN, code, "")

    assert found.fault == f"exit code {code}: {UVSCAN.faults[code]}"
    assert (found.name, found.trouble) == ("", "")


def test_a_scanner_without_exit_codes() -> None:
    """What its output says counts, though it ends with 0; the whole match is the name where there is no group."""
    scanner = Profile(pattern="(?i)infected by (\\w+)|worm-\\d+")

    assert finding(scanner, 0, "x infected by Foo") == ScannerFinding("Foo")
    assert finding(scanner, 0, "x Worm-12 y") == ScannerFinding("Worm-12")
    assert finding(scanner, 0, "fine") == ScannerFinding()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("text", ["x: ", "x: y FOUND", ": \n", "Found the ", "Found: ", "Found virus or variant", "\n", "a "])
def test_the_time_is_linear_in_the_output(profile: str, text: str) -> None:
    """A scanner prints the names of files that strangers sent."""
    assert is_linear(lambda size: finding(PROFILES[profile], 0, text * (size // len(text))), 1 << 17)
