# SPDX-License-Identifier: LGPL-2.1-or-later
"""ProxyJump: the way through other hosts, each of which is a session of our own.

The last hop opens the connection to the host (RFC 4254 section 7.2, "direct-tcpip"); two threads carry it to and from a socket,
which libssh gets like any other.  So each hop has the same host-key checks, logins and time-outs as the host itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import (
    LibsshChannelException,
    LibsshConnectionError,
    LibsshException,
    LibsshSessionException,
    LibsshSessionTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .session import Session

_PIECE = 1 << 18
_HOP = r"(?:ssh://)?(?:(?P<user>.+)@)?(?:\[(?P<bracketed>[^\]]+)\]|(?P<host>[^:@\[\]]+))(?::(?P<port>\d+))?/?"

# What holds for each hop, too, unless it is said there; the rest, such as the password, is for the host alone.
INHERITED = (
    "address_family", "agent", "auth_timeout", "bind_address", "certificate", "certificate_file", "config_file", "connection_attempts", "global_knownhosts",
    "hash_known_hosts", "host_key_checking", "identities", "identities_only", "kbdint_callback", "knownhosts", "log_verbosity",
    "look_for_keys", "nodelay", "pkcs11_pins", "private_key", "private_key_password", "proxy_jump_logins", "revoked_host_keys",
    "server_alive_count_max", "server_alive_interval", "ssh_dir", "timeout", "timeout_usec",
)  # fmt: skip
_KEYS = ("identities", "private_key", "private_key_password", "certificate", "certificate_file")


def hops(value: Any) -> list[dict[str, Any]]:
    """Return the hops of a ``proxy_jump``, first to last, each as keywords of ``Session.connect``.

    It is ``[user@]host[:port],...`` as for ``ssh -J``, or a list of such and of mappings with keywords; "none" is no hop.
    """
    given = value.split(",") if isinstance(value, str) else [value] if isinstance(value, Mapping) else list(value)
    found = [dict(hop) if isinstance(hop, Mapping) else _parsed(hop) for hop in given if hop not in ("", "none")]
    for hop in found:
        if not hop.get("host"):
            raise LibsshSessionException("proxy_jump: a hop has no host")
    return found


def keywords(way: list[dict[str, Any]], explicit: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to connect the last hop of *way* with: its own settings, then those of the host that count for hops."""
    last = way[-1]
    own_keys = any(name in last for name in _KEYS)
    inherited = {name: explicit[name] for name in INHERITED if name in explicit and not (own_keys and name in _KEYS)}
    before = {"proxy_jump": way[:-1]} if way[:-1] else {}
    return {**inherited, **before, **last}


def way(settings: Mapping[str, Any], explicit: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what to connect the last hop of the settings' ProxyJump with, None if there is no hop."""
    found = hops(settings.get("proxy_jump") or ())
    if not found or "fd" in settings:
        return None
    itself = found[-1]["host"] == settings.get("original_host") and found[-1].get("port") in (None, explicit.get("port"))
    if itself and "proxy_jump" not in explicit:
        return None  # "Host *" in ssh_config names this host as the way to all
    return keywords(found, explicit)


def name(hop: Mapping[str, Any]) -> str:
    """Return a hop as people write it."""
    host = f"[{hop['host']}]" if ":" in str(hop["host"]) else hop["host"]
    return f"{hop['user'] + '@' if hop.get('user') else ''}{host}:{hop.get('port') or 22}"


def name_hop(error: LibsshException, hop: Mapping[str, Any]) -> None:
    """Say in an error at which hop it was, unless it says so: it may have come a long way, and to several sessions at once."""
    if "the jump host " not in error.message:
        error.message = f"at the jump host {name(hop)}: {error.message}"


def _parsed(text: str) -> dict[str, Any]:
    match = re.fullmatch(_HOP, text.strip())
    if not match:
        raise LibsshSessionException(f"proxy_jump: {text!r} is not [user@]host[:port]")
    found = {"host": match["host"] or match["bracketed"], "user": match["user"], "port": match["port"] and int(match["port"])}
    return {name: value for name, value in found.items() if value}


class Jump:
    """A connection from the last hop to a host, as the socket `end`.

    It ends with `close`, or by itself when either side does; *give_back* is called then, once.
    """

    def __init__(self, hop: Session, give_back: Callable[[], None], host: str, port: int, deadline: float | None) -> None:
        self._owner = os.getpid()
        self._hop = hop
        self._give_back = give_back
        self._lock = threading.Lock()
        self._running = 2
        self._where = f"{hop.get_ssh_options('host')} port {hop.port}"
        try:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._channel = hop.open_forward(host, port, left)
        except BaseException as exc:
            give_back()
            if isinstance(exc, LibsshChannelException):
                raise self._refused(exc) from exc
            raise
        self.end, self._near = socket.socketpair()
        self.end.setblocking(False)
        self._threads = [
            threading.Thread(target=self._run, args=(carry,), name="ssh-jump", daemon=True)
            for carry in (self._there, self._back)
        ]
        for thread in self._threads:
            thread.start()

    def _refused(self, exc: LibsshChannelException) -> LibsshSessionException:
        """Return a refusal of the hop's as the failed connection that it is to the session."""
        kind = LibsshSessionTimeout if isinstance(exc, TimeoutError) else LibsshConnectionError
        hint = " (does its AllowTcpForwarding let us?)" if "error (1)" in str(exc) else ""  # administratively prohibited
        return kind(f"ssh connect failed: through the jump host {self._where}: {exc}{hint}")

    def _there(self) -> None:
        while data := self._near.recv(_PIECE):
            self._channel.write(data, None)
        self._channel.send_eof()

    def _back(self) -> None:
        while True:
            self._channel.wait_readable(0, None)
            data = self._channel.take(_PIECE, False)
            if not data:
                break
            self._near.sendall(data)

    def _run(self, carry: Callable[[], None]) -> None:
        """Carry one way until that ends; the other way ends with it when nothing can come back."""
        with contextlib.suppress(LibsshException, OSError):
            carry()
        with contextlib.suppress(OSError):
            self._near.shutdown(socket.SHUT_WR if carry == self._back else socket.SHUT_RD)
        if carry == self._there:
            self._channel.close()  # who asked for the connection has gone
        with self._lock:
            self._running -= 1
            last = self._running == 0
        if last:
            self._near.close()
            self._give_back()

    def failure(self) -> str | None:
        """Return what became of the last hop, None if it stands."""
        return None if self._hop.is_connected else f"the connection to the jump host {self._where} is lost"

    def close(self, grace: float = 1.0) -> None:
        """End the connection, once what was sent is on its way, and at the latest after *grace* seconds."""
        if os.getpid() != self._owner:  # a forked child has no say in its parent's connections
            return
        self._threads[0].join(grace)
        with contextlib.suppress(OSError):
            self._near.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(LibsshChannelException):
            self._channel.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(grace)
