# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands on servers that do not do what they should: no hang, no lie, and the session goes on where it can."""

from __future__ import annotations

import time

import pytest

from pylibsshext.errors import LibsshChannelException, LibsshChannelTimeout, LibsshException


@pytest.fixture
def bad(bad_server, connect):
    """A session with a server that misbehaves."""
    return connect(bad_server(), key_exchange_algorithms="curve25519-sha256")


def test_no_exit_status(bad):
    """A channel that is closed without an exit status: the output, and -1."""
    done = bad.exec_command("no-status", timeout=20)
    assert (done.stdout, done.returncode, done.signal) == (b"bye\n", -1, None)


def test_eof_without_close(bad):
    """Output and status are there although the server never closes: nobody waits for the close."""
    began = time.monotonic()
    done = bad.exec_command("eof-no-close", timeout=20)
    assert (done.stdout, done.returncode) == (b"done\n", 0)
    assert time.monotonic() - began < 8
    assert bad.exec_command("echo on").stdout == b"on\n"


def test_exit_signal(bad):
    """A signal's name comes with the output."""
    done = bad.exec_command("die SEGV", timeout=20)
    assert (done.stdout, done.returncode, done.signal) == (b"before\n", -1, "SEGV")


def test_data_after_eof(bad):
    """Data after the end of file does no harm."""
    done = bad.exec_command("data-after-eof", timeout=20)
    assert done.stdout.startswith(b"one\n")
    assert done.returncode == 0


def test_data_after_close(bad):
    """Data after the close does no harm, be it that the connection ends."""
    assert bad.exec_command("data-after-close", timeout=20).stdout == b"one\n"


def test_status_before_the_output(bad):
    """An exit status that comes first does not cut the output off."""
    done = bad.exec_command("status-first 3", timeout=20)
    assert (done.stdout, done.returncode) == (b"late\n", 3)


def test_closed_early(bad):
    """A channel that is closed while we write is no error of the command's."""
    done = bad.exec_command("close-early", stdin=b"x" * 5_000_000, timeout=20)
    assert (done.stdout, done.returncode) == (b"", -1)


def test_refused_request(bad):
    """A request that is refused is an exception, and the session goes on."""
    with pytest.raises(LibsshChannelException):
        bad.exec_command("refuse", timeout=20)
    assert bad.exec_command("echo on").stdout == b"on\n"


def test_unread_input(bad):
    """Input that is never read ends with the time-out."""
    with pytest.raises(LibsshChannelTimeout):
        bad.exec_command("ignore-input", stdin=b"x" * 20_000_000, timeout=1)
    assert bad.exec_command("echo on").stdout == b"on\n"


def test_more_than_the_window(bad):
    """A server that sends more than it may does not make us take it all, nor hang."""
    try:
        done = bad.exec_command("over-window 20000000", timeout=20)
    except LibsshException:
        return
    assert len(done.stdout) <= 20_000_000


def test_empty_pieces(bad):
    """Pieces of output without a byte in them are neither data nor the end."""
    done = bad.exec_command("empty-data", timeout=20)
    assert (done.stdout, done.returncode) == (b"one\n", 0)
    channel = bad.new_channel()
    channel.request_exec("empty-data")
    assert [channel.read(timeout=20), channel.read(timeout=20)] == [b"one\n", b""]


@pytest.mark.parametrize(("length", "second"), [(2, b"tw"), (4, b"two\n"), (5, b""), (2**31, b""), (2**32 - 1, b"")])
def test_length_that_is_not_the_data_s(bad, length, second):
    """Data is what its length says; a packet without that much is none, and nothing behind it in memory is read."""
    done = bad.exec_command(f"wrong-length {length}", timeout=20)
    assert (done.stdout, done.returncode) == (b"one\n" + second + b"end\n", 0)


def test_byte_by_byte(bad):
    """Output in packets of one byte arrives whole."""
    assert bad.exec_command("split " + "word " * 20, timeout=20).stdout.split() == [b"word"] * 20


def test_flood_in_tiny_pieces(bad):
    """Hundreds of thousands of bytes in pieces of 10 arrive whole, on both streams."""
    done = bad.exec_command("flood 200000 10 both", timeout=60)
    assert len(done.stdout) + len(done.stderr) >= 200_000


@pytest.mark.parametrize("command", ["drop", "drop 100000", "hang-up so long"])
def test_connection_that_ends(bad, command):
    """A connection that ends under a command is a ConnectionError, soon."""
    began = time.monotonic()
    with pytest.raises(LibsshChannelException) as caught:
        bad.exec_command(command, timeout=20)
    assert isinstance(caught.value, ConnectionError)
    assert time.monotonic() - began < 3
    if command.startswith("hang"):
        assert "so long" in str(caught.value)


def test_rekeying(bad_server, connect):
    """New keys in the middle of a stream go unnoticed."""
    session = connect(bad_server(listen={"rekey_bytes": 100_000}), key_exchange_algorithms="curve25519-sha256")
    assert session.exec_command("flood 3000000", timeout=60).stdout == b"x" * 3_000_000


def test_tiny_window(bad_server, connect):
    """A window of some hundred bytes is slow and correct."""
    session = connect(bad_server(listen={"window": 500, "max_pktsize": 100}), key_exchange_algorithms="curve25519-sha256")
    assert session.exec_command("cat", stdin=bytes(range(256)) * 40, timeout=60).stdout == bytes(range(256)) * 40


def test_shell_of_a_device(bad):
    """A prompt-and-answer device, as network_cli talks to it."""
    channel = bad.new_channel()
    channel.request_shell()
    assert channel.read(timeout=20).endswith(b"router>")
    channel.write(b"show version\n")
    seen = b""
    while not seen.endswith(b"router>"):
        seen += channel.read(timeout=20)
    assert b"show version" in seen
