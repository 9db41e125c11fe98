# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names, types and defaults of options."""

from __future__ import annotations

import warnings

import pytest

from pylibsshext import _core, options, session
from pylibsshext.errors import KeyImportError, LibsshSessionException
from pylibsshext.keywords import Keywords
from pylibsshext.session import Session

newer_than_0_10 = pytest.mark.skipif(
    _core.LIBSSH_VERSION.startswith("0.10."), reason="libssh 0.10 does not tell its lists, nor change them"
)
NAMES_OF_1_4_0 = [
    "fd",
    "host",
    "user",
    "port",
    "timeout",
    "timeout_usec",
    "knownhosts",
    "proxycommand",
    "key_exchange_algorithms",
    "publickey_accepted_algorithms",
    "hostkeys",
    "gssapi_server_identity",
    "gssapi_client_identity",
    "gssapi_delegate_credentials",
    "log_verbosity",
]
KEYWORDS_OF_1_4_0 = [
    "password",
    "password_prompt",
    "private_key",
    "private_key_password",
    "look_for_keys",
    "host_key_checking",
    "open_session_retries",
    "ssh_dir",
    "add_identity",
]


@pytest.mark.parametrize("name", NAMES_OF_1_4_0)
def test_names_of_1_4_0(name):
    """1.4.0's options are in OPTS_MAP, by libssh's number."""
    assert session.OPTS_MAP[name] == _core.OPTIONS[name]


def test_opts_map_can_be_added_to(monkeypatch):
    """Programs add options of libssh to the table."""
    monkeypatch.setitem(session.OPTS_MAP, "bindaddr", _core.OPTIONS["bindaddr"])
    Session().set_ssh_options("bindaddr", "127.0.0.1")


def test_opts_map_can_be_taken_from(monkeypatch):
    """A name that was taken out is unknown."""
    monkeypatch.delitem(session.OPTS_MAP, "proxycommand")
    with pytest.raises(LibsshSessionException):
        Session().set_ssh_options("proxycommand", "x")


@pytest.mark.parametrize("name", ["bogus", "", "HOST", 5, None])
def test_unknown_options(name):
    """An unknown option is refused in 1.4.0's words, for setting and getting."""
    for call in (lambda: Session().set_ssh_options(name, "x"), lambda: Session().get_ssh_options(name)):
        with pytest.raises(LibsshSessionException, match=r"^Unknown attribute name \["):
            call()


def test_unknown_option_in_the_constructor():
    """So it is as a keyword of Session()."""
    with pytest.raises(LibsshSessionException, match="bogus"):
        Session("host", bogus=1)


@pytest.mark.parametrize(
    ("name", "value"), [("port", "2222"), ("port", 2222), ("timeout", 3), ("timeout", "3"), ("host", b"bytes.test")]
)
def test_values(name, value):
    """Numbers may be digits, texts may be bytes."""
    one = Session()
    one.set_ssh_options(name, value)
    assert str(one.get_ssh_options(name)) in {"2222", "3", "bytes.test"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "ssh"),
        ("port", None),
        ("port", -1),
        ("port", 2**40),
        ("timeout", "soon"),
        ("timeout", float("nan")),
        ("host", "nul\0"),
        ("host", 5),
        ("user", ["me"]),
        ("ciphers", "rot13"),
        ("hostkeys", ""),
    ],
)
def test_values_that_are_none(name, value):
    """What makes no sense is an exception, at once."""
    with pytest.raises((LibsshSessionException, TypeError, ValueError, OverflowError)):
        Session().set_ssh_options(name, value)


@newer_than_0_10
@pytest.mark.parametrize(
    ("name", "value", "there", "gone"),
    [
        ("hostkeys", "+ssh-*", "ssh-rsa", "nothing"),
        ("hostkeys", "ecdsa-*", "ecdsa-sha2-nistp256", "ssh-ed25519"),
        ("ciphers", "-aes*", "chacha20-poly1305@openssh.com", "aes128-ctr"),
        ("publickey_accepted_algorithms", "-*cert*", "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"),
        ("macs", "+nothing-*", "hmac-sha2-256", "nothing-*"),
    ],
)
def test_patterns_in_lists_of_algorithms(name, value, there, gone):
    """Patterns stand for the algorithms that there are, behind each sign."""
    one = Session()
    one.set_ssh_options(name, value)
    names = one.get_ssh_options(name).split(",")
    assert there in names
    assert gone not in names


def test_warn_unknown():
    """A keyword that connect() does not know gives a warning with the nearest that it does."""
    with pytest.warns(UserWarning, match=r"unknown keyword 'passwd'.*'password'"):
        options.warn_unknown(["host", "passwd"])
    with pytest.warns(UserWarning, match=r"unknown keyword 'key_filename'; did you mean 'identities'"):
        options.warn_unknown(["key_filename"])  # as paramiko calls it
    with pytest.warns(UserWarning, match=r"'zzzzz'$"):
        options.warn_unknown(["zzzzz"])
    with pytest.warns(UserWarning, match="unknown") as caught, pytest.raises(LibsshSessionException, match="Hostname"):
        Session().connect(hosst="there")
    assert caught[0].filename == __file__


@pytest.mark.parametrize("name", ["port", "timeout", "banner_timeout", "auth_timeout", "server_alive_interval"])
def test_numbers_are_numbers(name):
    """What has to be a number and is not is named."""
    with pytest.raises(LibsshSessionException, match=f"^{name}: 'soon' is not a number$"):
        Session().connect(host="there", **{name: "soon"})


def test_known_by_other_names():
    """What others' names stand for is a keyword."""
    assert set(options._ELSEWHERE.values()) <= options.CONNECT_KEYWORDS


def test_path_is_no_key():
    """Who gives a path where the text of a key belongs is told where paths go."""
    with pytest.raises(KeyImportError, match="identities has files"):
        Session().connect(host="there", private_key="~/.ssh/id_ed25519")


def test_no_warning_for_known():
    """All of 1.4.0's keywords are known, and ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options.warn_unknown([*NAMES_OF_1_4_0, *KEYWORDS_OF_1_4_0, *options.EXTRA_OPTIONS, *options.CONNECT_KEYWORDS])


def test_keywords_have_types():
    """What type checkers know as a keyword of connect() is what it takes."""
    known = {*NAMES_OF_1_4_0, *options.OPTS_DIR_MAP, *options.EXTRA_OPTIONS, *options.CONNECT_KEYWORDS}
    assert set(Keywords.__annotations__) == known


def test_home(monkeypatch, tmp_path):
    """The user's files are below $HOME."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert options.default_ssh_dir() == f"{tmp_path}/.ssh"


def test_defaults():
    """A new session: port 22, no host, a user that libssh does not need to be told."""
    one = Session()
    assert (one.port, one.get_ssh_options("host"), one.is_connected) == (22, None, False)
    assert one.get_ssh_options("timeout") is None


def test_an_option_that_came_with_libssh_0_12(monkeypatch):
    """With an older libssh it is refused by a sentence, unless it is off; the real library takes it if it is new enough."""
    if tuple(map(int, _core.LIBSSH_VERSION.split(".")[:2])) >= (0, 12):
        Session(gss_kex=True)
        monkeypatch.setattr(_core, "LIBSSH_VERSION", "0.10.6")
    Session(gss_kex=False)
    with pytest.raises(LibsshSessionException, match="gss_kex needs libssh 0.12, and this is libssh 0.1"):
        Session(gss_kex=True)
