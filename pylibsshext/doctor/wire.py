# SPDX-License-Identifier: LGPL-2.1-or-later
"""How an SSH connection begins, read from the bytes of one side: banner and algorithms (RFC 4253 sections 4.2, 6 and 7.1)."""

from __future__ import annotations

from .._named_tuple import NamedTuple

_KEXINIT = 20
_COOKIE = 16
_NAME_LISTS = ("kex", "host_key", "cipher_out", "cipher_in", "mac_out", "mac_in", "compression_out", "compression_in")
# Signals that travel in the list of key exchanges without being one: RFC 8308 section 2.1, OpenSSH's PROTOCOL section 1.9.
_SIGNALS = ("ext-info-c", "ext-info-s", "kex-strict-c-v00@openssh.com", "kex-strict-s-v00@openssh.com")

Algorithms = dict[str, list[str]]
"""What a side offers, as name lists: ``kex``, ``host_key``, ``cipher_out`` (client to server), ``cipher_in``, …"""


class Opening(NamedTuple):
    """What one side has said so far: lines before its version, the version, its algorithms; None for what has not come."""

    before: list[str]
    banner: str | None
    algorithms: Algorithms | None


def opening(data: bytes) -> Opening:
    """Read the begin of what one side sent."""
    before: list[str] = []
    position = 0
    while (end := data.find(b"\n", position)) >= 0:
        line = data[position:end].rstrip(b"\r").decode("utf-8", "replace")
        position = end + 1
        if line.startswith("SSH-"):
            return Opening(before, line, _algorithms(data[position:]))
        before.append(line)
    unfinished = data[position:].decode("utf-8", "replace")
    return Opening([*before, unfinished] if unfinished else before, None, None)


def _algorithms(data: bytes) -> Algorithms | None:
    """Find the KEXINIT among the first packets, which are not encrypted."""
    while len(data) >= 6:
        size = int.from_bytes(data[:4], "big")
        packet, data = data[4 : 4 + size], data[4 + size :]
        if len(packet) == size > 1 and packet[1] == _KEXINIT:
            return dict(zip(_NAME_LISTS, _name_lists(packet[2 + _COOKIE :])))
    return None


def _name_lists(data: bytes) -> list[list[str]]:
    found = []
    while len(data) >= 4:
        size = int.from_bytes(data[:4], "big")
        names = data[4 : 4 + size].decode("ascii", "replace").split(",")
        found.append([name for name in names if name and name not in _SIGNALS])
        data = data[4 + size :]
    return found


def choice(ours: Algorithms, theirs: Algorithms, name: str) -> str | None:
    """Return what the two sides settle on: the first of the client's names that the server has, too."""
    return next((one for one in ours[name] if one in theirs[name]), None)


def without_choice(ours: Algorithms, theirs: Algorithms) -> list[str]:
    """Return the name lists in which the two sides have nothing in common, and so can't talk."""
    missing = [name for name in _NAME_LISTS if choice(ours, theirs, name) is None]
    for mac, cipher in (("mac_out", "cipher_out"), ("mac_in", "cipher_in")):
        if mac in missing and _authenticates(choice(ours, theirs, cipher)):
            missing.remove(mac)
    return missing


def _authenticates(cipher: str | None) -> bool:
    """Whether a cipher needs no MAC beside it."""
    return cipher is not None and ("gcm" in cipher or "poly1305" in cipher)
