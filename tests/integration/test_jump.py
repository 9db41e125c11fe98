# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways to a host: through other hosts, SOCKS and HTTP proxies, Unix sockets."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time

import pytest

from pylibsshext.errors import (
    AuthenticationError,
    HostKeyChangedError,
    HostKeyError,
    LibsshConnectionError,
    LibsshException,
    LibsshSessionException,
    LibsshSessionTimeout,
)
from pylibsshext.session import AutoAddPolicy, Session
from tests.lab import servers
from tests.lab.fixtures import missing
from tests.lab.works import works

from .conftest import login


@pytest.fixture
def all_known(tmp_path):
    """Make a known_hosts file that knows some hosts."""

    def make(*hosts):
        path = tmp_path / "known_hosts"
        path.write_text("".join(host.known_hosts for host in hosts))
        return str(path)

    return make


def hop(host, **more):
    """A hop as a mapping."""
    return {"host": host.address, "port": host.port, "user": host.user, **more}


def test_several_hops(sshd, new_sshd, connect, all_known):
    """Two hops on the way, each logged in to once; what the last one says is said to the host."""
    first, second = new_sshd(), new_sshd()
    known = all_known(sshd, first, second)
    way = f"{first.user}@{first.address}:{first.port},ssh://{second.user}@[{second.address}]:{second.port}"
    session = connect(sshd, proxy_jump=way, knownhosts=known)
    data = os.urandom(3_000_000)
    assert session.exec_command("cat", stdin=data, timeout=30).stdout == data
    assert (first.logins(), second.logins()) == (1, 1)
    assert len(first.connections()) == 1
    works("ProxyJump", first, "connecting")
    session.close()
    deadline = time.monotonic() + 5
    while (first.connections() or second.connections()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (first.connections(), second.connections()) == ([], [])


def test_each_hop_has_its_own_login(sshd, new_sshd, connect, all_known, tmp_path):
    """User, key, password and host key of a hop are its own; the host's password is not shown to it."""
    bastion = new_sshd(sshd_config="AuthenticationMethods password")
    if not bastion.password:
        missing("root, for hosts with passwords")
    known = all_known(sshd)
    about = hop(bastion, password=bastion.password, host_key=bastion.host_keys[0])
    assert connect(sshd, proxy_jump=[about], knownhosts=known).is_connected
    with pytest.raises(AuthenticationError, match=f"port {bastion.port}"):
        connect(sshd, proxy_jump=[hop(bastion, host_key=bastion.host_keys[0])], password=bastion.password, knownhosts=known)
    servers.make_key(tmp_path / "key")
    with pytest.raises(AuthenticationError, match=f"port {sshd.port}"):
        connect(sshd, proxy_jump=[about], knownhosts=known, private_key=(tmp_path / "key").read_bytes(), agent=False)


def test_each_hop_is_checked(sshd, new_sshd, all_known, tmp_path):
    """An unknown hop is for the policy, which hears its name; a changed one is refused, and the host is never asked."""
    bastion = new_sshd()
    known = all_known(sshd)
    with pytest.raises(HostKeyError, match=f"port {bastion.port}"):
        Session().connect(**login(sshd, proxy_jump=[hop(bastion)], knownhosts=known))
    asked = []

    class Policy(AutoAddPolicy):
        def missing_host_key(self, session, hostname, *about):
            asked.append((hostname, session.port))
            super().missing_host_key(session, hostname, *about)

    with Session() as session:
        session.set_missing_host_key_policy(Policy)
        session.connect(**login(sshd, proxy_jump=[hop(bastion)], knownhosts=known))
    assert asked == [(bastion.address, bastion.port)]
    (tmp_path / "known_hosts").write_text(
        f"[{bastion.address}]:{bastion.port} {servers.make_key(tmp_path / 'other')}\n{sshd.known_hosts}"
    )
    with pytest.raises(HostKeyChangedError, match="ssh-keygen"):
        Session().connect(**login(sshd, proxy_jump=[hop(bastion)], knownhosts=known))


def test_proxy_jump_of_ssh_config(sshd, new_sshd, connect, tmp_path):
    """ProxyJump by ssh_config, where the hop has a block and a way of its own, and "Host *" does not lead in a circle."""
    first, second = new_sshd(), new_sshd()
    (tmp_path / "known").write_text(first.known_hosts + second.known_hosts + sshd.known_hosts)
    config = tmp_path / "config"
    config.write_text(
        f"Host lab\n  HostName {sshd.address}\n  Port {sshd.port}\n  ProxyJump two\n"
        f"Host two\n  HostName {second.address}\n  Port {second.port}\n"
        f"Host one\n  HostName {first.address}\n  Port {first.port}\n"
        f"Host *\n  ProxyJump one\n  UserKnownHostsFile {tmp_path}/known\n"
    )
    about = {"host": "lab", "port": None, "knownhosts": None, "config_file": str(config)}
    assert connect(sshd, **about).exec_command("echo").returncode == 0
    assert (first.logins(), second.logins()) == (1, 1)
    direct = connect(sshd, **about, proxy_jump="none")
    assert direct.is_connected
    assert (first.logins(), second.logins()) == (1, 1)


def test_a_circle(sshd, connect, tmp_path):
    """Hosts that name each other as the way end in an error, at once."""
    config = tmp_path / "config"
    config.write_text("Host a\n ProxyJump b\nHost b\n ProxyJump c\nHost c\n ProxyJump b\n")
    with pytest.raises(LibsshSessionException, match="leads back to b:22"):
        connect(sshd, host="a", config_file=str(config))


@pytest.mark.parametrize("way", ["a:b:c", "@", [{"user": "me"}], "host:port"])
def test_hops_that_are_none(sshd, connect, way):
    """What is no hop is refused before anything is sent."""
    with pytest.raises(LibsshSessionException, match="proxy_jump"):
        connect(sshd, proxy_jump=way)


def test_failures_on_the_way(sshd, new_sshd, connect, all_known, dead_address):
    """Refused by the hop, refused beyond it, not allowed, silent beyond it: each text says where."""
    bastion = new_sshd()
    strict = new_sshd(sshd_config="AllowTcpForwarding no")
    known = all_known(sshd, bastion, strict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    with pytest.raises(LibsshConnectionError, match=f"port {closed} failed"):
        connect(sshd, proxy_jump=f"127.0.0.1:{closed}", knownhosts=known)
    with pytest.raises(LibsshConnectionError, match=f"jump host {bastion.address} port {bastion.port}: .*refused"):
        connect(sshd, proxy_jump=[hop(bastion)], port=closed, knownhosts=known)
    with pytest.raises(LibsshConnectionError, match=r"through the jump host .*AllowTcpForwarding"):
        connect(sshd, proxy_jump=[hop(strict)], knownhosts=known)
    began = time.monotonic()
    with pytest.raises(LibsshSessionTimeout, match="through the jump host"):
        connect(sshd, proxy_jump=[hop(bastion)], port=dead_address[1], knownhosts=known, timeout=1)
    assert time.monotonic() - began < 3


def test_hop_that_dies(sshd, new_sshd, connect, all_known):
    """A command over a hop that dies fails as a lost connection, and soon."""
    bastion = new_sshd()
    session = connect(sshd, proxy_jump=[hop(bastion)], knownhosts=all_known(sshd, bastion))
    threading.Timer(0.3, bastion.kill_connections).start()
    began = time.monotonic()
    with pytest.raises((LibsshException, ConnectionError)):
        session.exec_command("sleep 30", timeout=20)
    assert time.monotonic() - began < 5
    assert not session.is_connected


def test_dropped_session_lets_go_of_its_hops(sshd, new_sshd, all_known):
    """A session that is merely forgotten ends the connections on its way, and their threads."""
    bastion = new_sshd()
    before = threading.active_count()
    session = Session()
    session.connect(**login(sshd, proxy_jump=[hop(bastion)], knownhosts=all_known(sshd, bastion)))
    assert threading.active_count() == before + 2
    del session
    gc.collect()
    deadline = time.monotonic() + 5
    while (bastion.connections() or threading.active_count() > before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (bastion.connections(), threading.active_count()) == ([], before)


def test_ctrl_c_on_the_way(sshd, connect, dead_address):
    """Ctrl-C ends the wait for a hop."""
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        connect(sshd, proxy_jump=f"127.0.0.1:{dead_address[1]}", timeout=20)
    assert time.monotonic() - began < 3


# Proxies


@pytest.mark.parametrize(("scheme", "kind"), [("socks5", "socks"), ("socks5h", "socks"), ("http", "http")])
def test_proxies(sshd, connect, proxy_server, scheme, kind):
    """Through a proxy, with and without a password; names are resolved where the scheme says."""
    proxy = proxy_server(kind)
    about = {"host": "localhost", "host_key": sshd.host_keys[0], "address_family": "inet"}
    session = connect(sshd, **about, proxy=f"{scheme}://127.0.0.1:{proxy.port}")
    assert session.exec_command("echo x").stdout == b"x\n"
    expected = {"socks5": (1, "127.0.0.1", sshd.port), "socks5h": (3, "localhost", sshd.port)}
    assert proxy.asked == [expected.get(scheme, f"CONNECT localhost:{sshd.port} HTTP/1.1")]
    strict = proxy_server(kind, user=("me", "pass word"))
    assert connect(sshd, **about, proxy=f"{scheme}://me:pass%20word@127.0.0.1:{strict.port}").is_connected
    for credentials in ("", "me:canary@"):
        with pytest.raises(LibsshConnectionError, match="user name") as caught:
            connect(sshd, **about, proxy=f"{scheme}://{credentials}127.0.0.1:{strict.port}")
        assert "canary" not in str(caught.value)
    unable = proxy_server(kind, reply=5)
    with pytest.raises(LibsshConnectionError, match="can't connect to"):
        connect(sshd, **about, proxy=f"{scheme}://127.0.0.1:{unable.port}")


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_proxy_that_is_none(sshd, connect, scheme):
    """An SSH server is no proxy, a silent one is waited for no longer than is allowed, and a closed port is no proxy at all."""
    with pytest.raises(LibsshConnectionError, match="no SOCKS 5 proxy|no HTTP proxy|hung up|does not end"):
        connect(sshd, proxy=f"{scheme}://{sshd.address}:{sshd.port}", timeout=5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(LibsshSessionTimeout, match="does not answer in time"):
            connect(sshd, proxy=f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", timeout=1)
        assert 0.9 < time.monotonic() - began < 2
    with pytest.raises(LibsshConnectionError, match="refused"):
        connect(sshd, proxy=f"{scheme}://127.0.0.1:{silent.getsockname()[1] if silent.fileno() >= 0 else 1}")


@pytest.mark.parametrize("url", ["ftp://h", "socks5://", "nonsense", "http://h:port", "socks5://me:canary@h:99999999"])
def test_urls_that_are_none(sshd, connect, url):
    """What is no proxy is refused, and a password in it not shown."""
    with pytest.raises(LibsshSessionException, match="prox") as caught:
        connect(sshd, proxy=url)
    assert "canary" not in str(caught.value)


def test_unix_socket(sshd, connect, tmp_path, proxy_server):
    """A server behind a Unix socket."""
    path = tmp_path / "socket"
    with proxy_server("unix", path=path, target=(sshd.address, sshd.port)):
        assert connect(sshd, unix_socket=str(path)).exec_command("echo x").stdout == b"x\n"
    with pytest.raises(LibsshConnectionError, match=f"connecting to the Unix socket {path} failed: Connection refused"):
        connect(sshd, unix_socket=str(path))


PASS = "import array, socket, sys, time; sock = socket.create_connection((sys.argv[1], int(sys.argv[2]))); {}"
GIVE = "socket.socket(fileno=1).sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [sock.fileno()]))])"


def test_proxy_command_that_passes_a_connection(sshd, connect, tmp_path):
    """ProxyUseFdpass: the command makes the connection, hands it over and is gone; one that does not is told."""

    def through(program, **more):
        (tmp_path / "program.py").write_text(PASS.format(program))
        lines = ["ProxyUseFdpass yes", f"ProxyCommand {sys.executable} {tmp_path}/program.py %h %p"]
        return connect(sshd, ssh_options=lines, **more)

    session = through(GIVE)
    assert session.exec_command("echo x").stdout == b"x\n"
    with pytest.raises(LibsshConnectionError, match="the ProxyCommand ended with exit status 3: no way"):
        through("sys.exit(print('no way', file=sys.stderr) or 3)")
    with pytest.raises(LibsshConnectionError, match="passes no connection on"):
        through("sock.close(); socket.socket(fileno=1).send(b'x'); time.sleep(9)")
    began = time.monotonic()
    with pytest.raises(LibsshSessionTimeout, match="passes no connection on in time"):
        through("time.sleep(9)", timeout=1)
    assert 0.9 < time.monotonic() - began < 3
    gc.collect()
