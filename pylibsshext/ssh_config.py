# SPDX-License-Identifier: LGPL-2.1-or-later
"""ssh_config(5), read as OpenSSH's client does: which words hold for a host, and with which values.

What they mean for a session is said in `settings`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from .errors import LibsshSessionException
from .hostkeys import wildcard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# What OpenSSH refuses in names that go through a shell, and "$" and white space in user names, too.
_BAD_HOST = r"^-|[\s\x00-\x1f\x7f'`\"$\\;&<>|(){}]"
_BAD_USER = r"^-|[\s\x00-\x1f\x7f'`\"$;&<>|(){}]|\\$"

SYSTEM_FILE = "/etc/ssh/ssh_config"

# Distributions have "SendEnv LANG LC_*" there, and with libssh each variable takes a round trip before each command.
_NOT_OF_THE_MACHINE = frozenset({"sendenv"})

_DEPTH = 16  # of files that include each other
_EXEC_TIMEOUT = 30.0  # seconds for a command of "Match exec"
_LOOKUP_TIMEOUT = 10.0  # and for the name service to say what a host's own name is

# All values count, in order; of any other word the first one does.
_ALL_COUNT = {"identityfile", "certificatefile", "sendenv", "localforward", "remoteforward", "dynamicforward"}
_ALIASES = {
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "hostbasedkeytypes": "hostbasedacceptedalgorithms",
    "dsaauthentication": "pubkeyauthentication",
}
YES = {"yes": True, "true": True, "no": False, "false": False}
# The way to the host is one setting of two words: whichever comes first.
_WAYS = {"proxycommand", "proxyjump"}
_ALONE = {"all", "canonical", "final"}

OWN = {
    "canonicaldomains", "canonicalizefallbacklocal", "canonicalizehostname", "canonicalizemaxdots", "canonicalizepermittedcnames",
    "host", "include", "match", "tag",
}  # fmt: skip
"""The words that say how to read the others."""


class ConfigError(LibsshSessionException, ValueError):
    """An ssh_config file cannot be read."""


class Config:
    """What the lines and files read so far say about one host."""

    def __init__(
        self,
        host: str,
        user: str | None = None,
        port: int | None = None,
        directory: str | None = None,
        direct: bool | None = None,
    ) -> None:
        """Begin with what is given; *direct* tells whether the way is straight to the host, None: as the lines say."""
        self._direct = direct
        self.original = self._name = host
        self.directory = os.path.expanduser(directory or "~/.ssh")
        self._values: dict[str, list[str]] = {}
        self._wants_final = self._final = False
        self._skipped: frozenset[str] = frozenset()
        if user:
            self._values["user"] = [quoted(user)]
        if port:
            self._values["port"] = [str(port)]

    def read(self, lines: Iterable[str], files: Sequence[str]) -> None:
        """Read *lines* (as ``-o`` has them), then *files*; twice, if a ``Match final`` or CanonicalizeHostname asks for it."""
        lines = list(lines)
        self._read_all(lines, files)
        canonicalize = self._choice("canonicalizehostname", {**YES, "always": True})
        if not canonicalize and not self._wants_final:
            return
        # Blocks are chosen by the name that the first reading has led to.
        self._name = (self._canonical() if canonicalize else self.host).lower()
        self._values["hostname"] = [quoted(self._name.replace("%", "%%"))]
        self._final = True
        self._read_all(lines, files)

    def _read_all(self, lines: Sequence[str], files: Sequence[str]) -> None:
        self._read_lines(lines, "-o", self.directory, 0, True)
        for path in files:
            self._skipped = _NOT_OF_THE_MACHINE if path == SYSTEM_FILE else frozenset()
            self._read_file(path, os.path.dirname(path) if path == SYSTEM_FILE else self.directory, 0, True)

    # The host's own name: CanonicalizeHostname

    def _canonical(self) -> str:
        """Return the full name of the host, as the domains that are to be tried and the name service have it."""
        host = self.host.lower()
        direct = all(self.raw(word) in (None, "none") for word in _WAYS) if self._direct is None else self._direct
        if not direct and self.get("canonicalizehostname") != "always":
            return host  # the proxy will look it up
        domains = [] if _is_address(host) else self._domains(host)
        for full in domains:
            name = self._lookup(full)
            if name is not None:
                return self._renamed(full.rstrip("."), name)
        if domains and not self._choice("canonicalizefallbacklocal", YES, default=True):
            raise ConfigError(f"reading the ssh configuration failed: no such host as {', '.join(domains)}")
        return self._renamed(host, self._lookup(host)) if self._cnames() and not _is_address(host) else host

    def _domains(self, host: str) -> list[str]:
        """Return the full names that a name may stand for, each with a dot at its end."""
        if host.endswith("."):
            return [host]
        try:
            most = int(self.get("canonicalizemaxdots") or 1)
        except ValueError as exc:
            raise ConfigError(f"reading the ssh configuration failed: canonicalizemaxdots: {exc}") from exc
        domains = [domain for row in self.rows("canonicaldomains") for domain in row if domain != "none"]
        return [f"{host}.{domain.strip('.')}." for domain in domains] if host.count(".") <= most else []

    def _lookup(self, name: str) -> str | None:
        import socket

        from . import transport  # which needs some of this module

        family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(self.get("addressfamily") or "", 0)
        return transport.canonical_name(name, family, _LOOKUP_TIMEOUT)

    def _cnames(self) -> list[tuple[str, str]]:
        """Return which CNAMEs may be followed: patterns of names, and of what these may lead to."""
        rules = [rule for row in self.rows("canonicalizepermittedcnames") for rule in row if rule != "none"]
        pairs = [rule.split(":") for rule in rules]
        if not all(len(pair) == 2 and all(pair) for pair in pairs):
            raise ConfigError(
                f"reading the ssh configuration failed: canonicalizepermittedcnames {' '.join(rules)}: not FROM:TO"
            )
        return [(source.lower(), target.lower()) for source, target in pairs]

    def _renamed(self, name: str, cname: str | None) -> str:
        """Return the name that a CNAME leads to, if it may be followed."""
        target = (cname or "").rstrip(".").lower()
        allowed = any(in_list(source, name) and in_list(leads, target) for source, leads in self._cnames())
        return target if target and allowed else name

    def _choice(self, word: str, values: Mapping[str, bool], default: bool = False) -> bool:
        value = self.get(word)
        if value is None:
            return default
        if value.lower() not in values:
            raise ConfigError(f"reading the ssh configuration failed: {word} {value}: it is not one of {', '.join(values)}")
        return values[value.lower()]

    # What was found

    def words(self) -> list[str]:
        """Return the words that have a value, in lower case."""
        return list(self._values)

    def raw(self, word: str) -> str | None:
        """Return what stands behind *word*, unsplit, as for a command; None if nothing does."""
        return self._values[word][0] if word in self._values else None

    def rows(self, word: str) -> list[list[str]]:
        """Return the arguments of each line with *word*."""
        return [arguments(value) for value in self._values.get(word, ())]

    def get(self, word: str) -> str | None:
        """Return the first argument of *word*, None if it has no value."""
        rows = self.rows(word)
        return rows[0][0] if rows and rows[0] else None

    @property
    def host(self) -> str:
        """The name to connect to."""
        name = self.get("hostname")
        return self.original if name is None else tokens(name, {"h": lambda: self.original})

    @property
    def user(self) -> str:
        """The user to log in as."""
        return self.get("user") or local_user()

    @property
    def port(self) -> int:
        """The port to connect to."""
        return int(self.get("port") or 22)

    def expand(self, text: str) -> str:
        """Replace the tokens, variables and ``~`` in the name of a file."""
        text = re.sub(r"\$\{([^}]*)\}", lambda match: os.environ.get(match[1], ""), text)
        return os.path.expanduser(tokens(text, self._tokens()))

    def _tokens(self) -> dict[str, Callable[[], str]]:
        return {
            "C": self._digest,
            "d": lambda: os.path.expanduser("~"),
            "h": lambda: self.host,
            "i": lambda: str(os.getuid()),
            "j": lambda: self.raw("proxyjump") or "",
            "k": lambda: self.get("hostkeyalias") or self.host,
            "L": lambda: _node().partition(".")[0],
            "l": _node,
            "n": lambda: self.original,
            "p": lambda: str(self.port),
            "r": lambda: self.user,
            "u": local_user,
        }

    def _shell_tokens(self) -> dict[str, Callable[[], str]]:
        """Return the tokens for a command, where names that others have chosen may only be names."""
        checks = {"h": shell_host, "j": shell_host, "k": shell_host, "n": shell_host, "r": shell_user}

        def checked(name: str, value: Callable[[], str]) -> Callable[[], str]:
            return lambda: checks[name](value()) if name in checks else value()

        return {name: checked(name, value) for name, value in self._tokens().items()}

    def _digest(self) -> str:
        import hashlib

        about = f"{_node()}{self.host}{self.port}{self.user}{self.raw('proxyjump') or ''}"
        return hashlib.sha1(about.encode(), usedforsecurity=False).hexdigest()

    # Reading

    def _read_file(self, path: str, base: str, depth: int, active: bool) -> None:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                lines = stream.read().split("\n")
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as exc:
            raise ConfigError(f"reading {path} failed: {exc.strerror}") from exc
        self._read_lines(lines, path, base, depth, active)

    def _read_lines(self, lines: Iterable[str], name: str, base: str, depth: int, enclosed: bool) -> None:
        """Read lines; *enclosed* tells whether the block that includes them holds."""
        active = enclosed
        for number, line in enumerate(lines, 1):
            text = line.strip(" \t\r\n\f")
            if not text or text.startswith("#"):
                continue
            word, rest = split(text)
            try:
                if word == "host":
                    active = enclosed and self._names(arguments(rest))
                elif word == "match":
                    active = self._matches(rest, enclosed)
                elif word == "include":
                    self._include(arguments(rest), base, depth, active)
                elif active and word not in self._skipped:
                    self._set(word, rest)
            except ConfigError:
                raise
            except ValueError as exc:
                raise ConfigError(f"reading {name} line {number} failed: {exc}") from exc

    def _set(self, word: str, rest: str) -> None:
        if not rest:
            raise ValueError(f"{word} has no value")
        if word not in {"proxycommand", "localcommand", "remotecommand", "knownhostscommand"}:
            arguments(rest)  # unbalanced quotes are an error where they are
        if word in _ALL_COUNT:
            values = self._values.setdefault(word, [])
            if rest not in values:
                values.append(rest)
        elif not (word in _WAYS and _WAYS & self._values.keys()):
            self._values.setdefault(word, [rest])

    def _include(self, patterns: Sequence[str], base: str, depth: int, active: bool) -> None:
        import glob

        if depth >= _DEPTH:
            raise ValueError("too many files that include each other")
        for pattern in patterns:
            path = os.path.join(base, os.path.expanduser(pattern))
            for found in sorted(glob.glob(path)):
                self._read_file(found, base, depth + 1, active)

    def _names(self, patterns: Sequence[str]) -> bool:
        """Tell whether a line ``Host`` is about this host."""
        if not patterns:
            raise ValueError("Host has no pattern")
        positive = [pattern for pattern in patterns if not pattern.startswith("!")]
        negative = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
        return _any(positive, self._name) and not _any(negative, self._name)

    def _matches(self, rest: str, enclosed: bool) -> bool:
        """Tell whether the criteria of a line ``Match`` all hold; a command is run only if it would decide."""
        result = enclosed
        if not rest:
            raise ValueError("Match has no criterion")
        while rest:
            criterion, rest = _first(rest)
            negated, criterion = criterion.startswith("!"), criterion.lstrip("!").lower()
            argument = ""
            if criterion not in _ALONE:
                argument, rest = _first(rest)
                if not argument:
                    raise ValueError(f"Match {criterion} has no argument")
            if criterion == "final" and enclosed:
                self._wants_final = True
            if result or criterion in _ALONE:
                result &= self._holds(criterion, argument) is not negated
        return result

    def _holds(self, criterion: str, argument: str) -> bool:
        if criterion == "exec":
            return _succeeds(tokens(argument, self._shell_tokens()))
        subjects: dict[str, Callable[[], str]] = {
            "host": self.host.lower,
            "originalhost": self.original.lower,
            "user": lambda: self.user,
            "localuser": local_user,
            "tagged": lambda: self.get("tag") or "",
        }
        if criterion in subjects:
            lower = criterion in {"host", "originalhost"}
            return in_list(argument.lower() if lower else argument, subjects[criterion]())
        if criterion in {"canonical", "final"}:
            return self._final
        if criterion == "all":
            return True
        if criterion == "localnetwork":
            return _is_local(argument)
        if criterion in {"command", "sessiontype", "version"}:
            return False  # there is no such thing here
        raise ValueError(f"Match has the unknown criterion {criterion}")


def arguments(text: str) -> list[str]:
    """Split the rest of a line as OpenSSH does: at white space, with quotes and backslashes, up to a ``#``; ``ValueError``."""
    found: list[str] = []
    index = 0
    while True:
        while index < len(text) and text[index] in " \t":
            index += 1
        if index == len(text) or text[index] == "#":
            return found
        word, quote = "", ""
        while index < len(text) and (quote or text[index] not in " \t"):
            char, after = text[index], text[index + 1 : index + 2]
            if char == "\\" and after and (after in "\"'\\" or (after == " " and not quote)):
                word, index = word + after, index + 1
            elif quote and char == quote:
                quote = ""
            elif not quote and char in "\"'":
                quote = char
            else:
                word += char
            index += 1
        if quote:
            raise ValueError("a quote is not closed")
        found.append(word)


