# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates of hosts (@cert-authority in known_hosts), signed by ssh-keygen and shown by sshd."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pylibsshext import _core
from pylibsshext.doctor import examine
from pylibsshext.errors import HostKeyChangedError, HostKeyError
from tests.lab import servers
from tests.lab.works import works

with_certificates = pytest.mark.skipif(
    not _core.HOST_CERTIFICATES, reason=f"libssh {_core.LIBSSH_VERSION} by itself asks for no host certificates"
)


@pytest.fixture
def certified(new_sshd, tmp_path):
    """Make a host that shows a certificate: `certified("-n", "name")`, with more arguments of ssh-keygen; and its CA's key."""

    def make(*arguments, kind="ed25519", ca_kind="ed25519", file="known"):
        authority = tmp_path / f"ca-{ca_kind}"
        line = servers.make_key(authority, ca_kind) if not authority.exists() else authority.with_suffix(".pub").read_text()
        certificate = tmp_path / f"host-{kind}-cert.pub"
        host = new_sshd(host_keys=(kind,), sshd_config=f"HostCertificate {certificate}")
        public = tmp_path / f"host-{kind}.pub"
        public.write_bytes((host.directory / f"ssh_host_{kind}_key.pub").read_bytes())
        sign = ["ssh-keygen", "-q", "-s", authority, "-h", "-I", "a host", *arguments, public]
        subprocess.run(sign, check=True, stdin=subprocess.DEVNULL)
        host.restart()
        known = tmp_path / file
        known.write_text(f"@cert-authority [127.0.0.*]:* {line}\n")
        return host, known

    return make


def test_our_build_has_them():
    """Only a libssh that is not of this project's build may lack them."""
    assert _core.HOST_CERTIFICATES or _core.LIBSSH_VERSION.startswith(("0.10.", "0.11."))


@with_certificates
@pytest.mark.parametrize("ca_kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_good(certified, connect, kind, ca_kind):
    """Keys and authorities of each type: the host is known by its certificate, whatever the setting, and nothing is written."""
    host, known = certified("-n", "other,127.0.0.1", "-V", "-1m:+1h", kind=kind, ca_kind=ca_kind)
    before = known.read_text()
    session = connect(host, knownhosts=str(known), host_key_checking="yes")
    assert session.exec_command("echo x").stdout == b"x\n"
    assert session.info.host_key_type.endswith("-cert-v01@openssh.com")
    works(f"host certificate, {kind}", host, "connecting")
    assert connect(host, knownhosts=str(known), host_key_checking="accept-new").is_connected
    assert known.read_text() == before


@with_certificates
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-n", "127.0.0.1", "-V", "-2h:-1h"), "it expired on"),
        (("-n", "127.0.0.1", "-V", "+1h:+2h"), "it is valid from"),
        (("-n", "elsewhere"), "it is for elsewhere, not for 127.0.0.1"),
        (
            ("-n", "127.0.0.1", "-O", "critical:nonsense@example.com=x"),
            "it has options that are not known here: nonsense@example.com",
        ),
    ],
)
def test_bad(certified, connect, arguments, why):
    """Expired, not valid yet, for another host, with options that nobody knows: refused, with the reason, under each setting but "no"."""
    host, known = certified(*arguments)
    for setting in ("yes", "accept-new", "ask"):
        with pytest.raises(HostKeyChangedError, match=f"authority in {known}:1 that is not good: {why}"):
            connect(host, knownhosts=str(known), host_key_checking=setting)
    assert connect(host, knownhosts=str(known), host_key_checking="no").is_connected
    with known.open("a") as file:
        file.write(host.known_hosts)
    assert connect(host, knownhosts=str(known), host_key_checking="yes").is_connected  # the key in it is known by itself


@with_certificates
def test_names(certified, connect):
    """A certificate may be for patterns, or for any host; a HostKeyAlias is the name that counts."""
    host, known = certified("-n", "*.example.com")
    known.write_text(known.read_text().replace("[127.0.0.*]:*", "web.example.com,[127.0.0.*]:*"))
    assert connect(host, knownhosts=str(known), host_key_alias="web.example.com").is_connected
    with pytest.raises(HostKeyChangedError, match="not for 127"):
        connect(host, knownhosts=str(known))


