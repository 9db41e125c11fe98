# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands: what they print, how they end, and by how many channels."""

from __future__ import annotations

import subprocess
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from .runner import ROOT, Ansible, ansible_bin

pytestmark = pytest.mark.usefixtures("sshd")
# Goes by the name of sitecustomize, which Python imports as it starts.
NOTE_IMPORTS = """
import os, sys

def note(event, arguments):
    if event == "import" and arguments[0].startswith("ansible_netcommon_"):
        with open(os.environ["SEEN"], "a") as file:
            file.write(f"{arguments[0]}\\n")

sys.addaudithook(note)
"""
NOTE_FROZEN = """
import gc, os

def note():
    with open(os.environ["SEEN"], "a") as file:
        file.write(f"{gc.get_freeze_count()}\\n")

os.register_at_fork(after_in_child=note)
"""
TARGET = ROOT / "tests/integration/targets/connection_libssh/test_connection.yml"


def test_the_connection_target_passes(bare_ansible: Ansible, sshd, tmp_path):
    """Raw and module commands, copy, fetch and reset work in every way, with text and names that are not ASCII."""
    for method in ("sftp", "scp", "piped"):
        bare_ansible.add(sshd, f"{method}", ansible_libssh_transfer_method=method)
        bare_ansible.add(sshd, f"{method}_pipelining", ansible_libssh_transfer_method=method, ansible_pipelining=True)
    outcome = bare_ansible.passes(TARGET, "-e", f"local_directory={tmp_path}/local", timeout=300)
    for name in bare_ansible.hosts:
        assert set(outcome.recap(name)) == {"ok", "changed"}


@pytest.mark.parametrize("pipelining", [False, True])
def test_streams_and_return_codes(ansible: Ansible, pipelining: bool):
    """stdout, stderr and the return code are those of the command, a signal's too, for raw and for modules."""
    ansible.hosts["h"]["ansible_pipelining"] = pipelining
    ansible.passes("""
        - raw: printf out; printf err >&2; exit {{ item }}
          register: raw
          failed_when: raw.rc != item or raw.stdout != "out" or raw.stderr != "err"
          loop: [0, 1, 127, 255]
        - shell: printf out; printf err >&2; exit {{ item }}
          register: shell
          failed_when: shell.rc != item or shell.stdout != "out" or shell.stderr != "err"
          loop: [0, 255]
        - raw: kill -KILL $$
          register: killed
          failed_when: killed.rc != 137
        - raw: cat
          register: no_input
          failed_when: no_input.rc != 0 or no_input.stdout != ""
    """)


@pytest.mark.parametrize("pipelining", [False, True])
def test_large_and_binary_output(ansible: Ansible, pipelining: bool):
    """20 MB come whole, on both streams; bytes that are no text do no harm."""
    ansible.hosts["h"]["ansible_pipelining"] = pipelining
    ansible.passes(r"""
        - raw: head -c 20000000 /dev/zero | tr '\0' x; head -c 3000000 /dev/zero | tr '\0' y >&2
          register: large
          no_log: true
          failed_when: large.stdout | length != 20000000 or large.stderr | length != 3000000
        - raw: printf 'a\000b\nc\r\n\376\377'
          register: binary
          failed_when: binary.rc != 0 or binary.stdout[:7] != "a\0b\nc\r\n" or binary.stdout | length != 9
        - shell: printf 'a\tb'; head -c 2000000 /dev/zero | tr '\0' z >&2
          register: module
          no_log: true
          failed_when: module.stdout != "a\tb" or module.stderr | length != 2000000
    """)


def test_long_command_lines(ansible: Ansible):
    """A command of 100 kB arrives whole."""
    ansible.passes("""
        - raw: "printf %s {{ 'x' * 100000 }} | wc -c"
          register: result
          failed_when: result.stdout | trim != "100000"
          no_log: true
    """)


@pytest.mark.parametrize("pipelining", [False, True])
def test_one_channel_a_command(bare_ansible: Ansible, new_sshd, pipelining: bool):
    """A server that allows one channel at a time is enough, for modules, transfers and loops."""
    bare_ansible.add(new_sshd(sshd_config="MaxSessions 1\nLogLevel DEBUG1"), ansible_pipelining=pipelining)
    bare_ansible.passes("""
        - ping:
          loop: [1, 2, 3]
        - copy: {content: x, dest: "{{ playbook_dir }}/one-channel", mode: "0600"}
        - raw: rm {{ playbook_dir }}/one-channel
    """)


def test_no_terminal_and_no_shell_where_none_is_asked_for(bare_ansible: Ansible, new_sshd):
    """A command without become gets one channel, one exec and nothing else."""
    server = new_sshd(sshd_config="LogLevel VERBOSE")
    bare_ansible.add(server)
    bare_ansible.passes("- raw: tty; test $? = 1")
    started = [line for line in server.log().splitlines() if "Starting session:" in line]
    assert len(started) == 1
    assert "Starting session: command for" in started[0]


