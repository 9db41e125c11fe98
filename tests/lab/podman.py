# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts that are podman containers.

Each lab has podman's storage and state in its own directory: no clash with other users of podman, and nothing stays.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from . import directories, machines, processes
from .hosts import Options, run
from .loopback import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .lab import Lab

ENVIRONMENT = {**os.environ, "CONTAINERS_CONF": str(machines.HERE / "containers.conf")}
ROOTFS = ["--rootfs", f"{machines.ROOTFS}:O"]
# Of a tmpfs podman would make a copy of what lies below it.
TMPFS = ["--tmpfs", "/run:rw,mode=755,exec,notmpcopyup", "--tmpfs", "/tmp:rw,mode=1777,exec,notmpcopyup"]


def _argv(state: Path) -> list[str]:
    return [
        "podman",
        "--root",
        f"{state}/storage",
        "--runroot",
        f"{state}/run",
        "--tmpdir",
        f"{state}/tmp",
        "--network-config-dir",
        f"{state}/networks",
    ]


def _unmount(state: Path) -> list[str]:
    """Podman binds its overlay directory to itself, so it can't simply be deleted."""
    return ["umount", "-l", f"{state}/storage/overlay"]


@cache
def unusable() -> str:
    """Why this backend can't be used here ("": it can). Tries it."""
    problem = machines.unusable("podman", "runc", "iptables")
    if problem:
        return problem
    state, lock = directories.make()
    trial = [*_argv(state / "podman"), "run", "--rm", "--network", "none", *ROOTFS, "true"]
    try:
        done = run(*trial, check=False, timeout=30, env=ENVIRONMENT)
    except subprocess.TimeoutExpired:
        return "podman run hangs"
    finally:
        run(*_unmount(state / "podman"), check=False)
        shutil.rmtree(state, ignore_errors=True)
        os.close(lock)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def run_in_container(
    lab: Lab, *argv: object, environment: dict[str, str], shown: Sequence[Path] = (), timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command in a throw-away container with this machine's network and files: it can write below /run and /tmp only.

    These two are its own, but for the lab's files, and the directories to be *shown*.
    """
    state = lab.directory / "podman"
    _prepare(lab, state)
    settings = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    volumes = [word for path in (lab.directory, *shown) for word in ("-v", f"{path}:{path}:ro")]
    options = ["--rm", "--network", "host", "--read-only", "--read-only-tmpfs=false", *TMPFS, *volumes, *settings]
    return run(*_argv(state), "run", *options, *ROOTFS, *argv, check=False, timeout=timeout, env=ENVIRONMENT)


def _prepare(lab: Lab, state: Path) -> None:
    """Make the place for podman's state, once a lab, and see to its end."""
    if not state.exists():
        state.mkdir()
        # A network of its own too: two labs that both use podman's default one would give out the same addresses.
        subnet = machines.free_network("198.19") + ".0/24"
        run(*_argv(state), "network", "create", "--disable-dns", "--subnet", subnet, "lab", env=ENVIRONMENT)
        lab.reaper.run(*_unmount(state))
        lab.reaper.run(*_argv(state), "rm", "--force", "--all", "--time", "0", env=ENVIRONMENT)


class PodmanHost(machines.Machine):
    """A container whose port 22 is a port of 127.0.0.1."""

    backend = "podman"

    def __init__(self, lab: Lab, name: str, options: Options) -> None:
        super().__init__(lab, name, options)
        self._state = lab.directory / "podman"
        _prepare(lab, self._state)
        self.port = free_port()
        volume = ["-v", f"{self.directory}:/lab:ro"]
        forward = ["-p", f"127.0.0.1:{self.port}:22"]
        command = [*ROOTFS, "sh", "/lab/container.sh"]
        self._podman("create", "--name", name, "--network", "lab", "--hostname", name, *forward, *volume, *TMPFS, *command)

    def _podman(self, *argv: object, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return run(*_argv(self._state), *argv, check=check, timeout=timeout, env=ENVIRONMENT)

    def launch(self) -> None:
        self._podman("start", self.name)

    def root_pid(self) -> int:
        pid = int(self._podman("inspect", "-f", "{{.State.Pid}}", self.name).stdout)
        return pid if pid and processes.alive(pid) else 0

    def kill(self) -> None:
        super().kill()
        self._podman("wait", self.name)

    def run(self, *argv: object, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return self._podman("exec", self.name, *argv, check=check, timeout=timeout)

    def log(self) -> str:
        done = self._podman("logs", self.name, check=False)
        return done.stdout + done.stderr

    def discard(self) -> None:
        self._podman("rm", "--force", "--time", "0", self.name)
