# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's hosts are what they say they are: proven with OpenSSH's own client."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from scripts import build_libssh
from tests.lab import Host, Lab, LabError, netns, releases
from tests.lab.fixtures import NewHost, missing
from tests.lab.hosts import wait_until
from tests.lab.openssh import options, ssh, with_password
from tests.lab.processes import alive, command, descendants, marked, send

ISOLATED = Path(netns.__file__).with_name("run-isolated.sh")
BACKENDS = {"loopback": "new_sshd", "podman": "container_host", "netns": "netns_host"}


@pytest.fixture(params=BACKENDS)
def new_host(request: pytest.FixtureRequest) -> NewHost:
    """The maker of hosts of each backend in turn."""
    maker: NewHost = request.getfixturevalue(BACKENDS[request.param])
    return maker


def with_accounts(host: Host) -> Host:
    """A host where the lab's users can log in; loopback without root has none."""
    if not host.has_accounts:
        missing("the lab's users: needs root")
    return host


def test_exec_rc_and_streams(new_host: NewHost) -> None:
    """Every backend runs commands: exit status, standard output and standard error are apart."""
    done = ssh(new_host(), "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_password_and_sudo(new_host: NewHost) -> None:
    """The user ansible logs in with a password and may sudo; nopw needs the password for that."""
    host = with_accounts(new_host())
    assert with_password(host, "id -un; sudo -n id -u", "s3cret", user="ansible").stdout == "ansible\n0\n"
    assert with_password(host, "true", "wrong", user="ansible").returncode == 255
    assert ssh(host, "sudo -n id -u", user="nopw").returncode == 1
    assert ssh(host, "sudo -S -p '' id -u", user="nopw", input="s3cret\n").stdout == "0\n"


def test_pty(new_host: NewHost) -> None:
    """A terminal can be had."""
    assert ssh(new_host(), "tty", "-tt").stdout.startswith("/dev/pts/")


def test_sftp_and_its_absence(new_host: NewHost, tmp_path: Path) -> None:
    """Files go there and back by SFTP; a host without it refuses the subsystem, and still runs commands."""
    (tmp_path / "source").write_bytes(os.urandom(300_000))
    batch = f"put {tmp_path}/source lab-test\nget lab-test {tmp_path}/back\n"
    for host, expected in ((new_host(), 0), (new_host(sftp=False), 255)):
        argv = ["sftp", "-q", *options(host), "-b", "-", host.address]
        done = subprocess.run(argv, input=batch, text=True, capture_output=True, timeout=30, check=False)
        assert done.returncode == expected, done.stderr
        assert ssh(host, "echo here").stdout == "here\n"
    assert (tmp_path / "back").read_bytes() == (tmp_path / "source").read_bytes()


def test_server_configuration(new_host: NewHost) -> None:
    """The lines of sshd_config that a test gives win over the lab's own, and may have Match blocks."""
    forced = "PermitTTY no\nMatch User *\n  ForceCommand echo forced\n"
    assert ssh(new_host(sshd_config=forced), "true").stdout == "forced\n"
    assert ssh(new_host(sshd_config="MaxSessions 0"), "true").returncode == 255
    assert "Hello" in ssh(new_host(banner="Hello\n"), "true", "-o", "LogLevel=INFO").stderr


def test_two_factors(new_host: NewHost) -> None:
    """A server can want a key and a password: the key alone is not enough, both are."""
    host = with_accounts(new_host(sshd_config="AuthenticationMethods publickey,password"))
    assert "Permission denied (password)" in ssh(host, "true").stderr
    both = ("-o", "PreferredAuthentications=publickey,password")
    assert with_password(host, "echo in", "s3cret", *both, user="ansible").stdout == "in\n"


def test_host_keys(new_host: NewHost) -> None:
    """A host has the host keys that a test wants, and its known_hosts lines are true; another host's are not."""
    host = new_host(host_keys=("ed25519", "ecdsa", "rsa"))
    types = [key.split()[0] for key in host.host_keys]
    assert types == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    for algorithm in ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"):
        assert ssh(host, "echo in", "-o", f"HostKeyAlgorithms={algorithm}").stdout == "in\n"
    stranger = host.at(host.address, host.port)
    stranger.host_keys = new_host().host_keys
    assert "Host key verification failed" in ssh(stranger, "true").stderr


def test_logins_are_counted(new_host: NewHost) -> None:
    """The log tells how many logins there were."""
    host = new_host()
    assert host.logins() == 0
    ssh(host, "true")
    ssh(host, "true")
    assert host.logins() == 2


def test_restart(new_host: NewHost) -> None:
    """A restarted host breaks its connections and is found at the same address with the same key."""
    host = new_host()
    with subprocess.Popen(["ssh", *options(host), host.address, "sleep 60"], stdin=subprocess.DEVNULL) as client:
        wait_until(lambda: len(host.connections()) == 1, "the connection")
        host.restart()
        assert client.wait(10) == 255
    assert ssh(host, "echo again").stdout == "again\n"


def test_kill_connections(new_host: NewHost) -> None:
    """One connection's server process can be killed; the host goes on, and takes others."""
    host = new_host()
    with subprocess.Popen(["ssh", *options(host), host.address, "sleep 60"], stdin=subprocess.DEVNULL) as client:
        wait_until(lambda: len(host.connections()) == 1, "the connection")
        assert host.kill_connections() == 1
        assert client.wait(10) == 255
    assert ssh(host, "echo again").stdout == "again\n"


def test_freeze_and_thaw(new_host: NewHost) -> None:
    """A frozen host says nothing; thawed it goes on where it was."""
    host = new_host()
    argv = ["ssh", *options(host), host.address, "sleep 0.5; echo awake"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as client:
        wait_until(lambda: len(host.connections()) == 1, "the connection")
        host.freeze()
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(2)
        host.thaw()
        assert client.communicate(timeout=10)[0] == "awake\n"


def test_run_behind_the_server(new_host: NewHost) -> None:
    """A test can do what root can on the host, without SSH."""
    host = with_accounts(new_host())
    assert host.run("id", "-un").stdout == "root\n"
    assert host.run("id", "-u", "nopw").stdout == "61002\n"
    with pytest.raises(LabError, match="rc=1"):
        host.run("false")


def test_setup_script(container_host: NewHost) -> None:
    """A host with files of its own runs a test's script before its server."""
    host = container_host(setup="echo done >/etc/lab-setup\n")
    assert ssh(host, "cat /etc/lab-setup").stdout == "done\n"
    assert not Path("/etc/lab-setup").exists()


def test_the_home_on_loopback_is_empty(new_sshd: NewHost) -> None:
    """No shell start-up file of the real user runs in a command, and no relative path leads into the real home."""
    host = new_sshd()
    said = ssh(host, "echo $HOME; cd && ls -A").stdout.splitlines()
    assert said == [str(host.directory / "home" / host.user)]


def test_other_servers_log_in(other_server: Callable[..., Host]) -> None:
    """Dropbear and tinysshd run commands; logins are counted there too."""
    if os.geteuid():
        missing("dropbear and tinysshd on loopback: need root")
    for name, says in (("dropbear", "dropbear"), ("tinysshd", "tinyssh")):
        host = other_server(name)
        assert says in ssh(host, "true", "-v", "-o", "LogLevel=DEBUG1").stderr
        assert ssh(host, "exit 3").returncode == 3
        assert host.logins() == 2


def test_a_dead_address_never_answers(dead_address: tuple[str, int]) -> None:
    """Connecting there neither succeeds nor fails."""
    with pytest.raises(TimeoutError):
        socket.create_connection(dead_address, 0.5)


def test_a_closed_lab_leaves_nothing() -> None:
    """When a lab ends there are no files and no processes of it, not even those that a user has put in the background."""
    with Lab() as lab:
        ssh(lab.new(), "setsid sleep 60 >/dev/null 2>&1 </dev/null &")
        assert marked(lab.id)
    assert not marked(lab.id)
    assert not lab.directory.exists()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL, None])
