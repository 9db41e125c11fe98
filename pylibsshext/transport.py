# SPDX-License-Identifier: LGPL-2.1-or-later
"""The socket that libssh gets: connected by us, taken over from the caller, or with a proxy command at its other end.

Because Python makes it, name and network errors are ordinary ``OSError`` s with a text to read, one deadline covers all of
it, and Ctrl-C ends any of its waits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import sys
import time
from typing import IO, TYPE_CHECKING, cast

from .errors import LibsshSessionException
from .ssh_config import local_user, shell_host, shell_user, tokens

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    _Answer = TypeVar("_Answer")

    # (family, address) as getaddrinfo has them; an address begins with the host and the port.
    _Target = tuple[int, tuple[Any, ...]]

# How much of what a proxy command says is kept: enough for its last lines.
_STDERR_KEPT = 4096

_FAMILIES = {"any": 0, "inet": socket.AF_INET, "inet6": socket.AF_INET6}


def reach(
    settings: Mapping[str, Any], host: str, port: int, user: str | None, deadline: float
) -> tuple[socket.socket, Proxy | None]:
    """Connect to a host as the keywords of ``Session.connect`` say; return the socket, and the ProxyCommand behind it if it is one's."""
    nodelay = bool(settings.get("nodelay", True))
    if "fd" in settings:
        return adopt(int(settings["fd"]), nodelay=nodelay), None
    if not host:
        raise LibsshSessionException("ssh connect failed: Hostname required")
    if settings.get("unix_socket"):
        return connect_unix(settings["unix_socket"], max(0.0, deadline - time.monotonic())), None
    command = settings.get("proxycommand")
    if command and command != "none":
        sock, proxy = proxy_command(command, host, port, user, alias=settings.get("original_host"))
        try:
            return passed_connection(sock, proxy, deadline) if settings.get("proxy_use_fdpass") else sock, proxy
        except BaseException:
            proxy.close()
            raise
    about: dict[str, Any] = {
        "family": address_family(settings),
        "bind_address": settings.get("bind_address"),
        "nodelay": nodelay,
    }
    if settings.get("proxy"):
        from . import proxies  # as what few need, it is loaded when it is needed

        return proxies.connect(proxies.Proxy.parse(settings["proxy"]), host, port, deadline, **about), None
    return connect_tcp(host, port, max(0.0, deadline - time.monotonic()), **about), None


def address_family(settings: Mapping[str, Any]) -> int:
    """Return which addresses to connect to, as `socket` has them; 0 for any."""
    family = _FAMILIES.get(str(settings.get("address_family", "any")).lower())
    if family is None:
        raise LibsshSessionException(f"address_family: {settings['address_family']!r} is not one of {', '.join(_FAMILIES)}")
    return family


def connect_tcp(
    host: str,
    port: int,
    timeout: float | None,
    *,
    family: int = 0,
    bind_address: str | None = None,
    nodelay: bool = True,
) -> socket.socket:
    """Connect to the first address of *host* that answers, all within *timeout* seconds; return a non-blocking socket.

    *family* is ``AF_INET``, ``AF_INET6`` or 0 for both. The error of a failure names host, port and each address tried.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    targets = resolve(host, port, family, deadline)
    sources = resolve(bind_address, 0, family, deadline) if bind_address else []
    failures: list[str] = []
    code = 0
    for index, target in enumerate(targets):
        try:
            # A silent address may not use up what the others need: each gets its share of the time that is left.
            share = None if deadline is None else (deadline - time.monotonic()) / (len(targets) - index)
            return _connect(target, sources, share, nodelay=nodelay)
        except OSError as exc:
            code = exc.errno or errno.EIO
            which = "" if target[1][0] == host else f"{target[1][0]}: "
            failures.append(f"{which}{exc.strerror or exc}")
    raise OSError(code, f"connecting to {host} port {port} failed: {'; '.join(failures)}")


def connect_unix(path: str | os.PathLike[str], timeout: float) -> socket.socket:
    """Connect to a Unix socket within *timeout* seconds; return it, non-blocking."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout)  # a listener whose queue is full makes us wait
        sock.connect(os.path.expanduser(os.fspath(path)))
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        kind = TimeoutError if isinstance(exc, socket.timeout) else OSError
        raise kind(exc.errno or errno.ETIMEDOUT, f"connecting to the Unix socket {path} failed: {exc.strerror or exc}") from exc
    return sock


