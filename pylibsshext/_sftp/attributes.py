# SPDX-License-Identifier: LGPL-2.1-or-later
"""File attributes as SFTP version 3 carries them, under the names of ``os.stat_result``."""

from __future__ import annotations

import stat
import struct
import time
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import os

SIZE, UIDGID, PERMISSIONS, ACMODTIME, EXTENDED = 0x1, 0x2, 0x4, 0x8, 0x80000000


class SFTPAttributes:
    """What the server told about a file; a field that it left out is ``None``.

    ``filename`` and ``longname`` are set in listings.  ``attr`` holds extended pairs, by name.
    """

    __slots__ = ("attr", "filename", "longname", "st_atime", "st_gid", "st_mode", "st_mtime", "st_size", "st_uid")
    st_size: int | None
    st_uid: int | None
    st_gid: int | None
    st_mode: int | None
    st_atime: int | None
    st_mtime: int | None
    filename: str | None
    longname: str | None
    attr: dict[bytes, bytes]

    def __init__(
        self,
        *,
        st_size: int | None = None,
        st_uid: int | None = None,
        st_gid: int | None = None,
        st_mode: int | None = None,
        st_atime: int | None = None,
        st_mtime: int | None = None,
        filename: str | None = None,
        longname: str | None = None,
    ) -> None:
        self.st_size = st_size
        self.st_uid = st_uid
        self.st_gid = st_gid
        self.st_mode = st_mode
        self.st_atime = st_atime
        self.st_mtime = st_mtime
        self.filename = filename
        self.longname = longname
        self.attr = {}

    @classmethod
    def from_stat(cls, result: os.stat_result, filename: str | None = None) -> SFTPAttributes:
        """Take over the result of ``os.stat``."""
        return cls(
            st_size=result.st_size,
            st_uid=result.st_uid,
            st_gid=result.st_gid,
            st_mode=result.st_mode,
            st_atime=int(result.st_atime),
            st_mtime=int(result.st_mtime),
            filename=filename,
        )

    @property
    def kind(self) -> int:
        """The file type (``stat.S_IFREG`` and so on), 0 where the server does not tell."""
        return stat.S_IFMT(self.st_mode or 0)

    def is_dir(self) -> bool:
        """Return whether it is a directory."""
        return self.kind == stat.S_IFDIR

    def is_file(self) -> bool:
        """Return whether it is a regular file."""
        return self.kind == stat.S_IFREG

    def is_symlink(self) -> bool:
        """Return whether it is a symbolic link."""
        return self.kind == stat.S_IFLNK

    def encode(self) -> bytes:
        """Return the bytes that travel: a word of flags, then the fields that are set."""
        flags, fields = 0, []
        if self.st_size is not None:
            flags |= SIZE
            fields.append(struct.pack(">Q", self.st_size))
        if self.st_uid is not None and self.st_gid is not None:
            flags |= UIDGID
            fields.append(struct.pack(">II", self.st_uid, self.st_gid))
        if self.st_mode is not None:
            flags |= PERMISSIONS
            fields.append(struct.pack(">I", self.st_mode))
        if self.st_atime is not None and self.st_mtime is not None:
            flags |= ACMODTIME
            fields.append(struct.pack(">II", _seconds(self.st_atime), _seconds(self.st_mtime)))
        return struct.pack(">I", flags) + b"".join(fields)

    def __eq__(self, other: object) -> bool:
        """Compare by what travels, and by name."""
        if not isinstance(other, SFTPAttributes):
            return NotImplemented
        return (self.filename, self.encode()) == (other.filename, other.encode())

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __str__(self) -> str:
        """Return a line as ``ls -l`` prints it."""
        if self.longname:
            return self.longname
        mode = stat.filemode(self.st_mode) if self.st_mode is not None else "?---------"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.st_mtime)) if self.st_mtime is not None else "?"
        uid, gid, size = (_shown(value) for value in (self.st_uid, self.st_gid, self.st_size))
        return f"{mode} {uid:>8} {gid:>8} {size:>12} {when:<16} {self.filename or ''}".rstrip()

    def __repr__(self) -> str:
        """Return the fields that are set."""
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__ if getattr(self, name))
        return f"SFTPAttributes({shown})"


def _shown(value: Any) -> str:
    return "?" if value is None else str(value)


def _seconds(value: float) -> int:
    """Version 3 has 32 bits for a time; before 1970 and after 2106 the nearest one goes out."""
    return max(0, min(int(value), 0xFFFFFFFF))
