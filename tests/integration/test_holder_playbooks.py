# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks over the connection holder: one login for all tasks and runs, told at -vvv, and ended by reset_connection."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab import podman
from tests.lab.fixtures import missing

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


LARGE = 1_000_000_000  # bytes; Ansible's worker needs some 2 GB for them
FLAT = 16 << 20


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


def test_what_runs_around_a_module_shares_a_shell(ansible: runner.Ansible, new_sshd, tmp_path):
    """Of all commands of three modules without pipelining the server starts one shell, and those that are the modules'."""
    host = new_sshd()
    ansible.add(host, "h")
    ansible.passes(f"- command: id\n- copy: {{content: x, dest: {tmp_path}/there}}\n")
    assert host.log().count("Starting session: command") == 1 + 3
    ansible.passes("- raw: ls ~/.ansible/tmp\n  register: left\n  failed_when: left.stdout != ''")


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


FREE = """
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - raw: sleep 0.{{ 99 | random }}; printf {{ inventory_hostname }}
      register: one
      failed_when: one.stdout != inventory_hostname
    - command: sleep 0.5
      async: 20
      poll: 1
      when: inventory_hostname in ["a0", "b0"]
    - raw: printf {{ inventory_hostname }}
      register: two
      failed_when: two.stdout != inventory_hostname
"""


def test_fifty_forks(ansible: runner.Ansible, new_sshd, tmp_path):
    """Fifty hosts at once, nothing there before, and nobody waits for anybody: one holder, and one login for each.

    Half of them are names for one server with equal settings, who share what it allows; the others differ in a setting.
    """
    shared, own = new_sshd(), new_sshd()
    known = {"ansible_libssh_known_hosts_file": str(shared.known_hosts_file)}
    for number in range(25):
        ansible.add(shared, f"a{number}", **known)
        ansible.add(own, f"b{number}")
    outcome = ansible.passes(FREE, "--forks", "50")
    for name in ("a0", "a1", "b0", "b1"):
        assert outcome.recap(name)["ok"] == 2 + (name[1] == "0")
    assert (shared.logins(), own.logins()) == (1, 25)
    assert len(mux_lab.pids(tmp_path / "mux")) == 1


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


def test_ctrl_c_of_a_playbook_leaves_the_login(ansible: runner.Ansible, new_sshd, tmp_path):
    """Ctrl-C ends a playbook whose first task has started the holder; the holder stays, and the next run uses its login."""
    host = new_sshd()
    ansible.add(host)
    mark = tmp_path / "mark"
    process = ansible.start(f"- raw: touch {mark}; sleep 60\n", start_new_session=True)
    wait_for(mark.exists)
    os.killpg(process.pid, signal.SIGINT)
    text = process.communicate(timeout=20)[0]
    assert process.returncode != 0, text
    ansible.passes("- raw: 'true'\n")
    assert host.logins() == 1


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


def test_reboot(ansible: runner.Ansible, new_sshd, tmp_path):
    """The reboot module finds the host again once its server was restarted under it, and one login more does for all that follows."""
    host = new_sshd()
    ansible.add(host)
    boot, going = tmp_path / "boot", tmp_path / "going"
    boot.write_text("first")
    process = ansible.start(
        f"""
        - reboot: {{reboot_command: "touch {going}; sleep 60", boot_time_command: cat {boot}, test_command: "true", reboot_timeout: 30}}
          register: result
          failed_when: not result.rebooted
        - raw: 'true'
        """
    )
    wait_for(going.exists)
    boot.write_text("second")
    host.restart()
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 0, text
    assert host.logins() == 2


