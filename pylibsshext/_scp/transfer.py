# SPDX-License-Identifier: LGPL-2.1-or-later
"""Transfers over a channel on which ``scp -t`` or ``scp -f`` runs."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections import deque
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from .._sftp.attributes import SFTPAttributes
from .._sftp.errors import (
    SCPConnectionError,
    SCPError,
    SCPTimeout,
    from_scp_text,
)
from .._sftp.local import LocalTarget, Meter, Options, Progress, is_path
from .._sftp.tree import dress_local, make_local
from ..errors import LibsshChannelTimeout, LibsshException
from . import protocol as p

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 256 * 1024
OKAY = b"\0"


class Talk:
    """One channel with ``scp`` at its other end."""

    def __init__(self, channel: Any, about: str, timeout: float | None) -> None:
        self.channel = channel
        self.about = about
        self.timeout = timeout
        self._decoder = p.Decoder()
        self._events: deque[p.Event] = deque()
        self.offset: int | None = None

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Name the file, and where we were in it, in what the channel raises."""
        try:
            yield
        except LibsshChannelTimeout as exc:
            raise SCPTimeout(f"{self.doing()} timed out", errno.ETIMEDOUT, self.about, self.offset) from exc
        except SCPError:
            raise
        except LibsshException as exc:
            # A server that gives up says why, and then closes: that is worth more than "closed".
            raise self._last_words(str(exc)) from exc

    def doing(self) -> str:
        """Return the beginning of an error text."""
        return f"copying {self.about!r}" + ("" if self.offset is None else f" at byte {self.offset}")

    def _last_words(self, otherwise: str) -> SCPError:
        try:
            while True:
                chunk = self.channel.read(CHUNK, timeout=1)
                if not chunk:
                    break
                self._events.extend(self._decoder.feed(chunk))
        except LibsshException:
            pass  # whatever came before it is all there is
        problem = next((event for event in self._events if isinstance(event, p.Problem)), None)
        said = problem.text if problem else p.text_of(self._decoder.noise + b"\n" + self._stderr())
        if said:
            return from_scp_text(self.doing(), said, self.about, self.offset)
        return SCPConnectionError(f"{self.doing()} failed: {otherwise}", errno.ECONNRESET, self.about, self.offset)

    def _stderr(self) -> bytes:
        try:
            said: bytes = self.channel.read(CHUNK, stderr=True, timeout=1)
        except LibsshException:
            return b""
        return said

    def event(self) -> p.Event | None:
        """Return what the other side sends next, None at the end."""
        with self._failures():
            while not self._events:
                chunk = self.channel.read(1 << 20, timeout=self.timeout)
                if not chunk:
                    return None
                self._events.extend(self._decoder.feed(chunk))
            return self._events.popleft()

    def send(self, data: Any) -> None:
        """Send bytes, all of them."""
        with self._failures():
            self.channel.write(data, timeout=self.timeout)

    def send_eof(self) -> None:
        """Say that nothing more comes, if there is anyone to hear it."""
        try:
            self.channel.send_eof()
        except LibsshException:
            return  # it closed first, as devices do; all is acknowledged

    def okay(self) -> None:
        """Wait for the other side's consent."""
        event = self.event()
        if event is None:
            raise self._last_words("the server closed the channel")
        if isinstance(event, p.Problem):
            raise from_scp_text(self.doing(), event.text, self.about, self.offset)
        if not isinstance(event, p.Okay):
            raise p.broken(f"{event!r} in place of an answer")

    def unexpected_end(self) -> SCPError:
        """Return the error for an end of the stream where more had to come."""
        return self._last_words("the server closed the channel")


# -- to the server -----------------------------------------------------------------------------------------------------


class Sender:
    """Sends files to an ``scp -t``."""

    def __init__(self, talk: Talk, options: Options, progress: Progress | None) -> None:
        self.talk = talk
        self.options = options
        self.progress = progress

    def file(self, path: str) -> None:
        """Send a local file."""
        with open(path, "rb", buffering=0) as source:
            found = os.fstat(source.fileno())
            if stat.S_ISDIR(found.st_mode):
                raise IsADirectoryError(errno.EISDIR, "Is a directory (recursive=True sends it)", path)
            if stat.S_ISREG(found.st_mode) and found.st_size:
                self._send(source, found.st_size, os.path.basename(path), found, path)
            else:
                with _spooled(source) as (copy, size):  # what /proc calls empty may not be
                    self._send(copy, size, os.path.basename(path), found, path)

    def stream(self, source: Any, name: str) -> None:
        """Send what a file object has left, as *name*."""
        with _spooled(source) as (copy, size):
            self._send(copy, size, name, None, name)

    def _send(self, source: Any, size: int, name: str, found: os.stat_result | None, shown: str) -> None:
        self._times(found)
        mode = self.options.mode if self.options.mode is not None else (0o644 if found is None else found.st_mode & 0o777)
        self.talk.send(p.file_line(mode, size, name))
        self.talk.okay()
        meter = Meter(self.progress, shown, size)
        meter.start()
        left = size
        self.talk.offset = 0
        while left:
            data = source.read(min(CHUNK, left))
            if not data:
                raise SCPError(
                    f"{shown!r} ended at byte {size - left} of {size}: it became shorter during the transfer",
                    errno.EIO,
                    shown,
                    size - left,
                )
            self.talk.send(data)
            left -= len(data)
            self.talk.offset = size - left
            meter(len(data))
        self.talk.send(OKAY)
        self.talk.okay()
        self.talk.offset = None

    def _times(self, found: os.stat_result | None) -> None:
        if self.options.preserve and found is not None:
            self.talk.send(p.times_line(found.st_mtime, found.st_atime))
            self.talk.okay()

    def tree(self, path: str, name: str, above: frozenset[tuple[int, int]] = frozenset()) -> None:
        """Send a directory as *name*; links are followed, as ``scp`` follows them."""
        found = os.stat(path)
        identity = (found.st_dev, found.st_ino)
        if identity in above:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        self._times(found)
        self.talk.send(p.directory_line(found.st_mode & 0o777, name))
        self.talk.okay()
        for entry in sorted(os.listdir(path)):
            below = os.path.join(path, entry)
            kind = os.stat(below).st_mode
            if stat.S_ISDIR(kind):
                self.tree(below, entry, above | {identity})
            elif stat.S_ISREG(kind):
                self.file(below)
        self.talk.send(b"E\n")
        self.talk.okay()


