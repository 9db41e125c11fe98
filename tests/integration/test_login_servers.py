# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same logins with every server of the lab: the documentation's table of what works with which is held to this."""

from __future__ import annotations

import subprocess

import pytest

from pylibsshext.errors import AuthenticationError
from tests.lab import agents, servers
from tests.lab.works import works

SERVERS = ("openssh", "openssh-8.4", "openssh-10.0", "dropbear", "tinysshd")
# What a server can't do is not tried with it; the rest has to work.
LACKS = {
    "openssh-8.4": {"keyboard-interactive"},  # built without PAM
    "openssh-10.0": {"keyboard-interactive"},
    "dropbear": {"keyboard-interactive", "certificate", "publickey,password"},
    "tinysshd": {"keyboard-interactive", "certificate", "publickey,password", "password", "ecdsa key", "rsa key"},
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A key of each kind, and one that only has a certificate."""
    directory = tmp_path_factory.mktemp("keys")
    for kind in ("ed25519", "ecdsa", "rsa"):
        servers.make_key(directory / kind, kind)
    for name in ("ca", "certified"):
        servers.make_key(directory / name)
    (directory / "ca.pub").chmod(0o644)
    sign = ["ssh-keygen", "-q", "-s", "ca", "-I", "me", "-n", "root,ansible", "certified.pub"]
    subprocess.run(sign, cwd=directory, check=True)
    return directory


@pytest.fixture(params=SERVERS)
def host(request, other_server, keys):
    """Each server in turn."""
    public = "\n".join(" ".join((keys / f"{kind}.pub").read_text().split()[:2]) for kind in ("ed25519", "ecdsa", "rsa"))
    config = f"TrustedUserCAKeys {keys}/ca.pub\nMatch User ansible\n AuthenticationMethods publickey,password\n"
    is_openssh = request.param.startswith("openssh")
    return other_server(request.param, authorized_keys=public, **({"sshd_config": config} if is_openssh else {}))


@pytest.fixture
def agent(keys, tmp_path, monkeypatch):
    """An agent with a stranger's key and one that is known."""
    with agents.ssh_agent(tmp_path, keys / "ca", keys / "ed25519") as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        yield path


def test_logins(host, connect, keys, agent):
    """Keys from memory, files and the agent, certificates, passwords and both; a wrong key is refused and told."""
    lacks = LACKS.get(host.options.server, set())
    password = {"private_key": None, "password": host.password}
    ways = {
        **{f"{kind} key": {"private_key": (keys / kind).read_text()} for kind in ("ed25519", "ecdsa", "rsa")},
        "key file": {"private_key": None, "identities": [str(keys / "ed25519")], "agent": False},
        "agent": {"private_key": None, "agent": True},
        "one key of the agent": {"private_key": None, "identities": [str(keys / "ed25519.pub")]},
        "certificate": {"private_key": None, "identities": [str(keys / "certified")]},
        "password": password | {"preferred_authentications": "password"},
        "keyboard-interactive": password | {"preferred_authentications": "keyboard-interactive"},
        "publickey,password": {"user": "ansible", "password": host.password, "private_key": (keys / "rsa").read_text()},
    }
    for feature, keywords in ways.items():
        if feature not in lacks:
            session = connect(host, **keywords)
            assert session.exec_command("echo in").stdout == b"in\n", feature
            session.close()
            works(feature, host)
    with pytest.raises(AuthenticationError, match="publickey .private_key SHA256:.*: denied"):
        connect(host, private_key=(keys / "ca").read_text())
