"""The link of a door to filterlink."""

from pathlib import Path

import msgspec
import pytest

from enqueuer.doors.asking.scanlink import ScanLink
from enqueuer.ipc.child import FILTERLINK
from filterlink.wire.frames import MAX_FRAME, Ask, Hello
from filterlink.wire.link import MAX_UNSENT, listen
from filterlink.wire.loop import Loop

FIRST = 10**17


def test_more_open_requests_than_filterlink_reads_now_are_all_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A door process can have more sessions than a link keeps frames. To connect again would send them all again."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Run").mkdir()
    count = MAX_UNSENT + 1000
    loop = Loop()
    decode = msgspec.msgpack.Decoder(Hello | Ask).decode
    with listen(FILTERLINK) as listener:
        found = ScanLink(loop, Hello("door", 1, 1, 1))
        for number in range(count):
            found.ask(Ask(FIRST + number, 1, "Judge", False, 10, park=False, asked=True), lambda _: None)
        filterlink, _ = listener.accept()
        with filterlink:
            filterlink.setblocking(False)
            seen: list[Hello | Ask] = []
            while len(seen) <= count:
                try:
                    seen.append(decode(filterlink.recv(MAX_FRAME)))
                except BlockingIOError:
                    loop.turn(1.0)
            assert [each.id for each in seen[1:] if isinstance(each, Ask)] == [FIRST + number for number in range(count)]
            with pytest.raises(BlockingIOError):
                listener.accept()
        assert found._link is not None
        found._link.close()
    loop.close()
