# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``ssh`` program's command line, read as options of the connection plugin. Private to this collection."""

from __future__ import annotations

import getopt
import shlex
from typing import NamedTuple

_FLAGS = "46AaCfGgKkMNnqsTtVvXxYy"
_WITH_VALUE = "BbcDEeFIiJLlmOopPQRSWw"
_SHORT = {
    "-c": "Ciphers",
    "-F": "ConfigFile",
    "-i": "IdentityFile",
    "-J": "ProxyJump",
    "-l": "User",
    "-m": "MACs",
    "-p": "Port",
}

# What OpenSSH calls it, in lower case: what the plugin calls it.
_SAME = {
    "ciphers": "ciphers",
    "configfile": "config_file",
    "connecttimeout": "timeout",
    "hostkeyalgorithms": "hostkeys",
    "identityfile": "private_key_file",
    "kexalgorithms": "key_exchange_algorithms",
    "macs": "macs",
    "port": "port",
    "proxycommand": "proxy_command",
    "pubkeyacceptedalgorithms": "publickey_accepted_algorithms",
    "pubkeyacceptedkeytypes": "publickey_accepted_algorithms",
    "user": "remote_user",
    "userknownhostsfile": "known_hosts_file",
}
_NUMBERS = {"port", "timeout"}
_TRUST = {
    "yes": {},
    "ask": {},
    "accept-new": {"host_key_auto_add": True},
    "no": {"host_key_checking": False},
    "off": {"host_key_checking": False},
}

# These tell the ssh program how to share, log or keep its process: there is no such process here.
_POINTLESS = {"controlmaster", "controlpath", "controlpersist", "batchmode", "loglevel", "requesttty"}
_POINTLESS_FLAGS = {"-a", "-f", "-M", "-n", "-N", "-q", "-T", "-t", "-v", "-x", "-S", "-E"}


class Arguments(NamedTuple):
    """What a command line says: options of the plugin, and what can't be had."""

    options: dict[str, object]
    ignored: list[str]


def parse(*lines: str | None) -> Arguments:
    """Read command lines; as with ``ssh``, the first value of an option wins.

    Raises ``ValueError`` for what ``ssh`` would refuse to read.
    """
    words = [word for line in lines if line for word in shlex.split(line)]
    try:
        switches, rest = getopt.getopt(words, _FLAGS + "".join(f"{letter}:" for letter in _WITH_VALUE))
    except getopt.GetoptError as exc:
        raise ValueError(str(exc)) from exc
    found = Arguments({}, list(rest))
    for switch, value in switches:
        if switch == "-o":
            _add(found, *_split(value))
        elif switch == "-C":
            _add(found, "Compression", "yes")
        elif switch in _SHORT:
            _add(found, _SHORT[switch], value)
        elif switch not in _POINTLESS_FLAGS:
            found.ignored.append(f"{switch} {value}".strip())
    return found


def _split(text: str) -> tuple[str, str]:
    """Split ``Name=value`` or ``Name value``."""
    name, equals, value = text.partition("=")
    if not equals or " " in name.strip():
        name, _, value = text.strip().partition(" ")
    return name.strip(), value.strip().strip('"')


def _add(found: Arguments, name: str, value: str) -> None:
    key = name.lower()
    options: dict[str, object]
    if key in _SAME:
        option = _SAME[key]
        options = {option: int(value) if option in _NUMBERS else value}
    elif key == "compression":
        options = {"compression": value.lower() == "yes"}
    elif key == "stricthostkeychecking" and value.lower() in _TRUST:
        options = dict(_TRUST[value.lower()])
    elif key in _POINTLESS:
        return
    else:
        found.ignored.append(f"{name}={value}")
        return
    for option, meaning in options.items():
        found.options.setdefault(option, meaning)
