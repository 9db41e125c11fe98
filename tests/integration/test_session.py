# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sessions: connecting, options, what was negotiated, ends and new beginnings."""

from __future__ import annotations

import fnmatch
import gc
import logging
import os
import re
import resource
import socket
import threading
import time

import pytest

import pylibsshext
from pylibsshext import _core
from pylibsshext.doctor import examine
from pylibsshext.errors import (
    AuthenticationError,
    LibsshChannelTimeout,
    LibsshConnectionError,
    LibsshException,
    LibsshSessionException,
    LibsshSessionTimeout,
)
from pylibsshext.session import Session
from tests.lab import servers
from tests.lab.works import works

from .conftest import login

newer_than_0_10 = pytest.mark.skipif(
    _core.LIBSSH_VERSION.startswith("0.10."),
    reason="libssh 0.10 has no post-quantum key exchange, and takes no changes of lists",
)


def test_connect_with_every_kind_of_text(sshd, connect):
    """Host, user, key and file names are text, bytes, or subclasses of them; the port is a number or digits."""

    class Tagged(str):
        __slots__ = ()

    key = sshd.key.read_text()
    for kind in (str, str.encode, Tagged):
        session = connect(
            sshd,
            host=kind(sshd.address),
            port=str(sshd.port),
            user=kind(sshd.user),
            private_key=kind(key),
            knownhosts=kind(str(sshd.known_hosts_file)),
        )
        assert session.exec_command("echo fine").stdout == b"fine\n"
        session.close()


def test_options_in_the_constructor(sshd):
    """What the constructor is given holds for connect()."""
    options = login(sshd)
    now = {name: options.pop(name) for name in ("private_key", "look_for_keys", "config_file")}
    with Session(**options) as session:
        assert session.port == sshd.port
        session.connect(**now)
        assert session.is_connected


def test_with_block(sshd):
    """A with block closes the session, also after an exception."""
    with pytest.raises(ZeroDivisionError), Session() as session:
        session.connect(**login(sshd))
        raise ZeroDivisionError
    assert not session.is_connected


def test_reconnect(sshd, session):
    """A session can be connected again after disconnect() and after close(), with other options too."""
    for end in (session.disconnect, session.close):
        end()
        end()
        assert not session.is_connected
        session.connect(**login(sshd))
        assert session.exec_command("echo again").stdout == b"again\n"


def test_reconnect_remembers_options(sshd, session):
    """Options hold for the next connect; the secrets do not."""
    session.close()
    session.connect(private_key=sshd.key.read_bytes(), look_for_keys=False, config_file="none")
    assert session.exec_command("echo again").stdout == b"again\n"


def test_connect_after_a_failure(sshd):
    """A session whose connect() failed can be connected."""
    with Session() as session:
        with pytest.raises(LibsshSessionException):
            session.connect(**login(sshd, private_key=None))
        session.connect(**login(sshd))
        assert session.is_connected


def test_connect_twice(sshd, session):
    """Connecting a connected session is an error that leaves it connected."""
    with pytest.raises(LibsshSessionException, match="connected already"):
        session.connect(**login(sshd))
    assert session.exec_command("echo still").stdout == b"still\n"


def test_other_end_of_the_same_session(session):
    """After disconnect() the session is not connected, and says so."""
    session.disconnect()
    with pytest.raises(LibsshException, match="not connected"):
        session.exec_command("true")


def test_is_connected_notices(new_sshd, connect):
    """is_connected is false soon after the server's side has died, without anything being sent."""
    host = new_sshd()
    session = connect(host)
    assert session.is_connected
    host.kill_connections()
    end = time.monotonic() + 3
    while session.is_connected and time.monotonic() < end:
        time.sleep(0.01)
    assert not session.is_connected


def test_subclass(sshd):
    """Programs subclass Session with a connect() of their own."""

    class Mine(Session):
        def connect(self, **kwargs):
            super().connect(**login(sshd), **kwargs)

    with Mine() as session:
        session.connect()
        assert session.exec_command("echo mine").stdout == b"mine\n"


