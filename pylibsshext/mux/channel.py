# SPDX-License-Identifier: LGPL-2.1-or-later
"""A channel of the holder's, in its client: it does what `_core.Channel` does, over pipes.

So `channel.Channel`, `SFTP` and `SCP` work with either.  Data comes through the pipes; the socket to the holder tells how the
command was started and how it ended.  Whatever has to be waited for is waited for in `_turn`.
"""

from __future__ import annotations

import contextlib
import os
import select
from typing import TYPE_CHECKING, Any, cast

from ..errors import LibsshChannelConnectionError, LibsshChannelException, LibsshChannelTimeout
from .protocol import HangUp, Silent, Wire, left, unpack_error

if TYPE_CHECKING:
    from .client import MuxSession

_HIGH_WATER = 1 << 20  # bytes that are kept of each stream while nobody reads, as in the core
_CHUNK = 1 << 18
SILENCE = 15.0  # seconds without a word from the holder after which it has to prove that it lives
_LOST = "the connection holder is gone, and with it the channel"


def _lost(exc: HangUp) -> str:
    return str(exc) if isinstance(exc, Silent) else _LOST


class MuxChannel:
    """A channel, in the shape of the core's."""

    def __init__(self, session: MuxSession) -> None:
        self._session = session
        self._wire: Wire | None = None
        self._env: list[tuple[str, str]] = []
        self._pty: tuple[str, int, int] | None = None
        self._pipes: list[int | None] = [None, None]
        self._stdin: int | None = None
        self._data = [bytearray(), bytearray()]
        self._most: float = _HIGH_WATER
        self._input_ended = False
        self._told_end = False
        self._failure: Exception | None = None
        self._closed = False
        self.exit_status: int | None = None
        self.exit_signal: str | None = None

    # Requests

    def set_env(self, name: str, value: str, _deadline: float | None) -> None:
        """Set a variable; it goes out with the command."""
        self._fresh("setting a variable")
        self._env.append((str(name), str(value)))

    def request_pty(self, terminal: str | bytes, columns: int, rows: int, _deadline: float | None) -> None:
        """Ask for a terminal; this goes out with the command, too."""
        self._fresh("request_pty")
        self._pty = (os.fsdecode(terminal), int(columns), int(rows))

    def request_exec(self, command: str | bytes, deadline: float | None) -> None:
        """Start a command."""
        self._start("request_exec", deadline, os.fsencode(command), kind="exec")

    def request_shell(self, deadline: float | None) -> None:
        """Start the login shell."""
        self._start("request_shell", deadline, kind="shell")

    def request_subsystem(self, name: str, deadline: float | None) -> None:
        """Start a subsystem."""
        self._start(f"starting the subsystem {name}", deadline, kind="subsystem", name=str(name))

    def _fresh(self, doing: str) -> None:
        if self._wire is not None or self._closed:
            raise LibsshChannelException(f"{doing} failed: the channel is {'closed' if self._closed else 'in use'}")

    def _start(self, doing: str, deadline: float | None, blob: bytes = b"", **request: Any) -> None:
        self._fresh(doing)
        if b"\0" in blob:
            raise ValueError("command must not contain a NUL character")
        wire = self._session.lease()
        pipes: list[int] = []
        try:
            for _ in range(2):
                pipes += os.pipe2(os.O_CLOEXEC)
            request.update(do="start", env=self._env, pty=self._pty)
            try:
                self._session.ask(wire, request, blob, (pipes[1], pipes[3]), left(deadline))
            except HangUp as exc:
                raise LibsshChannelConnectionError(f"{doing} failed: {_lost(exc)}") from exc
            except TimeoutError as exc:
                if isinstance(exc, LibsshChannelException):
                    raise
                raise LibsshChannelTimeout(f"{doing} failed: timed out") from exc
        except BaseException:
            wire.close()
            for fd in pipes[::2]:
                os.close(fd)
            raise
        finally:
            for fd in pipes[1::2]:
                os.close(fd)
        self._wire, self._pipes = wire, [pipes[0], pipes[2]]

    def change_window(self, columns: int, rows: int) -> None:
        """Tell a new size of the terminal."""
        self._say("changing the window size", do="resize", columns=int(columns), rows=int(rows))

    def send_signal(self, name: str) -> None:
        """Send a signal."""
        self._say("send_signal", do="signal", name=name)

    def send_eof(self) -> None:
        """Say that no more input comes."""
        if self._input_ended or self._closed or self.is_over:
            return
        self._input_ended = True
        if self._stdin is not None:
            stdin, self._stdin = self._stdin, None
            os.close(stdin)
        else:
            self._say("send_eof", do="eof")

    def _say(self, doing: str, fds: tuple[int, ...] = (), **message: Any) -> None:
        if self._wire is None or self.is_over:
            raise LibsshChannelException(f"{doing} failed: the channel is {'not in use' if self._wire is None else 'closed'}")
        try:
            self._wire.send(message, fds=fds)
        except HangUp as exc:
            raise LibsshChannelConnectionError(f"{doing} failed: {_LOST}") from exc

    # Data

    def write(self, data: Any, deadline: float | None) -> int:
        """Send all of *data*; what comes meanwhile is kept."""
        view = memoryview(data).cast("B")
        if self._input_ended:
            raise LibsshChannelException("write failed: the end of the input was sent")
        if self._stdin is None and len(view):
            theirs, self._stdin = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            os.set_blocking(theirs, True)
            try:
                self._say("write", (theirs,), do="stdin")
            finally:
                os.close(theirs)
        done = 0
        while done < len(view):
            try:
                done += os.write(cast("int", self._stdin), view[done : done + _CHUNK])
            except BlockingIOError:
                self._turn("write", deadline, writing=True)
                if self._stdin is None:
                    raise self._unwritten() from None
            except BrokenPipeError as exc:
                raise self._unwritten() from exc
        return len(view)

    def _unwritten(self) -> Exception:
        """Return why nobody takes input any more: the command has ended, or its connection."""
        with contextlib.suppress(LibsshChannelTimeout):
            while not self.is_over:
                self._turn("write", 0)
        return self._failure or LibsshChannelException("write failed: the channel is closed by the server")

    def wait_readable(self, stream: int, deadline: float | None) -> None:
        """Wait until *stream* (0 stdout, 1 stderr, 2 either) has data or can get none any more."""
        self._live("read")
        while not (self._data[stream] if stream < 2 else self._data[0] or self._data[1]):
            if self.is_eof:
                if self._failure is not None:
                    raise self._failure
                return
            self._turn("read", deadline)

    def wait_ended(self, without_status: bool, deadline: float | None) -> None:
        """Wait until the command has ended."""
        while not self._closed and not (without_status and self.is_eof) and not (self.is_over and not self._more()):
            self._turn("waiting for the command to end", deadline)
        if self._failure is not None:
            raise self._failure

    def take(self, size: int, is_stderr: bool) -> bytes:
        """Return up to *size* bytes that are here."""
        data = self._data[bool(is_stderr)]
        if size >= len(data):
            taken = bytes(data)
            data.clear()
        else:
            taken = bytes(data[:size])
            del data[:size]
        return taken

    def available(self, is_stderr: bool) -> int:
        """Return how many bytes are here."""
        return len(self._data[bool(is_stderr)])

    def pump(self) -> None:
        """Take in what is here, without waiting."""
        self._live("read")
        with contextlib.suppress(LibsshChannelTimeout):
            while not self.is_over or self._more():
                self._turn("read", 0)
        if self._failure is not None and not any(self._data):
            raise self._failure

    def gather(self) -> None:
        """Keep all output from now on, however much comes."""
        self._most = float("inf")

    def _live(self, doing: str) -> None:
        if self._closed:
            raise LibsshChannelException(f"{doing} failed: the channel is closed")
        if self._wire is None and not self._told_end:
            raise LibsshChannelException(f"{doing} failed: nothing has been started on the channel")

    def _more(self) -> list[int]:
        """Return the pipes that may have output for which there is room."""
        return [pipe for pipe, data in zip(self._pipes, self._data) if pipe is not None and len(data) < self._most]

    def _turn(self, doing: str, deadline: float | None, writing: bool = False) -> None:
        """Wait until anything happens, once; `LibsshChannelTimeout` when nothing does before *deadline*.

        Without a deadline that may take for ever, as long as the holder lives.
        """
        self._live(doing)
        poller = select.poll()
        for more in self._more():
            poller.register(more, select.POLLIN)
        if self._wire is not None and None in self._pipes:
            # Before the pipes end the socket has nothing to tell that they don't.
            poller.register(self._wire, select.POLLIN)
        if writing and self._stdin is not None:
            poller.register(self._stdin, select.POLLOUT)
        seconds = left(deadline)
        ready = dict(poller.poll((SILENCE if seconds is None else seconds) * 1000))
        if not ready and seconds is None:
            self._check_alive()
        elif not ready:
            raise LibsshChannelTimeout(f"{doing} failed: timed out")
        for index, pipe in enumerate(self._pipes):
            if pipe is not None and pipe in ready:
                self._fill(index, pipe)
        if self._wire is not None and self._wire.fileno() in ready:
            self._hear()

    def _fill(self, index: int, pipe: int) -> None:
        data = os.read(pipe, _CHUNK)
        if data:
            self._data[index] += data
            return
        os.close(pipe)
        self._pipes[index] = None

    def _hear(self) -> None:
        """Learn from the holder what became of the command."""
        wire = cast("Wire", self._wire)
        try:
            self._learn(wire, wire.receive().data)
        except HangUp as exc:
            self._lose(exc)

    def _check_alive(self) -> None:
        try:
            self._session.check_alive()
        except Silent as exc:
            self._lose(exc)
            self._let_go()  # the pipes have no end while their other ends are its

    def _lose(self, exc: HangUp) -> None:
        self._failure = LibsshChannelConnectionError(_lost(exc))
        self._told_end = True
        if self._wire is not None:
            self._wire.close()
        self._wire = None

    def _learn(self, wire: Wire, event: dict[str, Any]) -> None:
        self._told_end = True
        if event.get("event") == "exit":
            self.exit_status, self.exit_signal = event["status"], event["signal"]
            self._session.give_back(wire)
            self._wire = None
        elif event.get("event") == "failed":
            self._failure = unpack_error(event["error"])
            wire.close()
            self._wire = None

    # State

    @property
    def is_over(self) -> bool:
        """Whether the command has ended, one way or the other."""
        return self._told_end and self._wire is None

    @property
    def is_eof(self) -> bool:
        """Whether no more output comes."""
        return self._told_end and self._pipes == [None, None]

    @property
    def is_closed(self) -> bool:
        """Whether either side has closed the channel."""
        return self._closed or self.is_over

    def close(self) -> None:
        """Close the channel and let go of it.  What has been read stays readable."""
        if self._closed:
            return
        self._closed = self._told_end = True
        if self._wire is not None:
            with contextlib.suppress(HangUp):  # then it is closed already
                self._wire.send({"do": "close"})
        self._let_go()

    def _let_go(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        fds = [fd for fd in (*self._pipes, self._stdin) if fd is not None]
        self._pipes, self._stdin = [None, None], None
        for fd in fds:
            os.close(fd)

    def __del__(self) -> None:
        self._let_go()

    # From one client to the next

    def keep(self, name: str) -> None:
        """Leave the channel with the holder, under a name, for another client to take; it is closed here."""
        if self._wire is None or any(self._data):
            raise LibsshChannelException("keeping the channel failed: it has ended, or has output that was not read")
        ends = [*self._pipes, self._stdin]
        state = {"ends": [fd is not None for fd in ends], "input_ended": self._input_ended}
        try:
            self._say("keeping the channel", tuple(fd for fd in ends if fd is not None), do="keep", name=name, state=state)
            while "event" in self._session.answered(self._wire).data:
                pass  # it was on its way, and is told again to the one who takes the channel
        except HangUp as exc:
            raise LibsshChannelConnectionError(f"keeping the channel failed: {_lost(exc)}") from exc
        else:
            self._session.give_back(self._wire)
            self._wire = None
        finally:
            self._closed = self._told_end = True
            self._let_go()

    @classmethod
    def taken(cls, session: MuxSession, name: str) -> MuxChannel | None:
        """Take over the channel that was left under *name*; None if there is none."""
        wire = session.lease()
        channel = cls(session)
        try:
            answer = session.ask(wire, {"do": "take", "name": name})
        except BaseException:
            wire.close()
            raise
        if not answer.data["taken"]:
            session.give_back(wire)
            return None
        state, fds = answer.data["state"], iter(answer.fds)
        *channel._pipes, channel._stdin = [next(fds) if there else None for there in state["ends"]]
        channel._wire, channel._input_ended = wire, state["input_ended"]
        return channel
