# SPDX-License-Identifier: LGPL-2.1-or-later
"""GSSAPI: logins with Kerberos tickets, against MIT's KDC and OpenSSH."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pylibsshext.doctor import examine
from pylibsshext.errors import AuthenticationError, HostKeyError
from tests.lab import kerberos
from tests.lab.fixtures import missing, new_hosts
from tests.lab.works import works

from . import mux_lab
from .playbooks.conftest import bare_ansible, collections_path  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def realm(tmp_path_factory):
    """A realm with two users."""
    if problem := kerberos.unusable():
        missing(problem)
    with kerberos.realm(tmp_path_factory.mktemp("krb5")) as realm:
        for name in ("127.0.0.1", "another.name"):
            realm.add_host(name)
        for name in ("root", "ansible"):
            realm.add_user(name)
        yield realm


@pytest.fixture(scope="module")
def host(lab, realm):
    """A server of the realm."""
    for new in new_hosts(lab, "loopback"):
        host = new(sshd_config="GSSAPIAuthentication yes\nGSSAPIStrictAcceptorCheck no")
        if not host.has_accounts:
            missing("root, for a server with files of its own in /etc")
        realm.join(host)
        yield host


@pytest.fixture
def keyex_host(new_sshd, realm):
    """A server that also takes part in GSSAPI's key exchange, which OpenSSH has as Debian's patch."""
    host = new_sshd(sshd_config="GSSAPIAuthentication yes\nGSSAPIKeyExchange yes\nGSSAPIStrictAcceptorCheck no")
    realm.join(host)
    return host


@pytest.fixture(autouse=True)
def tickets(realm, monkeypatch):
    """The user's side."""
    for name, value in realm.environment.items():
        monkeypatch.setenv(name, value)
    realm.kinit("root")
    yield
    realm.kdestroy()


def test_a_ticket(host, connect):
    """It logs in, first if that is wanted; what it isn't asked to do is hand the ticket on."""
    session = connect(host, private_key=None, gss_auth=True)
    assert session.info.auth_method == "gssapi-with-mic"
    assert session.exec_command("klist").returncode == 1
    assert connect(host, gss_auth=True).info.auth_method == "gssapi-with-mic"
    assert connect(host).info.auth_method == "publickey"
    assert "Accepted gssapi-with-mic for root" in host.log()
    works("gssapi-with-mic", host)


def test_delegation(host, connect):
    """With gssapi_delegate_credentials commands on the host have the ticket."""
    session = connect(host, private_key=None, gssapi_delegate_credentials=True)
    shown = session.exec_command("klist").stdout.decode()
    assert f"Default principal: root@{kerberos.REALM}" in shown
    works("gssapi-with-mic, ticket handed on", host)


def test_identities(host, connect, realm):
    """The host may have another name in Kerberos, and the principal may be chosen; a wrong one is no login."""
    assert connect(host, private_key=None, gssapi_server_identity="another.name").is_connected
    assert connect(host, private_key=None, gssapi_client_identity=f"root@{kerberos.REALM}").is_connected
    for wrong in ({"gssapi_server_identity": "no.such.name"}, {"gssapi_client_identity": f"nobody@{kerberos.REALM}"}):
        with pytest.raises(AuthenticationError, match="gssapi-with-mic: "):
            connect(host, private_key=None, **wrong)


def test_a_ticket_of_somebody_else(host, connect, realm):
    """The server refuses it, and that is told."""
    realm.kinit("ansible")
    assert connect(host, private_key=None, user="ansible").info.auth_method == "gssapi-with-mic"
    with pytest.raises(AuthenticationError, match=r"gssapi-with-mic: denied \(methods left: .*gssapi-with-mic"):
        connect(host, private_key=None)


def test_no_ticket(host, connect, realm):
    """Is told as such: it isn't the server that refuses."""
    realm.kdestroy()
    with pytest.raises(AuthenticationError, match="gssapi-with-mic: there is no ticket"):
        connect(host, private_key=None)


def test_switched_off(host, connect):
    """gss_auth=False does not try it, and the error names the switch."""
    with pytest.raises(AuthenticationError) as caught:
        connect(host, private_key=None, gss_auth=False)
    assert caught.value.attempts == []
    assert "gss_auth" in caught.value.keywords


