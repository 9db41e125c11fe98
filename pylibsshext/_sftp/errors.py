# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can go wrong in a transfer: ``OSError`` with errno, path and, for SFTP, the server's status code."""

from __future__ import annotations

import errno as _errno
from typing import Any

from ..errors import LibsshException, LibsshSCPException, LibsshSFTPException

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, NO_CONNECTION, CONNECTION_LOST, OP_UNSUPPORTED = range(9)

#: Status code -> (errno, text).  Codes from 9 on belong to later versions; some servers send them in version 3 too.
STATUS: dict[int, tuple[int, str]] = {
    OK: (0, "No error"),
    EOF: (0, "End of file"),
    NO_SUCH_FILE: (_errno.ENOENT, "No such file"),
    PERMISSION_DENIED: (_errno.EACCES, "Permission denied"),
    FAILURE: (_errno.EIO, "Failure"),
    BAD_MESSAGE: (_errno.EBADMSG, "Bad message"),
    NO_CONNECTION: (_errno.ENOTCONN, "No connection"),
    CONNECTION_LOST: (_errno.ECONNRESET, "Connection lost"),
    OP_UNSUPPORTED: (_errno.EOPNOTSUPP, "Operation not supported by the server"),
    9: (_errno.EBADF, "Invalid handle"),
    10: (_errno.ENOENT, "No such path"),
    11: (_errno.EEXIST, "File already exists"),
    12: (_errno.EROFS, "Write-protected file system"),
    13: (_errno.ENXIO, "No medium in the drive"),
    14: (_errno.ENOSPC, "No space left on the file system"),
    15: (_errno.EDQUOT, "Quota exceeded"),
    16: (_errno.EINVAL, "Unknown user or group"),
    17: (_errno.EAGAIN, "The file is locked"),
    18: (_errno.ENOTEMPTY, "Directory not empty"),
    19: (_errno.ENOTDIR, "Not a directory"),
    20: (_errno.EINVAL, "Invalid file name"),
    21: (_errno.ELOOP, "Too many symbolic links"),
    22: (_errno.EBUSY, "Cannot delete"),
    23: (_errno.EINVAL, "Invalid parameter"),
    24: (_errno.EISDIR, "Is a directory"),
}


class _TransferError(LibsshException, OSError):
    """A transfer failed: ``errno`` and ``filename`` are those of ``OSError``, ``offset`` is the byte at which data failed."""

    def __init__(
        self, message: str = "", errno: int | None = None, filename: str | None = None, offset: int | None = None
    ) -> None:
        super().__init__(message)
        self.errno: int | None = errno
        self.strerror: str | None = message
        self.filename: str | None = filename
        self.offset: int | None = offset

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the way through a process pool with every attribute."""
        of_os = {"errno": self.errno, "strerror": self.strerror, "filename": self.filename}
        return type(self), (self.message,), {**vars(self), **of_os}


class SFTPError(_TransferError, LibsshSFTPException, OSError):
    """An SFTP request failed.

    ``errno`` and ``filename`` are those of ``OSError``; ``sftp_code`` is the server's status code (None where the
    failure is not the server's answer); ``offset`` is the byte at which reading or writing failed.
    """

    def __init__(
        self,
        message: str = "",
        errno: int | None = None,
        filename: str | None = None,
        sftp_code: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(message, errno, filename, offset)
        self.sftp_code: int | None = sftp_code


class SFTPFileNotFoundError(SFTPError, FileNotFoundError):
    """The remote file or directory does not exist."""


class SFTPPermissionError(SFTPError, PermissionError):
    """The server does not allow it."""


class SFTPFileExistsError(SFTPError, FileExistsError):
    """The remote name is taken."""


class SFTPConnectionError(SFTPError, ConnectionError):
    """The channel ended, or is closed."""


class SFTPTimeout(SFTPError, TimeoutError):
    """The server took longer to answer than the caller allows."""


class SFTPProtocolError(SFTPError):
    """The server sent what the protocol does not allow; the channel cannot be used any more."""


class SCPError(_TransferError, LibsshSCPException, OSError):
    """An SCP transfer failed; the attributes are those of ``OSError``, and ``offset`` the byte where data failed."""


class SCPFileNotFoundError(SCPError, FileNotFoundError):
    """The file does not exist on the server."""


class SCPPermissionError(SCPError, PermissionError):
    """The server does not allow it."""


class SCPConnectionError(SCPError, ConnectionError):
    """The channel ended in the middle of a transfer."""


class SCPTimeout(SCPError, TimeoutError):
    """The server took longer than the caller allows."""


class SCPProtocolError(SCPError):
    """The server sent what the protocol does not allow, or a name that was not asked for."""


_SFTP_BY_ERRNO: dict[int, type[SFTPError]] = {
    _errno.ENOENT: SFTPFileNotFoundError,
    _errno.EACCES: SFTPPermissionError,
    _errno.EPERM: SFTPPermissionError,
    _errno.EEXIST: SFTPFileExistsError,
    _errno.ENOTCONN: SFTPConnectionError,
    _errno.ECONNRESET: SFTPConnectionError,
}

_SCP_BY_TEXT: tuple[tuple[str, type[SCPError], int], ...] = (
    ("no such file", SCPFileNotFoundError, _errno.ENOENT),
    ("permission denied", SCPPermissionError, _errno.EACCES),
    ("no space left", SCPError, _errno.ENOSPC),
    ("quota exceeded", SCPError, _errno.EDQUOT),
    ("is a directory", SCPError, _errno.EISDIR),
    ("not a regular file", SCPError, _errno.EISDIR),
    ("not a directory", SCPError, _errno.ENOTDIR),
    ("read-only file system", SCPError, _errno.EROFS),
)


def sftp_error(
    message: str,
    number: int,
    filename: str | None = None,
    sftp_code: int | None = None,
    offset: int | None = None,
) -> SFTPError:
    """Return the exception of the class that belongs to an errno."""
    return _SFTP_BY_ERRNO.get(number, SFTPError)(message, number, filename, sftp_code, offset)


def from_status(doing: str, code: int, text: str, filename: str | None = None, offset: int | None = None) -> SFTPError:
    """Return the exception for a status reply: *doing* is what we were at, *text* the server's own words."""
    number, known = STATUS.get(code, (_errno.EIO, f"Status {code}"))
    return sftp_error(f"{doing} failed: {text or known}", number, filename, code, offset)


def from_scp_text(doing: str, text: str, filename: str | None = None, offset: int | None = None) -> SCPError:
    """Return the exception for an error line of an ``scp`` server; only its words tell what it was."""
    lowered = text.lower()
    for words, cls, number in _SCP_BY_TEXT:
        if words in lowered:
            return cls(f"{doing} failed: {text}", number, filename, offset)
    return SCPError(f"{doing} failed: {text}", _errno.EIO, filename, offset)
