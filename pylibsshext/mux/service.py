# SPDX-License-Identifier: LGPL-2.1-or-later
"""One client in the holder: what it asks for, and what it is asked."""

from __future__ import annotations

import contextlib
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from .._secrets import wipe
from ..errors import (
    LibsshChannelConnectionError,
    LibsshChannelException,
    LibsshChannelTimeout,
    LibsshException,
    LibsshSessionException,
)
from ..policies import MissingHostKeyPolicy
from . import identity, transfer
from .job import Run
from .pool import Held, HolderSession, Kept, Pool, Refused
from .protocol import HangUp, Message, Wire, pack_error, seconds_kept, unpack_error

if TYPE_CHECKING:
    from ..channel import Channel
    from ..session import Session
    from ..sftp import SFTP

_SLOT_PATIENCE = 2.0  # seconds after the last use in which a refusal may mean that the server counts a channel that was closed
_SLOT_PAUSE = 0.05
_TRIES = 3  # of a channel on a session that turns out to be dead; nothing has been started by then
# Requests that the client sends without waiting, whatever comes of them.
_UNANSWERED = ("stdin", "eof", "signal", "resize", "close")


class AskingPolicy(MissingHostKeyPolicy):
    """Let the client's policy decide about an unknown host key."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def missing_host_key(
        self, session: Session, hostname: str, username: str | None, key_type: str, fingerprint: str, message: str
    ) -> None:
        """Raise unless it accepts; add the key if it does so."""
        about = [hostname, username, key_type, fingerprint, message, session.port]
        if self._ask("host_key", about):
            session.hostkey_auto_add(username)


class Service:
    """Serves one client, in a thread of its own, until it hangs up."""

    def __init__(self, pool: Pool, wire: Wire, stop: Callable[[], None]) -> None:
        self._pool = pool
        self._wire = wire
        self._stop = stop
        self._digest = ""
        self._persist = 0.0
        self._secrets: list[bytearray] = []  # of the login that is being made
        self._job: Run | transfer.Transfer | None = None
        self.since = time.time()

    def serve(self) -> None:
        """Do what the client asks for."""
        try:
            self._wire.check_peer()
            while True:
                self._handle(self._wire.receive())
        except (HangUp, LibsshException):
            return
        finally:
            if self._job is not None:
                self._job.hang_up()
            self._wire.close()

    def _handle(self, message: Message) -> None:
        """Do one thing; what goes wrong with it is the client's to know."""
        handler = getattr(self, f"_do_{message.data.get('do')}", self._do_nothing)
        try:
            answer = handler(message)
        except HangUp:
            raise
        except Exception as exc:  # noqa: BLE001 - told to the client, whatever it is: nobody reads this process's stderr
            answer = None if message.data.get("do") in _UNANSWERED else {"error": pack_error(exc)}
        finally:
            message.close()
        if answer is not None:
            self._wire.send(answer)

    def _do_nothing(self, message: Message) -> None:
        raise LibsshException(f"the connection holder does not know how to {message.data.get('do')}")

    def _do_greet(self, _message: Message) -> dict[str, Any]:
        return {"greeted": True}

    # Sessions

    def _do_session(self, message: Message) -> dict[str, Any]:
        """See to it that there is a session of the kind that the digest stands for."""
        self._digest, self._persist = str(message.data["digest"]), seconds_kept(message.data["persist"])
        if self._pool.has(self._digest):
            return {"reused": True}
        held, reused = self._lease()
        self._pool.release(held, opened=False)
        return {"reused": reused}

    def _lease(self) -> tuple[Held, bool]:
        return self._pool.lease(self._digest, self._persist, self._log_in, self._there)

    def _ask(self, what: str, about: Any = None) -> Any:
        """Ask the client; secrets among its answer are wiped after the login."""
        self._wire.send({"ask": what, "about": about})
        message = self._wire.receive()
        try:
            if "declined" in message.data:
                raise _declined(message.data["declined"])
            return identity.restored(message.data.get("answer"), message.blob, self._secrets)
        finally:
            wipe(message.blob)
            message.close()

    def _log_in(self) -> tuple[HolderSession, str]:
        try:
            keywords = self._ask("credentials")
            return self._session({name: self._keyword(name, value) for name, value in keywords.items()})
        finally:
            while self._secrets:
                wipe(self._secrets.pop())

    def _session(self, keywords: dict[str, Any], onward: Session | None = None) -> tuple[HolderSession, str]:
        """Make a session, for the client or for one that goes *onward* from there."""
        session = HolderSession(self._lease_hop)
        if onward is not None:
            session.join(onward)
        session.set_missing_host_key_policy(AskingPolicy(self._ask))
        session.connect(**keywords)
        user, host = session.get_ssh_options("user"), session.get_ssh_options("host")
        return session, f"{user + '@' if user else ''}{host}:{session.port}"

    def _lease_hop(self, keywords: dict[str, Any], onward: Session) -> tuple[Session, Callable[[], None]]:
        """Lend a session with a host on the way, and what gives it back; many go through one, and it outlives them a while."""
        digest = identity.digest(keywords, "hop")
        digest += f" {self._pool.turn(digest) % max(1, int(keywords.get('proxy_jump_logins', 1)))}"
        while True:
            held, _ = self._pool.lease(digest, self._persist, lambda: self._session(keywords, onward), self._there)
            self._pool.opened(held)
            if self._pool.look(held):
                return held.session, partial(self._pool.release, held)
            self._pool.release(held)

    def _there(self) -> bool:
        return not self._wire.hung_up()

    def _keyword(self, name: str, value: Any) -> Any:
        if isinstance(value, dict) and "callable" in value:
            return lambda *arguments: self._ask("call", [name, list(arguments)])
        return value

    def _do_alive(self, _message: Message) -> dict[str, Any]:
        return {"alive": self._pool.has(self._digest)}

    def _do_info(self, _message: Message) -> dict[str, Any]:
        held = next((held for held in self._pool.all() if held.digest == self._digest), None)
        return {"info": held.session.info._asdict() if held else None}

    def _do_reset(self, message: Message) -> dict[str, Any]:
        return {"closed": self._pool.drop(lambda held: held.digest == message.data["digest"])}

    # Channels

    def _with_slot(self, use: Callable[[Held], Any]) -> Any:
        """Let *use* open a channel on a session that takes it; the slot is then the caller's to release."""
        for tries_left in reversed(range(_TRIES)):
            while True:
                held, _ = self._lease()
                try:
                    result = use(held)
                except LibsshException as exc:
                    # What SFTP raises has the channel's error as its cause.
                    cause = exc if isinstance(exc, LibsshChannelException) else exc.__cause__ or exc
                    if isinstance(cause, Refused):
                        if self._pool.refused(held):
                            continue
                        if time.monotonic() - held.used < _SLOT_PATIENCE:
                            time.sleep(_SLOT_PAUSE)  # a busy server has not let go of the last channel yet
                            continue
                        if held.served and tries_left:  # what outlives its channel may count as one for ever
                            self._pool.retire(held)
                            break
                        raise
                    if self._is_lost(held, cause):
                        self._pool.retire(held)
                        self._pool.release(held, opened=False)
                        if tries_left:
                            break
                        raise
                    self._pool.release(held, opened=False)
                    raise
                except BaseException:
                    self._pool.release(held, opened=False)
                    raise
                self._pool.opened(held)
                return result
        raise AssertionError  # the last try returns or raises

    @staticmethod
    def _is_lost(held: Held, exc: BaseException) -> bool:
        lost = isinstance(exc, (LibsshChannelConnectionError, LibsshChannelTimeout))
        return lost or not held.session.is_connected

    def _check_free(self) -> None:
        if self._job is not None and not self._job.ended:
            raise LibsshException("the client asks for something else while its command or file is on its way")

    def _do_start(self, message: Message) -> None:
        """Open a channel and start a command, a shell or a subsystem on it."""
        self._check_free()
        stdout, stderr = message.fds
        held, channel = self._with_slot(lambda held: (held, held.session.new_channel()))
        try:
            self._request(channel, message)
        except BaseException:
            channel.close()
            self._pool.release(held)
            raise
        message.fds.clear()
        self._job = Run(self._pool, held, channel, self._wire, stdout, stderr)
        with contextlib.suppress(HangUp):  # noticed next, when this thread reads again, and the channel is closed
            self._wire.send({"started": True})
        self._job.start()

    @staticmethod
    def _request(channel: Channel, message: Message) -> None:
        about = message.data
        for name, value in about.get("env", ()):
            channel.set_env(name, value)
        pty = about.get("pty")
        if about["kind"] == "exec":
            if pty:
                channel.request_pty(*pty)
            channel.request_exec(bytes(message.blob))
        elif about["kind"] == "subsystem":
            channel.request_subsystem(about["name"])
        else:
            channel.request_pty_size(*(pty or ("xterm", 80, 24)))

    @property
    def _run(self) -> Run | None:
        return self._job if isinstance(self._job, Run) and not self._job.ended else None

    def _do_stdin(self, message: Message) -> None:
        if self._run is not None:
            self._run.feed(message.fds.pop())

    def _do_eof(self, _message: Message) -> None:
        if self._run is not None:
            self._run.send_eof()

    def _do_signal(self, message: Message) -> None:
        if self._run is not None:
            self._run.send_signal(message.data["name"])

    def _do_resize(self, message: Message) -> None:
        if self._run is not None:
            self._run.resize(message.data["columns"], message.data["rows"])

    def _do_close(self, _message: Message) -> None:
        if self._run is not None:
            self._run.close()

    # Channels that outlive their client

    def _do_keep(self, message: Message) -> dict[str, Any]:
        """Put the channel and the client's ends of its pipes aside, under a name; *state* is the client's, for the next one."""
        name, run = str(message.data["name"]), self._job
        if not isinstance(run, Run):
            raise LibsshChannelException("keeping the channel failed: there is none")
        run.detach()
        self._job = None
        if not self._pool.keep(name, Kept(run, message.data.get("state"), message.fds)):
            run.hang_up()
            raise LibsshChannelException("keeping the channel failed: its session has ended")
        message.fds = []
        return {"kept": True}

    def _do_take(self, message: Message) -> dict[str, Any] | None:
        self._check_free()
        kept = self._pool.take(self._digest, str(message.data["name"]))
        if kept is None:
            return {"taken": False}
        self._job = kept.run  # which is hung up on if its new client is gone
        try:
            self._wire.send({"taken": True, "state": kept.state}, fds=kept.fds)
        finally:
            kept.close()
        kept.run.attach(self._wire)
        return None

    # Short commands

    def _do_shell(self, message: Message) -> None:
        """Run a command in the session's shell, if it has one to spare; of much output all but the last goes ahead of the answer."""
        self._check_free()

        def deliver(stdout: bytes, stderr: bytes, **about: Any) -> None:
            held.count(received=len(stdout) + len(stderr))
            self._wire.send({"stdout": len(stdout), **about}, stdout + stderr)

        with contextlib.ExitStack() as stack:
            held, shell = self._with_slot(lambda held: (held, stack.enter_context(self._pool.shell(held))))
            stack.callback(self._pool.release, held)
            if shell is not None:
                held.count(sent=len(message.blob))
                try:
                    status, *output = shell.run(bytes(message.blob), self._there, deliver)
                except LibsshException as exc:
                    if isinstance(exc, ConnectionError):
                        self._pool.retire(held)
                    raise
        # Who hears this may ask for the shell again at once.
        if shell is None:
            self._wire.send({"ran": False})
        else:
            deliver(*output, ran=True, status=status)

    # Files

    def _lease_sftp(self) -> tuple[Held, SFTP, contextlib.ExitStack]:
        """Return a session, its SFTP client, and what gives both back."""
        stack = contextlib.ExitStack()
        held, sftp = self._with_slot(lambda held: (held, stack.enter_context(self._pool.sftp(held))))
        stack.callback(self._pool.release, held)
        return held, sftp, stack

    def _do_sftp(self, _message: Message) -> dict[str, Any]:
        """Find out whether there is SFTP."""
        self._lease_sftp()[2].close()
        return {"sftp": True}

    def _do_stat(self, message: Message) -> dict[str, Any]:
        _, sftp, stack = self._lease_sftp()
        with stack:
            return {"mode": sftp.stat(bytes(message.blob)).st_mode}

    def _do_put(self, message: Message) -> None:
        self._transfer(message, transfer.send, lambda moved: (moved, 0))

    def _do_get(self, message: Message) -> None:
        self._transfer(message, transfer.fetch, lambda moved: (0, moved))

    def _transfer(self, message: Message, way: transfer.Way, counted: Callable[[int], tuple[int, int]]) -> None:
        from .._sftp.local import Opened  # which commands have no use for

        self._check_free()
        (fd,) = message.fds
        local = Opened(fd, message.data["name"])
        held, sftp, stack = self._lease_sftp()
        message.fds.clear()
        stack.callback(os.close, fd)

        def move(progress: transfer.Progress) -> dict[str, Any]:
            with stack:
                return way(sftp, local, bytes(message.blob), progress)

        job = self._job = transfer.Transfer(self._wire, move)
        stack.callback(lambda: held.count(*counted(job.moved)))
        try:
            job.start()
        except BaseException:  # there are too many threads
            job.ended = True
            stack.close()
            raise

    # For people

    def _do_list(self, _message: Message) -> dict[str, Any]:
        now = time.monotonic()
        return {
            "pid": os.getpid(),
            "sessions": [
                {
                    "label": held.label,
                    "since": held.since,
                    "channels": held.leases,
                    "kept": sorted(held.kept),
                    "sent": held.moved[0],
                    "received": held.moved[1],
                    "idle": now - held.used if held.idle else 0.0,
                    "persist": held.persist,
                }
                for held in self._pool.all()
            ],
        }

    def _do_drop(self, message: Message) -> dict[str, Any]:
        label = message.data.get("label")
        return {"closed": self._pool.drop(lambda held: label is None or held.label == label)}

    def _do_stop(self, _message: Message) -> dict[str, Any]:
        self._stop()
        return {"stopped": True}


def _declined(packed: dict[str, Any]) -> LibsshSessionException:
    """Return why a client would not answer, as those who wait for its login are told it, too."""
    error = unpack_error(packed)
    return error if isinstance(error, LibsshSessionException) else LibsshSessionException(str(error))
