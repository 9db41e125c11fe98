# SPDX-License-Identifier: LGPL-2.1-or-later
"""A peer that is gone without a word, and one that is only quiet."""

from __future__ import annotations

import threading
import time

import pytest

from pylibsshext.errors import LibsshChannelException
from pylibsshext.session import Session

LIMITS = {"server_alive_interval": 0.5, "server_alive_count_max": 2}


def connect(host, **options):
    session = Session()
    session.connect(
        host=host.address,
        port=host.port,
        user=host.user,
        private_key=host.key.read_bytes(),
        look_for_keys=False,
        host_key_checking=False,
        config_file="none",
        **options,
    )
    return session


@pytest.mark.parametrize(("interval", "count"), [(2, 1), (1, 3), (0.5, 4)])
def test_a_dead_line_is_found_in_interval_times_count(netns_host, interval, count):
    """Where packets are lost both ways a command fails after interval × count, ± 10 %, not never; so do idle sessions."""
    host = netns_host()
    about = {"server_alive_interval": interval, "server_alive_count_max": count}
    with connect(host, **about) as session, connect(host, **about) as idle, session.new_channel() as channel:
        channel.request_exec("echo started; sleep 60")
        assert channel.read(8) == b"started\n"
        assert idle.exec_command("true").returncode == 0
        start = time.monotonic()
        host.unplug()
        with pytest.raises(ConnectionError, match="does not answer keepalives") as caught:
            channel.read(1)
        took = time.monotonic() - start
        assert 0.9 * interval * count < took < 1.1 * interval * count + 0.1
        assert isinstance(caught.value, LibsshChannelException)
        assert not session.is_connected
        while idle.is_connected:
            time.sleep(0.01)
        assert time.monotonic() - start < 1.1 * interval * count + 0.2


def test_a_dead_line_behind_a_relay(sshd, relay):
    """The same, where the kernel takes what is sent: somebody in between acknowledges it."""
    far, link = relay(sshd)
    with connect(far, **LIMITS) as session:
        threading.Timer(0.2, link.black_hole).start()
        start = time.monotonic()
        with pytest.raises(ConnectionError, match="does not answer keepalives"):
            session.exec_command("sleep 60")
        assert 0.9 < time.monotonic() - start < 2.5


def test_a_quiet_command_is_left_alone(sshd, relay):
    """A server that answers keepalives keeps its connection, however long the command says nothing."""
    far, _ = relay(sshd)
    with connect(far, **LIMITS) as session:
        assert session.exec_command("sleep 2.5; echo done").stdout == b"done\n"


@pytest.mark.parametrize("count", [3, 0, -1, 2**31 - 1])
def test_intervals_that_never_end(session, count):
    """An interval that is none, or that nobody lives to see the end of, gives no connection up."""
    for interval in (float("inf"), float("nan"), 1e300, 1e18, -1):
        session._core.set_keepalive(interval, count)
        assert session.is_connected
        assert session.exec_command("echo on").stdout == b"on\n"


def test_no_keepalive_without_an_interval(sshd, relay):
    """By default silence on the line is nobody's business."""
    far, link = relay(sshd)
    with connect(far) as session:
        before = link.stats()["up"]
        with session.open_session() as channel:
            channel.request_exec("sleep 1")
            started = link.stats()["up"]
            channel.wait()
            assert started > before
            assert link.stats()["up"] - started < 200
