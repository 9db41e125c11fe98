# SPDX-License-Identifier: LGPL-2.1-or-later
"""Throw-away SSH servers, and links between us and them that are slow, lossy or dead.

    with Lab() as lab:
        host = lab.new(sshd_config="MaxSessions 1")
        ...  host.address, host.port, host.user, host.key, host.known_hosts_file, host.logs ...

Needs no configuration, and leaves nothing behind, even when the process that holds the lab is killed. `python -m tests.lab`
serves programs that can't import it; see `__main__`. The pytest fixtures on top of it are in `tests/conftest.py`.
"""

from __future__ import annotations

from .bad import BadHost, Behaviour, Round
from .hosts import Host, LabError, Options
from .lab import Lab
from .links import Relay, Wan

__all__ = ["BadHost", "Behaviour", "Host", "Lab", "LabError", "Options", "Relay", "Round", "Wan"]
