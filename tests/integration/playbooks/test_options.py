# SPDX-License-Identifier: GPL-3.0-or-later
"""Options: documented, honoured, and quiet; no secret is ever shown."""

from __future__ import annotations

import json

import pytest

from .runner import PLUGIN, Ansible

# netcommon 8.6.2: option, then its variables, environment variables and ini entries.
OPTIONS_OF_8_6_2 = """
config_file | ansible_libssh_config_file | ANSIBLE_LIBSSH_CONFIG_FILE | libssh_connection.config_file
host_key_auto_add | | ANSIBLE_LIBSSH_HOST_KEY_AUTO_ADD | libssh_connection.host_key_auto_add
host_key_checking | ansible_host_key_checking ansible_ssh_host_key_checking ansible_libssh_host_key_checking | ANSIBLE_HOST_KEY_CHECKING ANSIBLE_SSH_HOST_KEY_CHECKING ANSIBLE_LIBSSH_HOST_KEY_CHECKING | defaults.host_key_checking libssh_connection.host_key_checking
hostkeys | ansible_libssh_hostkeys | ANSIBLE_LIBSSH_HOSTKEYS | libssh_connection.hostkeys
import_modules | ansible_network_import_modules | ANSIBLE_NETWORK_IMPORT_MODULES | ansible_network.import_modules
key_exchange_algorithms | ansible_libssh_key_exchange_algorithms | ANSIBLE_LIBSSH_KEY_EXCHANGE_ALGORITHMS | libssh_connection.key_exchange_algorithms
look_for_keys | | ANSIBLE_LIBSSH_LOOK_FOR_KEYS | libssh_connection.look_for_keys
password | ansible_password ansible_ssh_pass ansible_ssh_password ansible_libssh_pass ansible_libssh_password | |
password_prompt | ansible_libssh_password_prompt | |
persistent_command_timeout | ansible_command_timeout | ANSIBLE_PERSISTENT_COMMAND_TIMEOUT | persistent_connection.command_timeout
persistent_connect_timeout | ansible_connect_timeout | ANSIBLE_PERSISTENT_CONNECT_TIMEOUT | persistent_connection.connect_timeout
persistent_log_messages | ansible_persistent_log_messages | ANSIBLE_PERSISTENT_LOG_MESSAGES | persistent_connection.log_messages
private_key_passphrase | ansible_private_key_password ansible_private_key_passphrase | |
proxy_command | ansible_paramiko_proxy_command ansible_libssh_proxy_command | ANSIBLE_LIBSSH_PROXY_COMMAND | libssh_connection.proxy_command
pty | | ANSIBLE_LIBSSH_PTY | libssh_connection.pty
publickey_accepted_algorithms | ansible_libssh_publickey_algorithms | ANSIBLE_LIBSSH_PUBLICKEY_ALGORITHMS | libssh_connection.publickey_algorithms
remote_addr | inventory_hostname ansible_host ansible_ssh_host ansible_libssh_host | |
remote_user | ansible_user ansible_ssh_user ansible_libssh_user | ANSIBLE_REMOTE_USER ANSIBLE_LIBSSH_REMOTE_USER | defaults.remote_user libssh_connection.remote_user
ssh_args | ansible_ssh_args | ANSIBLE_SSH_ARGS | ssh_connection.ssh_args
ssh_common_args | ansible_ssh_common_args | ANSIBLE_SSH_COMMON_ARGS | ssh_connection.ssh_common_args
ssh_extra_args | ansible_ssh_extra_args | ANSIBLE_SSH_EXTRA_ARGS | ssh_connection.ssh_extra_args
use_persistent_connections | | ANSIBLE_USE_PERSISTENT_CONNECTIONS | defaults.use_persistent_connections
"""
DEFAULTS_OF_8_6_2 = {
    "host_key_checking": True,
    "hostkeys": "",
    "import_modules": True,
    "look_for_keys": True,
    "persistent_command_timeout": 30,
    "persistent_connect_timeout": 30,
    "persistent_log_messages": False,
    "proxy_command": "",
    "pty": True,
    "publickey_accepted_algorithms": "",
    "remote_addr": "inventory_hostname",
    "use_persistent_connections": False,
}


