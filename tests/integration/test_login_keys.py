# SPDX-License-Identifier: LGPL-2.1-or-later
"""Public keys: from files, from the agent, with certificates; which of them the server is shown."""

from __future__ import annotations

import base64
import socket
import struct
import subprocess
import threading

import pytest

from pylibsshext.errors import AuthenticationError, KeyImportError, LibsshSessionException
from pylibsshext.session import Session
from tests.lab import agents


def keygen(*arguments):
    subprocess.run(["ssh-keygen", "-q", *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def connect(host, **options):
    options = {"look_for_keys": False, "host_key_checking": False, "config_file": "none", **options}
    session = Session()
    session.connect(host=host.address, port=host.port, user=host.user, **options)
    return session


def offers(host):
    return sum("userauth-request for user" in line and "method publickey" in line for line in host.log().splitlines())


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """An empty ssh-agent; ``agent(path, ...)`` loads keys."""
    with agents.ssh_agent(tmp_path) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        yield lambda *keys: agents.load(path, *keys)


@pytest.fixture
def strangers(tmp_path):
    """Keys that no server knows."""
    paths = [tmp_path / f"stranger{i}" for i in range(7)]
    for path in paths:
        keygen("-t", "ed25519", "-N", "", "-f", path)
    return paths


@pytest.fixture
def strict(new_sshd):
    """A server that bears with two attempts and tells of each."""
    return new_sshd(sshd_config="MaxAuthTries 2\nLogLevel DEBUG2")


@pytest.fixture
def with_ca(new_sshd, tmp_path):
    """A server that trusts the certificates of a CA, and the CA's key."""
    ca = tmp_path / "ca"
    keygen("-t", "ed25519", "-N", "", "-f", ca)
    ca.with_suffix(".pub").chmod(0o644)
    return new_sshd(sshd_config=f"TrustedUserCAKeys {ca}.pub"), ca


def test_a_pub_file_picks_one_key_of_the_agent(strict, agent, strangers, lab):
    """With eight keys in the agent, the server is shown the one that the .pub file names."""
    agent(*strangers, lab.key)
    with connect(strict, identities=[f"{lab.key}.pub"]) as session:
        assert session.info.auth_method == "publickey"
    assert offers(strict) <= 2  # the question and the signature


def test_a_locked_key_file_is_used_through_the_agent(strict, agent, tmp_path, lab):
    """A key file whose passphrase nobody gives works when the agent holds that key."""
    locked = tmp_path / "locked"
    locked.write_bytes(lab.key.read_bytes())
    locked.chmod(0o600)
    agent(locked)
    keygen("-p", "-N", "passphrase", "-f", locked)
    connect(strict, identities=[str(locked)]).close()


def test_too_many_keys_are_told_of(strict, agent, strangers, lab):
    """Where the agent's keys use up the attempts, the error lists those that were shown, by fingerprint."""
    agent(*strangers, lab.key)
    with pytest.raises(AuthenticationError, match="the agent's .* SHA256:") as caught:
        connect(strict, agent=True)
    assert 1 <= len(caught.value.attempts) <= 3  # the last is the one that the server hung up on


def test_identities_only_keeps_the_agent_out(strict, agent, strangers, lab):
    """With identities_only the agent's other keys are not shown."""
    agent(lab.key)
    with pytest.raises(AuthenticationError, match="stranger0") as caught:
        connect(strict, agent=True, identities_only=True, identities=[str(strangers[0])])
    assert len(caught.value.attempts) == 1


def test_a_dead_agent_is_no_obstacle(strict, monkeypatch, tmp_path, lab):
    """A stale SSH_AUTH_SOCK leaves the key files."""
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "nobody"))
    connect(strict, agent=True, identities=[str(lab.key)]).close()


def test_key_files_that_cannot_be_used_are_named(strict, tmp_path):
    """The error says of each file why it was of no use."""
    locked = tmp_path / "locked"
    keygen("-t", "ed25519", "-N", "passphrase", "-f", locked)
    with pytest.raises(AuthenticationError) as caught:
        connect(strict, identities=[str(tmp_path / "missing"), str(locked)])
    assert "No such file" in caught.value.attempts[0]
    assert "encrypted and no passphrase" in caught.value.attempts[1]


def test_a_certificate_beside_the_key_is_found(with_ca, tmp_path):
    """<key>-cert.pub logs in where the key alone is not known."""
    host, ca = with_ca
    key = tmp_path / "certified"
    keygen("-t", "ed25519", "-N", "", "-f", key)
    with pytest.raises(AuthenticationError):
        connect(host, identities=[str(key)])
    keygen("-s", ca, "-I", "me", "-n", host.user, f"{key}.pub")
    connect(host, identities=[str(key)]).close()


def test_a_certificate_in_memory(with_ca, tmp_path):
    """A key and its certificate may both come as text, with nothing on the disk."""
    host, ca = with_ca
    key = tmp_path / "certified"
    keygen("-t", "ecdsa", "-N", "", "-f", key)
    keygen("-s", ca, "-I", "me", "-n", host.user, f"{key}.pub")
    text, certificate = key.read_bytes(), (tmp_path / "certified-cert.pub").read_text()
    connect(host, private_key=text, certificate=certificate).close()
    with pytest.raises(KeyImportError, match="not a certificate"):
        connect(host, private_key=text, certificate="ssh-ed25519 AAAA")


