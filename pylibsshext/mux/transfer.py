# SPDX-License-Identifier: LGPL-2.1-or-later
"""A file that the holder moves for a client: the client opens it, and the holder has the SFTP client of the session."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Callable

from .protocol import HangUp, Wire, pack_error

if TYPE_CHECKING:
    from .._sftp.local import Opened
    from ..sftp import SFTP

    Progress = Callable[[int, int, str], None]
    Way = Callable[[SFTP, Opened, bytes, Progress], dict[str, Any]]


def send(sftp: SFTP, local: Opened, remote: bytes, progress: Progress) -> dict[str, Any]:
    """Send the client's open file."""
    sftp.put(local, remote, progress=progress)
    return {"put": True}


def fetch(sftp: SFTP, local: Opened, remote: bytes, progress: Progress) -> dict[str, Any]:
    """Fetch a file into the client's, which was empty."""
    sftp.get(remote, local, progress=progress)
    return {"end": os.fstat(local.fd).st_size}


class Gone(Exception):
    """The client of a transfer is gone, and with it the reason for it."""


class Transfer:
    """A file on its way; *move* is given a callback for its progress, and returns what to answer."""

    def __init__(self, wire: Wire, move: Callable[[Progress], dict[str, Any]]) -> None:
        self._wire = wire
        self._move = move
        self._cancelled = False
        self.moved = 0
        self.ended = False

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="transfer", daemon=True).start()

    def _progress(self, done: int, _total: int, _name: str) -> None:
        self.moved = done
        if self._cancelled:
            raise Gone

    def _run(self) -> None:
        try:
            answer = self._move(self._progress)
        except Gone:
            return
        except Exception as exc:  # noqa: BLE001 - told to the client, who waits for it
            answer = {"error": pack_error(exc)}
        self.ended = True
        with contextlib.suppress(HangUp):
            self._wire.send(answer)

    def hang_up(self) -> None:
        """Stop at the next piece."""
        self._cancelled = True
