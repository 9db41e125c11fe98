# SPDX-License-Identifier: LGPL-2.1-or-later
"""A channel: the streams of one remote process, and how it ended (RFC 4254 sections 5 and 6)."""

from __future__ import annotations

import io
import math
import signal
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from .errors import (
    LibsshChannelConnectionError,
    LibsshChannelException,
    LibsshChannelReadFailure,
    LibsshChannelTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from . import _core
    from .completed import Completed
    from .scp import SCP
    from .session import SessionInfo

__all__ = ["SSH_EOF", "Channel", "ChannelCallback", "Completed"]

SSH_EOF: int = -127
"""What `Channel.poll` returns at the end of the stream (libssh's SSH_EOF)."""
# Some devices end the output and then wait for our close, with neither exit status nor close of their own.
_STATUS_GRACE = 5.0
_PIECE = 1 << 20


def deadline_after(timeout: float | None) -> float | None:
    """Return the moment *timeout* seconds from now; None stays None, which waits for ever."""
    if timeout is None:
        return None
    if math.isnan(timeout):
        raise ValueError("a time-out can't be NaN")
    return time.monotonic() + timeout


class Channel:
    """An open session channel; close it, or use it in a ``with`` block.

    Threads may share a channel: one may read while another writes.  After `close`, and after the session's, what was received
    can still be read and everything else raises `LibsshChannelException`.
    """

    def __init__(self, session: AnySession, core: Any = None) -> None:
        self._session = session
        self._core: _core.Channel | Any = session.open_core_channel() if core is None else core

    @property
    def core(self) -> Any:
        """The thin channel below this one: the core's, or the connection holder's."""
        return self._core

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def request_exec(self, command: str | bytes, timeout: float | None = None) -> None:
        """Run *command* by the user's login shell; one channel runs one command."""
        self._prepare()
        self._core.request_exec(command, deadline_after(timeout))

    def request_shell(self) -> None:
        """Start the login shell on a pseudo-terminal."""
        self.request_pty()
        self._prepare()
        self._core.request_shell(None)

    def request_pty(self, terminal: str = "xterm", columns: int = 80, rows: int = 24) -> None:
        """Ask for a pseudo-terminal, before the command or shell."""
        self._request_pty(terminal, columns, rows)

    def request_pty_size(self, terminal: str | bytes, col: int, row: int) -> None:
        """Start the login shell on a pseudo-terminal of *col* columns and *row* rows."""
        self._request_pty(terminal, col, row)
        self._prepare()
        self._core.request_shell(None)

    def _request_pty(self, terminal: str | bytes, columns: int, rows: int) -> None:
        try:
            self._core.request_pty(terminal, columns, rows, None)
        except LibsshChannelConnectionError as exc:  # OpenSSH ends it when there is no /dev/pts
            raise type(exc)(f"{exc}; the server may have no pseudo-terminals: is /dev/pts mounted there?") from exc
        except LibsshChannelException as exc:
            if isinstance(exc, TimeoutError):
                raise
            raise type(exc)(
                f"{exc}: the server gives no pseudo-terminal (PermitTTY of its sshd_config, no-pty of a key)"
            ) from exc

    def change_pty_size(self, columns: int, rows: int) -> None:
        """Tell the remote side that the terminal has another size now."""
        self._core.change_window(columns, rows)

    def request_subsystem(self, name: str, timeout: float | None = None) -> None:
        """Start a subsystem such as ``sftp`` or ``netconf``; `read` and `write` then talk to it."""
        self._prepare()
        self._core.request_subsystem(name, deadline_after(timeout))

    def set_env(self, name: str, value: str) -> None:
        """Set an environment variable, before the command; OpenSSH's server takes those that its ``AcceptEnv`` names."""
        self._core.set_env(name, value, None)

    def _prepare(self) -> None:
        """Set the variables that the session's SendEnv and SetEnv name (the server may refuse any), and forward the agent."""
        if self._session.forwards_agent:
            self._core.request_agent()
        for name, value in self._session.environment.items():
            with suppress(LibsshChannelException):
                self._core.set_env(name, value, None)

    def readable(self, timeout: float | None = None) -> bool:
        """Wait until stdout or stderr has data or ended; return whether that came within *timeout* seconds."""
        return self._readable(2, timeout)

    def _readable(self, stream: int, timeout: float | None) -> bool:
        try:
            self._wait_readable(stream, timeout)
        except LibsshChannelTimeout:
            return False
        return True

    def read(self, size: int = 65536, *, stderr: bool = False, timeout: float | None = None) -> bytes:
        """Return up to *size* bytes of stdout (or stderr), waiting for some; ``b""`` at the end of the stream.

        `LibsshChannelTimeout` when none came within *timeout* seconds, `LibsshChannelReadFailure` when the connection broke.
        """
        if size <= 0:
            return b""
        data = self._core.take(size, stderr)
        if not data:
            self._wait_readable(int(bool(stderr)), timeout)
            data = self._core.take(size, stderr)
        return data

    def read_any(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Wait until stdout or stderr has data; return all that is here of both, ``(b"", b"")`` once both have ended.

        `LibsshChannelTimeout` when none came within *timeout* seconds, `LibsshChannelReadFailure` when the connection broke.
        """
        self._wait_readable(2, timeout)
        return self._drain()

    def read_stdout(self, size: int = 65536, timeout: float | None = None) -> bytes:
        """Return up to *size* bytes of stdout, waiting for some; ``b""`` at its end."""
        return self.read(size, timeout=timeout)

    def read_stderr(self, size: int = 65536, timeout: float | None = None) -> bytes:
        """Return up to *size* bytes of stderr, waiting for some; ``b""`` at its end."""
        return self.read(size, stderr=True, timeout=timeout)

    def __iter__(self) -> Iterator[bytes]:
        """Yield stdout in pieces as they come, until it ends."""
        while True:
            data = self.read()
            if not data:
                return
            yield data

    def _wait_readable(self, stream: int, timeout: float | None) -> None:
        with _read_failures():
            self._core.wait_readable(stream, deadline_after(timeout))

    def poll(self, timeout: float = -1, stderr: int = 0) -> int:
        """Return how many bytes can be read now, 0 if none, `SSH_EOF` at the end of the stream.

        With *timeout* ≥ 0 wait that long for some: in milliseconds here, as ansible-pylibssh 1.4.0 does.
        """
        is_stderr = bool(stderr)
        with _read_failures():
            self._core.pump()
            if timeout > 0 and not self._core.available(is_stderr):
                self._readable(int(is_stderr), timeout / 1000)
        available = self._core.available(is_stderr)
        return SSH_EOF if not available and self._core.is_eof else available

    def read_nonblocking(self, size: int = 1024, stderr: int = 0) -> bytes | None:
        """Return up to *size* bytes that are here; ``b""`` if none are, None at the end of the stream."""
        is_stderr = bool(stderr)
        if not self._core.available(is_stderr) and not (self._core.is_closed and self._core.is_eof):
            with _read_failures():
                self._core.pump()
        data = self._core.take(size, is_stderr)
        return None if not data and self._core.is_eof and size > 0 else data

    def recv(self, size: int = 1024, stderr: int = 0) -> bytes | None:
        """Do the same as `read_nonblocking`."""
        return self.read_nonblocking(size, stderr)

    def read_bulk_response(self, stderr: int = 0, timeout: float = 0.001, retry: int = 5) -> bytes:
        """Return what comes in *retry* looks, each waiting up to *timeout* seconds for data."""
        if retry <= 0:
            raise ValueError(f"Got arg `retry={retry!r}` but it must be greater than 0")
        chunks = []
        for _ in range(retry):
            data = self.read_nonblocking(1024, stderr)
            if data:
                chunks.append(data)
            elif data is None:
                break
            elif timeout:
                self._readable(int(bool(stderr)), timeout)
        return b"".join(chunks)

    def write(self, data: Any, timeout: float | None = None) -> int:
        """Send all of *data* (bytes, or any object with a contiguous buffer) to stdin; return its length in bytes.

        Waits while the remote process does not read; output that comes meanwhile is kept.
        """
        if isinstance(data, str):
            raise TypeError("data must be bytes-like, not str: encode it first")
        return self._core.write(data, deadline_after(timeout))

    def sendall(self, data: Any) -> int:
        """Do the same as `write`."""
        return self.write(data)

    def communicate(self, stdin: Any = None, timeout: float | None = None, *, eof: bool = True) -> tuple[bytes, bytes]:
        """Send *stdin* and its end, wait for the command to end; return its (stdout, stderr).

        Without *eof* the end is not sent. It means nothing to a command on a terminal, and to some servers (tinysshd) that the
        terminal is gone.

        `LibsshChannelTimeout` after *timeout* seconds carries what was printed until then; the command is sent a hang-up
        and the channel closed.
        """
        deadline = deadline_after(timeout)
        output = io.BytesIO(), io.BytesIO()
        try:
            if stdin is not None:
                self._core.gather()  # what it prints before it has read all has to go somewhere
                self._feed(stdin, deadline)
            if eof:
                self._core.send_eof()
            self._collect(output, deadline)
            self._wait_ended(deadline)
        except LibsshChannelTimeout as exc:
            self._move(output)
            self._abandon()
            raise LibsshChannelTimeout("the command did not end in time", *_values(output)) from exc
        except LibsshChannelException:
            raise
        except BaseException:
            self._abandon()  # Ctrl-C or a task's time-out: let go of the remote process, too
            raise
        return _values(output)

    def _collect(self, output: tuple[io.BytesIO, io.BytesIO], deadline: float | None) -> None:
        """Read both streams to their end, in pieces: growing one large buffer costs more than twice the time."""
        with _read_failures():
            while not self._core.is_eof:
                self._core.wait_readable(2, deadline)
                self._move(output)
        self._move(output)

    def _move(self, output: tuple[io.BytesIO, io.BytesIO]) -> None:
        for stderr, stream in enumerate(output):
            while data := self._core.take(_PIECE, bool(stderr)):
                stream.write(data)

    def _feed(self, stdin: Any, deadline: float | None) -> None:
        try:
            self._core.write(stdin, deadline)
        except (LibsshChannelTimeout, LibsshChannelConnectionError):
            raise
        except LibsshChannelException:
            if not self._core.is_closed:
                raise
            # The command ended without reading all of it, as a command may: what it printed and its status tell.

    def _wait_ended(self, deadline: float | None) -> None:
        with _read_failures():
            while not self._core.is_closed:
                grace = time.monotonic() + _STATUS_GRACE
                try:
                    self._core.wait_ended(False, grace if deadline is None else min(grace, deadline))
                except LibsshChannelTimeout:
                    if self._core.is_eof:
                        return
                    if deadline is not None and time.monotonic() >= deadline:
                        raise
                else:
                    return

    def _drain(self) -> tuple[bytes, bytes]:
        core = self._core
        return core.take(core.available(False), False), core.take(core.available(True), True)

    def _abandon(self) -> None:
        """Hang up on the remote process and close, whatever state the connection is in."""
        # Where it is closed already, or the server does not do signals, closing is all that can be done.
        with suppress(LibsshChannelException):
            self._core.send_signal("HUP")
        self.close()

    def exec_command(
        self,
        command: str | bytes,
        *,
        stdin: Any = None,
        env: Mapping[str, str] | None = None,
        pty: bool = False,
        timeout: float | None = None,
    ) -> Completed:
        """Run *command* on a new channel of the same session and return how it ended; see `Session.exec_command`."""
        return self._session.exec_command(command, stdin=stdin, env=env, pty=pty, timeout=timeout)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the remote process to end; return its exit status, -1 if it sent none.

        Output that nobody reads keeps it from ending once the window (2 MiB) is full: read first, or use `communicate`.
        """
        self._wait_ended(deadline_after(timeout))
        return self.get_channel_exit_status()

    @property
    def returncode(self) -> int | None:
        """The exit status; None before it came, -1 if a signal ended the process."""
        return self._core.exit_status

    @property
    def exit_signal(self) -> str | None:
        """The name, without SIG, of the signal that ended the process, else None."""
        return self._core.exit_signal

    def get_channel_exit_status(self) -> int:
        """Return the exit status, -1 if there is none."""
        status = self._core.exit_status
        return -1 if status is None else status

    @property
    def is_eof(self) -> bool:
        """Whether the server ended the output and all of it was read."""
        core = self._core
        return core.is_eof and not core.available(False) and not core.available(True)

    def send_eof(self) -> None:
        """Say that no more input comes; harmless after the channel is closed."""
        self._core.send_eof()

    def send_signal(self, sig: signal.Signals) -> None:
        """Send a signal to the remote process, for example ``signal.SIGUSR1``."""
        if not isinstance(sig, signal.Signals):
            raise TypeError(f"Expecting signal.Signals not {type(sig)}")
        self._core.send_signal(sig.name[3:])

    def close(self) -> None:
        """Close the channel; a second time is harmless."""
        self._core.close()


class ChannelCallback:
    """1.4.0's way to collect output, which only its own ``exec_command`` could attach to a channel: here nothing needs it."""

    def set_user_data(self, userdata: Any) -> None:
        """Set the object whose ``stdout`` and ``stderr`` would grow."""
        self._userdata = userdata


def _values(output: tuple[io.BytesIO, io.BytesIO]) -> tuple[bytes, bytes]:
    return output[0].getvalue(), output[1].getvalue()


@contextmanager
def _read_failures() -> Iterator[None]:
    """Give a broken connection the name that readers of 1.4.0 catch."""
    try:
        yield
    except LibsshChannelReadFailure:
        raise
    except LibsshChannelConnectionError as exc:
        raise LibsshChannelReadFailure(exc.message) from exc


class AnySession(ABC):
    """What every session offers, be it this process's own or one of the connection holder's: channels, and what they are for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that are set for each command, unless the holder's own channels set them."""
        return {}

    @property
    def forwards_agent(self) -> bool:
        """Whether commands can use the agent, unless the holder's own channels see to that."""
        return False

    @property
    @abstractmethod
    def info(self) -> SessionInfo:
        """What was negotiated."""

    @abstractmethod
    def open_core_channel(self, timeout: float | None = None) -> Any:
        """Open a channel for what builds on one, within *timeout* seconds at most; everybody else wants `new_channel`."""

    def new_channel(self) -> Channel:
        """Open a channel (RFC 4254 section 6.1)."""
        return Channel(self)

    def open_session(self) -> Channel:
        """Do the same as `new_channel`."""
        return self.new_channel()

    def new_shell_channel(self) -> Channel:
        """Open a channel with a login shell on a pseudo-terminal."""
        channel = self.new_channel()
        try:
            channel.request_shell()
        except BaseException:
            channel.close()
            raise
        return channel

    def invoke_shell(self) -> Channel:
        """Do the same as `new_shell_channel`."""
        return self.new_shell_channel()

    def exec_command(
        self,
        command: str | bytes,
        *,
        stdin: Any = None,
        env: Mapping[str, str] | None = None,
        pty: bool = False,
        timeout: float | None = None,
    ) -> Completed:
        """Run *command* on a channel of its own, to its end.

        *stdin* is sent and then ended; *env* is set first (the server's ``AcceptEnv`` decides); *pty* asks for a
        pseudo-terminal, which joins stderr to stdout.  After *timeout* seconds `LibsshChannelTimeout` carries the output so
        far, and the command is hung up on.  An exit status that is not 0 is not an exception.
        """
        deadline = deadline_after(timeout)

        def left() -> float | None:
            return None if deadline is None else max(0.0, deadline - time.monotonic())

        with Channel(self, self.open_core_channel(timeout)) as channel:
            for name, value in (env or {}).items():
                channel.set_env(name, value)
            if pty:
                channel.request_pty()
            channel.request_exec(command, left())
            try:
                stdout, stderr = channel.communicate(stdin, left(), eof=not pty)
            except LibsshChannelTimeout as exc:
                text = f"the command did not end within {timeout:g} s"
                raise LibsshChannelTimeout(text, exc.stdout, exc.stderr) from exc.__cause__
            from .completed import Completed

            return Completed(
                command if isinstance(command, str) else command.decode(errors="surrogateescape"),
                channel.get_channel_exit_status(),
                stdout,
                stderr,
                channel.exit_signal,
            )

    def scp(self) -> SCP:
        """Return what copies files by the remote ``scp`` program."""
        from .scp import SCP  # transfers are loaded when they are needed

        return SCP(self)

    @abstractmethod
    def disconnect(self) -> None:
        """Let go of the connection."""

    def close(self) -> None:
        """Do the same as `disconnect`."""
        self.disconnect()


def __getattr__(name: str) -> Any:
    """Load what comes with subprocess: it is part of this module, and who runs no command can do without."""
    if name in ("Completed", "CompletedProcess"):
        from . import completed

        return getattr(completed, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
