# SPDX-License-Identifier: LGPL-2.1-or-later
"""The order of login methods, answers to prompts, and private keys: all without a network."""

from __future__ import annotations

import subprocess

import pytest

from pylibsshext import _core, auth, keys
from pylibsshext.errors import KeyImportError, LibsshSessionException
from tests.lab import servers


def prompts(*texts, echo=False):
    return [(text, echo) for text in texts]


@pytest.mark.parametrize("text", ["Password:", "Password: ", "password: ", "root@host's PASSWORD:  "])
def test_default_prompt(text):
    """A prompt that ends with "password:" gets the password, however it is written."""
    assert auth.answers("s3cret", None, None)("", "", prompts(text)) == ["s3cret"]


def test_only_hidden_prompt():
    """So does the only hidden question there is."""
    assert auth.answers("s3cret", None, None)("", "", prompts("Passcode? ")) == ["s3cret"]


@pytest.mark.parametrize(
    ("expected", "asked"),
    [
        (None, prompts("Your name? ", echo=True)),
        (None, prompts("Password:", "Code:")),
        (None, prompts("Code:", "Number:")),
        ("pin:", prompts("Password:")),
    ],
)
def test_other_prompts(expected, asked):
    """Nothing else gets it: an exception names the questions."""
    with pytest.raises(LibsshSessionException, match="None of the prompts looked like password prompts") as caught:
        auth.answers("s3cret", expected, None)("", "", asked)
    assert "s3cret" not in str(caught.value)


def test_callback_wins():
    """A callback answers instead of the password."""
    callback = lambda *_: ["x"]  # noqa: E731  it is data here
    assert auth.answers("s3cret", None, callback) is callback


@pytest.mark.parametrize(("bits", "names"), [(0, []), (1 << 20, [])])
def test_no_methods(bits, names):
    """Bits that are no method are none."""
    assert auth.method_names(bits) == names


def test_method_names():
    """Each method has its name of RFC 4252."""
    for name, bit in _core.METHODS.items():
        assert auth.method_names(bit) == [name]
    assert len(auth.method_names(-1)) == len(_core.METHODS)


def test_failure_text():
    """The text of a failure: where, what was tried in order, what the server wants."""
    error = auth.failure("me@host port 22", ["password: denied", "publickey (x): denied"], ["publickey"])
    assert str(error) == (
        "Failed to authenticate to me@host port 22. Tried password: denied; publickey (x): denied."
        " The server accepts: publickey."
    )


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_formats_of_keys(tmp_path, kind, form):
    """Keys of every kind in every format are read, and have ssh-keygen's fingerprint."""
    path = tmp_path / "key"
    servers.make_key(path, kind)
    if form != "RFC4716":
        subprocess.run(["ssh-keygen", "-q", "-p", "-m", form, "-N", "", "-f", path], check=True, capture_output=True)
    shown = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True).stdout
    for text in (path.read_bytes(), path.read_text()):
        assert keys.key_fingerprint(keys.load_key(text, None)) == shown.split()[1]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_encrypted_keys(tmp_path, kind, form):
    """Encrypted keys are told apart, need the right passphrase, and say which of the two is wrong."""
    path = tmp_path / "key"
    servers.make_key(path, kind)
    subprocess.run(["ssh-keygen", "-q", "-p", "-m", form, "-N", "phrase", "-f", path], check=True, capture_output=True)
    text = path.read_bytes()
    assert keys.is_encrypted(text)
    assert keys.load_key(text, "phrase") is not None
    assert keys.load_key(text, b"phrase") is not None
    with pytest.raises(KeyImportError, match="wrong passphrase"):
        keys.load_key(text, "phrases")
    for none in (None, "", b""):
        with pytest.raises(KeyImportError, match="no passphrase was given"):
            keys.load_key(text, none)


@pytest.mark.parametrize("text", [b"", "", b"junk", b"-----BEGIN RSA PRIVATE KEY-----\njunk\n", b"\xff" * 10_000])
def test_no_keys(text):
    """What is no key is a KeyImportError that does not repeat it."""
    with pytest.raises(KeyImportError, match="not a private key"):
        keys.load_key(text, None)
    assert not keys.is_encrypted(text)


@pytest.mark.parametrize("text", [None, 5, object()])
def test_no_text(text):
    """What is no text at all is a TypeError."""
    with pytest.raises(TypeError):
        keys.load_key(text, None)
