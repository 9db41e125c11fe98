# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a login needed is not in the holder's memory any more when the session is up, or has failed."""

from __future__ import annotations

import base64
import subprocess
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from pylibsshext import errors
from pylibsshext.mux.client import MuxSession
from tests.lab.bad import Round

from . import mux_lab
from .test_mux import keywords

CANARY = "canary-7YtQ-2zvW-9KxB"


@pytest.fixture
def remembered(tmp_path):
    """Give what tells which of some secrets, by name, this test's holder still has in its memory."""
    with mux_lab.own_directory(tmp_path / "mux") as directory:
        yield partial(mux_lab.remembered, directory)


def locked_copy(host, path):
    """Return a copy of a host's login key with a passphrase, and its secret: the seed of RFC 8032, section 5.1.5."""
    path.write_bytes(Path(host.key).read_bytes())
    path.chmod(0o600)
    body = b"".join(path.read_bytes().split(b"-----")[2].split())
    public = base64.b64decode(Path(f"{host.key}.pub").read_text().split()[1])[-32:]
    raw = base64.b64decode(body)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", CANARY, "-f", path], check=True, stdout=subprocess.DEVNULL)
    return path, raw[raw.rindex(public) - 32 : raw.rindex(public)]


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_a_password_is_forgotten(new_sshd, remembered, method):
    """The right one when the session is up, and a wrong one when it was refused."""
    host = new_sshd()
    by_password = {"identities": None, "user": "ansible", "preferred_authentications": [method]}
    with MuxSession(30) as session, MuxSession(30) as refused:
        session.connect(**keywords(host, password=host.password, **by_password))
        with pytest.raises(errors.AuthenticationError):
            refused.connect(**keywords(host, password=CANARY, **by_password))
        assert session.exec_command("id -un").stdout == b"ansible\n"
        assert remembered(right=host.password.encode(), wrong=CANARY.encode()) == set()


def test_a_password_for_a_host_on_the_way_is_forgotten(new_sshd, remembered):
    """It goes the same way, inside the description of the hop."""
    jump, host = new_sshd(), new_sshd()
    hop = keywords(jump, identities=None, user="ansible", password=jump.password)
    with MuxSession(30) as session:
        session.connect(**keywords(host, proxy_jump=[hop]))
        assert session.exec_command("true").returncode == 0
        assert remembered(password=jump.password.encode()) == set()


def test_answers_are_forgotten(new_sshd, remembered):
    """Those of a table that nobody was asked for, and those that somebody typed."""
    host = new_sshd()
    by_answers = {"identities": None, "user": "ansible", "preferred_authentications": ["keyboard-interactive"]}
    with MuxSession(30) as session, MuxSession(30) as typed:
        session.connect(**keywords(host, kbdint_answers={"(?i)password": host.password, "code": CANARY}, **by_answers))
        typed.connect(**keywords(host, kbdint_callback=lambda *_: [host.password], **by_answers))
        assert typed.exec_command("id -un").stdout == b"ansible\n"
        assert remembered(right=host.password.encode(), other=CANARY.encode()) == set()


def test_the_secret_of_one_time_codes_is_forgotten(bad_server, remembered):
    """Neither the text that authenticators take nor the key that it stands for is left."""
    host = bad_server(factors=("keyboard-interactive",), rounds=(Round((("Code: ", False, "one that it is not"),)),))
    key = CANARY.encode()
    secret = base64.b32encode(key).decode().rstrip("=")
    with MuxSession(30) as session:
        with pytest.raises(errors.AuthenticationError, match="keyboard-interactive: denied|asks .'Code:'. again"):
            session.connect(**keywords(host, identities=None, kbdint_answers={"Code": {"totp": secret}}))
        assert remembered(text=secret.encode(), key=key) == set()


def test_a_typed_passphrase_is_forgotten(new_sshd, remembered, tmp_path):
    """It came from the client's terminal."""
    host = new_sshd()
    path, seed = locked_copy(host, tmp_path / "locked")
    with MuxSession(30) as session:
        session.connect(**keywords(host, identities=[str(path)], prompt_callback=lambda *_: CANARY))
        assert session.exec_command("true").returncode == 0
        assert remembered(passphrase=CANARY.encode(), seed=seed) == set()


@pytest.mark.parametrize("how", ["text", "file"])
def test_a_private_key_is_forgotten(new_sshd, remembered, tmp_path, how):
    """Its passphrase, what it unlocked, and the text of a key that is in no file."""
    host = new_sshd()
    path, seed = locked_copy(host, tmp_path / "locked")
    text = path.read_text()
    given = {"private_key": text, "identities": None} if how == "text" else {"identities": [str(path)]}
    with MuxSession(30) as session:
        session.connect(**keywords(host, private_key_password=CANARY, **given))
        assert session.exec_command("true").returncode == 0
        line = text.encode().splitlines()[-3] if how == "text" else CANARY.encode()
        assert remembered(passphrase=CANARY.encode(), seed=seed, text=line) == set()


@pytest.mark.parametrize(("scheme", "kind"), [("socks5", "socks"), ("http", "http")])
def test_the_password_of_a_proxy_is_forgotten(new_sshd, proxy_server, remembered, scheme, kind):
    """The right one and a wrong one, as they stand in the URL, decoded, and as HTTP has them."""
    host = new_sshd()
    right, wrong = f"right {CANARY}", f"wrong {CANARY}"
    proxy = proxy_server(kind, user=("me", right))

    def url(password):
        return f"{scheme}://me:{quote(password)}@127.0.0.1:{proxy.port}"

    with MuxSession(30) as session, MuxSession(30) as refused:
        session.connect(**keywords(host, proxy=url(right)))
        with pytest.raises(errors.LibsshConnectionError, match="user name"):
            refused.connect(**keywords(host, proxy=url(wrong)))
        assert session.exec_command("true").returncode == 0
        encoded = {f"base64 {name}": base64.b64encode(f"me:{name}".encode())[:-4] for name in (right, wrong)}
        quoted = {f"quoted {name}": quote(name).encode() for name in (right, wrong)}
        assert remembered(right=right.encode(), wrong=wrong.encode(), **encoded, **quoted) == set()
