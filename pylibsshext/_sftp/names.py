# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can be done with the names of remote files: everything but moving their content."""

from __future__ import annotations

import errno
import hashlib
import posixpath
import time
from typing import TYPE_CHECKING, Any

from .._named_tuple import NamedTuple
from . import errors as _errors, protocol as p, tree
from .attributes import SFTPAttributes
from .errors import SFTPError, SFTPFileExistsError, SFTPFileNotFoundError
from .file import SFTPFile, extension
from .listing import list_directory
from .pool import run
from .put import POSIX_RENAME, STATVFS
from .tickets import Limits, attributes_of, handle_of, name_of, payload_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .client import Client


class StatVFS(NamedTuple):
    """A file system of the server, under the names of ``os.statvfs``."""

    f_bsize: int
    f_frsize: int
    f_blocks: int
    f_bfree: int
    f_bavail: int
    f_files: int
    f_ffree: int
    f_favail: int
    f_fsid: int
    f_flag: int
    f_namemax: int


class Names:
    """The part of ``SFTP`` that needs no more than a client."""

    @property
    def _client(self) -> Client:
        raise NotImplementedError

    # -- attributes -------------------------------------------------------------------------------------------------

    def stat(self, path: Any) -> SFTPAttributes:
        """Return the attributes of what *path* is or points to."""
        return attributes_of(self._do(p.STAT, p.to_path(path)))

    def lstat(self, path: Any) -> SFTPAttributes:
        """Return the attributes of *path* itself, also if it is a link."""
        return attributes_of(self._do(p.LSTAT, p.to_path(path)))

    def fstat(self, file: SFTPFile) -> SFTPAttributes:
        """Return the attributes of an open file."""
        return file.stat()

    def exists(self, path: Any) -> bool:
        """Return whether *path* is there; a link to nothing is not."""
        try:
            self.stat(path)
        except SFTPFileNotFoundError:
            return False
        return True

    def setstat(self, path: Any, attributes: SFTPAttributes, *, follow_symlinks: bool = True) -> None:
        """Set those attributes that are not None."""
        name = p.to_path(path)
        if follow_symlinks:
            self._do(p.SETSTAT, name, attributes.encode())
        else:
            self._extension("lsetstat@openssh.com", p.string(name), attributes.encode(), about=name)

    def chmod(self, path: Any, mode: int) -> None:
        """Set the permission bits."""
        self.setstat(path, SFTPAttributes(st_mode=mode))

    def chown(self, path: Any, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        """Set owner and group, by number."""
        self.setstat(path, SFTPAttributes(st_uid=uid, st_gid=gid), follow_symlinks=follow_symlinks)

    def utime(self, path: Any, times: tuple[float, float] | None = None, *, follow_symlinks: bool = True) -> None:
        """Set the times of access and modification, by default to now; whole seconds travel."""
        access, change = times or (time.time(), time.time())
        wanted = SFTPAttributes(st_atime=int(access), st_mtime=int(change))
        self.setstat(path, wanted, follow_symlinks=follow_symlinks)

    def truncate(self, path: Any, size: int) -> None:
        """Cut or extend a file to *size* bytes."""
        self.setstat(path, SFTPAttributes(st_size=size))

    # -- directories ------------------------------------------------------------------------------------------------

    def listdir(self, path: Any = ".") -> list[str]:
        """Return the names in a directory, without ``.`` and ``..``."""
        return [entry.filename or "" for entry in self.listdir_attr(path)]

    def listdir_attr(self, path: Any = ".") -> list[SFTPAttributes]:
        """Return the entries of a directory: attributes with ``filename`` and ``longname``."""
        client = self._client
        try:
            return run(client, list_directory(client, p.to_path(path)))
        finally:
            client.tidy()

    def iterdir(self, path: Any = ".") -> Iterator[SFTPAttributes]:
        """Yield the entries of a directory as they come, for directories that are too large for a list."""
        client = self._client
        name = p.to_path(path)
        about = p.from_path(name)
        handle = handle_of(self._do(p.OPENDIR, name))
        try:
            while True:
                reply = client.wait(client.request(p.READDIR, p.string(handle), about=about))
                if not isinstance(reply, p.Names) or not reply.entries:
                    return
                yield from (entry for entry in reply.entries if entry.filename not in {".", ".."})
        finally:
            client.later(p.CLOSE, p.string(handle))
            client.tidy()

    listdir_iter = iterdir

    def walk(
        self, top: Any = ".", *, topdown: bool = True, followlinks: bool = False
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield (directory, names of directories, names of others) for each directory, as ``os.walk`` does."""
        return tree.walk(self._client, p.from_path(p.to_path(top)), topdown=topdown, followlinks=followlinks)

    def mkdir(self, path: Any, mode: int = 0o777) -> None:
        """Make a directory."""
        name = p.to_path(path)
        try:
            self._do(p.MKDIR, name, SFTPAttributes(st_mode=mode).encode())
        except SFTPError as exc:
            if exc.sftp_code == _errors.FAILURE and self._there(name):
                raise SFTPFileExistsError(exc.message, errno.EEXIST, exc.filename, exc.sftp_code) from exc
            raise

    def makedirs(self, path: Any, mode: int = 0o777, exist_ok: bool = False) -> None:
        """Make a directory, and those that lead to it."""
        name = p.from_path(p.to_path(path))
        parent = posixpath.dirname(name.rstrip("/"))
        try:
            self.mkdir(name, mode)
        except SFTPFileExistsError:
            if not exist_ok or not self.stat(name).is_dir():
                raise
        except SFTPFileNotFoundError:
            if not parent or parent == name:
                raise
            self.makedirs(parent, exist_ok=True)
            self.mkdir(name, mode)

    def rmdir(self, path: Any) -> None:
        """Remove an empty directory."""
        name = p.to_path(path)
        try:
            self._do(p.RMDIR, name)
        except SFTPError as exc:
            if exc.sftp_code == _errors.FAILURE and next(self.iterdir(name), None) is not None:
                raise SFTPError(exc.message, errno.ENOTEMPTY, exc.filename, exc.sftp_code) from exc
            raise

    # -- names ------------------------------------------------------------------------------------------------------

    def remove(self, path: Any) -> None:
        """Remove a file or a link."""
        self._do(p.REMOVE, p.to_path(path))

    unlink = remove

    def rename(self, oldpath: Any, newpath: Any) -> None:
        """Give *oldpath* another name, replacing what has that name, as ``os.replace`` does.

        Where the server does not offer ``posix-rename@openssh.com`` a name that is taken is an error.
        """
        old, new = p.to_path(oldpath), p.to_path(newpath)
        if POSIX_RENAME in self._client.extensions:
            self._extension(POSIX_RENAME, p.string(old), p.string(new), about=old)
        else:
            self._do(p.RENAME, old, p.string(new))

    posix_rename = rename

    def symlink(self, source: Any, dest: Any) -> None:
        """Make *dest* a symbolic link to *source*."""
        client = self._client
        client.wait(client.symlink(p.to_path(source), p.to_path(dest)))

    def link(self, source: Any, dest: Any) -> None:
        """Make *dest* another name of the file *source* (``hardlink@openssh.com``)."""
        name = p.to_path(dest)
        self._extension("hardlink@openssh.com", p.string(p.to_path(source)), p.string(name), about=name)

    def readlink(self, path: Any) -> str:
        """Return where a link points to."""
        return name_of(self._do(p.READLINK, p.to_path(path)))

    def normalize(self, path: Any) -> str:
        """Return the absolute path, without links; ``normalize(".")`` is the directory that relative paths start from."""
        return name_of(self._do(p.REALPATH, p.to_path(path)))

    def expand(self, path: Any) -> str:
        """Return the absolute path, with ``~`` and ``~user`` replaced (``expand-path@openssh.com``)."""
        name = p.to_path(path)
        return name_of(self._extension("expand-path@openssh.com", p.string(name), about=name))

    # -- what the server offers -------------------------------------------------------------------------------------

    @property
    def extensions(self) -> dict[str, bytes]:
        """The extensions that the server offers, with their versions."""
        return dict(self._client.extensions)

    @property
    def limits(self) -> Limits:
        """The largest packet, READ and WRITE, and the number of open files; 0 where the server does not tell."""
        return self._client.limits

    def statvfs(self, path: Any = ".") -> StatVFS:
        """Return size and free space of the file system that holds *path*."""
        name = p.to_path(path)
        cursor = p.Cursor(memoryview(payload_of(self._extension(STATVFS, p.string(name), about=name))))
        return StatVFS(*(cursor.u64() for _ in range(11)))

    def fsync(self, file: SFTPFile) -> None:
        """Wait until the server's disk has what was written to an open file."""
        file.fsync()

    def checksum(self, path: Any, algorithm: str = "sha256", offset: int = 0, length: int = 0) -> str:
        """Return the hash, in hexadecimal, of *length* bytes (0: all) that the server computes (``check-file``)."""
        name = p.to_path(path)
        size = hashlib.new(algorithm).digest_size
        fields = p.string(algorithm.encode()), p.u64(offset), p.u64(length), p.u32(0)
        reply = self._extension("check-file", p.string(name), *fields, about=name, request="check-file-name")
        payload = payload_of(reply)
        if len(payload) < size or algorithm.encode() not in payload[:-size]:
            raise p.broken(f"no {algorithm} in the answer to check-file")
        return payload[-size:].hex()

    # -- requests ---------------------------------------------------------------------------------------------------

    def _do(self, kind: int, path: bytes, *fields: bytes) -> p.Reply:
        client = self._client
        return client.wait(client.request(kind, p.string(path), *fields, about=p.from_path(path)))

    def _extension(self, name: str, *fields: bytes, about: bytes, request: str | None = None) -> p.Reply:
        return extension(self._client, name, *fields, about=p.from_path(about), request=request)

    def _there(self, path: bytes) -> bool:
        try:
            self._do(p.LSTAT, path)
        except SFTPError:
            return False
        return True
