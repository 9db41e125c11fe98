# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trust in host keys: unknown, added, changed and revoked ones, under each policy."""

from __future__ import annotations

import pytest

from pylibsshext.errors import HostKeyChangedError, HostKeyError, LibsshSessionException
from pylibsshext.session import AutoAddPolicy, MissingHostKeyPolicy, RejectPolicy, Session
from tests.lab import servers

from .conftest import login


@pytest.fixture
def nobody(tmp_path):
    """A known_hosts file that knows nobody."""
    path = tmp_path / "known_hosts"
    path.touch()
    return path


@pytest.fixture
def impostor(sshd, tmp_path):
    """A known_hosts file that knows another key for the shared host."""
    other = servers.make_key(tmp_path / "other")
    path = tmp_path / "known_hosts"
    path.write_text(f"# nobody\n[{sshd.address}]:{sshd.port} {other}\n")
    return path


def fingerprint(sshd):
    """The SHA256 fingerprint that ssh-keygen prints for the host's key."""
    return sshd.run("ssh-keygen", "-lf", sshd.directory / "ssh_host_ed25519_key.pub").stdout.split()[1]


def test_unknown_is_refused(sshd, nobody):
    """By default an unknown host is refused, with all that one needs to decide; nothing is written."""
    with pytest.raises(HostKeyError) as caught:
        Session().connect(**login(sshd, knownhosts=str(nobody)))
    error = caught.value
    assert (error.host, error.port, error.key_type) == (sshd.address, sshd.port, "ssh-ed25519")
    assert error.fingerprint == fingerprint(sshd)
    assert error.fingerprint in str(error)
    assert nobody.read_text() == ""


def test_known_is_accepted(sshd, connect):
    """A host that is on record is accepted."""
    assert connect(sshd).verify_knownhost() is True


def test_auto_add(sshd, nobody, connect):
    """AutoAddPolicy adds an unknown key, which then is known."""
    with Session() as session:
        session.set_missing_host_key_policy(AutoAddPolicy())
        session.connect(**login(sshd, knownhosts=str(nobody)))
    assert nobody.read_text().split()[:2] == sshd.known_hosts.split()[:2]
    assert connect(sshd, knownhosts=str(nobody)).is_connected


@pytest.mark.parametrize("policy", [AutoAddPolicy, RejectPolicy, MissingHostKeyPolicy])
def test_changed_is_refused(sshd, impostor, policy):
    """A key other than the one on record is refused under every policy, and the record stays."""
    before = impostor.read_text()
    session = Session()
    session.set_missing_host_key_policy(policy)
    with pytest.raises(HostKeyChangedError) as caught:
        session.connect(**login(sshd, knownhosts=str(impostor)))
    error = caught.value
    assert (str(error.file), error.line) == (str(impostor), 2)
    assert error.fingerprint == fingerprint(sshd) != error.known_fingerprint
    assert error.known_fingerprint.startswith("SHA256:")
    assert impostor.read_text() == before


def test_revoked_is_refused(sshd, nobody):
    """A key marked @revoked is refused."""
    nobody.write_text(f"@revoked * {sshd.host_keys[0]}\n{sshd.known_hosts}")
    session = Session()
    session.set_missing_host_key_policy(AutoAddPolicy)
    with pytest.raises(HostKeyChangedError, match="revoked"):
        session.connect(**login(sshd, knownhosts=str(nobody)))


def test_checking_off(sshd, impostor, connect):
    """With host_key_checking=False nothing is checked or written."""
    before = impostor.read_text()
    assert connect(sshd, knownhosts=str(impostor), host_key_checking=False).is_connected
    assert impostor.read_text() == before


@pytest.mark.parametrize("as_class", [True, False])
def test_own_policy(sshd, nobody, as_class):
    """A policy of one's own, as class or object, gets what 1.4.0 passed, and accepts by returning."""
    calls = []

    class Policy(MissingHostKeyPolicy):
        def missing_host_key(self, _session, hostname, username, key_type, fingerprint, message):
            calls.append((hostname, username, key_type, fingerprint, message))

    with Session() as session:
        session.set_missing_host_key_policy(Policy if as_class else Policy())
        session.connect(**login(sshd, knownhosts=str(nobody)))
        assert session.is_connected
    assert calls[0][:4] == (sshd.address, sshd.user, "ssh-ed25519", fingerprint(sshd))
    assert "unknown" in calls[0][4]
    assert nobody.read_text() == ""


def test_policy_that_raises(sshd, nobody):
    """What a policy raises comes out of connect(), and the session is not connected."""

    class Policy(MissingHostKeyPolicy):
        def missing_host_key(self, *_):
            raise RuntimeError("no")

    session = Session()
    session.set_missing_host_key_policy(Policy)
    with pytest.raises(RuntimeError, match="no"):
        session.connect(**login(sshd, knownhosts=str(nobody)))
    assert not session.is_connected


def test_no_login_is_tried_with_an_unknown_host(sshd, nobody):
    """Nothing of the login is sent to a host that is not trusted."""
    before = sshd.logins()
    with pytest.raises(LibsshSessionException):
        Session().connect(**login(sshd, knownhosts=str(nobody)))
    assert sshd.logins() == before


def test_other_type_on_record(new_sshd, tmp_path):
    """A host known by one type of key is not taken for unknown because it has another one, too."""
    host = new_sshd(host_keys=("ed25519", "rsa"))
    other = servers.make_key(tmp_path / "other", "rsa")
    path = tmp_path / "known_hosts"
    path.write_text(f"[{host.address}]:{host.port} {other}\n")
    session = Session()
    session.set_missing_host_key_policy(AutoAddPolicy)
    with pytest.raises(HostKeyChangedError):
        session.connect(**login(host, knownhosts=str(path)))
