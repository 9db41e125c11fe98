# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests that run ansible-playbook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.fixtures import missing

from . import runner

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.hosts import Host


@pytest.fixture(scope="session")
def collections_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A collections path that has ansible.netcommon."""
    return runner.collections(tmp_path_factory.mktemp("collections"))


@pytest.fixture
def bare_ansible(tmp_path: Path, collections_path: str) -> runner.Ansible:
    """An Ansible without hosts."""
    if not (runner.ansible_bin() / "ansible-playbook").exists():
        missing(f"ansible-playbook in {runner.ansible_bin()}")
    directory = tmp_path / "ansible"
    directory.mkdir()
    return runner.Ansible(directory, collections_path)


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