def test_key_exchange(keyex_host, connect, realm, tmp_path):
    """With gss_kex Kerberos vouches for the host as well: no known_hosts is looked at; without a ticket all is as ever."""
    nowhere = {"private_key": None, "knownhosts": str(tmp_path / "none"), "host_key_checking": "yes", "gss_kex": True}
    session = connect(keyex_host, **nowhere)
    assert session.info.kex.startswith("gss-")
    assert session.info.auth_method == "gssapi-keyex"
    assert session.info.host_key_fingerprint is None
    assert session.exec_command("echo in").stdout == b"in\n"
    works("GSSAPI key exchange", keyex_host)
    realm.kdestroy()
    with pytest.raises(HostKeyError):
        connect(keyex_host, **nowhere)
    assert connect(keyex_host, gss_kex=True).info.auth_method == "publickey"


def test_playbook(host, keyex_host, bare_ansible, realm, tmp_path):  # noqa: F811 - a fixture is asked for by its name
    """The plugin's options do the same, by itself and through the connection holder."""
    bare_ansible.environment |= realm.environment
    gss = {"ansible_libssh_gss_auth": True, "ansible_libssh_gss_deleg_creds": True, "ansible_private_key_file": None}
    bare_ansible.add(host, "direct", **gss, ansible_libssh_persist=0)
    bare_ansible.add(host, "held", **gss, ansible_libssh_gss_server_identity="another.name", ansible_libssh_persist=30)
    bare_ansible.add(
        host, "off", ansible_libssh_gss_auth=False, ansible_private_key_file=None, ansible_libssh_look_for_keys=False
    )
    for name, principal in {"myself": "root", "nobody": "nobody"}.items():
        bare_ansible.add(host, name, **gss, ansible_libssh_gss_client_identity=f"{principal}@{kerberos.REALM}")
    # Kerberos vouches for these.
    vouched = {"ansible_libssh_gss_kex": True, "ansible_host_key_checking": "yes", "ansible_libssh_known_hosts_file": "none"}
    vouched |= {"ansible_libssh_global_known_hosts_file": "none", "ansible_private_key_file": None}
    for persist in (0, 30):
        bare_ansible.add(keyex_host, f"vouched{persist}", **vouched, ansible_libssh_persist=persist)
    with mux_lab.own_directory(tmp_path / "mux") as directory:
        bare_ansible.environment["PYLIBSSHEXT_MUX_DIR"] = str(directory)
        outcome = bare_ansible.play("- raw: klist || echo none\n", "-vvv", quiet=False)
    assert outcome.text.count(f'"Default principal: root@{kerberos.REALM}"') == 3, outcome.text
    assert outcome.text.count("> Key exchange gss-") == 2, outcome.text
    for name in bare_ansible.hosts:
        refused = name in {"off", "nobody"}
        assert outcome.recap(name) == ({"unreachable": 1} if refused else {"ok": 1, "changed": 1}), outcome.text
    assert "ansible_libssh_gss_auth" in outcome.words


WITHOUT = """
import sys
from pylibsshext.session import Session
Session().connect(host=sys.argv[1], port=int(sys.argv[2]), user="root", look_for_keys=False, config_file="none", host_key_checking=False)
"""


def test_no_library(host, tmp_path):
    """Without krb5's library the error is one clear sentence."""
    for name in ("libgssapi_krb5.so.2", "libgssapi.so.3"):
        (tmp_path / name).write_bytes(b"not a library")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, host.address, str(host.port)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "gssapi-with-mic: there is no GSSAPI library (libgssapi_krb5.so.2) on this machine" in done.stderr


def test_doctor(host, realm, tmp_path, monkeypatch):
    """Without a ticket, and without krb5's library, the doctor's last lines say what to get."""
    realm.kdestroy()
    about = {"host": host.address, "port": host.port, "user": "root", "host_key": host.host_keys[0], "config_file": "none"}
    report = examine(**about, gss_auth=True, look_for_keys=False)
    assert report.findings[-1].step == "login"
    assert "Get a ticket with kinit" in report.cures[-1]
    for name in ("libgssapi_krb5.so.2", "libgssapi.so.3"):
        (tmp_path / name).write_bytes(b"not a library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    words = ["--set", f"host_key={host.host_keys[0]}", "--set", "gss_auth=true", "--set", "look_for_keys=false"]
    command = [sys.executable, "-m", "pylibsshext", "doctor", "-F", "none", *words, f"root@{host.address}:{host.port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is no GSSAPI library" in " ".join(done.stdout.split())
    assert "Install the Kerberos library: libgssapi-krb5-2" in " ".join(done.stdout.split())
