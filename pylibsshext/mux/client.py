# SPDX-License-Identifier: LGPL-2.1-or-later
"""A session of the holder's, in its client: what `session.Session` offers, without a login where one was made before."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable

from ..channel import AnySession, Channel
from ..errors import LibsshConnectionError, LibsshSessionException
from . import identity, start
from .channel import SILENCE, MuxChannel
from .protocol import HangUp, Message, MuxUnavailable, Silent, Wire, pack_error, seconds_kept, unpack_error

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .. import policies
    from ..completed import Completed
    from ..keywords import Keywords
    from ..session import SessionInfo
    from .files import MuxSFTP

__all__ = ["MuxSession", "MuxUnavailable"]

_PATHS = ("ssh_dir", "add_identity", "config_file", "unix_socket")
_LIBRARIES = ("pkcs11_provider", "security_key_provider")
_PATH_LISTS = ("knownhosts", "global_knownhosts", "identities", "certificate_file")
_URI = "pkcs11:"  # of a token (RFC 7512); `agent`, which knows it too, is not loaded for it
_PATIENCE = 30.0  # seconds for the holder's greeting, which needs nobody else


class MuxSession(AnySession):
    """A session that the holder holds for this user; `close` leaves it there, *persist* seconds long after its last use.

    It belongs to one thread, and to the process that made it.
    """

    def __init__(self, persist: float = 60) -> None:
        self.persist: float = seconds_kept(persist)
        self.reused: bool = False
        self.port: int | None = None
        self._policy: policies.MissingHostKeyPolicy | None = None
        self._keywords: dict[str, Any] = {}
        self._digest: dict[str, Any] = {}
        self._idle: list[Wire] = []
        self._connected = False
        self._raised: BaseException | None = None

    # Connecting

    def set_missing_host_key_policy(self, policy: policies.MissingHostKeyPolicy | type[policies.MissingHostKeyPolicy]) -> None:
        """Set what happens to a host key that is not known; it is asked in this process."""
        self._policy = policy() if isinstance(policy, type) else policy

    def connect(self, **keywords: Unpack[Keywords]) -> None:
        """Use the holder's session that was made with these keywords of ``Session.connect``, or have it make one.

        `MuxUnavailable` if there can be no holder; else what ``Session.connect`` raises.
        """
        if self._connected:
            raise LibsshSessionException("ssh connect failed: the session is connected already")
        self._keywords = _portable(keywords)
        self.port = self._keywords.get("port", 22)
        for last in (False, True):
            try:
                wire = self._introduced()
                break
            except Silent as exc:
                raise MuxUnavailable(str(exc)) from exc
            except HangUp as exc:  # it ended at this moment, or the login took it down
                if last:
                    raise MuxUnavailable(f"the connection holder ends: {exc}") from exc
        self._connected = True
        self.give_back(wire)

    def _introduced(self) -> Wire:
        """Return a new connection to the holder, whose other end knows the session that is meant."""
        wire = start.connect()
        try:
            self.reused = bool(self.ask(wire, {"do": "session", **self._about()}).data["reused"])
        except BaseException:
            wire.close()
            raise
        return wire

    def _about(self) -> dict[str, Any]:
        policy = f"{type(self._policy).__module__}.{type(self._policy).__qualname__}" if self._policy else ""
        return {"digest": identity.digest(self._keywords, policy), "persist": self.persist}

    # Talking with the holder

    def lease(self) -> Wire:
        """Return a connection to the holder for one channel."""
        if not self._connected:
            raise LibsshSessionException("opening a channel failed: the session is not connected")
        if self._idle:
            return self._idle.pop()
        try:
            return self._introduced()
        except HangUp as exc:
            raise LibsshConnectionError(f"opening a channel failed: {exc}") from exc

    def give_back(self, wire: Wire) -> None:
        """Take a connection back after use."""
        if self._connected:
            self._idle.append(wire)
        else:
            wire.close()

    def ask(
        self, wire: Wire, request: dict[str, Any], blob: bytes = b"", fds: Sequence[int] = (), timeout: float | None = None
    ) -> Message:
        """Send a request and return the answer."""
        wire.send(request, blob, fds)
        return self.answered(wire, timeout)

    def answered(self, wire: Wire, timeout: float | None = None) -> Message:
        """Return the answer to what was sent; what the holder wants to know before that is answered here."""
        self._raised = None
        while True:
            while timeout is None and not wire.waits(SILENCE):
                self.check_alive()
            message = wire.receive(timeout)
            sealed: list[bytes | bytearray] = []
            if message.data.get("ask") == "credentials":
                wire.send({"answer": identity.plain(self._keywords, sealed)}, b"".join(sealed))
            elif "ask" in message.data:
                answer = self._answer(str(message.data["ask"]), message.data.get("about"), sealed)
                wire.send(answer, b"".join(sealed))
            elif "error" in message.data:
                raised, self._raised = self._raised, None
                raise raised or unpack_error(message.data["error"])
            else:
                return message

    @staticmethod
    def check_alive() -> None:
        """Raise `Silent` unless the holder greets whoever comes: that needs nobody else, however long a login or a command takes."""
        try:
            wire = start.connect(create=False)
        except MuxUnavailable:
            return  # it can't be asked, which proves nothing; were it gone, the connections to it would tell
        try:
            greet(wire)
        except MuxUnavailable as exc:
            raise Silent(exc.message) from exc
        except HangUp:
            return
        finally:
            wire.close()

    def _answer(self, what: str, about: Any, sealed: list[bytes | bytearray]) -> dict[str, Any]:
        try:
            if what == "host_key":
                return {"answer": self._accepts(about)}
            name, arguments = about
            return self._called(name, arguments, sealed)
        except Exception as exc:  # noqa: BLE001 - raised again where the answer to the request arrives
            self._raised = exc
            return {"declined": pack_error(exc, "what the login asked for")}

    def _called(self, name: str, arguments: list[Any], sealed: list[bytes | bytearray]) -> dict[str, Any]:
        """Call a callback of the login; that it has no answer is one attempt's failure, and there may be others."""
        try:
            return {"answer": identity.plain(self._keywords[name](*arguments), sealed, is_secret=True)}
        except LibsshSessionException as exc:
            return {"declined": pack_error(exc)}

    def _accepts(self, about: list[Any]) -> bool:
        """Let the policy, by default to refuse, decide about a host key; return whether it wants it to be remembered."""
        from ..policies import RejectPolicy

        hostname, username, key_type, fingerprint, message, port = about
        asked = _AskedSession(port)
        policy = self._policy or RejectPolicy()
        policy.missing_host_key(asked, hostname, username, key_type, fingerprint, message)  # type: ignore[arg-type]
        return asked.add

    def _request(self, blob: bytes = b"", more: Callable[[Message], bool] = lambda _answer: False, **request: Any) -> Message:
        """Send a request and return its answer, the last one: *more* is given each, and tells whether another one follows."""
        wire = self.lease()
        try:
            answer = self.ask(wire, request, blob)
            while more(answer):
                answer = self.answered(wire)
        except HangUp as exc:
            wire.close()
            raise LibsshConnectionError(f"{request['do']} failed: {exc}") from exc
        except BaseException:
            wire.close()
            raise
        self.give_back(wire)
        return answer

    # What a session offers

    @property
    def is_connected(self) -> bool:
        """Whether the holder's session stands, as far as the network told."""
        try:
            return self._connected and bool(self._request(do="alive").data["alive"])
        except (LibsshSessionException, MuxUnavailable):
            return False

    @property
    def info(self) -> SessionInfo:
        """What was negotiated."""
        from ..session import SessionInfo

        about = self._request(do="info").data["info"]
        if about is None:
            raise LibsshSessionException("reading the session's state failed: the session is closed")
        return SessionInfo(**about)

    def open_core_channel(self, timeout: float | None = None) -> MuxChannel:  # noqa: ARG002 - opened with what starts on it
        """Return a channel for what builds on one; it is opened when something is started on it."""
        if not self._connected:
            raise LibsshSessionException("opening a channel failed: the session is not connected")
        return MuxChannel(self)

    def sftp(self) -> MuxSFTP:
        """Use the holder's SFTP client."""
        from .files import MuxSFTP

        return MuxSFTP(self)

    def run_in_shell(self, command: str | bytes) -> Completed | None:
        """Run a short command in the shell that the holder keeps beside the session; None if it has none to spare, and nothing was run.

        It saves the command a channel and a login shell.  /bin/sh reads it, in the home directory and without input; what it
        leaves running after its end is not waited for.  ``returncode`` is what shells tell: 128 + n after signal n.
        """
        blob = os.fsencode(command)
        if b"\0" in blob:
            raise ValueError("command must not contain a NUL character")
        stdout, stderr = bytearray(), bytearray()

        def more(answer: Message) -> bool:
            size = answer.data.get("stdout", 0)
            stdout.extend(answer.blob[:size])
            stderr.extend(answer.blob[size:])
            return "ran" not in answer.data

        answer = self._request(blob, more, do="shell").data
        if not answer["ran"]:
            return None
        from ..completed import Completed

        return Completed(os.fsdecode(command), answer["status"], bytes(stdout), bytes(stderr))

    # Channels that outlive this process

    def keep(self, channel: Channel, name: str) -> None:
        """Leave a channel with the holder, as long as the session lives; who has the same session can `take` it."""
        channel.core.keep(name)

    def take(self, name: str) -> Channel | None:
        """Take over the channel that was left under *name*; None if there is none."""
        core = MuxChannel.taken(self, name)
        return None if core is None else Channel(self, core)

    # The end

    def reset(self, **keywords: Unpack[Keywords]) -> bool:
        """End the holder's session that was made with these keywords (by default this one's); return whether there was one."""
        if keywords:
            self._keywords = _portable(keywords)
        wire = start.connect(create=False)
        try:
            return bool(self.ask(wire, {"do": "reset", **self._about()}).data["closed"])
        finally:
            wire.close()
            self.close()

    def disconnect(self) -> None:
        """Let go of the holder; the session stays with it."""
        self._connected = False
        while self._idle:
            self._idle.pop().close()


