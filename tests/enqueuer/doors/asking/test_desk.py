"""The desk of a door process: which answers of filters it keeps for the next try of a message."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from enqueuer.config import schema
from enqueuer.config.doors import Door, ListenAddress
from enqueuer.doors.asking.decision import DoorDecision
from enqueuer.doors.asking.desk import ScanDesk
from enqueuer.doors.asking.handover import CopyWriter
from enqueuer.doors.asking.kept import KEPT_FOR, KeptAnswers
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.doors.asking.scanlink import Answered
from enqueuer.ipc.doortallies import DoorTally
from enqueuer.queue.directory.asked import DoorIds
from enqueuer.queue.message import envelope
from enqueuer.queue.message.client import RemoteClient
from enqueuer.queue.message.session import Session
from filterlink.wire.frames import AnswerKind, Ask, FilterAnswer
from filterlink.wire.loop import Loop

CONFIG = """
[[filters]]
name = "Virus"
program = "virus"
[[filters]]
name = "Spam"
program = "spam"
[[rules]]
name = "all"
actions = [["ExternalFilter", "Virus"], ["ExternalFilter", "Spam"]]
[[routes]]
recipient = "*"
to = "OUT"
"""
ROUTES = """
[[routes]]
recipient = "*"
to = "OUT"
"""
BLOCK = """
[[rules]]
name = "block list"
scope = "recipient"
when = 'any recipient is "c@d"'
actions = [["Reject with", "no mail for it"]]
"""
MESSAGE = b"Subject: x\n\ntext\n"
OK = FilterAnswer(AnswerKind.OK)
NOT_NOW = FilterAnswer(AnswerKind.UNAVAILABLE, "the server is down")


class OpenLink:
    """Holds the requests until a test answers them."""

    def __init__(self) -> None:
        self.open: dict[int, tuple[Ask, Answered]] = {}

    def ask(self, ask: Ask, answered: Answered) -> None:
        self.open[ask.id] = ask, answered

    def abandon(self, id: int) -> None:
        self.open.pop(id, None)

    def answer(self, filter: str, answer: FilterAnswer) -> None:
        ((id, (ask, answered)),) = self.open.items()
        assert ask.filter == filter
        del self.open[id]
        answered(answer)


class DeskOnTrial:
    def __init__(self) -> None:
        self.loop = Loop()
        self.link = OpenLink()
        self.desk = ScanDesk(self.loop, self.link, DoorIds(1), "localhost")  # type: ignore[arg-type]
        self.config = schema.load(CONFIG.encode(), "test")
        self.desk.configure(self.config)
        self.desk.active()
        self.door = Door(name="postfix", kind="milter", listen=ListenAddress("unix:a.sock"), answer_within=0.01)  # type: ignore[arg-type]
        self.decisions: list[DoorDecision] = []

    def offer(self, rules: str, message: bytes, *, lack: str | None = "") -> DoorDecision:
        """Offer another message, to these rules; return the decision. `lack`: what the MTA cannot do; None = it is no MTA."""
        self.desk.configure(schema.load(f"{rules}{ROUTES}".encode(), "test"))
        asked = self.desk.begin(lambda: self.door, DoorTally("postfix"), AskedMail(sender=b"a@b", recipients=(b"c@d", b"e@f", b"g@h")))
        asked.write(message)
        count = len(self.decisions)
        asked.submit(self.decisions.append, None if lack is None else lambda _: lack)
        until = time.monotonic() + 10
        while len(self.decisions) == count and time.monotonic() < until:
            self.loop.turn(0.1)
        return self.decisions[count]

    def submit(self) -> None:
        """Offer the same message again."""
        message = self.desk.begin(lambda: self.door, DoorTally("postfix"), AskedMail(sender=b"a@b", recipients=(b"c@d",)))
        message.write(b"Subject: x\n\ntext\n")
        message.submit(self.decisions.append)

    def late(self) -> None:
        """Wait until the door answers in place of the filter."""
        count = len(self.decisions)
        until = time.monotonic() + 10
        while len(self.decisions) == count and time.monotonic() < until:
            self.loop.turn(0.1)
        assert self.decisions[-1].action == "tempfail"


@pytest.fixture
def tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeskOnTrial]:
    monkeypatch.chdir(tmp_path)
    for folder in ("Asked", "Submitted", "Queue"):
        (tmp_path / folder).mkdir()
    found = DeskOnTrial()
    yield found
    found.desk.close()
    found.loop.close()
    assert not list((tmp_path / "Asked").iterdir())


def kept(found: KeptAnswers) -> set[str]:
    return {name for _, name in found._kept}


def test_an_answer_of_the_settings_before_is_not_kept(tested: DeskOnTrial) -> None:
    """A late scan goes on in a helper with the old settings. Its answer must not pass the next try under the new ones."""
    tested.submit()
    tested.late()
    tested.desk.configure(tested.config)
    tested.desk.active()
    tested.link.answer("Virus", OK)
    assert not kept(tested.desk.kept)


def test_answers_of_a_message_that_saw_two_revisions_are_not_kept(tested: DeskOnTrial) -> None:
    tested.submit()
    tested.link.answer("Virus", OK)
    tested.desk.configure(tested.config)
    tested.desk.active()
    tested.link.answer("Spam", NOT_NOW)
    assert tested.decisions[-1].action == "tempfail"
    assert not kept(tested.desk.kept)


def test_nothing_is_kept_until_the_filters_scan_by_the_new_settings(tested: DeskOnTrial) -> None:
    """A message that begins meanwhile is scanned by the helper with the old ones."""
    tested.desk.configure(tested.config)
    tested.submit()
    tested.late()
    tested.desk.active()
    tested.link.answer("Virus", OK)
    assert not kept(tested.desk.kept)
    tested.submit()
    tested.late()
    tested.link.answer("Virus", OK)
    assert kept(tested.desk.kept) == {"Virus"}


def test_a_kept_answer_does_not_live_longer_because_it_is_used(tested: DeskOnTrial) -> None:
    """An MTA tries again each five minutes while one filter is down. The answer of the other one must get old."""
    tested.submit()
    tested.link.answer("Virus", OK)
    tested.link.answer("Spam", NOT_NOW)
    assert kept(tested.desk.kept) == {"Virus"}
    ((key, _),) = tested.desk.kept._kept
    first = time.monotonic()
    tested.submit()
    tested.link.answer("Spam", NOT_NOW)
    assert [each.action for each in tested.decisions] == ["tempfail", "tempfail"]
    assert tested.desk.kept.find(first, key, "Virus") is not None
    assert tested.desk.kept.find(first + KEPT_FOR, key, "Virus") is None


def test_the_envelope_lines_have_the_session(tested: DeskOnTrial) -> None:
    """Rules and filters read the facts from the file, by the lines alone."""
    remote = RemoteClient("192.0.2.1", b"mx", b"helo", b"ann")
    mail = AskedMail(recipients=(b"c@d",), client=remote, tls=b"TLSv1.3 AES", esmtp=b"SIZE=1", originals=((b"c@d", b"e@f"),))
    message = tested.desk.begin(lambda: tested.door, DoorTally("postfix"), mail)
    message.write(b"Subject: x\n\n")
    message.submit(tested.decisions.append)
    lines = envelope.parse(Path(f"Asked/{message.id}.msg").read_bytes().partition(b"\n\n")[0])

    assert Session.of(lines) == Session(
        "MILTER [192.0.2.1]", "192.0.2.1", b"ann", b"mx", b"helo", "TLSv1.3 AES", (b"SIZE=1",), {b"c@d": b"e@f"}
    )
    message.cancel()


def test_one_recipient_is_refused_and_two_get_the_message(tested: DeskOnTrial) -> None:
    """The queue has the copy for the first one before the MTA has its answer."""
    found = tested.offer(BLOCK, MESSAGE)
    assert (found.action, found.removed) == ("accept", (b"c@d",))
    assert [(part.recipients, part.disposition) for part in found.parts] == [((b"c@d",), "rejected"), ((b"e@f", b"g@h"), "enqueued")]
    (drop,) = Path("Submitted").glob("*.sub")
    assert b"\nReturn-Path: <a@b>\nEnvelope-To: <c@d>\nReceived: " in drop.read_bytes()


def test_without_a_copy_nothing_is_taken(tested: DeskOnTrial) -> None:
    """The MTA tries again. The log has the reason, and the client does not."""
    Path("Submitted").rmdir()
    found = tested.offer(BLOCK, MESSAGE)
    assert (found.action, found.status, found.removed) == ("tempfail", "451 4.3.0", ())
    assert found.text.startswith("the message cannot be taken now")
    assert "No such file" in found.reason


def test_an_mta_that_cannot_delete_recipients_gets_no_copy(tested: DeskOnTrial) -> None:
    """Its session answers 451, so a copy would come with each try."""
    assert tested.offer(BLOCK, MESSAGE, lack="delete recipients").removed == (b"c@d",)
    assert not list(Path("Submitted").iterdir())


def test_a_client_that_decides_by_itself_gets_all_outcomes_and_the_trail(tested: DeskOnTrial) -> None:
    found = tested.offer(BLOCK, MESSAGE, lack=None)
    assert (found.disposition, found.removed) == ("rejected", ())
    assert [part.disposition for part in found.parts] == ["rejected", "enqueued"]
    assert found.trail[0] == 'rule "block list": met for c@d'
    assert not list(Path("Submitted").iterdir())


def test_conditions_see_a_long_header_to_its_end(tested: DeskOnTrial) -> None:
    """A sender must not hide a field behind 48 KiB of others."""
    rule = """
