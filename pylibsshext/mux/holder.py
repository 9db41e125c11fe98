# SPDX-License-Identifier: LGPL-2.1-or-later
"""The holder's process: it lets clients in, looks after idle sessions, and ends when there is nothing left to hold."""

from __future__ import annotations

import _thread
import contextlib
import errno
import gc
import os
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from .. import _core
from ..errors import LibsshSessionException
from . import paths, start
from .pool import Held, Pool
from .protocol import MuxUnavailable, Wire
from .service import Service

_TICK = 1.0  # seconds between two looks after idle sessions
_PAUSE = 0.1  # seconds until the next try, when there are no descriptors left for a client
_GRACE = 2.0  # seconds without a session or a client, after which nothing is left to wait for


def begin(about: dict[str, Any]) -> None:
    """Leave the one who started this process, and hold connections until there are none."""
    gc.freeze()
    gc.enable()
    with contextlib.suppress(OSError):  # who started it may have been killed; others wait in the queue
        os.write(2, start.READY)
    with open(os.devnull, "r+b") as null:
        os.dup2(null.fileno(), 2)
    _protect()
    Holder(socket.socket(fileno=about["socket"]), about["directory"], about["key"]).run()
    os._exit(0)  # threads that still talk to a client have no say in it


def _protect() -> None:
    """Keep passwords that pass through out of core dumps, and other processes of the user out of this one's memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # in a sandbox that forbids it there is the limit alone
        _core.hide_memory()


class Holder:
    """Lets clients in, and looks after the sessions that nobody uses."""

    def __init__(self, listener: socket.socket, directory: str, key: str) -> None:
        self._listener = listener
        self._directory = directory
        self._key = key
        self._events = select.epoll()
        self._watched: dict[int, Held] = {}
        self._clients = 0
        self._counting = threading.Lock()
        self._pool = Pool(self._watch, self._unwatch)
        self._stopping = False

    def run(self) -> None:
        """Serve until nothing is left to do, or until told to stop."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._listener.setblocking(False)
        self._events.register(self._listener.fileno(), select.EPOLLIN)
        busy = ticked = time.monotonic()
        while not self._stopping:
            for fd, _ in self._events.poll(_TICK):
                with _going_on():
                    self._happened(fd)
            now = time.monotonic()
            if now - ticked >= _TICK:
                with _going_on():
                    self._pool.tend()
                ticked = now
            if self._clients or not self._pool.empty:
                busy = now
            elif now - busy >= _GRACE and self._leave():
                break
        self._leave()
        self._pool.close()

    def stop(self) -> None:
        """End soon, whatever is going on."""
        self._stopping = True

    def _happened(self, fd: int) -> None:
        if fd == self._listener.fileno():
            self._let_in()
            return
        held = self._watched.pop(fd, None)
        if held is not None and not held.retired and self._pool.look(held) and held.idle:
            self._watch(held)

    def _watch(self, held: Held) -> None:
        """Have a look at an idle session as soon as its server says something, or goes away."""
        fd = _descriptor(held)
        if fd < 0:
            return
        self._watched[fd] = held
        with contextlib.suppress(OSError):  # it was closed at this very moment
            try:
                self._events.modify(fd, select.EPOLLIN | select.EPOLLONESHOT)
            except FileNotFoundError:
                self._events.register(fd, select.EPOLLIN | select.EPOLLONESHOT)

    def _unwatch(self, held: Held) -> None:
        """Leave a session to the one who uses it now: what its server says is no news here."""
        fd = _descriptor(held)
        self._watched.pop(fd, None)
        with contextlib.suppress(OSError, ValueError):  # never watched, or closed
            # That a peer resets is told whatever is asked for; this has it told once.
            self._events.modify(fd, select.EPOLLONESHOT)

    def _let_in(self) -> bool:
        try:
            sock, _ = self._listener.accept()
        except OSError as exc:
            if exc.errno in (errno.EMFILE, errno.ENFILE):  # who wants to come in waits, and the listener stays ready
                time.sleep(_PAUSE)
            return False
        sock.setblocking(True)
        with self._counting:
            self._clients += 1
        # Not by a Thread, here and in `job`: its start() waits until the new thread runs, and there is one for each task of Ansible's.
        try:
            _thread.start_new_thread(self._serve, (sock,))
        except (RuntimeError, MemoryError):  # there are too many; those who are here stay
            sock.close()
            with self._counting:
                self._clients -= 1
        return True

    def _serve(self, sock: socket.socket) -> None:
        try:
            Service(self._pool, Wire(sock), self.stop).serve()
        finally:
            with self._counting:
                self._clients -= 1

    def _leave(self) -> bool:
        """Take the socket away; return whether nobody has come in at the last moment."""
        try:
            directory = paths.Directory(self._directory)
        except (OSError, MuxUnavailable):
            return True  # the directory is gone, and the socket with it
        name = f"{self._key}.sock"
        try:
            with start.lock(directory, self._key, wait=False):
                if self._owns(directory, name):
                    os.unlink(name, dir_fd=directory.fd)
        except BlockingIOError:
            return False  # somebody is about to connect
        finally:
            directory.close()
        late = False
        while self._let_in():
            late = True
        return not late

    def _owns(self, directory: paths.Directory, name: str) -> bool:
        """Whether the socket of that name is this process's: it may have been removed, and another one made."""
        try:
            probe = start.dial(directory, name)
            if probe is None:
                return False
            probe.close()
            self._listener.accept()[0].close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _going_on() -> Iterator[None]:
    """Go on whatever goes wrong with one session, say where there is no descriptor or memory left: the others would end with it."""
    try:
        yield
    except Exception:  # noqa: BLE001 - nobody is there to be told
        time.sleep(_PAUSE)


def _descriptor(held: Held) -> int:
    """Return the descriptor of a session's socket, -1 if it is closed or another thread closes it right now."""
    try:
        return held.session.fileno()
    except LibsshSessionException:
        return -1