def split(line: str) -> tuple[str, str]:
    """Return the word of a line, in lower case and by its usual name, and the rest."""
    word, rest = _first(line.strip(" \t\r\n\f"))
    return _ALIASES.get(word.lower(), word.lower()), rest


def matches(pattern: str, name: str) -> bool:
    """Tell whether a pattern of ``*`` and ``?`` covers *name*."""
    return _any([pattern], name)


def quoted(text: str) -> str:
    """Return *text* as one argument of a line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def tokens(text: str, values: dict[str, Callable[[], str]]) -> str:
    """Replace ``%x`` by what *values* has for x; ``%%`` is a percent sign, any other is a ``ValueError``."""

    def value(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        if match[1] not in values:
            raise ValueError(f"{match[0]} is not a token that can be used here")
        return values[match[1]]()

    return re.sub(r"%(.?)", value, text, flags=re.DOTALL)


def shell_host(name: str) -> str:
    """Return a host name if no shell can take it for anything but one plain word, else raise ``ValueError``."""
    return _shell_word("host name", name, _BAD_HOST)


def shell_user(name: str) -> str:
    """Return a user name likewise."""
    return _shell_word("user name", name, _BAD_USER)


def _shell_word(what: str, name: str, bad: str) -> str:
    if not name or re.search(bad, name):
        raise ValueError(f"the {what} has characters that may not go into a shell command: {name!r}")
    return name


def local_user() -> str:
    """Return the name of the local user, which is the remote one where none is given."""
    import getpass

    return getpass.getuser()


def _first(text: str) -> tuple[str, str]:
    """Split off the first word, which may be quoted, and which white space or one ``=`` ends."""
    if text.startswith('"'):
        word, closed, rest = text[1:].partition('"')
        if not closed:
            raise ConfigError(f"a quote is not closed: {text}")
        return word, rest.lstrip(" \t")
    word, rest = re.findall(r"([^\s=]*)[ \t]*=?[ \t]*(.*)", text, re.DOTALL)[0]  # it matches anything
    return word, rest


def _any(patterns: Sequence[str], name: str) -> bool:
    subject = name.encode("utf-8", "surrogateescape")
    return any(wildcard(pattern.encode("utf-8", "surrogateescape"), subject) for pattern in patterns)


def in_list(patterns: str, name: str) -> bool:
    """Match a comma-separated list; a pattern with ``!`` that matches makes it no match."""
    found = False
    for pattern in patterns.split(","):
        if _any([pattern.removeprefix("!")], name):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_local(networks: str) -> bool:
    """Tell whether this machine has an address in one of the networks (CIDR notation, with commas between)."""
    import ipaddress

    from . import _core  # not above: few need it, and who only asks what is honoured needs no libssh

    wanted = [ipaddress.ip_network(network) for network in networks.split(",")]
    here = [ipaddress.ip_address(address) for address in _core.local_addresses()]
    return any(address in network for network in wanted for address in here)


def _node() -> str:
    return os.uname().nodename


def _succeeds(command: str) -> bool:
    """Run a command of ``Match exec``, without a word from it; tell whether its exit status is 0."""
    import subprocess

    try:
        done = subprocess.run(  # noqa: S602 - OpenSSH's contract
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_EXEC_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise ValueError(f"the command of Match exec did not end in {_EXEC_TIMEOUT:g} s: {command}") from exc
    return done.returncode == 0
