# SPDX-License-Identifier: LGPL-2.1-or-later
"""SFTP: files of the server, in the shape of paramiko's ``SFTPClient``, on top of 1.4.0's ``put``, ``get`` and ``close``."""

from __future__ import annotations

import errno
import io
import logging
import os
import stat as _stat
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ._sftp import errors as _errors, protocol as p, tree
from ._sftp.attributes import SFTPAttributes
from ._sftp.client import PLAIN_CHUNK, Client
from ._sftp.errors import (
    SFTPConnectionError,
    SFTPError,
    SFTPFileExistsError,
    SFTPFileNotFoundError,
    SFTPPermissionError,
    SFTPProtocolError,
    SFTPTimeout,
)
from ._sftp.file import SFTPFile, flags_of
from ._sftp.get import get_file
from ._sftp.local import Observer, Options, Progress, is_path
from ._sftp.names import Names, StatVFS
from ._sftp.pool import run
from ._sftp.put import Upload
from ._sftp.stripes import Stripes, under_way
from ._sftp.tickets import attributes_of, handle_of
from .errors import LibsshException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from .channel import AnySession

__all__ = [
    "MSG_MAP",
    "SFTP",
    "SFTP_MAX_CHUNK",
    "Observer",
    "SFTPAttributes",
    "SFTPConnectionError",
    "SFTPError",
    "SFTPFile",
    "SFTPFileExistsError",
    "SFTPFileNotFoundError",
    "SFTPPermissionError",
    "SFTPProtocolError",
    "SFTPTimeout",
    "StatVFS",
]

SFTP_MAX_CHUNK: int = PLAIN_CHUNK
"""What any server takes in one request; more is sent where the server allows it."""

MSG_MAP: dict[int, str] = {code: text for code, (_, text) in _errors.STATUS.items()}
"""Status code → text."""


log = logging.getLogger("ansible-pylibssh")

#: In the greetings of servers that have the arguments of SYMLINK as the draft has them.
DRAFT_SYMLINKS = ("AsyncSSH",)

#: Seconds to wait for the removal of unfinished files.
SWEEP = 5.0


