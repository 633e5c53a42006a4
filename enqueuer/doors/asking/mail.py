"""The facts about a message that a session of a door has before the first byte. Pure."""

import msgspec

from enqueuer.queue.message.client import NOBODY, RemoteClient

__all__ = ["AskedMail"]


class AskedMail(msgspec.Struct, kw_only=True):
    """The envelope and the session of one message. All values come from outside: their lengths are checked by the door."""

    sender: bytes = b""
    """Without brackets; b"" is the null sender."""
    recipients: tuple[bytes, ...] = ()
    client: RemoteClient = NOBODY
    queue_id: bytes = b""
    """The MTA's own id of the message."""
    tls: bytes = b""
    """Version and cipher of the client's TLS; b"" = none."""
    esmtp: bytes = b""
    """The parameters of MAIL, with blanks between."""
    originals: tuple[tuple[bytes, bytes], ...] = ()
    """Recipients, and for each the address of its ORCPT parameter."""
