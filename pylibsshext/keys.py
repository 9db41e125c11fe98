# SPDX-License-Identifier: LGPL-2.1-or-later
"""Private keys: read, told apart, and described without their secret."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import _core, certificates, hostkeys
from ._named_tuple import NamedTuple
from .agent import string, strings
from .errors import KeyImportError, PassphraseError

if TYPE_CHECKING:
    from . import security_keys
    from ._secrets import Secret

_OPENSSH_MAGIC = b"openssh-key-v1\0"
# What keys in that format may be encrypted with. libssh takes any cipher that it has for sessions, and crashes at those with tags.
_CIPHERS = ("none", "3des-cbc", *(f"aes{bits}-{mode}" for bits in (128, 192, 256) for mode in ("cbc", "ctr")))
_SEALING = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com")
_OPENSSH_BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
# Of bcrypt, some half a minute that nothing can interrupt: ssh-keygen makes 24, and who wants it slow some 100.
_MOST_ROUNDS = 5000


# What OpenSSL 3 has in its legacy provider only: the names of PEM (RFC 1423), and how schemes of PKCS#8 begin (RFC 8018, 7292) and end.
_OBSOLETE_PEM = (b"DES-CBC", b"SEED-", b"RC2-", b"RC4", b"BF-", b"CAST5-", b"IDEA-")
_OBSOLETE_PKCS8 = {
    **{bytes.fromhex("06092a864886f70d0105") + bytes([n]): "DES or RC2" for n in (1, 3, 4, 6, 10, 11)},  # PBES1
    **{bytes.fromhex("060a2a864886f70d010c01") + bytes([n]): "RC2 or RC4" for n in (1, 2, 5, 6)},
    bytes.fromhex("06052b0e030207"): "DES",  # PBES2's
}


def default_identities() -> list[str]:
    """Return where ssh-keygen puts a user's keys."""
    return [os.path.expanduser(f"~/.ssh/id_{kind}") for kind in ("ed25519", "ecdsa", "rsa", "ed25519_sk", "ecdsa_sk")]


Ask = Callable[[str, bool], "Secret | None"]
"""``ask(question, secret)`` returns an answer, None if nobody is there to give one; a secret one is not to be shown."""


def load_key(text: Secret, passphrase: Secret | None, name: str = "private_key", ask: Ask | None = None) -> _core.Key:
    """Read a private key in any of OpenSSH's, PEM's or PKCS#8's formats; `KeyImportError` says what is wrong with it.

    If it needs a passphrase, and none is given, *ask* is asked.
    """
    if not isinstance(text, (str, bytes, bytearray)):
        raise TypeError(f"{name} must be str or bytes, not {type(text).__name__}")
    cipher, rounds = _encryption(text)
    if cipher and cipher not in (*_CIPHERS, *(_SEALING if _core.READS_SEALED_KEYS else ())):
        raise KeyImportError(
            f"{name} is encrypted with {cipher}, which libssh cannot read: ssh-keygen -p -Z aes256-ctr changes that"
        )
    if rounds > _MOST_ROUNDS:
        raise KeyImportError(
            f"{name} wants {rounds} rounds of bcrypt, more than {_MOST_ROUNDS}, or is damaged: ssh-keygen -p -a 100 changes that"
        )
    encrypted = is_encrypted(text)
    if encrypted and not passphrase and ask is not None:
        passphrase = ask(f"Passphrase for {name}: ", True)
    if encrypted and not passphrase:
        raise PassphraseError(f"{name} is encrypted and no passphrase was given (private_key_password)")
    if cipher in _SEALING:
        key = _unsealed(text, passphrase or "")
    else:
        key = _core.Key.from_text(text, passphrase) if cipher != "" else None
    if key is not None:
        return key
    obsolete = _obsolete(text) if encrypted else ""
    if obsolete:
        raise KeyImportError(
            f"{name} is encrypted with {obsolete}, which OpenSSL does not decrypt any more, or the passphrase is wrong: "
            "openssl pkcs8 -topk8 -provider default -provider legacy encrypts it anew"
        )
    if encrypted:
        raise PassphraseError(f"wrong passphrase for {name} (private_key_password)")
    hint = "; it is the text of one (identities has files)" if name == "private_key" and text and len(text.split()) == 1 else ""
    raise KeyImportError(f"{name} is not a private key in OpenSSH's, PEM's or PKCS#8's format{hint}")


