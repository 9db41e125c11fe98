# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the keywords of a connection to the variables of an Ansible inventory that make the same one."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

from ..variables import SECRETS, VARIABLES

PLUGIN = "ansible.netcommon.libssh"

# Options that are not called as their variables are.
_OF_HOPS = {"auth_timeout": "persistent_connect_timeout", "publickey_accepted_algorithms": "publickey_accepted_algorithms"}
_PIN = re.compile(r"(\bpin-value=)[^&;?]*")
_URL_PASSWORD = re.compile(r"(\w+://[^/@:]*:)[^/]+@")


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


def public(text: str) -> str:
    """Return what stands on a command line, where everybody can read it, if it has neither a token's PIN nor a proxy's password."""
    if plain(text) != text:
        raise argparse.ArgumentTypeError(
            "a password or PIN would be for all to see here; a PIN is asked for where it is left out"
        )
    return text


def in_hop(keyword: str) -> str:
    """Return what a keyword is called in a mapping of proxy_jump: as the option of the plugin."""
    variable = VARIABLES.get(keyword) or SECRETS.get(keyword, (keyword,))[0]
    return _OF_HOPS.get(keyword) or re.sub("^ansible_(libssh_|ssh_)?", "", variable)


def plain(value: Any) -> Any:
    """Return *value* in the types that JSON has, and with names where it has secrets: in jump hosts, a proxy's URL or a token's."""
    if isinstance(value, Mapping):
        return {in_hop(name): SECRETS[name][1] if name in SECRETS else plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (bytes, os.PathLike)):
        value = os.fsdecode(value)
    if not isinstance(value, str):
        return value
    return _PIN.sub(r"\1{{ vault_pin }}", _URL_PASSWORD.sub(r"\1{{ vault_proxy_password }}@", value))