def test_fd(sshd):
    """A connected socket can be handed in; the caller's own descriptor stays open."""
    with socket.create_connection((sshd.address, sshd.port)) as sock, Session() as session:
        session.connect(**login(sshd, fd=sock.fileno()))
        assert session.exec_command("echo by fd").stdout == b"by fd\n"
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        session.close()
        assert sock.fileno() >= 0
        os.fstat(sock.fileno())


def test_nodelay(sshd):
    """TCP_NODELAY is on unless it is not wanted."""
    for nodelay in (True, False):
        with socket.create_connection((sshd.address, sshd.port)) as sock, Session() as session:
            session.connect(**login(sshd, fd=sock.fileno(), nodelay=nodelay))
            assert bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is nodelay


@pytest.mark.parametrize("fd", [-1, 9999])
def test_fd_that_is_none(sshd, fd):
    """A descriptor that is not a connection is an error."""
    with pytest.raises((LibsshSessionException, ValueError)):
        Session().connect(**login(sshd, fd=fd))


def test_info(session, sshd):
    """The session tells what was negotiated, as ssh -v does."""
    info = session.info
    assert info.host_key_type == "ssh-ed25519"
    assert info.host_key_fingerprint in sshd.run("ssh-keygen", "-lf", sshd.directory / "ssh_host_ed25519_key.pub").stdout
    assert info.server_banner.startswith("SSH-2.0-OpenSSH_")
    assert info.client_banner.startswith("SSH-2.0-")
    assert info.auth_method == "publickey"
    assert info.kex
    assert info.cipher_in == info.cipher_out
    assert info.issue_banner is None


def test_issue_banner(new_sshd, connect):
    """The text that a server shows before the login is kept."""
    assert connect(new_sshd(banner="Authorised use only.\n")).info.issue_banner == "Authorised use only.\n"


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("ciphers", "aes256-ctr", "cipher_out"),
        ("ciphers", "chacha20-poly1305@openssh.com", "cipher_in"),
        ("key_exchange_algorithms", "ecdh-sha2-nistp256", "kex"),
        ("key_exchange_algorithms", "curve25519-sha256", "kex"),
    ],
)
def test_algorithms(sshd, connect, option, value, field):
    """Ciphers and key exchange are what was asked for."""
    assert getattr(connect(sshd, **{option: value}).info, field) == value


def test_macs(sshd, connect):
    """So are MACs, where the cipher has use for one."""
    info = connect(sshd, ciphers="aes128-ctr", macs="hmac-sha2-512").info
    assert (info.mac_in, info.mac_out) == ("hmac-sha2-512", "hmac-sha2-512")


def test_hostkeys(new_sshd, connect):
    """The type of host key can be chosen, and is otherwise one that is on record."""
    host = new_sshd(host_keys=("ed25519", "ecdsa", "rsa"))
    for algorithm, kind in (("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"), ("rsa-sha2-512", "ssh-rsa")):
        assert connect(host, hostkeys=algorithm).info.host_key_type == kind
    known = host.directory / "only-rsa"
    known.write_text("".join(line for line in host.known_hosts.splitlines(True) if " ssh-rsa " in line))
    assert connect(host, knownhosts=str(known)).info.host_key_type == "ssh-rsa"


def test_no_algorithm_in_common(new_sshd, connect):
    """Where there is no common algorithm, the error has both lists."""
    host = new_sshd(sshd_config="Ciphers aes256-ctr")
    with pytest.raises(LibsshSessionException) as caught:
        connect(host, ciphers="aes128-ctr")
    assert "aes256-ctr" in str(caught.value)
    assert "aes128-ctr" in str(caught.value)


def test_lists_with_changes(sshd, connect):
    """Lists may be changes of the default: + adds, - removes, ^ puts first; libssh 0.10 says that it knows none."""
    if pylibsshext.__libssh_version__.startswith("0.10."):
        with pytest.raises(LibsshSessionException, match="aes192-ctr"):
            connect(sshd, ciphers="^aes192-ctr")
        return
    assert connect(sshd, ciphers="^aes192-ctr").info.cipher_in == "aes192-ctr"
    usual = connect(sshd).info.kex
    assert connect(sshd, key_exchange_algorithms=f"-{usual},{usual}@openssh.com").info.kex != usual


