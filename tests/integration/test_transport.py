# SPDX-License-Identifier: LGPL-2.1-or-later
"""Transport against listeners that accept, refuse, keep silent, and proxies that work, fail, stall and linger."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pylibsshext import transport
from pylibsshext.errors import LibsshConnectionError, LibsshSessionException
from pylibsshext.session import Session
from tests.lab.hosts import Host


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A listener that greets whoever the kernel lets in."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@contextlib.contextmanager
def black_hole(address: str = "127.0.0.1") -> Iterator[int]:
    """Give the port of a listener whose queue is full: the kernel drops further SYNs, as a firewall does."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.bind((address, 0))
        sock.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        time.sleep(0.1)
        yield sock.getsockname()[1]


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> str:
    """Make one host name lead to several addresses, as a name service may; return the name."""
    real = socket.getaddrinfo

    def several(host: str | bytes, port: int, family: int, kind: int, proto: int, flags: int) -> object:
        if host not in ("many.example", b"many.example"):
            return real(host, port, family, kind, proto, flags)
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        return [entry for address in addresses for entry in real(address, port, family, kind, proto, flags)]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    return "many.example"


def readable(sock: socket.socket, patience: float = 10) -> bytes:
    """Wait for data, or the end, on a non-blocking socket and return it."""
    assert select.select([sock], [], [], patience)[0], "nothing came"
    return sock.recv(1000)


def test_connected_socket_is_ready_for_libssh(server: socket.socket) -> None:
    """Non-blocking, closed on exec, sending at once, with keepalives; nodelay can be off."""
    for nodelay in (True, False):
        with transport.connect_tcp("127.0.0.1", server.getsockname()[1], 10, nodelay=nodelay) as sock:
            assert not sock.getblocking()
            assert not os.get_inheritable(sock.fileno())
            assert bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is nodelay
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"SSH-2.0-x\r\n")
                assert readable(sock) == b"SSH-2.0-x\r\n"


def test_name_is_resolved_and_connected(server: socket.socket) -> None:
    """A host name works without a deadline, too."""
    with transport.connect_tcp("localhost", server.getsockname()[1], None, family=socket.AF_INET) as sock:
        assert sock.getpeername() == server.getsockname()


def test_refused_names_host_port_and_address(server: socket.socket) -> None:
    """A refused connection is a ConnectionRefusedError that says which address of the host refused."""
    port = server.getsockname()[1]
    server.close()
    with pytest.raises(ConnectionRefusedError) as caught:
        transport.connect_tcp("localhost", port, 10, family=socket.AF_INET)
    assert caught.value.strerror == f"connecting to localhost port {port} failed: 127.0.0.1: Connection refused"


def test_black_hole_ends_with_the_deadline() -> None:
    """Where nobody answers, TimeoutError comes when the time is up."""
    with black_hole() as port:
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="failed: no answer within") as caught:
            transport.connect_tcp("127.0.0.1", port, 0.5)
        assert 0.45 <= time.monotonic() - start < 3
        assert caught.value.errno == errno.ETIMEDOUT


def test_addresses_are_tried_in_order(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that refuses is passed over for the next."""
    host = names(monkeypatch, "127.0.0.2", "127.0.0.1")
    with transport.connect_tcp(host, server.getsockname()[1], 10) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"


def test_silent_address_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first address that swallows everything takes its share of the time, not all of it."""
    with black_hole("127.0.0.2") as port, socket.create_server(("127.0.0.1", port)):
        host = names(monkeypatch, "127.0.0.2", "127.0.0.1")
        with transport.connect_tcp(host, port, 1) as sock:
            assert sock.getpeername()[0] == "127.0.0.1"


def test_error_lists_every_address(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no address works, the error says what each of them did."""
    port = server.getsockname()[1]
    server.close()
    host = names(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.2")
    with pytest.raises(ConnectionRefusedError) as caught:
        transport.connect_tcp(host, port, 10)
    assert str(caught.value).count("127.0.0.2") == 1
    assert "127.0.0.2: Connection refused; 127.0.0.3: Connection refused" in str(caught.value)


def test_bind_address(server: socket.socket) -> None:
    """The connection comes from the local address asked for; one that is not ours is an error."""
    port = server.getsockname()[1]
    with transport.connect_tcp("127.0.0.1", port, 10, bind_address="127.0.0.9"):
        peer, address = server.accept()
        peer.close()
        assert address[0] == "127.0.0.9"
    with pytest.raises(OSError, match="failed: Cannot assign requested address"):
        transport.connect_tcp("127.0.0.1", port, 10, bind_address="192.0.2.1")


def test_address_family() -> None:
    """IPv6 is connected to; asking for the other family is a clear error; both behave so by literal address."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server6:
        port = server6.getsockname()[1]
        with transport.connect_tcp("::1", port, 10) as sock:
            assert sock.family == socket.AF_INET6
        with pytest.raises(socket.gaierror, match="resolving ::1 failed"):
            transport.connect_tcp("::1", port, 10, family=socket.AF_INET)


CTRL_C = """
import sys, time
from pylibsshext import transport
from pylibsshext.errors import LibsshConnectionError, LibsshSessionException
from pylibsshext.session import Session
from tests.lab.hosts import Host
print("ready", flush=True)
try:
    transport.connect_tcp("127.0.0.1", int(sys.argv[1]), None)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_a_connect() -> None:
    """Ctrl-C gets out of a connection attempt that has no deadline."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with (
        black_hole() as port,
        subprocess.Popen([sys.executable, "-c", CTRL_C, str(port)], stdout=subprocess.PIPE, env=env) as child,
    ):
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=5)[0] == b"interrupted\n"


