"""Postfix of the Debian package as an instance of its own: smtpd, queue, content filter, smtpd, queue, smtp to smtp-sink. Or with milters:
smtpd, milter, queue, and delivery into nothing.

The content filter is the cheapest possible: none. What the first smtpd takes goes by `content_filter` straight to the second,
where a real filter would give it back. So each message is in the queue twice, as behind any content filter. Postfix syncs each queue
file.
"""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.peers.parts import PATIENCE, free_port, listens, need, need_root, until
from bench.peers.smtp import Route, sink

__all__ = ["entrances", "postfix"]

MAIN = """compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
mail_owner = postfix
setgid_group = postdrop
multi_instance_name = postfix-enqueuer-bench
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = first.example.com
mydestination =
alias_maps =
alias_database =
relayhost = [127.0.0.1]:{sink}
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtpd_relay_restrictions = permit_mynetworks, reject
in_flow_delay = 0
default_process_limit = 100
initial_destination_concurrency = 20
default_destination_concurrency_limit = 20
smtpd_client_connection_count_limit = 0
smtp_tls_security_level = none
"""
ENTRANCE = "127.0.0.1:{port} inet n - n - - smtpd -o smtpd_milters={milter} -o content_filter=\n"
"""An smtpd that asks a milter; none if that is empty."""
MASTER = """127.0.0.1:{entrance} inet n - n - - smtpd -o content_filter=smtp:[127.0.0.1]:{back}
127.0.0.1:{back} inet n - n - - smtpd -o content_filter= -o myhostname=second.example.com
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""


@contextlib.contextmanager
def entrances(folder: Path, milters: Mapping[str, str]) -> Iterator[dict[str, int]]:
    """Run one Postfix with an smtpd for each milter (name -> address); yield their ports. It throws away what it takes."""
    program = need("postfix", "postfix")
    need_root("Postfix")
    ports = {name: free_port() for name in milters}
    others = MASTER.partition("pickup")[2]
    lines = [ENTRANCE.format(port=ports[name], milter=milter) for name, milter in milters.items()]
    main = MAIN + "default_transport = discard:\nrelay_transport = discard:\n"
    config = _written(folder, main, "".join([*lines, "pickup", others]), sink=1)
    log = folder / "log"
    _run(program, config, "start", log)
    try:
        until(lambda: all(map(listens, ports.values())), "Postfix listens", log)
        yield ports
    finally:
        _run(program, config, "stop", log)


@contextlib.contextmanager
def postfix(folder: Path) -> Iterator[Route]:
    """It runs."""
    program = need("postfix", "postfix")
    need_root("Postfix")
    entrance = free_port()
    back = free_port()
    out = free_port()
    config = _written(folder, MAIN, MASTER.format(entrance=entrance, back=back), sink=out)
    log = folder / "log"
    with sink(out, folder) as counters:
        _run(program, config, "start", log)
        try:
            until(lambda: listens(entrance) and listens(back), "Postfix listens", log)
            yield Route(entrance, counters)
        finally:
            _run(program, config, "stop", log)


def _written(folder: Path, main: str, master: str, sink: int) -> Path:
    """Make the folders of an instance, and its two files; return the folder of these."""
    config = folder / "config"
    queue = folder / "queue"
    data = folder / "data"
    for each in (folder, config, queue, data):
        each.mkdir()
    (config / "main.cf").write_text(main.format(queue=queue, data=data, sink=sink))
    (config / "master.cf").write_text(master)
    os.chown(data, pwd.getpwnam("postfix").pw_uid, -1)
    return config


def _run(program: str, config: Path, command: str, log: Path) -> None:
    with log.open("ab") as out:
        subprocess.run([program, "-c", config, command], check=True, stdout=out, stderr=out, timeout=PATIENCE)