def adopt(fd: int, nodelay: bool = True) -> socket.socket:
    """Return a socket of our own, non-blocking, on a connection that the caller made; the caller's descriptor stays open."""
    try:
        sock = socket.socket(fileno=os.dup(fd))
    except OSError as exc:
        raise OSError(exc.errno, f"using file descriptor {fd} as a connection failed: {exc.strerror}") from exc
    sock.setblocking(False)
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
    return sock


def proxy_command(
    command: str, host: str, port: int, user: str | None = None, *, alias: str | None = None
) -> tuple[socket.socket, Proxy]:
    """Start a ProxyCommand as OpenSSH does; return our end of its stdin and stdout, and the process.

    Nothing is waited for: what the proxy takes to connect is part of the time for the SSH handshake.
    """
    text = expand(command, host, port, user, alias)
    ours, theirs = socket.socketpair()
    try:
        proxy = Proxy(text, theirs)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    return ours, proxy


def expand(command: str, host: str, port: int, user: str | None = None, alias: str | None = None) -> str:
    """Replace the tokens of a ProxyCommand (``%h %n %p %r %%``), refusing names that a shell would not take literally."""
    if "\0" in command:
        raise ValueError("ProxyCommand has a NUL character")
    return tokens(
        command,
        {
            "h": lambda: shell_host(host),
            "n": lambda: shell_host(alias or host),
            "r": lambda: shell_user(user or local_user()),
            "p": lambda: str(int(port)),
        },
    )


def passed_connection(ours: socket.socket, proxy: Proxy, deadline: float) -> socket.socket:
    """Return the connection that a ProxyCommand makes and hands over (ProxyUseFdpass), before the deadline."""
    poll = select.poll()
    poll.register(ours, select.POLLIN)
    with ours:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError(errno.ETIMEDOUT, "the ProxyCommand passes no connection on in time (ProxyUseFdpass)")
        _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fd = int.from_bytes(data[:4], sys.byteorder)
            try:
                return adopt(fd)
            finally:
                os.close(fd)
    failure = proxy.failure() or "the ProxyCommand passes no connection on (ProxyUseFdpass)"
    raise ConnectionError(errno.EPROTO, failure)


class Proxy:
    """A running ProxyCommand. It ends with :meth:`close`, by itself, or when this process ends and with it the socket."""

    def __init__(self, command: str, stream: socket.socket) -> None:
        import subprocess
        import threading

        self._owner = os.getpid()
        # A session of its own: Ctrl-C at a terminal is for the caller to handle, and all that the command
        # starts can be ended together.
        self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S602 - OpenSSH's contract
            "exec " + command,
            shell=True,
            executable="/bin/sh",
            stdin=stream.fileno(),
            stdout=stream.fileno(),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._said = b""
        self._listener = threading.Thread(target=self._listen, name="ssh-proxy-stderr", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The process id of the command."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal, None while it runs."""
        return self._process.poll()

    def _listen(self) -> None:
        """Keep the end of what the command says on stderr, so that it never has to wait for a reader."""
        with cast("IO[bytes]", self._process.stderr) as stream:
            while True:
                said = os.read(stream.fileno(), 65536)
                if not said:
                    return
                self._said = (self._said + said)[-_STDERR_KEPT:]

    def failure(self, patience: float = 0.5) -> str | None:
        """Return how the command ended and its last words, None if it runs still.

        Its end of the stream closes a moment before it is gone, hence some *patience* (seconds).
        """
        if _wait(self._process, patience) is None:
            return None
        self._listener.join(patience)  # a grandchild may hold stderr open for ever
        code = self._process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit status {code}"
        words = self.stderr
        return f"the ProxyCommand {how}" + (f": {words}" if words else "")

    @property
    def stderr(self) -> str:
        """The last lines that the command wrote to stderr, as one line of text."""
        lines = self._said.decode("utf-8", "replace").splitlines()[-5:]
        return " / ".join(line.strip() for line in lines if line.strip())

    def close(self, grace: float = 1.0) -> None:
        """End the command and all that it started: ask, wait for *grace* seconds, then kill."""
        if os.getpid() != self._owner:  # a forked child has no say in its parent's proxy
            return
        self._signal(signal.SIGTERM)
        if _wait(self._process, grace) is None:
            self._signal(signal.SIGKILL)
            _wait(self._process, grace)
        self._listener.join(0.1)

    def _signal(self, number: int) -> None:
        """Send a signal to all processes of the command, unless its process id may be somebody else's by now."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def _wait(process: subprocess.Popen[bytes], patience: float) -> int | None:
    """Return a process's exit status as soon as it has one, None after *patience* seconds."""
    import subprocess

    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        return None


def _connect(target: _Target, sources: list[_Target], share: float | None, *, nodelay: bool) -> socket.socket:
    """Connect to one address within *share* seconds."""
    family, address = target
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
        if sources:
            _bind(sock, sources)
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            code = _outcome(sock, share)
        if code:
            raise OSError(code, os.strerror(code))  # noqa: TRY301 - the handler closes the socket
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, sources: list[_Target]) -> None:
    """Bind to the local address of the socket's family."""
    for family, address in sources:
        if family == sock.family:
            sock.bind(address)
            return
    raise OSError(errno.EADDRNOTAVAIL, "the local address to bind to is of another family")