def test_ways_through_other_hosts(ansible: runner.Ansible, new_sshd):
    """Over ProxyCommand, of an option and of ssh_args, and over ProxyJump: two tasks, two runs, one login on each host of the way."""
    ways = {name: (new_sshd(), new_sshd()) for name in ("command", "args", "jump")}

    def command(bastion):
        about = f"-F none -i {bastion.key} -o UserKnownHostsFile={bastion.known_hosts_file}"
        return f"ssh {about} -p {bastion.port} -W %h:%p {bastion.user}@{bastion.address}"

    variables = {
        "command": {"ansible_libssh_proxy_command": command(ways["command"][0])},
        "args": {"ansible_ssh_common_args": f"-o ProxyCommand='{command(ways['args'][0])}'"},
        "jump": {"ansible_libssh_proxy_jump": "{0.user}@{0.address}:{0.port}".format(ways["jump"][0])},
    }
    for name, (bastion, host) in ways.items():
        known = ansible.directory / f"known-{name}"
        known.write_text(bastion.known_hosts + host.known_hosts)
        ansible.add(host, name, **variables[name], ansible_libssh_known_hosts_file=str(known))
    for _ in range(2):
        ansible.passes("- raw: 'true'\n- raw: 'true'\n")
    assert {name: (bastion.logins(), host.logins()) for name, (bastion, host) in ways.items()} == dict.fromkeys(ways, (1, 1))


def test_ansible_runner(ansible: runner.Ansible, new_sshd):
    """Two runs of ansible-runner, each with a directory of its own for what it leaves behind, use one login."""
    host = new_sshd()
    ansible.add(host)
    inventory = ansible._write_inventory()
    project = ansible.directory / "project"
    project.mkdir()
    (project / "play.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  tasks: [{raw: printf 42}, {command: printf 42}]\n"
    )
    for run in ("one", "two"):
        words = ["run", str(ansible.directory), "-p", "play.yml", "--inventory", inventory, "--ident", run]
        outcome = ansible.run(sys.executable, "-m", "ansible_runner", *words)
        assert outcome.rc == 0, outcome.text
        assert outcome.recap() == {"ok": 2, "changed": 2}
    assert host.logins() == 1


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


def test_a_container_with_a_read_only_home(ansible: runner.Ansible, new_sshd, lab, collections_path):  # noqa: F811
    """Nothing of the image can be written to, no XDG_RUNTIME_DIR: the socket is in /tmp, and two plays of one container need one login."""
    if podman.unusable():
        missing(f"podman: {podman.unusable()}")
    host = new_sshd()
    ansible.add(host)
    playbook = ansible.directory / "play.yml"
    playbook.write_text("- hosts: all\n  gather_facts: false\n  tasks: [{raw: printf 42}, {command: printf 42}]\n")
    run = f"ansible-playbook -i {ansible._write_inventory()} {playbook}"
    words = ["sh", "-c", f"touch ~/x 2>/dev/null && exit 9; {run} && {run} -vvv && ls -ld /tmp/pylibsshext-*"]
    # What Ansible itself wants to write it puts below ANSIBLE_HOME.
    environment = ansible.environment | {"HOME": "/root", "ANSIBLE_HOME": "/tmp/ansible"}
    del environment[mux_lab.DIRECTORY]
    shown = [ansible.directory, Path(collections_path)]
    done = podman.run_in_container(lab, *words, environment=environment, shown=shown)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok=2") == 2
    assert "Used the login that the connection holder has" in done.stdout
    assert "drwx------" in done.stdout
    assert host.logins() == 1


def test_a_large_output_of_raw_passes_through_the_holder(ansible: runner.Ansible, new_sshd, tmp_path):
    """Ansible keeps it in memory, the holder does not; it arrives whole."""
    ansible.add(new_sshd())
    ansible.passes("- raw: 'true'\n")
    (pid,) = mux_lab.pids(tmp_path / "mux")

    def peak() -> int:
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) << 10

    before = peak()
    ansible.passes(
        f"""
        - raw: head -c {LARGE} /dev/zero | tr '\\0' x
          register: result
          failed_when: result.stdout | length != {LARGE}
        """
    )
    assert mux_lab.pids(tmp_path / "mux") == [pid]
    assert peak() - before < FLAT


def wait_for(condition, seconds: float = 20) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