LISTS = {
    "key_exchange_algorithms": ("kex", "diffie-hellman-group14-sha1", "diffie-hellman*"),
    "hostkeys": ("host_key", "ssh-rsa", "ecdsa-*"),
    "ciphers": ("cipher_in", "aes128-cbc", "aes???-ctr"),
    "macs": ("mac_out", "hmac-sha1", "*-etm@openssh.com"),
    "compression": ("compression_in", "zlib", "zlib@openssh.com"),
}


@newer_than_0_10
@pytest.mark.parametrize("option", LISTS)
def test_changes_of_each_list(sshd, option):
    """What goes over the wire is the usual list with one more at its end, without some (patterns too), or with one first."""

    def offered(**about):
        report = examine(**{name: value for name, value in login(sshd, **about).items() if name != "private_key"})
        return next(finding for finding in report.findings if finding.step == "algorithms").details["ours"][field]

    field, more, pattern = LISTS[option]
    usual = offered()
    known = [name for name in usual if "-cert-v01@" not in name]
    assert offered(**{option: f"+{more}"}) == [*known, more]
    assert offered(**{option: f"-{usual[-1]}"}) == known[:-1]
    left = [name for name in known if not fnmatch.fnmatchcase(name, pattern)]
    assert offered(**{option: f"-{pattern}"}) == left != known
    assert offered(**{option: f"-nonsense,{pattern}"}) == left
    assert offered(**{option: f"^{known[-1]}"})[0] == known[-1]
    assert offered(**{option: known[-1]}) == [known[-1]]


def test_changes_of_public_key_algorithms(new_sshd, connect, tmp_path):
    """The server is asked to take an RSA key by the algorithm that is left, or first."""
    key = tmp_path / "rsa"
    host = new_sshd(sshd_config="LogLevel DEBUG2", authorized_keys=servers.make_key(key, "rsa"))
    about = {"private_key": key.read_bytes()}

    def used(value):
        before = len(host.log())
        assert connect(host, publickey_accepted_algorithms=value, **about).is_connected
        return set(re.findall(r"public key (rsa-sha2-\d+|ssh-rsa) ", host.log()[before:]))

    assert used("rsa-sha2-256") == {"rsa-sha2-256"}
    assert used("rsa-sha2-512") == {"rsa-sha2-512"}
    if not pylibsshext.__libssh_version__.startswith("0.10."):
        assert used("-rsa-sha2-512") == {"rsa-sha2-256"}
        assert used("-*-512") == {"rsa-sha2-256"}
        assert used("+ssh-rsa") == {"rsa-sha2-512"}
    with pytest.raises(AuthenticationError):
        connect(host, publickey_accepted_algorithms="ssh-ed25519", **about)


def test_known_types_come_first_with_changes(new_sshd, connect):
    """Where a list of host key types is only added to, a type that is on record is asked for all the same, as OpenSSH does."""
    host = new_sshd(host_keys=("ed25519", "rsa"))
    known = host.directory / "only-rsa"
    known.write_text("".join(line for line in host.known_hosts.splitlines(True) if " ssh-rsa " in line))
    if not pylibsshext.__libssh_version__.startswith("0.10."):
        for value in ("+ssh-rsa", "-ecdsa-sha2-nistp256"):
            assert connect(host, knownhosts=str(known), hostkeys=value).info.host_key_type == "ssh-rsa"
    assert connect(host, knownhosts=str(known), hostkeys="rsa-sha2-256").info.host_key_type == "ssh-rsa"


@pytest.mark.parametrize("value", ["yes", True])
def test_compression(sshd, connect, value):
    """With compression, megabytes of zeros are kilobytes on the wire."""
    session = connect(sshd, compression=value)
    assert len(session.exec_command("head -c 5000000 /dev/zero").stdout) == 5_000_000


def test_compression_on_the_wire(sshd, connect, relay):
    """Compression is real: counted on the wire."""
    sizes = []
    for value in ("no", "yes"):
        far, link = relay(sshd)
        connect(far, compression=value).exec_command("head -c 5000000 /dev/zero")
        sizes.append(link.stats()["down"])
    assert sizes[0] > 5_000_000
    assert sizes[1] < 500_000