class _AskedSession:
    """What a policy sees of the session that is being made in the holder."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.add = False

    def hostkey_auto_add(self, _username: str | None = None) -> None:
        """Note that the key is to be remembered."""
        self.add = True


def greet(wire: Wire) -> None:
    """Say hello to the holder, and hear it say so."""
    wire.send({"do": "greet"})
    try:
        wire.receive(_PATIENCE)
    except TimeoutError as exc:
        raise MuxUnavailable("the connection holder does not answer") from exc


def _portable(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords as they mean the same in the holder, which has another current directory."""
    portable = {name: value for name, value in keywords.items() if value is not None}
    if "fd" in portable:
        raise MuxUnavailable("a connection over a given descriptor cannot be shared")
    for name in _PATHS:
        if name in portable and portable[name] != "none":
            portable[name] = _absolute(portable[name])
    for name in _LIBRARIES:
        if "/" in portable.get(name, ""):  # a bare name is looked for where the loader looks
            portable[name] = _absolute(portable[name])
    for name in _PATH_LISTS:
        if name in portable:
            given = portable[name]
            paths = map(os.fsdecode, [given] if isinstance(given, (str, bytes, os.PathLike)) else given)
            portable[name] = [path if path == "none" or path.startswith(_URI) else _absolute(path) for path in paths]
    if any(path.startswith(_URI) for path in portable.get("identities", ())):
        from ..agent import without_pin

        named = [without_pin(path) for path in portable["identities"]]
        portable["identities"] = [path for path, _ in named]
        portable["pkcs11_pins"] = {**portable.get("pkcs11_pins", {}), **{path: pin for path, pin in named if pin}}
    if "proxy_jump" in portable:
        from .. import jump  # seldom needed, and every task of Ansible's loads this module anew

        portable["proxy_jump"] = [_portable(hop) for hop in jump.hops(portable["proxy_jump"])] or "none"
    command = portable.get("proxycommand")
    if command and command != "none":
        here = shlex.quote(os.getcwd()).replace("%", "%%")
        portable["proxycommand"] = f"/bin/sh -c {shlex.quote(f'cd {here} && exec {command}')}"
    return portable


def _absolute(path: Any) -> str:
    return os.path.abspath(os.path.expanduser(os.fsdecode(path)))