@contextlib.contextmanager
def proxied(command: str, **options: object) -> Iterator[tuple[socket.socket, transport.Proxy]]:
    """Run a proxy command for the time of a block."""
    sock, proxy = transport.proxy_command(command, "h.example", 2222, "me", **options)  # type: ignore[arg-type]
    try:
        with sock:
            yield sock, proxy
    finally:
        proxy.close()
        assert proxy.returncode is not None


def test_proxy_carries_data_both_ways() -> None:
    """What we send is the command's stdin, what it prints comes to us; tokens are in place."""
    with proxied("sh -c 'printf \"%h %p %r\\n\"; exec cat'") as (sock, _):
        assert not sock.getblocking()
        assert readable(sock) == b"h.example 2222 me\n"
        sock.send(b"hello")
        assert readable(sock) == b"hello"


def test_proxy_that_fails_is_reported_with_status_and_stderr() -> None:
    """A command that dies: our socket ends, and its status and last words can be told."""
    with proxied("sh -c 'echo first >&2; echo no route to jump host >&2; exit 7'") as (sock, proxy):
        assert readable(sock) == b""
        assert proxy.failure() == "the ProxyCommand ended with exit status 7: first / no route to jump host"
        assert proxy.returncode == 7


def test_proxy_that_does_not_exist() -> None:
    """A command that is not installed says so by way of the shell."""
    with proxied("/no/such/program %h") as (sock, proxy):
        assert readable(sock) == b""
        failure = proxy.failure()
        assert failure is not None
        assert "exit status 127" in failure
        assert "/no/such/program" in failure


def test_proxy_killed_by_a_signal() -> None:
    """A killed command is reported by the signal's number."""
    with proxied("sleep 60") as (sock, proxy):
        os.kill(proxy.pid, signal.SIGKILL)
        assert readable(sock) == b""
        assert proxy.failure() == "the ProxyCommand was ended by signal 9"


def test_running_proxy_has_no_failure() -> None:
    """A proxy that only is slow has not failed, and asking does not take long."""
    with proxied("sh -c 'echo connecting >&2; exec sleep 60'") as (_, proxy):
        assert proxy.failure(0.2) is None
        assert proxy.stderr == "connecting"


def test_talkative_proxy_is_never_blocked_and_nothing_reaches_our_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """Megabytes on stderr are read and forgotten but for the end, and none of it is shown."""
    command = "sh -c 'head -c 3000000 /dev/zero | tr \"\\0\" y >&2; echo >&2; echo the end >&2; echo done'"
    with proxied(command) as (sock, proxy):
        assert readable(sock, 30) == b"done\n"
        failure = proxy.failure(10)
        assert failure is not None
        assert failure.endswith("the end")
        assert len(failure) < 5000
    assert capfd.readouterr().err == ""


def test_close_ends_a_stubborn_proxy_and_leaves_no_zombie() -> None:
    """A command that ignores the request to end is killed after the grace, with its children."""
    command = "sh -c 'trap \"\" TERM; sleep 60 & echo $!; wait; wait; sleep 60'"
    with proxied(command) as (sock, proxy):
        child = int(readable(sock))
        start = time.monotonic()
        proxy.close(grace=0.2)
        assert time.monotonic() - start < 3
        assert proxy.returncode == -signal.SIGKILL
        with pytest.raises(ChildProcessError):
            os.waitpid(proxy.pid, os.WNOHANG)
    assert not alive(child)


