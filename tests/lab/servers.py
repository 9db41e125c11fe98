# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers that a host can run: how each is configured and started.

`prepare` writes into the host's directory whatever the server needs, and a script `server.sh` that becomes the server. The
script sees the directory as `$LAB`, and is told where to listen in `$ADDRESS` and `$PORT`.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from . import accounts, processes, releases
from .hosts import LabError, run

if TYPE_CHECKING:
    from .hosts import Host

SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str) -> str | None:
    """Where a program is; servers live in directories that are not in a user's PATH."""
    return shutil.which(name, path=SYSTEM_PATH)


@cache
def openssh_version() -> tuple[int, int]:
    """The version of this machine's OpenSSH."""
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", run("ssh", "-V").stderr)
    if not found:
        raise LabError("ssh -V does not tell a version")
    return int(found[1]), int(found[2])


def release(host: Host) -> tuple[int, int] | None:
    """The release of OpenSSH that a host is to run, None for this machine's."""
    return next((version for version in releases.RELEASES if releases.name(version) == host.options.server), None)


def sftp_server(version: tuple[int, int] | None = None) -> str:
    """OpenSSH's SFTP server program, this machine's or that of a release."""
    if version is not None:
        return str(releases.program(version, "sftp-server"))
    for path in SFTP_SERVERS:
        if os.path.exists(path):
            return path
    return "internal-sftp"


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "", comment: str = "lab") -> str:
    """Make a key pair, private key at *path*; return the public one as "<type> <base64>"."""
    bits = ["-b", "2048"] if kind == "rsa" else []
    # The passphrase of a throw-away key is no secret, so it may stand in a command line.
    run("ssh-keygen", "-q", "-t", kind, *bits, "-N", passphrase, "-C", comment, "-f", path)
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def _sshd_config(host: Host) -> str:
    """The whole sshd_config. In it the first value of a keyword wins, and a Match block lasts to the end of the file."""
    options, inside = host.options, host.inside
    match = re.search(r"(?im)^\s*match\s", options.sshd_config)
    cut = match.start() if match else len(options.sshd_config)
    head, tail = options.sshd_config[:cut], options.sshd_config[cut:]
    mine = [f"HostKey {inside}/ssh_host_{kind}_key" for kind in options.host_keys]
    environment = f"{processes.MARK}={host.lab.id}"
    start = ""
    if not host.has_accounts:
        home = host.directory / "home" / accounts.me()
        environment += f" HOME={home}"
        start = f" -d {home}"
    if options.sftp:
        mine.append(f"Subsystem sftp {sftp_server(release(host))}{start}")
    if options.banner:
        (host.directory / "banner").write_text(options.banner)
        mine.append(f"Banner {inside}/banner")
    version = release(host)
    if version is not None and "sshd-session" in releases.RELEASES[version].programs:
        mine += [f"SshdSessionPath {releases.program(version, 'sshd-session')}"]
        mine += [f"SshdAuthPath {releases.program(version, 'sshd-auth')}"]
    if (version or openssh_version()) >= (9, 8):
        mine.append("PerSourcePenalties no")  # else a test of wrong passwords locks the next test out
    yes = "yes" if host.has_accounts else "no"  # PAM and passwords need root
    mine += [
        f"AuthorizedKeysFile {inside}/authorized_keys .ssh/authorized_keys",
        f"UsePAM {yes}",
        f"PasswordAuthentication {yes}",
        f"KbdInteractiveAuthentication {yes}",
        "PermitRootLogin yes",
        "StrictModes no",
        "UseDNS no",
        "PidFile none",
        "PrintMotd no",
        "PrintLastLog no",
        "MaxSessions 100",
        "LogLevel VERBOSE",
        "AcceptEnv LANG LC_* LAB_*",
    ]
    if not re.search(r"(?im)^\s*maxstartups\s", head):  # of which the last line counts
        mine.append("MaxStartups 500")
    # Of several SetEnv lines only the first counts: ours goes into the test's own.
    head, replaced = re.subn(r"(?im)^(\s*setenv\s.*)$", rf"\1 {environment}", head, count=1)
    if not replaced:
        mine.append(f"SetEnv {environment}")
    return "\n".join([head, *mine, tail]) + "\n"


