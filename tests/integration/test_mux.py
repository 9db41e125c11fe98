# SPDX-License-Identifier: LGPL-2.1-or-later
"""The connection holder, with real servers: one login for many processes, and nothing lost when something dies."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pylibsshext import errors
from pylibsshext.errors import LibsshSessionException
from pylibsshext.mux import command, paths
from pylibsshext.mux.client import MuxSession, MuxUnavailable
from pylibsshext.mux.protocol import VERSION
from pylibsshext.policies import MissingHostKeyPolicy
from tests.lab.fixtures import missing

from . import mux_lab

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def directory(tmp_path):
    """Holders of this test's own."""
    with mux_lab.own_directory(tmp_path / "mux") as directory:
        yield directory
        while SESSIONS:
            SESSIONS.pop().close()


def keywords(host, **changes):
    return {
        "host": host.address,
        "port": host.port,
        "user": host.user,
        "identities": [str(host.key)],
        "identities_only": True,
        "agent": False,
        "look_for_keys": False,
        "knownhosts": str(host.known_hosts_file),
        "config_file": "none",
    } | changes


SESSIONS = []


def connected(host, persist=30, **changes):
    session = MuxSession(persist)
    SESSIONS.append(session)
    session.connect(**keywords(host, **changes))
    return session


def listed():
    with command.holders() as wires:
        return [session for wire in wires for session in command.ask(wire, do="list")["sessions"]]


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


CLIENT = """
import json, sys
from pylibsshext.mux.client import MuxSession
with MuxSession(30) as session:
    session.connect(**json.loads(sys.argv[1]))
    done = session.exec_command(sys.argv[2])
    sys.exit(0 if done.stdout == b"42" else 1)
"""


def client(host, words="printf 42", code=CLIENT, root=ROOT):
    return subprocess.Popen([sys.executable, "-c", code, json.dumps(keywords(host)), words], cwd=root)


def test_many_processes_share_one_login(new_sshd):
    """A second session, and other processes, use the login that the first one made."""
    host = new_sshd()
    with connected(host) as first, connected(host) as second:
        assert (first.reused, second.reused) == (False, True)
    for process in [client(host) for _ in range(3)]:
        assert process.wait(30) == 0
    assert host.logins() == 1


def test_a_stampede_starts_one_holder_and_makes_one_login(new_sshd, directory):
    """Twelve processes at once, and nothing there before: one holder, one login."""
    host = new_sshd(sshd_config="MaxSessions 50")
    for process in [client(host) for _ in range(12)]:
        assert process.wait(60) == 0
    assert host.logins() == 1
    assert len(mux_lab.pids(directory)) == 1


def test_another_version_of_the_code_has_another_holder(new_sshd, directory, tmp_path):
    """After an update of the code a holder with the new one is started, and the old one is left to those who use it."""
    host = new_sshd()
    package = tmp_path / "root/pylibsshext"
    shutil.copytree(ROOT / "pylibsshext", package, ignore=shutil.ignore_patterns("__pycache__"))
    for _ in range(2):
        assert client(host, root=package.parent).wait(30) == 0
    old = mux_lab.pids(directory)
    assert (host.logins(), len(old)) == (1, 1)
    with open(package / "mux/pool.py", "a") as file:
        file.write("# a new version\n")
    for _ in range(2):
        assert client(host, root=package.parent).wait(30) == 0
    assert host.logins() == 2
    assert set(old) < set(mux_lab.pids(directory))
    assert len(mux_lab.pids(directory)) == 2
    # This process has its code from another place.
    connected(host)
    assert len(mux_lab.pids(directory)) == 3
    wait_for(lambda: host.logins() == 3)


