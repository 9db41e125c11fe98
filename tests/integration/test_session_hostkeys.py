# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trust in host keys: unknown, added, changed and revoked ones, under each policy."""

from __future__ import annotations

import re
import subprocess
import sys

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


@pytest.mark.parametrize(
    ("setting", "accepted", "added"),
    [("yes", False, False), ("accept-new", True, True), ("ask", False, False), ("no", True, False), (False, True, False)],
)
def test_settings_for_unknown(sshd, nobody, setting, accepted, added):
    """Each setting of host_key_checking does with an unknown key what OpenSSH's does; "ask" leaves it to the policy."""
    session = Session()
    session.set_missing_host_key_policy(RejectPolicy if setting == "ask" else AutoAddPolicy)
    if accepted:
        with session:
            session.connect(**login(sshd, knownhosts=str(nobody), host_key_checking=setting))
    else:
        with pytest.raises(HostKeyError, match="Host is unknown"):
            session.connect(**login(sshd, knownhosts=str(nobody), host_key_checking=setting))
    assert (nobody.read_text() != "") is added


@pytest.mark.parametrize("setting", ["yes", "accept-new", "ask", True])
def test_settings_for_changed(sshd, impostor, setting):
    """All settings but "no" refuse a changed key, and give the command that removes it."""
    session = Session()
    session.set_missing_host_key_policy(AutoAddPolicy)
    with pytest.raises(HostKeyChangedError, match="ssh-keygen -f .* -R"):
        session.connect(**login(sshd, knownhosts=str(impostor), host_key_checking=setting))


def test_removal_command_removes(sshd, impostor, connect):
    """The command that the error gives is one to paste: after it the host is merely unknown."""
    with pytest.raises(HostKeyChangedError) as caught:
        connect(sshd, knownhosts=str(impostor))
    command = str(caught.value).partition("remove the old one: ")[2]
    subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True)
    assert connect(sshd, knownhosts=str(impostor), host_key_checking="accept-new").is_connected


def test_setting_that_is_none(sshd, connect):
    """Nonsense is refused before anything is sent."""
    with pytest.raises(LibsshSessionException, match="host_key_checking: 'maybe' is not one of"):
        connect(sshd, host_key_checking="maybe")


def test_several_files(sshd, nobody, tmp_path, connect):
    """Files are a list, which is searched in order; a new key goes to the first of the user's."""
    known = tmp_path / "second"
    known.write_text(sshd.known_hosts)
    assert connect(sshd, knownhosts=[nobody, known]).is_connected
    assert connect(sshd, knownhosts="/dev/null", global_knownhosts=str(known)).is_connected
    fresh = tmp_path / "new/known_hosts"
    assert connect(sshd, knownhosts=[fresh, nobody], host_key_checking="accept-new").is_connected
    assert fresh.read_text() == sshd.known_hosts
    assert nobody.read_text() == ""


@pytest.mark.parametrize("nowhere", ["/dev/null", "none", []])
def test_no_file(sshd, connect, nowhere):
    """Where there is no file a new key is accepted and forgotten, or refused."""
    assert connect(sshd, knownhosts=nowhere, global_knownhosts="none", host_key_checking="accept-new").is_connected
    with pytest.raises(HostKeyError, match="not known"):
        connect(sshd, knownhosts=nowhere, global_knownhosts="none")


