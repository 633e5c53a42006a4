"""`python -m bench.peers.filterlink FOLDER PROGRAM 0|1`: filterlink's server alone, on FOLDER/link, with one filter named F."""

import os
import sys

from filterlink.config.settings import Filter
from filterlink.server import MultiplexerServer
from filterlink.wire.link import listen
from filterlink.wire.loop import Loop

SLOTS = 160


def main() -> None:
    folder, program, pipelining = sys.argv[1:]
    os.chdir(folder)
    loop = Loop()
    settings = Filter(name="F", program=program, max_in_flight=SLOTS, pipelining=pipelining == "1")
    server = MultiplexerServer(loop, listen("link"), [settings], tell_manager=lambda _: None, publish=lambda _: None)
    server.start()
    loop.run()


if __name__ == "__main__":
    main()
