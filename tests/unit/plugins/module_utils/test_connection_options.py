# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the plugin as keywords of the library."""

from __future__ import annotations

import pytest
from ansible_collections.ansible.netcommon.plugins.module_utils import _connection_options as subject

from pylibsshext.mux import client


class Tagged(str):
    """A stand-in for the tagged strings of ansible-core 2.19 and later."""

    __slots__ = ()


def test_only_what_is_set_is_handed_on():
    """The library's defaults, and the configuration file's, stand where nothing is set."""
    options = dict.fromkeys(subject.OPTIONS) | {"remote_addr": "h", "hostkeys": "", "look_for_keys": False, "timeout": 10}
    assert subject.connect_keywords(options) == {"host": "h", "look_for_keys": False}
    assert subject.connect_keywords(options | {"timeout": 11})["timeout"] == 11


def test_key_file_and_paths_of_the_home_directory(monkeypatch):
    """A tilde means the home directory, in each option that is a path."""
    monkeypatch.setenv("HOME", "/home/me")
    options = {"private_key_file": "~/key", "config_file": "~/config"}
    assert subject.connect_keywords(options) == {
        "identities": ["/home/me/key"],
        "config_file": "/home/me/config",
    }


@pytest.mark.parametrize("value", [Tagged("x"), [Tagged("x")], 5, True, None])
def test_values_are_exact_builtins(value):
    """No subclass reaches the extension module."""
    result = subject.plain(value)
    assert result == value
    assert type(result) in (str, list, int, bool, type(None))
    assert not isinstance(result, list) or type(result[0]) is str


def test_arguments_fill_what_is_not_set():
    """An option that the user has set wins over ssh_args."""
    options = {"port": None, "config_file": "", "remote_user": "me"}
    arguments = {"port": 1, "config_file": "f", "remote_user": "you"}
    assert subject.merged(options, arguments) == arguments | {"remote_user": "me"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"remote_addr": "h"}, "h:22"),
        ({"remote_addr": "h", "port": 2222, "remote_user": "me"}, "me@h:2222"),
        ({"remote_addr": "fe80::1", "port": None}, "[fe80::1]:22"),
    ],
)
def test_destination_is_what_people_write(options, text):
    """User, host and port in one word."""
    assert subject.destination(options) == text


@pytest.mark.parametrize(
    ("checking", "auto_add", "keyword"),
    [
        (True, None, None),
        ("True", None, None),
        ("on", False, None),
        ("ask", None, "ask"),
        ("yes", None, "yes"),
        (Tagged("accept-new"), None, "accept-new"),
        ("no", None, "no"),
        (False, None, "no"),
        ("0", None, "no"),
        (True, True, "accept-new"),
        ("yes", True, "accept-new"),
        (False, True, "no"),
        ("perhaps", None, "perhaps"),
    ],
)
def test_host_key_checking(checking, auto_add, keyword):
    """OpenSSH's words and netcommon's booleans; the default leaves it to ssh_config."""
    options = {"host_key_checking": checking, "host_key_auto_add": auto_add}
    assert subject.connect_keywords(options).get("host_key_checking") == keyword


BASE = {"remote_addr": "h", "config_file": "none"}
# A value for each option that is not its default.
CHANGED = {
    "remote_addr": "H",
    "port": 2222,
    "remote_user": "u",
    "password": "p",
    "password_prompt": "Token:",
    "keyboard_interactive_answers": [{"prompt": "Token", "answer": "1"}],
    "private_key": "k",
    "private_key_passphrase": "p",
    "identities": ["/k"],
    "identities_only": True,
    "certificate": "c",
    "certificate_file": ["/c"],
    "agent": False,
    "forward_agent": True,
    "security_key_provider": "/sk.so",
    "pkcs11_provider": "/p11.so",
    "look_for_keys": False,
    "host_key": "ssh-ed25519 AAAA",
    "host_key_alias": "a",
    "preferred_authentications": ["publickey"],
    "gss_auth": True,
    "gss_kex": True,
    "gss_deleg_creds": True,
    "gss_server_identity": "s",
    "gss_client_identity": "c",
    "known_hosts_file": "/known",
    "global_known_hosts_file": "/global",
    "revoked_host_keys_file": "/revoked",
    "timeout": 11,
    "persistent_connect_timeout": 31,
    "config_file": "/config",
    "proxy_command": "nc %h %p",
    "proxy_jump": "b",
    "proxy_jump_logins": 3,
    "proxy": "socks5://p",
    "unix_socket": "/sock",
    "address_family": "inet6",
    "bind_address": "127.0.0.2",
    "banner_timeout": 1.5,
    "server_alive_interval": 5,
    "server_alive_count_max": 5,
    "key_exchange_algorithms": "curve25519-sha256",
    "publickey_accepted_algorithms": "ssh-ed25519",
    "hostkeys": "ssh-ed25519",
    "ciphers": "aes256-ctr",
    "macs": "hmac-sha2-512",
    "compression": True,
    "rsa_min_size": 4096,
    "legacy_algorithms": True,
    "identity_agent": "/agent",
    "private_key_file": "/key",
    "host_key_checking": "no",
    "host_key_auto_add": True,
    "ssh_options": ["Compression yes"],
}


def holders_digest(options):
    """Return by which digest the connection holder knows a connection with these options."""
    session = client.MuxSession()
    session._keywords = client._portable(subject.connect_keywords(options))
    return session._about()["digest"]


def test_every_option_of_a_connection_is_in_its_identity():
    """Connections that differ in any option share no login, neither theirs nor that of a hop on their way."""
    # Another copy of the library has another holder.
    assert set(CHANGED) == {*subject.OPTIONS, "ssh_options"} - {"prefer_installed"}
    found = {name: holders_digest(BASE | {name: value}) for name, value in CHANGED.items()}
    found["none"] = holders_digest(BASE)
    assert holders_digest({**BASE, "timeout": 10, "ciphers": "", "port": None}) == found["none"]
    for name in set(CHANGED) - {"proxy_jump", "ssh_options"}:
        hop = {"remote_addr": "b", name: CHANGED[name]}
        found[f"{name} of a hop"] = holders_digest(BASE | {"proxy_jump": subject.hops([hop])})
    assert len(set(found.values())) == len(found)
