# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks over the connection holder: one login for all tasks and runs, told at -vvv, and ended by reset_connection."""

from __future__ import annotations

import pytest

from . import mux_lab
from .playbooks import runner
from .playbooks.conftest import bare_ansible, collections_path  # noqa: F401 - fixtures

TASKS = """
- raw: printf 42
  register: raw
  failed_when: raw.stdout != "42"
- command: printf 42
- copy: {content: x, dest: "/tmp/netcommon-holder", mode: "0600"}
- fetch: {src: /tmp/netcommon-holder, dest: "{{ playbook_dir }}/fetched", flat: true}
- raw: rm /tmp/netcommon-holder
"""


@pytest.fixture
def ansible(bare_ansible):  # noqa: F811 - a fixture is asked for by its name
    """An Ansible without hosts, with nothing set: the holder is on by default."""
    return bare_ansible


@pytest.mark.parametrize("pipelining", [False, True])
def test_one_login_for_all_tasks_and_runs(ansible: runner.Ansible, new_sshd, pipelining):
    """Commands, modules and files of two runs of ansible-playbook need one login; -vvv tells which task made it."""
    host = new_sshd()
    ansible.add(host, ansible_pipelining=pipelining)
    ansible.passes(TASKS)
    outcome = ansible.passes(TASKS, "-vvv")
    assert host.logins() == 1
    assert "Used the login that the connection holder has" in outcome.text
    assert "Logged in" not in outcome.text


def test_without_the_holder_each_task_logs_in(ansible: runner.Ansible, new_sshd, tmp_path):
    """persist=0 starts no holder."""
    host = new_sshd()
    ansible.add(host, ansible_libssh_persist=0)
    ansible.passes("- raw: 'true'\n- raw: 'true'\n")
    assert host.logins() == 2
    assert not mux_lab.pids(tmp_path / "mux")


def test_reset_connection(ansible: runner.Ansible, new_sshd):
    """meta: reset_connection ends that host's session, also as the first task, and no other's."""
    one, two = new_sshd(), new_sshd()
    ansible.add(one, "one")
    ansible.add(two, "two")
    ansible.passes("- raw: 'true'\n")
    ansible.passes("- meta: reset_connection\n- raw: 'true'\n", "--limit", "one")
    assert (one.logins(), two.logins()) == (2, 1)


def test_delegation_goes_to_the_right_port(ansible: runner.Ansible, new_sshd):
    """A task that is delegated to another port of the same address runs there."""
    one, two = new_sshd(), new_sshd()
    ansible.add(one, "one")
    ansible.add(two, "two")
    ansible.passes(
        """
        - raw: echo $SSH_CONNECTION
          delegate_to: "{{ item }}"
          register: result
          failed_when: result.stdout.split()[-1] != hostvars[item].ansible_port | string
          loop: [one, two]
        """,
        "--limit",
        "one",
    )
    assert (one.logins(), two.logins()) == (1, 1)


def test_a_directory_that_is_refused_costs_the_holder_only(ansible: runner.Ansible, new_sshd, tmp_path):
    """Where no socket is safe, tasks log in by themselves, and -vvv tells why."""
    host = new_sshd()
    ansible.add(host)
    (tmp_path / "mux").mkdir(mode=0o755)
    outcome = ansible.passes("- raw: 'true'\n", "-vvv")
    assert "This task logs in by itself" in outcome.text
    assert "open to others" in outcome.words
    assert host.logins() == 1


def test_many_forks_on_one_host(ansible: runner.Ansible, new_sshd):
    """Twenty inventory names for one host, all at once: the settings are equal, so they share what the server allows."""
    host = new_sshd(sshd_config="MaxSessions 50")
    for number in range(20):
        ansible.add(host, f"h{number}", ansible_libssh_known_hosts_file=str(host.known_hosts_file))
    ansible.passes("- raw: sleep 0.3\n", "--forks", "20")
    assert host.logins() == 1
