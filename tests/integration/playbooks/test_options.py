# SPDX-License-Identifier: GPL-3.0-or-later
"""Options: documented, honoured, and quiet; no secret is ever shown."""

from __future__ import annotations

import json
import os
import re

import pytest

import pylibsshext
from scripts.docs import options
from tests.lab import servers

from .runner import PLUGIN, Ansible
from .test_failures import pids, read, running, wait_for


@pytest.fixture(scope="module")
def documented(collections_path: str, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The options as ansible-doc knows them."""
    directory = tmp_path_factory.mktemp("doc")
    outcome = Ansible(directory, collections_path).run("ansible-doc", "-t", "connection", "--json", PLUGIN)
    assert outcome.rc == 0, outcome.text
    return json.loads(outcome.text)[PLUGIN]["doc"]["options"]


def test_ansible_knows_the_options(documented: dict):
    """The documentation is generated from what Ansible itself reads, down to the last source and default."""
    known = {name: options.Option.from_documentation(name, entry) for name, entry in documented.items()}
    assert {name: (option.sources, option.default) for name, option in known.items()} == {
        name: (option.sources, option.default) for name, option in options.ours().items()
    }


def test_ssh_arguments(ansible: Ansible, sshd):
    """What ssh_args and its kin say is done, and what can't be done is named."""
    ansible.hosts["h"] |= {
        "ansible_port": None,
        "ansible_user": None,
        "ansible_ssh_args": f"-C -o ControlMaster=auto -o ControlPersist=60s -p {sshd.port}",
        "ansible_ssh_common_args": f"-o User={sshd.user}",
    }
    ansible.passes("- raw: id -un\n  register: result\n  failed_when: result.stdout | trim != '" + sshd.user + "'\n")
    ansible.hosts["h"]["ansible_ssh_extra_args"] = "-L 1:there:2 -o HostKeyAlgorithms=+ssh-rsa,ssh-dss"
    outcome = ansible.passes("- raw: id\n", quiet=False)
    assert "can't honour this of ssh_args, and goes without it: -L 1:there:2" in outcome.words
    assert "libssh does not have ssh-dss (hostkeys), and goes without" in outcome.words


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


def test_variables_of_paramiko(ansible: Ansible, sshd, accounts):
    """An inventory and a configuration for the paramiko connection are understood."""
    del ansible.hosts["h"]["ansible_user"], ansible.hosts["h"]["ansible_private_key_file"]
    ansible.hosts["h"] |= {
        "ansible_host": None,
        "ansible_port": None,
        "ansible_paramiko_host": sshd.address,
        "ansible_paramiko_user": "nopw",
        "ansible_paramiko_password": sshd.password,
        "ansible_paramiko_timeout": 9,
    }
    (ansible.directory / "ansible.cfg").write_text(
        f"[paramiko_connection]\nremote_port = {sshd.port}\nlook_for_keys = false\nhost_key_auto_add = true\npty = false\n"
    )
    text = ansible.passes("- raw: id -un\n  register: result\n  failed_when: result.stdout | trim != 'nopw'\n", "-vvv").text
    assert f"ESTABLISH LIBSSH CONNECTION TO nopw@{sshd.address}:{sshd.port}" in text


def test_configuration_of_ssh(ansible: Ansible, sshd):
    """What ansible.cfg says in [ssh_connection] is done."""
    (ansible.directory / "ansible.cfg").write_text(
        "[ssh_connection]\npipelining = true\ntransfer_method = piped\nretries = 1\nusetty = false\ntimeout = 9\n"
    )
    text = ansible.passes("- command: id\n- copy: {content: x, dest: ~/a-file}\n", "-vvv").text
    assert "PUT" in text  # by copy, for its source; not for the modules
    assert "AnsiballZ" not in "".join(line for line in text.splitlines() if " PUT " in line)


def test_retries(ansible: Ansible, sshd):
    """A host that is late is tried again, as often as is wanted; a refused login is not."""
    from tests.lab.loopback import free_port

    ansible.hosts["h"] |= {"ansible_port": free_port(), "ansible_ssh_retries": 2}
    outcome = ansible.play("- raw: id\n", "-vv")
    assert outcome.recap() == {"unreachable": 1}
    assert [f"Retry {count} of 2" in outcome.words for count in (1, 2, 3)] == [True, True, False]
    ansible.hosts["h"] |= {"ansible_port": sshd.port, "ansible_user": "nobody-at-all"}
    outcome = ansible.play("- raw: id\n", "-vv")
    assert outcome.recap() == {"unreachable": 1}
    assert "Retry" not in outcome.words


def test_what_has_no_effect_is_said_once(ansible: Ansible):
    """Who asks for what there is not is told so, and what to use, once a run."""
    environment = {"ANSIBLE_USE_PERSISTENT_CONNECTIONS": "true"}
    outcome = ansible.passes("- raw: id\n- raw: id\n", quiet=False, environment=environment)
    assert outcome.words.count("has no effect on ansible.netcommon.libssh: set ansible_libssh_persist instead") == 1


def test_log_of_the_library(ansible: Ansible, tmp_path):
    """At -vvvvv libssh's log is shown with the host in front; below it is not, and stderr stays quiet."""
    shown = ansible.passes("- raw: id\n", "-vvvvv", quiet=False).text
    assert "LIBSSH:" in shown
    assert "LIBSSH:" not in ansible.passes("- raw: id\n", "-vvv", quiet=False).text
    ansible.hosts["h"]["ansible_ssh_verbosity"] = 3
    assert "LIBSSH:" in ansible.passes("- raw: id\n", quiet=False).text
    del ansible.hosts["h"]["ansible_ssh_verbosity"]
    log = tmp_path / "ansible.log"
    ansible.hosts["h"]["ansible_persistent_log_messages"] = True
    outcome = ansible.passes("- raw: id\n", environment={"ANSIBLE_LOG_PATH": str(log)})
    assert "LIBSSH:" not in outcome.text
    assert "LIBSSH:" in log.read_text()


def test_verbose_output(ansible: Ansible, sshd):
    """-vvv tells, with the host in front, what ssh -v would: the server, the algorithms, the login, and how commands ended."""
    text = ansible.passes("- raw: echo said; exit 0\n- raw: echo hushed\n  no_log: true\n", "-vvv", quiet=False).text
    for words in ("Server is SSH-2.0-OpenSSH", "SHA256:", "Key exchange ", "Login: ", "(0, b'said\\n', b'')"):
        assert re.search(rf"^<{sshd.address}> .*{re.escape(words)}", text, re.MULTILINE), text
    assert "b'hushed" not in text
    if not pylibsshext.__libssh_version__.startswith("0.10."):
        # Without a word about it.
        assert re.search("Key exchange (mlkem768|sntrup761)x25519-", text), text
    assert "Key exchange" not in ansible.passes("- raw: 'true'\n", "-vv", quiet=False).text


def test_no_secret_is_ever_shown(ansible: Ansible, accounts, tmp_path):
    """At the highest verbosity and in the log: no password, no passphrase, no key, whether they work or not."""
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


def test_no_secret_is_where_others_can_look(ansible: Ansible, sshd, accounts, tmp_path):
    """While a command runs under a password login and become: no argument, no environment and no file holds a secret."""
    key = tmp_path / "key"
    servers.make_key(key, passphrase="canary-phrase")
    ansible.hosts["h"] |= {
        "ansible_user": "nopw",
        "ansible_password": "s3cret",
        "ansible_private_key_file": str(key),
        "ansible_private_key_passphrase": "canary-phrase",
    }
    mark = f"34.{os.getpid()}"
    play = f"- command: sleep {mark}\n  become: true\n  timeout: 6\n  vars: {{ansible_become_password: s3cret}}\n"
    process = ansible.start(play, environment={"ANSIBLE_LOG_PATH": str(tmp_path / "ansible.log")})
    wait_for(lambda: running(mark))
    shown = [(f"/proc/{pid}/{what}", read(f"/proc/{pid}/{what}")) for pid in pids() for what in ("cmdline", "environ")]
    process.communicate(timeout=60)
    for top in (tmp_path, sshd.directory / "home", ansible.home):
        shown += [(str(path), read(path)) for path in top.rglob("*") if path.is_file()]
    mine = {str(ansible.inventory), str(ansible.directory / "playbook.yml")}
    assert len(shown) > 10
    assert [where for where, text in shown if where not in mine and ("s3cret" in text or "canary-phrase" in text)] == []


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
