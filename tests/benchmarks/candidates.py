# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who takes part: this project and its peers, each with its defaults and, where those cost it something, with TCP_NODELAY."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Candidate:
    """A driver and how to run it."""

    name: str
    driver: str
    nodelay: bool
    best: bool = True  # False: there is another entry of the same peer with better settings


OURS = Candidate("ours", "drive_ours.py", nodelay=True)
incumbent = Candidate("pylibssh 1.4.0", "drive_pylibssh.py", nodelay=False, best=False)
incumbent_best = Candidate("pylibssh 1.4.0 +nodelay", "drive_pylibssh.py", nodelay=True)

ALL_PEERS = [
    incumbent,
    incumbent_best,
    Candidate("paramiko", "drive_paramiko.py", nodelay=False, best=False),
    Candidate("paramiko +nodelay", "drive_paramiko.py", nodelay=True),
    Candidate("asyncssh", "drive_asyncssh.py", nodelay=True),
    Candidate("ssh2-python", "drive_ssh2.py", nodelay=False, best=False),
    Candidate("ssh2-python +nodelay", "drive_ssh2.py", nodelay=True),
    Candidate("ssh-python", "drive_ssh.py", nodelay=False, best=False),
    Candidate("ssh-python +nodelay", "drive_ssh.py", nodelay=True),
]
openssh = Candidate("OpenSSH", "drive_openssh.py", nodelay=True)
c_loop = Candidate("C loop on sftp_aio", "drive_aio.py", nodelay=True)


def best_of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return each peer once, with its best settings."""
    return [candidate for candidate in candidates if candidate.best]


def named(name: str, candidate: Candidate) -> Candidate:
    """Return the same candidate for another piece of work."""
    return replace(candidate, name=name)
