# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the connection plugin to the keywords of ``Session.connect``. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

# Option of the plugin: keyword of Session.connect.
_KEYWORDS = {
    "remote_addr": "host",
    "port": "port",
    "remote_user": "user",
    "password": "password",
    "password_prompt": "password_prompt",
    "keyboard_interactive_answers": "kbdint_answers",
    "private_key": "private_key",
    "private_key_passphrase": "private_key_password",
    "identities": "identities",
    "identities_only": "identities_only",
    "certificate": "certificate",
    "certificate_file": "certificate_file",
    "agent": "agent",
    "forward_agent": "forward_agent",
    "security_key_provider": "security_key_provider",
    "pkcs11_provider": "pkcs11_provider",
    "look_for_keys": "look_for_keys",
    "host_key": "host_key",
    "host_key_alias": "host_key_alias",
    "preferred_authentications": "preferred_authentications",
    "gss_auth": "gss_auth",
    "gss_kex": "gss_kex",
    "gss_deleg_creds": "gssapi_delegate_credentials",
    "gss_server_identity": "gssapi_server_identity",
    "gss_client_identity": "gssapi_client_identity",
    "known_hosts_file": "knownhosts",
    "global_known_hosts_file": "global_knownhosts",
    "revoked_host_keys_file": "revoked_host_keys",
    "timeout": "timeout",
    "persistent_connect_timeout": "auth_timeout",
    "config_file": "config_file",
    "proxy_command": "proxycommand",
    "proxy_jump": "proxy_jump",
    "proxy_jump_logins": "proxy_jump_logins",
    "proxy": "proxy",
    "unix_socket": "unix_socket",
    "address_family": "address_family",
    "bind_address": "bind_address",
    "banner_timeout": "banner_timeout",
    "server_alive_interval": "server_alive_interval",
    "server_alive_count_max": "server_alive_count_max",
    "key_exchange_algorithms": "key_exchange_algorithms",
    "publickey_accepted_algorithms": "publickey_accepted_algorithms",
    "hostkeys": "hostkeys",
    "ciphers": "ciphers",
    "macs": "macs",
    "compression": "compression",
    "rsa_min_size": "rsa_min_size",
    "legacy_algorithms": "legacy_algorithms",
}
_PATHS = {"pkcs11_provider", "security_key_provider", "config_file"}

# These leave it to ssh_args and ssh_config, unless they differ from what the plugin's documentation has for them.
_DEFAULTS: dict[str, object] = {"timeout": 10, "proxy_jump_logins": 1}

OPTIONS = (*_KEYWORDS, "identity_agent", "private_key_file", "host_key_checking", "host_key_auto_add", "prefer_installed")

# Where algorithms may be asked for.
ALGORITHMS = ("key_exchange_algorithms", "publickey_accepted_algorithms", "hostkeys", "ciphers", "macs", "ssh_options")

# How a hop of proxy_jump may call them, too.
_SHORT = {"host": "remote_addr", "user": "remote_user"}

# Ansible's ways to write a boolean; "yes" and "no" are OpenSSH's words, too.
_TRUE = {"true", "t", "y", "1", "1.0", "on"}
_FALSE = {"false", "f", "n", "0", "0.0", "off", "no"}


def plain(value: Any) -> Any:
    """Return *value* as an exact builtin: ansible-core 2.19 and later hand out tagged subclasses of ``str``.

    Older ones decrypt the value of an option, but leave vaulted texts inside of lists and mappings to the plugin.
    """
    if getattr(value, "__ENCRYPTED__", False):
        return str(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {plain(name): plain(item) for name, item in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def merged(options: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Let *arguments*, read from ssh_args and its kin, stand where an option is not set."""
    result = {name: plain(value) for name, value in options.items()}
    for name, value in arguments.items():
        if result.get(name) in (None, ""):
            result[name] = value
    return result


def connect_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to call ``Session.connect`` with; what is not set is left out, for the library's or the file's default."""
    keywords = {}
    for option, keyword in _KEYWORDS.items():
        value = options.get(option)
        if value not in (None, "") and value != _DEFAULTS.get(option):
            keywords[keyword] = os.path.expanduser(value) if option in _PATHS else value
    if options.get("private_key_file"):
        keywords["identities"] = [os.path.expanduser(options["private_key_file"]), *keywords.get("identities", ())]
    if options.get("identity_agent") and options.get("agent") is not False:
        keywords["agent"] = _agent(options["identity_agent"])
    checking = _checking(options.get("host_key_checking"), bool(options.get("host_key_auto_add")))
    if checking is not None:
        keywords["host_key_checking"] = checking
    if options.get("ssh_options"):
        keywords["ssh_options"] = options["ssh_options"]
    return keywords


def hops(value: Any) -> Any:
    """Return proxy_jump with the mappings in it as keywords of the library; ``ValueError`` for what makes no sense."""
    if not isinstance(value, (Mapping, list, tuple)):
        return value
    return [_hop(hop) if isinstance(hop, Mapping) else hop for hop in ([value] if isinstance(value, Mapping) else value)]


def _hop(hop: Mapping[str, Any]) -> dict[str, Any]:
    options = {_SHORT.get(name, name): value for name, value in plain(hop).items()}
    for name in options:
        if name not in OPTIONS or name == "proxy_jump":
            raise ValueError(
                f"a hop has no {name!r}; it may have {', '.join((*_SHORT, 'port', 'password', 'private_key_file'))} and other options"
            )
    if not options.get("remote_addr"):
        raise ValueError("a hop has no host")
    return connect_keywords(options)


def _checking(value: Any, auto_add: bool) -> str | None:
    """Return how OpenSSH calls a setting of host_key_checking; None for the default, which ssh_config may change."""
    text = "true" if value is None else str(value).lower()
    if text in _FALSE:
        return "no"
    if auto_add:
        return "accept-new"
    return None if text in _TRUE else text


def _agent(value: str) -> str | bool:
    """Return what ssh_config's IdentityAgent means to ``Session.connect``."""
    return {"none": False, "SSH_AUTH_SOCK": True}.get(value, os.path.expanduser(value))


def destination(options: Mapping[str, Any]) -> str:
    """Return ``user@host:port`` as far as it is known, for messages."""
    user = f"{options['remote_user']}@" if options.get("remote_user") else ""
    host = options["remote_addr"]
    if ":" in host:
        host = f"[{host}]"
    return f"{user}{host}:{options.get('port') or 22}"
