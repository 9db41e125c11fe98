# SPDX-License-Identifier: GPL-3.0-or-later
"""Files there and back, by whatever the server has: SFTP, scp, or a plain pipe. Private to this collection."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import _command

if TYPE_CHECKING:
    from types import ModuleType

SMART = ("sftp", "scp", "piped")
_CHUNK = 1 << 18
# A shell's "not found" has no errno of its own; EINVAL is a file that scp by its nature can't copy, as those of /proc.
_NO_SCP = (errno.EIO, errno.EINVAL)


class TransferError(Exception):
    """A file could not be moved, and the connection is not to blame."""


class _Unavailable(Exception):
    """The server does not have this method."""


class Transfers:
    """The transfers of one session. What the server turned out not to have is not tried again."""

    def __init__(
        self,
        library: ModuleType,
        session: Any,
        methods: Iterable[str],
        quote: Callable[[str], str],
        report: Callable[[str], None],
    ) -> None:
        self._errors = library.errors
        self._session = session
        self._quote = quote
        self._report = report
        self._methods = list(methods)
        self._doers = {
            "sftp": (self._sftp_put, self._sftp_fetch),
            "scp": (self._scp_put, self._scp_fetch),
            "piped": (self._piped_put, self._piped_fetch),
        }

    def put(self, local: str, remote: str) -> None:
        """Copy a local file to the host."""
        self._move(0, local, remote)

    def fetch(self, remote: str, local: str) -> None:
        """Copy a file of the host here."""
        self._move(1, remote, local)

    def _move(self, direction: int, source: str, target: str) -> None:
        while True:
            method = self._methods[0]
            try:
                self._doers[method][direction](source, target)
            except _Unavailable as exc:
                if len(self._methods) == 1:
                    raise TransferError(f"by {method}: {exc}. Another transfer_method may work.") from exc
                self._report(f"{method} is not to be had here, {self._methods[1]} is next: {exc}")
                del self._methods[0]
            except OSError as exc:
                if isinstance(exc, (ConnectionError, TimeoutError)):
                    raise
                raise TransferError(f"by {method}: {exc}") from exc
            else:
                return

    def _unavailable(self, error: Exception) -> Exception:
        """Tell a method that is missing from a connection that is lost."""
        return _Unavailable(str(error)) if self._session.is_connected else error

    def _sftp(self) -> Any:
        try:
            return self._session.sftp()
        except self._errors.LibsshException as exc:
            raise self._unavailable(exc) from exc

    def _sftp_put(self, local: str, remote: str) -> None:
        with self._sftp() as sftp:
            sftp.put(local, remote)

    def _sftp_fetch(self, remote: str, local: str) -> None:
        with self._sftp() as sftp:
            sftp.get(remote, local)

    def _scp_put(self, local: str, remote: str) -> None:
        with self._scp() as scp:
            scp.put(local, remote)

    def _scp_fetch(self, remote: str, local: str) -> None:
        with self._scp() as scp:
            scp.get(remote, local)

    @contextmanager
    def _scp(self) -> Iterator[Any]:
        """Give the SCP client; errors that are not about the file say that the host has no such program."""
        try:
            yield self._session.scp()
        except OSError as exc:
            begun = getattr(exc, "offset", None) is not None
            if not begun and (isinstance(exc, ConnectionError) or exc.errno in _NO_SCP):
                raise self._unavailable(exc) from exc
            raise

    def _piped_put(self, local: str, remote: str) -> None:
        with open(local, "rb") as source, self._session.new_channel() as channel:
            channel.request_exec(f"cat > {self._quote(remote)}")
            try:
                while data := source.read(_CHUNK):
                    channel.write(data)
            except self._errors.LibsshChannelException as exc:
                if isinstance(exc, (ConnectionError, TimeoutError)):
                    raise
                # It has ended before it had read all; below it says why.
            self._end(channel)

    def _piped_fetch(self, remote: str, local: str) -> None:
        part = f"{local}.{os.getpid()}.part"
        with self._session.new_channel() as channel:
            channel.request_exec(f"cat < {self._quote(remote)}")
            channel.send_eof()
            try:
                with open(part, "wb") as target:
                    target.writelines(channel)
                self._end(channel)
                os.replace(part, local)
            except BaseException:
                _remove(part)
                raise

    def _end(self, channel: Any) -> None:
        stderr = channel.communicate()[1]
        if _command.status(channel):
            raise TransferError(f"by piped: {stderr.decode(errors='replace').strip()}")


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.remove(path)