@pytest.fixture(scope="module")
def documented(collections_path: str, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The options as ansible-doc knows them."""
    directory = tmp_path_factory.mktemp("doc")
    outcome = Ansible(directory, collections_path).run("ansible-doc", "-t", "connection", "--json", PLUGIN)
    assert outcome.rc == 0, outcome.text
    return json.loads(outcome.text)[PLUGIN]["doc"]["options"]


@pytest.mark.parametrize("line", OPTIONS_OF_8_6_2.strip().splitlines(), ids=lambda line: line.partition(" ")[0])
def test_every_option_of_netcommon_is_here(documented: dict, line: str):
    """Each option of 8.6.2 is documented under its name, and read from where 8.6.2 reads it."""
    name, variables, environment, ini = (part.strip() for part in line.split("|"))
    option = documented[name]
    assert option["description"]
    assert set(variables.split()) <= {entry["name"] for entry in option.get("vars", ())}
    assert set(environment.split()) <= {entry["name"] for entry in option.get("env", ())}
    assert set(ini.split()) <= {f"{entry['section']}.{entry['key']}" for entry in option.get("ini", ())}
    assert option.get("default") == DEFAULTS_OF_8_6_2.get(name)


def test_ssh_arguments(ansible: Ansible, sshd):
    """What ssh_args and its kin say is done, and what can't be done is named."""
    ansible.hosts["h"] |= {
        "ansible_port": None,
        "ansible_user": None,
        "ansible_ssh_args": f"-C -o ControlMaster=auto -o ControlPersist=60s -p {sshd.port}",
        "ansible_ssh_common_args": f"-o User={sshd.user}",
    }
    ansible.passes("- raw: id -un\n  register: result\n  failed_when: result.stdout | trim != '" + sshd.user + "'\n")
    ansible.hosts["h"]["ansible_ssh_extra_args"] = "-L 1:there:2"
    outcome = ansible.passes("- raw: id\n", quiet=False)
    assert "can't honour this of ssh_args, and goes without it: -L 1:there:2" in outcome.words


def test_proxy_command(ansible: Ansible, sshd):
    """The host is reached through a local command."""
    proxy = f"/usr/bin/python3 -c 'import os,socket,sys,threading as t;{RELAY}' %h {sshd.port}"
    ansible.hosts["h"] |= {"ansible_port": 1, "ansible_host": sshd.address, "ansible_libssh_proxy_command": proxy}
    ansible.hosts["h"]["ansible_host_key_checking"] = False
    ansible.passes("- raw: id\n")


RELAY = (
    "s=socket.create_connection((sys.argv[1],int(sys.argv[2])));"
    "t.Thread(target=lambda:[s.sendall(d) for d in iter(lambda:os.read(0,65536),bytes())],daemon=True).start();"
    "[os.write(1,d) for d in iter(lambda:s.recv(65536),bytes())]"
)


def test_config_file(ansible: Ansible, sshd, tmp_path):
    """A configuration file is read, and explicit options win over it."""
    config = tmp_path / "config"
    config.write_text(f"Host the-alias\n  HostName {sshd.address}\n  Port {sshd.port}\n  User nobody\n")
    ansible.hosts["h"] |= {
        "ansible_host": "the-alias",
        "ansible_port": None,
        "ansible_libssh_config_file": str(config),
        "ansible_host_key_checking": False,
    }
    ansible.passes("- raw: id\n")


def test_algorithms(ansible: Ansible):
    """Those that are asked for are used; where there is none in common the text has both lists."""
    ansible.hosts["h"] |= {
        "ansible_libssh_key_exchange_algorithms": "curve25519-sha256",
        "ansible_libssh_ciphers": "aes256-ctr",
        "ansible_libssh_macs": "hmac-sha2-256",
        "ansible_libssh_hostkeys": "ssh-ed25519",
    }
    ansible.passes("- raw: id\n")
    ansible.hosts["h"]["ansible_libssh_ciphers"] = "3des-cbc"
    outcome = ansible.play("- raw: id\n")
    assert outcome.recap() == {"unreachable": 1}
    assert "client [3des-cbc]" in outcome.words, outcome.text
    assert "Set ansible_libssh_ciphers" in outcome.words


def test_persistent_connections_are_not_promised(ansible: Ansible):
    """Who asks for what there is not is told so."""
    outcome = ansible.passes("- raw: id\n", quiet=False, environment={"ANSIBLE_USE_PERSISTENT_CONNECTIONS": "true"})
    assert "ends with its task, also with use_persistent_connections" in outcome.words


def test_log_of_the_library(ansible: Ansible, tmp_path):
    """At -vvvvv libssh's log is shown with the host in front; below it is not, and stderr stays quiet."""
    shown = ansible.passes("- raw: id\n", "-vvvvv", quiet=False).text
    assert "LIBSSH:" in shown
    assert "LIBSSH:" not in ansible.passes("- raw: id\n", "-vvv", quiet=False).text
    log = tmp_path / "ansible.log"
    ansible.hosts["h"]["ansible_persistent_log_messages"] = True
    outcome = ansible.passes("- raw: id\n", environment={"ANSIBLE_LOG_PATH": str(log)})
    assert "LIBSSH:" not in outcome.text
    assert "LIBSSH:" in log.read_text()


def test_no_secret_is_ever_shown(ansible: Ansible, accounts, tmp_path):
    """At the highest verbosity and in the log: no password, no passphrase, no key, whether they work or not."""
    from tests.lab import servers

    key = tmp_path / "key"
    servers.make_key(key, passphrase="canary-phrase")
    log = tmp_path / "ansible.log"
    environment = {"ANSIBLE_LOG_PATH": str(log), "ANSIBLE_DEBUG": "0"}
    canaries = ["s3cret", "canary-phrase", "canary-wrong", key.read_text().splitlines()[2]]
    ansible.hosts["h"] |= {"ansible_user": "nopw", "ansible_private_key_file": None, "ansible_password": "s3cret"}
    ansible.hosts["h"]["ansible_become_password"] = "s3cret"
    become = "- command: id\n  become: true\n"
    text = ansible.passes(become, "-vvvvv", quiet=False, environment=environment).text
    ansible.hosts["h"]["ansible_become_password"] = "canary-wrong"
    text += ansible.play(become, "-vvvvv", quiet=False, environment=environment).text
    ansible.hosts["h"] |= {"ansible_password": "canary-wrong", "ansible_private_key_file": str(key)}
    for phrase in ("canary-phrase", "canary-wrong"):
        ansible.hosts["h"]["ansible_private_key_passphrase"] = phrase
        text += ansible.play(become, "-vvvvv", quiet=False, environment=environment).text
    text += log.read_text()
    assert "Incorrect sudo password" in text
    assert "UNREACHABLE" in text
    assert [canary for canary in canaries if canary in text] == []


def test_session_is_importable_from_the_plugin(collections_path: str):
    """Others read the plugin's Session, DOCUMENTATION and Connection."""
    import subprocess
    import sys

    from .runner import library_path

    code = (
        "from ansible_collections.ansible.netcommon.plugins.connection.libssh import Connection, DOCUMENTATION, Session\n"
        "class Mine(Connection): transport = 'mine'\n"
        "assert Session.__name__ == 'Session' and 'remote_addr' in DOCUMENTATION\n"
    )
    environment = {"PYTHONPATH": f"{library_path()}:{collections_path}", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
