# SPDX-License-Identifier: LGPL-2.1-or-later
"""Channels as streams: reading, writing, waiting, subsystems, signals and ends."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time

import pytest

from pylibsshext.errors import (
    LibsshChannelConnectionError,
    LibsshChannelException,
    LibsshChannelReadFailure,
    LibsshChannelTimeout,
)


@pytest.fixture
def started(session):
    """Start a command on a new channel."""

    def start(command):
        channel = session.open_session()
        channel.request_exec(command)
        return channel

    return start


def test_read_waits_for_data(started, soon):
    """read() waits until there is something, and returns b"" at the end of the stream, again and again."""
    channel = started("sleep 0.5; echo late")
    with soon(0.5):
        assert channel.read() == b"late\n"
    assert [channel.read(), channel.read()] == [b"", b""]


def test_read_stdout_and_stderr_apart(started):
    """Each stream is read by itself, in any order."""
    channel = started("echo out; echo err >&2")
    assert channel.read_stderr() == b"err\n"
    assert channel.read_stdout() == b"out\n"
    assert channel.read(stderr=True) == b""


def test_no_terminal(new_sshd, relay, connect):
    """A server that gives no pseudo-terminal refuses, or ends the connection (OpenSSH without /dev/pts): both are told of as that."""
    host = new_sshd(sshd_config="PermitTTY no")
    session = connect(host)
    for ask in (session.invoke_shell, lambda: session.exec_command("id", pty=True)):
        with pytest.raises(LibsshChannelException, match="failed.*: the server gives no pseudo-terminal .PermitTTY"):
            ask()
    assert session.exec_command("echo on").stdout == b"on\n"
    far, link = relay(host)
    channel = connect(far).new_channel()
    link.cut()
    with pytest.raises(LibsshChannelConnectionError, match="request_pty failed: .*; .*is /dev/pts mounted there"):
        channel.request_pty()


def test_read_size(started):
    """No more than asked for comes; the rest waits."""
    channel = started("printf 0123456789")
    assert channel.wait(20) == 0
    assert [channel.read(4), channel.read(4), channel.read(4), channel.read(4)] == [b"0123", b"4567", b"89", b""]


def test_read_timeout(started, soon):
    """A read gives up on time, and the channel stays usable."""
    channel = started("sleep 1; echo after")
    with soon(0.3), pytest.raises(LibsshChannelTimeout):
        channel.read(timeout=0.3)
    assert channel.read(timeout=20) == b"after\n"


@pytest.mark.parametrize("timeout", [float("nan"), "1", [], b"1"])
def test_timeouts_that_are_none(started, timeout):
    """A time-out that is no number is refused, instead of waiting for ever."""
    with pytest.raises((TypeError, ValueError)):
        started("sleep 5").read(timeout=timeout)


def test_timeout_zero(started, soon):
    """A time-out of 0 looks once."""
    channel = started("sleep 5")
    with soon(0.0), pytest.raises(LibsshChannelTimeout):
        channel.read(timeout=0)


def test_iteration(started):
    """Iterating yields the output in pieces, as it comes, to its end."""
    pieces, moments = [], []
    for piece in started("for i in 1 2 3; do echo $i; sleep 0.2; done"):
        pieces.append(piece)
        moments.append(time.monotonic())
    assert b"".join(pieces) == b"1\n2\n3\n"
    assert moments[-1] - moments[0] > 0.3


def test_write_then_read(started):
    """write() sends all of the data and says how much that is."""
    channel = started("cat")
    assert channel.write(b"hello") == 5
    assert channel.sendall(b" world") == 6
    channel.send_eof()
    assert b"".join(channel) == b"hello world"


@pytest.mark.parametrize("data", ["text", None, 5, ["list"]])
def test_write_of_what_is_not_bytes(started, data):
    """Text is refused with a word on how to send it; 1.4.0 aborted the interpreter."""
    channel = started("cat")
    with pytest.raises(TypeError):
        channel.write(data)
    assert channel.write(b"fine") == 4


@pytest.mark.parametrize("data", [b"", bytearray(b"a\0b"), memoryview(b"xyz")[1:]])
def test_write_of_buffers(started, data):
    """Any contiguous buffer can be written, an empty one too."""
    channel = started("cat")
    assert channel.write(data) == len(data)
    channel.send_eof()
    assert b"".join(channel) == bytes(data)


def test_write_of_items_that_are_wider(started):
    """The length is counted in bytes, whatever the items of the buffer are."""
    channel = started("cat")
    assert channel.write(memoryview(bytearray(16)).cast("I")) == 16


def test_write_waits_for_the_reader(started, soon):
    """Writing stops where the remote process does not read, and gives up on time."""
    channel = started("sleep 20")
    with soon(0.4), pytest.raises(LibsshChannelTimeout):
        channel.write(b"x" * 20_000_000, timeout=0.4)


def test_with_block(session):
    """A with block closes the channel."""
    with session.open_session() as channel:
        channel.request_exec("echo in")
        assert channel.read() == b"in\n"
    with pytest.raises(LibsshChannelException, match="closed"):
        channel.request_exec("true")


def test_after_close(started):
    """After close() everything raises but close() and send_eof(), which are harmless."""
    channel = started("cat")
    channel.close()
    channel.close()
    channel.send_eof()
    for call in (
        lambda: channel.write(b"x"),
        lambda: channel.read(),
        lambda: channel.poll(),
        lambda: channel.request_shell(),
        lambda: channel.request_pty_size("xterm", 80, 24),
        lambda: channel.send_signal(signal.SIGTERM),
    ):
        with pytest.raises(LibsshChannelException, match="closed"):
            call()


def test_after_the_sessions_close(sshd, connect):
    """The same when the session is closed before the channel; what had been received can still be read."""
    session = connect(sshd)
    channel = session.new_channel()
    channel.request_exec("echo kept; sleep 9")
    assert channel.readable(20)
    session.close()
    assert channel.read() == b"kept\n"
    for call in (channel.read, channel.poll, lambda: channel.write(b"x")):
        with pytest.raises(LibsshChannelException, match="closed"):
            call()
    channel.close()


def test_without_login(sshd):
    """A channel of a session that is not connected raises what says so, not MemoryError as in 1.4.0."""
    from pylibsshext.session import Session

    session = Session(sshd.address)
    with pytest.raises(LibsshChannelException, match="not connected"):
        session.new_channel()


def test_wait_and_returncode(started):
    """The exit status is None before the end, and there after wait()."""
    channel = started("sleep 0.2; exit 5")
    assert channel.returncode is None
    assert channel.get_channel_exit_status() == -1
    assert channel.wait(20) == 5
    assert (channel.returncode, channel.get_channel_exit_status(), channel.exit_signal) == (5, 5, None)


def test_wait_timeout(started, soon):
    """wait() gives up on time."""
    with soon(0.3), pytest.raises(LibsshChannelTimeout):
        started("sleep 9").wait(0.3)


def test_communicate(started):
    """communicate() sends, ends the input, and gathers both streams; what is asked twice is empty."""
    channel = started("cat; echo err >&2")
    assert channel.communicate(b"data", timeout=20) == (b"data", b"err\n")
    assert channel.wait() == 0


def test_communicate_after_reading(started):
    """What was read before is not in the result, what was buffered is."""
    channel = started("echo one; read x; echo $x")
    assert channel.read(timeout=20) == b"one\n"
    assert channel.communicate(b"two\n", timeout=20) == (b"two\n", b"")


def test_is_eof(started):
    """The end of file is not told before everything is read."""
    channel = started("printf data")
    channel.wait(20)
    assert not channel.is_eof
    assert channel.read(2) == b"da"
    assert not channel.is_eof
    assert channel.read() == b"ta"
    assert channel.is_eof


def test_is_eof_with_more_than_a_buffer(started):
    """The same where so much waits that the window was closed."""
    channel = started("head -c 3000000 /dev/zero")
    time.sleep(1)
    got = 0
    while not channel.is_eof:
        got += len(channel.read(1_000_000, timeout=20))
    assert got == 3_000_000


def test_is_eof_of_a_command_that_is_over(started):
    """The same where the end came while more waited than what is read ahead (1 MiB), but no more than the window (2 MiB)."""
    channel = started("head -c 1500000 /dev/zero")
    assert channel.wait(20) == 0
    got = 0
    while not channel.is_eof:
        got += len(channel.read(1_000_000, timeout=20))
    assert got == 1_500_000


def test_output_outlives_the_connection(new_sshd, connect):
    """Output that came to its end can be read after the connection was lost."""
    host = new_sshd()
    session = connect(host)
    channel = session.open_session()
    channel.request_exec("head -c 1500000 /dev/zero")
    assert channel.wait(20) == 0
    host.kill_connections()
    with pytest.raises(ConnectionError):
        session.exec_command("true")
    assert sum(map(len, channel)) == 1_500_000


def test_signals_reach_the_process(sshd, connect):
    """send_signal() sends what signal.Signals names."""
    session = connect(sshd, user="ansible" if sshd.has_accounts else sshd.user)
    channel = session.new_channel()
    channel.request_exec("trap 'echo caught; exit 3' USR1; echo ready; while :; do sleep 0.05; done")
    assert channel.read(timeout=20) == b"ready\n"
    channel.send_signal(signal.SIGUSR1)
    assert channel.wait(20) == 3
    assert channel.read() == b"caught\n"


def test_exit_signal(started):
    """Death by a signal is told by its name."""
    channel = started("kill -KILL $$")
    assert channel.wait(20) == -1
    assert channel.exit_signal == "KILL"


def test_subsystem(session):
    """A subsystem can be talked to: an SFTP server answers INIT with VERSION."""
    with session.open_session() as channel:
        channel.request_subsystem("sftp")
        channel.write(b"\0\0\0\5\1\0\0\0\3")
        answer = channel.read(timeout=20)
        assert answer[4:9] == b"\2\0\0\0\3"


def test_subsystem_with_10_mb_both_ways(new_sshd, connect, tmp_path):
    """10 MB go through a subsystem both ways at once, as NETCONF needs it, byte by byte the same."""
    session = connect(new_sshd(sshd_config="Subsystem mirror /bin/cat"))
    data = os.urandom(10 << 20)
    with session.open_session() as channel:
        channel.request_subsystem("mirror")
        writer = threading.Thread(target=lambda: (channel.write(data), channel.send_eof()))
        writer.start()
        got = hashlib.sha256()
        for piece in channel:
            got.update(piece)
        writer.join(20)
    assert got.digest() == hashlib.sha256(data).digest()


def test_subsystem_10_mb_by_one_thread(new_sshd, connect):
    """One thread alone may write 10 MB and read them afterwards: communicate() keeps what comes meanwhile."""
    session = connect(new_sshd(sshd_config="Subsystem mirror /bin/cat"))
    data = os.urandom(10 << 20)
    with session.open_session() as channel:
        channel.request_subsystem("mirror")
        assert channel.communicate(data, timeout=60)[0] == data


def test_unknown_subsystem(session):
    """A subsystem that is not there is an error that names it."""
    with session.open_session() as channel, pytest.raises(LibsshChannelException, match="netconf"):
        channel.request_subsystem("netconf")
    assert session.is_connected


def test_two_requests_one_after_the_other(session):
    """A second command on one channel is refused by the server or by us, without harm to the session."""
    channel = session.new_channel()
    channel.request_exec("cat")
    with pytest.raises(LibsshChannelException):
        channel.request_exec("echo second", timeout=5)
    assert session.exec_command("echo fine").stdout == b"fine\n" or not session.is_connected


def test_shell_on_a_terminal(session):
    """request_shell() starts the login shell on a terminal."""
    channel = session.new_channel()
    channel.request_shell()
    channel.write(b"test -t 0 && echo termi'nal'; exit 4\n")
    output = b"".join(channel)
    assert b"terminal" in output
    assert channel.wait(20) == 4


def test_pty_size(session):
    """request_pty_size() makes a terminal of that size with a shell on it; change_pty_size() changes it."""
    channel = session.new_channel()
    channel.request_pty_size("vt220", 132, 43)
    channel.write(b"stty size; echo $TERM; read x; stty size; exit\n")
    seen = b""
    while b"vt220\r" not in seen:
        seen += channel.read(timeout=20)
    assert b"43 132" in seen
    channel.change_pty_size(100, 50)
    time.sleep(0.2)
    channel.write(b"\n")
    assert b"50 100" in b"".join(channel)


def test_set_env_then_shell(session):
    """Variables are set before the command, as often as wanted."""
    channel = session.new_channel()
    channel.set_env("LAB_A", "first")
    channel.set_env("LAB_A", "second")
    channel.request_exec("echo $LAB_A")
    assert channel.read(timeout=20) == b"second\n"


def test_back_pressure(session):
    """Of output that nobody reads, about a window is kept here and no more; the rest waits in the remote process."""
    channel = session.new_channel()
    channel.request_exec("head -c 100000000 /dev/zero")
    channel.readable(20)
    time.sleep(1)
    session.exec_command("true")  # lets everything in that is on the way
    before = resident()
    time.sleep(1)
    session.exec_command("true")
    assert resident() - before < 1 << 20
    got = 0
    for piece in channel:
        got += len(piece)
    assert got == 100_000_000
    assert resident() - before < 16 << 20


def resident():
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_streaming_keeps_order(session):
    """Megabytes read slowly and in odd sizes arrive in order and complete."""
    channel = session.new_channel()
    channel.request_exec("seq 1 1500000")
    pieces = []
    size = 1
    while True:
        piece = channel.read(size % 70001 + 1, timeout=20)
        if not piece:
            break
        pieces.append(piece)
        size = size * 7 + 1
        if len(pieces) % 100 == 0:
            time.sleep(0.005)
    assert b"".join(pieces) == b"".join(b"%d\n" % n for n in range(1, 1_500_001))


def test_many_channels(session):
    """Dozens of channels live side by side in one session."""
    channels = [session.new_channel() for _ in range(40)]
    for number, channel in enumerate(channels):
        channel.request_exec(f"cat; exit {number}")
    for number, channel in enumerate(channels):
        channel.write(b"%d" % number)
    for number, channel in reversed(list(enumerate(channels))):
        channel.send_eof()
        assert b"".join(channel) == b"%d" % number
        assert channel.wait(20) == number


def test_dead_server(new_sshd, connect):
    """A server that dies makes a read raise within seconds; before, what had come is returned."""
    host = new_sshd()
    session = connect(host)
    channel = session.new_channel()
    channel.request_exec("echo first; sleep 60")
    assert channel.read(timeout=20) == b"first\n"
    killer = threading.Timer(0.3, host.kill_connections)
    killer.start()
    began = time.monotonic()
    with pytest.raises(LibsshChannelReadFailure) as caught:
        channel.read()
    assert isinstance(caught.value, ConnectionError)
    assert time.monotonic() - began < 3
    killer.join()
    assert not session.is_connected
    with pytest.raises(ConnectionError):
        session.exec_command("true")


def test_cut_line(sshd, connect, relay):
    """A connection that is reset ends a command with the same exception."""
    far, link = relay(sshd)
    session = connect(far)
    cutter = threading.Timer(0.3, link.cut)
    cutter.start()
    with pytest.raises(LibsshChannelReadFailure):
        session.exec_command("sleep 60")
    cutter.join()


def test_the_library_prints_nothing(capfd, session):
    """Whatever happens, nothing is printed to stdout or stderr."""
    session.exec_command("true")
    with pytest.raises(LibsshChannelException):
        session.new_channel().request_subsystem("none")
    session.close()
    sys.stderr.flush()
    assert capfd.readouterr() == ("", "")
