# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenSSH's own client, to prove the lab with and to compare with. It reads no file of the user's."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from .hosts import Host


def options(host: Host, *more: str, user: str | None = None) -> list[str]:
    """The options that ssh, scp and sftp need to log in with the lab's key, asking nothing."""
    settings = (
        f"IdentityFile={host.key}",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        f"UserKnownHostsFile={host.known_hosts_file}",
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        "ConnectTimeout=10",
        "LogLevel=ERROR",
        f"Port={host.port}",
        f"User={user or host.user}",
    )
    words = ["-F", "none", *more]
    for setting in settings:
        words += ["-o", setting]
    return words


def ssh(
    host: Host, command: str, *more: str, user: str | None = None, timeout: float = 30, **kwargs: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command on the host. *more* are further options for ssh; they win."""
    if "input" not in kwargs:
        kwargs.setdefault("stdin", subprocess.DEVNULL)
    argv = ["ssh", *options(host, *more, user=user), host.address, command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, **kwargs)


def with_password(host: Host, command: str, password: str, *more: str, user: str) -> subprocess.CompletedProcess[str]:
    """Run a command, logging in by password (and only so, unless *more* says otherwise)."""
    askpass = host.directory / "askpass"
    askpass.write_text(f"#!/bin/sh\nprintf '%s\\n' '{password}'\n")
    askpass.chmod(0o700)
    environment = {**os.environ, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    chosen = more or ("-o", "PreferredAuthentications=password")
    return ssh(host, command, "-o", "BatchMode=no", "-o", "NumberOfPasswordPrompts=1", *chosen, user=user, env=environment)
