"""How the real servers of the tests are made: a configuration by hand for each, in the folder that is given."""

import os
from pathlib import Path

from filterlink.filters.servers.exchange import Terms
from filterlink.filters.servers.milter import MilterFilter
from filterlink.filters.servers.service import Address
from tests.filterlink.filters.daemons import CLEAN, GTUBE, Clamd, Daemon, TcpDaemon, mail, needs, queued

__all__ = [
    "FUN",
    "ICAP_SCAN",
    "LUA",
    "PLAIN",
    "SIGNED",
    "VERSION",
    "make_clamav_milter",
    "make_icap",
    "make_opendkim",
    "make_rspamd",
    "make_spamd",
    "titled",
]

# SpamAssassin

SPAMD_RULES = """
body GTUBE /{gtube}/
score GTUBE 1000
header FUN Subject =~ /fun/
score FUN 2.5
add_header all Status "_YESNO_, score=_SCORE_ required=_REQD_ tests=_TESTS_"
add_header all Level _STARS(*)_
add_header spam Flag _YESNOCAPS_
add_header all Checker-Version here
report_safe 1
use_bayes 0
"""
VERSION = "X-Spam-Checker-Version: here"
FUN = CLEAN.replace(b"hello", b"fun")


def make_spamd(folder: Path) -> Daemon:
    program = needs("spamd", "spamd")
    pattern = GTUBE.decode().replace("*", r"\*").replace(".", r"\.")
    (folder / "rules.cf").write_text(SPAMD_RULES.format(gtube=pattern))
    (folder / "init.pre").write_text("loadplugin Mail::SpamAssassin::Plugin::Check\n")
    paths = [f"--configpath={folder}", f"--siteconfigpath={folder}", f"--pidfile={folder}/pid"]
    limits = ["--local", "--nouser-config", "--max-children=4", "--syslog=stderr", "--timeout-child=0"]
    daemon = Daemon(folder, program, *paths, *limits, *(["--username=nobody"] if os.geteuid() == 0 else []))
    daemon.command += (f"--listen={daemon.socket}", f"--listen=127.0.0.1:{daemon.port}")
    return daemon


# Rspamd, with rules of ours, which look at the subject

RSPAMD_CONFIG = """
options {{
    pidfile = "{0}/pid"; cache_file = "{0}/symbols.cache"; hs_cache_dir = "{0}"; control_socket = "{0}/control mode=0600";
    url_tld = "{0}/tld"; tempdir = "{0}"; filters = ""; dns {{ nameserver = ["127.0.0.1:1"]; }} max_message = 60M;
}}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; "rewrite subject" = 8; "add header" = 6; greylist = 4; subject = "[spam] %s"; }}
worker "normal" {{ bind_socket = "{0}/socket mode=0666"; bind_socket = "127.0.0.1:{1}"; count = 1; task_timeout = 60s; }}
lua = "{0}/rules.lua";
{2}
"""
LUA = """
local function rule(name, score)
    rspamd_config:register_symbol{name = name, score = score, group = 'test', type = 'normal', callback = function(task)
        return (task:get_header('Subject') or ''):find(name) ~= nil
    end}
end
rule('GREY', 5) rule('TAG', 7) rule('REWRITE', 9) rule('BAD', 20)
rspamd_config:register_symbol{name = 'SOFT', type = 'prefilter', callback = function(task)
    if (task:get_header('Subject') or ''):find('SOFT') then task:set_pre_result('soft reject', 'come again') end
end}
rspamd_config:register_symbol{name = 'ENVELOPE', type = 'postfilter', callback = function(task)
    if (task:get_header('Subject') or ''):find('ENVELOPE') then
        local rcpt = task:get_recipients('smtp')
        task:set_milter_reply{add_headers = {
            ['X-Who'] = string.format('%s %s %s %s', task:get_from('smtp')[1].addr, rcpt[#rcpt].addr, task:get_ip(), task:get_user()),
            ['X-Id'] = {value = task:get_queue_id(), order = 0},
        }}
    elseif (task:get_header('Subject') or ''):find('CLIENT') then
        local client = string.format('%s %s %s', task:get_ip(), task:get_hostname() or '-', task:get_helo() or '-')
        task:set_milter_reply{add_headers = {['X-Client'] = client}}
    end
end}
"""


