"""amavisd-new of the Debian package: SMTP in, SMTP out to smtp-sink, nothing scanned. It keeps no queue and syncs nothing. It answers
its client once the next server has taken the message.
"""

import contextlib
import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from bench.peers.parts import Missing, free_port, listens, need, need_root, running, until
from bench.peers.smtp import Route, sink

__all__ = ["amavisd"]

ACCOUNT = "amavis"
CONFIG = """use strict;
$MYHOME = '{home}'; $TEMPBASE = "$MYHOME/tmp"; $db_home = "$MYHOME/db"; $QUARANTINEDIR = undef;
$pid_file = "$MYHOME/pid"; $lock_file = "$MYHOME/lock"; $helpers_home = $MYHOME; $LOGFILE = "$MYHOME/log";
$daemon_user = '{account}'; $daemon_group = '{account}'; $myhostname = 'amavis.example.com'; $mydomain = 'example.com';
$max_servers = {servers}; $max_requests = 100000; $enable_db = 0; $enable_zmq = 0; $do_syslog = 0; $log_level = 0;
$inet_socket_bind = '127.0.0.1'; $inet_socket_port = {entrance}; @inet_acl = qw(127.0.0.1);
$forward_method = 'smtp:[127.0.0.1]:{sink}'; $notify_method = $forward_method;
@bypass_virus_checks_maps = (1); @bypass_spam_checks_maps = (1); @bypass_banned_checks_maps = (1); @bypass_header_checks_maps = (1);
@local_domains_maps = (1); $enable_dkim_verification = 0; $enable_dkim_signing = 0;
@decoders = (); @av_scanners = (); @av_scanners_backup = (); $undecipherable_subject_tag = undef; $mail_id_size_bits = 72;
1;
"""


@contextlib.contextmanager
def amavisd(folder: Path, servers: int) -> Iterator[Route]:
    """Run it with this many child processes."""
    program = need("amavisd-new", "amavisd")
    need_root("amavisd-new, which changes to its own account,")
    try:
        account = pwd.getpwnam(ACCOUNT).pw_uid, grp.getgrnam(ACCOUNT).gr_gid
    except KeyError as error:
        raise Missing(f"there is no account {ACCOUNT}: apt install amavisd-new") from error
    entrance = free_port()
    out = free_port()
    home = folder / "home"
    config = folder / "config"  # it refuses a config file in its own home folder
    folder.mkdir()
    for each in (home, home / "tmp", home / "db"):
        each.mkdir()
        os.chown(each, *account)
    config.write_text(CONFIG.format(home=home, account=ACCOUNT, servers=servers, entrance=entrance, sink=out))
    with sink(out, folder) as counters, running([program, "-c", config, "foreground"], folder / "output"):
        until(lambda: listens(entrance), "amavisd-new listens", folder / "output")
        yield Route(entrance, counters)