def test_unknown_algorithm(sshd, connect):
    """A name that libssh does not know is an error that names the option."""
    with pytest.raises(LibsshSessionException, match="ciphers"):
        connect(sshd, ciphers="rot13")


def test_config_file(sshd, connect, tmp_path):
    """An ssh_config file is read; what connect() is given itself wins over it."""
    config = tmp_path / "config"
    config.write_text(
        f"Host lab\n HostName {sshd.address}\n Port {sshd.port}\n User {sshd.user}\n IdentityFile {sshd.key}\n"
        f" UserKnownHostsFile {sshd.known_hosts_file}\n Ciphers aes256-ctr\n"
    )
    with Session() as session:
        session.connect(host="lab", config_file=str(config))
        assert session.info.cipher_in == "aes256-ctr"
        session.close()
        session.connect(host="lab", config_file=config, ciphers="aes128-ctr")
        assert session.info.cipher_in == "aes128-ctr"


def test_config_file_by_default(sshd, monkeypatch, tmp_path):
    """~/.ssh/config counts, where ~ is $HOME; "none" leaves it out."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(f"Host lab\n HostName {sshd.address}\n Port {sshd.port}\n User {sshd.user}\n")
    (tmp_path / ".ssh" / "known_hosts").write_text(sshd.known_hosts)
    (tmp_path / ".ssh" / "id_ed25519").write_bytes(sshd.key.read_bytes())
    with Session() as session:
        session.connect(host="lab")
        assert session.info.auth_method == "publickey"
    with Session() as session, pytest.raises(LibsshSessionException, match="lab"):
        session.connect(host="lab", config_file="none", timeout=5)


def test_config_file_that_is_missing(sshd, connect, tmp_path):
    """A file that is named and not there is an error."""
    with pytest.raises(LibsshSessionException, match="nowhere"):
        connect(sshd, config_file=str(tmp_path / "nowhere"))


def test_options_are_remembered():
    """get_ssh_options() returns what was set."""
    session = Session("example.test", port=2222, user="me")
    session.set_ssh_options("knownhosts", "/tmp/somewhere")
    assert session.get_ssh_options("host") == "example.test"
    assert session.get_ssh_options("user") == "me"
    assert session.get_ssh_options("knownhosts") == "/tmp/somewhere"
    assert (session.get_ssh_options("port"), session.port) == (2222, 2222)


def test_refused(sshd, connect):
    """A port where nobody listens is a ConnectionError at once, with host and port in its text."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(LibsshConnectionError, match=f"127.0.0.1.*{port}") as caught:
            connect(sshd, port=port)
    assert isinstance(caught.value, ConnectionError)


def test_unknown_name(sshd, connect):
    """A host name that does not exist is an error that names it."""
    with pytest.raises(LibsshSessionException, match=r"no-such-host\.invalid"):
        connect(sshd, host="no-such-host.invalid", timeout=5)


def test_without_host():
    """Without a host there is nothing to connect to."""
    with pytest.raises(LibsshSessionException, match="Hostname required"):
        Session().connect(config_file="none")


@pytest.mark.parametrize("greeting", ["silent", "banner-only", "http"])
def test_servers_that_stall(bad_server, connect, soon, greeting):
    """`timeout` is the time to be connected, whatever the server does instead."""
    host = bad_server(greeting=greeting)
    with soon(1.0, 0.4), pytest.raises(LibsshSessionTimeout) as caught:
        connect(host, timeout=1)
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("greeting", ["garbage", "endless", "close", "reset", "banner-close"])
def test_servers_that_are_none(bad_server, connect, greeting):
    """What is no SSH server, or hangs up, is an error at once and not a hang."""
    host = bad_server(greeting=greeting)
    began = time.monotonic()
    with pytest.raises(LibsshSessionException):
        connect(host, timeout=5)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("greeting", ["chatter", "drip"])
