# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logging in: passwords, prompts, chains of methods, agents, the steps of 1.4.0, and what is said when it fails."""

from __future__ import annotations

import re
import subprocess
import threading

import pytest

from pylibsshext import auth
from pylibsshext.errors import AuthenticationError, KeyImportError, LibsshSessionException
from pylibsshext.session import Session
from tests.lab import agents, servers
from tests.lab.bad import Round
from tests.lab.fixtures import missing

from .conftest import login


@pytest.fixture
def passwords(sshd):
    """The shared host, with a password."""
    if not sshd.password:
        missing("root, for hosts with passwords")
    return sshd


def test_password(passwords, connect):
    """A password logs in."""
    session = connect(passwords, private_key=None, password=passwords.password)
    assert session.info.auth_method in {"password", "keyboard-interactive"}
    assert session.info.auth_attempts[-1] == f"{session.info.auth_method}: accepted"


def test_wrong_password(passwords, connect):
    """The exception lists what was tried, and what the server would still take; the password is not in it."""
    with pytest.raises(AuthenticationError) as caught:
        connect(passwords, private_key=None, password="Wr0ng-passw0rd")
    error = caught.value
    assert isinstance(error, PermissionError)
    assert re.fullmatch(r"password: denied \(methods left: .*publickey.*\)", error.attempts[0])
    assert {"user", "password"} <= set(error.keywords)
    assert str(error).endswith(f"Keywords to change: {', '.join(error.keywords)}.")
    assert any(attempt.startswith("keyboard-interactive") for attempt in error.attempts)
    assert "publickey" in error.methods_left
    assert "Wr0ng" not in str(error) + repr(error.__cause__) + repr(error.args)
    assert f"{passwords.user}@{passwords.address} port {passwords.port}" in str(error)


def test_nothing_to_try(sshd, connect):
    """With nothing to log in with, 1.4.0's words, and the methods that there are."""
    with pytest.raises(AuthenticationError, match="Failed to find any acceptable way to authenticate") as caught:
        connect(sshd, private_key=None, agent=False)
    assert "publickey" in caught.value.methods_left


def test_wrong_key(sshd, connect, tmp_path):
    """A key that the server does not want is named by its fingerprint."""
    servers.make_key(tmp_path / "key")
    print_ = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key"], capture_output=True, text=True, check=True)
    with pytest.raises(AuthenticationError, match=re.escape(print_.stdout.split()[1])):
        connect(sshd, private_key=(tmp_path / "key").read_bytes())


def requests(host):
    """The methods that clients have asked for."""
    return re.findall(r"userauth-request for user \S+ service ssh-connection method ([a-z]+)", host.log())


def test_a_key_is_offered_at_once(new_sshd, connect):
    """A key that is at hand needs no question for the server's methods before it: one round trip less for each login."""
    host = new_sshd(sshd_config="LogLevel DEBUG")
    assert connect(host).info.auth_method == "publickey"
    assert requests(host) == ["publickey"]


def test_a_refused_key_tells_the_methods(new_sshd, connect, tmp_path):
    """After it the server is asked once more, in case that it wants nothing at all."""
    servers.make_key(tmp_path / "key")
    host = new_sshd(sshd_config="LogLevel DEBUG")
    with pytest.raises(AuthenticationError) as caught:
        connect(host, private_key=(tmp_path / "key").read_bytes(), gss_auth=False)
    assert requests(host) == ["publickey", "none"]
    assert "publickey" in caught.value.methods_left


def test_a_server_that_has_no_use_for_keys(new_sshd, connect):
    """A key is an attempt that the server counts: where there is a password, too, its methods are asked for first."""
    host = new_sshd(sshd_config="PubkeyAuthentication no\nMaxAuthTries 1\nPasswordAuthentication yes")
    if not host.password:
        missing("root, for hosts with passwords")
    assert connect(host, password=host.password).info.auth_attempts == ["password: accepted"]
    with pytest.raises(AuthenticationError, match=r"Tried publickey \(private_key SHA256:.*(denied|Too many)"):
        connect(host)


def test_a_server_that_wants_nothing(new_sshd, connect):
    """Who may log in without anything does, with a key that the server does not know, too."""
    host = new_sshd(sshd_config="PermitEmptyPasswords yes\nPasswordAuthentication yes\nAuthorizedKeysFile none")
    if not host.has_accounts:
        missing("root, for accounts")
    for given in ({}, {"private_key": None, "look_for_keys": False}):
        assert connect(host, user="open", **given).info.auth_method == "none"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("as_text", [True, False])
