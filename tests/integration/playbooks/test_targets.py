# SPDX-License-Identifier: GPL-3.0-or-later
"""The integration targets, as ``ansible-test integration`` runs them, and by itself."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.lab.fixtures import missing
from tests.lab.hosts import Host

from .runner import ROOT, Ansible

TARGETS = ROOT / "tests/integration/targets"
NAMES = sorted(path.name for path in TARGETS.glob("libssh_*"))
PLAY = "- hosts: testhost\n  roles: [{role}]\n"


@pytest.fixture
def testhost(bare_ansible: Ansible) -> Ansible:
    """An Ansible whose one host is this machine, as that of ``ansible-test`` is."""
    bare_ansible.hosts["testhost"] = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    bare_ansible.environment["ANSIBLE_ROLES_PATH"] = str(TARGETS)
    return bare_ansible


def test_against_containers(testhost: Ansible, container_host):
    """All targets pass against an sshd in a container, one after the other."""
    testhost.add(container_host(), "server", ansible_user="ansible")
    outcome = testhost.passes(PLAY.format(role=", ".join(NAMES)), "--limit", "testhost", timeout=180)
    recap = outcome.recap("testhost")
    assert set(recap) == {"ok", "changed", "skipped"}
    assert recap["skipped"] == outcome.text.count("Start a server"), outcome.text


@pytest.mark.timeout(600)
def test_by_ansible_test(bare_ansible: Ansible, sshd: Host, accounts, tmp_path: Path):
    """`ansible-test integration` runs all of them, alone; one that starts a server of its own leaves nothing of it behind."""
    if not os.environ.get("NETCOMMON_COLLECTIONS"):
        missing("an installed collection (NETCOMMON_COLLECTIONS)")
    # Outside of the checkout, whose files ansible-test would look for otherwise.
    collection = tmp_path / "ansible_collections/ansible/netcommon"
    shutil.copytree(Path(os.environ["NETCOMMON_COLLECTIONS"], "ansible_collections/ansible/netcommon"), collection)
    shutil.copytree(TARGETS, collection / "tests/integration/targets")
    # ansible-test wants an `ssh localhost` that needs no password: for it, and for nobody else, that is the lab's server.
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host localhost\nPort {sshd.port}\nUser {sshd.user}\nIdentityFile {sshd.key}\nUserKnownHostsFile {tmp_path}/known_hosts\n"
    )
    (tmp_path / "known_hosts").write_text(sshd.known_hosts.replace(sshd.address, "localhost"))
    command = ("ansible-test", "integration", "--color", "no", "--local", "--python", "default")
    before = set(Path("/tmp").glob("libssh-*"))
    done = bare_ansible.run(
        *("unshare", "--mount", "--propagation", "private"),
        *("sh", "-c", f'mount --bind {config} /etc/ssh/ssh_config && exec "$@"', "sh"),
        *command,
        cwd=collection,
        quiet=False,
        timeout=580,
    )
    assert done.rc == 0, done.text
    assert re.findall(r"(?m)^Running (\S+) integration test", done.text) == ["connection_libssh", *NAMES]
    assert done.text.count("PLAY RECAP") == 1 + len(NAMES)
    assert set(Path("/tmp").glob("libssh-*")) == before