[[rules]]
name = "hidden"
when = 'header("X-Bad") is "yes"'
actions = [["Quarantine", "it is bad"]]
"""
    long = b"X-Long: %s\n" % (b"x" * 900) * 200
    found = tested.offer(rule, b"Subject: x\n" + long + b"X-Bad: yes\n\ntext\n")
    assert (found.action, found.text.partition(" (")[0]) == ("quarantine", "it is bad")
    assert tested.offer(rule, b"Subject: x\n" + long + b"\nX-Bad: yes\n").action == "accept"


REMEMBER = """
[enqueuer]
networks = ["192.0.2.0/24"]
[[rules]]
name = "known"
actions = [["Remember 'From' in", "#known"]]
"""


@pytest.mark.parametrize(("door", "added"), [("postfix", True), ("scan", False)])
def test_a_sender_is_remembered(tested: DeskOnTrial, door: str, added: bool) -> None:
    """Only if the client is trusted. `enqueuer scan` changes no list."""
    tested.desk.configure(schema.load((REMEMBER + ROUTES).encode(), "test"))
    tested.door = msgspec.structs.replace(tested.door, name=door)
    for address in ("192.0.2.1", "198.51.100.1"):
        mail = AskedMail(sender=b"a@b", recipients=(b"c@d",), client=RemoteClient(address))
        message = tested.desk.begin(lambda: tested.door, DoorTally("postfix"), mail)
        message.write(b"From: Ann <%b@a.example>\n\n" % address.encode())
        message.submit(tested.decisions.append)
    tested.desk.handover.close()
    tested.desk.handover = CopyWriter(tested.loop)

    assert list(tested.desk.remembered.read("known")) == (["192.0.2.1@a.example"] if added else [])


def test_the_client_may_be_trusted(tested: DeskOnTrial) -> None:
    """The address that the MTA names counts, and the submit address is that of the door."""
    rule = """
[enqueuer]
networks = ["192.0.2.0/24"]
[[rules]]
name = "strangers"
when = 'source is not "trusted" or submit_address is not "MILTER [192.0.2.1]"'
actions = [["Quarantine"]]
"""
    tested.desk.configure(schema.load((rule + ROUTES).encode(), "test"))
    for client in (RemoteClient("192.0.2.1"), RemoteClient("198.51.100.1"), RemoteClient()):
        message = tested.desk.begin(
            lambda: tested.door, DoorTally("postfix"), AskedMail(sender=b"a@b", recipients=(b"c@d",), client=client)
        )
        message.write(MESSAGE)
        message.submit(tested.decisions.append)
    assert [each.action for each in tested.decisions] == ["accept", "quarantine", "quarantine"]
