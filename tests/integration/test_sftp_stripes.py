# SPDX-License-Identifier: LGPL-2.1-or-later
"""Large files over long lines: several channels of a session, one right file."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack

import pytest

from pylibsshext._sftp.stripes import Stripes, under_way
from pylibsshext.sftp import SFTPConnectionError, SFTPError

from .sftp_pipe import connect

SIZE = 24_000_000 + 1


@pytest.fixture
def source(tmp_path):
    """A large file."""
    (tmp_path / "source").write_bytes(os.urandom(SIZE))
    return tmp_path / "source"


@pytest.fixture
def channels(monkeypatch):
    """How many channels each large file was moved over."""
    seen = []
    wanted = Stripes.wanted
    monkeypatch.setattr(Stripes, "wanted", lambda *given: seen.append(wanted(*given)) or seen[-1])
    return seen


@pytest.fixture(autouse=True)
def no_thread_left():
    """Every thread that a transfer starts ends with it; what other tests left running is not ours."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture(params=["put", "get"])
def direction(request):
    """Both ways."""
    return request.param


def names(directory):
    """What is in a directory, hidden files too."""
    return sorted(os.listdir(directory))


def test_long_line(sshd, relay, source, tmp_path, channels, direction):
    """On a long line a large file goes over several channels, which serve for the next one too, and arrives as it was."""
    far, _ = relay(sshd, rtt=0.03)
    seen = []
    with connect(far) as session, session.sftp() as sftp:
        for _ in range(2):
            getattr(sftp, direction)(source, tmp_path / "target", progress=lambda *now: seen.append(now))
            assert (tmp_path / "target").read_bytes() == source.read_bytes()
        assert len(sftp._stripes._spare) <= channels[0] - 1
    assert min(channels) > 1
    assert [done for done, _, _ in seen].count(SIZE) == 2
    assert names(tmp_path) == ["source", "target"]


def test_short_line(sshd, source, tmp_path, channels, direction):
    """On a short line there is one channel."""
    with connect(sshd) as session, session.sftp() as sftp:
        sftp._client.round_trip = 0.004  # the shortest counts: a busy machine's would be that of a long line
        getattr(sftp, direction)(source, tmp_path / "target")
        assert not sftp._stripes._spare
    assert channels == [1]
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_many_at_once_take_one_channel_each(sshd, relay, source, tmp_path, channels, direction):
    """While many transfers of the process are under way, to whatever hosts, each has one channel: a busy machine's line looks long."""
    far, _ = relay(sshd, rtt=0.03)
    with connect(far) as session, session.sftp() as sftp:
        with ExitStack() as others:
            for _ in range(10):
                others.enter_context(under_way())
            getattr(sftp, direction)(source, tmp_path / "target")
        assert not sftp._stripes._spare
        getattr(sftp, direction)(source, tmp_path / "target")
    assert (channels[0], channels[1] > 1) == (1, True)
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_server_that_allows_few_channels(new_sshd, relay, source, tmp_path, channels, direction):
    """Where the server allows two channels, there are two."""
    far, _ = relay(new_sshd(sshd_config="MaxSessions 2"), rtt=0.03)
    with connect(far) as session, session.sftp() as sftp:
        getattr(sftp, direction)(source, tmp_path / "target")
        assert len(sftp._stripes._spare) <= 1
    assert channels[0] > 2
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_cut(sshd, relay, source, tmp_path, direction):
    """A connection that breaks under all channels is one error with file and byte; the old file stays, no thread does."""
    (tmp_path / "target").write_bytes(b"old")
    far, link = relay(sshd, rtt=0.03)
    with connect(far) as session:
        sftp = session.sftp()

        def cut(done, _total, _name):
            if done > 8_000_000:
                link.cut()

        with pytest.raises(SFTPConnectionError, match=r"at byte \d+"):
            getattr(sftp, direction)(source, tmp_path / "target", progress=cut)
        sftp.close()
    assert (tmp_path / "target").read_bytes() == b"old"


def test_shrinking(sshd, relay, source, tmp_path, direction):
    """A file that becomes shorter meanwhile is an error, and nothing is left."""
    far, _ = relay(sshd, rtt=0.03)

    os.truncate(source, 3 * SIZE)  # more than is under way at a time

    def cut(done, _total, _name):
        if done > 8_000_000:
            os.truncate(source, 12_000_000)

    with connect(far) as session, session.sftp() as sftp:
        with pytest.raises(SFTPError, match="became shorter"):
            getattr(sftp, direction)(source, tmp_path / "target", progress=cut)
        assert sftp.listdir(tmp_path) == ["source"]


def test_growing(sshd, relay, source, tmp_path, direction):
    """What a file grows by meanwhile is copied too."""
    far, _ = relay(sshd, rtt=0.03)
    grown = []

    def grow(done, _total, _name):
        if done > 8_000_000 and not grown:
            grown.append(True)
            with open(source, "ab") as file:
                file.write(b"more" * 1000)

    with connect(far) as session, session.sftp() as sftp:
        getattr(sftp, direction)(source, tmp_path / "target", progress=grow)
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_failure_in_another_thread(sshd, relay, source, tmp_path, direction):
    """A callback that raises in whatever thread ends the transfer; the exception comes out, and nothing is left."""
    far, _ = relay(sshd, rtt=0.03)

    def stop(done, _total, _name):
        if done > 8_000_000 and threading.current_thread() is not threading.main_thread():
            raise RuntimeError("enough")

    with connect(far) as session, session.sftp() as sftp:
        with pytest.raises(RuntimeError, match="enough"):
            getattr(sftp, direction)(source, tmp_path / "target", progress=stop)
        assert sftp.listdir(tmp_path) == ["source"]


def test_interrupt(sshd, relay, source, tmp_path, direction):
    """Ctrl-C ends all channels at once; the object goes on working."""
    far, link = relay(sshd, rtt=0.03, rate=5e6)
    armed = []

    def arm(done, _total, _name):
        if done > 2_000_000 and not armed:
            armed.append(True)
            signal.setitimer(signal.ITIMER_REAL, 0.05)

    with connect(far) as session, session.sftp() as sftp:
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        start = time.monotonic()
        try:
            with pytest.raises(KeyboardInterrupt):
                getattr(sftp, direction)(source, tmp_path / "target", progress=arm)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert time.monotonic() - start < 4.5
        link.set(rate=0, rtt=0)
        deadline = time.monotonic() + 5
        while names(tmp_path) != ["source"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert names(tmp_path) == ["source"]
        assert sftp.listdir(tmp_path) == ["source"]
