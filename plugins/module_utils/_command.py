# SPDX-License-Identifier: GPL-3.0-or-later
"""One remote command on one channel, with the become talk before it. Private to this collection."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType, ModuleType

    from ._escalation import Escalation

# What a shell adds to the number of the signal that ended a process.
_SIGNAL_STATUS = 128
_CHUNK = 65536
# By these Ansible ends its workers after Ctrl-C.
_ENDING = (signal.SIGINT, signal.SIGTERM)


class Finished:
    """How a command ended, and what it printed."""

    __slots__ = ("status", "stderr", "stdout")

    def __init__(self, status: int, stdout: bytes, stderr: bytes) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr


class NoExitStatus(Exception):
    """The server closed the channel, and never said how the command ended."""


class NoEscalation(Exception):
    """The become program has asked nothing and said nothing for too long."""


class _Ended(BaseException):
    """A signal ends the process; holds its number."""


def run(
    library: ModuleType,
    session: Any,
    command: bytes,
    *,
    stdin: bytes | None = None,
    pty: bool = False,
    escalation: Escalation | None = None,
    patience: float | None = None,
    short: bool = False,
) -> Finished:
    """Run *command*, and return when it has ended.

    *patience* is how many seconds the become program may keep silent.  A *short* command, which has no input and leaves nothing
    running, may share a shell with others, where the session has one.
    """
    if short and hasattr(session, "run_in_shell"):
        done = session.run_in_shell(_unwrapped(os.fsdecode(command)))
        if done is not None:
            return Finished(done.returncode, done.stdout, done.stderr)
    with _last_words(), session.new_channel() as channel:
        if pty:
            channel.request_pty()
        channel.request_exec(command)
        if not escalation:
            stdout, stderr = channel.communicate(stdin, eof=not pty)
            return Finished(status(channel), stdout, stderr)
        try:
            _escalate(channel, escalation, patience)
        except library.errors.LibsshException:
            raise
        except BaseException:
            # Refused, silent, or the task was interrupted: the become program must not live on. Closing its channel would
            # not reach it as long as it neither reads nor writes. (communicate() below does the same for the command.)
            _hang_up(library, channel)
            raise
        stdout, stderr = channel.communicate(stdin, eof=not pty)
        return Finished(status(channel), escalation.stdout + stdout, escalation.stderr + stderr)


def _unwrapped(command: str) -> str:
    """Return what Ansible has another /bin/sh do, for a shell that is one itself: starting it takes as long as what it does."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    return words[-1] if words[:-1] == ["/bin/sh", "-c"] and command == shlex.join(words) else command


@contextmanager
def _last_words() -> Iterator[None]:
    """Let a worker that is ended hang up on its remote command first, which else would live on.

    Ansible's own handlers, from ansible-core 2.19 on, end the process at once; they still do, right after.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    taken = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in taken:
        signal.signal(number, _end)
    ended_by = None
    try:
        yield
    except _Ended as exc:
        ended_by = exc.args[0]
        raise
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
        if ended_by is not None:
            os.kill(os.getpid(), ended_by)


def _end(number: int, _frame: FrameType | None) -> None:
    raise _Ended(number)


def status(channel: Any) -> int:
    """Return the exit status of the process, 128 + n if it died by signal n."""
    code: int = channel.wait()
    if code >= 0:
        return code
    name = channel.exit_signal
    if name is None:
        raise NoExitStatus("the server ended the command without an exit status")
    return _SIGNAL_STATUS + getattr(signal, f"SIG{name}", 0)


def _escalate(channel: Any, escalation: Escalation, patience: float | None) -> None:
    """Talk with the become program until the command runs, or nothing does any more."""
    while not escalation.done:
        if not channel.readable(patience):
            raise NoEscalation(f"neither a password prompt nor success within {patience} s; it printed {escalation.printed!r}")
        stdout, stderr = channel.read_nonblocking(_CHUNK), channel.read_nonblocking(_CHUNK, stderr=1)
        if stdout is None and stderr is None:
            escalation.finish()
            return
        answer = escalation.feed(stdout or b"", stderr or b"")
        if answer:
            channel.write(answer)


def _hang_up(library: ModuleType, channel: Any) -> None:
    """Ask the server to end the process; where that fails the connection is gone, and with it the process."""
    try:
        channel.send_signal(signal.SIGHUP)
    except library.errors.LibsshException:
        return
