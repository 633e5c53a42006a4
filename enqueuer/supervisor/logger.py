"""The logger: write the lines of all processes, close full files and those of past days, compress and delete them.

What ends it: Exit or garbage from the supervisor, or the end of the link to the supervisor. It first writes what is left. Any exception
but OSError while it writes also ends it. The supervisor starts another one; lines wait in the channel until then.

What it only logs: lines that could not be written; files that cannot be compressed or deleted (log/retention.py).
"""

from enqueuer.ipc import frames
from enqueuer.ipc.child import SUPERVISOR, Birth
from enqueuer.log.retention import LogRetention
from filterlink.wire.link import Channel

__all__ = ["run"]


def run(birth: Birth) -> None:
    """Run the logger's process from start to end."""
    Logger(birth).run()


class Logger:
    def __init__(self, birth: Birth) -> None:
        self._birth = birth
        self._supervisor = Channel(birth.call(SUPERVISOR))
        self._retention = LogRetention("SystemLogs")
        birth.log.writer.closed = self._retention.wake

    def run(self) -> None:
        self._configure()
        self._retention.start()
        self._birth.log.serve(self._supervisor.fileno(), self._obey)

    def _obey(self) -> bool:
        """Read a frame of the supervisor; return False if the logger must end."""
        data = self._supervisor.receive()
        match frames.decode_from_supervisor(data) if data else frames.Exit():
            case frames.ConfigRevision(revision):
                self._birth.take(revision)
                self._configure()
                return True
            case _:
                return False

    def _configure(self) -> None:
        self._birth.configure_log()
        settings = self._birth.config.retention
        self._retention.configure(settings.logs, settings.logs_size)
