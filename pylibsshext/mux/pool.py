# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sessions that the holder holds, who uses them, and when they end.

A client *leases* one slot of a session for each channel.  What a server allows is found out: the first refusal tells how many
channels a session takes, and what does not fit gets a further session of the same kind, or waits for a slot.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Callable

from ..errors import LibsshChannelException, LibsshSessionException
from ..policies import RejectPolicy
from ..session import Session
from .protocol import pack_error, unpack_error
from .shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .. import _core
    from ..session import Hop
    from ..sftp import SFTP
    from .job import Run

MOST_SESSIONS = 16
"""How many sessions of one kind there may be: for servers that take few channels, or one, on each."""

ALIVE_INTERVAL = 15.0
"""Seconds of silence after which the peer is asked for a sign of life, where the client has not chosen otherwise."""

_ONE_CHANNEL = "tinyssh"
"""What is in the banner of a server whose connections are for one channel each: it ends them with it, and when asked for a second."""
_PATIENCE = 0.5  # seconds between two looks whether the one who waits is still there


class Refused(LibsshChannelException):
    """The server opens no further channel on this session."""


class HolderSession(Session):
    """A session that tells a channel that the server refused from one that could not be asked for.

    *lease_hop* lends it the last hop of its way: all that go through a host share one login there.
    """

    def __init__(self, lease_hop: Callable[[dict[str, Any], Session], Hop]) -> None:
        super().__init__()
        self._lease_hop = lease_hop

    def connect(self, **kwargs: Any) -> None:
        """Connect, once, and let go of the client that asked for it: the session outlives it."""
        try:
            super().connect(**kwargs)
        finally:
            self.set_missing_host_key_policy(RejectPolicy())
            del self._lease_hop

    def _configure(self, settings: Mapping[str, Any]) -> None:
        super()._configure({"server_alive_interval": ALIVE_INTERVAL, **settings})

    def _connected_hop(self, keywords: dict[str, Any]) -> Hop:
        return self._lease_hop(keywords, self)

    def open_core_channel(self, timeout: float | None = None) -> _core.Channel:
        """Open a channel; `Refused` if the server has the word to say no."""
        try:
            return super().open_core_channel(timeout)
        except LibsshChannelException as exc:
            if type(exc) is LibsshChannelException and self.is_connected:
                raise Refused(exc.message) from exc
            raise


class Login:
    """A login that is under way, and what those who wait for it get."""

    def __init__(self) -> None:
        self.failure: dict[str, Any] | None = None  # packed: the exception itself would keep what its traceback refers to
        self.done = False


class Kept:
    """A channel that was put aside: the client's ends of its pipes, and what the client noted about them for the next one."""

    def __init__(self, run: Run, state: Any, fds: list[int]) -> None:
        self.run = run
        self.state = state
        self.fds = fds

    def close(self) -> None:
        """Close the pipes here: they were handed out, or nobody wants them any more."""
        while self.fds:
            os.close(self.fds.pop())

    def drop(self) -> None:
        """End a channel that nobody has taken over."""
        self.run.hang_up()
        self.close()


class Held:
    """A session and what it is used for."""

    def __init__(self, digest: str, session: Session, label: str, persist: float) -> None:
        self.digest = digest
        self.session = session
        self.label = label
        self.persist = persist
        self.since = time.time()
        self.used = self.looked = time.monotonic()
        self.leases = 0
        self.open = 0
        self.one_channel = _ONE_CHANNEL in (session.info.server_banner or "")
        self.capacity: int | None = 1 if self.one_channel else None
        self.retired = False
        self.served = False  # whether it has ever had a channel
        self.moved = [0, 0]  # bytes to and from the server, of channels and files
        self.kept: dict[str, Kept] = {}
        self.sftp: SFTP | None = None
        self.sftp_users = 0
        self.sftp_lock = threading.Lock()
        self.shell: Shell | None = None
        self.shell_lock = threading.Lock()
        self.takes_shell = True  # as far as is known

    @property
    def has_room(self) -> bool:
        """Whether another channel may be tried."""
        return not self.retired and (self.capacity is None or self.leases < self.capacity)

    @property
    def idle(self) -> bool:
        """Whether no client uses it: channels that were put aside do not count."""
        return self.leases <= sum(not kept.run.ended for kept in self.kept.values())

    def count(self, sent: int = 0, received: int = 0) -> None:
        """Note bytes that went through; a lost update would only spoil a figure for people."""
        self.moved[0] += sent
        self.moved[1] += received


