# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections that every scenario runs with, and the hosts that it runs on."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.lab import machines
from tests.lab.hosts import Host
from tests.lab.lab import Lab
from tests.lab.links import Wan

HERE = Path(__file__).resolve().parent
LIBSSH, SSH = "ansible.netcommon.libssh", "ansible.builtin.ssh"


@dataclass(frozen=True)
class Way:
    """A connection plugin, and how it feeds modules to Python."""

    plugin: str
    pipelining: bool = False

    def variables(self, known_hosts: Path, afresh: bool) -> dict[str, Any]:
        """Return the inventory's variables for this way."""
        trust = {"ansible_libssh_known_hosts_file": str(known_hosts)}
        if self.plugin == SSH:
            # The caller's own OpenSSH files are no part of this.
            files = f"-F none -o UserKnownHostsFile={known_hosts} -o GlobalKnownHostsFile=none -o IdentitiesOnly=yes"
            trust = {"ansible_ssh_common_args": files} | ({"ansible_ssh_args": "-o ControlPath=none"} if afresh else {})
        return {"ansible_connection": self.plugin, "ansible_pipelining": self.pipelining} | trust


ALL_WAYS = {
    "libssh": Way(LIBSSH),
    "libssh-pipelining": Way(LIBSSH, pipelining=True),
    "ssh": Way(SSH),
    "ssh-pipelining": Way(SSH, pipelining=True),
}
# SCENARIO_WAYS="libssh ssh" leaves the others out.
WAYS = {name: ALL_WAYS[name] for name in os.environ.get("SCENARIO_WAYS", "").split() or ALL_WAYS}


@dataclass(frozen=True)
class Scenario:
    """One playbook, and what is expected of it. Its tasks have asserts of their own."""

    theme: str
    name: str
    tasks: Any = None
    plays: Any = None
    server: str = "plain"
    """A host of servers.yml."""
    known_hosts: str = "right"
    """right, or wrong: the host has had another key. none: it has never been seen."""
    afresh: bool = False
    """Whether ssh must log in anew: the logins that it keeps are one for all keys and host keys."""
    vars: Any = None
    """More variables of the host."""
    environment: Any = None
    arguments: tuple[str, ...] = ()
    recap: Any = None
    """What the recap of the host must say; not given, all must be well."""
    seconds: float = 60
    """In which it has to be over."""
    libssh_says: Any = ()
    """What our plugin must say."""
    alone: bool = False
    """Whether the ways must have their turns one after the other; else they are hosts of one play."""
    quiet: bool = True
    """Whether nothing but results may be shown."""
    only: Any = None
    """The ways that can do this, if not all of them."""

    @property
    def title(self) -> str:
        """Its name in full."""
        return f"{self.theme}: {self.name}"

    def playbook(self) -> str:
        """Return it as Ansible reads it."""
        plays = self.plays or [{"hosts": "all", "gather_facts": False, "tasks": self.tasks}]
        return yaml.safe_dump(plays, sort_keys=False, allow_unicode=True, width=1000)


def scenarios() -> list[Scenario]:
    """Return all scenarios of the files beside this one."""
    found = []
    for path in sorted(HERE.glob("*.yml")):
        if path.name != "servers.yml":
            found += [Scenario(path.stem, name, **content) for name, content in yaml.safe_load(path.read_text()).items()]
    return found


class Servers:
    """The hosts of one test run, made when the first scenario needs them."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._hosts: dict[str, Host] = {}
        self._stack = contextlib.ExitStack()

    @cached_property
    def _wanted(self) -> dict[str, dict[str, Any]]:
        wanted: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "servers.yml").read_text())
        return wanted

    def host(self, name: str) -> Host:
        """Return the host of this name."""
        if name not in self._hosts:
            options = dict(self._wanted[name])
            bad, line = options.pop("bad", None), options.pop("wan", None)
            host = self._lab.new_bad(**bad) if bad else self._lab.new("netns", **options)
            self._stack.callback(host.remove)
            if line:
                wan = self._stack.enter_context(Wan(host.netns, machines.free_network("198.19"), **line))
                host = host.at(wan.address, host.port)
            self._hosts[name] = host
        return self._hosts[name]

    def close(self) -> None:
        """Remove all of them."""
        self._stack.close()
