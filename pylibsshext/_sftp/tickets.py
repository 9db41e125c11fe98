# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes between the client and those who use it: tickets for requests, and what replies hold."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from . import protocol as p

if TYPE_CHECKING:
    from .attributes import SFTPAttributes


class Transport(Protocol):
    """What the client needs of a channel."""

    def read(self, size: int = ..., *, timeout: float | None = ...) -> bytes:
        """Return data that has come, b"" at the end of the stream."""

    def write(self, data: Any, timeout: float | None = ...) -> int:
        """Send all of *data*."""

    def close(self) -> None:
        """End the stream both ways."""


class Ticket:
    """A request under way."""

    __slots__ = ("about", "expected", "id", "kind", "offset", "owed", "reply", "sent", "written")

    def __init__(self, kind: int, about: str | None, owed: int, written: int, offset: int | None) -> None:
        self.id: int = 0
        self.kind: int = kind
        self.about: str | None = about
        self.owed: int = owed
        self.written: int = written
        self.offset: int | None = offset
        self.expected: bool = False  #: by the core, which puts the data where it belongs
        self.sent: float = time.monotonic()
        self.reply: p.Reply | None = None

    def doing(self) -> str:
        """Return the beginning of an error text."""
        words = f"{p.DOING[self.kind]} {self.about!r}" if self.about else p.DOING[self.kind]
        return words if self.offset is None else f"{words} at byte {self.offset}"


class Limits:
    """What the server takes, by ``limits@openssh.com`` or the protocol's own minimum."""

    def __init__(self, packet: int = 0, read: int = 0, write: int = 0, handles: int = 0) -> None:
        self.max_packet_length = packet
        self.max_read_length = read
        self.max_write_length = write
        self.max_open_handles = handles

    def __repr__(self) -> str:
        """Return the four numbers by name."""
        return f"Limits({', '.join(f'{name}={value}' for name, value in vars(self).items())})"


def handle_of(reply: p.Reply) -> bytes:
    """Return the handle in a reply."""
    if not isinstance(reply, p.Handle):
        raise p.broken("success without a handle")
    return reply.handle


def attributes_of(reply: p.Reply) -> SFTPAttributes:
    """Return the attributes in a reply."""
    if not isinstance(reply, p.Attrs):
        raise p.broken("success without attributes")
    return reply.attributes


def payload_of(reply: p.Reply) -> bytes:
    """Return the extension's answer in a reply."""
    if not isinstance(reply, p.Extended):
        raise p.broken("success without the extension's answer")
    return reply.payload


def name_of(reply: p.Reply) -> str:
    """Return the one name in a reply of REALPATH or READLINK."""
    if not isinstance(reply, p.Names) or len(reply.entries) != 1:
        raise p.broken("not exactly one name")
    return reply.entries[0].filename or ""


def write_head(handle: bytes) -> int:
    """Return how many bytes of a WRITE come before its data."""
    return 9 + 4 + len(handle) + 12
