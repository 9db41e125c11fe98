# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the real ansible-playbook over the connection plugin, with nothing of the caller's own Ansible."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
# A collections path that has others, ansible.posix for one: `make build/other-collections/ready`.
OTHERS = ROOT / "build/other-collections"
PYTHON = "/usr/bin/python3"
PLUGIN = "ansible.netcommon.libssh"
# What must be on no user's screen unless the test is about it.
NOISE = re.compile(r"\[WARNING\]|\[DEPRECATION|errantly|Traceback|Exception ignored")


def ansible_bin() -> Path:
    """Return where ansible-playbook is: in the directory ANSIBLE_BIN, or beside this Python."""
    return Path(os.environ.get("ANSIBLE_BIN") or Path(sys.executable).parent)


def collections(directory: Path) -> str:
    """Return a collections path with the checkout in it, or that of an installed artifact (NETCOMMON_COLLECTIONS)."""
    installed = os.environ.get("NETCOMMON_COLLECTIONS")
    if installed:
        return installed
    namespace = directory / "ansible_collections/ansible"
    namespace.mkdir(parents=True)
    (namespace / "netcommon").symlink_to(ROOT)
    return str(directory)


def library_path() -> str:
    """Return the directory that the library which these tests use was imported from; an artifact has its own."""
    spec = None if os.environ.get("NETCOMMON_COLLECTIONS") else importlib.util.find_spec("pylibsshext")
    return str(Path(spec.origin).parents[1]) if spec and spec.origin else ""


@dataclass
class Outcome:
    """How a run of Ansible ended."""

    rc: int
    text: str
    seconds: float

    def recap(self, host: str = "h") -> dict[str, int]:
        """Return the play recap of *host*, without what is zero."""
        line = re.search(rf"^{host} +: (.*)$", self.text, re.MULTILINE)
        if not line:
            raise AssertionError(f"no recap of {host}:\n{self.text}")
        return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line[1]) if count != "0"}

    @property
    def noise(self) -> bool:
        """Whether there is something on the screen that must be on no user's."""
        return bool(NOISE.search(self.text))

    @property
    def words(self) -> str:
        """The text in one line: Ansible wraps its warnings and errors."""
        return " ".join(self.text.split())


class Ansible:
    """An Ansible of one's own: home, configuration, inventory and collections."""

    def __init__(self, directory: Path, collections_path: str) -> None:
        self.directory = directory
        self.inventory = directory / "inventory.yml"
        self.hosts: dict[str, dict[str, Any]] = {}
        self.home = directory / "home"
        self.home.mkdir()
        (directory / "ansible.cfg").touch()
        self.environment = {
            "PATH": f"{ansible_bin()}:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": library_path(),
            "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": f"{collections_path}:{OTHERS}",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
        }

    def add(self, server: Any, name: str = "h", **variables: Any) -> None:
        """Put a host of the lab into the inventory; None takes a variable out."""
        known = self.directory / f"known_hosts-{name}"
        known.write_text(server.known_hosts)
        self.hosts[name] = {
            "ansible_connection": PLUGIN,
            "ansible_host": server.address,
            "ansible_port": server.port,
            "ansible_user": server.user,
            "ansible_private_key_file": str(server.key),
            "ansible_libssh_known_hosts_file": str(known),
            "ansible_python_interpreter": PYTHON,
        } | variables

    def start(self, tasks: str | Path, *arguments: str, **popen: Any) -> subprocess.Popen[str]:
        """Start ansible-playbook with *tasks* for all hosts, with whole plays, or with the playbook of a path."""
        playbook = self.directory / "playbook.yml"
        if isinstance(tasks, Path):
            playbook = tasks
        else:
            text = textwrap.dedent(tasks)
            if not text.lstrip().startswith("- hosts:"):
                text = "- hosts: all\n  gather_facts: false\n  tasks:\n" + textwrap.indent(text, "    ")
            playbook.write_text(text)
        return self._start("ansible-playbook", "-i", self._write_inventory(), str(playbook), *arguments, **popen)

    def _write_inventory(self) -> str:
        hosts = {
            name: {key: value for key, value in variables.items() if value is not None}
            for name, variables in self.hosts.items()
        }
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}, allow_unicode=True))
        return str(self.inventory)

    def _start(self, program: str, *arguments: str, **popen: Any) -> subprocess.Popen[str]:
        environment = self.environment | popen.pop("environment", {})
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} | popen
        command = [shutil.which(program, path=environment["PATH"]) or program, *arguments]
        return subprocess.Popen(command, env=environment, errors="backslashreplace", **{"cwd": self.directory} | options)

    def play(self, tasks: str | Path, *arguments: str, quiet: bool = True, timeout: float = 120, **popen: Any) -> Outcome:
        """Run ansible-playbook to its end; *quiet* asserts that nothing but results is shown."""
        return self._end(self.start(tasks, *arguments, **popen), quiet, timeout)

    def run(self, program: str, *arguments: str, quiet: bool = True, timeout: float = 120, **popen: Any) -> Outcome:
        """Run another of Ansible's programs to its end."""
        return self._end(self._start(program, *arguments, **popen), quiet, timeout)

    def _end(self, process: subprocess.Popen[str], quiet: bool, timeout: float) -> Outcome:
        began = time.monotonic()
        with process:
            try:
                text = process.communicate(timeout=timeout)[0]
            except subprocess.TimeoutExpired as exc:
                process.kill()
                raise AssertionError(f"ansible did not end in {timeout} s:\n{process.communicate()[0]}") from exc
        outcome = Outcome(process.returncode, text, time.monotonic() - began)
        if quiet:
            assert not outcome.noise, text
        return outcome

    def passes(self, tasks: str | Path, *arguments: str, **options: Any) -> Outcome:
        """Run ansible-playbook and assert that every task passed."""
        outcome = self.play(tasks, *arguments, **options)
        assert outcome.rc == 0, outcome.text
        return outcome