def titled(subject: str) -> bytes:
    return CLEAN.replace(b"hello", subject.encode())


def make_rspamd(folder: Path, more: str = "") -> Daemon:
    daemon = Daemon(folder, needs("rspamd", "rspamd"), "-f", "-c", str(folder / "rspamd.conf"))
    if os.geteuid() == 0:
        daemon.command += ("-i",)
    (folder / "tld").write_text("com\norg\n")
    (folder / "rules.lua").write_text(LUA)
    (folder / "rspamd.conf").write_text(RSPAMD_CONFIG.format(folder, daemon.port, more))
    return daemon


# ICAP: c-icap with virus_scan, and a clamd behind it

ICAP_CONFIG = """
PidFile {folder}/pid
CommandsSocket {folder}/control
Port 127.0.0.1:{port}
StartServers 1
MaxServers 2
ThreadsPerChild 8
MinSpareThreads 1
TmpDir {folder}
ModulesDir {modules}
ServicesDir {modules}
TemplateDir /usr/share/c_icap/templates/
LoadMagicFile /etc/c-icap/c-icap.magic
ServerLog {folder}/server.log
AccessLog {folder}/access.log
Service echo srv_echo.so
{more}
"""
ICAP_SCAN = """
Service antivirus virus_scan.so
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE
virus_scan.MaxObjectSize 100M
virus_scan.SendPercentData 5
virus_scan.StartSendPercentDataAfter 100M
Module common clamd_mod.so
clamd_mod.ClamdSocket {clamd}
virus_scan.DefaultEngine clamd
"""


def make_icap(folder: Path, more: str = "") -> TcpDaemon:
    daemon = TcpDaemon(folder, needs("c-icap", "c-icap"), "-N", "-f", str(folder / "conf"))
    modules = next((str(each) for each in Path("/usr/lib").glob("*/c_icap")), "")
    (folder / "conf").write_text(ICAP_CONFIG.format(folder=folder, port=daemon.port, modules=modules, more=more))
    return daemon


# Milters

PLAIN = b"From: a@b.example\nTo: c@d\nSubject: long,\n long\nDate: Thu, 1 Jan 2026 00:00:00 +0000\n\nhello  \n\n.\nend\n"
SIGNED = (
    b"DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=b.example; s=s; t=1700000000;\n"
    b"\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; h=From:Subject; b=MTIzNDU2\n"
)
OPENDKIM_CONFIG = "Syslog no\nPidFile {folder}/pid\nAuthservID here\nUMask 000\nAlwaysAddARHeader yes\nTrustAnchorFile /dev/null\n"


def make_opendkim(folder: Path, *lines: str, tcp: bool = False) -> Daemon:
    (folder / "conf").write_text(OPENDKIM_CONFIG.format(folder=folder) + "\n".join(("", *lines, "")))
    daemon = Daemon(folder, needs("opendkim", "opendkim"), "-f", "-x", str(folder / "conf"))
    daemon.command += ("-p", f"inet:{daemon.port}@127.0.0.1" if tcp else f"local:{daemon.socket}")
    return daemon


CLAMAV_MILTER_CONFIG = """
MilterSocket unix:{socket}
ClamdSocket unix:{clamd}
Foreground yes
MaxFileSize {maximum}
TemporaryDirectory {folder}
{lines}
"""


class ClamavMilter(Daemon):
    """In its first moments it defers all mail, as it has not looked for its clamd yet."""

    def listens(self) -> bool:
        found = MilterFilter([Address(self.socket)], terms=Terms(wait=0))
        return found.judge(queued(self.folder, mail())).word != "REJECTED"


def make_clamav_milter(folder: Path, clamd: Clamd, lines: str = "OnInfected Reject\nRejectMsg virus %v", maximum: str = "100M") -> Daemon:
    daemon = ClamavMilter(folder, needs("clamav-milter", "clamav-milter"), "-c", str(folder / "conf"))
    values = {"socket": daemon.socket, "clamd": clamd.socket, "folder": folder, "lines": lines, "maximum": maximum}
    (folder / "conf").write_text(CLAMAV_MILTER_CONFIG.format(**values))
    return daemon
