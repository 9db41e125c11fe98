# SPDX-License-Identifier: LGPL-2.1-or-later
"""The options of a session: their names, their types in libssh, and what they default to here."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

from . import _core, ssh_config
from .errors import LibsshConnectionError, LibsshSessionException

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# The names of ansible-pylibssh 1.4.0. Programs add to this table, so it is consulted at each use.
OPTS_MAP: dict[str, int] = {
    name: _core.OPTIONS[name]
    for name in (
        "fd",
        "host",
        "user",
        "port",
        "timeout",
        "timeout_usec",
        "knownhosts",
        "proxycommand",
        "key_exchange_algorithms",
        "publickey_accepted_algorithms",
        "hostkeys",
        "gssapi_server_identity",
        "gssapi_client_identity",
        "gssapi_delegate_credentials",
        "log_verbosity",
    )
}
OPTS_DIR_MAP: dict[str, int] = {"ssh_dir": _core.OPTIONS["ssh_dir"], "add_identity": _core.OPTIONS["add_identity"]}
# Ours: one name for what libssh has two options for, one a direction.
EXTRA_OPTIONS = {
    "gss_kex": (_core.OPTIONS["gss_kex"],),
    "ciphers": (_core.OPTIONS["ciphers_c_s"], _core.OPTIONS["ciphers_s_c"]),
    "macs": (_core.OPTIONS["macs_c_s"], _core.OPTIONS["macs_s_c"]),
    "compression": (_core.OPTIONS["compression"],),
    "rekey_data": (_core.OPTIONS["rekey_data"],),
    "rekey_time": (_core.OPTIONS["rekey_time"],),
    "rsa_min_size": (_core.OPTIONS["rsa_min_size"],),
}

# What old network gear has, and libssh still can: to offer it after all else.
LEGACY = {
    "key_exchange_algorithms": "diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1,diffie-hellman-group1-sha1",
    "hostkeys": "ssh-rsa",
    "publickey_accepted_algorithms": "ssh-rsa",
    "ciphers": "aes256-cbc,aes192-cbc,aes128-cbc,3des-cbc",
    "macs": "hmac-sha1",
}

# What libssh can, but has not in its own list of what it logs in with.
FORGOTTEN = "+sk-ssh-ed25519-cert-v01@openssh.com"

# What libssh 0.10 supports, which cannot be asked.
USUAL_HOST_KEYS = (
    "ssh-ed25519,ecdsa-sha2-nistp521,ecdsa-sha2-nistp384,ecdsa-sha2-nistp256,"
    "sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256"
)

_USUAL_COMPRESSION = ("none", "zlib@openssh.com")
_FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")

INTEGERS = {"fd", "gss_kex", "port", "rekey_time", "rsa_min_size", "gssapi_delegate_credentials", "log_verbosity"}
LONGS = {"rekey_data", "timeout", "timeout_usec"}
NUMBERS = {
    "auth_timeout",
    "banner_timeout",
    "connection_attempts",
    "open_session_retries",
    "proxy_jump_logins",
    "server_alive_count_max",
    "server_alive_interval",
}

# What `Session.connect` takes besides the options.
CONNECT_KEYWORDS = {
    "password",
    "password_prompt",
    "private_key",
    "private_key_password",
    "look_for_keys",
    "host_key_checking",
    "open_session_retries",
    "nodelay",
    "config_file",
    "ssh_options",
    "banner_timeout",
    "legacy_algorithms",
    "host_key",
    "host_key_alias",
    "global_knownhosts",
    "hash_known_hosts",
    "revoked_host_keys",
    "address_family",
    "bind_address",
    "connection_attempts",
    "identity_files",
    "proxy",
    "proxy_jump",
    "proxy_jump_logins",
    "proxy_use_fdpass",
    "unix_socket",
    "send_env",
    "set_env",
    "auth_timeout",
    "kbdint_answers",
    "kbdint_callback",
    "identities",
    "identities_only",
    "agent",
    "certificate",
    "certificate_file",
    "forward_agent",
    "notify_callback",
    "pkcs11_pins",
    "pkcs11_provider",
    "prompt_callback",
    "security_key_provider",
    "gss_auth",
    "preferred_authentications",
    "server_alive_interval",
    "server_alive_count_max",
}


def is_option(name: str) -> bool:
    """Return whether *name* is an option of a session."""
    return name in OPTS_MAP or name in OPTS_DIR_MAP or name in EXTRA_OPTIONS


def numbers(name: str) -> tuple[int, ...]:
    """Return libssh's numbers for an option."""
    if name in EXTRA_OPTIONS:
        return EXTRA_OPTIONS[name]
    return (OPTS_MAP[name] if name in OPTS_MAP else OPTS_DIR_MAP[name],)