def _outcome(sock: socket.socket, share: float | None) -> int:
    """Wait for a connection attempt to end; return its error number, 0 for success."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(None if share is None else max(0.0, share) * 1000):
        raise TimeoutError(errno.ETIMEDOUT, f"no answer within {max(0.0, share or 0.0):.3g} s")
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def resolve(host: str, port: int, family: int, deadline: float | None) -> list[_Target]:
    """Return the addresses of a host in the system's order, before the deadline."""
    if not host:  # which getaddrinfo takes for this machine
        raise socket.gaierror(socket.EAI_NONAME, "resolving the host name failed: it is empty")
    try:
        return _addresses(host, port, family, socket.AI_NUMERICHOST)
    except OSError:
        return _resolve_by_name(host, port, family, deadline)


def _resolve_by_name(host: str, port: int, family: int, deadline: float | None) -> list[_Target]:
    answer = _in_time(lambda: _addresses(host, port, family, 0), deadline)
    if answer is None:
        raise TimeoutError(errno.ETIMEDOUT, f"resolving {host} failed: no answer from the name service in time")
    if isinstance(answer, OSError):
        raise socket.gaierror(answer.errno, f"resolving {host} failed: {answer.strerror}") from answer
    return answer


def canonical_name(host: str, family: int, timeout: float) -> str | None:
    """Return what the name service calls a host, by its CNAME if it has one; None if it knows none within *timeout* seconds."""

    def ask() -> str:
        return socket.getaddrinfo(host, None, family, socket.SOCK_STREAM, 0, socket.AI_CANONNAME)[0][3]

    answer = _in_time(ask, time.monotonic() + timeout)
    return None if isinstance(answer, OSError) else answer


def _in_time(question: Callable[[], _Answer], deadline: float | None) -> _Answer | OSError | None:
    """Ask the name service in a thread, as getaddrinfo knows no timeout and no Ctrl-C; None if it does not answer in time."""
    import threading

    result: list[_Answer | OSError] = []

    def ask() -> None:
        try:
            result.append(question())
        except OSError as exc:
            result.append(exc)
        except UnicodeError as exc:  # of a name that cannot be one
            result.append(socket.gaierror(socket.EAI_NONAME, str(exc)))

    asking = threading.Thread(target=ask, name="ssh-resolver", daemon=True)
    asking.start()
    asking.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
    return result[0] if result else None


def _addresses(host: str, port: int, family: int, flags: int) -> list[_Target]:
    """Call getaddrinfo, with each address once and a name that cannot be one as its ordinary error."""
    try:
        # For a text Python loads what can encode international names, whatever the name: two milliseconds.
        name = host.encode("ascii") if host.isascii() and "\0" not in host else host
        found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, 0, flags)
    except ValueError as exc:  # not to be encoded, or with a NUL
        raise socket.gaierror(socket.EAI_NONAME, f"not a host name ({exc})") from exc
    return list(dict.fromkeys((entry[0], entry[4]) for entry in found))
