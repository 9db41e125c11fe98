# SPDX-License-Identifier: LGPL-2.1-or-later
"""Proxies that pass a TCP connection on: SOCKS 5 (RFC 1928, RFC 1929) and HTTP's CONNECT (RFC 9110 section 9.3.6)."""

from __future__ import annotations

import base64
import errno
import re
import socket
import time
from urllib.parse import unquote, urlsplit

from . import transport
from ._named_tuple import NamedTuple
from ._secrets import Secret, wipe

_PORTS = {"socks5": 1080, "socks5h": 1080, "http": 3128}
_MOST_HEADER = 65536
_LOGIN = rb"[^:/?#]*://([^/?#]*)@"

# RFC 1928 section 6.
_SOCKS_REPLIES = {
    1: (errno.EIO, "general failure"),
    2: (errno.EACCES, "not allowed by its rules"),
    3: (errno.ENETUNREACH, "network unreachable"),
    4: (errno.EHOSTUNREACH, "host unreachable"),
    5: (errno.ECONNREFUSED, "connection refused"),
    6: (errno.ETIMEDOUT, "TTL expired"),
    7: (errno.EOPNOTSUPP, "command not supported"),
    8: (errno.EAFNOSUPPORT, "address type not supported"),
}


class Proxy(NamedTuple):
    """Where a proxy is, and who one is there."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: bytearray
    """`connect` wipes it."""

    @classmethod
    def parse(cls, url: Secret) -> Proxy:
        """Read ``scheme://[user:password@]host[:port]``; ``ValueError`` never shows the password."""
        if not isinstance(url, (str, bytes, bytearray)):  # of a number, bytearray would make as many zeros
            raise TypeError(f"proxy: a URL is a text, not {type(url).__name__}")
        text = bytearray(str.encode(url, errors="surrogateescape") if isinstance(url, str) else url)
        try:
            return cls._read(text)
        finally:
            wipe(text)

    @classmethod
    def _read(cls, text: bytearray) -> Proxy:
        match = re.match(_LOGIN, text)
        begin, end = match.span(1) if match else (0, 0)
        parts = urlsplit((text[:begin] + text[end + 1 :] if match else text).decode(errors="surrogateescape"))
        try:
            port = parts.port
        except ValueError as exc:
            raise ValueError(f"the proxy's port is not a number from 1 to 65535 ({parts.scheme}://...)") from exc
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"a proxy is {', '.join(_PORTS)}://[user:password@]host[:port], not {parts.scheme or '?'}://...")
        user, password = _user_and_password(text[begin:end]) if match else (None, bytearray())
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], user, password)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def _user_and_password(login: bytearray) -> tuple[str, bytearray]:
    """Read ``user[:password]``, in which ``%`` and two hexadecimal digits are a byte (RFC 3986 section 2.1); nothing else keeps them."""
    colon = login.find(b":") if b":" in login else len(login)
    user = unquote(login[:colon].decode(errors="surrogateescape"))
    place = end = colon + 1
    while place < len(login):
        code = re.match(rb"%([0-9A-Fa-f]{2})", login[place : place + 3])
        login[end] = int(code[1], 16) if code else login[place]
        place += 3 if code else 1
        end += 1
    password = login[colon + 1 : end]
    wipe(login)
    return user, password


def connect(
    proxy: Proxy,
    host: str,
    port: int,
    deadline: float,
    *,
    family: int = 0,
    bind_address: str | None = None,
    nodelay: bool = True,
) -> socket.socket:
    """Connect to *host* through a proxy; return a non-blocking socket. What the proxy says comes out as ``OSError``.

    With ``socks5`` names are resolved here, with ``socks5h`` and ``http`` by the proxy.
    """
    try:
        return _connected(proxy, host, port, deadline, family, bind_address, nodelay)
    finally:
        wipe(proxy.password)


def _connected(
    proxy: Proxy, host: str, port: int, deadline: float, family: int, bind_address: str | None, nodelay: bool
) -> socket.socket:
    left = max(0.0, deadline - time.monotonic())
    try:
        sock = transport.connect_tcp(proxy.host, proxy.port, left, family=family, bind_address=bind_address, nodelay=nodelay)
    except OSError as exc:
        raise type(exc)(exc.errno, f"reaching the proxy {proxy} failed: {exc.strerror}") from exc
    try:
        stream = _Stream(sock, deadline, proxy)
        if proxy.scheme == "http":
            _http(stream, proxy, host, port)
        else:
            local = proxy.scheme == "socks5"
            _socks(stream, proxy, transport.resolve(host, port, family, deadline)[0][1][0] if local else host, port)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


