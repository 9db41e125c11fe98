# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole files by the SFTP client that the holder keeps for a session: no program is started for them on the server."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any

from ..errors import LibsshException
from .protocol import HangUp

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ..sftp import SFTP
    from .client import MuxSession
    from .protocol import Message

_LOST = "the connection holder is gone"


def _connection_error(message: str, code: int) -> LibsshException:
    from .._sftp.errors import SFTPConnectionError

    return SFTPConnectionError(message, code)


class MuxSFTP:
    """`put` and `get` of whole files by the holder; everything else that `SFTP` does, by an SFTP of this process's own."""

    def __init__(self, session: MuxSession) -> None:
        self.session = session
        self._own: SFTP | None = None
        try:
            self._ask("sftp")
        except LibsshException as exc:
            raise _connection_error(f"starting SFTP failed: {exc}", errno.ENOTCONN) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        """Do what the holder has no short way for, over a channel."""
        return getattr(self._full(), name)

    def _full(self) -> SFTP:
        if self._own is None:
            from ..sftp import SFTP

            self._own = SFTP(self.session)
        return self._own

    def _ask(self, do: str, remote: bytes = b"", fds: tuple[int, ...] = (), **about: Any) -> Message:
        wire = self.session.lease()
        try:
            answer = self.session.ask(wire, {"do": do, **about}, remote, fds)
        except HangUp as exc:
            wire.close()
            raise _connection_error(f"{do} failed: {_LOST}", errno.ECONNRESET) from exc
        except BaseException:
            wire.close()
            raise
        self.session.give_back(wire)
        return answer

    def put(self, local_file: Any, remote_file: Any, **options: Any) -> None:
        """Send a file; see ``SFTP.put``."""
        if options or not isinstance(local_file, (str, bytes, os.PathLike)):
            self._full().put(local_file, remote_file, **options)
            return
        fd = os.open(local_file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise IsADirectoryError(errno.EISDIR, "Is a directory (recursive=True sends it)", os.fsdecode(local_file))
            self._ask("put", os.fsencode(remote_file), (fd,), name=os.fsdecode(local_file))
        finally:
            os.close(fd)

    def get(self, remote_file: Any, local_file: Any, **options: Any) -> None:
        """Fetch a file; see ``SFTP.get``."""
        if options or not isinstance(local_file, (str, bytes, os.PathLike)):
            self._full().get(remote_file, local_file, **options)
            return
        from .._sftp.local import LocalTarget, Options  # which sending, what most of Ansible's tasks do, has no use for

        remote = os.fsencode(remote_file)
        mode = self._ask("stat", remote).data["mode"]
        target = LocalTarget(os.fsdecode(local_file), Options())
        try:
            target.open(mode)
            target.commit(self._ask("get", remote, (target.fd,), name=target.path).data["end"], None)
        finally:
            target.discard()

    def close(self) -> None:
        """Close what this process has opened; the holder's stays."""
        if self._own is not None:
            self._own.close()
