# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests that run ansible-playbook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration import mux_lab
from tests.lab.fixtures import missing

from . import runner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.hosts import Host


@pytest.fixture(scope="session")
def collections_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A collections path that has ansible.netcommon."""
    return runner.collections(tmp_path_factory.mktemp("collections"))


@pytest.fixture
def bare_ansible(tmp_path: Path, collections_path: str) -> Iterator[runner.Ansible]:
    """An Ansible without hosts, whose connection holders are its own, and end with the test."""
    if not (runner.ansible_bin() / "ansible-playbook").exists():
        missing(f"ansible-playbook in {runner.ansible_bin()}")
    directory = tmp_path / "ansible"
    directory.mkdir()
    with mux_lab.own_directory(tmp_path / "mux") as sockets:
        ansible = runner.Ansible(directory, collections_path)
        ansible.environment[mux_lab.DIRECTORY] = str(sockets)
        yield ansible


@pytest.fixture
def ansible(bare_ansible: runner.Ansible, sshd: Host) -> runner.Ansible:
    """An Ansible with one host "h", the shared server."""
    bare_ansible.add(sshd)
    return bare_ansible


@pytest.fixture
def accounts(sshd: Host) -> None:
    """The shared server has the users "ansible" (sudo without a password) and "nopw" (with one)."""
    if not sshd.has_accounts:
        missing("root, for a server with users of its own")