def test_servers_that_take_their_time(bad_server, connect, greeting):
    """Lines before the version (RFC 4253 section 4.2), or a version that comes byte by byte, are fine."""
    session = connect(bad_server(greeting=greeting, delay=0.01), timeout=20)
    assert session.exec_command("echo fine").stdout == b"fine\n"


def test_black_hole(dead_address, soon):
    """A host that does not answer at all: the same time-out."""
    host, port = dead_address
    with soon(0.7), pytest.raises(LibsshSessionTimeout):
        Session().connect(host=host, port=port, timeout=0, timeout_usec=700_000, config_file="none")


def test_deaf_after_login(bad_server, connect, soon):
    """A server that answers nothing after the login: opening a channel times out."""
    session = connect(bad_server(deaf=True), timeout=1)
    with soon(1.0), pytest.raises(LibsshException) as caught:
        session.new_channel()
    assert isinstance(caught.value, TimeoutError)


def test_open_session_retries(bad_server, connect):
    """A server that is slow to open a channel is waited for longer with open_session_retries."""
    host = bad_server(open_delay=1.5)
    session = connect(host, timeout=1)
    with pytest.raises(TimeoutError):
        session.new_channel()
    session = connect(host, timeout=1, open_session_retries=2)
    assert session.exec_command("echo opened").stdout == b"opened\n"


def test_refused_channel(bad_server, connect):
    """A channel too many is refused with the server's reason; the others go on."""
    session = connect(bad_server(max_channels=2))
    channels = [session.new_channel(), session.new_channel()]
    with pytest.raises(LibsshException, match="too many channels"):
        session.new_channel()
    channels[0].request_exec("echo on")
    assert channels[0].read(timeout=20) == b"on\n"


def test_failed_connects_close_their_sockets(sshd):
    """An option that libssh can't use, and too few descriptors to go on with: an exception that says so, and none is lost."""

    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    gc.collect()  # what other tests left
    before = descriptors()
    for _ in range(3):
        with pytest.raises(LibsshSessionException, match="Couldn't apply options") as caught:
            Session().connect(**login(sshd, add_identity="/nowhere/%z"))
        assert not isinstance(caught.value, ConnectionError)
    assert descriptors() == before

    session = Session()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 2, hard))  # the socket, and one end of a pipe
    try:
        with pytest.raises(LibsshConnectionError, match="Too many open files"):
            session.connect(**login(sshd, host_key_checking=False))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert descriptors() == before
    session.connect(**login(sshd))
    assert session.exec_command("true").returncode == 0
    session.close()
    assert descriptors() == before


def test_the_core_connects_once(sshd, connect):
    """A second socket for the same handle is refused and closed; the first goes on."""
    session = connect(sshd)
    second = socket.create_connection((sshd.address, sshd.port))
    number = second.detach()
    with pytest.raises(LibsshSessionException, match="connected already"):
        session._core.connect(number, None)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    assert session.exec_command("true").returncode == 0


def test_proxycommand(sshd, connect):
    """A proxy command stands between; it is gone after the close."""
    program = os.path.join(os.path.dirname(__file__), "..", "crash", "programs", "pipe.py")
    session = connect(sshd, proxycommand=f"python3 {program} %h %p")
    assert session.exec_command("echo through").stdout == b"through\n"


def test_unknown_keyword(sshd, connect):
    """An unknown keyword is a warning that names the nearest known one, as programs pass what 1.4.0 ignored."""
    with pytest.warns(UserWarning, match=r"'usr'.*'user'"):
        connect(sshd, usr="somebody")


def test_keepalive(session):
    """send_keepalive() does not disturb the session."""
    for _ in range(5):
        session.send_keepalive()
    assert session.exec_command("echo alive").stdout == b"alive\n"


def test_dropped_sessions_close_their_connection(new_sshd):
    """A session that is only dropped closes its connection."""
    host = new_sshd()
    session = Session()
    session.connect(**login(host))
    assert len(host.connections()) == 1
    del session
    end = time.monotonic() + 5
    while host.connections() and time.monotonic() < end:
        time.sleep(0.02)
    assert not host.connections()


