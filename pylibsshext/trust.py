# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether to trust the key that a host shows: the setting, what the host is looked up as and where, and keys that are pinned."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from . import hostkeys
from .errors import LibsshSessionException

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MODES = ("yes", "accept-new", "ask", "no")
"""As OpenSSH's StrictHostKeyChecking: an unknown key is refused, added, or for the policy to decide; or nothing is checked."""

_ALSO = {"true": "ask", "false": "no", "off": "no"}


def mode(value: Any) -> str:
    """Return which of `MODES` a ``host_key_checking`` means: True is "ask", False is "no"."""
    text = value.lower() if isinstance(value, str) else str(bool(value)).lower()
    known = _ALSO.get(text, text)
    if known not in MODES:
        raise LibsshSessionException(f"host_key_checking: {value!r} is not one of {', '.join(MODES)}")
    return str(known)


def paths(value: Any) -> list[str]:
    """Return known_hosts files, given as one or as a list, with ``~`` expanded; "none" is no file."""
    given = [value] if isinstance(value, (str, bytes, os.PathLike)) else value
    return [os.path.expanduser(os.fsdecode(path)) for path in given if os.fsdecode(path) != "none"]


class Trust(NamedTuple):
    """How a host is known, and what is done about a key that is not."""

    mode: str
    host: str
    port: int
    own: Sequence[str]
    machine: Sequence[str]
    alias: str | None = None
    pins: Sequence[hostkeys.Pin] = ()
    hashed: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any], host: str, port: int) -> Trust:
        """Take it from the keywords of ``Session.connect``."""
        files = hostkeys.default_files(settings.get("ssh_dir"))
        own, machine = settings.get("knownhosts"), settings.get("global_knownhosts")
        return cls(
            mode(settings.get("host_key_checking", True)),
            host,
            port,
            files[:2] if own is None else paths(own),
            files[2:] if machine is None else paths(machine),
            settings.get("host_key_alias"),
            _pins(settings.get("host_key")),
            bool(settings.get("hash_known_hosts")),
        )

    @property
    def files(self) -> list[str]:
        """The files to look in, the user's own first."""
        return [*self.own, *self.machine]

    def key_types(self) -> list[str]:
        """Return the types of the keys that this host is known by, best first."""
        if self.pins:
            return [pin.key_type for pin in self.pins if pin.key_type]
        return hostkeys.known_types(self.files, self.host, self.port, self.alias)

    def verdict(self, key_type: str, blob: bytes) -> hostkeys.Verdict:
        """Judge a key. Where keys are pinned, nothing but a revocation in the files counts besides them."""
        found = hostkeys.lookup(self.files, self.host, self.port, key_type, blob, self.alias)
        if not self.pins or found.state is hostkeys.State.REVOKED:
            return found
        pinned = next((pin for pin in self.pins if pin.fingerprint == found.fingerprint), None)
        by = pinned or self.pins[0]
        state = hostkeys.State.KNOWN if pinned else hostkeys.State.CHANGED
        return found._replace(state=state, file=None, line=None, known_type=by.key_type, known_fingerprint=by.fingerprint)

    @property
    def checks(self) -> bool:
        """Whether a key is looked at: one that is pinned always is."""
        return self.mode != "no" or bool(self.pins)

    def add(self, key_type: str, blob: bytes) -> None:
        """Add a key to the first of the user's own files, if there is any."""
        if self.own:
            hostkeys.add(self.own[0], self.host, self.port, key_type, blob, self.hashed, self.alias)


def _pins(value: Any) -> list[hostkeys.Pin]:
    lines = [value] if isinstance(value, str) else value or ()
    try:
        return [hostkeys.Pin.parse(line) for line in lines if line]
    except ValueError as exc:
        raise LibsshSessionException(f"host_key: {exc}") from exc
