# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a host of the lab is, whatever it runs on."""

from __future__ import annotations

import abc
import copy
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from . import processes
from .accounts import PASSWORD

if TYPE_CHECKING:
    from .lab import Lab


class LabError(RuntimeError):
    """The lab itself failed: not a finding about what is tested."""


@dataclass(frozen=True)
class Options:
    """How a host differs from the default one."""

    server: str = "openssh"
    """openssh, dropbear, tinysshd, or another release of OpenSSH: openssh-8.4 or openssh-10.0."""
    sshd_config: str = ""
    """Lines of sshd_config(5). They win over the lab's own; Match blocks are allowed."""
    host_keys: tuple[str, ...] = ("ed25519",)
    """Any of ed25519, ecdsa, rsa."""
    sftp: bool = True
    """Whether there is an SFTP subsystem."""
    banner: str = ""
    """Text sent before the login."""
    authorized_keys: str = ""
    """More lines of authorized_keys besides the lab's key."""
    setup: str = ""
    """A shell script that root runs before the server starts; not on loopback hosts."""


def run(
    *argv: object, check: bool = True, timeout: float = 60, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of the lab; one that fails raises with all that it said."""
    words = [str(part) for part in argv]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False, env=env
    )
    if check and done.returncode:
        raise LabError(f"{shlex.join(words)}: rc={done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Host(abc.ABC):
    """A machine with one SSH server, thrown away after use."""

    backend: ClassVar[str]
    address: str = "127.0.0.1"
    port: int = 22
    user: str = "ansible"
    password: str | None = PASSWORD
    inside: str = "/lab"
    """Where the host sees its directory."""
    has_accounts: bool = True
    """Whether it has the lab's users and passwords; else only the user who runs the tests can log in."""

    def __init__(self, lab: Lab, name: str, options: Options) -> None:
        self.lab = lab
        self.name = name
        self.options = options
        self.directory = lab.directory / name
        self.directory.mkdir(mode=0o755)
        self.key = lab.key
        self.host_keys: tuple[str, ...] = ()
        """The public host keys: "<type> <base64>"."""

    def __repr__(self) -> str:
        return f"<{self.backend} host {self.name}, {self.options.server} at {self.user}@{self.address}:{self.port}>"

    # What each backend does in its own way

    @abc.abstractmethod
    def launch(self) -> None:
        """Start the server's processes; it need not answer yet."""

    @abc.abstractmethod
    def root_pid(self) -> int:
        """The process below which all of the host's are (0: it does not run)."""

    @abc.abstractmethod
    def run(self, *argv: object, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in the host as root (on loopback without root: as us) behind the server's back."""

    def log(self) -> str:
        """What the server has logged so far, over restarts."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def server_pid(self) -> int:
        """The process that accepts connections."""
        return self.root_pid()

    def discard(self) -> None:  # noqa: B027  not every host holds any
        """Give back what the host holds besides processes."""

    # Start and end

    def start(self) -> None:
        """Start the server, and wait until it greets."""
        self.launch()
        self.wait()

    def wait(self, timeout: float = 15) -> None:
        """Wait for the server's greeting."""
        end = time.monotonic() + timeout
        problem = "it never listened"
        while time.monotonic() < end:
            try:
                with socket.create_connection((self.address, self.port), 1) as connection:
                    connection.settimeout(5)
                    if connection.recv(4) == b"SSH-":
                        break
            except OSError as error:
                problem = str(error)  # the error itself, in one of its own frames, would keep all that the test has in its own
            if not self.root_pid():
                end = 0  # it has died: no use to wait
            time.sleep(0.01)
        else:
            raise LabError(f"{self} does not greet: {problem}\n{self.log()}")
        # Our own connection shall not be among those that a test counts or kills.
        wait_until(lambda: not self.connections(), f"the end of the first connection to {self}")

    def stop(self) -> None:
        """End the server politely, and all connections. The host can be started again."""
        server = self.server_pid()
        if server:
            connections = processes.descendants(server)  # once the server has gone they are nobody's children
            processes.send(signal.SIGTERM, server)
            processes.send(signal.SIGKILL, *connections)
        self.kill()

    def kill(self) -> None:
        """End the server and all connections without a word to anybody."""
        root = self.root_pid()
        if root:
            processes.kill_tree(root)
            wait_until(lambda: not processes.alive(root), f"the end of {self}")

    def restart(self) -> None:
        """Reboot: all connections break, and the server comes back at the same address."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Throw the host away."""
        self.kill()
        self.discard()
        self.lab.forget(self)

    # Looking and meddling

    def connections(self) -> list[int]:
        """The server's processes for the connections there are, oldest first."""
        server = self.server_pid()
        return [pid for pid in processes.descendants(server) if processes.parent(pid) == server] if server else []

    def kill_connections(self) -> int:
        """Kill the server's side of every connection; new ones are welcome. Returns how many there were."""
        pids = self.connections()
        for pid in pids:
            processes.kill_tree(pid)
        return len(pids)

    def freeze(self) -> None:
        """Stop all of the host's processes: connections stay open, and nobody answers."""
        root = self.root_pid()
        processes.send(signal.SIGSTOP, root, *processes.descendants(root))

    def thaw(self) -> None:
        """Let a frozen host go on."""
        root = self.root_pid()
        processes.send(signal.SIGCONT, root, *processes.descendants(root))

    def logins(self) -> int:
        """How many logins have succeeded since the host was made (the log says so)."""
        return len(re.findall(r"Accepted \S+ for |auth succeeded for |auth: .* accepted ", self.log()))

    @property
    def known_hosts(self) -> str:
        """The lines of known_hosts that tell who this host is."""
        address = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        return "".join(f"{address} {key}\n" for key in self.host_keys)

    @property
    def known_hosts_file(self) -> Path:
        """A file with `known_hosts`."""
        path = self.directory / f"known_hosts-{self.address}-{self.port}"
        if not path.exists() or path.read_text() != self.known_hosts:  # somebody may be reading it
            new = path.with_name(f"{path.name}.{threading.get_ident()}")
            new.write_text(self.known_hosts)
            new.replace(path)
        return path

    def at(self, address: str, port: int) -> Host:
        """The same host as it is seen through a relay or another link."""
        other = copy.copy(self)
        other.address, other.port = address, port
        return other

    def describe(self) -> dict[str, Any]:
        """Everything that a client needs, for JSON."""
        return {
            "name": self.name,
            "backend": self.backend,
            "address": self.address,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "key": str(self.key),
            "known_hosts": str(self.known_hosts_file),
            "host_keys": list(self.host_keys),
        }


def wait_until(condition: Any, what: str, timeout: float = 10) -> None:
    """Wait for something that is about to happen."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"waited {timeout} s in vain for {what}")
        time.sleep(0.005)