def test_a_holder_of_another_protocol_learns_nothing(sshd, directory):
    """A holder that speaks another version of the protocol gets no more than the name of a session, and is left."""
    name = f"{paths.holder_name()}.sock"
    place = paths.directory()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place.address(name))
        listener.listen()

        def greet():
            peer = listener.accept()[0]
            with peer:
                peer.sendall(struct.pack("!III", VERSION + 1, 0, 0))
                peer.settimeout(5)
                return b"".join(iter(lambda: peer.recv(65536), b""))

        with ThreadPoolExecutor(1) as pool:
            heard = pool.submit(greet)
            with pytest.raises(MuxUnavailable, match=f"speaks version {VERSION + 1} of the protocol, not {VERSION}"):
                connected(sshd, password=sshd.password)
            request = heard.result(10)
            assert set(json.loads(request[request.index(b"{") :])) == {"do", "digest", "persist"}
            assert sshd.password.encode() not in request
            heard, problems = pool.submit(greet), []
            with command.holders(problems) as others:
                assert heard.result(10).endswith(b'{"do":"greet"}')  # and the connection was closed
            assert others == []
            assert re.search(f"speaks version {VERSION + 1} .*{re.escape(name)}", *problems)
    place.close()
    (directory / name).unlink()


def test_fifty_threads_at_once(new_sshd):
    """Fifty connections at once to a server that takes ten channels: nobody is refused, and the logins are few."""
    host = new_sshd()

    def one(_index):
        with connected(host) as session:
            return session.exec_command("sleep 0.2; printf 42").stdout

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(one, range(50))) == [b"42"] * 50
    assert host.logins() <= 16


@pytest.mark.parametrize("most", [1, 2])
def test_few_channels_are_not_an_error(new_sshd, most):
    """What a server with MaxSessions 1 or 2 does not take goes over further sessions, files too."""
    host = new_sshd(sshd_config=f"MaxSessions {most}")
    session = connected(host)
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: connected(host).exec_command("sleep 0.3; printf 42").stdout, range(6)))
    assert done == [b"42"] * 6
    with session.sftp() as sftp:
        sftp.get("/etc/hostname", os.devnull)
    assert session.exec_command("printf 42").stdout == b"42"


def test_one_channel_a_connection(other_server):
    """tinysshd has one channel for each connection: every command still runs."""
    host = other_server("tinysshd")
    session = connected(host)
    assert [session.exec_command("printf 42").stdout for _ in range(3)] == [b"42"] * 3


def test_one_channel_a_connection_and_many_clients(other_server):
    """At a second channel tinysshd ends the connection: those who come at the same time get connections of their own."""
    host = other_server("tinysshd")

    def command(_number):
        return connected(host).exec_command("sleep 0.3; printf 42").stdout

    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(command, range(10))) == [b"42"] * 10


