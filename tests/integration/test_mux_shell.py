# SPDX-License-Identifier: LGPL-2.1-or-later
"""The shell that the holder keeps beside a session for short commands: with real servers, and those that have none."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pylibsshext import errors
from pylibsshext.mux import command
from tests.lab.hosts import wait_until

from . import mux_lab
from .test_mux import client, connected, directory, listed, open_directory, wait_for  # noqa: F401 - fixtures

IN_SHELL = """
import json, sys
from pylibsshext.mux.client import MuxSession
with MuxSession(30) as session:
    session.connect(**json.loads(sys.argv[1]))
    session.run_in_shell(sys.argv[2])
"""


def outcome(done):
    return done.returncode, done.stdout, done.stderr


def shell_pid(session):
    return int(session.run_in_shell("echo $$").stdout)


def test_short_commands_share_a_shell(new_sshd):
    """Status and both streams are those of each command, and one shell runs all of them, for every client of the session."""
    host = new_sshd()
    one, two = connected(host), connected(host)
    for session in (one, two):
        assert outcome(session.run_in_shell("printf out; printf err >&2; exit 3")) == (3, b"out", b"err")
        assert outcome(session.run_in_shell("true")) == (0, b"", b"")
        assert outcome(session.run_in_shell("echo out\nsh -c 'kill -TERM $$'"))[:2] == (128 + signal.SIGTERM, b"out\n")
    assert shell_pid(one) == shell_pid(two)
    words = Path(f"/proc/{shell_pid(one)}/cmdline").read_bytes().split(b"\0")[:-1]
    assert words == [b"/bin/sh", b"-s", b"pylibsshext"]  # by which people on the host know it


def test_a_command_is_what_was_sent(sshd):
    """Quotes, line ends, bytes that are no text and the longest commands arrive as they are; NUL can't."""
    session = connected(sshd)
    text = 'it\'s "$HOME" `x` \\ \u00e4 * !\n\tand more'.encode() + b"\xff\xfe" + b"x" * 300_000
    assert session.run_in_shell(b"cat <<'END'\n%b\nEND" % text).stdout == text + b"\n"
    with pytest.raises(ValueError, match="NUL"):
        session.run_in_shell("echo \0")
    assert session.run_in_shell("printf 42").stdout == b"42"


@pytest.mark.parametrize(
    "command",
    [
        *(
            "cd /etc; umask 0; ulimit -n 20; export LEFT=behind; set -eu",
            "exit 3",
            "exec true",
            "exec >/dev/null 2>&1",
            "if ; (",
            "'",
        ),
        *(
            "_run() { :; }; echo() { :; }; unset -f _run",
            "trap 'echo trapped' EXIT",
            "PATH=; HOME=",
            "return 1; break; shift 5",
        ),
    ],
)
def test_a_command_leaves_nothing_to_the_next(new_sshd, command):
    """Directory, mode, limits, variables, descriptors and what a command does to its shell are gone with it, errors of its syntax too."""
    session = connected(new_sshd())
    state = 'pwd; umask; ulimit -n; echo "${LEFT-none} $#"; id -u; command -v cat'
    before = outcome(session.run_in_shell(state))
    assert before[0] == 0
    pid = shell_pid(session)
    session.run_in_shell(command)
    assert outcome(session.run_in_shell(state)) == before
    assert shell_pid(session) == pid


def test_where_a_command_runs(sshd):
    """It runs in the home directory and has no input, as on a channel of its own; its shell keeps no directory of the user's in use."""
    session = connected(sshd)
    assert session.run_in_shell("pwd; cat").stdout == session.exec_command("pwd").stdout
    assert os.readlink(f"/proc/{shell_pid(session)}/cwd") == "/"


def test_what_outlives_a_command_is_not_waited_for(sshd):
    """A process that a command leaves behind holds up nobody, and its output is not taken for the next command's."""
    session = connected(sshd)
    began = time.monotonic()
    assert session.run_in_shell("(sleep 1; echo late; echo late >&2) & echo now").stdout == b"now\n"
    assert time.monotonic() - began < 0.9
    time.sleep(1.5)
    assert outcome(session.run_in_shell("echo next")) == (0, b"next\n", b"")


def test_much_output(sshd, directory):  # noqa: F811
    """Output of any size comes back whole, both streams at once, and the holder does not grow by it."""
    session = connected(sshd)
    session.run_in_shell("true")
    (pid,) = mux_lab.pids(directory)

    def resident():
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    done = session.run_in_shell("head -c 30000000 /dev/zero | tr '\\0' o & head -c 50000000 /dev/zero | tr '\\0' e >&2; wait")
    assert (len(done.stdout), len(done.stderr)) == (30_000_000, 50_000_000)
    assert (set(done.stdout), set(done.stderr)) == ({ord("o")}, {ord("e")})
    assert resident() - before < 24 << 20
    assert listed()[0]["received"] >= 80_000_000


