# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenSSH's agent, with keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import processes
from .hosts import run


def load(agent: str, *arguments: object, **environment: str) -> None:
    """Have ``ssh-add`` load keys into an agent."""
    run("ssh-add", "-q", *arguments, env={**os.environ, "SSH_AUTH_SOCK": agent, **environment})


@contextmanager
def ssh_agent(directory: Path, *keys: object, options: tuple[str, ...] = (), **environment: str) -> Iterator[str]:
    """Run an agent that holds *keys*; its socket is in *directory*."""
    path = str(directory / "agent")
    # It goes into the background as soon as it listens.
    told = run("ssh-agent", "-s", "-a", path, *options, env={**os.environ, **environment}).stdout
    pid = int(told.partition("SSH_AGENT_PID=")[2].partition(";")[0])
    try:
        if keys:
            load(path, *keys)
        yield path
    finally:
        processes.kill_tree(pid)