def test_many_sessions(sshd, connect):
    """Sessions do not disturb each other, nor does the end of one."""
    sessions = [connect(sshd, key_exchange_algorithms="curve25519-sha256") for _ in range(20)]
    sessions[7].close()
    for number, one in enumerate(sessions):
        if number != 7:
            assert one.exec_command(f"echo {number}").stdout == b"%d\n" % number


def test_ticker_runs_while_connecting(bad_server, connect, ticker):
    """Connecting does not hold the GIL."""
    host = bad_server(greeting="slow", delay=0.5)
    with ticker() as ticks:
        began = time.monotonic()
        connect(host, key_exchange_algorithms="curve25519-sha256")
        took = time.monotonic() - began
    assert len(ticks) > took * 100 * 0.5
    assert threading.active_count() < 20


def test_words_of_ssh_config_that_libssh_drops(new_sshd, connect, tmp_path):
    """HostKeyAlias, keepalives, environment, methods, address family and known hosts of a file, by the block that holds."""
    host = new_sshd(sshd_config="AcceptEnv PX_*")
    (tmp_path / "known").write_text(f"the-alias {host.host_keys[0]}\n")
    config = tmp_path / "config"
    config.write_text(
        f'Match host lab exec "test %n = lab"\n  HostName {host.address}\n  Port {host.port}\n  HostKeyAlias the-alias\n'
        f"  UserKnownHostsFile /nowhere {tmp_path}/known\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n"
        f"  AddressFamily inet\n  BindAddress 127.0.0.1\n  PreferredAuthentications publickey\n"
        f"  SetEnv PX_A=a PX_B='two words' OTHER=x\n  IdentityFile {host.key}\n  IdentitiesOnly yes\n  RequiredRSASize 2048\n"
        "Host *\n  SetEnv PX_C=no\n  Port 1\n"
    )
    about = {"host": "lab", "port": None, "knownhosts": None, "private_key": None, "look_for_keys": True}
    session = connect(host, **about, config_file=str(config))
    done = session.exec_command("echo $PX_A,$PX_B,$PX_C,$OTHER")
    assert done.stdout == b"a,two words,,\n"
    channel = session.new_channel()
    channel.request_shell()
    channel.write(b"echo =$PX_A=; exit\n")
    assert b"=a=" in channel.communicate()[0]
    with pytest.raises(AuthenticationError, match="password"):
        connect(host, **about, config_file=str(config), ssh_options=["PreferredAuthentications password"], password=None)


def test_address_family(sshd, connect):
    """The family that is asked for is the only one that is tried."""
    with pytest.raises(LibsshConnectionError, match="resolving"):
        connect(sshd, address_family="inet6")
    with pytest.raises(LibsshSessionException, match="address_family: 'inet5' is not one of any, inet, inet6"):
        connect(sshd, address_family="inet5")