def test_a_shell_that_is_busy_is_not_waited_for(sshd):
    """While one client's command runs, another client is told to run its own elsewhere; then the shell is free again."""
    slow, quick = connected(sshd), connected(sshd)
    pid = shell_pid(slow)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(slow.run_in_shell, "sleep 1; echo done")
        time.sleep(0.3)
        assert quick.run_in_shell("true") is None
        assert quick.exec_command("printf 42").stdout == b"42"
        assert running.result().stdout == b"done\n"
    assert shell_pid(quick) == pid


def test_many_at_once(new_sshd):
    """Thirty threads at once: what the shell can't take is refused and not run, and nobody gets another one's output."""
    host = new_sshd(sshd_config="MaxSessions 50")

    def one(number):
        session = connected(host)
        done = session.run_in_shell(f"echo {number}") or session.exec_command(f"echo {number}")
        return int(done.stdout)

    connected(host)
    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(one, range(90))) == list(range(90))
    assert host.logins() == 1


def test_a_shell_that_was_killed(new_sshd, tmp_path):
    """An idle one is replaced. A command whose shell dies is an error, is not run again, and the next one has another shell."""
    session = connected(new_sshd())
    pid = shell_pid(session)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    assert shell_pid(session) != pid
    with pytest.raises(errors.LibsshChannelException, match="has ended"):
        session.run_in_shell(f"echo run >> {tmp_path}/mark; kill -9 $$")
    assert session.run_in_shell("printf 42").stdout == b"42"
    assert (tmp_path / "mark").read_text() == "run\n"


def test_a_shell_that_was_killed_and_left_something_running(new_sshd):
    """That something holds the shell's streams open does not hide its end, neither while it was idle nor under a command."""
    session = connected(new_sshd())
    pid = int(session.run_in_shell("sleep 20 & echo $$").stdout)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    time.sleep(0.2)
    assert session.run_in_shell("printf 42").stdout == b"42"
    began = time.monotonic()
    with pytest.raises(errors.LibsshChannelException, match="has ended"):
        session.run_in_shell("sleep 20 & kill -9 $$")
    assert time.monotonic() - began < 5


def test_a_shell_that_hangs_is_replaced(new_sshd):
    """A shell that was stopped while it was idle is given up after a while."""
    session = connected(new_sshd())
    pid = shell_pid(session)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.2)
    assert shell_pid(session) != pid
    os.kill(pid, signal.SIGKILL)


def test_a_killed_client_takes_its_command_with_it(new_sshd, open_directory):  # noqa: F811
    """The command of a client that was killed gets a hang-up, and the next client another shell."""
    host = new_sshd()
    if host.has_accounts:
        host.user = "ansible"  # OpenSSH forwards no signals to root's processes
    mark = open_directory / "mark"
    process = client(host, f"sh -c 'echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 300'", IN_SHELL)
    wait_for(mark.exists)
    process.kill()
    process.wait()
    wait_for(lambda: not Path(f"/proc/{int(mark.read_text())}").exists())
    session = connected(host)
    assert session.reused
    wait_for(lambda: session.run_in_shell("true") is not None)


def test_a_killed_holder_is_an_error_and_nothing_runs_twice(new_sshd, tmp_path, directory):  # noqa: F811
    """A command in flight fails as a lost connection."""
    session = connected(new_sshd())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(session.run_in_shell, f"echo run >> {tmp_path}/mark; sleep 60")
        wait_for((tmp_path / "mark").exists)
        for pid in mux_lab.pids(directory):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(errors.LibsshConnectionError):
            running.result(10)
    assert session.run_in_shell("printf 42").stdout == b"42"
    assert (tmp_path / "mark").read_text() == "run\n"


def test_a_server_that_dies(new_sshd, tmp_path):
    """Under a command it is an error, and the command is not run again; between two, the next one logs in anew."""
    host = new_sshd()
    session = connected(host)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(session.run_in_shell, f"echo run >> {tmp_path}/mark; sleep 60")
        wait_for((tmp_path / "mark").exists)
        host.restart()
        with pytest.raises(errors.LibsshChannelConnectionError):
            running.result(10)
    for _ in range(2):
        assert session.run_in_shell("printf 42").stdout == b"42"
        host.restart()
    assert (tmp_path / "mark").read_text() == "run\n"
    assert host.logins() == 3