class SFTP(Names):
    """Files of the server; close it, or use it in a ``with`` block.

    Paths are ``str`` (sent as UTF-8), ``bytes`` or ``os.PathLike``.  Errors are ``SFTPError``, which is an ``OSError``
    with ``errno``, ``filename`` and ``sftp_code``.  Threads may share the object, and their requests overlap.  *timeout* is how many seconds the
    server may take for each answer.  *command* is run instead of the ``sftp`` subsystem, for example ``sudo -n
    /usr/lib/openssh/sftp-server``.
    """

    def __init__(self, session: AnySession, *, timeout: float | None = None, command: str | None = None) -> None:
        self.session: AnySession = session
        self.timeout: float | None = timeout
        self.command: str | None = command
        self._closed = False
        self._lock = threading.Lock()
        # Not a method of this object: a circle of references would keep the session until the collector comes by.
        self._open_client = partial(_open_client, session, timeout, command)
        self._stripes = Stripes(self._open_client)
        self._current = self._open_main()

    def _open_main(self) -> Client:
        client = self._open_client()
        client.stripes = self._stripes
        return client

    @property
    def _client(self) -> Client:
        """The channel; a new one after a Ctrl-C or a failure has cut a request in two."""
        with self._lock:
            if self._closed:
                raise SFTPConnectionError("the SFTP connection is closed", errno.ENOTCONN)
            if self._current.broken is not None:
                self._current = self._open_main()
            return self._current

    def __enter__(self) -> SFTP:  # noqa: PYI034 - Self is younger than Python 3.9
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the channel; a second time is harmless."""
        with self._lock:
            self._closed = True
            self._stripes.close()
            self._current.close()

    # -- whole files and trees --------------------------------------------------------------------------------------

    def put(
        self,
        local_file: Any,
        remote_file: Any,
        *,
        recursive: bool = False,
        symlinks: str = "keep",
        include: tree.Patterns = None,
        exclude: tree.Patterns = None,
        preserve: bool = False,
        mode: int | None = None,
        resume: bool = False,
        atomic: bool | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Send a file (a path, or a file object to read bytes from) or, with *recursive*, what is in a directory.

        *preserve* keeps mode and times; *mode* sets the mode.  Without them a new file gets the mode of the local one as far as the server's
        umask allows, and a file that is replaced keeps its own, and its owner.

        The target appears whole or not at all: data goes to a temporary name beside it, which then replaces it.  Targets for which that
        would change more than their content (devices, files that another user owns) are written in place; ``atomic=True`` makes
        that an error, ``atomic=False`` writes all in place.  *resume* keeps what an interrupted transfer has sent as ``.NAME.part`` (in the
        target itself with ``atomic=False``) and goes on from there if its end matches the source.

        In a tree *symlinks* are "keep" (as links), "follow" or "skip"; *include* and *exclude* are shell patterns for names, or
        for paths from the top if they contain a slash.  *progress* is called with (bytes done, bytes in total, local name).
        """
        options = Options(preserve, mode, resume, atomic)
        litter: set[bytes] = set()
        with self._transfer(litter) as client:
            if recursive and is_path(local_file) and os.path.isdir(local_file):
                choice = tree.Choice.of(symlinks, include, exclude)
                tree.put_tree(client, os.fsdecode(local_file), p.to_path(remote_file), options, choice, progress, litter)
            else:
                upload = Upload(client, p.to_path(remote_file), options, litter, alone=True)
                run(client, upload.run(local_file, progress))

    def put_files(
        self,
        pairs: Iterable[tuple[Any, Any]],
        *,
        preserve: bool = False,
        mode: int | None = None,
        resume: bool = False,
        atomic: bool | None = None,
        progress: Progress | None = None,
        most: int = tree.FILES_AT_ONCE,
    ) -> None:
        """Send many files, each from a local path to a remote one, *most* of them at a time; see ``put``.

        The first failure ends all, unless *progress* is an ``Observer`` that says otherwise.
        """
        named = [(os.fsdecode(local), p.to_path(remote)) for local, remote in pairs]
        litter: set[bytes] = set()
        with self._transfer(litter) as client:
            tree.put_files(client, named, Options(preserve, mode, resume, atomic), progress, litter, most)

    def get(
        self,
        remote_file: Any,
        local_file: Any,
        *,
        recursive: bool = False,
        symlinks: str = "keep",
        include: tree.Patterns = None,
        exclude: tree.Patterns = None,
        preserve: bool = False,
        mode: int | None = None,
        resume: bool = False,
        atomic: bool | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Fetch a file into a path or a file object or, with *recursive*, what is in a directory; see ``put``.

        The file is read to its end, whatever size the server announces.
        """
        options = Options(preserve, mode, resume, atomic)
        remote = p.to_path(remote_file)
        if (resume or preserve or mode is not None) and not is_path(local_file):
            raise ValueError("resume, preserve and mode need a local path, not a file object")
        with self._transfer(set()) as client:
            if recursive and self._is_directory(client, remote):
                choice = tree.Choice.of(symlinks, include, exclude)
                tree.get_tree(client, remote, os.fsdecode(local_file), options, choice, progress)
            else:
                run(client, get_file(client, remote, local_file, options, progress))

    def get_files(
        self,
        pairs: Iterable[tuple[Any, Any]],
        *,
        preserve: bool = False,
        mode: int | None = None,
        resume: bool = False,
        atomic: bool | None = None,
        progress: Progress | None = None,
        most: int = tree.FILES_AT_ONCE,
    ) -> None:
        """Fetch many files, each from a remote path to a local one; see ``put_files``."""
        named = [(p.to_path(remote), os.fsdecode(local)) for remote, local in pairs]
        with self._transfer(set()) as client:
            tree.get_files(client, named, Options(preserve, mode, resume, atomic), progress, most)

    def putfo(self, fl: Any, remotepath: Any, *, progress: Progress | None = None) -> None:
        """Send what a file object has left; paramiko's name for ``put`` with one."""
        self.put(fl, remotepath, progress=progress)

    def getfo(self, remotepath: Any, fl: Any, *, progress: Progress | None = None) -> None:
        """Fetch into a file object; paramiko's name for ``get`` with one."""
        self.get(remotepath, fl, progress=progress)

    @contextmanager
    def _transfer(self, litter: set[bytes]) -> Iterator[Client]:
        """Lend the channel; afterwards remove what failed transfers left, over a new channel if need be."""
        client = self._client
        try:
            with under_way():
                yield client
        finally:
            self._sweep(litter)
            client.tidy()

    def _sweep(self, litter: set[bytes]) -> None:
        """Remove unfinished files; the caller is not kept waiting for long by a server that does not answer."""
        if not litter:
            return
        patience = SWEEP if self.timeout is None else min(SWEEP, self.timeout)
        if self._current.broken is None:
            _remove(self._current, litter, patience)
            return
        # Opening a channel has a patience of its own, hence the thread.
        sweeper = threading.Thread(target=_remove_by_another, args=(self._open_client, set(litter), patience), daemon=True)
        sweeper.start()
        sweeper.join(patience)

    @staticmethod
    def _is_directory(client: Client, path: bytes) -> bool:
        request = client.request(p.STAT, p.string(path), about=p.from_path(path))
        return attributes_of(client.wait(request)).is_dir()

    # -- file objects -----------------------------------------------------------------------------------------------

    def open(
        self,
        path: Any,
        mode: str = "r",
        bufsize: int = -1,  # noqa: ARG002 - paramiko's parameter
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        permissions: int = 0o666,
    ) -> Any:
        """Open a remote file: ``SFTPFile``, which reads and writes bytes in every mode, as paramiko's does.

        With *encoding*, or a ``t`` in *mode*, it is a text file.  *bufsize* is there for paramiko's users; all is buffered.
        """
        flags = flags_of(mode)
        name = p.to_path(path)
        client = self._client
        wanted = SFTPAttributes(st_mode=permissions).encode()
        about = p.from_path(name)
        try:
            request = client.request(p.OPEN, p.string(name), p.u32(flags), wanted, about=about)
            handle = handle_of(client.wait(request))
        except SFTPError as exc:
            if flags & p.F_EXCL and exc.sftp_code == _errors.FAILURE and self._there(name):
                raise SFTPFileExistsError(exc.message, errno.EEXIST, about, exc.sftp_code) from exc
            raise
        file = SFTPFile(client, handle, about, mode)
        if flags & p.F_APPEND:
            file.seek(0, os.SEEK_END)
        if "t" in mode or encoding is not None:
            return _text(file, encoding, errors, newline)
        return file

    file = open  # noqa: A003 - paramiko's name

    def copy(self, source: Any, dest: Any) -> None:
        """Let the server copy a file; the data does not travel (``copy-data``)."""
        with self.open(source) as reading, self.open(dest, "w", permissions=_permissions(reading)) as writing:
            reading.copy_to(writing)


def _open_client(session: AnySession, timeout: float | None, command: str | None) -> Client:
    try:
        channel = session.open_session()
        try:
            if command is None:
                channel.request_subsystem("sftp")
            else:
                channel.request_exec(command)
        except BaseException:
            channel.close()
            raise
    except LibsshException as exc:
        raise SFTPConnectionError(f"starting SFTP failed: {exc}", errno.ENOTCONN) from exc
    client = Client(channel, timeout)
    client.draft_symlinks = any(name in (session.info.server_banner or "") for name in DRAFT_SYMLINKS)
    return client


def _remove(client: Client, litter: set[bytes], patience: float) -> None:
    """Remove files, waiting *patience* seconds for each answer."""
    allowed, client.timeout = client.timeout, patience
    try:
        for name in litter:
            try:
                client.wait(client.request(p.REMOVE, p.string(name), about=p.from_path(name)))
            except (SFTPFileNotFoundError, SFTPPermissionError):
                continue  # never made, or the server will not have it removed
    except SFTPError as exc:
        # The transfer's own failure is on its way to the caller, and says more.
        log.debug("unfinished files may be left: %s", exc)
    finally:
        client.timeout = allowed


def _remove_by_another(open_client: Callable[[], Client], litter: set[bytes], patience: float) -> None:
    """Remove files over a channel of its own."""
    try:
        client = open_client()
    except SFTPError as exc:
        log.debug("unfinished files may be left: %s", exc)
        return
    try:
        _remove(client, litter, patience)
    finally:
        client.close()


def _permissions(file: SFTPFile) -> int:
    mode = file.stat().st_mode
    return 0o666 if mode is None else _stat.S_IMODE(mode)


def _text(file: SFTPFile, encoding: str | None, errors: str | None, newline: str | None) -> io.TextIOWrapper:
    buffered: Any
    if file.readable() and file.writable():
        buffered = io.BufferedRandom(file)
    else:
        buffered = io.BufferedReader(file) if file.readable() else io.BufferedWriter(file)
    return io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline)
