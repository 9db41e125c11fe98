# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Kerberos realm of a test's own: MIT's KDC on 127.0.0.1, keytabs and tickets in a directory."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import processes, servers
from .hosts import Host, LabError, run, wait_until
from .loopback import free_port

REALM = "LAB.TEST"
PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "klist")

CLIENT = """
[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 default_keytab_name = FILE:{directory}/host.keytab
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
 }}
"""
SERVER = """
[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 {realm} = {{
  database_name = {directory}/principal
  key_stash_file = {directory}/stash
  max_life = 1h
  supported_enctypes = aes256-cts:normal
 }}
"""


def unusable() -> str:
    """Why there can't be a realm here ("": there can)."""
    absent = [name for name in PROGRAMS if not servers.program(name)]
    return f"{', '.join(absent)} not installed" if absent else ""


class Realm:
    """A realm, and the user's side of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        values = {"realm": REALM, "directory": directory, "port": self.port}
        (directory / "krb5.conf").write_text(CLIENT.format(**values))
        (directory / "kdc.conf").write_text(SERVER.format(**values))
        self.environment = {
            "KRB5_CONFIG": str(directory / "krb5.conf"),
            "KRB5CCNAME": f"FILE:{directory}/cc",
        }
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")

    def _run(self, program: str, *arguments: str) -> None:
        environment = {**os.environ, **self.environment, "KRB5_KDC_PROFILE": str(self.directory / "kdc.conf")}
        run(servers.program(program), *arguments, env=environment)

    def add_host(self, name: str) -> None:
        """Give the host *name* a key."""
        self._run("kadmin.local", "-q", f"addprinc -randkey host/{name}")
        self._run("kadmin.local", "-q", f"ktadd -k {self.directory}/host.keytab host/{name}")

    def add_user(self, name: str) -> None:
        """Make a user, who has a keytab instead of a password."""
        self._run("kadmin.local", "-q", f"addprinc -randkey {name}")
        self._run("kadmin.local", "-q", f"ktadd -k {self.directory}/{name}.keytab {name}")

    def kinit(self, name: str) -> None:
        """Get a ticket that can be handed on."""
        self._run("kinit", "-f", "-k", "-t", f"{self.directory}/{name}.keytab", name)

    def kdestroy(self) -> None:
        """Forget all tickets."""
        (self.directory / "cc").unlink(missing_ok=True)

    def join(self, host: Host) -> None:
        """Let a loopback host that has accounts be one of the realm's."""
        (host.directory / "etc/krb5.conf").write_text((self.directory / "krb5.conf").read_text())
        host.restart()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def realm(directory: Path) -> Iterator[Realm]:
    """Run a realm."""
    made = Realm(directory)
    environment = {**os.environ, **made.environment, "KRB5_KDC_PROFILE": str(directory / "kdc.conf")}
    with open(directory / "log", "wb") as log:
        kdc = subprocess.Popen([str(servers.program("krb5kdc")), "-n"], env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(made.port), "the KDC")
        yield made
    except LabError as exc:
        raise LabError(f"{exc}\n{(directory / 'log').read_text()}") from exc
    finally:
        processes.kill_tree(kdc.pid)
        kdc.wait()
