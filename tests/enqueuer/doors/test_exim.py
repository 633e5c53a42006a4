"""Debian's Exim, configured as docs/exim.md prints it, in front of a running engine."""

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from tests.enqueuer.conftest import CONFIG, JUDGE
from tests.helpers.eximbox import EximBox
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.server
PAGE = ROOT / "docs/exim.md"


def printed(before: str) -> str:
    """Return the block of the page that follows these words."""
    found = re.search(rf"{re.escape(before)}:\n\n```\w*\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EximBox]:
    made = EximBox(tmp_path_factory.mktemp("exim"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def engine(box: EximBox) -> Iterator[Trial]:
    with tempfile.TemporaryDirectory(prefix="enqueuer-") as folder:  # pytest's own is closed to Exim's account
        Path(folder).chmod(0o755)
        yield from _running(box, Path(folder) / "spool")


def _running(box: EximBox, base: Path) -> Iterator[Trial]:
    text = CONFIG.format(top="", processors=1, engine="", judge=JUDGE, slots=20, filter="", more=printed("in `Settings/enqueuer.toml`"))
    trial = Trial(base, text)
    trial.prefix = box.enter
    for path in ("/etc/exim4/exim4.conf.localmacros", "/etc/exim4/enqueuer"):
        box.write(path, printed(f"in `{path}`").replace("/var/spool/enqueuer", str(trial.base)))
    with box.daemon():
        trial.start()
        yield trial
        trial.end()


def mailbox(box: EximBox) -> str:
    return box.run("sh", "-c", "cat /var/mail/bob || :")


def test_a_clean_message_is_delivered_and_enqueuer_knows_its_client(box: EximBox, engine: Trial, mail: Callable[..., bytes]) -> None:
    assert box.swaks(mail("clean")).startswith("250 OK id="), box.log() + box.run("namei", "-l", str(engine.base))
    engine.wait(lambda: "Subject: clean\n" in mailbox(box), "the delivery")
    assert "X-ACL-Warn" not in mailbox(box)
    (line,) = (line for line in engine.log().splitlines() if "message-id=<clean@test.example>" in line)
    assert "exim accepted; to=<bob@b.example>" in line
    assert "client=127.0.0.1" in line
    assert re.search(r"queue-id=\w{6}-\w{6}-\w{2}", line)


def test_a_virus_is_refused_in_the_session(box: EximBox, engine: Trial, mail: Callable[..., bytes]) -> None:
    assert re.fullmatch(r"550 Eicar found \(Judge, id \d{18}\)", box.swaks(mail("virus", judge='0 ERROR "Eicar found"')))
    assert "rejected after DATA: Eicar found (Judge, id " in box.log()


def test_not_now_is_451(box: EximBox, engine: Trial, mail: Callable[..., bytes]) -> None:
    assert re.fullmatch(r"451 later \(Judge, id \d{18}\)", box.swaks(mail("later", judge='0 REJECTED "later"')))
    assert "temporarily rejected after DATA: later (Judge, id " in box.log()


def test_fields_are_added_on_top(box: EximBox, engine: Trial, mail: Callable[..., bytes]) -> None:
    assert box.swaks(mail("tagged", judge='0 ADDHEADER "X-A: a\\eX-B: b" OK')).startswith("250 ")
    engine.wait(lambda: "Subject: tagged\n" in mailbox(box), "the delivery")
    (message,) = (each for each in mailbox(box).split("\nFrom ann@a.example ") if "Subject: tagged\n" in each)
    assert re.search(r"\nDelivery-date: .*\n(X-A: a\nX-B: b\n)Received: from \[127\.0\.0\.1\]", message)


def test_discarded_mail_goes_nowhere(box: EximBox, engine: Trial, mail: Callable[..., bytes]) -> None:
    assert box.swaks(mail("discarded", judge="0 DISCARD")).startswith("250 ")
    assert "=> blackhole (DATA ACL discarded recipients)" in box.log()
    assert "Subject: discarded\n" not in mailbox(box)


def test_quarantine_freezes_the_message_and_an_administrator_lets_it_go(box: EximBox, engine: Trial, mail: Callable[..., bytes]) -> None:
    path = engine.base / "Settings/enqueuer.toml"
    before = path.read_text()
    engine.configure(before.replace('group = "Debian-exim"', 'group = "Debian-exim"\non_caught = "quarantine"'))
    try:
        held = mail("held", judge='0 ERROR "Eicar found"')
        engine.wait(lambda: box.swaks(held).startswith("250 "), "the new settings")
        assert "held by Enqueuer: Eicar found (Judge, id " in box.log()
        found = re.search(r"(\S{6}-\S{6}-\S{2}) <ann@a\.example> \*\*\* frozen \*\*\*", box.run("exim4", "-bp"))
        assert found is not None
        assert "Subject: held\n" not in mailbox(box)
        box.run("exim4", "-Mt", found[1])
        box.run("exim4", "-M", found[1])
        engine.wait(lambda: "Subject: held\n" in mailbox(box), "the delivery")
    finally:
        engine.configure(before)


def test_without_enqueuer_mail_waits(box: EximBox, engine: Trial, mail: Callable[..., bytes]) -> None:
    engine.end()
    try:
        assert box.swaks(mail("down")).startswith("451 Temporary local problem")
        assert "spam acl condition:" in box.log()
    finally:
        engine.start()
    assert box.swaks(mail("up again")).startswith("250 ")


def test_a_filter_that_is_away_is_451(box: EximBox, engine: Trial, mail: Callable[..., bytes]) -> None:
    path: Path = engine.base / "Settings/enqueuer.toml"
    before = path.read_text()
    engine.end()
    engine.configure(before.replace(JUDGE, "no-such-program").replace('name = "exim"', 'name = "exim"\nanswer_within = "1s"'))
    engine.start()
    try:
        assert re.match(r"451[ -]Judge .*, try again later ", box.swaks(mail("away")))
    finally:
        engine.configure(before)