def apply(core: _core.Session, name: str, value: Any) -> None:
    """Set an option on libssh's session; what libssh refuses raises `LibsshSessionException`."""
    if name == "knownhosts" and not isinstance(value, (str, bytes)):
        return  # several files: libssh looks into none of them
    if name == "gss_kex" and _version() < (0, 12):
        if value:
            raise LibsshSessionException(f"gss_kex needs libssh 0.12, and this is libssh {_core.LIBSSH_VERSION}")
        return
    if name in INTEGERS or name in LONGS:
        value = int(value)
    elif name == "compression":
        value = _compression(value)
    elif name in LEGACY and isinstance(value, (str, bytes)):
        value = _without_patterns(core, name, os.fsdecode(value))
    for number in numbers(name):
        try:
            core.set_option(number, value, name)
        except LibsshSessionException as exc:
            if name != "host":
                raise
            host, _, zone = os.fsdecode(value).partition("%")
            why = f"there is no network interface {zone} here" if zone else f"{host!r} is no host name"
            raise LibsshConnectionError(f"setting host failed: {why}") from exc


def configure(core: _core.Session, settings: Mapping[str, Any]) -> None:
    """Set what the keywords of ``Session.connect`` mean for libssh itself: the options, and the algorithms in the order we want."""
    if settings.get("host_key"):  # with GSSAPI's key exchange there would be none to compare with it
        settings = {name: value for name, value in settings.items() if name != "gss_kex"}
    for name, value in settings.items():
        if is_option(name) and name not in ("fd", "add_identity", "timeout", "timeout_usec", "proxycommand"):
            apply(core, name, value)
    usual = core.get_text(numbers("ciphers")[0])  # which libssh 0.10 does not tell, nor takes changes of its lists
    if usual is not None and leaves_order(settings.get("ciphers")):
        apply(core, "ciphers", preferred_first(usual))
    if usual is not None and "publickey_accepted_algorithms" not in settings:
        apply(core, "publickey_accepted_algorithms", FORGOTTEN)
    if settings.get("legacy_algorithms"):
        for name in LEGACY:
            apply(core, name, with_legacy(name, settings.get(name) or core.get_text(numbers(name)[0])))


def leaves_order(algorithms: Any) -> bool:
    """Whether a list of algorithms, not given or with ``+`` or ``-``, leaves it to us which one comes first."""
    return algorithms is None or os.fsdecode(algorithms)[:1] in ("+", "-")


