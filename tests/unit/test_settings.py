# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the words of ssh_config mean for a session."""

from __future__ import annotations

import pytest

from pylibsshext import options, settings
from pylibsshext.errors import LibsshSessionException
from pylibsshext.ssh_config import ConfigError


def resolve(*lines, **explicit):
    """What holds for a host with some lines."""
    return settings.resolve({"host": "h", "config_file": "none", "ssh_options": lines, **explicit})


@pytest.mark.parametrize(
    ("line", "keywords"),
    [
        ("HostName other", {"host": "other"}),
        ("HostName %h.example.com", {"host": "h.example.com"}),
        ("Port 2", {"port": 2}),
        ("User me", {"user": "me"}),
        ("ConnectTimeout=1m30s", {"timeout": 90}),
        ("ConnectTimeout none", {}),
        ("ConnectionAttempts 3", {"connection_attempts": 3}),
        ("ServerAliveInterval 15", {"server_alive_interval": 15}),
        ("ServerAliveCountMax 2", {"server_alive_count_max": 2}),
        ("Compression yes", {"compression": True}),
        ("Ciphers +aes128-cbc", {"ciphers": "+aes128-cbc"}),
        ("RekeyLimit 1G 1h30m", {"rekey_data": 1 << 30, "rekey_time": 5400}),
        ("RekeyLimit default 60", {"rekey_time": 60}),
        ("RekeyLimit 5k none", {"rekey_data": 5120}),
        ("RequiredRSASize 3072", {"rsa_min_size": 3072}),
        ("PubkeyAcceptedKeyTypes ssh-rsa", {"publickey_accepted_algorithms": "ssh-rsa"}),
        ("StrictHostKeyChecking false", {"host_key_checking": "no"}),
        ("StrictHostKeyChecking accept-new", {"host_key_checking": "accept-new"}),
        ("UserKnownHostsFile /a '/b c' none", {"knownhosts": ["/a", "/b c", "none"]}),
        ("HostKeyAlias x", {"host_key_alias": "x"}),
        ("ProxyCommand nc '%h' %p # not a comment", {"proxycommand": "nc '%h' %p # not a comment"}),
        ("ProxyJump %r@b:%p,c", {"proxy_jump": "root@b:22,c"}),
        ("ProxyJump none", {}),
        ("SendEnv LANG LC_*", {"send_env": ["LANG", "LC_*"]}),
        ("SetEnv A=1 B='2 3' A=4", {"set_env": {"A": "1", "B": "2 3"}}),
        ("PreferredAuthentications publickey,hostbased,nonsense,password", {"preferred_authentications": ["publickey", "hostbased", "password"]}),
        ("PubkeyAuthentication no", {"preferred_authentications": ["password", "hostbased", "keyboard-interactive", "gssapi-keyex", "gssapi-with-mic"]}),
        ("PubkeyAuthentication host-bound", {}),
        ("IdentityAgent none", {"agent": False}),
        ("IdentityAgent /x/%h", {"agent": "/x/h"}),
        ("AddressFamily inet6", {"address_family": "inet6"}),
        ("BindAddress ::1", {"bind_address": "::1"}),
    ],
)  # fmt: skip
def test_meanings(monkeypatch, line, keywords):
    """Each word is the keyword of its meaning."""
    monkeypatch.setattr("pylibsshext.ssh_config.local_user", lambda: "root")
    base = {"host": "h", "original_host": "h", "config_file": "none", "ssh_options": (line,)}
    assert resolve(line) == base | keywords


@pytest.mark.parametrize(
    "line",
    [
        "Compression perhaps",
        "ConnectTimeout soon",
        "SetEnv A",
        "ConnectionAttempts x",
        "Port 0",
        "Port 65536",
        "ProxyJump %x",
        "PubkeyAuthentication perhaps",
        "RekeyLimit much",
    ],
)
def test_values_that_make_no_sense(line):
    """The word and its value are named."""
    with pytest.raises(ConfigError, match=line.split()[0].lower()):
        resolve(line)


def test_explicit_ones_win():
    """Over lines, and lines over files."""
    found = resolve("Port 1", "User you", "ProxyJump b", "Ciphers a", port=2, proxycommand="none", ciphers="c")
    assert (found["port"], found["user"], found["proxycommand"], found["ciphers"]) == (2, "you", "none", "c")
    assert "proxy_jump" not in found


def test_files(tmp_path, monkeypatch):
    """Without config_file the user's and the machine's are read, below $HOME; a file that is named must be there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host h\nPort 7\nInclude more\n")
    (tmp_path / ".ssh/more").write_text("User me\n")
    found = settings.resolve({"host": "h", "ssh_options": ["Port 6"]})
    assert (found["port"], found["user"]) == (6, "me")
    assert settings.config_files({})[0] == str(tmp_path / ".ssh/config")
    with pytest.raises(LibsshSessionException, match="gone is not a file"):
        settings.config_files({"config_file": tmp_path / "gone"})


def test_unhonoured():
    """What no session can do is named, but not what changes nothing."""
    lines = [
        "LocalForward 1 h:2",
        "ForwardX11 no",
        "ForwardX11=yes",
        "ControlPath /x",
        "user me",
        "RekeyLimit 1G",
        "Nonsense x",
        "ServerAliveInterval 3",
        "Protocol 2",
        "IgnoreUnknown UseKeychain,Odd*",
        "UseKeychain yes",
        "OddWord x",
    ]
    assert settings.unhonoured(lines) == ["LocalForward 1 h:2", "ForwardX11=yes", "Nonsense x"]


def test_unattended():
    """BatchMode asks nothing, and the first one counts."""
    assert settings.unattended(["Port 1", "BatchMode=yes", "BatchMode no"])
    assert not settings.unattended(["BatchMode no", "BatchMode yes"])
    assert not settings.unattended([])


def test_unsupported():
    """Algorithms that are asked for in vain are named, by keywords and by lines."""
    lines = ["HostKeyAlgorithms +ssh-rsa,ssh-dss", "Ciphers ^nonsense", "MACs -nonsense", "Port 22"]
    explicit = {"ssh_options": lines, "ciphers": "aes256-ctr,aes-256", "compression": True, "host": "h"}
    assert settings.unsupported(explicit) == {"hostkeys": ["ssh-dss"], "ciphers": ["aes-256"]}
    assert settings.unsupported({"host": "h", "ssh_options": ["Port 22"]}) == {}


def test_environment(monkeypatch):
    """SendEnv picks from ours, by patterns, and takes back; SetEnv comes on top."""
    for name in ("PX_A", "PX_B", "PX_C"):
        monkeypatch.setenv(name, name.lower())
    about = {"send_env": ["PX_*", "-PX_B"], "set_env": {"PX_C": "set", "D": "d"}}
    assert settings.environment(about) == {"PX_A": "px_a", "PX_C": "set", "D": "d"}


def test_every_keyword_is_one_of_connects():
    """No word stands for a keyword that connect() would not know."""
    known = {*options.OPTS_MAP, *options.EXTRA_OPTIONS, *options.CONNECT_KEYWORDS}
    assert {keyword for keyword, _ in settings._MEANINGS.values()} <= known
