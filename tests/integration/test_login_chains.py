# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logins that take more than one step: several factors, one-time codes, passwords that must be changed. With OpenSSH and PAM."""

from __future__ import annotations

import base64
import os
import re
import subprocess

import pytest

from pylibsshext.errors import AuthenticationError
from tests.lab import servers
from tests.lab.fixtures import missing, new_hosts
from tests.lab.works import works

PAM_OATH = ("/lib/x86_64-linux-gnu/security/pam_oath.so", "/lib/aarch64-linux-gnu/security/pam_oath.so")
SECRET = b"12345678901234567890"
CHAINS = {
    "publickey,password": "root",
    "publickey,keyboard-interactive": "ansible",
    "password,keyboard-interactive": "nopw",
}


@pytest.fixture(scope="module")
def chained(lab):
    """A server with a user for each chain of two methods."""
    matches = "".join(f"Match User {user}\n AuthenticationMethods {chain}\n" for chain, user in CHAINS.items())
    for new in new_hosts(lab, "loopback"):
        host = new(sshd_config=matches)
        if not host.password:
            missing("root, for hosts with passwords")
        yield host


@pytest.fixture
def otp_host(new_sshd):
    """A server whose PAM wants a password and then a one-time code, in one exchange."""
    if not any(map(os.path.exists, PAM_OATH)):
        missing("libpam-oath")
    host = new_sshd(
        sshd_config="AuthenticationMethods keyboard-interactive publickey,keyboard-interactive\nKbdInteractiveAuthentication yes"
    )
    if not host.password:
        missing("root, for a server with PAM of its own")
    users = host.directory / "users.oath"
    users.write_text("".join(f"HOTP/T30/6 {user} - {SECRET.hex()}\n" for user in ("root", "ansible")))
    users.chmod(0o600)
    rules = "auth required pam_unix.so nodelay\n"
    rules += f"auth required pam_oath.so usersfile={users} window=20 digits=6\n"
    (host.directory / "etc/pam.d/sshd").write_text(rules + "account required pam_unix.so\nsession required pam_unix.so\n")
    return host


@pytest.mark.parametrize(("chain", "user"), CHAINS.items(), ids=CHAINS)
def test_two_factors(chained, connect, chain, user):
    """Both are gone through in order, and an incomplete chain says what was accepted and what is still wanted."""
    session = connect(chained, user=user, password=chained.password)
    assert session.info.auth_method == chain.split(",")[1]
    assert session.exec_command("id -un").stdout.decode().strip() == user
    first, second = chain.split(",")
    with pytest.raises(AuthenticationError, match=f"{first}.*: accepted, but more is wanted .methods left: {second}") as caught:
        connect(chained, user=user, password=chained.password, preferred_authentications=[first])
    assert caught.value.methods_left == [second]
    assert "preferred_authentications" in caught.value.keywords
    works(chain, chained)


def test_three_factors(new_sshd, connect, tmp_path):
    """Two different keys and a password."""
    other = servers.make_key(tmp_path / "other")
    host = new_sshd(sshd_config="AuthenticationMethods publickey,publickey,password", authorized_keys=other)
    if not host.password:
        missing("root, for hosts with passwords")
    session = connect(host, identities=[str(tmp_path / "other")], password=host.password)
    assert session.info.auth_method == "password"
    with pytest.raises(AuthenticationError) as caught:
        connect(host, password=host.password)
    assert caught.value.methods_left == ["publickey"]
    works("publickey,publickey,password", host)


def test_one_time_codes(otp_host, connect):
    """pam_oath's code comes from the table as a text, or is computed from the secret; without it the question is named."""
    code = subprocess.run(["oathtool", "--totp", SECRET.hex()], capture_output=True, text=True, check=True).stdout.strip()
    table = {"One-time": code}
    session = connect(otp_host, private_key=None, password=otp_host.password, kbdint_answers=table)
    assert session.info.auth_method == "keyboard-interactive"
    asked = []

    def answer(_name, _instruction, prompts):
        asked.extend(prompts)
        return [code_of_next()]

    def code_of_next():
        later = ["oathtool", "--totp", "--now=+30 seconds", SECRET.hex()]
        return subprocess.run(later, capture_output=True, text=True, check=True).stdout.strip()

    assert connect(otp_host, password=otp_host.password, user="root", kbdint_callback=answer).is_connected
    assert [re.match("One-time password", prompt) is not None for prompt, _ in asked] == [True]
    secret = {"One-time": {"totp": base64.b32encode(SECRET).decode()}}
    assert connect(otp_host, user="ansible", private_key=None, password=otp_host.password, kbdint_answers=secret).is_connected
    with pytest.raises(AuthenticationError, match="One-time password"):
        connect(
            otp_host,
            user="ansible",
            private_key=None,
            password=otp_host.password,
            preferred_authentications=["keyboard-interactive"],
        )
    works("keyboard-interactive with one-time codes (pam_oath)", otp_host)


def test_a_password_that_has_expired(new_sshd, connect):
    """PAM's questions for a new password are told, and not answered with the old one; the table can answer them."""
    host = new_sshd()
    if not host.password:
        missing("root, for hosts with passwords")
    shadow = host.directory / "etc/shadow"
    shadow.write_text(re.sub(r"(?m)^(ansible:[^:]*):\d+:", r"\1:0:", shadow.read_text()))
    asked = {
        "private_key": None,
        "user": "ansible",
        "password": host.password,
        "preferred_authentications": "keyboard-interactive",
    }
    with pytest.raises(AuthenticationError, match="the server wants the password to be changed: it asks .'New password:'"):
        connect(host, **asked)
    works("a password change is told of", host)


def test_a_password_change_request(bad_server, connect):
    """A server may ask for a new password within the method "password"; libssh can't answer that, and the error says what it is."""
    host = bad_server(factors=("password",), expired=True)
    with pytest.raises(AuthenticationError, match="password: the server wants the password to be changed first"):
        connect(host, private_key=None, password=host.password)
