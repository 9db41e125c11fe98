# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examination: one connection, watched on its way."""

from __future__ import annotations

import platform
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import _core, jump, proxies, settings, transport
from .._version import __version__
from ..errors import LibsshException
from ..session import Session
from . import inventory
from .report import Report
from .tap import Tap

if TYPE_CHECKING:
    from ..session import Hop


def examine(**keywords: Any) -> Report:
    """Connect as ``Session.connect(**keywords)`` does, and report how that went; nothing is changed here or there."""
    from .steps import findings

    with Watched(keywords) as session:
        error = None
        try:
            session.connect(**keywords)
        except LibsshException as exc:
            error = exc
            if session.tap is not None:
                session.tap.settle()
        versions = {"pylibsshext": __version__, "libssh": _core.LIBSSH_VERSION, "Python": platform.python_version()}
        return Report(session.target, versions, findings(session, error), inventory.variables(keywords))


class Visitor(Session):
    """A session that leaves nothing behind."""

    def hostkey_auto_add(self, username: str | None = None) -> None:
        """Leave it at that: to look is not to trust."""

    def _new_hop(self) -> Session:
        return Visitor()


class Watched(Visitor):
    """A session that takes notes on its way; what it has not noted has not been reached."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__()
        self.given = given
        self.tap: Tap | None = None
        self.files: list[str] | None = None
        self.settings: Mapping[str, Any] = {}
        """What the keywords and the files come to."""
        self.way = ""
        """What is between here and the host, "" for nothing."""
        self.addresses: list[str] | None = None
        self.took: dict[str, float] = {}
        self.peer = ""
        self.host_key: tuple[str, bytes] | None = None
        self.refused = False
        """Whether the host key was looked at and not trusted."""
        self.trusted = ""

    def _configure(self, given: Mapping[str, Any]) -> None:
        super()._configure(given)
        self.files, self.settings = settings.config_files(given), given
        self.way = _way(given)

    def _socket(self, given: Mapping[str, Any], deadline: float, hop: Hop | None = None) -> socket.socket:
        if not self.way:
            began = time.monotonic()
            found = transport.resolve(self.get_ssh_options("host"), self.port or 22, transport.address_family(given), deadline)
            self.addresses = [address[0] for _, address in found]
            self.took["name"] = time.monotonic() - began
        if self.tap is not None:
            self.tap.close()  # the attempt before this one failed
            self.tap = None
        began = time.monotonic()
        sock = super()._socket(given, deadline, hop)
        self.took["connection"] = time.monotonic() - began
        self.peer = _name_of_peer(sock)
        self.tap = Tap(sock)
        return self.tap.end

    def _establish(self, given: Mapping[str, Any], way: dict[str, Any] | None) -> None:
        began = time.monotonic()
        super()._establish(given, way)
        self.took["algorithms"] = time.monotonic() - began
        self.host_key = self._server_key()

    def _check_host_key(self) -> None:
        try:
            super()._check_host_key()
        except LibsshException:
            self.refused = True
            raise
        if self._trust is not None and self._trust.checks:
            self.trusted = self._trust.verdict(*self._server_key(), self._verifies).text

    @property
    def sent(self) -> bytes:
        """How our side of the connection began."""
        return self.tap.sent if self.tap is not None else b""

    @property
    def received(self) -> bytes:
        """How the server's side of the connection began."""
        return self.tap.received if self.tap is not None else b""

    @property
    def target(self) -> str:
        """Who is to be reached, and where."""
        user, host = self.get_ssh_options("user"), self.get_ssh_options("host") or "the given socket"
        return f"{user + '@' if user else ''}{f'[{host}]' if ':' in host else host}:{self.port}"

    def close(self) -> None:
        super().close()
        if self.tap is not None:
            self.tap.close()


def _way(given: Mapping[str, Any]) -> str:
    """Say by what settings take another way than straight to the host; no secret is part of it."""
    if "fd" in given:
        return "the given socket"
    hops = [jump.name(hop) for hop in jump.hops(given.get("proxy_jump") or ())]
    if hops:
        return f"the jump host{'s' * (len(hops) > 1)} {', '.join(hops)}"
    if given.get("unix_socket"):
        return f"the Unix socket {given['unix_socket']}"
    if given.get("proxycommand", "none") != "none":
        return f"the ProxyCommand {given['proxycommand']!r}"
    if not given.get("proxy"):
        return ""
    try:
        return f"the proxy {proxies.Proxy.parse(given['proxy'])}"
    except ValueError:
        return "the proxy"  # what is wrong with it comes out when it is used


def _name_of_peer(sock: socket.socket) -> str:
    """Return the address at the other end, "" where that is no network's."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return ""
    try:
        host, port = sock.getpeername()[:2]
    except OSError:
        return ""  # it is gone already
    return f"{host} port {port}"
