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
    "-P": "Tag",
}
# Of all others the last one counts, and comes before any -o.
_IN_ORDER = {"-i", "-J"}
# These have an option of the plugin, which messages and other plugins show.
_OPTIONS = {"port": "port", "user": "remote_user"}
_OPTION_FLAGS = {"-p": "port", "-l": "user"}

# These tell the ssh program how to share, log or keep its process, or its terminal: there is no such process here.
_POINTLESS = {"-2", "-f", "-M", "-n", "-N", "-q", "-T", "-t", "-v", "-x", "-y", "-S", "-E", "-e", "-O"}
_NOT_HERE = {"host", "include", "match"}  # which files have
_LETTERS = "246AaCfGgKkMNnqsTtVvXxYy" + "".join(f"{letter}:" for letter in "BbcDEeFIiJLlmOopPQRSWw")


class Arguments(NamedTuple):
    """What a command line says: options of the plugin, lines of ssh_config, and what can't be had."""

    options: dict[str, object]
    lines: list[str]
    ignored: list[str]


def parse(*lines: str | None) -> Arguments:
    """Read command lines as ``ssh`` does: the first ``-o`` of a word wins, and over it the last switch that means the same.

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
            found.options["config_file"] = value
        elif switch in _OPTION_FLAGS:
            _set(found, _OPTION_FLAGS[switch], value)
        elif switch in _FLAGS:
            found.lines.insert(0, _FLAGS[switch])
        elif switch == "-K":
            found.lines[:0] = ["GSSAPIAuthentication yes", "GSSAPIDelegateCredentials yes"]
        elif switch in _WITH_VALUE:
            if switch == "-J" and any(_word(line)[0] in ("proxyjump", "proxycommand") for line in found.lines):
                raise ValueError(
                    f"-J {value} comes after another ProxyJump or ProxyCommand; one -J takes several hosts, with commas"
                )
            line = f"{_WITH_VALUE[switch]} {_quoted(value)}"
            found.lines.insert(len(found.lines) if switch in _IN_ORDER else 0, line)
        elif switch not in _POINTLESS:
            found.ignored.append(f"{switch} {value}".strip())
    return found


def _add(found: Arguments, line: str) -> None:
    """Take a line of ssh_config, as an option of the plugin where it has one."""
    word, rest = _word(line)
    if word in _NOT_HERE:
        raise ValueError(f"{line}: that is for ssh_config files only")
    if word in _OPTIONS:
        values = shlex.split(rest)
        if len(values) != 1:
            raise ValueError(f"{line}: it is not one value")
        _set(found, word, values[0])
    elif line and not line.startswith("#"):
        found.lines.append(line)


def _word(line: str) -> tuple[str, str]:
    """Return the word that a line is about, in lower case, and the rest."""
    word, _blank, rest = line.replace("=", " ", 1).partition(" ")
    return word.lower(), rest


def _set(found: Arguments, word: str, value: str) -> None:
    if word == "port" and not (value.isdecimal() and 0 < int(value) < 65536):
        raise ValueError(f"{value!r} is no port")
    found.options.setdefault(_OPTIONS[word], int(value) if word == "port" else value)


def _quoted(value: str) -> str:
    """Return a value as one word of a line; the lists of words that ``-J`` takes have no blanks."""
    return f'"{value}"' if " " in value else value