def _openssh(host: Host) -> str:
    keys = [make_key(host.directory / f"ssh_host_{kind}_key", kind, comment=host.name) for kind in host.options.host_keys]
    host.host_keys = tuple(keys)
    (host.directory / "sshd_config").write_text(_sshd_config(host))
    version = release(host)
    return f"""
        [ ! -w /run ] || mkdir -p /run/sshd
        exec {releases.program(version, "sshd") if version else program("sshd")} -D -e -f {host.inside}/sshd_config -o ListenAddress=$ADDRESS -p $PORT
    """


HOMES = """
    for user in root ansible nopw; do
        home=$(getent passwd $user | cut -d: -f6)
        mkdir -p $home/.ssh
        cp $LAB/authorized_keys $home/.ssh/
        chown -R $user: $home/.ssh
        chmod 700 $home/.ssh
    done
"""


def _dropbear(host: Host) -> str:
    keys, arguments = [], ""
    for kind in host.options.host_keys:
        made = host.directory / f"ssh_host_{kind}_key"
        keys.append(make_key(made, kind))
        run("ssh-keygen", "-q", "-p", "-m", "PEM", "-N", "", "-f", made) if kind != "ed25519" else None
        run("dropbearconvert", "openssh", "dropbear", made, made.with_suffix(".dropbear"))
        arguments += f" -r {host.inside}/{made.name}.dropbear"
    host.host_keys = tuple(keys)
    return f"{HOMES}\nexec {program('dropbear')} -F -E -p $ADDRESS:$PORT{arguments}\n"


def _tinysshd(host: Host) -> str:
    run(program("tinysshd-makekey"), "-q", host.directory / "tinyssh")
    raw = (host.directory / "tinyssh" / "ed25519.pk").read_bytes()
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", raw))
    host.host_keys = (f"ssh-ed25519 {base64.b64encode(blob).decode()}",)
    sftp = f"-x sftp={sftp_server()}" if host.options.sftp else ""
    server = f"{program('tinysshd')} -v {sftp} {host.inside}/tinyssh"
    return f"{HOMES}\nexec {program('tcpserver')} -HRDl0 $ADDRESS $PORT {server}\n"


@dataclass(frozen=True)
class Server:
    """How to run one kind of server."""

    programs: tuple[str, ...]
    script: Callable[[Host], str]


SERVERS = {
    "openssh": Server(("sshd", "ssh-keygen"), _openssh),
    "dropbear": Server(("dropbear", "dropbearconvert", "ssh-keygen"), _dropbear),
    "tinysshd": Server(("tinysshd", "tinysshd-makekey", "tcpserver"), _tinysshd),
    **{releases.name(version): Server(("sshd", "ssh-keygen"), _openssh) for version in releases.RELEASES},
}


def unusable(kind: str) -> str:
    """Why this kind of server can't run here ("": it can)."""
    absent = [name for name in SERVERS[kind].programs if not program(name)]
    if absent:
        return f"{', '.join(absent)} not installed"
    unbuilt = [version for version in releases.RELEASES if releases.name(version) == kind and releases.missing(version)]
    return f"{kind} is not built: python -m tests.lab build" if unbuilt else ""


def prepare(host: Host) -> None:
    """Write all that the host's server needs into its directory."""
    script = SERVERS[host.options.server].script(host)
    keys = host.lab.public_key + "\n" + host.options.authorized_keys + "\n"
    (host.directory / "authorized_keys").write_text(keys)
    (host.directory / "authorized_keys").chmod(0o644)
    for name, text in (("server.sh", script), ("setup.sh", host.options.setup)):
        (host.directory / name).write_text(
            f"set -eu\nLAB={host.inside} ADDRESS=${{1:-}} PORT=${{2:-}}\n{textwrap.dedent(text)}"
        )
