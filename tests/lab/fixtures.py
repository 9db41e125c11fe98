# SPDX-License-Identifier: LGPL-2.1-or-later
"""pytest fixtures of the lab.

sshd                        the shared default host, on loopback: use it wherever no other is needed
new_sshd(**options)         a loopback host of your own, removed after the test; see `Options`
container_host(**options)   a podman container of your own: files, processes and users apart from this machine's
netns_host(**options)       the same made of namespaces, with an address of its own: quicker, and its link can be bad
other_server(name, ...)     dropbear, tinysshd or another release of OpenSSH (openssh-8.4, openssh-10.0) on loopback
bad_server(**behaviour)     a server that misbehaves as you say; see `Behaviour`, and for its commands `bad_commands`
known_hosts                 a file of your own that knows `sshd`
relay(host, **settings)     (far, link): *far* is the host as seen through a slow or broken TCP relay; see `Relay`
wan(host, **settings)       (far, link): *far* is the netns host as seen through a line that loses packets; see `Wan`
proxy_server(kind, ...)     a SOCKS 5 or HTTP proxy, or a Unix socket that leads to a server; see `ProxyServer`
dead_address                (address, port) where a connection is never made, nor refused
lab                         the lab itself: `lab.new(backend, **options)` if you need more

In a test that can't go on without something absent call `missing(what)`.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest

from . import bad
from .bad import BadHost
from .hosts import Host
from .lab import Lab
from .links import Relay, Wan
from .machines import free_network
from .netns import NetnsHost
from .proxy import ProxyServer


class NewHost(Protocol):
    """Makes hosts that live until the test ends."""

    def __call__(self, **options: Any) -> Host: ...


def missing(what: str) -> NoReturn:
    """Give a test up that needs something absent: in CI that is a failure, elsewhere the test is skipped."""
    if os.environ.get("CI"):
        pytest.fail(f"missing in CI: {what}")
    pytest.skip(f"missing: {what}")


def new_hosts(lab: Lab, backend: str, **defaults: Any) -> Iterator[NewHost]:
    """The working of all fixtures that make hosts: they are removed when the test has ended."""
    made: list[Host] = []

    def new(**options: Any) -> Host:
        wanted = {**defaults, **options}
        problem = lab.unusable(backend, wanted.get("server", "openssh"))
        if problem:
            missing(f"{backend} host: {problem}")
        made.append(lab.new(backend, **wanted))
        return made[-1]

    yield new
    for host in made:
        host.remove()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab of this test run."""
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="session")
def sshd(lab: Lab) -> Iterator[Host]:
    """One OpenSSH server on loopback for all tests; they must leave it as they found it."""
    for new in new_hosts(lab, "loopback"):
        yield new()


@pytest.fixture
def new_sshd(lab: Lab) -> Iterator[NewHost]:
    """Make OpenSSH servers on loopback with options of your own."""
    yield from new_hosts(lab, "loopback")


@pytest.fixture
def container_host(lab: Lab) -> Iterator[NewHost]:
    """Make podman containers with options of your own."""
    yield from new_hosts(lab, "podman")


@pytest.fixture
def netns_host(lab: Lab) -> Iterator[NewHost]:
    """Make hosts with a network address of their own."""
    yield from new_hosts(lab, "netns")


@pytest.fixture
def other_server(lab: Lab) -> Iterator[Callable[..., Host]]:
    """Make hosts on loopback whose server is not this machine's OpenSSH: `other_server("dropbear")`."""
    for new in new_hosts(lab, "loopback"):

        def new_server(server: str, new: NewHost = new, **options: Any) -> Host:
            return new(server=server, **options)

        yield new_server


@pytest.fixture
def bad_server(lab: Lab) -> Iterator[Callable[..., BadHost]]:
    """Make servers that misbehave."""
    made: list[BadHost] = []

    def new(**behaviour: Any) -> BadHost:
        problem = bad.unusable()
        if problem:
            missing(f"misbehaving server: {problem}")
        made.append(lab.new_bad(**behaviour))
        return made[-1]

    yield new
    for host in made:
        host.remove()


@pytest.fixture
def relay() -> Iterator[Callable[..., tuple[Host, Relay]]]:
    """Put TCP relays before hosts."""
    with contextlib.ExitStack() as stack:

        def new(host: Host, **settings: float) -> tuple[Host, Relay]:
            link = stack.enter_context(Relay((host.address, host.port), **settings))
            return host.at(link.address, link.port), link

        yield new


@pytest.fixture
def wan() -> Iterator[Callable[..., tuple[Host, Wan]]]:
    """Lay bad lines to hosts that `netns_host` has made."""
    with contextlib.ExitStack() as stack:

        def new(host: NetnsHost, **settings: float) -> tuple[Host, Wan]:
            link = stack.enter_context(Wan(host.netns, free_network("198.19"), **settings))
            return host.at(link.address, host.port), link

        yield new


@pytest.fixture
def proxy_server() -> Iterator[Callable[..., ProxyServer]]:
    """Make proxies that end with the test."""
    made: list[ProxyServer] = []

    def new(kind: str, **about: Any) -> ProxyServer:
        made.append(ProxyServer(kind, **about))
        return made[-1]

    yield new
    for proxy in made:
        proxy.stop()


@pytest.fixture
def dead_address() -> Iterator[tuple[str, int]]:
    """An address where a connection is never made, nor refused: a listener whose queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address: tuple[str, int] = listener.getsockname()
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield address


@pytest.fixture
def known_hosts(sshd: Host, tmp_path: Path) -> Path:
    """A known_hosts file that knows the shared host, free to be changed."""
    path = tmp_path / "known_hosts"
    path.write_text(sshd.known_hosts)
    return path