def test_streams_status_and_signal(sshd):
    """stdout, stderr, exit status and signal are those of the command; large input comes back whole."""
    session = connected(sshd)
    done = session.exec_command("printf out; printf err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode, done.signal) == (b"out", b"err", 3, None)
    assert session.exec_command("kill -TERM $$").signal == "TERM"
    data = os.urandom(3 << 20)
    assert session.exec_command("cat", stdin=data).stdout == data
    assert session.exec_command("exec 0<&-; sleep 0.2; printf 42", stdin=data).stdout == b"42"
    assert session.exec_command("tty", pty=True).stdout.startswith(b"/dev/pts/")


def test_nobody_waits_for_what_another_thread_has_read(sshd):
    """A short command is short: the threads that serve it, and the one that watches idle sessions, tell each other what came."""
    times = []
    for _ in range(25):
        with MuxSession(30) as session:
            session.connect(**keywords(sshd))
            began = time.monotonic()
            session.exec_command("true")
            times.append(time.monotonic() - began)
    assert statistics.median(times) < 0.08


def test_a_time_out_carries_the_output_so_far(sshd):
    """A command that takes too long is hung up on, and what it printed is in the exception."""
    session = connected(sshd)
    with pytest.raises(errors.LibsshChannelTimeout) as caught:
        session.exec_command("printf before; sleep 60", timeout=1)
    assert caught.value.stdout == b"before"
    assert session.exec_command("printf 42").stdout == b"42"


def test_much_output_needs_little_memory(sshd, directory):
    """A gigabyte goes through to a reader that begins late, and the holder does not grow by it."""
    session = connected(sshd)
    session.exec_command("true")
    (pid,) = mux_lab.pids(directory)

    def resident():
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    before, total = resident(), 0
    with session.new_channel() as channel:
        channel.request_exec("head -c 1000000000 /dev/zero")
        time.sleep(0.5)
        for data in channel:
            total += len(data)
        assert channel.wait() == 0
    assert total == 1_000_000_000
    assert resident() - before < 16 << 20


def test_a_slow_reader_stops_nobody(sshd):
    """While one client does not read its output, others on the same session run."""
    slow, quick = connected(sshd), connected(sshd)
    with slow.new_channel() as channel:
        channel.request_exec("head -c 30000000 /dev/zero")
        time.sleep(0.3)
        assert quick.exec_command("printf 42").stdout == b"42"
        assert sum(map(len, channel)) == 30_000_000


def test_a_slow_reader_on_one_host_stops_no_other_host(new_sshd):
    """While nobody reads what one host sends, on several channels, commands and files of another host run."""
    slow, quick = connected(new_sshd()), connected(new_sshd())
    channels = [slow.new_channel() for _ in range(4)]
    for channel in channels:
        channel.request_exec("head -c 30000000 /dev/zero")
    time.sleep(0.3)
    began = time.monotonic()
    for _ in range(5):
        assert quick.exec_command("printf 42").stdout == b"42"
    data = os.urandom(5_000_000)
    assert quick.exec_command("cat", stdin=data).stdout == data
    with quick.sftp() as sftp:
        sftp.get(sys.executable, os.devnull)
    assert time.monotonic() - began < 3
    assert [sum(map(len, channel)) for channel in channels] == [30_000_000] * 4


DIFFERENT = {
    "password": {"password": "another"},
    "user": {"user": "nopw"},
    "host_key_checking": {"host_key_checking": False},
    "ciphers": {"ciphers": "aes256-ctr"},
    "agent": {"agent": True},
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_is_not_shared(new_sshd, name):
    """A connection with any other setting makes a login of its own."""
    host = new_sshd()
    if name == "user" and not host.has_accounts:
        pytest.fail("the lab has no second user here")
    connected(host)
    assert not connected(host, **DIFFERENT[name]).reused
    wait_for(lambda: host.logins() == 2)


def test_a_wrong_password_never_gets_another_ones_session(new_sshd):
    """Who does not know the password gets no session, though one with the right password is held."""
    host = new_sshd()
    if not host.has_accounts:
        pytest.fail("the lab has no passwords here")
    changes = {"identities": None, "user": "ansible"}
    assert connected(host, password=host.password, **changes).exec_command("id -un").stdout == b"ansible\n"
    with pytest.raises(errors.AuthenticationError) as caught:
        connected(host, password="wrong", **changes)
    assert caught.value.attempts
    assert "wrong" not in str(caught.value)


def test_two_ports_of_one_address(new_sshd):
    """Two servers on one address are two sessions, and each command runs where it belongs."""
    one, two = new_sshd(), new_sshd()
    for host in (one, two, one):
        done = connected(host).exec_command("echo $SSH_CONNECTION")
        assert done.stdout.split()[-1] == str(host.port).encode()
    assert (one.logins(), two.logins()) == (1, 1)


def test_an_unknown_host_key_is_asked_about_in_the_client(new_sshd, tmp_path):
    """The client's own policy decides about an unknown key, and its own exception is what it gets back."""
    host = new_sshd()
    asked = []

    class Policy(MissingHostKeyPolicy):
        def missing_host_key(self, session, hostname, username, key_type, fingerprint, message):
            asked.append((hostname, session.port, key_type))
            if len(asked) == 1:
                raise LookupError("not today")
            session.hostkey_auto_add(username)

    file = tmp_path / "known_hosts"
    with MuxSession(30) as session:
        session.set_missing_host_key_policy(Policy())
        with pytest.raises(LookupError, match="not today"):
            session.connect(**keywords(host, knownhosts=str(file)))
        session.connect(**keywords(host, knownhosts=str(file)))
    assert asked == [(host.address, host.port, "ssh-ed25519")] * 2
    assert host.host_keys[0].split()[1] in file.read_text()


@pytest.fixture
def open_directory():
    """A directory that all users of the lab can write to."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_a_killed_client_takes_its_command_with_it(new_sshd, open_directory):
    """The remote process of a client that was killed gets a hang-up; the session stays for the others."""
    host = new_sshd()
    if host.has_accounts:
        host.user = "ansible"  # OpenSSH forwards no signals to root's processes
    mark = open_directory / "mark"
    process = client(host, f"echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 300")
    wait_for(mark.exists)
    process.kill()
    process.wait()
    # A closed channel alone would let it sleep on.
    wait_for(lambda: not Path(f"/proc/{int(mark.read_text())}").exists())
    assert connected(host).reused


def test_a_killed_holder_is_an_error_and_nothing_runs_twice(new_sshd, tmp_path, directory):
    """A command in flight fails as a lost connection and is not run again; the next client starts another holder."""
    host = new_sshd()
    mark = tmp_path / "mark"
    session = connected(host)
    with session.new_channel() as channel:
        channel.request_exec(f"echo run >> {mark}; sleep 0.2; echo out; sleep 60")
        assert channel.read() == b"out\n"
        for pid in mux_lab.pids(directory):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(errors.LibsshChannelConnectionError):
            channel.communicate()
    assert connected(host).exec_command("printf 42").stdout == b"42"
    assert mark.read_text() == "run\n"
    assert host.logins() == 2


def test_a_restarted_server_is_reconnected(new_sshd):
    """The next command after the server's restart logs in again, without an error."""
    host = new_sshd()
    session = connected(host)
    assert session.exec_command("printf 42").stdout == b"42"
    host.restart()
    assert session.exec_command("printf 42").stdout == b"42"
    assert host.logins() == 2


def test_reset_ends_exactly_that_session(new_sshd):
    """After a reset that host is logged in to anew, and the other one is not."""
    one, two = new_sshd(), new_sshd()
    connected(one)
    connected(two)
    assert connected(one).reset()
    assert not connected(one).reused
    assert connected(two).reused


def test_an_idle_session_ends_and_then_the_holder(new_sshd, directory):
    """After its seconds a session is closed; a holder without sessions and clients ends, and takes its socket along."""
    host = new_sshd()
    with connected(host, persist=1) as session:
        session.exec_command("true")
    wait_for(lambda: not host.connections())
    assert mux_lab.gone(directory)
    assert not list(directory.glob("*.sock"))


def test_files_there_and_back(sshd, tmp_path):
    """Files go by the holder's own SFTP client, with their modes; errors are those of SFTP."""
    source, remote, target = tmp_path / "source", tmp_path / "remote", tmp_path / "target"
    source.write_bytes(os.urandom(1 << 20))
    source.chmod(0o640)
    session = connected(sshd)
    with session.sftp() as sftp:
        sftp.put(str(source), str(remote))
        sftp.get(str(remote), str(target))
        assert target.read_bytes() == remote.read_bytes() == source.read_bytes()
        assert (remote.stat().st_mode & 0o777, target.stat().st_mode & 0o777) == (0o640, 0o640)
        with pytest.raises(FileNotFoundError) as caught:
            sftp.get(str(tmp_path / "absent"), str(target))
        assert caught.value.filename == str(tmp_path / "absent")
        with pytest.raises(FileNotFoundError):
            sftp.put(str(source), str(tmp_path / "absent/x"))
        assert "source" in sftp.listdir(str(tmp_path))  # what the holder has no short way for
        (tmp_path / "short").symlink_to("/dev/full")
        with pytest.raises(OSError, match=f"writing byte 0: '{re.escape('/dev/full')}'"):
            sftp.get(str(remote), str(tmp_path / "short"))
    session.scp().get(str(remote), str(tmp_path / "by_scp"))
    assert (tmp_path / "by_scp").read_bytes() == source.read_bytes()


def test_a_channel_goes_from_client_to_client(sshd):
    """A shell that one client keeps is taken by the next one, with its state and with output that nobody has read."""
    first = connected(sshd)
    shell = first.new_channel()
    shell.request_exec("exec sh")
    shell.write(b"x=42; echo ready\n")
    assert shell.read() == b"ready\n"
    shell.write(b"echo later\n")
    first.keep(shell, "cli")
    first.close()
    second = connected(sshd)
    taken = second.take("cli")
    assert taken is not None
    assert taken.read() == b"later\n"
    taken.write(b"echo $x; exit 7\n")
    assert taken.read() == b"42\n"
    assert taken.wait(10) == 7
    assert second.take("cli") is None


KEEPER = """
import json, sys
from pylibsshext.mux.client import MuxSession
with MuxSession(30) as session:
    session.connect(**json.loads(sys.argv[1]))
    shell = session.take("cli")
    if shell is None:
        shell = session.new_channel()
        shell.request_exec("exec sh")
        shell.write(b"x=0; echo $$\\n")
        open(sys.argv[2], "wb").write(shell.read())
    shell.write(b"x=$((x + 1)); echo $x\\n")
    print(shell.read().decode(), end="", file=open(sys.argv[2], "a"))
    session.keep(shell, "cli")
"""


def test_a_channel_goes_from_process_to_process(new_sshd, tmp_path):
    """A shell lives on from one process to the next; if a process that has it is killed, nobody takes it again."""
    host, file = new_sshd(), tmp_path / "said"
    for _ in range(3):
        assert client(host, str(file), KEEPER).wait(30) == 0
    pid, *counted = file.read_text().split()
    assert counted == ["1", "2", "3"]
    assert listed()[0]["kept"] == ["cli"]
    process = client(host, str(file), KEEPER.replace("session.keep", "sys.stdin.read() and session.keep"))
    wait_for(lambda: file.read_text().endswith("4\n"))
    process.kill()
    process.wait()
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    assert connected(host).take("cli") is None
    assert host.logins() == 1


def test_no_secret_is_to_be_seen(new_sshd, directory):
    """A password is in no command line, no environment and no file of the holder's, and its memory is closed to others."""
    host = new_sshd()
    if not host.has_accounts:
        pytest.fail("the lab has no passwords here")
    connected(host, password=host.password, identities=None, user="ansible")
    (pid,) = mux_lab.pids(directory)
    secret = host.password.encode()
    assert secret not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert secret not in Path(f"/proc/{pid}/environ").read_bytes()
    assert "Max core file size 0 0" in " ".join(Path(f"/proc/{pid}/limits").read_text().split())
    assert all(path.stat().st_size == 0 for path in directory.iterdir())
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)} == {"/dev/null"}


