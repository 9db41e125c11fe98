# SPDX-License-Identifier: LGPL-2.1-or-later
"""Send one file, as a generator of tickets.

A file goes to a temporary name in the target's directory and replaces the target in one step, where that can be done
without changing what the target is.  It is written in place instead (unless ``atomic=True`` demands an error) where

- the target is no regular file, such as ``/dev/null``, or the server does not tell what it is (many devices);
- the directory takes no new file, or the server refuses to give the new file the old one's owner.

A server without ``posix-rename@openssh.com`` can't replace a file in one step: the old one is removed first, once the new
one is there, whole and measured.  A target that is a symbolic link stays one: what it points to is replaced.
"""

from __future__ import annotations

import errno
import io
import os
import posixpath
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import errors as _errors, protocol as p
from .attributes import SFTPAttributes
from .bulk import DescriptorSource, Rest, Source, StreamSource, check_end, upload
from .errors import SFTPConnectionError, SFTPError, SFTPFileNotFoundError, SFTPTimeout
from .get import TAIL, same_bytes
from .local import Meter, Opened, Options, Progress, is_path, partial_name, temporary_name
from .stripes import Share, upload_side
from .tickets import attributes_of, handle_of, name_of

if TYPE_CHECKING:
    from .client import Client
    from .pool import Steps
    from .tickets import Ticket

POSIX_RENAME = "posix-rename@openssh.com"
STATVFS = "statvfs@openssh.com"


