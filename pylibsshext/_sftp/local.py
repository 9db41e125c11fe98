# SPDX-License-Identifier: LGPL-2.1-or-later
"""The local end of a transfer: a target file that appears whole or not at all, and what a transfer is told to keep."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, Optional

from .._named_tuple import NamedTuple

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from .attributes import SFTPAttributes

#: (bytes done, bytes in total as far as known, name)
Progress = Callable[[int, int, str], None]


def is_path(local: object) -> TypeIs[str | bytes | os.PathLike[str] | os.PathLike[bytes]]:
    """Return whether a local file is named, and not given as a file object."""
    return isinstance(local, (str, bytes, os.PathLike))


class Observer:
    """Watches transfers: one given as *progress* also learns what a tree holds, and how each file ended.

    ``failed`` decides whether the other files go on; the base class lets the first failure end all.
    """

    def __call__(self, done: int, total: int, name: str) -> None:
        """So many bytes of a file are done, of so many as far as known."""

    def planned(self, size: int, files: int) -> None:
        """A tree has been looked at: so many bytes in so many files are to come."""

    def ended(self, name: str) -> None:
        """A file is complete and has its name."""

    def failed(self, name: str, error: OSError) -> bool:  # noqa: ARG002 - for those who derive from it
        """A file could not be moved.  Return whether the others go on."""
        return False


class Options(NamedTuple):
    """What a transfer is asked to do; see ``SFTP.put``."""

    preserve: bool = False
    mode: Optional[int] = None  # noqa: UP045 - Python 3.9 evaluates the fields of a NamedTuple
    resume: bool = False
    atomic: Optional[bool] = None  # noqa: UP045


class Opened(NamedTuple):
    """A local file that is open already; *name* is for progress and errors."""

    fd: int
    name: str

    def is_regular(self) -> bool:
        """Return whether it is a file, and not a pipe or a device."""
        return stat.S_ISREG(os.fstat(self.fd).st_mode)

    def is_seekable(self) -> bool:
        """Return whether there are offsets in it: not in a pipe or a terminal."""
        try:
            os.lseek(self.fd, 0, os.SEEK_CUR)
        except OSError:
            return False
        return True


class Meter:
    """Counts the bytes of one file and tells a callback."""

    def __init__(self, progress: Progress | None, name: str, total: int | None) -> None:
        self.progress = progress
        self.name = name
        self.total = total or 0
        self.done = 0

    def start(self, offset: int = 0) -> None:
        """Begin at *offset*: a resumed transfer has that much already."""
        self.done = 0
        self(offset)

    def __call__(self, moved: int) -> None:
        """Count *moved* bytes more."""
        self.done += moved
        if self.progress is not None:
            self.progress(self.done, max(self.total, self.done), self.name)


def temporary_name(name: str) -> str:
    """Return a name for the unfinished *name*, beside it: hidden, unique, and not too long for a file system."""
    return f".{_shortened(name)}.{secrets.token_hex(4)}.part"


def partial_name(name: str) -> str:
    """Return the name under which an interrupted transfer of *name* waits to be resumed."""
    return f".{_shortened(name)}.part"


def _shortened(name: str) -> str:
    raw = name.encode("utf-8", "surrogateescape")
    return name if len(raw) <= 235 else raw[:235].decode("utf-8", "surrogateescape")


class LocalTarget:
    """A local file in the making.

    Data goes to a temporary file in the same directory, which replaces the target at ``commit``: a transfer that fails
    leaves the old file and nothing else.  What cannot be replaced is written in place: devices and pipes, and files
    whose owner or directory forbids it.  A symbolic link stays, and the file that it points to is replaced, unless
    *follow* is off: then the link itself is.
    """

    def __init__(self, path: str, options: Options, *, follow: bool = True) -> None:
        self.path = os.path.realpath(path) if follow else os.path.abspath(path)
        self.options = options
        self.fd = -1
        self.partial: str | None = None
        self.old = self._old()

    def _old(self) -> os.stat_result | None:
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.path)
        return None if stat.S_ISLNK(found.st_mode) else found

    def open(self, mode: int | None) -> None:
        """Open the file to write to; a new file gets *mode* as far as the umask allows."""
        create_mode = (0o666 if mode is None else mode) & 0o777
        replaceable = self.old is None or stat.S_ISREG(self.old.st_mode)
        if self.options.atomic is False or not replaceable:
            self._open_in_place(create_mode)
            return
        directory, name = os.path.split(self.path)
        beside = partial_name(name) if self.options.resume else temporary_name(name)
        self.partial = os.path.join(directory, beside)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (0 if self.options.resume else os.O_EXCL)
        try:
            self.fd = os.open(self.partial, flags, 0o600 if self.old else create_mode)
        except OSError as exc:
            self.partial = None
            if not isinstance(exc, PermissionError) or self.old is None or self.options.atomic:
                exc.filename = self.path  # by which the caller knows it
                raise
            self._open_in_place(create_mode)
            return
        if self.old is not None and not self._like_the_old(self.old):
            self.discard()
            self._open_in_place(create_mode)

    def _open_in_place(self, mode: int) -> None:
        flags = os.O_RDWR if self.options.resume else os.O_WRONLY | os.O_TRUNC
        self.fd = os.open(self.path, flags | os.O_CREAT | os.O_CLOEXEC, mode)

    def _like_the_old(self, old: os.stat_result) -> bool:
        """Give the new file the owner and mode of the old one; return whether that was allowed."""
        ours = os.fstat(self.fd)
        try:
            if (ours.st_uid, ours.st_gid) != (old.st_uid, old.st_gid):
                os.fchown(self.fd, old.st_uid, old.st_gid)
            os.fchmod(self.fd, stat.S_IMODE(old.st_mode))
        except PermissionError:
            if self.options.atomic:
                raise
            return False
        return True

    def held(self) -> int:
        """Return how many bytes an earlier, interrupted transfer has left here."""
        if not self.options.resume or not stat.S_ISREG(os.fstat(self.fd).st_mode):
            return 0
        return os.fstat(self.fd).st_size

    def commit(self, end: int, attributes: SFTPAttributes | None) -> None:
        """The file is complete, and *end* bytes long: give it mode and times, and its name."""
        if stat.S_ISREG(os.fstat(self.fd).st_mode):
            os.ftruncate(self.fd, end)
            self._dress(attributes)
        if self.partial is not None:
            os.replace(self.partial, self.path)
            self.partial = None
        self._close()

    def _dress(self, attributes: SFTPAttributes | None) -> None:
        mode = self.options.mode
        if self.options.preserve and attributes is not None:
            if mode is None and attributes.st_mode is not None:
                mode = stat.S_IMODE(attributes.st_mode)
            if attributes.st_atime is not None and attributes.st_mtime is not None:
                os.utime(self.fd, (attributes.st_atime, attributes.st_mtime))
        if mode is not None:
            os.fchmod(self.fd, mode)

    def discard(self) -> None:
        """Leave the old file as it was; what is to be resumed stays under its own name."""
        partial, self.partial = self.partial, None
        if partial is not None and not self.options.resume:
            with suppress(FileNotFoundError):
                os.unlink(partial)
        self._close()

    def keep(self, end: int) -> None:
        """Cut what is to be resumed to the *end* bytes that are known to be right."""
        if self.options.resume and self.fd >= 0 and stat.S_ISREG(os.fstat(self.fd).st_mode):
            os.ftruncate(self.fd, end)

    def _close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