def test_encrypted_key(new_sshd, connect, tmp_path, kind, as_text):
    """An encrypted key in memory needs its passphrase; a wrong or missing one is an exception, where 1.4.0 crashed."""
    public = servers.make_key(tmp_path / "key", kind, passphrase="open sesame")
    host = new_sshd(authorized_keys=public)
    key = (tmp_path / "key").read_text() if as_text else (tmp_path / "key").read_bytes()
    assert connect(host, private_key=key, private_key_password="open sesame").is_connected
    with pytest.raises(KeyImportError, match="wrong passphrase"):
        connect(host, private_key=key, private_key_password="sesame close")
    with pytest.raises(KeyImportError, match="no passphrase was given"):
        connect(host, private_key=key)


@pytest.mark.parametrize("key", [b"garbage", "garbage", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", b"x" * 1_000_000])
def test_garbage_for_a_key(sshd, connect, key):
    """What is no key is an exception that says so, before anything is connected."""
    with pytest.raises(KeyImportError, match="not a private key") as caught:
        connect(sshd, private_key=key)
    assert isinstance(caught.value, ValueError)


CHAINS = [("publickey", "password"), ("publickey", "keyboard-interactive"), ("password", "keyboard-interactive")]


@pytest.mark.parametrize("chain", CHAINS, ids="+".join)
def test_chain(bad_server, connect, chain):
    """Partial success goes on with the next method until all are through."""
    host = bad_server(factors=chain)
    session = connect(host, password=host.password)
    assert session.info.auth_method == chain[-1]
    assert session.exec_command("echo in").stdout == b"in\n"


def test_chain_of_openssh(new_sshd, connect):
    """The same with OpenSSH's AuthenticationMethods."""
    host = new_sshd(sshd_config="AuthenticationMethods publickey,password publickey,keyboard-interactive")
    if not host.password:
        missing("root, for hosts with passwords")
    assert connect(host, password=host.password).exec_command("echo in").stdout == b"in\n"


def test_incomplete_chain(bad_server, connect):
    """A chain that can't be completed says what was accepted and what is still wanted: 1.4.0 took it for a success."""
    host = bad_server(factors=("publickey", "password"))
    with pytest.raises(AuthenticationError, match="accepted, but more is wanted") as caught:
        connect(host)
    assert caught.value.methods_left == ["password"]


def test_prompts(bad_server, connect):
    """Several prompts in several rounds are answered by the callback, which sees names and echo flags."""
    rounds = (
        Round((("Password: ", False, "one"), ("Verification code: ", True, "123456")), "Login", "Answer both."),
        Round((("Favourite colour? ", True, "blue"),)),
    )
    host = bad_server(factors=("keyboard-interactive",), rounds=rounds)
    asked = []

    def answer(name, instruction, prompts):
        asked.append((name, instruction, prompts))
        return ["one", "123456"] if len(prompts) == 2 else ["blue"]

    session = connect(host, private_key=None, kbdint_callback=answer)
    assert session.info.auth_method == "keyboard-interactive"
    assert asked[0] == ("Login", "Answer both.", [("Password: ", False), ("Verification code: ", True)])
    assert asked[1][2] == [("Favourite colour? ", True)]


def test_empty_answers(bad_server, connect):
    """An empty answer is an answer, and a round without questions is gone through."""
    rounds = (
        Round((), "", "This system is for authorised users."),
        Round((("Press return: ", True, ""), ("Domain (empty for none): ", True, ""))),
        Round((("Password: ", False, "s3cret"), ("Tenant number: ", True, "4711"))),
    )
    host = bad_server(factors=("keyboard-interactive",), rounds=rounds)
    answers = {"Press return": "", "Domain": "", "Tenant": "4711"}
    session = connect(host, private_key=None, password="s3cret", kbdint_answers=answers)
    assert session.info.auth_method == "keyboard-interactive"

    def answer(_name, _instruction, prompts):
        return ["" if "Press" in prompt or "Domain" in prompt else "4711" for prompt, _ in prompts]

    connect(host, private_key=None, password="s3cret", kbdint_callback=answer)


@pytest.mark.parametrize("answers", [None, [None], ["one", "two"], 5, [object()]])
def test_callback_that_answers_nonsense(bad_server, connect, answers):
    """What is no list of texts, one for each prompt, is an error that does not repeat it."""
    host = bad_server(factors=("keyboard-interactive",))
    with pytest.raises((AuthenticationError, TypeError), match="answer"):
        connect(host, private_key=None, kbdint_callback=lambda *_: answers)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Password: ", None),
        ("(me) Password:", None),
        ("TACACS Password: ", "password:"),
        ("Passcode? ", None),
        ("PIN> ", "pin>"),
    ],
)
def test_password_for_a_prompt(bad_server, connect, prompt, expected):
    """The password answers what asks for it, by the default ending, the given one, or as the only hidden question."""
    host = bad_server(factors=("keyboard-interactive",), rounds=(Round(((prompt, False, "s3cret"),)),))
    session = connect(host, private_key=None, password="s3cret", password_prompt=expected)
    assert session.info.auth_method == "keyboard-interactive"