def load_key_file(path: str, passphrase: Secret | None, ask: Ask | None = None) -> _core.Key:
    """Read the private key in a file."""
    return load_key(read(path), passphrase, path, ask)


def is_security_key(blob: bytes) -> bool:
    """Return whether a public key is one of a security key."""
    return blob[4:].startswith(b"sk-")


def security_key(path: str, passphrase: Secret | None, ask: Ask | None = None) -> security_keys.Handle:
    """Return the handle in the key file of a security key."""
    text = read(path)
    if is_encrypted(text):
        if not _core.READS_SECURITY_KEYS:
            raise KeyImportError(
                f"{path} has a passphrase, and libssh {_core.LIBSSH_VERSION} cannot read such keys of security keys: "
                "load it into the agent, or take the passphrase off (ssh-keygen -p)"
            )
        return security_key_of(load_key(text, passphrase, path, ask), path)
    return _handle(text, path)


def security_key_of(key: _core.Key, name: str = "private_key") -> security_keys.Handle:
    """Return the handle in a key of a security key that libssh has read."""
    return _handle(key.to_openssh() or b"", name)


def _handle(text: bytes, name: str) -> security_keys.Handle:
    from .security_keys import parse  # ctypes takes its time to load, and few have such keys

    container = _container(text)
    handle = parse(container.private) if container is not None else None
    if handle is not None:
        return handle
    raise KeyImportError(f"{name} is not the key of a security key, or is damaged")


def with_certificate(key: _core.Key, text: str | bytes, name: str = "certificate") -> _core.Key:
    """Return *key* as it logs in with an OpenSSH certificate, in the format of a ``-cert.pub`` file."""
    certificate = read_certificate_text(text, name)
    if certificate.key != base64.b64decode(key.public_base64()):
        raise KeyImportError(f"{name} is a certificate for another key")
    words = _words(text)
    certified = key.with_certificate(words[0], words[1])
    if certified is None:
        raise KeyImportError(f"{name} is a certificate that libssh {_core.LIBSSH_VERSION} cannot read")
    return certified


def read_certificate(path: str) -> certificates.Certificate:
    """Read the certificate in a file."""
    return read_certificate_text(read(path), path)


def read_certificate_text(text: str | bytes, name: str = "certificate") -> certificates.Certificate:
    """Read a certificate in the format of a ``-cert.pub`` file."""
    words = _words(text)
    blob = _decoded(words[1]) if len(words) > 1 else None
    certificate = certificates.parse(blob) if blob else None
    if certificate is None:
        raise KeyImportError(f"{name} is not a certificate in OpenSSH's format")
    return certificate


def _words(text: str | bytes) -> list[bytes]:
    return (text.encode() if isinstance(text, str) else text).split()


def public_blob(path: str) -> bytes | None:
    """Return the public half (RFC 4253 section 6.6's blob) of a key file or ``.pub`` file, without its passphrase.

    It is taken from ``<path>.pub``, or from the key itself where its format shows it.  None if neither has it.
    """
    for candidate in (path, f"{path}.pub"):
        try:
            data = read(candidate)
        except KeyImportError:
            continue
        container = _container(data)
        if container is not None:
            return container.public or None
        words = data.split()
        if len(words) >= 2 and words[0].startswith((b"ssh-", b"ecdsa-", b"sk-")):
            return _decoded(words[1])
    return None


def is_encrypted(text: Secret) -> bool:
    """Return whether a private key needs a passphrase."""
    cipher, _ = _encryption(text)
    if cipher is None:
        return b"ENCRYPTED" in (text.encode() if isinstance(text, str) else text)
    return cipher not in ("", "none")


def _obsolete(text: Secret) -> str:
    """Return which cipher a key in PEM's or PKCS#8's format is encrypted with, if it is one that OpenSSL has given up; "" otherwise."""
    lines = (text.encode() if isinstance(text, str) else bytes(text)).split(b"-----", 3)[2:3]
    body = lines[0] if lines else b""
    _, info, rest = body.partition(b"DEK-Info: ")
    if info:
        return rest.partition(b",")[0].decode("ascii", "replace") if rest.startswith(_OBSOLETE_PEM) else ""
    head = _decoded(b"".join(body.split())[:200]) or b""
    return next((name for begin, name in _OBSOLETE_PKCS8.items() if begin in head), "")