def test_a_directory_that_others_can_enter_is_refused(sshd, directory):
    """A directory for the socket that is open to others is not used, and the reason is told."""
    directory.mkdir(mode=0o755)
    with pytest.raises(MuxUnavailable, match="open to others"):
        connected(sshd)


def test_a_long_path_is_no_hindrance(sshd, tmp_path):
    """The directory's path may be longer than the address of a socket."""
    deep = tmp_path / ("d" * 120)
    with mux_lab.own_directory(deep):
        assert connected(sshd).exec_command("printf 42").stdout == b"42"


def test_the_command_line(new_sshd):
    """``mux list``, ``close`` and ``stop`` show and end what is held."""
    host = new_sshd()
    connected(host)

    def mux(*words):
        return subprocess.run(
            [sys.executable, "-m", "pylibsshext", "mux", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    label = f"{host.user}@{host.address}:{host.port}"
    _, head, line = mux("list").splitlines()
    row = dict(zip(head.split(), line.split()))
    assert (row["SESSION"], row["CHANNELS"], row["KEPT"], row["OF"]) == (label, "0", "-", "30")
    assert row.keys() == {"SESSION", "SINCE", "CHANNELS", "KEPT", "SENT", "RECEIVED", "IDLE", "OF"}
    assert mux("close", label) == "1 sessions closed\n"
    assert label not in mux("list")
    assert mux("stop") == "stopped\n"


def test_hosts_behind_one_bastion_share_its_login(new_sshd, tmp_path):
    """Twenty hosts at once through two hops: one login at each hop, which ends when nobody goes through any more."""
    first, second, host = new_sshd(), new_sshd(sshd_config="MaxSessions 1"), new_sshd(sshd_config="MaxStartups 100")
    known = tmp_path / "known"
    names = [f"h{number}" for number in range(20)]
    known.write_text(first.known_hosts + second.known_hosts + "".join(f"{name} {host.host_keys[0]}\n" for name in names))
    way = [{"host": hop.address, "port": hop.port, "user": hop.user} for hop in (first, second)]

    def one(name):
        with connected(host, persist=2, host_key_alias=name, proxy_jump=way, knownhosts=str(known)) as session:
            return session.exec_command("printf 42").stdout

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(one, names)) == [b"42"] * 20
    assert (first.logins(), second.logins(), host.logins()) == (1, 1, 20)
    assert one("h3") == b"42"
    first.kill_connections()
    wait_for(lambda: not host.connections())
    assert one("h3") == b"42"
    assert (first.logins(), second.logins(), host.logins()) == (2, 2, 21)
    wait_for(lambda: not (first.connections() or second.connections() or host.connections()), 15)


def test_a_circle_of_hops_ends(new_sshd, tmp_path):
    """Hops that lead to each other are an error here, too, and not a login that waits for itself."""
    host, config = new_sshd(), tmp_path / "config"
    config.write_text(f"Host {host.address}\n ProxyJump b\nHost b\n ProxyJump c\nHost c\n ProxyJump b\n")
    with pytest.raises(LibsshSessionException, match="leads back to b:22"):
        connected(host, config_file=str(config))


def test_keepalives_of_ssh_config(new_sshd, relay):
    """ServerAliveInterval of ssh_config counts over the holder's own."""
    far, link = relay(new_sshd())
    lines = ["ServerAliveInterval 1", "ServerAliveCountMax 1"]
    session = connected(far, ssh_options=lines)
    assert session.is_connected
    link.freeze()
    wait_for(lambda: not session.is_connected, 6)


STRANGER = 65534  # nobody's number
AS_CLIENT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(1))"
AS_HOLDER = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print(flush=True)
peer = s.accept()[0]
print(peer.recv(1))
"""


def stranger(code, path):
    """Run a program as another user."""
    if os.geteuid():
        missing("root, for a process of another user's")
    python = "/usr/bin/python3"  # this Python may be below root's home
    return subprocess.Popen([python, "-c", code, path], user=STRANGER, cwd="/", stdout=subprocess.PIPE, text=True)


@pytest.fixture
def reachable():
    """A directory to which strangers have a way, as no one should make it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        with mux_lab.own_directory(Path(name) / "mux") as directory:
            yield directory
            while SESSIONS:
                SESSIONS.pop().close()


def test_another_user_is_hung_up_on(sshd, reachable):
    """The holder asks a process of another user's that gets at its socket for nothing, and hangs up."""
    connected(sshd)
    (sock,) = reachable.glob("*.sock")
    sock.chmod(0o777)
    reachable.chmod(0o711)
    assert stranger(AS_CLIENT, sock).communicate(timeout=10)[0] == "b''\n"


def test_another_users_holder_gets_nothing(sshd, reachable):
    """A client tells nothing to a process of another user's that sits where the holder should be."""
    reachable.mkdir()
    reachable.chmod(0o777)
    process = stranger(AS_HOLDER, reachable / f"{paths.holder_name()}.sock")
    process.stdout.readline()
    reachable.chmod(0o700)
    with pytest.raises(MuxUnavailable, match=f"belongs to user {STRANGER}"):
        connected(sshd)
    assert process.communicate(timeout=10)[0] == "b''\n"
    next(reachable.glob("*.sock")).unlink()
