# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``ssh`` program's command line, read as lines of ssh_config. Private to this collection."""

from __future__ import annotations

import getopt
import shlex
from typing import NamedTuple

_FLAGS = {
    "-4": "AddressFamily inet",
    "-6": "AddressFamily inet6",
    "-A": "ForwardAgent yes",
    "-a": "ForwardAgent no",
    "-C": "Compression yes",
    "-k": "GSSAPIDelegateCredentials no",
}
_WITH_VALUE = {
    "-B": "BindInterface",
    "-b": "BindAddress",
    "-c": "Ciphers",
    "-I": "PKCS11Provider",
    "-i": "IdentityFile",
    "-J": "ProxyJump",
    "-m": "MACs",
}
# These have an option of the plugin, which messages and other plugins show.
_OPTIONS = {"port": "port", "user": "remote_user"}
_OPTION_FLAGS = {"-p": "port", "-l": "user"}

# These tell the ssh program how to share, log or keep its process, or its terminal: there is no such process here.
_POINTLESS = {"-f", "-M", "-n", "-N", "-q", "-T", "-t", "-v", "-x", "-y", "-S", "-E", "-e", "-O", "-P"}
_LETTERS = "46AaCfGgKkMNnqsTtVvXxYy" + "".join(f"{letter}:" for letter in "BbcDEeFIiJLlmOopPQRSWw")


class Arguments(NamedTuple):
    """What a command line says: options of the plugin, lines of ssh_config, and what can't be had."""

    options: dict[str, object]
    lines: list[str]
    ignored: list[str]


def parse(*lines: str | None) -> Arguments:
    """Read command lines; as with ``ssh``, the first value of an option wins.

    Raises ``ValueError`` for what ``ssh`` would refuse to read.
    """
    words = [word for line in lines if line for word in shlex.split(line)]
    try:
        switches, rest = getopt.getopt(words, _LETTERS)
    except getopt.GetoptError as exc:
        raise ValueError(str(exc)) from exc
    found = Arguments({}, [], list(rest))
    for switch, value in switches:
        if switch == "-o":
            _add(found, value.strip())
        elif switch == "-F":
            found.options.setdefault("config_file", value)
        elif switch in _OPTION_FLAGS:
            _add(found, f"{_OPTION_FLAGS[switch]} {value}")
        elif switch in _FLAGS:
            found.lines.append(_FLAGS[switch])
        elif switch == "-K":
            found.lines.extend(["GSSAPIAuthentication yes", "GSSAPIDelegateCredentials yes"])
        elif switch in _WITH_VALUE:
            found.lines.append(f"{_WITH_VALUE[switch]} {_quoted(value)}")
        elif switch not in _POINTLESS:
            found.ignored.append(f"{switch} {value}".strip())
    return found


def _add(found: Arguments, line: str) -> None:
    """Take a line, as an option of the plugin where it has one."""
    word, _blank, rest = line.replace("=", " ", 1).partition(" ")
    option = _OPTIONS.get(word.lower())
    if option:
        value = rest.strip().strip('"')
        found.options.setdefault(option, int(value) if option == "port" else value)
    else:
        found.lines.append(line)


def _quoted(value: str) -> str:
    """Return a value as one word of a line; the lists of words that ``-J`` takes have no blanks."""
    return f'"{value}"' if " " in value else value
