# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole commands: exec_command in all its forms."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from pylibsshext.channel import Completed
from pylibsshext.errors import LibsshChannelException, LibsshChannelTimeout


def test_streams_and_status(session):
    """Standard output, standard error and the exit status come apart."""
    done = session.exec_command("echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode, done.signal) == (b"out\n", b"err\n", 7, None)


def test_is_a_completed_process(session):
    """The result is a subprocess.CompletedProcess, with all that such a thing can do."""
    done = session.exec_command("exit 3")
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.args == "exit 3"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        done.check_returncode()
    assert caught.value.returncode == 3


def test_nothing_printed(session):
    """A command without output leaves empty bytes, not None."""
    done = session.exec_command("true")
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)


def test_on_a_channel_again_and_again(session):
    """As with 1.4.0, one channel object runs any number of commands."""
    channel = session.new_channel()
    assert [channel.exec_command(f"echo {n}; exit {n}").returncode for n in range(256)] == list(range(256))
    assert channel.exec_command("echo again").stdout == b"again\n"
    channel.request_exec("echo itself")
    assert channel.read_stdout() == b"itself\n"


def test_one_channel_a_command(new_sshd, connect):
    """One command takes one channel, so MaxSessions 1 is enough."""
    session = connect(new_sshd(sshd_config="MaxSessions 1"))
    for _ in range(3):
        assert session.exec_command("echo fine").stdout == b"fine\n"


def test_stdin(session):
    """What goes to standard input is sent whole, and then ended."""
    data = os.urandom(3_000_000)
    done = session.exec_command("cat", stdin=data)
    assert done.stdout == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_stdin_is_any_buffer(session, kind):
    """Standard input comes from any object with a buffer."""
    assert session.exec_command("cat", stdin=kind(b"data")).stdout == b"data"


def test_without_stdin_there_is_nothing_to_read(session):
    """A command that reads ends at once when nothing is given."""
    assert session.exec_command("cat; echo ended", timeout=5).stdout == b"ended\n"


def test_stdin_that_is_not_read(session):
    """A command that ends without reading its input is no error."""
    done = session.exec_command("echo early; exit 4", stdin=b"x" * 5_000_000, timeout=20)
    assert (done.stdout, done.returncode) == (b"early\n", 4)


def test_env(session):
    """Variables that the server accepts reach the command."""
    done = session.exec_command("echo $LAB_ONE-$LC_TWO", env={"LAB_ONE": "1 and ü", "LC_TWO": "2"})
    assert done.stdout.decode() == "1 and ü-2\n"


def test_env_that_is_refused(session):
    """A variable that the server does not accept is an error that names it, before the command runs."""
    with pytest.raises(LibsshChannelException, match="SECRET_PATH"):
        session.exec_command("touch /tmp/never", env={"SECRET_PATH": "x"})
    assert not os.path.exists("/tmp/never")


def test_pty(session):
    """With a terminal, the command has one, and both streams are one."""
    done = session.exec_command("test -t 0 && echo terminal; echo err >&2", pty=True)
    assert done.stdout.replace(b"\r", b"") == b"terminal\nerr\n"
    assert done.stderr == b""


def test_a_pty_outlives_the_input(connect, other_server):
    """On a terminal there is no end of input to tell of; tinysshd would take it for the end of the terminal."""
    done = connect(other_server("tinysshd")).exec_command("sleep 0.3; echo alive", pty=True)
    assert (done.returncode, done.stdout) == (0, b"alive\r\n")


def test_no_pty_unless_asked_for(session):
    """Without asking, there is none."""
    assert session.exec_command("test -t 0 || echo none").stdout == b"none\n"


def test_signal(session):
    """The signal that ended a command is told by its name; the exit status is -1 then."""
    done = session.exec_command("kill -TERM $$")
    assert (done.returncode, done.signal) == (-1, "TERM")
    with pytest.raises(subprocess.CalledProcessError, match="SIGTERM"):
        done.check_returncode()


def test_text_and_bytes(session):
    """A command is text in UTF-8, with what os.fsdecode made of other bytes, or bytes as they are."""
    assert session.exec_command("printf '%s' 'üñî'").stdout.decode() == "üñî"
    assert session.exec_command(b"printf '%s' '\xff\xfe'").stdout == b"\xff\xfe"
    done = session.exec_command(os.fsdecode(b"printf '%s' '\xff\xfe'"))
    assert done.stdout == b"\xff\xfe"
    assert done.args == os.fsdecode(b"printf '%s' '\xff\xfe'")


