# SPDX-License-Identifier: LGPL-2.1-or-later
"""Directories of the server, as a generator of tickets."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from . import protocol as p
from .client import LISTING, Client
from .errors import SFTPError
from .tickets import Ticket, handle_of

if TYPE_CHECKING:
    from .attributes import SFTPAttributes
    from .pool import Steps

#: READDIRs in flight at most; the first goes alone, since most directories need no more than two.
AT_ONCE = 8


def list_directory(client: Client, path: bytes) -> Steps[list[SFTPAttributes]]:
    """Return the entries of a directory, without ``.`` and ``..``, in the server's order."""
    about = p.from_path(path)
    handle = handle_of((yield client.request(p.OPENDIR, p.string(path), about=about, defer=True)))
    entries: list[SFTPAttributes] = []
    flight: deque[Ticket] = deque()
    allowed = 2
    try:
        while True:
            while len(flight) < allowed:
                request = client.request(p.READDIR, p.string(handle), about=about, owed=LISTING, defer=True)
                flight.append(request)
            reply = yield flight.popleft()
            if not isinstance(reply, p.Names):
                return entries
            if not reply.entries:
                raise SFTPError(f"listing {about!r} failed: the server sent no names", filename=about)
            entries += (entry for entry in reply.entries if entry.filename not in {".", ".."})
            allowed = min(allowed + 1, AT_ONCE)
    finally:
        client.later(p.CLOSE, p.string(handle))
