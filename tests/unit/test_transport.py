# SPDX-License-Identifier: LGPL-2.1-or-later
"""Transport without servers: tokens of a ProxyCommand, names that may not go through a shell, adopted descriptors, URLs of proxies."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from pylibsshext import transport
from pylibsshext.proxies import Proxy


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("nc %h %p", "nc h.example 2222"),
        ("ssh -W [%h]:%p -l %r jump", "ssh -W [h.example]:2222 -l me jump"),
        ("nc %n %p", "nc alias 2222"),
        ("printf 100%%; nc %%h", "printf 100%; nc %h"),
        ("no tokens", "no tokens"),
    ],
)
def test_tokens(command: str, expected: str) -> None:
    """The tokens that OpenSSH documents for ProxyCommand are replaced, and a doubled per cent sign is one."""
    assert transport.expand(command, "h.example", 2222, "me", "alias") == expected


@pytest.mark.parametrize("command", ["nc %x", "nc %", "nc %H", "a %\n", "nc\0 %h"])
def test_wrong_commands_are_refused(command: str) -> None:
    """A token that does not exist, and a NUL, is an error and not a guess."""
    with pytest.raises(ValueError, match="ProxyCommand has|token"):
        transport.expand(command, "h", 22, "me")


@pytest.mark.parametrize(
    "name",
    [
        "-oProxyCommand=x",
        "a;id",
        "a|id",
        "$(id)",
        "`id`",
        "a&b",
        "a b",
        "a\nb",
        "a'b",
        'a"b',
        "a>b",
        "a<b",
        "{a,b}",
        "$HOME",
        "a\tb",
        "",
    ],
)
def test_names_that_a_shell_would_act_on_are_refused(name: str) -> None:
    """Neither a host nor a user name can add an option, a command or an expansion."""
    for token in ("%h", "%n"):
        with pytest.raises(ValueError, match="host name has characters"):
            transport.expand(f"echo {token}", name, 22, "me")
    if name:
        with pytest.raises(ValueError, match="user name has characters"):
            transport.expand("echo %r", "h", 22, name)
    assert transport.expand("echo %p", name, 22, name) == "echo 22"


def test_names_in_use_go_through() -> None:
    """IPv6 addresses with a zone, and domain users, are no attack."""
    assert transport.expand("%h %r", "fe80::1%eth0", 22, "DOM\\joe.user-1_x@corp") == "fe80::1%eth0 DOM\\joe.user-1_x@corp"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_no_name_becomes_more_than_a_word(name: str) -> None:
    """Whatever name is accepted, a real shell hands it on as it is, in one piece."""
    try:
        command = transport.expand('printf \'<%%s>\' "%h" "%r"', name, 22, name)
    except ValueError:
        return
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True)
    assert done.stdout.decode() == f"<{name}><{name}>"


def test_adopted_descriptor_is_a_copy() -> None:
    """The caller can close their own descriptor, and closing ours leaves theirs."""
    ours, theirs = socket.socketpair()
    with theirs, transport.adopt(ours.fileno()) as copy:
        assert copy.fileno() != ours.fileno()
        assert not copy.getblocking()
        assert not os.get_inheritable(copy.fileno())
        ours.close()
        theirs.send(b"x")
        assert copy.recv(1) == b"x"


def test_adopted_tcp_socket_sends_at_once() -> None:
    """TCP_NODELAY is set on an adopted TCP connection, or cleared where the caller says so."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as mine:
        for wanted in (True, False):
            with transport.adopt(mine.fileno(), nodelay=wanted) as copy:
                assert bool(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is wanted


@pytest.mark.parametrize("kind", ["closed", "pipe"])
def test_what_is_no_socket_is_refused(kind: str) -> None:
    """A closed descriptor and a pipe are errors that name the descriptor."""
    read, write = os.pipe()
    if kind == "closed":
        os.close(read)
    with pytest.raises(OSError, match=f"using file descriptor {read} as a connection failed") as caught:
        transport.adopt(read)
    assert caught.value.errno == (errno.EBADF if kind == "closed" else errno.ENOTSOCK)
    for fd in {write} if kind == "closed" else {read, write}:
        os.close(fd)


@pytest.mark.parametrize("host", ["", "a\0b", "x" * 300, "no-such-host.invalid"])
def test_name_that_cannot_be_resolved(host: str) -> None:
    """A name that is none is a gaierror with a sentence, and nothing else."""
    with pytest.raises(socket.gaierror, match="resolving"):
        transport.connect_tcp(host, 22, 30)


def test_slow_name_service_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that does not answer costs no more than the time given."""
    real = socket.getaddrinfo

    def silent(host: str, port: int, family: int, kind: int, proto: int, flags: int) -> object:
        if flags & socket.AI_NUMERICHOST:
            return real(host, port, family, kind, proto, flags)
        time.sleep(1)
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"resolving h\.example failed: no answer"):
        transport.connect_tcp("h.example", 22, 0.2)
    assert time.monotonic() - start < 0.9


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_logins_of_proxies(user: str, password: str) -> None:
    """Whatever a user and a password are, they come out of a URL as they were put in; as bytes, too, which can be wiped."""
    url = f"socks5h://{quote(user, safe='')}:{quote(password, safe='')}@[::1]:9"
    for form in (url, url.encode(), bytearray(url.encode())):
        proxy = Proxy.parse(form)
        assert (proxy.host, proxy.port, proxy.user, proxy.password) == ("::1", 9, user, password.encode())


@pytest.mark.parametrize(
    ("login", "user", "password"),
    [
        ("", None, b""),
        ("me@", "me", b""),
        ("me:@", "me", b""),
        ("me:p@ss:w@", "me", b"p@ss:w"),
        ("me:100%%zz%4@", "me", b"100%%zz%4"),
    ],
)
def test_logins_of_proxies_as_they_are_typed(login: str, user: str | None, password: bytes) -> None:
    """A URL without a login has none, and what is no percent-encoding means itself."""
    proxy = Proxy.parse(f"http://{login}host")
    assert (proxy.host, proxy.port, proxy.user, proxy.password) == ("host", 3128, user, password)


@pytest.mark.parametrize("junk", [2**33, 1.5, [65], {}])
def test_what_is_no_text_is_no_proxy(junk: Any) -> None:
    """It is refused for what it is, and no memory is taken for a number."""
    with pytest.raises(TypeError, match="proxy: a URL is a text, not "):
        Proxy.parse(junk)
