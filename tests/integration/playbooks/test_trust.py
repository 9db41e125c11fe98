# SPDX-License-Identifier: GPL-3.0-or-later
"""Trust in hosts and the words of ssh_config, by ansible-playbook."""

from __future__ import annotations

import subprocess

import pytest

from tests.lab import servers

from .runner import Ansible


def ping(ansible: Ansible, **expected: str) -> str:
    """Run one task on all hosts; each must be reached, or be unreachable with a text."""
    outcome = ansible.play("- raw: id\n  ignore_unreachable: false\n", "--forks", "8", quiet=False)
    for name in ansible.hosts:
        recap = outcome.recap(name)
        assert recap == ({"unreachable": 1} if expected.get(name) else {"ok": 1, "changed": 1}), (name, outcome.text)
    for name, text in expected.items():
        assert not text or text in outcome.words, (name, text, outcome.text)
    return outcome.words


def test_host_keys(ansible: Ansible, sshd, new_sshd, tmp_path):
    """One run with hosts of every kind: settings, lists, aliases and pins, each as the documentation says."""
    other = servers.make_key(tmp_path / "other")
    wrong, alias, fresh = tmp_path / "wrong", tmp_path / "alias", tmp_path / "fresh"
    wrong.write_text(f"[{sshd.address}]:{sshd.port} {other}\n")
    alias.write_text(f"the-alias {sshd.host_keys[0]}\n")
    revoked = tmp_path / "krl"
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, sshd.directory / "ssh_host_ed25519_key.pub"], check=True)
    right = str(sshd.known_hosts_file)
    print_ = sshd.run("ssh-keygen", "-lf", sshd.directory / "ssh_host_ed25519_key.pub").stdout.split()[1]
    nobody = {"ansible_libssh_known_hosts_file": "none", "ansible_libssh_global_known_hosts_file": "none"}
    ansible.hosts.clear()
    for name, variables in {
        "list": {"ansible_libssh_known_hosts_file": ["/nowhere", right]},
        "commas": {"ansible_libssh_known_hosts_file": f"/nowhere,{right}"},
        "machine": {**nobody, "ansible_libssh_global_known_hosts_file": right},
        "new": {"ansible_libssh_known_hosts_file": str(fresh), "ansible_host_key_checking": "accept-new"},
        "null": {"ansible_libssh_known_hosts_file": "/dev/null", "ansible_host_key_checking": "accept-new"},
        "strict": {**nobody, "ansible_host_key_checking": "yes"},
        "ask": {**nobody, "ansible_host_key_checking": "ask"},
        "changed": {"ansible_libssh_known_hosts_file": str(wrong), "ansible_host_key_checking": "accept-new"},
        "off": {"ansible_libssh_known_hosts_file": str(wrong), "ansible_host_key_checking": False},
        "alias": {"ansible_libssh_known_hosts_file": str(alias), "ansible_libssh_host_key_alias": "the-alias"},
        "pinned": {"ansible_libssh_known_hosts_file": str(wrong), "ansible_libssh_host_key": print_},
        "pinned2": {**nobody, "ansible_libssh_host_key": [other, sshd.host_keys[0]]},
        "mispinned": {"ansible_libssh_host_key": other, "ansible_host_key_checking": False},
        "args": {"ansible_libssh_known_hosts_file": None, "ansible_ssh_args": f"-o UserKnownHostsFile={right} -o StrictHostKeyChecking=yes"},
        "argsnew": {**nobody, "ansible_ssh_common_args": "-o StrictHostKeyChecking=accept-new"},
        "revoked": {"ansible_libssh_revoked_host_keys_file": [str(revoked)], "ansible_host_key_checking": False},
        "argsrevoked": {"ansible_ssh_args": f"-o RevokedHostKeys={revoked}"},
        "nonsense": {"ansible_host_key_checking": "perhaps"},
    }.items():  # fmt: skip
        ansible.add(sshd, name, **{"ansible_libssh_config_file": "none", **variables})
    # Eight workers have a key to add to one file, by themselves or for the holder.
    crowd, names = tmp_path / "crowd", [f"crowd{i}" for i in range(8)]
    for i, name in enumerate(names):
        about = {"ansible_libssh_known_hosts_file": str(crowd), "ansible_libssh_host_key_alias": name}
        about |= {"ansible_host_key_checking": "accept-new", "ansible_libssh_persist": 30 * (i % 2)}
        ansible.add(sshd, name, ansible_libssh_config_file="none", **about)
    authority, certificate = tmp_path / "ca", tmp_path / "host-cert.pub"
    line = servers.make_key(authority)
    certified = new_sshd(sshd_config=f"HostCertificate {certificate}")
    (tmp_path / "host.pub").write_bytes((certified.directory / "ssh_host_ed25519_key.pub").read_bytes())
    sign = ["ssh-keygen", "-q", "-s", authority, "-h", "-I", "h", "-n", certified.address, tmp_path / "host.pub"]
    subprocess.run(sign, check=True)
    certified.restart()
    (tmp_path / "authorities").write_text(f"@cert-authority * {line}\n")
    about = {"ansible_libssh_known_hosts_file": str(tmp_path / "authorities"), "ansible_host_key_checking": "yes"}
    ansible.add(certified, "certified", **about, ansible_libssh_config_file="none")
    text = ping(
        ansible,
        strict="Host is unknown",
        ask="ssh-keyscan -p",
        changed=f"{wrong}:1 has SHA256:",
        revoked=f"which {revoked} marks as revoked",
        argsrevoked=f"which {revoked} marks as revoked",
        mispinned="IS NOT THE PINNED ONE",
        nonsense="'perhaps' is not one of yes, accept-new, ask, no",
    )
    assert f"ssh-keygen -f {wrong} -R '[{sshd.address}]:{sshd.port}'" in text
    assert text.count(print_) >= 4
    assert fresh.read_text() == sshd.known_hosts
    assert wrong.read_text().count("\n") == 1
    assert sorted(crowd.read_text().splitlines()) == [f"{name} {sshd.host_keys[0]}" for name in names]


@pytest.mark.parametrize("persist", [0, 60])
def test_configuration(ansible: Ansible, new_sshd, tmp_path, persist):
    """ssh_config and ssh_args by Host, Match and Include, also through the connection holder."""
    host = new_sshd(sshd_config="AcceptEnv PX_*")
    (tmp_path / "known").write_text(f"the-alias {host.host_keys[0]}\n")
    (tmp_path / "more").write_text(
        f"Match host lab exec 'true'\n  HostName {host.address}\n  HostKeyAlias the-alias\n  SetEnv PX_A=from-file\n"
    )
    config = tmp_path / "config"
    config.write_text(
        f"Host lab\n  Port {host.port}\n  UserKnownHostsFile {tmp_path}/known\nHost *\n  Include {tmp_path}/more\n  User nobody\n"
    )
    ansible.hosts["h"] |= {
        "ansible_host": "lab",
        "ansible_port": None,
        "ansible_user": host.user,
        "ansible_libssh_known_hosts_file": None,
        "ansible_libssh_config_file": str(config),
        "ansible_libssh_persist": persist,
        "ansible_ssh_extra_args": "-4 -o 'SetEnv PX_A=from-args PX_B=2' -o ServerAliveInterval=5",
    }
    ansible.passes("- raw: echo $PX_A $PX_B\n  register: said\n- assert: {that: 'said.stdout | trim == \"from-args 2\"'}\n")
    ansible.run("python3", "-m", "pylibsshext", "mux", "stop", quiet=False)
