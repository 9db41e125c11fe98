# SPDX-License-Identifier: LGPL-2.1-or-later
"""When two connections are the same one: if everything that made them is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .protocol import encoded

# Files below ~/.ssh that are read without being named.
_DEFAULT_FILES = ("config", "id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
# What goes from hand to hand without a copy, and is overwritten when the session is up.
_SECRETS = {"password", "private_key", "private_key_password", "kbdint_answers", "pkcs11_pins", "proxy"}
_SYSTEM_CONFIG = "/etc/ssh/ssh_config"


def digest(keywords: Mapping[str, Any], policy: str) -> str:
    """Return the digest of a connection that *keywords* of ``Session.connect`` make under a host-key policy."""
    # Python's own, unlike its sha256: OpenSSL's takes longer to find than all else here. The holder itself has seldom use for it.
    from hashlib import blake2b

    agent = keywords.get("agent")
    sealed: list[bytes | bytearray] = []
    about = {
        "keywords": plain(keywords, sealed),
        "policy": policy,
        "files": _files(keywords),
        "agent": _stamp(agent if isinstance(agent, str) else os.environ.get("SSH_AUTH_SOCK")),
    }
    code = blake2b(encoded(about), digest_size=32)
    for one in sealed:
        code.update(one)
    return code.hexdigest()


def plain(value: Any, sealed: list[bytes | bytearray] | None = None, is_secret: bool = False) -> Any:
    """Return *value* as JSON can hold it, with `restored` as the way back; a callable stays behind.

    With *sealed*, secrets go to its end, and only how long they are is in the result; all texts in what *is_secret* are.
    """
    if is_secret and sealed is not None and isinstance(value, (str, bytes, bytearray)):
        sealed.append(str.encode(value, "utf-8", "surrogateescape") if isinstance(value, str) else value)
        return {"secret": [sum(map(len, sealed[:-1])), len(sealed[-1])]}
    # What is most frequent first: this is part of every task of Ansible's.
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item, sealed, is_secret) for item in value]
    if callable(value):
        return {"callable": True}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).decode("latin-1")}
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value))
    if isinstance(value, Mapping):
        return {
            str(name): plain(item, sealed, is_secret or name in _SECRETS) for name, item in value.items() if item is not None
        }
    raise TypeError(f"a connection cannot be shared that was made with a {type(value).__name__}")


def restored(value: Any, sealed: bytearray, secrets: list[bytearray]) -> Any:
    """Return what `plain` was given; the secrets, whose bytes are *sealed*, are in *secrets*, too, for who has to wipe them."""
    if isinstance(value, dict) and set(value) == {"secret"} and isinstance(value["secret"], list):
        begin, size = value["secret"]
        secrets.append(sealed[begin : begin + size])
        return secrets[-1]
    if isinstance(value, dict) and set(value) == {"bytes"}:
        return value["bytes"].encode("latin-1")
    if isinstance(value, dict):
        return {name: restored(item, sealed, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [restored(item, sealed, secrets) for item in value]
    return value


def _files(keywords: Mapping[str, Any]) -> list[Any]:
    """Return the state of the files that a login reads: keys and configuration.

    Not of known_hosts, which the logins themselves add to: trust is checked when a session begins.
    """
    ssh_dir = os.path.expanduser(os.fspath(keywords.get("ssh_dir") or "~/.ssh"))
    named = [
        *(keywords.get("identities") or ()),
        *(keywords.get("certificate_file") or ()),
        keywords.get("add_identity"),
        keywords.get("config_file"),
    ]
    files = [os.path.expanduser(os.fspath(path)) for path in named if path and path != "none"]
    files += [os.path.join(ssh_dir, name) for name in _DEFAULT_FILES]
    files.append(_SYSTEM_CONFIG)
    stamps: list[Any] = [_stamp(name) for path in files for name in (path, f"{path}-cert.pub")]
    hops = keywords.get("proxy_jump")
    return stamps + [_files(hop) for hop in hops if isinstance(hop, Mapping)] if isinstance(hops, (list, tuple)) else stamps


def _stamp(path: str | bytes | None) -> list[Any] | None:
    """Return what changes when a file is replaced or written to."""
    if not path:
        return None
    name = os.fsdecode(path)
    try:
        about = os.stat(name)
    except OSError:
        return [name]
    return [name, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns]
