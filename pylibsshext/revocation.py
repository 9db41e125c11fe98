# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files of revoked keys, as ssh_config's RevokedHostKeys names them: lists of public keys, and OpenSSH's KRLs.

A KRL (PROTOCOL.krl in OpenSSH's sources) is what ``ssh-keygen -k`` makes.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import TYPE_CHECKING

from . import certificates, hostkeys
from ._named_tuple import NamedTuple
from .certificates import Reader

if TYPE_CHECKING:
    from .certificates import Certificate

_MAGIC = b"SSHKRL\n\0"
_VERSION = 1

# Sections, by PROTOCOL.krl.
_CERTIFICATES, _KEYS, _SHA1, _SIGNATURE, _SHA256, _EXTENSION = 1, 2, 3, 4, 5, 255
_SERIALS, _RANGE, _BITMAP, _IDS, _CERTIFICATE_EXTENSION = 0x20, 0x21, 0x22, 0x23, 0x39


class Revocation(NamedTuple):
    """Where a key is revoked; a KRL has no lines."""

    file: str
    line: int | None = None


def find(path: str, blob: bytes) -> Revocation | None:
    """Return where a file revokes a key, or a certificate by itself, its key or its CA; None if it does not.

    ``ValueError`` says why the file cannot be used; then nothing is known about any key.
    """
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except OSError as exc:
        raise ValueError(f"reading {path} failed: {exc.strerror}") from exc
    certificate = certificates.parse(blob)
    keys = (blob,) if certificate is None else (certificate.key, certificate.ca)
    if not content.startswith(_MAGIC):
        return _in_list(path, content, keys)
    try:
        return Revocation(path) if _in_krl(Reader(content[len(_MAGIC) :]), keys, certificate) else None
    except (struct.error, IndexError):
        raise ValueError(f"reading {path} failed: the key revocation list is damaged") from None
    except ValueError as exc:
        raise ValueError(f"reading {path} failed: {exc}") from None


def _in_list(path: str, content: bytes, keys: Collection[bytes]) -> Revocation | None:
    """Look through lines ``type base64 [comment]``: one that is none may be meant for any key."""
    for number, line in enumerate(content.decode("utf-8", "replace").split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        blob = hostkeys.public_key(words)
        if blob is None:
            raise ValueError(f"reading {path} failed: line {number} is not a public key")
        listed = certificates.parse(blob)
        if (listed.key if listed else blob) in keys:
            return Revocation(path, number)
    return None


def _in_krl(reader: Reader, keys: Collection[bytes], certificate: Certificate | None) -> bool:
    if reader.number(">I") != _VERSION:
        raise ValueError("the key revocation list is of a version that is not known here")
    for _ in range(3):  # its number, its date, flags
        reader.number(">Q")
    for _ in range(2):  # reserved, comment
        reader.string()
    revoked = False
    while reader.left:  # to the end: a list is good as a whole or not at all
        kind = reader.number(">B")
        if kind == _SIGNATURE:  # only more of them can follow
            break
        body = Reader(reader.string())
        if kind == _CERTIFICATES:
            revoked |= _revokes_certificate(body, certificate)
        elif kind in (_KEYS, _SHA1, _SHA256):
            wanted = {one if kind == _KEYS else _digest(kind, one) for one in keys}
            revoked |= any(string in wanted for string in _strings(body))
        elif kind == _EXTENSION:
            _pass_over(body)
        else:
            raise ValueError(f"the key revocation list has a section of type {kind}, which is not known here")
    return revoked


def _digest(kind: int, blob: bytes) -> bytes:
    import hashlib

    return (hashlib.sha1(blob, usedforsecurity=False) if kind == _SHA1 else hashlib.sha256(blob)).digest()


def _strings(reader: Reader) -> list[bytes]:
    found = []
    while reader.left:
        found.append(reader.string())
    return found


def _pass_over(reader: Reader) -> None:
    """Leave an extension out, unless it must be understood."""
    name = reader.text()
    if reader.number(">B"):
        raise ValueError(f"the key revocation list needs the extension {name!r}, which is not known here")


def _revokes_certificate(reader: Reader, certificate: Certificate | None) -> bool:
    """Tell whether a section, about the certificates of one CA or of any, has this one."""
    ca = reader.string()
    reader.string()  # reserved
    revoked = False
    while reader.left:
        kind = reader.number(">B")
        body = Reader(reader.string())
        if kind == _CERTIFICATE_EXTENSION:
            _pass_over(body)
        elif kind == _IDS:
            ids = _strings(body)
            revoked |= certificate is not None and any(one.decode("utf-8", "replace") == certificate.key_id for one in ids)
        elif kind in (_SERIALS, _RANGE, _BITMAP):
            # Serial 0 is that of all certificates that were given none.
            revoked |= _has_serial(kind, body, certificate.serial if certificate else 0)
        else:
            raise ValueError(f"the key revocation list has certificates by {kind:#x}, which is not known here")
    return revoked and certificate is not None and ca in (b"", certificate.ca)


def _has_serial(kind: int, reader: Reader, serial: int) -> bool:
    if kind == _SERIALS:
        found = []
        while reader.left:
            found.append(reader.number(">Q"))
        return bool(serial) and serial in found
    first = reader.number(">Q")
    if kind == _RANGE:
        return bool(serial) and first <= serial <= reader.number(">Q")
    bits = int.from_bytes(reader.string(), "big")
    return bool(serial) and serial >= first and bool(bits >> (serial - first) & 1)