class _Stream:
    """The socket while we talk to the proxy itself: not a byte more than its answer is read."""

    def __init__(self, sock: socket.socket, deadline: float, proxy: Proxy) -> None:
        self._sock = sock
        self._deadline = deadline
        self._proxy = proxy

    def _arm(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, f"the proxy {self._proxy} does not answer in time")
        self._sock.settimeout(left)

    def send(self, data: bytes | bytearray) -> None:
        self._arm()
        self._sock.sendall(data)

    def send_secret(self, data: bytearray) -> None:
        try:
            self.send(data)
        finally:
            wipe(data)

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            self._arm()
            try:
                piece = self._sock.recv(size - len(data))
            except socket.timeout:  # not yet a TimeoutError in Python 3.9
                continue  # arming again says so
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise ConnectionResetError(errno.ECONNRESET, f"the proxy {self._proxy} hung up")
            data += piece
        return data

    def read_header(self) -> bytes:
        """Read up to an empty line."""
        data = b""
        while not data.endswith((b"\r\n\r\n", b"\n\n")):
            if len(data) > _MOST_HEADER:
                raise OSError(errno.EPROTO, f"the proxy {self._proxy} does not end its answer")
            data += self.read(1)
        return data


def _socks(stream: _Stream, proxy: Proxy, host: str, port: int) -> None:
    methods = b"\x02\x00\x02" if proxy.user is not None else b"\x01\x00"
    stream.send(b"\x05" + methods)
    version, method = stream.read(2)
    if version != 5:
        raise OSError(errno.EPROTO, f"{proxy} is no SOCKS 5 proxy")
    if method == 2 and proxy.user is not None:
        user, password = proxy.user.encode(), proxy.password
        if not 0 < len(user) < 256 or len(password) > 255:
            raise ValueError("a SOCKS user name or password has more than 255 bytes")
        stream.send_secret(bytearray().join([bytes([1, len(user)]), user, bytes([len(password)]), password]))
        if stream.read(2)[1] != 0:
            raise PermissionError(errno.EACCES, f"the proxy {proxy} refuses the user name or password")
    elif method != 0:
        raise PermissionError(errno.EACCES, f"the proxy {proxy} wants a user name and password")
    stream.send(b"\x05\x01\x00" + _socks_address(host) + port.to_bytes(2, "big"))
    _, code, _, kind = stream.read(4)
    if code:
        number, text = _SOCKS_REPLIES.get(code, (errno.EIO, f"error {code}"))
        raise OSError(number, f"the proxy {proxy} can't connect to {host} port {port}: {text}")
    stream.read({1: 4, 4: 16}.get(kind) or stream.read(1)[0])
    stream.read(2)


def _socks_address(host: str) -> bytes:
    for family, kind in ((socket.AF_INET, b"\x01"), (socket.AF_INET6, b"\x04")):
        try:
            return kind + socket.inet_pton(family, host)
        except OSError:
            continue
    name = host.encode("idna" if not host.isascii() else "ascii")
    if len(name) > 255:
        raise ValueError("a host name for a SOCKS proxy has more than 255 bytes")
    return b"\x03" + bytes([len(name)]) + name


def _http(stream: _Stream, proxy: Proxy, host: str, port: int) -> None:
    name = f"[{host}]" if ":" in host else host
    if not name.isascii() or not name.isprintable() or " " in name:
        raise ValueError(f"the host name has characters that may not go into an HTTP request: {host!r}")
    request = [f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n".encode("ascii"), b"\r\n"]
    if proxy.user is not None:
        login = bytearray().join([proxy.user.encode(), b":", proxy.password])
        # A piece at a time, as the result can't be wiped.
        token = [base64.b64encode(login[place : place + 3]) for place in range(0, len(login), 3)]
        request[1:1] = [b"Proxy-Authorization: Basic ", *token, b"\r\n"]
        wipe(login)
    stream.send_secret(bytearray().join(request))
    answer = stream.read_header().split(b"\n", 1)[0].decode("latin-1").strip()
    words = answer.split(None, 2)
    if not answer.startswith("HTTP/") or len(words) < 2:
        raise OSError(errno.EPROTO, f"{proxy} is no HTTP proxy")
    if words[1] == "407":
        raise PermissionError(errno.EACCES, f"the proxy {proxy} wants another user name and password")
    if not words[1].startswith("2"):
        raise OSError(errno.ECONNREFUSED, f"the proxy {proxy} can't connect to {host} port {port}: {' '.join(words[1:])}")
