# SPDX-License-Identifier: LGPL-2.1-or-later
"""SCP: files by the remote ``scp`` program, for servers and devices that have no SFTP."""

from __future__ import annotations

import os
import posixpath
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._scp.protocol import quoted
from ._scp.transfer import Receiver, Sender, Talk
from ._sftp.errors import (
    SCPConnectionError,
    SCPError,
    SCPFileNotFoundError,
    SCPPermissionError,
    SCPProtocolError,
    SCPTimeout,
)
from ._sftp.local import Options, Progress, is_path
from ._sftp.protocol import from_path, to_path
from .errors import LibsshException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .channel import AnySession

__all__ = [
    "SCP",
    "SCP_MAX_CHUNK",
    "SCPConnectionError",
    "SCPError",
    "SCPFileNotFoundError",
    "SCPPermissionError",
    "SCPProtocolError",
    "SCPTimeout",
]

SCP_MAX_CHUNK: int = 65536
"""A name of 1.4.0's; nothing depends on it."""


class SCP:
    """Files over ``scp``, each transfer on a channel of its own; threads may share the object.

    Remote paths go out as they are: ``flash:image.bin`` is a path.  Only what a POSIX shell would not take as one plain word is
    put in single quotes.  Errors are ``SCPError``, an ``OSError`` with the server's text.  *timeout* is how many seconds the server may
    be silent.  *command* is the remote program.
    """

    def __init__(self, session: AnySession, *, timeout: float | None = None, command: str = "scp") -> None:
        self.session: AnySession = session
        self.timeout: float | None = timeout
        self.command: str = command

    def put(
        self,
        local_file: Any,
        remote_file: Any,
        *,
        recursive: bool = False,
        preserve: bool = False,
        mode: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Send a file (a path, or a file object to read bytes from) or, with *recursive*, a directory; return 0.

        A target that is a directory gets the file, or the directory, under its local name.  *preserve* keeps times and modes, *mode* sets
        the mode of a file.  SCP writes in place: after a failure the target may be incomplete (``SFTP.put`` does better).
        """
        options = Options(preserve, mode)
        remote = from_path(to_path(remote_file))
        local = os.fsdecode(local_file) if is_path(local_file) else None
        if local is None:
            if preserve or recursive:
                raise ValueError("preserve and recursive need a local path, not a file object")
        elif not (recursive and os.path.isdir(local)):
            open(local, "rb").close()  # before anything is asked of the server
        with self._talk("t", options, remote, recursive) as talk:
            talk.okay()
            sender = Sender(talk, options, progress)
            if local is None:
                sender.stream(local_file, posixpath.basename(remote).rpartition(":")[2] or "file")
            elif recursive and os.path.isdir(local):
                sender.tree(local, os.path.basename(os.path.abspath(local)))
            else:
                sender.file(local)
            talk.send_eof()
        return 0

    def get(
        self,
        remote_file: Any,
        local_file: Any,
        *,
        recursive: bool = False,
        preserve: bool = False,
        mode: int | None = None,
        atomic: bool | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Fetch a file into a path or a file object or, with *recursive*, what is in a directory; return 0.

        A local path is the name that the file, or the directory, gets.  The file appears whole or not at all, as with ``SFTP.get``.
        """
        options = Options(preserve, mode, atomic=atomic)
        remote = from_path(to_path(remote_file))
        if (recursive or preserve or mode is not None) and not is_path(local_file):
            raise ValueError("recursive, preserve and mode need a local path, not a file object")
        with self._talk("f", options, remote, recursive) as talk:
            receiver = Receiver(talk, options, progress)
            if recursive:
                receiver.tree(remote, os.fsdecode(local_file))
            else:
                receiver.one(remote, local_file)
        return 0

    @contextmanager
    def _talk(self, direction: str, options: Options, remote: str, recursive: bool) -> Iterator[Talk]:
        """Start the remote program; whatever happens, its channel is closed and the session stays usable."""
        flags = ("-r " if recursive else "") + ("-p " if options.preserve else "") + f"-{direction}"
        command = to_path(f"{self.command} {flags} {quoted(remote)}")
        try:
            channel = self.session.open_session()
        except LibsshException as exc:
            raise SCPConnectionError(f"copying {remote!r} failed: {exc}", filename=remote) from exc
        try:
            try:
                channel.request_exec(command)
            except LibsshException as exc:
                raise SCPConnectionError(f"starting {self.command!r} failed: {exc}", filename=remote) from exc
            yield Talk(channel, remote, self.timeout)
        finally:
            channel.close()