class Pool:
    """All sessions.  Every change is made under one condition, and everybody who waits is told."""

    def __init__(self, watch: Callable[[Held], None], unwatch: Callable[[Held], None]) -> None:
        self._changed = threading.Condition()
        self._held: list[Held] = []
        self._logins: dict[str, Login] = {}
        self._turns: Counter[str] = Counter()
        self._watch = watch
        self._unwatch = unwatch

    # Leasing

    def lease(
        self, digest: str, persist: float, login: Callable[[], tuple[Session, str]], there: Callable[[], bool]
    ) -> tuple[Held, bool]:
        """Return a session with a slot reserved, and whether it was here already; *login* makes one if need be.

        *there* tells whether the client that waits still exists.
        """
        waited: Login | None = None
        while True:
            with self._changed:
                held = self._with_room(digest)
                if held is not None:
                    if not held.leases:
                        self._unwatch(held)
                    held.leases += 1
                    held.persist = persist
                    return held, True
                if waited is not None and waited.done and waited.failure is not None:
                    raise unpack_error(waited.failure)
                waited = self._logins.get(digest)
                if waited is None and self._count(digest) < MOST_SESSIONS:
                    mine = self._logins[digest] = Login()
                    break
                self._changed.wait(_PATIENCE)
            if not there():
                raise ConnectionError("the client went away while it waited")
        return self._log_in(digest, persist, login, mine), False

    def _with_room(self, digest: str) -> Held | None:
        return next((held for held in self._held if held.digest == digest and held.has_room), None)

    def _count(self, digest: str) -> int:
        return sum(held.digest == digest for held in self._held)

    def _log_in(self, digest: str, persist: float, login: Callable[[], tuple[Session, str]], mine: Login) -> Held:
        try:
            session, label = login()
        except BaseException as exc:
            # What the server said holds for everybody who waits; that this client went away does not.
            if isinstance(exc, LibsshSessionException):
                mine.failure = pack_error(exc)
            raise
        else:
            held = Held(digest, session, label, persist)
            held.leases = 1
            with self._changed:
                self._held.append(held)
            return held
        finally:
            with self._changed:
                mine.done = True
                del self._logins[digest]
                self._changed.notify_all()

    def turn(self, digest: str) -> int:
        """Return how often this was asked before, for those who take turns with several sessions of a kind."""
        with self._changed:
            self._turns[digest] += 1
            return self._turns[digest] - 1

    def has(self, digest: str) -> bool:
        """Return whether there is a session of that kind, as far as the network told."""
        with self._changed:
            found = [held for held in self._held if held.digest == digest and not held.retired]
        return any(self.look(held) for held in found)

    def opened(self, held: Held) -> None:
        """Note that the leased slot holds a channel now."""
        with self._changed:
            held.open += 1
            held.served = True

    def refused(self, held: Held) -> bool:
        """Give a slot back that the server refused to fill; return whether there is a point in trying again."""
        freed = self.close_idle_sftp(held) or self._give_up_shell(held)
        with self._changed:
            held.leases -= 1
            if held.leases and not freed:
                held.capacity = max(1, held.open)
            again = freed or held.leases > 0
            ended = held.retired and held.idle
            self._changed.notify_all()
        if ended:
            self._end(held)
        return again

    def release(self, held: Held, opened: bool = True) -> None:
        """Give a slot back."""
        with self._changed:
            held.leases -= 1
            held.open -= int(opened)
            held.used = time.monotonic()
            if opened and held.one_channel:
                self._withdraw(held)
            ended = held.retired and held.idle
            self._changed.notify_all()
        if ended:
            self._end(held)
        elif not held.leases:
            self._watch(held)

    def retire(self, held: Held) -> None:
        """Let nobody else use a session; it ends with its last channel that a client has, or now."""
        with self._changed:
            self._withdraw(held)
            ended = held.idle
            self._changed.notify_all()
        if ended:
            self._end(held)

    def _withdraw(self, held: Held) -> None:
        held.retired = True
        with contextlib.suppress(ValueError):  # somebody else did it
            self._held.remove(held)

    def _end(self, held: Held) -> None:
        with self._changed:
            kept, held.kept = held.kept, {}
        for one in kept.values():
            one.drop()
        self._unwatch(held)
        held.session.close()

    # Channels put aside

    def keep(self, name: str, kept: Kept) -> bool:
        """Put a channel aside, if its session is still there; an older one of the same name ends."""
        held = kept.run.held
        with self._changed:
            if held.retired:
                return False
            older = self._kept(held.digest, name)
            held.kept[name] = kept
            held.used = time.monotonic()
        if older is not None:
            older.drop()
        return True

    def take(self, digest: str, name: str) -> Kept | None:
        """Hand out a channel that was put aside."""
        with self._changed:
            return self._kept(digest, name)

    def _kept(self, digest: str, name: str) -> Kept | None:
        for held in self._held:
            if held.digest == digest and name in held.kept:
                return held.kept.pop(name)
        return None

    # SFTP: one client a session serves all its files

    @contextlib.contextmanager
    def sftp(self, held: Held) -> Iterator[SFTP]:
        """Lend the SFTP client of a session, which is started by the first who asks."""
        with held.sftp_lock:
            if held.sftp is None:
                held.sftp = held.session.sftp()
            sftp = held.sftp
            held.sftp_users += 1
        try:
            yield sftp
        finally:
            with held.sftp_lock:
                held.sftp_users -= 1
            if held.capacity is not None:
                self.close_idle_sftp(held)  # channels are scarce

    def close_idle_sftp(self, held: Held) -> bool:
        """Close the SFTP client of a session if nobody uses it; return whether that was so."""
        with held.sftp_lock:
            if held.sftp is None or held.sftp_users:
                return False
            sftp, held.sftp = held.sftp, None
            sftp.close()
            return True

    # A shell: one a session serves the short commands

    @contextlib.contextmanager
    def shell(self, held: Held) -> Iterator[Shell | None]:
        """Lend the shell of a session; None if there is none, if another client has it, or where channels are scarce."""
        if not held.takes_shell or held.capacity is not None or not held.shell_lock.acquire(blocking=False):
            yield None
            return
        try:
            if held.shell is not None and not held.shell.lives():
                self._end_shell(held)
            if held.shell is None:
                held.shell = Shell.start(held.session)
                held.takes_shell = held.shell is not None
            yield held.shell
        finally:
            if held.shell is not None and held.shell.broken:
                self._end_shell(held)
            held.shell_lock.release()

    def _give_up_shell(self, held: Held) -> bool:
        """Do without a shell from now on, unless a client has it: channels are scarce; return whether that freed one."""
        if not held.shell_lock.acquire(blocking=False):
            return False
        try:
            held.takes_shell = False
            return self._end_shell(held)
        finally:
            held.shell_lock.release()

    @staticmethod
    def _end_shell(held: Held) -> bool:
        shell, held.shell = held.shell, None
        if shell is not None:
            shell.close()
        return shell is not None

    # Looking after them

    def look(self, held: Held) -> bool:
        """Take in what the network brought for a session; return whether it stands. One that does not is dropped."""
        held.looked = time.monotonic()
        alive = held.session.is_connected
        if not alive:
            self.retire(held)
        return alive

    def tend(self) -> None:
        """End what was idle for too long, and ask idle peers for a sign of life; called once a second or so."""
        now = time.monotonic()
        with self._changed:
            idle = [held for held in self._held if held.idle]
            expired = [held for held in idle if now - held.used >= held.persist]
        for held in expired:
            self._expire(held)
        for held in idle:
            if not held.retired and now - held.looked >= ALIVE_INTERVAL / 3:
                self.look(held)

    def _expire(self, held: Held) -> None:
        with self._changed:
            if not held.idle:
                return
            self._withdraw(held)
        self._end(held)

    def drop(self, chosen: Callable[[Held], bool]) -> int:
        """Retire all chosen sessions; return how many."""
        with self._changed:
            found = [held for held in self._held if chosen(held)]
        for held in found:
            self.retire(held)
        return len(found)

    def close(self) -> None:
        """End everything."""
        for held in self.all():
            self.retire(held)
            held.session.close()

    def all(self) -> list[Held]:
        """Return the sessions there are."""
        with self._changed:
            return list(self._held)

    @property
    def empty(self) -> bool:
        """Whether there are neither sessions nor logins."""
        with self._changed:
            return not self._held and not self._logins