def test_subclass_of_str(session):
    """Text with tags, as ansible-core passes it, is text."""

    class Tagged(str):
        __slots__ = ()

    assert session.exec_command(Tagged("echo tagged")).stdout == b"tagged\n"


@pytest.mark.parametrize("command", [None, 7, ["echo"], "nul\0byte"])
def test_commands_that_are_none(session, command):
    """What is not text, or has a NUL, is refused before anything is sent."""
    with pytest.raises((TypeError, ValueError)):
        session.exec_command(command)
    assert session.is_connected


def test_timeout_with_partial_output(session, soon):
    """When the time is over, what was printed until then is in the exception."""
    with soon(0.5), pytest.raises(LibsshChannelTimeout, match=r"0\.5 s") as caught:
        session.exec_command("echo some; echo more >&2; sleep 20", timeout=0.5)
    assert (caught.value.stdout, caught.value.stderr) == (b"some\n", b"more\n")
    assert isinstance(caught.value, TimeoutError)
    assert session.exec_command("echo on").stdout == b"on\n"


def test_timeout_ends_the_command(sshd, connect):
    """A command whose time is over is hung up on, not left behind."""
    # For root OpenSSH's server refuses signals.
    session = connect(sshd, user="ansible" if sshd.has_accounts else sshd.user)
    with pytest.raises(LibsshChannelTimeout) as caught:
        session.exec_command("echo $$; exec sleep 60", timeout=0.5)
    pid = int(caught.value.stdout)
    end = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{pid}")


def test_timeout_while_sending(session, soon):
    """The time also ends for input that nobody reads."""
    with soon(0.5), pytest.raises(LibsshChannelTimeout):
        session.exec_command("sleep 20", stdin=b"x" * 20_000_000, timeout=0.5)
    assert session.exec_command("echo on").stdout == b"on\n"


def test_output_of_both_streams_together(session):
    """Megabytes on both streams at once do not block each other."""
    done = session.exec_command("head -c 5000000 /dev/zero & head -c 5000000 /dev/zero >&2; wait", timeout=60)
    assert (len(done.stdout), len(done.stderr)) == (5_000_000, 5_000_000)


def test_input_and_output_together(session):
    """More than both windows hold goes in while as much comes out."""
    data = os.urandom(1 << 20) * 24
    assert session.exec_command("cat", stdin=data, timeout=60).stdout == data


def test_a_program_left_running(session):
    """A background process that keeps the streams open ends with a status as soon as it lets go of them."""
    done = session.exec_command("(sleep 0.3; echo later) & echo now", timeout=20)
    assert done.stdout == b"now\nlater\n"


def test_fast(session):
    """A command takes milliseconds: nothing waits for a delayed acknowledgement."""
    session.exec_command("true")
    took = []
    for _ in range(20):
        began = time.perf_counter()
        session.exec_command("true")
        took.append(time.perf_counter() - began)
    assert sorted(took)[10] < 0.03  # 1.4.0: 0.05


def test_the_first_command_waits_for_no_acknowledgement(sshd, connect):
    """After the login sshd holds its next answer back until we acknowledge the last one, which Linux puts off for 40 ms or more."""
    times = []
    for _ in range(6):
        opened = connect(sshd)
        began = time.monotonic()
        opened.exec_command("true")
        times.append(time.monotonic() - began)
    assert min(times) < 0.04


def test_linear(session):
    """100 MB of output take as long as 100 MB have to, not the square of it."""
    began = time.monotonic()
    done = session.exec_command("head -c 100000000 /dev/zero", timeout=60)
    assert len(done.stdout) == 100_000_000
    assert time.monotonic() - began < 8  # 1.4.0: minutes


def test_no_cpu_while_waiting(session):
    """Waiting for a command costs next to nothing."""
    used = time.process_time()
    session.exec_command("sleep 2")
    assert time.process_time() - used < 0.1


def test_completed_is_what_it_says():
    """The result can be made by hand, and shows its signal."""
    done = Completed("command", -1, b"", b"", "KILL")
    assert (done.args, done.signal) == ("command", "KILL")
    assert repr(done).endswith("stderr=b'', signal='KILL')")
    with pytest.raises(LibsshChannelException, match="without an exit status"):
        Completed("command", -1, b"", b"").check_returncode()
