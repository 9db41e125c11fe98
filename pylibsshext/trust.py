# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether to trust the key that a host shows: the setting, what the host is looked up as and where, and keys that are pinned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import certificates, hostkeys, options, revocation, ssh_config
from ._named_tuple import NamedTuple
from .errors import HostKeyError, LibsshSessionException

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Verifier = Callable[[bytes, bytes, bytes], bool]
    """``verifies(key, signature, data)``, all of them blobs."""

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
    return [path for path in options.paths(value) if path != "none"]


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
    revoked: Sequence[str] = ()
    """Files of keys that are never to be trusted."""

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
            paths(settings.get("revoked_host_keys") or ()),
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

    def authorities(self) -> list[hostkeys.Entry]:
        """Return the ``@cert-authority`` lines that hold for this host."""
        return [] if self.pins else hostkeys.marked(self.files, "cert-authority", self.host, self.port, self.alias)

    def preferred_first(self, supported: str) -> str:
        """Return a list of algorithms by what can be checked: certificates, if an authority is on record, then known types of key."""
        names = supported.split(",")
        plain = [name for name in names if "-cert-v01@" not in name]
        if not self.host:
            return ",".join(plain)
        certified = [name for name in names if name not in plain] if self.authorities() else []
        known = [name for name in hostkeys.algorithms(self.key_types()) if name in plain]
        return ",".join(dict.fromkeys([*certified, *known, *plain]))

    def verdict(self, key_type: str, blob: bytes, verifies: Verifier) -> hostkeys.Verdict:
        """Judge what a host shows: a key, or a certificate for one, which counts by its authority, else as the key in it.

        *verifies* tells whether a signature is good.
        """
        revoked = self.revocation(blob)
        if revoked is not None:
            return revoked
        certificate = certificates.parse(blob)
        return self._of_key(key_type, blob) if certificate is None else self._of_certificate(certificate, verifies)

    def revocation(self, blob: bytes) -> hostkeys.Verdict | None:
        """Return the verdict on what a file of revoked keys has, None if none has it; without such a file no key is trusted."""
        certificate = certificates.parse(blob)
        key = certificate.key if certificate else blob
        about = (self.host, self.port, hostkeys.blob_type(key), hostkeys.fingerprint(key))
        for path in self.revoked:
            try:
                found = revocation.find(path, blob)
            except ValueError as exc:
                raise HostKeyError(f"checking the host key for revocation failed: {exc}", self.host, self.port) from exc
            if found:
                state, searched = hostkeys.State.REVOKED, tuple(self.revoked)
                return hostkeys.Verdict(state, *about, searched, found.file, found.line, alias=self.alias)
        return None

    def _of_key(self, key_type: str, blob: bytes) -> hostkeys.Verdict:
        """Judge a key. Where keys are pinned, nothing but a revocation in the files counts besides them."""
        found = hostkeys.lookup(self.files, self.host, self.port, key_type, blob, self.alias)
        if not self.pins or found.state is hostkeys.State.REVOKED:
            return found
        pinned = next((pin for pin in self.pins if pin.fingerprint == found.fingerprint), None)
        by = pinned or self.pins[0]
        state = hostkeys.State.KNOWN if pinned else hostkeys.State.CHANGED
        return found._replace(state=state, file=None, line=None, known_type=by.key_type, known_fingerprint=by.fingerprint)

    def _of_certificate(self, certificate: certificates.Certificate, verifies: Verifier) -> hostkeys.Verdict:
        by_key = self._of_key(hostkeys.blob_type(certificate.key), certificate.key)
        for entry in hostkeys.marked(self.files, "revoked", self.host, self.port, self.alias):
            if entry.blob in (certificate.ca, certificate.blob):
                return _decided(by_key, hostkeys.State.REVOKED, entry)
        authority = next((entry for entry in self.authorities() if entry.blob == certificate.ca), None)
        if authority is None or by_key.state is hostkeys.State.REVOKED:
            return by_key
        problem = self._problem(certificate, verifies)
        if not problem:
            return _decided(by_key, hostkeys.State.KNOWN, authority)
        if by_key.state is hostkeys.State.KNOWN:
            return by_key
        return _decided(by_key, hostkeys.State.INVALID, authority)._replace(problem=problem)

    def _problem(self, certificate: certificates.Certificate, verifies: Verifier) -> str:
        """Return what is wrong with the certificate of an authority on record, "" if nothing is."""
        name = (self.alias or self.host).lower()
        if certificate.kind != certificates.HOST:
            return "it is not for a host"
        if certificate.critical:
            return f"it has options that are not known here: {', '.join(certificate.critical)}"
        if certificate.principals and not any(ssh_config.matches(principal, name) for principal in certificate.principals):
            return f"it is for {', '.join(certificate.principals)}, not for {name}"
        if hostkeys.blob_type(certificate.signature) == "ssh-rsa":
            return "it is signed with SHA-1"
        if not verifies(certificate.ca, certificate.signature, certificate.signed):
            return "its signature is not the authority's"
        return certificate.problem(None)

    @property
    def checks(self) -> bool:
        """Whether it counts where a key is on record: with a key that is pinned it always does."""
        return self.mode != "no" or bool(self.pins)

    def add(self, key_type: str, blob: bytes) -> None:
        """Add a key to the first of the user's own files, if there is any; of a certificate, the key in it."""
        certificate = certificates.parse(blob)
        if certificate is not None:
            key_type, blob = hostkeys.blob_type(certificate.key), certificate.key
        if self.own:
            hostkeys.add(self.own[0], self.host, self.port, key_type, blob, self.hashed, self.alias)


def _decided(verdict: hostkeys.Verdict, state: hostkeys.State, by: hostkeys.Entry) -> hostkeys.Verdict:
    known = hostkeys.fingerprint(by.blob)
    return verdict._replace(state=state, file=by.file, line=by.line, known_type=by.key_type, known_fingerprint=known)


def _pins(value: Any) -> list[hostkeys.Pin]:
    lines = [value] if isinstance(value, str) else value or ()
    try:
        return [hostkeys.Pin.parse(line) for line in lines if line]
    except ValueError as exc:
        raise LibsshSessionException(f"host_key: {exc}") from exc
