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


def test_a_dead_line_is_found_in_interval_times_count(sshd, relay):
    """A command whose server vanished fails after interval × (count + 1), not never."""
    far, link = relay(sshd)
    with connect(far, **LIMITS) as session:
        threading.Timer(0.2, link.black_hole).start()
        start = time.monotonic()
        with pytest.raises(ConnectionError, match="does not answer keepalives") as caught:
            session.exec_command("sleep 60")
        assert isinstance(caught.value, LibsshChannelException)
        assert 1.4 < time.monotonic() - start < 3.5
        assert not session.is_connected


def test_a_quiet_command_is_left_alone(sshd, relay):
    """A server that answers keepalives keeps its connection, however long the command says nothing."""
    far, _ = relay(sshd)
    with connect(far, **LIMITS) as session:
        assert session.exec_command("sleep 2.5; echo done").stdout == b"done\n"


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
