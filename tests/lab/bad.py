# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host whose server misbehaves on demand: `Behaviour` says how it greets and logs in, the command what becomes of a channel.

For the commands see `bad_commands`, in whose names "-" stands for "_": `ssh ... "flood 1000000"`. Besides them the command
`refuse` is refused as a request, and any other ends with status 127.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import accounts, servers
from .hosts import Host, LabError, Options, run
from .loopback import free_port

if TYPE_CHECKING:
    from .lab import Lab

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Round:
    """One round of keyboard-interactive questions: (prompt, whether the answer is shown, the right answer)."""

    prompts: tuple[tuple[str, bool, str], ...]
    name: str = ""
    instruction: str = ""


@dataclass(frozen=True)
class Behaviour:
    """What the server does; the default one is polite."""

    greeting: str = ""
    """silent: says nothing. close, reset: ends the connection at once. garbage: sends binary rubbish. http: is a web server.
    endless: a first line that never ends. banner-only: its version, then nothing. banner-close: its version, then the end.
    slow: normal, but `delay` seconds late. drip: its version one byte each `delay` seconds. chatter: lines before the version."""
    delay: float = 1.0
    factors: tuple[str, ...] = ("publickey",)
    """The methods that must succeed, in this order: publickey, password, keyboard-interactive. Only the next one is offered."""
    any_of: tuple[str, ...] = ()
    """Or: methods of which one is enough."""
    rounds: tuple[Round, ...] = (Round((("Password: ", False, accounts.PASSWORD),)),)
    """The rounds of keyboard-interactive."""
    expired: bool = False
    """The right password must be changed first."""
    banner: str = ""
    """Text sent before the login."""
    sftp: bool = True
    scripts: dict[str, list[list[Any]]] = field(default_factory=dict)
    """What is played to a command with this first word, or to a subsystem of this name ("scp", "sftp": instead of the real one).
    Steps: ["send", TEXT] (each character is a byte), ["expect", N] (reads so many bytes), ["sleep", SECONDS], ["exit", STATUS],
    ["close"]. What has been read is in the log as "got" and the bytes in hexadecimal."""
    max_channels: int = 1000
    """Channels that a connection may open; more are refused."""
    open_delay: float = 0.0
    """Seconds before a channel is opened."""
    windows: bool = False
    """Answers every command as PowerShell would: what each was, and its input, is in the log. See `bad_commands.power_shell`."""
    deaf: bool = False
    """Accepts the login, and then answers nothing any more."""
    listen: dict[str, Any] = field(default_factory=dict)
    """Further arguments of asyncssh.listen: window, max_pktsize, rekey_bytes, kex_algs, encryption_algs, server_version…"""


def unusable() -> str:
    """Why there can't be such a server here ("": there can)."""
    return "" if importlib.util.find_spec("asyncssh") else "asyncssh not installed"


class BadHost(Host):
    """A scripted server on 127.0.0.1. Its one user is `ansible`."""

    backend = "bad"

    def __init__(self, lab: Lab, name: str, behaviour: Behaviour) -> None:
        super().__init__(lab, name, Options(server="asyncssh", sftp=behaviour.sftp))
        self.host_keys = (servers.make_key(self.directory / "hostkey"),)
        self.port = free_port()
        self.files = self.directory / "files"
        """What SFTP and SCP show as the root directory."""
        self.files.mkdir()
        settings = {
            **asdict(behaviour),
            "port": self.port,
            "host_key": str(self.directory / "hostkey"),
            "public_key": lab.public_key,
            "user": self.user,
            "password": self.password,
            "files": str(self.files),
        }
        self._settings = json.dumps(settings)
        self._process: subprocess.Popen[str] | None = None

    def launch(self) -> None:
        argv = [sys.executable, "-m", "tests.lab.bad_server"]
        with open(self.directory / "log", "a") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.lab.reaper.kill(self._process.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(self._settings + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "ready\n":
            raise LabError(f"{self} does not start\n{self.log()}")

    def wait(self, timeout: float = 15) -> None:
        """Nothing to wait for: the server has said that it listens, and may be one that never greets."""

    def root_pid(self) -> int:
        return self._process.pid if self._process and self._process.poll() is None else 0

    def kill(self) -> None:
        super().kill()
        if self._process:
            self._process.communicate()

    def run(self, *argv: object, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return run(*argv, check=check, timeout=timeout)