@contextmanager
def _spooled(source: Any) -> Iterator[tuple[IO[bytes], int]]:
    """Copy a source of unknown length, since the protocol wants the length first; large ones go to disk."""
    with tempfile.SpooledTemporaryFile(max_size=8 << 20) as copy:
        shutil.copyfileobj(source, copy, CHUNK)
        size = copy.tell()
        copy.seek(0)
        yield copy, size


# -- from the server ---------------------------------------------------------------------------------------------------


class Receiver:
    """Takes files from an ``scp -f``, and puts them where the caller says: names that the server sends choose nothing."""

    def __init__(self, talk: Talk, options: Options, progress: Progress | None) -> None:
        self.talk = talk
        self.options = options
        self.progress = progress
        self.times: p.Times | None = None

    def _next(self) -> p.Event | None:
        """Return the next event that is for the caller; times are kept for the file or directory after them."""
        while True:
            event = self.talk.event()
            if isinstance(event, p.Problem):
                raise from_scp_text(self.talk.doing(), event.text, self.talk.about)
            if isinstance(event, p.Okay):
                continue
            if not isinstance(event, p.Times):
                return event
            self.times = event
            self.talk.send(OKAY)

    def _attributes(self, mode: int, size: int | None = None) -> SFTPAttributes:
        times, self.times = self.times, None
        found = SFTPAttributes(st_mode=mode, st_size=size)
        if times is not None:
            found.st_mtime, found.st_atime = times.modified, times.accessed
        return found

    def one(self, asked: str, local: Any) -> None:
        """Take the one file that was asked for."""
        self.talk.send(OKAY)
        event = self._next()
        if event is None:
            raise self.talk.unexpected_end()
        if isinstance(event, p.Directory):
            raise SCPError(f"{asked!r} is a directory: recursive=True fetches it", errno.EISDIR, asked)
        if not isinstance(event, p.File):
            raise p.broken(f"{event!r} in place of a file")
        p.check_asked(event.name, asked)
        if not event.size and asked.startswith(("/proc/", "/sys/")):
            raise SCPError(f"copying {asked!r} failed: SCP cannot copy files of unknown size", errno.EINVAL, asked)
        self._file(event, local, follow=True)
        if self._next() is not None:
            raise p.broken("more than the file that was asked for")

    def _file(self, event: p.File, local: Any, *, follow: bool) -> None:
        attributes = self._attributes(event.mode, event.size)
        meter = Meter(self.progress, self.talk.about, event.size)
        if not is_path(local):
            self.talk.send(OKAY)
            meter.start()
            self._data(event.size, local.write, meter)
            self.talk.send(OKAY)
            return
        target = LocalTarget(os.fsdecode(local), self.options, follow=follow)
        try:
            target.open(event.mode)
            self.talk.send(OKAY)
            meter.start()
            self._data(event.size, lambda data: os.write(target.fd, data), meter)
            target.commit(event.size, attributes)
        finally:
            target.discard()
        self.talk.send(OKAY)

    def _data(self, size: int, write: Any, meter: Meter) -> None:
        self.talk.offset = 0
        while meter.done < size:
            event = self.talk.event()
            if not isinstance(event, p.Piece):
                raise self.talk.unexpected_end()
            data = event.data
            while data:
                done = write(data)
                data = data[len(data) if done is None else done :]
            meter(len(event.data))
            self.talk.offset = meter.done
        self.talk.okay()
        self.talk.offset = None

    def tree(self, asked: str, local: str) -> None:
        """Take the directory that was asked for."""
        self.talk.send(OKAY)
        event = self._next()
        if event is None:
            raise self.talk.unexpected_end()
        if isinstance(event, p.File):
            raise SCPError(f"{asked!r} is a file, not a directory", errno.ENOTDIR, asked)
        if not isinstance(event, p.Directory):
            raise p.broken(f"{event!r} in place of a directory")
        p.check_asked(event.name, asked)
        self._directory(event, local, is_top=True)
        if self._next() is not None:
            raise p.broken("more than the directory that was asked for")

    def _directory(self, event: p.Directory, local: str, *, is_top: bool = False) -> None:
        attributes = self._attributes(event.mode)
        make_local(local, attributes, is_top)
        self.talk.send(OKAY)
        seen: set[str] = set()
        while True:
            inner = self._next()
            if inner is None:
                raise self.talk.unexpected_end()
            if isinstance(inner, p.End):
                break
            if not isinstance(inner, (p.File, p.Directory)):
                raise p.broken(f"{inner!r} in a directory")
            p.check_name(inner.name, seen)
            below = os.path.join(local, inner.name)
            if isinstance(inner, p.File):
                self._file(inner, below, follow=False)
            else:
                self._directory(inner, below)
        if self.options.preserve:
            dress_local(local, attributes)
        self.talk.send(OKAY)
