# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates, handles of security keys and PKCS#11 URIs: read right, and without harm if they are garbage."""

from __future__ import annotations

import base64
import subprocess

import pytest
from hypothesis import given, strategies as st

from pylibsshext import _core, certificates, keys, pkcs11, security_keys
from pylibsshext.agent import string
from pylibsshext.errors import KeyImportError
from tests.lab import servers


@pytest.fixture(scope="module", params=["ed25519", "ecdsa", "rsa"])
def certificate(request, tmp_path_factory):
    """A certificate of each kind of key: its blob, the key's, the CA's."""
    directory = tmp_path_factory.mktemp("certificates")
    blobs = [
        base64.b64decode(servers.make_key(directory / name, kind).split()[1])
        for name, kind in (("key", request.param), ("ca", "ecdsa"))
    ]
    validity = "20200101000000Z:20300101000000Z"
    sign = ["ssh-keygen", "-q", "-s", "ca", "-I", "its id", "-z", "7", "-n", "alice,bob", "-V", validity, "key.pub"]
    subprocess.run(sign, cwd=directory, check=True)
    return base64.b64decode((directory / "key-cert.pub").read_text().split()[1]), *blobs


def test_a_certificate(certificate):
    """Everything that it says is read; the signed part and the signature make up the whole."""
    blob, key, ca = certificate
    read = certificates.parse(blob)
    assert read is not None
    assert (read.key, read.ca, read.kind, read.serial, read.key_id) == (key, ca, certificates.USER, 7, "its id")
    assert read.principals == ("alice", "bob")
    assert read.signed + string(read.signature) == blob
    assert certificates.parse(key) is None


@pytest.mark.parametrize(
    ("principal", "moment", "problem"),
    [
        ("alice", 1600000000, ""),
        (None, 1600000000, ""),
        ("eve", 1600000000, "it is for alice, bob, not for eve"),
        ("alice", 1500000000, "it is valid from 2020-01-01"),
        ("alice", 2000000000, "it expired on 2030-01-01"),
    ],
)
def test_what_is_wrong_with_it(certificate, principal, moment, problem):
    """Time and principal are looked at."""
    read = certificates.parse(certificate[0])
    assert read is not None
    said = read.problem(principal, moment)
    assert said.startswith(problem)
    assert bool(said) == bool(problem)


def test_every_part_of_a_certificate(certificate):
    """One that is cut off anywhere is none."""
    blob = certificate[0]
    assert not any(certificates.parse(blob[:length]) for length in range(len(blob)))


@given(st.binary(max_size=200))
def test_garbage(data):
    """Garbage is neither a certificate nor a handle."""
    for head in (b"", string(b"ssh-ed25519-cert-v01@openssh.com"), string(b"ecdsa-sha2-nistp256-cert-v01@openssh.com")):
        assert certificates.parse(head + data) is None or len(data) > 100
    for head in (b"", bytes(8), bytes(8) + string(security_keys.ED25519), bytes(8) + string(security_keys.ECDSA)):
        found = security_keys.parse(head + data)
        assert found is None or found.type in security_keys.TYPES


@pytest.mark.parametrize(
    ("number", "packed"), [(b"\0\0\x01", b"\x01"), (b"\x80", b"\0\x80"), (b"\x7f\xff", b"\x7f\xff"), (b"\0", b"")]
)
def test_numbers(number, packed):
    """RFC 4251 section 5: no zeros in front, but one where the number would be negative."""
    assert security_keys.mpint(number) == packed


def test_uris():
    """RFC 7512: escapes, the parts that are known, and a name for errors that has no PIN."""
    uri = pkcs11.Uri.parse(
        "pkcs11:token=my%20token;object=x%3By;id=%01%ff;type=private?module-path=/lib/x.so&pin-value=12%2634"
    )
    assert uri[1:] == (b"my token", b"x;y", b"\x01\xff", "/lib/x.so", "12&34")
    assert uri.name == "pkcs11:token=my%20token;object=x%3By;id=%01%ff;type=private"
    assert pkcs11.Uri.parse("pkcs11:") == pkcs11.Uri("pkcs11:")
    for text in ("pkcs11:serial=1", "pkcs11:type=cert", "pkcs11:?pin-source=file:x"):
        with pytest.raises(KeyImportError, match="are known"):
            pkcs11.Uri.parse(text)


def test_handles(tmp_path, monkeypatch):
    """Other keys are no handles, with a passphrase or not; a libssh that reads no handle with a passphrase is told of."""
    for kind, passphrase in {"ed25519": "x", "rsa": ""}.items():
        servers.make_key(tmp_path / kind, kind, passphrase=passphrase)
        with pytest.raises(
            KeyImportError, match="is not the key of a security key" if _core.READS_SECURITY_KEYS or not passphrase else "-p"
        ):
            keys.security_key(str(tmp_path / kind), passphrase)
    monkeypatch.setattr(_core, "READS_SECURITY_KEYS", False)
    with pytest.raises(KeyImportError, match="ssh-keygen -p"):
        keys.security_key(str(tmp_path / "ed25519"), "x")