def test_a_loop_logs_in_once(bare_ansible: Ansible, new_sshd):
    """The items of one task share the session."""
    server = new_sshd()
    bare_ansible.add(server)
    bare_ansible.passes("- raw: echo {{ item }}\n  loop: [1, 2, 3, 4, 5]\n")
    assert server.logins() == 1


def test_environment_and_shell_options(ansible: Ansible):
    """What tasks set for their commands arrives."""
    ansible.passes("""
        - shell: echo "$WORD"
          environment: {WORD: "héllo wörld"}
          register: result
          failed_when: result.stdout != "héllo wörld"
        - shell: 'printf "%s " "${BASH_VERSION:+bash}"'
          args: {executable: /bin/bash}
          register: result
          failed_when: result.stdout != "bash "
        - command: sleep 1
          async: 10
          poll: 1
        - script: /bin/sh -c true
          args: {removes: /nonexistent}
    """)


@pytest.mark.parametrize("name", ["ansible.netcommon.libssh", "libssh"])
def test_connection_plugins(ansible: Ansible, collections_path: str, tmp_path: Path, name: str):
    """A plugin that Ansible finds in connection_plugins too is imported before the workers are, with all that tasks need, and once."""
    seen = tmp_path / "seen"
    (tmp_path / "sitecustomize.py").write_text(NOTE_IMPORTS)
    python_path = f"{tmp_path}:{ansible.environment['PYTHONPATH']}"

    def imports(environment: dict[str, str]) -> Counter[str]:
        seen.touch()
        noting = {"PYTHONPATH": python_path, "SEEN": str(seen)}
        tasks = f"- raw: id\n- copy: {{content: x, dest: {tmp_path}/there}}\n- command: id\n"
        ansible.passes(tasks, environment=noting | environment)
        found = Counter(seen.read_text().splitlines())
        seen.unlink()
        return found

    ansible.hosts["h"]["ansible_connection"] = name
    plugins = f"{collections_path}/ansible_collections/ansible/netcommon/plugins/connection"
    assert set(imports({"ANSIBLE_CONNECTION_PLUGINS": plugins}).values()) == {1}
    if name != "libssh":  # which no collection stands behind
        assert imports({})["ansible_netcommon_pylibsshext.mux.start"] == 3


def test_workers_do_not_collect_what_they_share(ansible: Ansible, collections_path: str, tmp_path: Path):
    """What is imported before the workers are is no garbage collection's business: going through it, each would copy it."""
    (tmp_path / "sitecustomize.py").write_text(NOTE_FROZEN)
    seen = tmp_path / "seen"
    environment = {
        "PYTHONPATH": f"{tmp_path}:{ansible.environment['PYTHONPATH']}",
        "SEEN": str(seen),
        "ANSIBLE_CONNECTION_PLUGINS": f"{collections_path}/ansible_collections/ansible/netcommon/plugins/connection",
    }
    ansible.passes("- raw: id\n- raw: id\n", environment=environment)
    *_, first, second = map(int, seen.read_text().split())
    assert first == second > 10000


def test_secrets_from_a_vault(ansible: Ansible, accounts, sshd, lab):
    """Values with !vault are decrypted wherever a secret can stand: also in mappings and lists, where older Ansible leaves that to the plugin."""
    password_file = ansible.directory / "vault-password"
    password_file.write_text("open sesame")
    encrypt = [str(ansible_bin() / "ansible-vault"), "encrypt_string", "--vault-password-file", str(password_file)]

    def vaulted(text: str, indent: str = "    ") -> str:
        done = subprocess.run([*encrypt, text], env=ansible.environment, capture_output=True, text=True, check=True)
        return textwrap.indent(textwrap.dedent(done.stdout), indent).strip()

    login = "ansible_user: ansible\nansible_private_key_file:\n"
    for name, variables in {
        "password": f"{login}ansible_password: {vaulted(sshd.password)}\n",
        "answers": f'{login}ansible_libssh_keyboard_interactive_answers:\n  "(?i)pass": {vaulted(sshd.password)}\n',
        "key": f"ansible_private_key_file:\nansible_private_key: {vaulted(lab.key.read_text())}\n",
        "hop": "ansible_libssh_proxy_jump:\n  - host: 127.0.0.1\n"
        f"    port: {sshd.port}\n    user: ansible\n    host_key: {sshd.host_keys[0]}\n    password: {vaulted(sshd.password, '      ')}\n",
    }.items():
        ansible.add(sshd, name, ansible_libssh_look_for_keys=False)
        file = ansible.directory / f"host_vars/{name}.yml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(variables)
    ansible.passes("- raw: id\n", "--vault-password-file", str(password_file))