def test_the_command_leaves_nothing(end: signal.Signals | None) -> None:
    """`python -m tests.lab serve` gives a host to a program of any kind, and clears away after every end."""
    argv = [sys.executable, "-m", "tests.lab", "serve", "--sshd-config", "ForceCommand echo served"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        assert served.stdin is not None
        (host,) = json.loads(served.stdout.readline())
        below = descendants(served.pid)
        words = ["-F", "none", "-i", host["key"], "-o", f"UserKnownHostsFile={host['known_hosts']}", "-p", str(host["port"])]
        argv = ["ssh", *words, "-o", "BatchMode=yes", f"{host['user']}@{host['address']}", "true"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        assert done.stdout == "served\n"
        if end:
            served.send_signal(end)
        else:
            served.stdin.close()
    wait_until(lambda: not [pid for pid in below if alive(pid)] and not Path(host["key"]).parent.exists(), "the end of all")


def test_the_next_lab_sweeps() -> None:
    """Of a lab that has died together with its reaper the next one removes the directory; one that lives is left alone."""
    argv = [sys.executable, "-m", "tests.lab", "serve"]
    with Lab() as living, subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        directory = Path(json.loads(served.stdout.readline())[0]["key"]).parent
        send(signal.SIGKILL, *reversed(descendants(served.pid)), served.pid)
        served.wait(10)
        assert directory.exists()
        with Lab():
            assert not directory.exists()
            assert living.directory.exists()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_an_isolated_run(end: signal.Signals) -> None:
    """When run-isolated.sh is ended, so is all that it has started, in the background too; its status tells the signal."""
    need_root()
    heard = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)  # also where nohup runs the tests
    with subprocess.Popen([ISOLATED, "sh", "-c", "setsid sleep 60 & sleep 60; true"], preexec_fn=heard) as run:  # noqa: PLW1509  there are no threads
        wait_until(lambda: [command(pid) for pid in descendants(run.pid)].count("sleep 60") == 2, "both of its processes")
        below = descendants(run.pid)
        run.send_signal(end)
        assert run.wait(5) == -end
    wait_until(lambda: not [pid for pid in below if alive(pid)], "the end of all")


def test_ctrl_c_in_an_isolated_run() -> None:
    """Ctrl-C at a terminal interrupts the command, which ends in its own way, and then run-isolated.sh."""
    need_root()
    code = """
import time
try:
    print("started", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.5)
    print("tidied up", flush=True)
"""
    pid, terminal = pty.fork()
    if not pid:
        os.execv(ISOLATED, [str(ISOLATED), sys.executable, "-c", code])  # noqa: S606  the process is a fork already
    said = b""
    while b"started" not in said:
        said += os.read(terminal, 1000)
    below = descendants(pid)
    os.write(terminal, b"\x03")
    while b"tidied up" not in said:
        said += os.read(terminal, 1000)
    os.waitpid(pid, 0)
    os.close(terminal)
    wait_until(lambda: not [pid for pid in below if alive(pid)], "the end of all")


def need_root() -> None:
    """Give the test up if there can't be namespaces."""
    if os.geteuid():
        missing("root")


def test_needed_programs() -> None:
    """In CI all that the lab can use is there: a backend that is absent would make tests pass that never ran."""
    absent = [name for name in ("sshd", "podman", "dropbear", "tinysshd") if not shutil.which(name)]
    if absent:
        missing(", ".join(absent))


def test_source_of_a_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Debian has a suite no longer, the project's own site is asked; what is not the release is refused, with all reasons."""
    tarball = tmp_path / "openssh-8.4p1.tar.gz"
    tarball.write_bytes(b"the release")
    release = releases.Release(hashlib.sha256(b"the release").hexdigest(), "no-such-suite")
    monkeypatch.setitem(releases.RELEASES, (8, 4), release)
    monkeypatch.setattr(releases, "SITE", tmp_path.as_uri())
    monkeypatch.setattr(build_libssh, "debian_mirror", tmp_path.as_uri)
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
    assert releases.source((8, 4), tmp_path / "first").read_bytes() == b"the release"
    tarball.write_bytes(b"another")
    with pytest.raises(
        build_libssh.BuildError, match=r"(?s)no source of openssh-8\.4:.*apt.*openssh-8\.4p1\.tar\.gz is not the release"
    ):
        releases.source((8, 4), tmp_path / "second")


def test_two_labs_at_once(container_host: NewHost, netns_host: NewHost) -> None:
    """Hosts of two labs with networks of their own don't get in each other's way."""
    with Lab() as other:
        hosts = [container_host(), netns_host(), other.new("podman"), other.new("netns")]
        for host in hosts:
            host.run("sh", "-c", f"echo {host.lab.id} {host.name} >/etc/lab-who")
        for host in hosts:
            assert ssh(host, "cat /etc/lab-who").stdout == f"{host.lab.id} {host.name}\n"


def test_addresses_come_round_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab can have any number of hosts one after the other, and each answers at once at the address of an earlier one."""
    problem = lab.unusable("netns")
    if problem:
        missing(f"hosts in namespaces: {problem}")
    monkeypatch.setattr(netns, "_MOST", 2)
    with Lab() as other:
        first, second = other.new("netns"), other.new("netns")
        with pytest.raises(LabError, match="2 hosts at a time"):
            other.new("netns")
        for gone in (first, second):
            ssh(gone, "true")
            gone.remove()
            after = other.new("netns")
            assert after.address == gone.address
            with socket.create_connection((after.address, after.port), 0.9) as sock:
                assert sock.recv(4) == b"SSH-"


def test_environment_of_a_test(sshd: Host, new_sshd: NewHost) -> None:
    """A test can set variables on the server; the lab's own mark stays."""
    host = new_sshd(sshd_config="SetEnv WHO=me\n")
    assert ssh(host, "echo $WHO $SSH_LAB").stdout == f"me {host.lab.id}\n"
    assert ssh(sshd, "echo $WHO $SSH_LAB").stdout == f"{sshd.lab.id}\n"