def test_password_is_not_given_to_other_prompts(bad_server, connect):
    """A question that is not for the password does not get it: the error names the question."""
    rounds = (Round((("Password: ", False, "s3cret"), ("Verification code: ", True, "s3cret"))),)
    host = bad_server(factors=("keyboard-interactive",), rounds=rounds)
    with pytest.raises(AuthenticationError, match="Verification code"):
        connect(host, private_key=None, password="s3cret")


def test_callback_that_raises(bad_server, connect):
    """What the callback raises comes out of connect()."""
    host = bad_server(factors=("keyboard-interactive",))

    def answer(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        connect(host, private_key=None, kbdint_callback=answer)


def test_a_second_connect_meanwhile(bad_server, sshd):
    """While a login goes on another thread's connect, and a callback's, is an error that leaves the first alone."""
    host = bad_server(factors=("keyboard-interactive",))
    told = []

    def connect_again():
        with pytest.raises(LibsshSessionException) as caught:
            session.connect(**login(sshd))
        told.append(str(caught.value))

    def answer(_name, _instruction, prompts):
        connect_again()
        thread = threading.Thread(target=connect_again)
        thread.start()
        thread.join(20)
        return [host.password] * len(prompts)

    with Session() as session:
        session.connect(**login(host, private_key=None, kbdint_callback=answer))
        assert session.exec_command("echo in").stdout == b"in\n"
        session.close()
        session.connect(**login(sshd))
        assert session.exec_command("echo in").stdout == b"in\n"
    assert told == ["ssh connect failed: the session is being connected already, in another thread or a callback"] * 2


def test_auth_timeout(relay, sshd, connect, soon):
    """`auth_timeout` bounds the login."""
    far, link = relay(sshd)

    class Freezing(Session):
        def verify_knownhost(self):
            link.freeze()
            return super().verify_knownhost()

    with Freezing() as session, soon(2, tolerance=1), pytest.raises(TimeoutError):  # the connect is in it
        session.connect(**login(far, auth_timeout=2))


def before_login(host, **more):
    """A session that is connected and not logged in."""
    session = Session()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "login", lambda *_: None)
        session.connect(**login(host, private_key=None, **more))
    session._core.auth_none(None)
    return session


def test_step_by_step_with_a_key(sshd):
    """1.4.0's authenticate_specific_pubkey logs in, or raises."""
    with before_login(sshd) as session:
        session.authenticate_specific_pubkey(sshd.key.read_bytes())
        assert session.exec_command("echo in").stdout == b"in\n"


def test_step_by_step_with_a_password(passwords):
    """1.4.0's authenticate_password logs in, or raises."""
    with before_login(passwords) as session:
        with pytest.raises(LibsshSessionException, match="Failed to authenticate"):
            session.authenticate_password("wrong")
        session.authenticate_password(passwords.password)
        assert session.exec_command("echo in").stdout == b"in\n"


def test_step_by_step_with_prompts(passwords):
    """1.4.0's authenticate_interactive logs in, or raises."""
    with before_login(passwords) as session:
        session.authenticate_interactive(passwords.password, "password:")
        assert session.info.auth_method == "keyboard-interactive"


def test_step_by_step_with_gssapi(sshd):
    """Without tickets GSSAPI fails with an exception."""
    with before_login(sshd) as session, pytest.raises(LibsshSessionException):
        session.authenticate_gssapi_with_mic()


def test_login_as_another_user(passwords, connect):
    """The user that is given is the one who logs in."""
    assert connect(passwords, user="ansible").exec_command("id -un").stdout == b"ansible\n"


@pytest.fixture
def agent(sshd, tmp_path, monkeypatch):
    """An agent that holds the lab's key."""
    with agents.ssh_agent(tmp_path, sshd.key) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        yield path


@pytest.mark.usefixtures("agent")
def test_agent(sshd, connect):
    """The agent's key logs in without any key file."""
    assert connect(sshd, private_key=None, agent=True).info.auth_method == "publickey"


@pytest.mark.usefixtures("agent")
def test_without_the_agent(sshd, connect):
    """agent=False leaves it alone."""
    with pytest.raises(AuthenticationError):
        connect(sshd, private_key=None, agent=False)


def test_agent_that_is_gone(sshd, connect, monkeypatch):
    """A stale SSH_AUTH_SOCK is no reason to fail."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent/agent")
    assert connect(sshd, agent=True).is_connected
