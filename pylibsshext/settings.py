# SPDX-License-Identifier: LGPL-2.1-or-later
"""What ssh_config's words mean for a session: the keywords of ``Session.connect`` that they stand for."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Callable

from . import ssh_config
from .errors import LibsshSessionException

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .ssh_config import Config

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

# OpenSSH's client takes these for a use of its own, or what they ask for is always so here: there is nothing to honour.
POINTLESS = {
    "addkeystoagent", "batchmode", "checkhostip", "clearallforwardings", "controlmaster", "controlpath", "controlpersist",
    "enableescapecommandline", "enablesshkeysign", "escapechar", "exitonforwardfailure", "fingerprinthash", "forkafterauthentication",
    "forwardx11timeout", "forwardx11trusted", "gatewayports", "ignoreunknown", "ipqos", "kbdinteractivedevices", "loglevel", "logverbose",
    "numberofpasswordprompts", "obscurekeystroketiming", "permitlocalcommand", "requesttty", "streamlocalbindmask",
    "streamlocalbindunlink", "syslogfacility", "tcpkeepalive", "updatehostkeys", "visualhostkey", "warnweakcrypto",
    "xauthlocation",
}  # fmt: skip

_ALGORITHMS = {"key_exchange_algorithms", "hostkeys", "publickey_accepted_algorithms", "ciphers", "macs"}
_WAYS = ("fd", "proxycommand", "proxy_jump", "proxy", "unix_socket")

# The methods that a word of their own can switch off.
_METHODS = {
    "gssapiauthentication": "gssapi-with-mic",
    "kbdinteractiveauthentication": "keyboard-interactive",
    "passwordauthentication": "password",
    "pubkeyauthentication": "publickey",
}


def from_config(config: Config) -> dict[str, Any]:
    """Return the keywords that a configuration stands for; `ssh_config.ConfigError` names a value that makes no sense."""
    found: dict[str, Any] = {}
    for word in config.words():
        if word in _MEANINGS:
            keyword, meaning = _MEANINGS[word]
            found[keyword] = _meant(config, word, meaning)
    found.update(_rekeying(config))
    allowed = _methods(config)
    if allowed is not None:
        found["preferred_authentications"] = allowed
    return {keyword: value for keyword, value in found.items() if value is not None}


def _meant(config: Config, word: str, meaning: Callable[[Config, str], Any]) -> Any:
    try:
        return meaning(config, word)
    except (ValueError, KeyError) as exc:
        raise ssh_config.ConfigError(f"reading the ssh configuration failed: {word} {config.raw(word)}: {exc}") from exc


def unhonoured(lines: Iterable[str]) -> list[str]:
    """Return those of some lines of ssh_config that a session can do nothing about."""
    lines = list(lines)
    known = {*_MEANINGS, *_METHODS, *POINTLESS, *ssh_config.OWN, "preferredauthentications", "rekeylimit"}
    excused = next((ssh_config.split(line)[1].lower() for line in lines if _word(line) == "ignoreunknown"), "")
    # A default that is asked for is honoured by doing nothing.
    return [
        line for line in lines if not (_word(line) in known or _is_default(line) or ssh_config.in_list(excused, _word(line)))
    ]


def unsupported(explicit: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return which algorithms keywords and their ``ssh_options`` ask for that this libssh does not have: keyword → names."""
    asked = {name: value for name, value in explicit.items() if name in _ALGORITHMS}
    lines = [line for line in explicit.get("ssh_options") or () if _MEANINGS.get(_word(line), ("",))[0] in _ALGORITHMS]
    if not asked and not lines:
        return {}
    from . import options  # not above: who only asks what is honoured, for each task of Ansible's, needs no libssh

    config = ssh_config.Config("")
    config.read(lines, [])
    asked = {**from_config(config), **asked}
    return {name: names for name, value in asked.items() if (names := options.unsupported(name, value))}


def unattended(lines: Iterable[str]) -> bool:
    """Return whether some lines of ssh_config say that nobody is to be asked anything (BatchMode)."""
    said = [ssh_config.split(line)[1].lower() for line in lines if _word(line) == "batchmode"][:1]
    return said in (["yes"], ["true"])


def combined(found: Mapping[str, Any], explicit: Mapping[str, Any]) -> dict[str, Any]:
    """Let what is given explicitly win; the way to a host is one setting of several keywords."""
    if any(name in explicit for name in _WAYS):
        found = {name: value for name, value in found.items() if name not in _WAYS}
    return {**found, **explicit}


def environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables to set for each command: those of ours that SendEnv names, then those of SetEnv."""
    chosen: dict[str, str] = {}
    for pattern in settings.get("send_env", ()):
        named = {name: value for name, value in os.environ.items() if ssh_config.matches(pattern.removeprefix("-"), name)}
        if pattern.startswith("-"):
            chosen = {name: value for name, value in chosen.items() if name not in named}
        else:
            chosen.update(named)
    return {**chosen, **settings.get("set_env", {})}


def _word(line: str) -> str:
    return ssh_config.split(line)[0]


def _is_default(line: str) -> bool:
    word, rest = ssh_config.split(line)
    return rest.lower() in _DEFAULTS.get(word, ())


# Values with which words that are not honoured change nothing.
_DEFAULTS = {
    "forwardx11": ("no", "false"),
    "protocol": ("2",),
    "useroaming": ("no", "false"),
    "hostbasedauthentication": ("no", "false"),
    "nohostauthenticationforlocalhost": ("no", "false"),
    "stdinnull": ("no", "false"),
    "tunnel": ("no", "false"),
    "verifyhostkeydns": ("no", "false"),
    "localcommand": ("none",),
    "remotecommand": ("none",),
    "knownhostscommand": ("none",),
}


def _text(config: Config, word: str) -> str | None:
    value = config.get(word)
    return None if value == "none" else value


def _flag(config: Config, word: str) -> bool:
    value = (config.get(word) or "").lower()
    if value not in ssh_config.YES:
        raise ValueError("it is neither yes nor no")
    return ssh_config.YES[value]


def _is_on(config: Config, word: str) -> bool:
    # How a signature is bound to the session's host key: libssh does not do that.
    return (word, config.get(word)) in (("pubkeyauthentication", "unbound"), ("pubkeyauthentication", "host-bound")) or _flag(
        config, word
    )


def _number(config: Config, word: str) -> int:
    return int(config.get(word) or "")


def _port(config: Config, word: str) -> int:
    number = _number(config, word)
    if not 0 < number < 65536:
        raise ValueError("it is no port")
    return number


def seconds(config: Config, word: str) -> int | None:
    """Return a time: a number of seconds, or numbers with units (sshd_config(5), "TIME FORMATS")."""
    text = (config.get(word) or "").lower()
    if text == "none":
        return None
    if not re.fullmatch(r"(\d+[smhdw]?)+", text):
        raise ValueError("it is not a time")
    return _in_seconds(text)


def _paths(config: Config, word: str) -> list[str]:
    return [path if path == "none" else config.expand(path) for row in config.rows(word) for path in row]


def _files(config: Config, word: str) -> list[str]:
    return [path for path in _paths(config, word) if path != "none"]


def _checking(config: Config, word: str) -> str:
    value = (config.get(word) or "").lower()
    return {"true": "yes", "false": "no", "off": "no"}.get(value, value)


def _agent(config: Config, word: str) -> str | bool:
    value = config.get(word) or ""
    if value == "none":
        return False
    if value == "SSH_AUTH_SOCK" or re.fullmatch(r"\$\w+", value):
        return os.environ.get(value.lstrip("$"), "")
    return config.expand(value)


def _forwarded(config: Config, word: str) -> str | bool:
    value = config.get(word) or ""
    return ssh_config.YES[value.lower()] if value.lower() in ssh_config.YES else _agent(config, word)


def _provider(config: Config, word: str) -> str | None:
    value = config.get(word) or ""
    return os.environ.get(value[1:]) if value.startswith("$") else value


def _command(config: Config, word: str) -> str | None:
    return config.raw(word)


def _jump(config: Config, word: str) -> str | None:
    row = config.rows(word)[0]
    hops = ",".join(row)
    if hops.lower() == "none":
        return None
    values = {"h": lambda: config.host, "n": lambda: config.original, "p": lambda: str(config.port), "r": lambda: config.user}
    return ssh_config.tokens(hops, values)


def _sent(config: Config, word: str) -> list[str]:
    return [pattern for row in config.rows(word) for pattern in row]


def _set(config: Config, word: str) -> dict[str, str]:
    pairs = [assignment.partition("=") for assignment in config.rows(word)[0]]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("it is not NAME=value")
    return {name: value for name, _, value in reversed(pairs)}  # of one name the first counts


def _family(config: Config, word: str) -> str:
    return (config.get(word) or "").lower()


def _rekeying(config: Config) -> dict[str, int]:
    """Return after how many bytes and seconds to exchange keys again (RekeyLimit)."""
    rows = config.rows("rekeylimit")
    if not rows:
        return {}
    data, time = [*(word.lower() for word in rows[0]), "none"][:2]
    match = re.fullmatch(r"(\d+)([kmg]?)|default", data)
    if not match or not (time == "none" or re.fullmatch(r"(\d+[smhdw]?)+", time)):
        raise ssh_config.ConfigError(
            f"reading the ssh configuration failed: rekeylimit {config.raw('rekeylimit')}: it is no limit"
        )
    found = {"rekey_data": int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2]]} if match[1] else {}
    return found if time == "none" else {**found, "rekey_time": _in_seconds(time)}


def _in_seconds(text: str) -> int:
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdw]?)", text))


def _methods(config: Config) -> list[str] | None:
    """Return the methods to log in with, in order; None where nothing is said about them."""
    preferred = config.get("preferredauthentications")
    off = {method for word, method in _METHODS.items() if config.get(word) is not None and not _meant(config, word, _is_on)}
    if "gssapi-with-mic" in off:
        off.add("gssapi-keyex")
    if preferred is None and not off:
        return None
    from . import _core  # not above: who only asks what is honoured, for each task of Ansible's, needs no libssh

    names = [name.strip() for name in preferred.split(",")] if preferred else list(_core.METHODS)
    return [name for name in names if name in _core.METHODS and name not in off]


_MEANINGS: dict[str, tuple[str, Callable[[Config, str], Any]]] = {
    "addressfamily": ("address_family", _family),
    "bindaddress": ("bind_address", _text),
    "certificatefile": ("certificate_file", _files),
    "ciphers": ("ciphers", _text),
    "compression": ("compression", _flag),
    "connectionattempts": ("connection_attempts", _number),
    "connecttimeout": ("timeout", seconds),
    "forwardagent": ("forward_agent", _forwarded),
    "globalknownhostsfile": ("global_knownhosts", _paths),
    "gssapiclientidentity": ("gssapi_client_identity", _text),
    "gssapidelegatecredentials": ("gssapi_delegate_credentials", _flag),
    "gssapikeyexchange": ("gss_kex", _flag),
    "gssapiserveridentity": ("gssapi_server_identity", _text),
    "hashknownhosts": ("hash_known_hosts", _flag),
    "hostkeyalgorithms": ("hostkeys", _text),
    "hostkeyalias": ("host_key_alias", _text),
    "hostname": ("host", lambda config, _word: config.host),
    "identitiesonly": ("identities_only", _flag),
    "identityagent": ("agent", _agent),
    "identityfile": ("identity_files", _files),
    "kexalgorithms": ("key_exchange_algorithms", _text),
    "macs": ("macs", _text),
    "pkcs11provider": ("pkcs11_provider", _text),
    "port": ("port", _port),
    "proxycommand": ("proxycommand", _command),
    "proxyjump": ("proxy_jump", _jump),
    "proxyusefdpass": ("proxy_use_fdpass", _flag),
    "pubkeyacceptedalgorithms": ("publickey_accepted_algorithms", _text),
    "revokedhostkeys": ("revoked_host_keys", _files),
    "requiredrsasize": ("rsa_min_size", _number),
    "securitykeyprovider": ("security_key_provider", _provider),
    "sendenv": ("send_env", _sent),
    "serveralivecountmax": ("server_alive_count_max", _number),
    "serveraliveinterval": ("server_alive_interval", seconds),
    "setenv": ("set_env", _set),
    "stricthostkeychecking": ("host_key_checking", _checking),
    "user": ("user", _text),
    "userknownhostsfile": ("knownhosts", _paths),
}


def resolve(explicit: Mapping[str, Any]) -> dict[str, Any]:
    """Return all keywords that hold for a connection: *explicit* ones, then what ``ssh_options`` and ssh_config files say."""
    host = explicit.get("host")
    if not host:  # which is what ssh_config files are about
        return dict(explicit)
    directory = os.fsdecode(explicit.get("ssh_dir") or "~/.ssh")
    ways = [explicit[name] for name in _WAYS if name in explicit]
    direct = all(way in ("", "none", ()) for way in ways) if ways else None
    config = ssh_config.Config(os.fsdecode(host), _plain(explicit.get("user")), explicit.get("port"), directory, direct)
    config.read(explicit.get("ssh_options") or (), config_files(explicit))
    return {"original_host": config.original, **combined(from_config(config), {**explicit, "host": config.host})}


def config_files(explicit: Mapping[str, Any]) -> list[str]:
    """Return the ssh_config files there are to read: the one that is chosen, none for "none", or the user's and the machine's."""
    chosen = explicit.get("config_file")
    if chosen is not None:
        path = os.path.expanduser(os.fsdecode(chosen))
        if path != "none" and not os.path.isfile(path):
            raise LibsshSessionException(f"reading the configuration failed: {path} is not a file")
        return [] if path == "none" else [path]
    user = os.path.join(os.path.expanduser(os.fsdecode(explicit.get("ssh_dir") or "~/.ssh")), "config")
    return [path for path in (user, ssh_config.SYSTEM_FILE) if os.path.isfile(path)]


def _plain(text: Any) -> str | None:
    return None if text is None else os.fsdecode(text)