class Upload:
    """One file on its way.  *litter* holds the names of unfinished files, for the caller to remove after a failure.

    A file that travels *alone* has nobody to share its round trips with, and makes fewer of them.
    """

    def __init__(self, client: Client, remote: bytes, options: Options, litter: set[bytes], alone: bool = False) -> None:
        self.client = client
        self.remote = remote
        self.options = options
        self.litter = litter
        self.hopes = alone and not options.resume and options.atomic is not False and POSIX_RENAME in client.extensions
        self.about = p.from_path(remote)
        self.old: SFTPAttributes | None = None
        self.partial: bytes | None = None
        self.handle = b""
        self.special = False
        self.finishing: list[Ticket] = []
        self.removals: list[tuple[bytes, Ticket]] = []

    # -- a file, from beginning to end ---------------------------------------------------------------------------

    def run(self, local: Any, progress: Progress | None = None) -> Steps[None]:
        """Send *local*, a path, an ``Opened`` file or a file object opened for reading bytes."""
        if isinstance(local, Opened):
            yield from self._send_opened(local, progress)
            return
        if not is_path(local):
            if self.options.resume or self.options.preserve:
                raise ValueError("resume and preserve need a local path, not a file object")
            yield from self._send(StreamSource(local), None, Meter(progress, self.about, None))
            return
        fd = os.open(local, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield from self._send_opened(Opened(fd, os.fsdecode(local)), progress)
        finally:
            os.close(fd)

    def _send_opened(self, local: Opened, progress: Progress | None) -> Steps[None]:
        about = os.fstat(local.fd)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory (recursive=True sends it)", local.name)
        source: Source = DescriptorSource(*local) if local.is_seekable() else StreamSource(io.FileIO(local.fd, closefd=False))
        yield from self._send(source, about, Meter(progress, local.name, about.st_size))

    def _send(self, source: Source, local: os.stat_result | None, meter: Meter) -> Steps[None]:
        try:
            yield from self._open(0o666 if local is None else local.st_mode & 0o777)
            acknowledged = yield from self._resume_at(source, local)
            meter.start(acknowledged)
            if isinstance(source, DescriptorSource) and local is not None and not self.options.resume:
                acknowledged = self._striped(source, local.st_size, meter)
            end = yield from self._upload(source, acknowledged, local, meter)
            if local is not None and stat.S_ISREG(local.st_mode):
                check_end(end, local.st_size, meter.name)
            yield from self._finish(end, local)
        except BaseException:
            if self.options.resume and self.handle and self.client.broken is None:
                cut = SFTPAttributes(st_size=meter.done).encode()
                self.client.later(p.FSETSTAT, p.string(self.handle), cut)
            raise
        finally:
            if self.handle:
                self.client.later(p.CLOSE, p.string(self.handle))
        yield from self._rename()

    def _striped(self, source: DescriptorSource, size: int, meter: Meter) -> int:
        """Send what there is of a large file over several channels; return the offset to go on from."""
        stripes, partial = self.client.stripes, self.partial
        count = 1 if stripes is None else stripes.wanted(self.client, size)
        if stripes is None or partial is None or count < 2:
            return 0
        share = Share(size, 0, self.about, meter)
        own = upload(self.client, self.handle, source, share, self.about, size)
        stripes.move(self.client, count, share, own, lambda other: upload_side(other, partial, source, share))
        return size

    def _upload(self, source: Source, offset: int, local: os.stat_result | None, meter: Meter) -> Steps[int]:
        rest = Rest(offset, meter)
        left = None if local is None else max(0, local.st_size - offset)

        def all_sent() -> None:
            if not self.options.resume and not self.options.preserve:  # those want to know first what has arrived
                self._ask_to_finish(rest.end, local)

        try:
            yield from upload(self.client, self.handle, source, rest, self.about, left, all_sent)
        except SFTPError as exc:
            if exc.sftp_code == _errors.FAILURE and (yield from self._is_full()):
                number = errno.ENOSPC
                raise SFTPError(f"{exc} ({os.strerror(number)})", number, self.about, exc.sftp_code, exc.offset) from exc
            raise
        return rest.end

    def _is_full(self) -> Steps[bool]:
        """Return whether the file system has no room: version 3 has only "Failure" to say so."""
        if STATVFS not in self.client.extensions:
            return False
        request = self.client.request(p.EXTENDED, p.string(STATVFS.encode()), p.string(self.partial or self.remote))
        try:
            reply = yield request
        except SFTPError:
            return False
        if not isinstance(reply, p.Extended):
            return False
        cursor = p.Cursor(memoryview(reply.payload))
        _, _, blocks, _, available = (cursor.u64() for _ in range(5))
        return blocks > 0 and available == 0  # file systems such as /proc have no blocks at all

    # -- where to ------------------------------------------------------------------------------------------------

    def _open(self, mode: int) -> Steps[None]:
        if self.options.atomic is False:
            yield from self._open_in_place(mode)
            return
        target, looked = self.remote, self._ask(p.LSTAT, self.remote)
        if self.hopes:  # for a target that is not there yet: then all of this takes one round trip
            yield from self._try_beside(mode)
        why = yield from self._why_in_place(looked)
        if self.handle:
            if not why and self.old is None and self.remote == target:
                return
            self._forget_partial()
        if not why:
            refusal = yield from self._try_beside(mode)
            if refusal is None:
                return
            if self.options.atomic:
                try:
                    raise refusal
                finally:
                    del refusal  # its traceback holds this frame
            why, self.old = str(refusal), None
        if self.options.atomic:
            raise SFTPError(f"{self.about!r} cannot be replaced in one step: {why}", errno.EOPNOTSUPP, self.about)
        yield from self._open_in_place(mode)

    def _why_in_place(self, looked: Ticket) -> Steps[str]:
        """Return why the target, which was *looked* at, cannot be replaced, or an empty text."""
        try:
            found = attributes_of((yield looked))
        except SFTPFileNotFoundError:
            return ""
        except (SFTPConnectionError, SFTPTimeout):
            raise
        except SFTPError as exc:
            return str(exc)
        if found.is_symlink():
            try:
                self.remote = p.to_path(name_of((yield self._ask(p.REALPATH, self.remote))))
            except SFTPFileNotFoundError:
                return "it is a link to nothing"
            try:
                found = attributes_of((yield self._ask(p.STAT, self.remote)))
            except SFTPFileNotFoundError:
                return ""
        if found.is_dir():
            raise SFTPError(f"{self.about!r} is a directory", errno.EISDIR, self.about)
        if not found.is_file():
            self.special = True
            return "it is no regular file"
        if self.options.atomic and POSIX_RENAME not in self.client.extensions:
            return "the server does not offer posix-rename@openssh.com"
        self.old = found
        return ""

    def _open_in_place(self, mode: int) -> Steps[None]:
        flags = p.F_WRITE | p.F_CREAT | (p.F_READ if self.options.resume else p.F_TRUNC)
        yield from self._open_handle(self.remote, flags, mode)

    def _try_beside(self, mode: int) -> Steps[SFTPError | None]:
        """Open the temporary file; return why the server will not have it, which then is forgotten."""
        try:
            yield from self._open_beside(mode)
        except (SFTPConnectionError, SFTPTimeout):
            raise
        except SFTPError as exc:
            self._forget_partial()
            return exc
        return None

    def _open_beside(self, mode: int) -> Steps[None]:
        directory, name = posixpath.split(p.from_path(self.remote))
        beside = partial_name(name) if self.options.resume else temporary_name(name)
        partial = p.to_path(posixpath.join(directory, beside))
        flags = p.F_WRITE | p.F_CREAT | (p.F_READ if self.options.resume else p.F_EXCL)
        if self.options.resume:
            yield from self._refuse_a_planted(partial)
        else:
            self.litter.add(partial)
        private = self.old is not None or self.options.mode is not None
        self.partial = partial
        yield from self._open_handle(partial, flags, 0o600 if private else mode)
        if self.old is not None:
            yield from self._take_owner(self.old)

    def _open_handle(self, path: bytes, flags: int, mode: int) -> Steps[None]:
        wanted = SFTPAttributes(st_mode=mode).encode()
        request = self.client.request(p.OPEN, p.string(path), p.u32(flags), wanted, about=self.about, defer=True)
        self.handle = handle_of((yield request))

    def _refuse_a_planted(self, partial: bytes) -> Steps[None]:
        """A link under the name of the partial file would lead our data elsewhere."""
        with suppress(SFTPFileNotFoundError):
            found = attributes_of((yield self._ask(p.LSTAT, partial)))
            if not found.is_file():
                raise SFTPError(f"{p.from_path(partial)!r} is in the way: no regular file", errno.EEXIST, self.about)

    def _take_owner(self, old: SFTPAttributes) -> Steps[None]:
        if old.st_uid is None:
            return
        ours = attributes_of((yield self._ask(p.FSTAT, self.handle)))
        if (ours.st_uid, ours.st_gid) != (old.st_uid, old.st_gid):
            yield self._set(SFTPAttributes(st_uid=old.st_uid, st_gid=old.st_gid))

    def _forget_partial(self) -> None:
        """Do without the temporary file; its removal goes out with the next request, behind the CLOSE."""
        if self.handle:
            self.client.later(p.CLOSE, p.string(self.handle))
        if self.partial is not None:
            if self.handle and not self.options.resume:
                self.removals.append((self.partial, self._ask(p.REMOVE, self.partial)))
            else:
                self.litter.discard(self.partial)
        self.handle, self.partial = b"", None

    # -- to continue, and to complete ---------------------------------------------------------------------------

    def _resume_at(self, source: Source, local: os.stat_result | None) -> Steps[int]:
        """Return how many bytes an earlier transfer has left there, if they are those of this file."""
        if not self.options.resume or local is None:
            return 0
        held = attributes_of((yield self._ask(p.FSTAT, self.handle))).st_size or 0
        tail = bytearray(min(TAIL, held))
        if held > local.st_size or source.fill(memoryview(tail), held - len(tail)) < len(tail):
            return 0
        same = yield from same_bytes(self.client, self.handle, bytes(tail), held - len(tail), self.about)
        return held if same else 0

    def _ask_to_finish(self, end: int, local: os.stat_result | None) -> None:
        """Cut, dress, measure and close the file: four requests, in the round trip of the data that they follow, or in one."""
        if self.options.resume:
            self.finishing.append(self._set(SFTPAttributes(st_size=end)))
        dress = self._dress(local)
        if dress.encode() != SFTPAttributes().encode():
            self.finishing.append(self._set(dress))
        self.finishing.append(self._ask(p.FSTAT, self.handle))
        handle, self.handle = self.handle, b""
        self.finishing.append(self.client.request(p.CLOSE, p.string(handle), about=self.about, defer=True))

    def _finish(self, end: int, local: os.stat_result | None) -> Steps[None]:
        """See to it that the file is complete, and as it should be."""
        for name, removed in self.removals:
            with suppress(SFTPError):  # then it stays among the litter
                yield removed
                self.litter.discard(name)
        if not self.finishing:
            self._ask_to_finish(end, local)
        *dressed, measured, closed = self.finishing
        for ticket in dressed:  # noqa: UP028 - a list takes no replies
            yield ticket
        size = attributes_of((yield measured)).st_size
        yield closed
        if self.partial is None or size is None:
            return
        if size != end:  # a server may have looked before it wrote
            with suppress(SFTPError):
                size = attributes_of((yield self._ask(p.LSTAT, self.partial))).st_size
        if size != end:
            raise SFTPError(
                f"writing {self.about!r} failed: the server has {size} bytes of {end}", errno.EIO, self.about, offset=size
            )

    def _dress(self, local: os.stat_result | None) -> SFTPAttributes:
        if self.special:
            return SFTPAttributes()
        dress = SFTPAttributes(st_mode=self.options.mode)
        if self.options.preserve and local is not None:
            dress.st_atime, dress.st_mtime = int(local.st_atime), int(local.st_mtime)
            if dress.st_mode is None:
                dress.st_mode = stat.S_IMODE(local.st_mode)
        if dress.st_mode is None and self.old is not None and self.old.st_mode is not None:
            dress.st_mode = stat.S_IMODE(self.old.st_mode)
        return dress

    def _rename(self) -> Steps[None]:
        if self.partial is None:
            return
        names = p.string(self.partial) + p.string(self.remote)
        if POSIX_RENAME in self.client.extensions:
            extension = p.string(POSIX_RENAME.encode())
            yield self.client.request(p.EXTENDED, extension, names, about=self.about, defer=True)
        else:
            if self.old is not None:
                yield self._ask(p.REMOVE, self.remote)
            yield self.client.request(p.RENAME, names, about=self.about, defer=True)
        self.litter.discard(self.partial)

    def _ask(self, kind: int, name: bytes) -> Any:
        return self.client.request(kind, p.string(name), about=self.about, defer=True)

    def _set(self, attributes: SFTPAttributes) -> Any:
        return self.client.request(p.FSETSTAT, p.string(self.handle), attributes.encode(), about=self.about, defer=True)