def test_home_is_where_the_file_is(sshd, monkeypatch, tmp_path, connect):
    """$HOME counts, not what the password file says."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert connect(sshd, knownhosts=None, host_key_checking="accept-new").is_connected
    assert (tmp_path / ".ssh/known_hosts").read_text() == sshd.known_hosts


def test_alias(sshd, tmp_path, connect):
    """HostKeyAlias is what a host is looked up and added as, without its port."""
    path = tmp_path / "known_hosts"
    path.write_text(f"the-cluster {sshd.host_keys[0]}\n")
    assert connect(sshd, knownhosts=str(path), host_key_alias="the-cluster").is_connected
    with pytest.raises(HostKeyError, match="searched .* for another"):
        connect(sshd, knownhosts=str(path), host_key_alias="another")
    assert connect(sshd, knownhosts=str(path), host_key_alias="another", host_key_checking="accept-new").is_connected
    assert path.read_text().splitlines()[1] == f"another {sshd.host_keys[0]}"
    path.write_text(f"the-cluster {servers.make_key(tmp_path / 'other')}\n")
    with pytest.raises(HostKeyChangedError, match="-R the-cluster"):
        connect(sshd, knownhosts=str(path), host_key_alias="the-cluster")


def test_pinned(new_sshd, nobody, tmp_path, connect):
    """A pinned key or fingerprint is trusted whatever the files say, and no other one, whatever the setting."""
    host = new_sshd(host_keys=("ed25519", "rsa"))
    other = servers.make_key(tmp_path / "other")
    rsa = next(key for key in host.host_keys if key.startswith("ssh-rsa"))
    nobody.write_text(f"[{host.address}]:{host.port} {other}\n")
    for pin in (fingerprint(host), rsa, f"{rsa} comment", [other, fingerprint(host)]):
        session = connect(host, knownhosts=str(nobody), host_key=pin)
        assert session.info.host_key_type == ("ssh-rsa" if pin in (rsa, f"{rsa} comment") else "ssh-ed25519")
    for setting in (True, "yes", "accept-new", "no"):
        with pytest.raises(HostKeyChangedError, match="IS NOT THE PINNED ONE") as caught:
            connect(host, knownhosts="none", host_key=other, host_key_checking=setting)
        assert caught.value.fingerprint == fingerprint(host) in str(caught.value)
        assert caught.value.known_fingerprint in str(caught.value)
    with pytest.raises(LibsshSessionException, match="host_key: neither a SHA256 fingerprint nor a public key"):
        connect(host, host_key="MD5:aa:bb")
    nobody.write_text(f"@revoked * {host.host_keys[0]}\n")
    with pytest.raises(HostKeyChangedError, match="revoked"):
        connect(host, knownhosts=str(nobody), host_key=host.host_keys[0])


ADD = """
import sys
from pylibsshext.session import Session
for number in range(5):
    with Session() as session:
        session.connect(host=sys.argv[1], port=int(sys.argv[2]), user=sys.argv[3], private_key=open(sys.argv[4], "rb").read(),
                        knownhosts=sys.argv[5], config_file="none", look_for_keys=False, host_key_checking="accept-new",
                        host_key_alias=f"name-{sys.argv[6]}-{number}")
"""


def test_workers_that_add_keys_at_once(sshd, tmp_path):
    """Eight processes that add five hosts each, through sessions, lose none and write nothing twice."""
    known = tmp_path / "known_hosts"
    arguments = [sshd.address, str(sshd.port), sshd.user, str(sshd.key), str(known)]
    workers = [subprocess.Popen([sys.executable, "-c", ADD, *arguments, str(index)]) for index in range(8)]
    assert [worker.wait(60) for worker in workers] == [0] * 8
    lines = known.read_text().splitlines()
    assert sorted(lines) == sorted(f"name-{index}-{number} {sshd.host_keys[0]}" for index in range(8) for number in range(5))


def test_hashed_names(sshd, tmp_path, connect):
    """HashKnownHosts of ssh_config: the name can't be read, and is found all the same."""
    path = tmp_path / "known_hosts"
    about = {"knownhosts": str(path), "ssh_options": ["HashKnownHosts yes", "StrictHostKeyChecking accept-new"]}
    assert connect(sshd, **about).is_connected
    assert path.read_text().startswith("|1|")
    assert connect(sshd, knownhosts=str(path)).is_connected


def test_revoked_keys(sshd, tmp_path, connect):
    """A key that RevokedHostKeys names is refused under every setting, and every key is while the file can't be read."""
    public = sshd.directory / "ssh_host_ed25519_key.pub"
    listed, krl, other = tmp_path / "listed", tmp_path / "krl", tmp_path / "other"
    listed.write_bytes(public.read_bytes())
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", krl, public], check=True)
    other.write_text(servers.make_key(tmp_path / "stranger"))
    for setting in ("yes", "accept-new", "no"):
        for path, where in ((listed, f"{listed}:1 marks"), (krl, f"{krl} marks")):
            with pytest.raises(HostKeyChangedError, match=re.escape(f"{fingerprint(sshd)}, which {where} as revoked")):
                connect(sshd, ssh_options=[f"RevokedHostKeys {path}"], host_key_checking=setting)
        with pytest.raises(HostKeyError, match=f"for revocation failed: reading {tmp_path}/gone failed: No such file"):
            connect(sshd, revoked_host_keys=[str(other), f"{tmp_path}/gone"], host_key_checking=setting)
        assert connect(sshd, revoked_host_keys=str(other), host_key_checking=setting).is_connected
    with pytest.raises(HostKeyChangedError, match="as revoked"):
        connect(sshd, revoked_host_keys=str(krl), host_key=sshd.host_keys[0])
    assert connect(sshd, ssh_options=["RevokedHostKeys none"]).is_connected
