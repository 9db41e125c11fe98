# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts made of namespaces alone, on a bridge: each has an address of its own, so its link can be slow, lossy or dead."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import TYPE_CHECKING

from . import machines, processes
from .hosts import LabError, Options, run

if TYPE_CHECKING:
    from .lab import Lab


_MOST = 239  # .11 to .249 of a network: others are the bridge's, or nobody's


@cache
def unusable() -> str:
    """Why this backend can't be used here ("": it can)."""
    problem = machines.unusable("ip", "unshare", "nsenter", "pivot_root")
    if problem:
        return problem
    return run("unshare", "-m", "-n", "-p", "-u", "-i", "-f", "true", check=False).stderr.strip()


class NetnsHost(machines.Machine):
    """A host at an address of its own, port 22."""

    backend = "netns"

    def __init__(self, lab: Lab, name: str, options: Options) -> None:
        super().__init__(lab, name, options)
        for part in ("upper", "work", "root"):
            (self.directory / part).mkdir()
        bridge, network = _switch(lab)
        self.address = _free_address(lab, network, int(name[1:]))
        self.netns = f"{lab.id}-{name}"
        self.link = f"{bridge}{name}"  # our end of the host's cable
        self._process: subprocess.Popen[bytes] | None = None
        self._wire(bridge)

    def _wire(self, bridge: str) -> None:
        run("ip", "netns", "add", self.netns)
        self.lab.reaper.run("ip", "netns", "del", self.netns)
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.netns)
        run("ip", "link", "set", self.link, "master", bridge, "up")
        run("ip", "neigh", "flush", "to", self.address, "dev", bridge)  # who had the address before had another interface
        for words in ("link set lo up", f"addr add {self.address}/24 dev eth0", "link set eth0 up"):
            run("ip", "-n", self.netns, *words.split())

    def launch(self) -> None:
        enter = ["ip", "netns", "exec", self.netns]
        unshare = ["unshare", "-m", "-p", "-u", "-i", "-f", "--kill-child", "--propagation", "private"]
        script = ["sh", machines.HERE / "namespace.sh", self.directory, machines.ROOTFS, self.name]
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                [*enter, *unshare, *map(str, script)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.lab.reaper.kill(self._process.pid)

    def root_pid(self) -> int:
        return self._process.pid if self._process and self._process.poll() is None else 0

    def server_pid(self) -> int:
        # The process that we started only holds the namespaces; the first one in them is its child.
        below = processes.descendants(self.root_pid()) if self.root_pid() else []
        return below[0] if below else 0

    def kill(self) -> None:
        super().kill()
        if self._process:
            self._process.wait(10)

    def run(self, *argv: object, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "-t", self.server_pid(), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        return run(*enter, *argv, check=check, timeout=timeout)

    def unplug(self) -> None:
        """Pull the cable: packets are lost in both directions, and nobody is told."""
        run("ip", "link", "set", self.link, "down")

    def discard(self) -> None:
        run("ip", "netns", "del", self.netns)


def _free_address(lab: Lab, network: str, turn: int) -> str:
    """An address of *network* that no host of the lab has; one that a host has had comes last."""
    taken = {host.address for host in lab.hosts}
    for number in range(turn, turn + _MOST):
        address = f"{network}.{number % _MOST + 11}"
        if address not in taken:
            return address
    raise LabError(f"a lab has addresses for {_MOST} hosts at a time")


def _switch(lab: Lab) -> tuple[str, str]:
    """The lab's bridge and the first three numbers of its addresses; made when the first host needs it."""
    name = f"lab{lab.id.rpartition('x')[2]}"
    shown = run("ip", "-o", "-4", "addr", "show", name, check=False).stdout.split()
    if shown:
        return name, shown[3].rpartition(".")[0]
    network = machines.free_network("198.18")  # of the range that RFC 2544 sets aside for tests like these
    run("ip", "link", "add", name, "type", "bridge")
    lab.reaper.run("ip", "link", "del", name)
    run("ip", "addr", "add", f"{network}.1/24", "dev", name)
    # Its address of IPv6 is to be good at once, and not after a second of asking around whether somebody has it.
    run("ip", "link", "set", name, "addrgenmode", "none", "up")
    run("ip", "addr", "add", "fe80::1/64", "dev", name, "nodad")
    return name, network
