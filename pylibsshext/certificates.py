# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenSSH's certificates (PROTOCOL.certkeys in its sources): what one says. Their signatures are for others to check."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence

from ._named_tuple import NamedTuple

USER = 1
HOST = 2

_SUFFIX = "-cert-v01@openssh.com"
# How many strings make up the public key, which in a certificate follow the nonce; RFC 4253's mpint is framed as a string is.
_KEY_FIELDS = {
    "ssh-rsa": 2,
    "rsa-sha2-256": 2,
    "rsa-sha2-512": 2,
    "ssh-dss": 4,
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519": 2,
    "sk-ecdsa-sha2-nistp256": 3,
}


class Certificate(NamedTuple):
    """A certificate: times are seconds since 1970, blobs are as in RFC 4253 section 6.6."""

    blob: bytes
    type: str
    key: bytes
    serial: int
    kind: int
    key_id: str
    principals: Sequence[str]
    valid_after: int
    valid_before: int
    critical: Sequence[str]
    """The names of the options that must be understood."""
    ca: bytes
    signed: bytes
    """What the CA has signed: everything before the signature."""
    signature: bytes

    def problem(self, principal: str | None, moment: float | None = None) -> str:
        """Return why the certificate is not good for *principal* at *moment* (by default now), "" if it may be."""
        now = time.time() if moment is None else moment
        if now < self.valid_after:
            return f"it is valid from {_date(self.valid_after)}"
        if now >= self.valid_before:
            return f"it expired on {_date(self.valid_before)}"
        if self.principals and principal is not None and principal not in self.principals:
            return f"it is for {', '.join(self.principals)}, not for {principal}"
        return ""


def parse(blob: bytes) -> Certificate | None:
    """Read a certificate's blob; None if it is none."""
    reader = Reader(blob)
    try:
        kind = reader.text()
        if not kind.endswith(_SUFFIX) or (base := kind[: -len(_SUFFIX)]) not in _KEY_FIELDS:
            return None
        reader.string()  # nonce
        plain = f"{base}@openssh.com" if base.startswith("sk-") else base
        key = _string(plain.encode()) + b"".join(_string(reader.string()) for _ in range(_KEY_FIELDS[base]))
        serial, purpose = reader.number(">Q"), reader.number(">I")
        key_id, packed = reader.text(), Reader(reader.string())
        after, before = reader.number(">Q"), reader.number(">Q")
        options = Reader(reader.string())
        for _ in range(2):  # extensions, reserved
            reader.string()
        ca = reader.string()
        signed = blob[: reader.position]
        signature = reader.string()
        names = []
        while packed.left:
            names.append(packed.text())
        critical = []
        while options.left:
            critical.append(options.text())
            options.string()
    except (struct.error, IndexError):
        return None
    return Certificate(
        blob, kind, key, serial, purpose, key_id, tuple(names), after, before, tuple(critical), ca, signed, signature
    )


class Reader:
    """Takes fields of RFC 4251 section 5 from a blob; IndexError or struct.error where it is too short."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    @property
    def left(self) -> bool:
        """Whether there is more."""
        return self.position < len(self.data)

    def number(self, form: str) -> int:
        """Take a number, by its form for `struct`."""
        (value,) = struct.unpack_from(form, self.data, self.position)
        self.position += struct.calcsize(form)
        return int(value)

    def string(self) -> bytes:
        """Take a string of bytes."""
        size = self.number(">I")
        if size > len(self.data) - self.position:
            raise IndexError
        self.position += size
        return self.data[self.position - size : self.position]

    def text(self) -> str:
        """Take a string as text."""
        return self.string().decode("utf-8", "replace")


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _date(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "a day that no calendar has"