def test_connection_attempts(sshd, connect):
    """A server that is not up yet is tried again, after a second and then after two; a login is not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(LibsshConnectionError, match="refused"):
        connect(sshd, port=port, connection_attempts=3)
    assert 2.9 < time.monotonic() - began < 4
    before = sshd.log().count("Connection from") + sshd.log().count("Failed")
    with pytest.raises(AuthenticationError):
        connect(sshd, private_key=None, agent=False, connection_attempts=3)
    assert sshd.log().count("Connection closed by authenticating") <= before + 1


def test_times_are_limits_of_their_own(bad_server, dead_address, connect, soon):
    """Connecting, greeting, logging in and a command: each is given up after its own time, give or take a tenth."""
    late, silent, polite = (
        bad_server(greeting="slow", delay=4),
        bad_server(greeting="silent"),
        bad_server(scripts={"wait": [["sleep", 30]]}),
    )
    with soon(2.0, 0.2), pytest.raises(LibsshSessionTimeout):
        connect(polite, host=dead_address[0], port=dead_address[1], timeout=2, banner_timeout=9, auth_timeout=9)
    with soon(2.0, 0.2), pytest.raises(LibsshSessionTimeout):
        connect(silent, timeout=2)
    with soon(2.0, 0.2), pytest.raises(LibsshSessionTimeout):
        connect(silent, timeout=30, banner_timeout=2, auth_timeout=9)
    with soon(2.0, 0.2), pytest.raises(LibsshSessionTimeout):
        connect(late, timeout=30, banner_timeout=2)
    assert connect(bad_server(greeting="slow", delay=1), timeout=1, banner_timeout=6).is_connected
    session = connect(polite)
    with soon(2.0, 0.2), pytest.raises(LibsshChannelTimeout):
        session.exec_command("wait", timeout=2)


def test_no_common_algorithm_is_always_told(new_sshd, connect):
    """The reason, with both lists, is not lost to the end of the connection, which follows at once."""
    host = new_sshd(sshd_config="Ciphers aes256-ctr\nKexAlgorithms curve25519-sha256\nMACs hmac-sha2-256")
    for _ in range(10):
        with pytest.raises(LibsshSessionException, match=r"method encryption .*server \[aes256-ctr\], client \[aes128-ctr\]"):
            connect(host, ciphers="aes128-ctr")
    with pytest.raises(LibsshSessionException, match=r"method mac .*server \[hmac-sha2-256\], client \[hmac-sha2-512\]"):
        connect(host, macs="hmac-sha2-512")
    with pytest.raises(LibsshSessionException, match=r"method kex .*server \[curve25519-sha256,"):
        connect(host, key_exchange_algorithms="diffie-hellman-group14-sha256")


@newer_than_0_10
def test_changes_of_lists(new_sshd, connect):
    """Each way of changing a list of algorithms, and the old ones, which come last."""
    host = new_sshd(sshd_config="Ciphers aes256-ctr,aes128-cbc\nKexAlgorithms curve25519-sha256\nMACs hmac-sha2-256")
    for ciphers, used in [("+aes128-cbc", "aes256-ctr"), ("^aes128-cbc", "aes128-cbc"), ("aes128-cbc", "aes128-cbc")]:
        assert connect(host, ciphers=ciphers).info.cipher_in == used
    info = connect(host, legacy_algorithms=True).info
    assert (info.kex, info.cipher_in, info.mac_in) == ("curve25519-sha256", "aes256-ctr", "hmac-sha2-256")
    for without in ({"ciphers": "-aes256-ctr"}, {"macs": "-hmac-sha2-256"}, {"key_exchange_algorithms": "-curve25519-sha256"}):
        with pytest.raises(LibsshSessionException, match="no match for method"):
            connect(host, **without)


@newer_than_0_10
def test_post_quantum_key_exchange(sshd, connect):
    """It is used without being asked for, where the server has it."""
    assert connect(sshd).info.kex.startswith(("sntrup761x25519-", "mlkem768x25519-"))
    works("post-quantum key exchange", sshd, "connecting")


def test_smallest_rsa_key(new_sshd, connect):
    """A host key with fewer bits than are wanted is refused."""
    host = new_sshd(host_keys=("rsa",))
    assert connect(host, rsa_min_size=2048).is_connected
    with pytest.raises(LibsshSessionException, match="verify server hostkey signature"):
        connect(host, rsa_min_size=8192)


def test_rekey_limit(sshd, connect, caplog):
    """RekeyLimit of ssh_config: keys are exchanged again and again, and nothing is lost on the way."""
    session = connect(sshd, ssh_options=["RekeyLimit 1M"])
    data = os.urandom(8_000_000)
    with caplog.at_level("DEBUG", "ansible-pylibssh"):
        session.set_log_level(logging.DEBUG)
        assert session.exec_command("cat", stdin=data, timeout=60).stdout == data
    assert caplog.text.count("Received SSH_MSG_NEWKEYS") > 3


def test_no_descriptor_after_a_failed_write(sshd, connect):
    """libssh closes the socket when a write fails: from then on its number is not the session's, and may be another file's."""
    session = connect(sshd)
    number = session.fileno()
    with socket.socket(fileno=os.dup(number)) as same:
        same.shutdown(socket.SHUT_WR)
    with pytest.raises(LibsshException):
        session.exec_command("true")
    assert session.fileno() == -1
    with open(os.devnull) as other:
        taken = os.dup2(other.fileno(), number)  # which it may have got as it is
        session.close()
        os.fstat(taken)
        if taken != other.fileno():
            os.close(taken)
