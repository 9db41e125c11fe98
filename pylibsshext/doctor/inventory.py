# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the keywords of a connection to the variables of an Ansible inventory that make the same one."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

PLUGIN = "ansible.netcommon.libssh"

_URL_PASSWORD = re.compile(r"(\w+://[^/@:]*:)[^/]+@")

# Keyword of Session.connect: variable of the connection plugin.
VARIABLES = {
    "host": "ansible_host",
    "port": "ansible_port",
    "user": "ansible_user",
    "identities": "ansible_libssh_identities",
    "identities_only": "ansible_libssh_identities_only",
    "certificate_file": "ansible_libssh_certificate_file",
    "agent": "ansible_libssh_agent",
    "forward_agent": "ansible_libssh_forward_agent",
    "pkcs11_provider": "ansible_ssh_pkcs11_provider",
    "security_key_provider": "ansible_libssh_security_key_provider",
    "gss_kex": "ansible_libssh_gss_kex",
    "look_for_keys": "ansible_libssh_look_for_keys",
    "preferred_authentications": "ansible_libssh_preferred_authentications",
    "gss_auth": "ansible_libssh_gss_auth",
    "gssapi_delegate_credentials": "ansible_libssh_gss_deleg_creds",
    "gssapi_server_identity": "ansible_libssh_gss_server_identity",
    "gssapi_client_identity": "ansible_libssh_gss_client_identity",
    "knownhosts": "ansible_libssh_known_hosts_file",
    "global_knownhosts": "ansible_libssh_global_known_hosts_file",
    "host_key": "ansible_libssh_host_key",
    "host_key_alias": "ansible_libssh_host_key_alias",
    "revoked_host_keys": "ansible_libssh_revoked_host_keys_file",
    "config_file": "ansible_libssh_config_file",
    "proxycommand": "ansible_libssh_proxy_command",
    "proxy_jump": "ansible_libssh_proxy_jump",
    "proxy": "ansible_libssh_proxy",
    "unix_socket": "ansible_libssh_unix_socket",
    "address_family": "ansible_libssh_address_family",
    "bind_address": "ansible_libssh_bind_address",
    "rsa_min_size": "ansible_libssh_rsa_min_size",
    "legacy_algorithms": "ansible_libssh_legacy_algorithms",
    "host_key_checking": "ansible_host_key_checking",
    "password_prompt": "ansible_libssh_password_prompt",
    "key_exchange_algorithms": "ansible_libssh_key_exchange_algorithms",
    "hostkeys": "ansible_libssh_hostkeys",
    "publickey_accepted_algorithms": "ansible_libssh_publickey_algorithms",
    "ciphers": "ansible_libssh_ciphers",
    "macs": "ansible_libssh_macs",
    "compression": "ansible_libssh_compression",
    "timeout": "ansible_ssh_timeout",
    "auth_timeout": "ansible_connect_timeout",
}

# What is nobody's to read: the inventory gets the name of a vault's variable.
SECRETS = {
    "private_key": ("ansible_private_key", "{{ vault_private_key }}"),
    "kbdint_answers": ("ansible_libssh_keyboard_interactive_answers", "{{ vault_answers }}"),
    "password": ("ansible_password", "{{ vault_password }}"),
    "private_key_password": ("ansible_private_key_passphrase", "{{ vault_passphrase }}"),
}


def variables(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to set for a connection that *keywords* made, secrets by a name for them."""
    found: dict[str, Any] = {"ansible_connection": PLUGIN}
    for keyword, variable in VARIABLES.items():
        value = keywords.get(keyword)
        if value not in (None, "", [], ()):
            found[variable] = plain(value)
    identities = keywords.get("identities") or []
    if len(identities) == 1:
        found["ansible_private_key_file"] = found.pop(VARIABLES["identities"])[0]
    if keywords.get("ssh_options"):
        found["ansible_ssh_common_args"] = shlex.join(word for line in keywords["ssh_options"] for word in ("-o", line))
    found.update({name: value for keyword, (name, value) in SECRETS.items() if keywords.get(keyword)})
    return found


def plain(value: Any) -> Any:
    """Return *value* in the types that JSON has, and with names where it has secrets: in jump hosts, or a proxy's URL."""
    if isinstance(value, Mapping):
        return {name: SECRETS[name][1] if name in SECRETS else plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (bytes, os.PathLike)):
        value = os.fsdecode(value)
    return _URL_PASSWORD.sub(r"\1{{ vault_proxy_password }}@", value) if isinstance(value, str) else value