def alive(pid: int) -> bool:
    """Tell whether a process that is not our child runs (a zombie that waits for init does not)."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except (FileNotFoundError, ProcessLookupError):
            return False
        time.sleep(0.02)
    return True


def test_close_is_idempotent_and_quick_for_an_ended_proxy() -> None:
    """Closing twice, and closing what has ended, is harmless."""
    sock, proxy = transport.proxy_command("true", "h", 22)
    assert readable(sock) == b""
    sock.close()
    proxy.close()
    proxy.close()
    assert proxy.returncode == 0


def test_forked_child_leaves_the_proxy_alone() -> None:
    """close() in a forked child does not end the proxy of its parent."""
    with proxied("cat") as (sock, proxy):
        child = os.fork()
        if child == 0:
            proxy.close()
            os._exit(0)
        os.waitpid(child, 0)
        sock.send(b"still here")
        assert readable(sock) == b"still here"


def test_no_descriptor_is_left(server: socket.socket) -> None:
    """Connections that fail, proxies that end and names that are refused keep no descriptor open."""

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    port = server.getsockname()[1]
    server.close()
    before = count()
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            transport.connect_tcp("127.0.0.1", port, 10)
        with pytest.raises(ValueError, match="host name"):
            transport.proxy_command("nc %h", "a;b", 22)
        with proxied("true"):
            pass
    assert count() == before


def test_threads_connect_side_by_side(server: socket.socket) -> None:
    """Connecting holds no lock: a black hole in one thread delays no other."""
    with black_hole() as port:

        def stuck() -> None:
            with contextlib.suppress(TimeoutError):
                transport.connect_tcp("127.0.0.1", port, 2)

        thread = threading.Thread(target=stuck)
        thread.start()
        start = time.monotonic()
        transport.connect_tcp("127.0.0.1", server.getsockname()[1], 10).close()
        assert time.monotonic() - start < 1.5
        thread.join()


# Through a session.

# The shell's own TCP client, as no test machine needs to have nc.
BASH_TCP = "bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & exec cat >&3'"


def connect(sshd: Host, known_hosts: Path, **options: object) -> Session:
    """Log in to the lab's host with its key."""
    session = Session()
    session.connect(
        host=options.pop("host", sshd.address),
        port=sshd.port,
        user=sshd.user,
        private_key=Path(sshd.key).read_bytes(),
        look_for_keys=False,
        knownhosts=str(known_hosts),
        **options,
    )
    return session


def test_session_through_a_proxy_ends_it(sshd: Host, known_hosts: Path) -> None:
    """A session works through a ProxyCommand, and closing the session ends the command."""
    session = connect(sshd, known_hosts, proxycommand=BASH_TCP)
    assert session._proxy is not None
    pid = session._proxy.pid
    assert session.exec_command("echo there").stdout == b"there\n"
    session.close()
    assert not alive(pid)


def test_failing_proxy_is_in_the_session_error(sshd: Host, known_hosts: Path) -> None:
    """When the proxy fails, the exception has its exit status and what it said."""
    with pytest.raises(LibsshConnectionError, match="exit status 9: no way to 127"):
        connect(sshd, known_hosts, proxycommand="sh -c 'echo no way to %h >&2; exit 9'", timeout=10)


def test_host_name_is_no_shell_command(sshd: Host, known_hosts: Path, tmp_path: Path) -> None:
    """A host name that a shell would act on is refused before anything runs."""
    mark = tmp_path / "mark"
    with pytest.raises((LibsshSessionException, ValueError)):
        connect(sshd, known_hosts, host=f"h$(touch${{IFS}}{mark})", proxycommand="true %h", timeout=5)
    assert not mark.exists()


def test_refused_connection_is_a_session_error(sshd: Host, known_hosts: Path) -> None:
    """A session's error has the sentence with host, port, address and reason, and is a ConnectionError."""
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))  # bound but not listening: refused
        port = placeholder.getsockname()[1]
        with pytest.raises(LibsshConnectionError, match=rf"127\.0\.0\.1 port {port} failed: Connection refused"):
            Session().connect(host="127.0.0.1", port=port, user="me", knownhosts=str(known_hosts))
