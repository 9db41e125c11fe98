# SPDX-License-Identifier: LGPL-2.1-or-later
"""Channels as programs for ansible-pylibssh 1.4.0 use them."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from pylibsshext import channel as channels
from pylibsshext.errors import LibsshChannelException, LibsshException

SSH_EOF = -127


@pytest.fixture
def ended(session):
    """A channel whose command has ended, with output still to be read."""
    channel = session.new_channel()
    channel.request_exec("printf output")
    channel.wait(20)
    return channel


def test_recv_ends_with_none(ended):
    """recv() returns what is there and None at the end of the stream."""
    assert ended.recv() == b"output"
    assert ended.recv() is None
    assert ended.read_nonblocking() is None


def test_recv_without_data(session):
    """recv() does not wait: b"" where nothing has come yet."""
    channel = session.new_channel()
    channel.request_exec("sleep 2")
    began = time.monotonic()
    assert channel.recv() == b""
    assert time.monotonic() - began < 0.2


def test_recv_size_and_stderr(session):
    """recv(size, stderr) as positional arguments."""
    channel = session.new_channel()
    channel.request_exec("printf output; printf error >&2")
    channel.wait(20)
    assert channel.recv(3) == b"out"
    assert channel.recv(3, 1) == b"err"
    assert channel.recv(1024, stderr=1) == b"or"
    assert channel.recv(1024, 1) is None
    assert channel.recv(1024) == b"put"


def test_recv_after_close(ended):
    """1.4.0 crashed here."""
    ended.recv()
    ended.close()
    assert ended.recv() is None


def test_poll_counts_bytes(ended):
    """poll() tells how many bytes can be read, SSH_EOF at the end."""
    assert ended.poll() == 6
    assert ended.poll(timeout=100) == 6
    ended.recv()
    assert ended.poll() == SSH_EOF == channels.SSH_EOF
    assert ended.poll(timeout=1000) == SSH_EOF


def test_poll_takes_milliseconds(session, soon):
    """poll()'s time-out is in milliseconds, and 0 bytes come back when it has passed."""
    channel = session.new_channel()
    channel.request_exec("sleep 1; printf late")
    assert channel.poll() == 0
    with soon(0.3):
        assert channel.poll(timeout=300) == 0
    assert channel.poll(timeout=5000) == 4
    assert channel.poll(timeout=5000, stderr=1) == SSH_EOF


def test_read_bulk_response(session):
    """read_bulk_response() gathers what comes in some looks."""
    channel = session.new_channel()
    channel.request_exec("for i in 1 2 3; do echo $i; sleep 0.05; done")
    assert channel.read_bulk_response(timeout=0.1, retry=30) == b"1\n2\n3\n"
    assert channel.read_bulk_response() == b""


@pytest.mark.parametrize("retry", [0, -1])
def test_read_bulk_response_retry(ended, retry):
    """A count that makes no sense is refused in 1.4.0's words."""
    with pytest.raises(ValueError, match=rf"^Got arg `retry={retry}` but it must be greater than 0$"):
        ended.read_bulk_response(retry=retry)


def test_send_signal_wants_a_signal(session):
    """A number is no signal.Signals."""
    channel = session.new_channel()
    channel.request_exec("cat")
    with pytest.raises(TypeError, match=r"^Expecting signal.Signals not "):
        channel.send_signal(15)
    channel.send_signal(signal.SIGTERM)


def test_exec_command_is_completed_process(session):
    """exec_command() of a channel returns a CompletedProcess with bytes."""
    done = session.new_channel().exec_command("echo -n ansible; exit 2")
    assert isinstance(done, subprocess.CompletedProcess)
    assert (done.args, done.returncode, done.stdout, done.stderr) == ("echo -n ansible; exit 2", 2, b"ansible", b"")


def test_invoke_shell(session):
    """A shell channel is written to and read from as to a terminal."""
    channel = session.invoke_shell()
    channel.sendall(b"exit 7\n")
    end = time.monotonic() + 10
    while channel.recv() is not None and time.monotonic() < end:
        time.sleep(0.01)
    assert channel.get_channel_exit_status() == 7
    assert channel.is_eof


def test_shell_conversation(session):
    """write, poll and read_bulk_response carry a conversation with a shell."""
    channel = session.new_shell_channel()
    channel.write(b"PS1=; stty -echo; echo rea'dy'\n")
    seen = b""
    while b"ready" not in seen:
        assert channel.poll(timeout=5000) >= 0
        seen += channel.read_bulk_response()
    channel.write(b"echo $((6 * 7))\n")
    assert channel.poll(timeout=5000) > 0
    assert b"42" in channel.read_bulk_response(timeout=0.2)
    channel.close()


def test_read_stdout_of_the_description(session):
    """open_session, request_exec, read_stdout(2048), close, send_eof: the description's example."""
    channel = session.open_session()
    channel.request_exec("echo Hello from pylibssh!")
    assert channel.read_stdout(2048).decode() == "Hello from pylibssh!\n"
    channel.close()
    channel.send_eof()


def test_exceptions_are_of_one_family(session):
    """A channel's errors are LibsshChannelException, and all are LibsshException with a message."""
    channel = session.new_channel()
    channel.close()
    with pytest.raises(LibsshChannelException) as caught:
        channel.request_exec("true")
    assert isinstance(caught.value, LibsshException)
    assert caught.value.message == str(caught.value)
