# SPDX-License-Identifier: LGPL-2.1-or-later
"""What hosts with a root file system of their own share: an overlay over this machine's, so there is no image to build."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from . import accounts, servers
from .hosts import Host, Options, run

if TYPE_CHECKING:
    from .lab import Lab

HERE = Path(__file__).resolve().parent
ROOTFS = "/"


def unusable(*programs: str) -> str:
    """Why such hosts can't be made here ("": they can)."""
    if os.geteuid():
        return "needs root"
    absent = [name for name in programs if not servers.program(name)]
    if absent:
        return f"{', '.join(absent)} not installed"
    if run("ip", "route", "show", "default").stdout.strip():
        # Bridges and firewall rules must not appear in the machine's own network.
        return "not isolated: run the tests by tests/lab/run-isolated.sh"
    return ""


def free_network(start: str) -> str:
    """Numbers *start*.N whose addresses no interface has: several labs may share the namespace, and look at the same moment."""
    taken = run("ip", "-o", "-4", "addr").stdout
    numbers = ((os.getpid() + offset) % 254 + 1 for offset in range(254))
    return next(f"{start}.{number}" for number in numbers if f" {start}.{number}." not in taken)


class Machine(Host):
    """A host with files, processes, users and a network address of its own. The login user is `ansible`, who may sudo."""

    def __init__(self, lab: Lab, name: str, options: Options) -> None:
        super().__init__(lab, name, options)
        servers.prepare(self)
        shutil.copy(HERE / "container.sh", self.directory)
        lines = [f"{one.name}:{one.uid}:{one.hash}:{one.sudo}\n" for one in accounts.ACCOUNTS.values()]
        (self.directory / "accounts").write_text("".join(lines))