def _encryption(text: Secret) -> tuple[str | None, int]:
    """Return what a key in OpenSSH's own format is encrypted with, "" if that cannot be read, and how many rounds of bcrypt its key takes.

    None of other formats.
    """
    raw = _openssh(text, 160)  # no more than the head, which is no secret
    if raw is None:
        return None, 0
    head = strings(raw)[:3]  # as in `_Container`
    return (head[0].decode("ascii", "replace"), _rounds(head[2])) if len(head) == 3 else ("", 0)


def _rounds(options: bytes) -> int:
    """Return the rounds that the options of bcrypt, salt and a number, ask for."""
    salt = next(iter(strings(options)), b"")
    return int.from_bytes(options[4 + len(salt) :][:4], "big")


def rsa_bits(blob: bytes) -> int | None:
    """Return the size of an RSA key, by its public half or a certificate for that; None of other keys."""
    certificate = certificates.parse(blob)
    kind, *numbers = strings(certificate.key if certificate is not None else blob) or [b""]  # e and n, RFC 4253 section 6.6
    return int.from_bytes(numbers[1], "big").bit_length() if kind == b"ssh-rsa" and len(numbers) > 1 else None


def key_fingerprint(key: _core.Key) -> str:
    """Return the fingerprint of a private key's public half, as ``ssh-keygen -l`` prints it."""
    return hostkeys.fingerprint(base64.b64decode(key.public_base64()))


def read(path: str) -> bytes:
    """Return what is in a key file."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError as exc:
        raise KeyImportError(f"reading {path} failed: {exc.strerror}") from exc


class _Container(NamedTuple):
    """A key in OpenSSH's own format (PROTOCOL.key in its sources). The private section is encrypted, but with the cipher "none"."""

    cipher: str
    kdf_options: bytes
    public: bytes
    private: bytes
    tag: bytes


def _container(text: Secret) -> _Container | None:
    """Return what is in a key in OpenSSH's own format, None for any other, or if it is cut short."""
    raw = _openssh(text) or b""
    head = strings(raw)[:3]  # cipher, KDF, its options; a number of keys follows, which is 1
    body = raw[sum(4 + len(one) for one in head) + 4 :]
    sections = strings(body)[:2]
    if len(head) < 3 or len(sections) < 2:
        return None
    tag = body[sum(4 + len(one) for one in sections) :]
    return _Container(head[0].decode("ascii", "replace"), head[2], sections[0], sections[1], tag)


def _unsealed(text: Secret, passphrase: Secret) -> _core.Key | None:
    """Read a key that is encrypted with a cipher that makes a tag, too; None if the passphrase is wrong."""
    container = _container(text)
    salt = next(iter(strings(container.kdf_options)), None) if container is not None else None
    if container is None or salt is None:
        return None
    before = (
        _OPENSSH_MAGIC + string(b"none") + string(b"none") + string(b"") + (1).to_bytes(4, "big") + string(container.public)
    )
    before += len(container.private).to_bytes(4, "big")
    return _core.Key.from_sealed(
        before, container.private, container.tag, container.cipher, salt, _rounds(container.kdf_options), passphrase
    )


def _openssh(text: Secret, most: int | None = None) -> bytes | None:
    """Return what a key in OpenSSH's own format has after its magic, of its first *most* characters; None for any other format."""
    data = text.encode() if isinstance(text, str) else text
    begin = data.find(_OPENSSH_BEGIN)
    if begin < 0:
        return None
    begin += len(_OPENSSH_BEGIN)
    end = data.find(b"-----", begin)
    body = b"".join(bytes(data[begin : max(end, begin) if most is None else begin + most]).split())
    raw = _decoded(body[: len(body) // 4 * 4]) or b""
    return raw[len(_OPENSSH_MAGIC) :] if raw.startswith(_OPENSSH_MAGIC) else b""


def _decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
