# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab: makes hosts, and clears them all away."""

from __future__ import annotations

import itertools
import os
import shutil
from types import TracebackType
from typing import Any, Callable, TypeVar, final

from . import bad, directories, loopback, netns, podman, servers
from .hosts import Host, LabError, Options
from .processes import Reaper

AnyHost = TypeVar("AnyHost", bound=Host)


class Backend:
    """One way to run hosts."""

    def __init__(self, make: Callable[..., Host], unusable: Callable[[], str]) -> None:
        self.make = make
        self.unusable = unusable


BACKENDS = {
    "loopback": Backend(loopback.LoopbackHost, loopback.unusable),
    "podman": Backend(podman.PodmanHost, podman.unusable),
    "netns": Backend(netns.NetnsHost, netns.unusable),
}


@final
class Lab:
    """Makes throw-away hosts. Use it in a ``with`` block: its end, or the death of this process, clears all away."""

    def __init__(self) -> None:
        self.id = f"{os.getpid()}x{os.urandom(3).hex()}"
        self.hosts: list[Host] = []
        self._numbers = itertools.count(1)
        self.directory, self._lock = directories.make()
        self.reaper = Reaper()
        self.reaper.remove(self.directory)
        self.reaper.kill_marked(self.id)
        self.key = self.directory / "id_ed25519"
        self.public_key = servers.make_key(self.key)

    def unusable(self, backend: str, server: str = "openssh") -> str:
        """Why there can't be such hosts here ("": there can)."""
        return BACKENDS[backend].unusable() or servers.unusable(server)

    def new(self, backend: str = "loopback", **options: Any) -> Host:
        """Make a host and start it; *options* are those of `Options`."""
        chosen = Options(**options)
        problem = self.unusable(backend, chosen.server)
        if problem:
            raise LabError(f"no {backend} host with {chosen.server}: {problem}")
        return self._add(BACKENDS[backend].make(self, self._name(), chosen))

    def new_bad(self, **behaviour: Any) -> bad.BadHost:
        """Make a host that misbehaves; *behaviour* is that of `Behaviour`."""
        return self._add(bad.BadHost(self, self._name(), bad.Behaviour(**behaviour)))

    def _name(self) -> str:
        return f"h{next(self._numbers)}"

    def _add(self, host: AnyHost) -> AnyHost:
        self.hosts.append(host)
        host.start()
        return host

    def forget(self, host: Host) -> None:
        """A host has been removed."""
        self.hosts.remove(host)
        shutil.rmtree(host.directory, ignore_errors=True)

    def close(self) -> None:
        """Remove all hosts, and whatever else there is of the lab."""
        for host in list(self.hosts):
            host.remove()
        self.reaper.close()
        os.close(self._lock)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
