# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's links are as slow, lossy and dead as they say."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab import Host, Relay, Wan
from tests.lab.fixtures import NewHost
from tests.lab.openssh import ssh


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """A server that first says hello; then it gives bytes back, or after an "s" counts them until the end and says how many."""

    def serve(connection: socket.socket) -> None:
        buffer = bytearray(1 << 20)
        count = 0
        with connection:
            connection.sendall(b"hello")
            mode = connection.recv(1)
            if mode == b"s":
                while size := connection.recv_into(buffer):
                    count += size
                connection.sendall(b"%d" % count)
                return
            while mode:
                connection.sendall(mode)
                mode = connection.recv(65536)

    def listen() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=guarded, args=(connection,), daemon=True).start()

    def guarded(connection: socket.socket) -> None:
        try:
            serve(connection)
        except OSError:
            return  # the test has cut it

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=listen)
        thread.start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def connect(link: Relay) -> socket.socket:
    """A connection through the relay that has been greeted."""
    connection = socket.create_connection((link.address, link.port), 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        assert connection.recv(5) == b"hello"
    except BaseException:
        connection.close()
        raise
    return connection


def round_trip(connection: socket.socket, data: bytes = b"x") -> float:
    """The seconds until a byte has come back."""
    start = time.perf_counter()
    connection.sendall(data)
    while data:
        data = data[len(connection.recv(len(data))) :]
    return time.perf_counter() - start


@pytest.mark.parametrize("rtt", [0.0, 0.005, 0.05])
def test_relay_delays(server: tuple[str, int], rtt: float) -> None:
    """Bytes take the time that they were told to."""
    with Relay(server, rtt=rtt) as link, connect(link) as connection:
        times = sorted(round_trip(connection) for _ in range(15))
    assert rtt <= times[0]
    assert times[7] < rtt + 0.005


def test_relay_throughput(server: tuple[str, int]) -> None:
    """Over a delayed relay pass 250 MB/s and more, unchanged in number; twice as many with a core of its own."""
    blob = bytes(1 << 20)
    with Relay(server, rtt=0.05) as link, connect(link) as connection:
        connection.sendall(b"s")
        start = time.perf_counter()
        for _ in range(1000):
            connection.sendall(blob)
        connection.shutdown(socket.SHUT_WR)
        assert int(connection.recv(100)) == 1000 << 20
        seconds = time.perf_counter() - start
        assert link.stats()["up"] == (1000 << 20) + 1
    assert (1000 << 20) / seconds > 250e6


def test_relay_rate_and_chunks(server: tuple[str, int]) -> None:
    """The rate can be limited, and the size of what comes at once."""
    with Relay(server, rate=1e6) as link, connect(link) as connection:
        assert 0.4 < round_trip(connection, b"x" * 400_000) < 1.2
        link.set(rate=0, chunk=3)
        connection.sendall(b"y" * 100)
        assert len(connection.recv(1000)) <= 100
        assert link.stats()["open"] == 1


def test_relay_cut_and_hang_up(server: tuple[str, int]) -> None:
    """Connections can be reset or ended, at once or after some bytes; then new ones are served."""
    with Relay(server) as link:
        with connect(link) as connection:
            link.cut()
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with connect(link) as connection:
            link.hang_up()
            assert connection.recv(1) == b""
        with connect(link) as connection:
            link.set(cut_after=1000)
            with pytest.raises(ConnectionError):
                round_trip(connection, b"z" * 10_000)
        with connect(link) as connection:
            assert round_trip(connection) < 1
        assert link.stats()["made"] == 4


def test_relay_freezes(server: tuple[str, int]) -> None:
    """A frozen relay moves nothing, and loses nothing."""
    with Relay(server) as link, connect(link) as connection:
        link.freeze()
        connection.sendall(b"x")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        link.thaw()
        connection.settimeout(5)
        assert connection.recv(1) == b"x"


def test_relay_black_hole(server: tuple[str, int]) -> None:
    """A black hole takes everything and gives nothing; the connection stays."""
    with Relay(server) as link, connect(link) as connection:
        link.black_hole()
        connection.sendall(b"x" * 1_000_000)
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_relay_to_nobody() -> None:
    """Where nobody listens behind the relay the client is cut off."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Relay(unused.getsockname()) as link, pytest.raises(ConnectionResetError):
            connect(link)


def test_ssh_over_a_relay(sshd: Host, relay: Callable[..., tuple[Host, Relay]]) -> None:
    """The fixture gives the host as it is seen through the relay, and its keys are known there."""
    far, _ = relay(sshd, rtt=0.05)
    start = time.monotonic()
    assert ssh(far, "echo far").stdout == "far\n"
    assert time.monotonic() - start > 0.3


def test_wan_is_slow(netns_host: NewHost, wan: Callable[..., tuple[Host, Wan]]) -> None:
    """The kernel's TCP takes the time of the line, and SSH works over it even when it loses and reorders packets."""
    far, link = wan(netns_host(), rtt=0.02)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        socket.create_connection((far.address, far.port), 5).close()
        times.append(time.perf_counter() - start)
    assert 0.0195 < sorted(times)[1] < 0.04
    link.set(loss=0.03, jitter=0.005)
    assert ssh(far, "head -c 300000 /dev/zero | tr '\\0' x", timeout=60).stdout == "x" * 300_000
    assert link.stats()["lost"] > 0


def test_wan_is_dead(netns_host: NewHost, wan: Callable[..., tuple[Host, Wan]]) -> None:
    """On a dead line a connection is neither made nor refused."""
    far, link = wan(netns_host())
    link.down()
    with pytest.raises(TimeoutError):
        socket.create_connection((far.address, far.port), 2)
    link.up()
    assert ssh(far, "echo up").stdout == "up\n"
