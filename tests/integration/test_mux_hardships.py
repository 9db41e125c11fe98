# SPDX-License-Identifier: LGPL-2.1-or-later
"""The connection holder under hardship: clients that break the rules, no descriptors, no threads, a process that stands still."""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pylibsshext.channel import Channel
from pylibsshext.errors import (
    AuthenticationError,
    HostKeyError,
    LibsshChannelConnectionError,
    LibsshChannelTimeout,
    LibsshException,
)
from pylibsshext.mux import channel as muxed, client, command, paths, protocol, start
from pylibsshext.mux.client import MuxSession, MuxUnavailable, greet
from pylibsshext.mux.job import Run
from pylibsshext.mux.pool import Pool
from pylibsshext.mux.protocol import VERSION, HangUp, Silent, Wire
from pylibsshext.policies import RejectPolicy
from pylibsshext.session import Session

from . import mux_lab
from .test_mux import ROOT, SESSIONS, connected, directory, keywords, listed, wait_for  # noqa: F401 - a fixture


@pytest.fixture
def holder(sshd, directory):  # noqa: F811
    """The process of a holder that has a session with the server."""
    session = connected(sshd)
    assert session.exec_command("true").returncode == 0
    (pid,) = mux_lab.pids(directory)
    return pid


def introduced(session):
    """A connection to the holder that may ask for anything on that session."""
    wire = start.connect(create=False)
    session.ask(wire, {"do": "session", **session._about()})
    return wire


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_holder_outlives_who_is_killed_while_it_starts(directory):  # noqa: F811
    """Others may wait in its queue already."""
    code = (
        "import os, signal, subprocess\n"
        "subprocess.Popen.communicate = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from pylibsshext.mux import start\n"
        "start.connect()"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -signal.SIGKILL
    wire = start.connect(create=False)
    greet(wire)
    wire.close()


def test_a_request_without_its_descriptors_takes_no_slot(sshd, holder):
    """Requests that lack what they need are refused, and leave nothing open on the session."""
    session = connected(sshd)
    wire = introduced(session)
    for request in ({"do": "start", "kind": "exec", "env": []}, {"do": "put", "name": "x"}, {"do": "get"}, {"do": "stdin"}):
        wire.send(request, b"true")
        if request["do"] != "stdin":
            assert "error" in wire.receive(10).data
    wire.close()
    wait_for(lambda: [one["channels"] for one in listed()] == [0])


def test_more_descriptors_than_a_message_has_are_not_collected(sshd, holder):
    """Who sends descriptors with each byte is hung up on before the holder has none left."""
    wire = start.connect(create=False)
    greet(wire)
    before = len(os.listdir(f"/proc/{holder}/fd"))
    with pytest.raises((HangUp, BrokenPipeError)):
        for byte in b"\0\0\0\xff\0\0\0\0" + b" " * 200:
            wire._sock.sendmsg([bytes([byte])], [(1, 1, (0).to_bytes(4, "little") * 3)])
            time.sleep(0.001)
        wire.receive(5)
        wire.receive(5)
    wire.close()
    wait_for(lambda: len(os.listdir(f"/proc/{holder}/fd")) <= before)


def limited(pid, kind, most):
    """Set a limit of a process, and return what it was."""
    return resource.prlimit(pid, kind, (most, resource.prlimit(pid, kind)[1]))


def test_no_descriptors_left(sshd, holder):
    """A holder that can't let anybody in does not spin, keeps what it has, and goes on when there are descriptors again."""
    session = connected(sshd)
    before = limited(holder, resource.RLIMIT_NOFILE, 4)
    waiting = start.connect(create=False)
    used = cpu_seconds(holder)
    time.sleep(1.5)
    assert cpu_seconds(holder) - used < 0.3
    resource.prlimit(holder, resource.RLIMIT_NOFILE, before)
    greet(waiting)
    waiting.close()
    assert session.exec_command("printf 42").stdout == b"42"
    assert connected(sshd).reused


def test_no_descriptors_left_for_the_end_of_a_session(new_sshd, holder):
    """A session that ends meanwhile takes neither the holder nor the other sessions with it."""
    hosts = [new_sshd() for _ in range(3)]
    for host in hosts:
        session = connected(host, persist=1)
        with session.sftp() as sftp:
            sftp.get("/etc/hostname", os.devnull)
        channel = session.new_channel()
        channel.request_exec("cat")
        session.keep(channel, "cli")
    before = limited(holder, resource.RLIMIT_NOFILE, 4)
    hosts[2].kill_connections()
    wait_for(lambda: not any(host.connections() for host in hosts))
    time.sleep(0.5)
    assert mux_lab.pids(Path(os.environ[mux_lab.DIRECTORY])) == [holder]
    resource.prlimit(holder, resource.RLIMIT_NOFILE, before)
    assert len(listed()) == 1
    assert connected(hosts[0]).exec_command("printf 42").stdout == b"42"


def test_no_threads_left(sshd, holder):
    """A client that can't be served is hung up on, and the holder and its sessions stay."""
    size = int(Path(f"/proc/{holder}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = limited(holder, resource.RLIMIT_AS, size + (1 << 20))
    wires = [start.connect(create=False) for _ in range(8)]
    with pytest.raises(LibsshException):
        for wire in wires:
            try:
                greet(wire)
            except HangUp as exc:
                raise LibsshException("hung up") from exc
    resource.prlimit(holder, resource.RLIMIT_AS, before)
    for wire in wires:
        wire.close()
    assert connected(sshd).reused
    assert connected(sshd).exec_command("printf 42").stdout == b"42"


def test_a_reset_ends_kept_channels(new_sshd, holder):
    """A channel that was put aside does not hold a session that was reset."""
    host = new_sshd()
    session = connected(host)
    shell = session.new_channel()
    shell.request_exec("cat")
    session.keep(shell, "cli")
    assert session.reset()
    wait_for(lambda: not host.connections(), 5)


def test_a_holder_that_stands_still_ends_a_command_in_its_time(sshd, holder):
    """A stopped holder costs a command its time-out and nothing more; set going again it works as before."""
    session = connected(sshd)
    os.kill(holder, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(LibsshChannelTimeout, match="timed out"):
            session.exec_command("true", timeout=1)
        assert time.monotonic() - began < 5  # the machine may be busy
    finally:
        os.kill(holder, signal.SIGCONT)
    assert connected(sshd).exec_command("printf 42").stdout == b"42"


def test_stop_while_a_command_runs(sshd, holder, directory):  # noqa: F811
    """A command of a holder that is stopped fails; it is not taken for done."""
    with connected(sshd).new_channel() as channel:
        channel.request_exec("echo out; sleep 60")
        assert channel.read() == b"out\n"
        with command.holders() as wires:
            assert command.ask(wires[0], do="stop")["stopped"]
        with pytest.raises(LibsshException):
            channel.communicate()
    assert mux_lab.gone(directory)


def test_a_server_that_dies_under_fifty_channels(new_sshd, directory):  # noqa: F811
    """All of its commands fail at once, none is taken for done, and the holder has nothing left of them."""
    host = new_sshd(sshd_config="MaxSessions 100")
    session = connected(host)
    channels = [session.new_channel() for _ in range(50)]
    for channel in channels:
        channel.request_exec("echo out; sleep 60")
        assert channel.read() == b"out\n"
    host.kill_connections()
    for channel in channels:
        with pytest.raises(LibsshException):
            channel.communicate(timeout=10)
    (pid,) = mux_lab.pids(directory)
    used = cpu_seconds(pid)
    assert session.exec_command("printf 42").stdout == b"42"
    time.sleep(0.5)
    assert cpu_seconds(pid) - used < 0.3
    assert [one["channels"] for one in listed()] == [0]


def test_a_line_that_is_cut_under_a_slow_reader(new_sshd, directory):  # noqa: F811
    """Nobody reads what the session has got, its peer is gone: the holder waits for the reader, and does not spin."""
    host = new_sshd()
    session = connected(host)
    channel = session.new_channel()
    channel.request_exec("exec yes")
    assert channel.read(2) == b"y\n"
    time.sleep(0.5)  # until each buffer between the two is full
    host.kill_connections()
    channel.write(b"x")  # which its system answers with a reset
    (pid,) = mux_lab.pids(directory)
    used = cpu_seconds(pid)
    time.sleep(1)
    assert cpu_seconds(pid) - used < 0.3
    with pytest.raises(LibsshException):
        channel.communicate(timeout=10)


def descriptors(pid):
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


WRONG = {"identities": None, "user": "ansible", "password": "wrong", "preferred_authentications": ["password"]}


def test_a_failed_login_leaves_nothing_open(new_sshd, holder):
    """When its client was told, a login that failed has given back its descriptors, whatever made it fail."""
    host, before = new_sshd(), descriptors(holder)
    failing = [WRONG, {"knownhosts": "none"}, {"identities": None}, {"private_key": "no key"}]
    for changes in failing * 3:
        with pytest.raises(LibsshException):
            connected(host, **changes)
    with pytest.raises(LibsshException):
        connected(host, proxy_jump=[keywords(host, **WRONG)])
    wait_for(lambda: descriptors(holder) <= before, 1)


def test_a_session_that_ends_leaves_nothing_open(sshd, holder):
    """Nor do sessions that were reset, with what ran over them: a command, a file, a kept channel."""
    before = descriptors(holder)
    for _ in range(5):
        session = connected(sshd, ssh_options=["ServerAliveInterval 20"])
        assert session.exec_command("true").returncode == 0
        with session.sftp() as sftp:
            sftp.get("/etc/hostname", os.devnull)
        shell = session.new_channel()
        shell.request_exec("cat")
        session.keep(shell, "cli")
        session.reset()
    wait_for(lambda: descriptors(holder) <= before, 1)


def pipes():
    """Return the reading ends of two pipes, and the writing ends."""
    ends = [os.pipe() for _ in range(2)]
    return [end[0] for end in ends], [end[1] for end in ends]


def close(fds):
    for fd in fds:
        os.close(fd)


class Failing(Channel):
    """A channel in whose reader something goes wrong that nobody thought of."""

    def read_any(self, timeout=None):
        raise MemoryError


def test_a_command_whose_thread_fails_is_told_of(sshd):
    """Whatever goes wrong in the holder with a command, its client hears of it, its pipes end, and its slot is free."""
    here, there = map(Wire, socket.socketpair())
    ours, theirs = pipes()
    pool = Pool(lambda _: None, lambda _: None)
    with Session() as session:
        session.connect(**keywords(sshd))
        held, _ = pool.lease("digest", 30, lambda: (session, "label"), lambda: True)
        pool.opened(held)
        failing = Failing(session)
        failing.request_exec("sleep 60")
        Run(pool, held, failing, there, *theirs).start()
        told = here.receive(10).data
        assert (told["event"], held.leases) == ("failed", 0)
        assert str(protocol.unpack_error(told["error"])) == "the connection holder failed: MemoryError: "
        assert [os.read(fd, 1) for fd in ours] == [b"", b""]
    close(ours)
    here.close()
    there.close()


def test_no_thread_left_for_a_command(sshd, holder):
    """A command that the holder has no thread for fails, and takes no slot."""
    session = connected(sshd)
    before, wires = descriptors(holder), [introduced(session) for _ in range(9)]
    size = int(Path(f"/proc/{holder}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit = limited(holder, resource.RLIMIT_AS, size + (1 << 20))
    failed = 0
    for wire in wires:  # the first ones get the stacks of threads that have ended
        ours, theirs = pipes()
        wire.send({"do": "start", "kind": "exec"}, b"sleep 60", theirs)
        close(theirs)
        assert "started" in wire.receive(10).data
        if wire.waits(0.2):
            assert "thread" in wire.receive(0).data["error"]["text"]
            assert [os.read(fd, 1) for fd in ours] == [b"", b""]
            failed += 1
        close(ours)
    assert failed
    for wire in wires:
        wire.close()
    resource.prlimit(holder, resource.RLIMIT_AS, limit)
    wait_for(lambda: [one["channels"] for one in listed()] == [0])
    wait_for(lambda: descriptors(holder) <= before, 1)
    assert session.exec_command("printf 42").stdout == b"42"


def test_a_client_that_breaks_the_rules_leaves_nothing(sshd, holder):
    """A second command beside the first, descriptors with an answer, a channel without a name: no slot and no descriptor stays."""
    session = connected(sshd)
    session.exec_command("true")
    before = descriptors(holder)
    wire = introduced(session)
    ours, theirs = pipes()
    for _ in range(2):
        wire.send({"do": "start", "kind": "exec"}, b"sleep 60", theirs)
    assert "started" in wire.receive(10).data
    assert "asks for something else" in wire.receive(10).data["error"]["text"]
    wire.send({"do": "signal", "name": "no such"})
    wire.send({"do": "resize", "columns": 1 << 70, "rows": None})
    wire.send({"do": "take", "name": "none"})
    wire.send({"do": "keep"}, fds=ours)
    assert ["error" in wire.receive(10).data for _ in range(2)] == [True, True]
    wire.close()
    wire = start.connect(create=False)
    greet(wire)
    for persist in (float("nan"), -1, "1", None):
        wire.send({"do": "session", "digest": "another", "persist": persist})
        assert "persist must be a number" in wire.receive(10).data["error"]["text"]
    wire.send({"do": "session", "digest": "another", "persist": 1})
    assert wire.receive(10).data["ask"] == "credentials"
    wire.send({"answer": []}, fds=theirs)
    assert "error" in wire.receive(10).data
    wire.close()
    close(ours + theirs)
    wait_for(lambda: [one["channels"] for one in listed()] == [0], 3)
    wait_for(lambda: descriptors(holder) <= before, 1)


def test_a_kept_channel_whose_output_has_ended(sshd, tmp_path):
    """Who takes it gets the input where the input was, the end of the output, and the exit status."""
    first, file = connected(sshd), tmp_path / "file"
    channel = first.new_channel()
    channel.request_exec(f"exec 1>&- 2>&-; cat > {file}; exit 7")
    channel.write(b"one\n")
    assert channel.read() == b""
    first.keep(channel, "cli")
    taken = connected(sshd).take("cli")
    assert taken.read(timeout=5) == b""
    assert taken.is_eof
    taken.write(b"two\n")
    taken.send_eof()
    assert taken.wait(5) == 7
    assert file.read_bytes() == b"one\ntwo\n"


def test_a_channel_that_ends_while_it_is_kept(sshd):
    """Who takes it gets what it printed and its exit status; who kept it goes on with the connection that it went over."""
    first = connected(sshd)
    for number in range(3):
        channel = first.new_channel()
        channel.request_exec(f"echo {number}; exit 7")
        time.sleep(0.2)  # the word of its end is on its way by now
        first.keep(channel, "cli")
        taken = connected(sshd).take("cli")
        assert taken.communicate(timeout=5)[0] == b"%d\n" % number
        assert taken.wait(5) == 7
        assert first.exec_command("printf 42").stdout == b"42"


def test_keeping_a_channel_of_a_session_that_was_reset(new_sshd, holder):
    """It ends: no one could take it, and it held its session."""
    host = new_sshd()
    session, before = connected(host), descriptors(holder)
    channel = session.new_channel()
    channel.request_exec("cat")
    channel.write(b"x")
    assert connected(host).reset()
    with pytest.raises(LibsshException, match="its session has ended"):
        session.keep(channel, "cli")
    wait_for(lambda: not host.connections(), 5)
    session.close()
    wait_for(lambda: descriptors(holder) <= before, 1)


def both(call):
    """Make *call* in two threads, the second one a moment later; return what each raised."""

    def raised():
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what the caller looks at
            call()
        return caught.value

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(raised)
        time.sleep(0.3)
        second = pool.submit(raised)
        return first.result(20), second.result(20)


def test_who_waits_is_told_why_another_declined(new_sshd, holder):
    """Host and fingerprint, if it was the host key; the reason, if it was a question: also the one who was not asked."""
    host, asked = new_sshd(), []

    class Policy(RejectPolicy):
        def missing_host_key(self, *about):
            asked.append(about)
            time.sleep(1)
            super().missing_host_key(*about)

    def by_host_key():
        with MuxSession() as session:
            session.set_missing_host_key_policy(Policy)
            session.connect(**keywords(host, knownhosts="none"))

    for error in both(by_host_key):
        assert type(error) is HostKeyError
        assert (error.host, error.port, error.key_type) == (host.address, host.port, "ssh-ed25519")
        assert error.fingerprint.startswith("SHA256:")
        assert error.fingerprint in str(error)
    assert len(asked) == 1

    def callback(*_):
        time.sleep(1)
        raise LookupError("not today")

    def by_question():
        connected(host, kbdint_callback=callback, preferred_authentications=["keyboard-interactive"])

    own, other = both(by_question)
    assert type(own) is LookupError
    assert isinstance(other, AuthenticationError)
    assert "LookupError: not today" in str(other)


def test_a_session_that_is_connected_connects_nowhere_else(new_sshd):
    """What ran on one host would else run on the other one."""
    one, two = new_sshd(), new_sshd()
    session = connected(one)
    with pytest.raises(LibsshException, match="connected already"):
        session.connect(**keywords(two))
    assert session.exec_command("echo $SSH_CONNECTION").stdout.split()[-1] == b"%d" % one.port
    session.close()
    session.connect(**keywords(two))
    assert session.exec_command("echo $SSH_CONNECTION").stdout.split()[-1] == b"%d" % two.port


def test_a_holder_of_another_version_hides_no_other(sshd, holder, directory, capsys):  # noqa: F811
    """``mux list`` shows the others, and says a line about the one that it can't talk with; so does ``stop``."""
    place = paths.directory()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place.address("0.sock"))
        listener.listen()

        def greet():
            for _ in range(2):
                with listener.accept()[0] as peer:
                    peer.sendall(struct.pack("!III", VERSION + 1, 0, 0))
                    peer.recv(65536)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(greet)
            for action, line in (("list", f"holder, process {holder}: 1 sessions"), ("stop", "stopped")):
                assert command.run(argparse.Namespace(action=action)) == 1
                said = capsys.readouterr().out.splitlines()
                assert said[0] == line
                assert said[-1] == f"the connection holder speaks version {VERSION + 1} of the protocol, not {VERSION} (0.sock)"
    place.close()
    (directory / "0.sock").unlink()


@pytest.fixture
def impatient(monkeypatch):
    """A client that soon wants to know whether its holder lives."""
    monkeypatch.setattr(client, "_PATIENCE", 0.5)
    monkeypatch.setattr(client, "SILENCE", 0.3)
    monkeypatch.setattr(muxed, "SILENCE", 0.3)


@contextmanager
def stopped(pid):
    """Have a process stand still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_holder_that_stands_still_is_noticed_without_a_time_out(new_sshd, holder, impatient):
    """By who connects, by who waits for a login, for a command's start, its output, its input; and each hears what it is."""
    host = new_sshd()
    session = connected(host)
    reading, writing = session.new_channel(), session.new_channel()
    reading.request_exec("echo out; cat")
    writing.request_exec("sleep 60")
    assert session.exec_command("sleep 1.5; printf 42").stdout == b"42"  # which is no reason for anything
    with ThreadPoolExecutor(1) as pool:

        def answer(*_):
            os.kill(holder, signal.SIGSTOP)
            return ["x"]

        login = pool.submit(connected, host, kbdint_callback=answer, preferred_authentications=["keyboard-interactive"])
        with pytest.raises(MuxUnavailable, match="does not answer"):
            login.result(10)
    with stopped(holder):
        with pytest.raises(MuxUnavailable, match="does not answer"):
            connected(host)
        with pytest.raises(LibsshChannelConnectionError, match="request_exec failed: the connection holder does not answer"):
            session.exec_command("true")
        with pytest.raises(LibsshChannelConnectionError, match="the connection holder does not answer"):
            writing.write(bytes(4 << 20))
        assert reading.read() == b"out\n"
        with pytest.raises(LibsshChannelConnectionError, match="the connection holder does not answer"):
            reading.communicate()
    assert connected(host).exec_command("printf 42").stdout == b"42"
    wait_for(lambda: sum(one["channels"] for one in listed()) == 0)


def test_a_holder_that_stands_still_and_takes_no_more(sshd, holder, monkeypatch):
    """Who finds no room in its socket's buffer any more waits for a while, and no longer."""
    monkeypatch.setattr(start, "_PATIENCE", struct.pack("ll", 0, 300_000))
    wire = introduced(connected(sshd))
    with stopped(holder), pytest.raises(Silent, match="the connection holder does not answer"):
        while True:
            wire.send({"do": "alive"}, bytes(protocol.MOST_BLOB))
    wire.close()
    assert connected(sshd).exec_command("printf 42").stdout == b"42"


def test_an_idle_sftp_that_the_server_ended(sshd, holder, tmp_path):
    """The next file goes over a new one: sshd's ChannelTimeout ends what nobody uses, and an administrator may."""
    session, file = connected(sshd), tmp_path / "file"
    for number in range(3):
        file.write_bytes(b"%d" % number)
        with session.sftp() as sftp:
            sftp.put(str(file), str(tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == b"%d" % number
        assert session.exec_command("pkill -KILL -P $PPID sftp-server").returncode == 0
        time.sleep(0.1)  # until its end is here


def test_processes_that_outlive_their_channels_take_no_place_for_ever(new_sshd, holder):
    """sshd counts a process that ignores its hang-up (and any of root's) against MaxSessions: the next command gets a new login."""
    host = new_sshd(sshd_config="MaxSessions 2")
    session = connected(host)
    for _ in range(2):
        with pytest.raises(LibsshChannelTimeout):
            session.exec_command("exec nohup sleep 20", timeout=0.5)
    assert session.exec_command("printf 42").stdout == b"42"
    assert session.exec_command("printf 42").stdout == b"42"
    assert host.logins() == 2


def dies(about, number, place):
    """Be a client that goes away in the middle of something; which, tells *number*."""
    ours, theirs = pipes()
    files = [os.open("/etc/hostname", os.O_RDONLY), os.open(place, os.O_TMPFILE | os.O_RDWR)]
    wire = start.connect(create=False)
    what, after = number % 9, number // 9 % 3
    if what:
        wire.send({"do": "session", **about})
    if what > 1:
        greet(wire)
        wire.receive(10)
    exec_cat = {"do": "start", "kind": "exec"}
    if what == 2:
        wire.send(exec_cat, b"sleep 2", theirs)
    elif what == 3:
        wire.send(exec_cat, b"exec yes", theirs)
    elif what == 4:
        wire.send({"do": "put", "name": "x"}, os.fsencode(place / f"put{number}"), files[:1])
    elif what == 5:
        wire.send({"do": "get", "name": "x"}, b"/etc/hostname", files[1:])
    elif what == 6:
        wire.send(exec_cat, b"exec cat", theirs)
        wire.send({"do": "stdin"}, fds=ours[:1])
        wire.send({"do": "keep", "name": "n", "state": {"ends": [True, True, False], "input_ended": False}}, fds=ours)
    elif what == 7:
        wire.send({"do": "take", "name": "n"})
    elif what == 8:
        text = json.dumps(exec_cat).encode()
        packet = struct.pack("!III", VERSION, len(text), 4) + text + b"true"
        wire._sock.sendmsg(
            [packet[: number % len(packet)]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, bytes(array("i", theirs)))]
        )
    if after:
        with suppress(TimeoutError, HangUp):
            wire.receive(after * 0.05).close()
    wire.close()
    close(ours + theirs + files)


def test_clients_that_die_at_any_moment(new_sshd, holder, tmp_path):
    """Some hundred of them leave no descriptor, no thread, no slot and no channel behind, and the session serves the next."""
    host = new_sshd(sshd_config="MaxSessions 100")
    session = connected(host)
    with session.sftp() as sftp:
        sftp.get("/etc/hostname", os.devnull)
    about = session._about()

    def threads():
        return len(os.listdir(f"/proc/{holder}/task"))

    wait_for(lambda: threads() == 3)
    before = descriptors(holder)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: dies(about, number, tmp_path), range(216)))
    taken = connected(host).take("n")
    if taken is not None:
        taken.close()
    wait_for(lambda: [one["channels"] for one in listed()] == [0, 0])
    while SESSIONS:
        SESSIONS.pop().close()
    wait_for(lambda: threads() == 1)
    wait_for(lambda: descriptors(holder) <= before - 2, 1)
    assert connected(host).reused