@with_certificates
def test_another_authority(certified, connect, tmp_path):
    """The certificate of an authority that is not on record counts as the key in it: unknown, added without certificate, known."""
    host, known = certified("-n", "127.0.0.1")
    other = servers.make_key(tmp_path / "other")
    known.write_text(f"@cert-authority * {other}\n")
    with pytest.raises(HostKeyError, match="not known") as caught:
        connect(host, knownhosts=str(known), host_key_checking="yes")
    assert type(caught.value) is HostKeyError
    assert connect(host, knownhosts=str(known), host_key_checking="accept-new").is_connected
    assert known.read_text() == f"@cert-authority * {other}\n{host.known_hosts}"
    assert connect(host, knownhosts=str(known), host_key_checking="yes").is_connected


@with_certificates
def test_revoked(certified, connect, tmp_path):
    """A revoked authority, and a revoked key in a good certificate, are refused."""
    host, known = certified("-n", "127.0.0.1")
    good = known.read_text()
    authority = good.split(" ", 2)[2]
    for revoked in (authority, f"{host.host_keys[0]}\n"):
        known.write_text(f"{good}@revoked * {revoked}")
        with pytest.raises(HostKeyChangedError, match="revoked"):
            connect(host, knownhosts=str(known), host_key_checking="accept-new")


@with_certificates
def test_forged(certified, connect, tmp_path):
    """A certificate that only claims to be of the authority, whose signature is another's, is refused."""
    host, known = certified("-n", "127.0.0.1")
    certificate = tmp_path / "host-ed25519-cert.pub"
    kind, text, *_ = certificate.read_text().split()
    import base64

    blob = bytearray(base64.b64decode(text))
    blob[-1] ^= 1
    certificate.write_text(f"{kind} {base64.b64encode(blob).decode()}\n")
    host.restart()
    with pytest.raises(HostKeyError, match="signature is not the authority's|not known"):
        connect(host, knownhosts=str(known), host_key_checking="yes")


@with_certificates
def test_user_certificate_is_none(certified, connect, tmp_path):
    """A certificate for users does not make a host."""
    host, known = certified("-n", "127.0.0.1")
    public, authority = tmp_path / "host-ed25519.pub", tmp_path / "ca-ed25519"
    subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "a user", "-n", "127.0.0.1", public], check=True)
    host.restart()
    with pytest.raises(HostKeyError, match="not known|not for a host"):
        connect(host, knownhosts=str(known), host_key_checking="yes")


def test_a_libssh_that_can_not_says_so(certified, connect):
    """Where libssh asks for no certificates the text says so, and the key by itself is as good as ever."""
    host, known = certified("-n", "127.0.0.1")
    if not _core.HOST_CERTIFICATES:
        with pytest.raises(HostKeyError, match="asks for no host certificates"):
            connect(host, knownhosts=str(known), host_key_checking="yes")
    Path(known).write_text(known.read_text() + host.known_hosts)
    assert connect(host, knownhosts=str(known), host_key_checking="yes").is_connected


@with_certificates
@pytest.mark.parametrize(
    ("arguments", "why"),
    [(("-n", "127.0.0.1", "-V", "-2h:-1h"), "it expired on"), (("-n", "elsewhere"), "it is for elsewhere, not for 127.0.0.1")],
)
def test_doctor(certified, arguments, why):
    """The doctor's last lines say how to sign the key anew, and what else would do."""
    host, known = certified(*arguments)
    report = examine(host=host.address, port=host.port, user=host.user, knownhosts=str(known), config_file="none")
    assert report.findings[-1].step == "host key"
    assert why in report.findings[-1].text
    assert "ssh-keygen -s CA -h -n 127.0.0.1 -V +52w" in report.cures[-1]
    assert "ansible_libssh_host_key_alias" in report.cures[-1]