def test_a_silent_server_gets_no_command(new_sshd, tmp_path):
    """Before a command goes to a host that was not heard for a while, it has to answer: what it can't is run after a new login."""
    host = new_sshd()
    session = connected(host, server_alive_interval=1, server_alive_count_max=2)
    session.run_in_shell("true")
    time.sleep(1.2)
    (old,) = host.connections()
    os.kill(old, signal.SIGSTOP)  # the server's side of this login, and of no other
    try:
        assert session.run_in_shell(f"echo run >> {tmp_path}/mark").returncode == 0
        assert host.logins() == 2
    finally:
        os.kill(old, signal.SIGCONT)
    time.sleep(0.5)
    assert (tmp_path / "mark").read_text() == "run\n"


def test_a_reset_lets_a_running_command_end(new_sshd):
    """A command that runs while its session is reset ends as it would have, and the next one needs a login."""
    host = new_sshd()
    session = connected(host)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(session.run_in_shell, "sleep 1; echo done")
        time.sleep(0.3)
        assert connected(host).reset()
        assert running.result(10).stdout == b"done\n"
    assert not connected(host).reused


def test_a_stopped_holder_ends_a_running_command(new_sshd, directory):  # noqa: F811
    """Who has the holder stop does not wait for commands: they fail as lost connections."""
    session = connected(new_sshd())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(session.run_in_shell, "sleep 60")
        time.sleep(0.3)
        with command.holders() as wires:
            command.ask(wires[0], do="stop")
        with pytest.raises(errors.LibsshException):
            running.result(10)
    assert mux_lab.gone(directory)


@pytest.mark.parametrize("most", [1, 2])
def test_a_server_with_few_channels_keeps_them_for_commands(new_sshd, most):
    """The shell never takes the channel that a command or a file needs, and no further login is made for it."""
    host = new_sshd(sshd_config=f"MaxSessions {most}")
    session = connected(host)
    for _ in range(3):
        done = session.run_in_shell("printf 42") or session.exec_command("printf 42")
        assert done.stdout == b"42"
        assert session.exec_command("printf 42").stdout == b"42"
        with session.sftp() as sftp:
            sftp.get("/etc/hostname", os.devnull)
    assert host.logins() == 1


def test_one_channel_a_connection(other_server):
    """tinysshd, whose connections have one channel each, is asked for no shell."""
    session = connected(other_server("tinysshd"))
    assert session.run_in_shell("printf 42") is None
    assert session.exec_command("printf 42").stdout == b"42"


def test_dropbear(other_server):
    """Dropbear runs it, too."""
    session = connected(other_server("dropbear"))
    assert outcome(session.run_in_shell("printf out; printf err >&2; exit 3")) == (3, b"out", b"err")


@pytest.mark.parametrize("forced", ["false", "echo no shells here", "cat"])
def test_a_server_that_starts_something_else(new_sshd, forced):
    """A forced command is no shell: nothing of the command reaches it, and it is not tried again."""
    session = connected(new_sshd(sshd_config=f"ForceCommand {forced}"))
    assert session.run_in_shell("printf 42") is None
    began = time.monotonic()
    assert session.run_in_shell("printf 42") is None
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "forced",
    [
        *('tcsh -c "$SSH_ORIGINAL_COMMAND"', 'fish -c "$SSH_ORIGINAL_COMMAND"', "exec busybox sh -s", "exec bash --posix -s"),
        'echo welcome; echo and mind the gap >&2; printf unfinished; eval "$SSH_ORIGINAL_COMMAND"',
    ],
)
def test_other_shells(new_sshd, forced):
    """Login shells of other kinds, and those that greet, start it as well; other kinds of /bin/sh do the same. A greeting is nobody's output."""
    session = connected(new_sshd(sshd_config=f"ForceCommand {forced}"))
    for _ in range(2):
        assert outcome(session.run_in_shell("printf out; printf err >&2; exit 3")) == (3, b"out", b"err")


def test_a_home_that_is_not_there(new_sshd):
    """A home directory that was removed is said by nothing but the directory that the command finds itself in."""
    session = connected(new_sshd())
    home = session.run_in_shell("pwd").stdout.decode().strip()
    os.rename(home, f"{home}.away")
    try:
        assert outcome(session.run_in_shell("pwd")) == (0, b"/\n", b"")
    finally:
        os.rename(f"{home}.away", home)


def test_the_shell_is_no_use_of_the_session(new_sshd, directory):  # noqa: F811
    """An idle session with a shell ends after its seconds, and the shell with it."""
    session = connected(new_sshd(), persist=1)
    pid = shell_pid(session)
    assert listed()[0]["channels"] == 0
    session.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the shell")
    assert mux_lab.gone(directory)