def _compression(value: Any) -> Any:
    """Return what libssh takes for ``compression``, of which it knows no changes by ``+ - ^``."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = os.fsdecode(value)
    names = text[1:].split(",")
    rest = [name for name in _USUAL_COMPRESSION if name not in names]
    changes = {"+": [*_USUAL_COMPRESSION, *names], "-": rest, "^": [*names, *rest]}
    return ",".join(dict.fromkeys(changes[text[:1]])) if text[:1] in changes else value


def _without_patterns(core: _core.Session, name: str, text: str) -> str:
    """Return a list where names stand for patterns, which OpenSSH knows and libssh passes over."""
    like = "hostkeys" if name == "publickey_accepted_algorithms" else name  # which libssh does not tell
    usual = core.get_text(numbers(like)[0]) if set("*?") & set(text) else None
    if usual is None:
        return text
    sign = text[0] if text[0] in "+-^" else ""
    there = usual.split(",") if sign == "-" else [*usual.split(","), *LEGACY[name].split(",")]
    patterns = text[len(sign) :].split(",")
    found = dict.fromkeys(one for pattern in patterns for one in there if ssh_config.matches(pattern, one))
    return f"{sign}{','.join(found)}" if found else usual if sign else text


def is_supported(name: str, value: Any) -> bool:
    """Return whether libssh takes a list of algorithms, of which it must have one."""
    core = _core.Session(lambda _level, _text: None)
    try:
        apply(core, name, value)
    except LibsshSessionException:
        return False
    finally:
        core.close()
    return True


def unsupported(name: str, value: Any) -> list[str]:
    """Return which names in a list of algorithms this libssh does not have: it goes without them, if there are others."""
    if not isinstance(value, (str, bytes)) or name not in LEGACY or os.fsdecode(value).startswith("-"):
        return []
    return [one for one in os.fsdecode(value).lstrip("+^").split(",") if not is_supported(name, one)]


def preferred_first(ciphers: str) -> str:
    """Return a list of ciphers with AES-GCM first, where the processor has instructions for it."""
    names = ciphers.split(",")
    fast = [name for name in _FAST_CIPHERS if name in names] if _has_aes() else []
    return ",".join(dict.fromkeys([*fast, *names]))


def _version() -> tuple[int, ...]:
    return tuple(int(number) for number in _core.LIBSSH_VERSION.split(".")[:2])


def with_legacy(name: str, value: str | None) -> str | None:
    """Return a list of algorithms with the ones of old network gear at its end; *value* is what is set, None: the default."""
    if not value:
        return f"+{LEGACY[name]}"
    return value if value[0] in "-^" else f"{value},{LEGACY[name]}"


# How paramiko and Ansible call what has another name here.
_ELSEWHERE = {
    "allow_agent": "agent",
    "key_filename": "identities",
    "passphrase": "private_key_password",
    "pkey": "private_key",
    "private_key_file": "identities",
}


def warn_unknown(names: Iterable[str]) -> None:
    """Warn of keywords that `Session.connect` does not know: programs for 1.4.0 pass what it silently dropped."""
    known = [*OPTS_MAP, *OPTS_DIR_MAP, *EXTRA_OPTIONS, *CONNECT_KEYWORDS]
    for name in names:
        if name not in known:
            import difflib
            import warnings

            near = [_ELSEWHERE[name]] if name in _ELSEWHERE else difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            warnings.warn(f"connect() ignores the unknown keyword {name!r}{hint}", UserWarning, stacklevel=3)


def check_numbers(given: Mapping[str, Any]) -> None:
    """Refuse keywords that have to be numbers, and are not."""
    for name in sorted(given.keys() & (INTEGERS | LONGS | NUMBERS)):
        try:
            float(given[name])
        except (TypeError, ValueError):
            raise LibsshSessionException(f"{name}: {given[name]!r} is not a number") from None


def methods(preferred: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the methods of RFC 4252 to use, in order; None: all of them."""
    if preferred is None:
        return tuple(_core.METHODS)
    names = [name.strip() for name in (preferred.split(",") if isinstance(preferred, str) else preferred)]
    unknown = [name for name in names if name not in _core.METHODS]
    if unknown:
        raise LibsshSessionException(f"preferred_authentications: {unknown[0]!r} is not one of {', '.join(_core.METHODS)}")
    return tuple(names)


def paths(value: Any) -> list[str]:
    """Return the files that are given as one path or as several, with ``~`` expanded."""
    given = [value] if isinstance(value, (str, bytes, os.PathLike)) else value
    return [os.path.expanduser(os.fsdecode(path)) for path in given]


def default_ssh_dir() -> str:
    """Return where keys, configuration and known hosts are; ``$HOME`` counts, which libssh by itself ignores."""
    return os.path.expanduser("~/.ssh")


@functools.cache
def _has_aes() -> bool:
    if sys.platform == "darwin":
        return True  # every Mac that Python still runs on
    try:
        with open("/proc/cpuinfo", "rb") as file:
            start = file.read(8192)
    except OSError:
        return False
    return b" aes " in start.replace(b"\n", b" ")
