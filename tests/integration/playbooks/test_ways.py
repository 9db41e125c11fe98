# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to a host, algorithms and time-outs, by ansible-playbook."""

from __future__ import annotations

import socket

from tests.lab.fixtures import missing

from .runner import Ansible

HOPS = """
- raw: echo $SSH_CONNECTION
  register: one
- raw: echo $SSH_CONNECTION
- set_fact: {from_port: "{{ one.stdout.split()[1] }}"}
"""


def test_many_hosts_behind_bastions(ansible: Ansible, new_sshd, sshd, tmp_path):
    """Twenty hosts and more, two tasks: one login at each bastion, by each way of asking for it."""
    first, second = new_sshd(), new_sshd(sshd_config="AuthenticationMethods password")
    if not second.password:
        missing("root, for hosts with passwords")
    known = tmp_path / "known"
    names = [f"h{number}" for number in range(20)]
    known.write_text(first.known_hosts + sshd.known_hosts + "".join(f"{name} {sshd.host_keys[0]}\n" for name in names))
    ansible.hosts.clear()
    about = {"ansible_libssh_known_hosts_file": str(known), "ansible_libssh_config_file": "none"}
    bastion = f"{first.user}@{first.address}:{first.port}"
    for name in names:
        ansible.add(sshd, name, **about, ansible_libssh_host_key_alias=name, ansible_libssh_proxy_jump=bastion)
    own = {
        "host": second.address,
        "port": second.port,
        "user": second.user,
        "password": second.password,
        "host_key": second.host_keys[0],
    }
    ansible.add(sshd, "list", **about, ansible_libssh_proxy_jump=[bastion, own], ansible_password="not for the bastion")
    before = sshd.logins()
    ansible.passes(HOPS, "--forks", "10")
    assert (first.logins(), second.logins(), sshd.logins() - before) == (1, 1, 21)

    ansible.hosts.clear()
    config = tmp_path / "config"
    config.write_text(
        f"Host jumper\n HostName {first.address}\n Port {first.port}\n UserKnownHostsFile {known}\nHost {sshd.address}\n ProxyJump jumper\n"
    )
    ansible.add(sshd, "args", **about, ansible_ssh_common_args=f"-J {bastion}")
    ansible.add(sshd, "file", **about | {"ansible_libssh_config_file": str(config)})
    ansible.add(sshd, "direct", **about | {"ansible_libssh_config_file": str(config)}, ansible_libssh_proxy_jump="none")
    ansible.add(sshd, "wrong", **about, ansible_libssh_proxy_jump=[{"host": "h", "psw": "x"}])
    ansible.add(sshd, "nowhere", **about, ansible_libssh_proxy_jump=f"{first.address}:1")
    outcome = ansible.play("- raw: id\n", quiet=False)
    for name in ("args", "file", "direct"):
        assert outcome.recap(name) == {"ok": 1, "changed": 1}, outcome.text
    assert "a hop has no 'psw'" in outcome.words
    assert f"connecting to {first.address} port 1 failed" in outcome.words
    assert first.logins() == 2  # -J names it as before, and shares what is there


def test_time(ansible: Ansible, sshd, dead_address):
    """Connecting and greeting have limits of their own, and the text says which was reached."""
    ansible.hosts.clear()
    with socket.create_server(("127.0.0.1", 0), backlog=8) as silent:
        port = silent.getsockname()[1]
        ansible.add(sshd, "hole", ansible_host=dead_address[0], ansible_port=dead_address[1], ansible_ssh_timeout=2)
        ansible.add(sshd, "silent", ansible_port=port, ansible_ssh_timeout=60, ansible_libssh_banner_timeout=1.5)
        ansible.add(sshd, "args", ansible_port=port, ansible_ssh_args="-o ConnectTimeout=2")
        outcome = ansible.play("- raw: id\n")
    assert [outcome.recap(name) for name in ansible.hosts] == [{"unreachable": 1}] * 3
    assert outcome.words.count("timed out") + outcome.words.count("no answer within") >= 3
    assert outcome.seconds < 30


def test_old_gear(ansible: Ansible, new_sshd):
    """What has but old algorithms is refused with both lists and the option to set, and reached with that."""
    old = new_sshd(
        host_keys=("rsa",),
        sshd_config="KexAlgorithms diffie-hellman-group14-sha1\nHostKeyAlgorithms ssh-rsa\nCiphers aes128-cbc\nMACs hmac-sha1\n"
        "PubkeyAcceptedAlgorithms +ssh-rsa",
    )
    ansible.add(old, ansible_libssh_config_file="none")
    outcome = ansible.play("- raw: id\n")
    assert "server [diffie-hellman-group14-sha1" in outcome.words, outcome.text
    assert "client [" in outcome.words
    assert "ansible_libssh_legacy_algorithms: true" in outcome.words
    ansible.hosts["h"]["ansible_libssh_legacy_algorithms"] = True
    ansible.passes("- raw: id\n")
    ansible.hosts["h"]["ansible_libssh_rsa_min_size"] = 8192
    assert ansible.play("- raw: id\n").recap() == {"unreachable": 1}