def test_a_certificate_for_somebody_else_is_refused(with_ca, tmp_path):
    """A certificate of another principal does not log in."""
    host, ca = with_ca
    key = tmp_path / "certified"
    keygen("-t", "ed25519", "-N", "", "-f", key)
    keygen("-s", ca, "-I", "me", "-n", "nobody", f"{key}.pub")
    with pytest.raises(AuthenticationError, match="denied"):
        connect(host, identities=[str(key)])


def test_a_certificate_in_the_agent(with_ca, agent, tmp_path):
    """A certificate that was loaded into the agent with its key logs in."""
    host, ca = with_ca
    key = tmp_path / "certified"
    keygen("-t", "ed25519", "-N", "", "-f", key)
    keygen("-s", ca, "-I", "me", "-n", host.user, f"{key}.pub")
    agent(key)
    connect(host, agent=True).close()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize("passphrase", ["", "a passphrase"])
def test_every_format_of_a_key(sshd, tmp_path, kind, form, passphrase):
    """Keys of each type and file format can be read, encrypted or not, and a wrong passphrase is told as such."""
    key = tmp_path / "key"
    keygen("-t", kind, "-m", form, "-N", passphrase, "-f", key)
    with pytest.raises(AuthenticationError, match="denied"):
        connect(sshd, private_key=key.read_text(), private_key_password=passphrase or None)
    if passphrase:
        with pytest.raises(KeyImportError, match="wrong passphrase"):
            connect(sshd, private_key=key.read_bytes(), private_key_password="another")


def test_the_order_of_methods_can_be_set(sshd, lab):
    """preferred_authentications says what is tried, in order, and an unknown name is an error."""
    assert sshd.password
    both = {"password": sshd.password, "private_key": lab.key.read_bytes()}
    with connect(sshd, **both, preferred_authentications="password,publickey") as session:
        assert session.info.auth_method == "password"
    with connect(sshd, **both, preferred_authentications=["publickey"]) as session:
        assert session.info.auth_method == "publickey"
    with pytest.raises(LibsshSessionException, match="'telepathy' is not one of"):
        connect(sshd, preferred_authentications="telepathy")


def test_a_passphrase_is_asked_for(strict, tmp_path, lab):
    """Of a key that is named or given, once; with nobody to ask, or a wrong answer, the error says so."""
    locked = tmp_path / "locked"
    locked.write_bytes(lab.key.read_bytes())
    locked.chmod(0o600)
    keygen("-p", "-N", "open sesame", "-f", locked)
    asked = []

    def ask(question, secret):
        asked.append((question, secret))
        return "open sesame"

    connect(strict, identities=[str(locked)], prompt_callback=ask).close()
    connect(strict, private_key=locked.read_text(), prompt_callback=ask).close()
    assert asked == [(f"Passphrase for {locked}: ", True), ("Passphrase for private_key: ", True)]
    with pytest.raises(AuthenticationError, match="wrong passphrase"):
        connect(strict, identities=[str(locked)], prompt_callback=lambda *_: "sesame")
    with pytest.raises(KeyImportError, match="no passphrase was given"):
        connect(strict, private_key=locked.read_text(), prompt_callback=lambda *_: None)


def test_a_certificate_for_a_key_of_the_agent(with_ca, agent, tmp_path):
    """The agent holds the bare key; the certificate is in a file that is named, or lies beside the .pub file."""
    host, ca = with_ca
    key = tmp_path / "certified"
    keygen("-t", "rsa", "-N", "", "-f", key)
    agent(key)
    keygen("-s", ca, "-I", "me", "-n", host.user, f"{key}.pub")
    key.unlink()
    connect(host, identities=[f"{key}.pub"]).close()
    (tmp_path / "certified-cert.pub").rename(tmp_path / "elsewhere")
    connect(host, identities=[f"{key}.pub"], certificate_file=str(tmp_path / "elsewhere")).close()
    with pytest.raises(AuthenticationError, match="denied"):
        connect(host, identities=[f"{key}.pub"])


def test_an_agent_that_does_not_answer(strict, tmp_path, soon, lab):
    """An agent that waits for somebody who doesn't come is given up at the login's time-out; Ctrl-C would be heeded, too."""
    path = tmp_path / "sleeping"
    blob = base64.b64decode(lab.public_key.split()[1])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def list_and_sleep():
        connection, _ = listener.accept()
        connection.recv(5)
        answer = b"\x0c" + struct.pack(">II", 1, len(blob)) + blob + struct.pack(">I", 0)
        connection.sendall(struct.pack(">I", len(answer)) + answer)
        while connection.recv(4096):
            pass
        connection.close()

    thread = threading.Thread(target=list_and_sleep)
    thread.start()
    with soon(1.5, tolerance=1), pytest.raises(TimeoutError):
        connect(strict, agent=str(path), auth_timeout=1.5)
    thread.join(5)
    assert not thread.is_alive()
    listener.close()
