# SPDX-License-Identifier: GPL-3.0-or-later
"""Become: sudo and su, with and without passwords, pipelining and terminal."""

from __future__ import annotations

import pytest

from .runner import Ansible

pytestmark = pytest.mark.usefixtures("accounts")

# The lab's users: ansible may sudo without a password, nopw with its own; both have this one.
PASSWORD = "s3cret"
WHO = """
- command: id -un
  become: true
  register: module
  failed_when: module.stdout != ansible_become_user | default("root")
- raw: id -un; exit 3
  become: true
  register: raw
  failed_when: raw.stdout | trim != ansible_become_user | default("root") or raw.rc != 3
- command: id -un
  register: plain
  failed_when: plain.stdout != ansible_user
"""


WAYS = {
    "sudo_without_password": {"ansible_user": "ansible"},
    "sudo_that_does_not_ask": {"ansible_user": "ansible", "ansible_become_password": PASSWORD},
    "sudo_with_password": {"ansible_user": "nopw", "ansible_become_password": PASSWORD},
    "sudo_to_another_user": {
        "ansible_user": "nopw",
        "ansible_become_password": PASSWORD,
        "ansible_become_user": "ansible",
    },
    "su_to_root": {"ansible_user": "nopw", "ansible_become_password": PASSWORD, "ansible_become_method": "su"},
    "su_to_another_user": {
        "ansible_user": "nopw",
        "ansible_become_password": PASSWORD,
        "ansible_become_method": "su",
        "ansible_become_user": "ansible",
    },
    "su_by_root": {"ansible_become_method": "su", "ansible_become_user": "nopw"},
}


@pytest.mark.parametrize("pty", ["true", "false"])
@pytest.mark.parametrize("pipelining", [False, True])
def test_become(bare_ansible: Ansible, sshd, pipelining: bool, pty: str):
    """The command runs as the other user, its output is free of the talk, and its return code is kept."""
    for name, variables in WAYS.items():
        bare_ansible.add(sshd, name, ansible_pipelining=pipelining, ansible_shell_allow_world_readable_temp=True, **variables)
    # World-readable temporary files, for users who can't be root, are Ansible's own warning.
    outcome = bare_ansible.passes(WHO, quiet=False, environment={"ANSIBLE_LIBSSH_PTY": pty})
    assert all(outcome.recap(name) == {"ok": 3, "changed": 3} for name in WAYS)


@pytest.fixture(params=[False, True], ids=["copied", "pipelined"])
def host(ansible: Ansible, request: pytest.FixtureRequest) -> dict:
    """The inventory's variables of the host, with and without pipelining."""
    ansible.hosts["h"]["ansible_pipelining"] = request.param
    return ansible.hosts["h"]


REFUSALS = {
    "missing_sudo": {},
    "incorrect_sudo": {"ansible_become_password": "wrong"},
    "missing_su": {"ansible_become_method": "su"},
    "incorrect_su": {"ansible_become_method": "su", "ansible_become_password": "wrong"},
}


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_refusal_fails_the_task_at_once(bare_ansible: Ansible, sshd, pipelining: bool):
    """A wrong or a missing password fails the task; the host stays reachable, also for the next task."""
    for name, variables in REFUSALS.items():
        bare_ansible.add(sshd, name, ansible_user="nopw", ansible_pipelining=pipelining, **variables)
    outcome = bare_ansible.play("- command: id\n  become: true\n  ignore_errors: true\n- raw: 'true'\n")
    assert outcome.rc == 0, outcome.text
    for name in REFUSALS:
        wrong, method = name.split("_")
        assert outcome.recap(name) == {"ok": 2, "changed": 1, "ignored": 1}
        assert f"fatal: [{name}]: FAILED!" in outcome.words
        assert f"{wrong.capitalize()} {method} password" in outcome.words
    assert outcome.seconds < 15


def test_stderr_is_kept_apart_without_a_terminal(ansible: Ansible, host: dict):
    """Where the pty is switched off, stderr of a raw command under become is its own."""
    host |= {"ansible_user": "nopw", "ansible_become_password": PASSWORD}
    play = """
        - raw: printf out; printf err >&2; exit 9
          become: true
          register: result
          failed_when: result.stdout != "out" or result.stderr != "err" or result.rc != 9
        - shell: printf out; printf err >&2; exit 9
          become: true
          register: result
          failed_when: result.stdout != "out" or result.stderr != "err" or result.rc != 9
    """
    ansible.passes(play, environment={"ANSIBLE_LIBSSH_PTY": "false"})


def test_an_unknown_user_is_told(ansible: Ansible, host: dict):
    """What sudo says of a user who does not exist reaches the screen."""
    host["ansible_user"] = "ansible"
    outcome = ansible.play("- raw: id\n  become: true\n  become_user: nobody-of-that-name\n")
    assert outcome.recap() == {"failed": 1}
    assert "nobody-of-that-name" in outcome.words.partition("FAILED")[2]


def test_requiretty(bare_ansible: Ansible, netns_host):
    """sudo that wants a terminal gets one by default, and not where pty is off."""
    bare_ansible.add(
        netns_host(setup="echo 'Defaults requiretty' > /etc/sudoers.d/0tty; chmod 440 /etc/sudoers.d/0tty"), ansible_user="nopw"
    )
    bare_ansible.hosts["h"] |= {"ansible_become_password": PASSWORD}
    bare_ansible.passes("- command: id\n  become: true\n")
    outcome = bare_ansible.play("- command: id\n  become: true\n", environment={"ANSIBLE_LIBSSH_PTY": "false"})
    assert outcome.recap() == {"failed": 1}
    assert "you must have a tty" in outcome.words


def test_transfers_under_become(ansible: Ansible, host: dict, tmp_path):
    """Files are copied to and fetched from where only root can go."""
    host |= {"ansible_user": "nopw", "ansible_become_password": PASSWORD}
    ansible.passes(f"""
        - copy: {{content: "for root\\n", dest: "{tmp_path}/there", mode: "0600", owner: root}}
          become: true
        - fetch: {{src: "{tmp_path}/there", dest: "{tmp_path}/here", flat: true}}
          become: true
    """)
    assert (tmp_path / "here").read_text() == "for root\n"


def test_a_silent_program_is_given_up(ansible: Ansible):
    """A become program that neither asks nor starts the command is given up, and what it printed is shown."""
    silent = {"ansible_become_exe": "printf 'One moment'; sleep 34; sudo", "ansible_command_timeout": 1}
    ansible.hosts["h"] |= {"ansible_user": "ansible"} | silent
    outcome = ansible.play("- raw: id\n  become: true\n")
    assert outcome.recap() == {"unreachable": 1}
    assert "within 1 s; it printed 'One moment'" in outcome.words
    assert outcome.seconds < 8
