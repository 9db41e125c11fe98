# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks over the connection holder: one login for all tasks and runs, told at -vvv, and ended by reset_connection."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

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


def test_a_killed_holder_fails_the_task_and_runs_nothing_twice(ansible: runner.Ansible, new_sshd, tmp_path):
    """A task whose holder is killed makes the host unreachable, its command ran once, and the next run works."""
    host = new_sshd()
    ansible.add(host)
    mark = tmp_path / "mark"
    process = ansible.start(f"- raw: echo run >> {mark}; sleep 60\n")
    wait_for(mark.exists)
    for pid in mux_lab.pids(tmp_path / "mux"):
        os.kill(pid, signal.SIGKILL)
    text = process.communicate(timeout=30)[0]
    assert "UNREACHABLE" in text
    assert "connection holder is gone" in " ".join(text.split())
    ansible.passes("- raw: 'true'\n")
    assert mark.read_text() == "run\n"
    assert host.logins() == 2


def test_a_server_that_comes_back_is_waited_for(ansible: runner.Ansible, new_sshd, tmp_path):
    """A server that is restarted under a play is found again by wait_for_connection, and the tasks after it run."""
    host = new_sshd()
    ansible.add(host)
    mark = tmp_path / "mark"
    tasks = f"- raw: touch {mark}\n- wait_for_connection: {{delay: 2, timeout: 30}}\n- raw: 'true'\n"
    process = ansible.start(tasks)
    wait_for(mark.exists)
    host.restart()
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 0, text
    assert host.logins() == 2


def test_ad_hoc_console_and_a_home_that_is_read_only(ansible: runner.Ansible, new_sshd, tmp_path):
    """``ansible`` and ``ansible-console`` use the same login, also where there is no home to put a socket in."""
    host = new_sshd()
    ansible.add(host)
    inventory = ansible._write_inventory()
    (tmp_path / "t").mkdir()
    own = {"HOME": "/proc", "TMPDIR": str(tmp_path / "t"), "ANSIBLE_HOME": str(tmp_path / "t"), "PYLIBSSHEXT_MUX_DIR": ""}
    with mux_lab.own_directory(tmp_path / f"t/pylibsshext-{os.geteuid()}"):
        for _ in range(2):
            outcome = ansible.run("ansible", "-i", inventory, "all", "-m", "raw", "-a", "printf 42", "-vvv", environment=own)
            assert re.search("^42$", outcome.text, re.MULTILINE), outcome.text
        assert "Used the login that the connection holder has" in outcome.text
        process = ansible._start("ansible-console", "-i", inventory, "all", stdin=subprocess.PIPE, environment=own)
        assert "43" in process.communicate("raw echo $((42 + 1))\nexit\n", timeout=60)[0]
        assert host.logins() == 1


def wait_for(condition, seconds: float = 20) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
