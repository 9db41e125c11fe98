# SPDX-License-Identifier: LGPL-2.1-or-later
"""A command that the holder runs for a client, while that client may still speak.

Its output has a thread of its own, and its input, if there is any, another one.  Both block, and each only for itself: a client
that does not read fills its own pipe, then its channel's window, and nobody else notices.
"""

from __future__ import annotations

import _thread
import contextlib
import fcntl
import os
import threading
from signal import SIGHUP, Signals
from typing import TYPE_CHECKING, Any

from ..errors import LibsshException
from .protocol import HangUp, Wire, pack_error

if TYPE_CHECKING:
    from ..channel import Channel
    from .pool import Held, Pool

_CHUNK = 1 << 18
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)


class Run:
    """A channel whose streams are the client's pipes.

    What happens to it is told as events: ``eof``, and then ``exit`` or ``failed``.  No pipe is closed before the client was told
    why, so that an output which was cut off is never taken for a whole one.
    """

    def __init__(self, pool: Pool, held: Held, channel: Channel, wire: Wire, stdout: int, stderr: int) -> None:
        self._pool = pool
        self.held = held
        self._channel = channel
        self._out = [stdout, stderr]
        self._lock = threading.Lock()
        self._wire: Wire | None = wire
        self._events: list[dict[str, Any]] = []
        self._moved = 0
        self.ended = False

    def start(self) -> None:
        """Begin to hand on the output."""
        try:
            _thread.start_new_thread(self._pump, ())
        except (RuntimeError, MemoryError) as exc:  # there are too many
            self._finish({"event": "failed", "error": pack_error(exc)}, hang_up=True)

    def _tell(self, event: dict[str, Any]) -> None:
        """Tell the client, if there is one, and remember it for the one who takes the channel over."""
        with self._lock:
            self._events.append(event)
            if self._wire is not None:
                with contextlib.suppress(HangUp):  # who does not listen any more has ended the channel, too
                    self._wire.send(event)

    def _pump(self) -> None:
        hang_up = False
        try:
            event = self._output()
        except LibsshException as exc:
            event = {"event": "failed", "error": pack_error(exc)}
            if isinstance(exc, ConnectionError):
                self._pool.retire(self.held)
        except OSError:
            event = {"event": "failed", "error": {"class": "LibsshChannelException", "text": "nobody reads the output"}}
            hang_up = True
        except Exception as exc:  # noqa: BLE001 - told to the client, who waits for it
            event = {"event": "failed", "error": pack_error(exc)}
            hang_up = True
        self._finish(event, hang_up)

    def _finish(self, event: dict[str, Any], hang_up: bool) -> None:
        """Close the channel, tell of it, and close the pipes; each of it whatever became of the others."""
        with contextlib.ExitStack() as rest:
            # Last in, first out. First the slot, then the word: who hears it may ask for the next channel at once.
            rest.callback(self._close_output)
            rest.callback(self._tell, event)
            rest.callback(self._pool.release, self.held)
            try:
                self.hang_up() if hang_up else self._channel.close()
            finally:
                self.ended = True

    def _output(self) -> dict[str, Any]:
        channel = self._channel
        while True:
            data = channel.read_any()
            if not any(data):
                break
            for index in (0, 1):
                self._deliver(index, data[index])
        if channel.returncode is None:
            self._tell({"event": "eof"})
            self._close_output()
        return {"event": "exit", "status": channel.wait(), "signal": channel.exit_signal}

    def _deliver(self, index: int, data: bytes) -> None:
        if not data:
            return
        view = memoryview(data)
        while view:
            view = view[os.write(self._out[index], view) :]
        self.held.count(received=len(data))
        before, self._moved = self._moved, self._moved + len(data)
        if before < _CHUNK <= self._moved and _F_SETPIPE_SZ is not None:
            with contextlib.suppress(OSError):  # the user has used up what pipes may take; it works as it is
                fcntl.fcntl(self._out[index], _F_SETPIPE_SZ, _CHUNK)

    def _close_output(self) -> None:
        fds, self._out = self._out, []
        for fd in fds:
            os.close(fd)

    # What the client asks for

    def feed(self, fd: int) -> None:
        """Send what comes out of *fd* to the command, and its end."""
        try:
            _thread.start_new_thread(self._feed, (fd,))
        except (RuntimeError, MemoryError):  # there are too many; the client finds its pipe broken, and the command hung up on
            os.close(fd)
            self.hang_up()

    def _feed(self, fd: int) -> None:
        try:
            with contextlib.suppress(LibsshException):  # it ended without reading all, or its other thread tells why
                while True:
                    data = os.read(fd, _CHUNK)
                    if not data:
                        break
                    self._channel.write(data)
                    self.held.count(sent=len(data))
                self._channel.send_eof()
        finally:
            os.close(fd)

    def send_eof(self) -> None:
        """Say that there is no input."""
        with contextlib.suppress(LibsshException):
            self._channel.send_eof()

    def send_signal(self, name: str) -> None:
        """Send a signal, named without SIG."""
        with contextlib.suppress(LibsshException):
            self._channel.send_signal(Signals[f"SIG{name}"])

    def resize(self, columns: int, rows: int) -> None:
        """Tell the size of the terminal."""
        with contextlib.suppress(LibsshException):
            self._channel.change_pty_size(columns, rows)

    def close(self) -> None:
        """Close the channel; the output thread wakes up and ends."""
        self._channel.close()

    def hang_up(self) -> None:
        """Send the remote process a hang-up, and close: its client is gone."""
        if not self.ended:
            with contextlib.suppress(LibsshException):
                self._channel.send_signal(SIGHUP)
        self._channel.close()

    # From one client to the next

    def detach(self) -> None:
        """From now on tell nobody."""
        with self._lock:
            self._wire = None

    def attach(self, wire: Wire) -> None:
        """Tell *wire* from now on, and first all that has happened: whoever had the channel before may not have heard it."""
        with self._lock:
            self._wire = wire
            for event in self._events:
                wire.send(event)
