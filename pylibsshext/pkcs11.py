# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys in PKCS#11 tokens without an agent: named by URIs (RFC 7512), used through the token's own library (PKCS#11 2.40).

The library is loaded when a login needs it, and called through its function list, so that no engine or provider of OpenSSL is in between.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from ctypes import POINTER, byref, c_ubyte, c_ulong, c_void_p
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from ._named_tuple import NamedTuple
from .agent import URI_SCHEME, string
from .errors import KeyImportError, LibsshSessionException
from .fido2 import c_string
from .security_keys import mpint

if TYPE_CHECKING:
    from ._secrets import Secret
    from .keys import Ask

# Numbers of PKCS#11 2.40: functions by their place in the list, then return values, flags, attributes and mechanisms.
_INITIALIZE, _SLOTS, _TOKEN_INFO, _OPEN, _CLOSE, _LOGIN = 0, 4, 6, 12, 13, 18
_GET, _FIND_INIT, _FIND, _FIND_FINAL, _SIGN_INIT, _SIGN = 24, 26, 27, 28, 42, 43
_FUNCTIONS = 68
_OK, _LOGGED_IN, _INITIALIZED = 0, 0x100, 0x191
_ERRORS = {
    0x32: "the token was taken out",
    0xA0: "the PIN of the token is wrong",
    0xA2: "the PIN of the token is wrong: it has another length",
    0xA3: "the PIN of the token has expired",
    0xA4: "the PIN of the token is locked",
    0xE0: "the token was taken out",
    0x101: "the token wants its PIN",
    0x102: "the token has no PIN yet",
}
_OS_LOCKING, _SERIAL, _LOGIN_REQUIRED, _TOKEN_INITIALIZED, _USER, _FOR_ONE_SIGNATURE = 2, 4, 4, 0x400, 1, 2
_CLASS, _LABEL, _KEY_TYPE, _ID, _MODULUS, _EXPONENT, _EC_PARAMS, _EC_POINT = 0, 3, 0x100, 0x102, 0x120, 0x122, 0x180, 0x181
_ALWAYS_AUTHENTICATE = 0x202
_PUBLIC, _PRIVATE = 2, 3
_RSA, _EC = 0, 3
_RSA_PKCS, _ECDSA = 1, 0x1041
_MOST = 1 << 14  # bytes of an attribute or a signature
_MOST_KEYS = 64
_WORD = ctypes.sizeof(c_ulong)

_CURVES = {
    bytes.fromhex("06082a8648ce3d030107"): ("nistp256", "sha256"),
    bytes.fromhex("06052b81040022"): ("nistp384", "sha384"),
    bytes.fromhex("06052b81040023"): ("nistp521", "sha512"),
}
# The signatures of RSA by the agent's flags: name, hash, and the hash's DigestInfo (RFC 8017 section 9.2).
_SIGNATURES = {
    0: (b"ssh-rsa", "sha1", bytes.fromhex("3021300906052b0e03021a05000414")),
    2: (b"rsa-sha2-256", "sha256", bytes.fromhex("3031300d060960864801650304020105000420")),
    4: (b"rsa-sha2-512", "sha512", bytes.fromhex("3051300d060960864801650304020305000440")),
}


class Uri(NamedTuple):
    """What a URI says: which token, which key, and how to get to it; None where it doesn't say."""

    name: str
    token: bytes | None = None
    label: bytes | None = None
    id: bytes | None = None
    module: str | None = None
    pin: Secret | None = None

    @classmethod
    def parse(cls, text: str, pin: Secret | None = None) -> Uri:
        """Read one, whose PIN may be apart from it; what narrows a choice in ways that are not known here is an error."""
        path, _, query = text[len(URI_SCHEME) :].partition("?")
        found = {}
        for part in [*filter(None, path.split(";")), *filter(None, query.split("&"))]:
            attribute, _, value = part.partition("=")
            found[attribute] = unquote_to_bytes(value)
        name = URI_SCHEME + ";".join(part for part in path.split(";") if part and not part.startswith("pin-value="))
        unknown = set(found) - {"token", "object", "id", "type", "module-path", "pin-value"}
        if unknown or found.get("type", b"private") not in (b"private", b"public"):
            raise KeyImportError(f"{name}: of a PKCS#11 URI token, object, id, module-path and pin-value are known")
        try:
            module, own_pin = (found[one].decode() if one in found else None for one in ("module-path", "pin-value"))
        except UnicodeDecodeError:
            raise KeyImportError(f"{name}: what is percent-encoded there is no text") from None
        return cls(name, found.get("token"), found.get("object"), found.get("id"), module, own_pin or pin)


class _TokenInfo(ctypes.Structure):
    _fields_ = (
        ("label", c_ubyte * 32),
        ("about", c_ubyte * 64),
        ("flags", c_ulong),
        ("numbers", c_ulong * 10),
        ("versions", c_ubyte * 4),
        ("time", c_ubyte * 16),
    )


_ONE_AT_A_TIME = threading.Lock()  # also for initialization: SoftHSM forgets sessions when two threads do that at once


class _Attribute(ctypes.Structure):
    _fields_ = (("type", c_ulong), ("value", c_void_p), ("length", c_ulong))


class _Mechanism(ctypes.Structure):
    _fields_ = (("type", c_ulong), ("parameter", c_void_p), ("length", c_ulong))


class _Arguments(ctypes.Structure):
    _fields_ = (("mutex", c_void_p * 4), ("flags", c_ulong), ("reserved", c_void_p))


class _List(ctypes.Structure):
    _fields_ = (("version", c_ubyte * 2), ("functions", c_void_p * _FUNCTIONS))


class Module:
    """A token's library."""

    def __init__(self, path: str) -> None:
        self._functions = POINTER(_List)()
        try:
            library = ctypes.CDLL(os.path.expanduser(path))
            library.C_GetFunctionList.restype = c_ulong
            failed = library.C_GetFunctionList(byref(self._functions))
        except (OSError, AttributeError) as exc:
            raise LibsshSessionException(f"pkcs11_provider: {path} cannot be used: {exc}") from exc
        arguments = _Arguments(flags=_OS_LOCKING)
        with _ONE_AT_A_TIME:
            code = failed or self._code(_INITIALIZE, byref(arguments))
        if code not in (_OK, _INITIALIZED):
            raise LibsshSessionException(f"pkcs11_provider: {path} cannot be used: error {code:#x}")

    def _code(self, function: int, *arguments: Any) -> int:
        call = ctypes.CFUNCTYPE(c_ulong)(self._functions.contents.functions[function])
        return int(call(*[c_ulong(one) if isinstance(one, int) else one for one in arguments]))

    def call(self, function: int, *arguments: Any) -> None:
        """Call a function by its place in the list; numbers are passed as CK_ULONG."""
        code = self._code(function, *arguments)
        if code not in (_OK, _LOGGED_IN):
            raise LibsshSessionException(_ERRORS.get(code, f"the PKCS#11 token failed: error {code:#x}"))

    def slots(self, wanted: bytes | None) -> Iterator[tuple[int, str, bool]]:
        """Yield number, label, and whether it wants a login, of the slots with a token (labelled *wanted*)."""
        count = c_ulong(_MOST_KEYS)
        numbers = (c_ulong * _MOST_KEYS)()
        self.call(_SLOTS, c_ubyte(1), numbers, byref(count))
        for number in numbers[: count.value]:
            info = _TokenInfo()
            self.call(_TOKEN_INFO, number, byref(info))
            label = bytes(info.label).rstrip(b" \0")
            if info.flags & _TOKEN_INITIALIZED and wanted in (None, label):
                yield number, label.decode(errors="replace"), bool(info.flags & _LOGIN_REQUIRED)

    @contextlib.contextmanager
    def session(self, slot: int, pin: Callable[[], Secret] | None = None) -> Iterator[c_ulong]:
        """Open a session, logged in if there is a PIN to do it with; one at a time, whatever threads there are.

        All sessions of a process have one login with a token: with several at once a wrong PIN would do while another's holds.
        """
        secret = pin() if pin is not None else None
        handle = c_ulong()
        with _ONE_AT_A_TIME:
            self.call(_OPEN, slot, _SERIAL, c_void_p(), c_void_p(), byref(handle))
            try:
                if secret is not None:
                    self.login(handle, _USER, secret)
                yield handle
            finally:
                self._code(_CLOSE, handle)

    def login(self, session: c_ulong, user: int, pin: Secret) -> None:
        """Log in, to the token or, after the beginning of a signature, for that alone."""
        with c_string(pin) as c_pin:
            self.call(_LOGIN, session, user, c_pin, len(c_pin) - 1)

    def find(self, session: c_ulong, **wanted: bytes | None) -> list[int]:
        """Return the objects with these attributes: ``kind``, ``label``, ``id``."""
        numbers = {"kind": _CLASS, "label": _LABEL, "id": _ID}
        given = [(numbers[name], value) for name, value in wanted.items() if value is not None]
        buffers = [ctypes.create_string_buffer(value, len(value)) for _, value in given]
        template = (_Attribute * len(given))(
            *(_Attribute(kind, ctypes.addressof(buffer), len(buffer)) for (kind, _), buffer in zip(given, buffers))
        )
        found, count = (c_ulong * _MOST_KEYS)(), c_ulong()
        self.call(_FIND_INIT, session, template, len(given))
        try:
            self.call(_FIND, session, found, _MOST_KEYS, byref(count))
        finally:
            self.call(_FIND_FINAL, session)
        return list(found[: count.value])

    def attribute(self, session: c_ulong, key: int, kind: int) -> bytes:
        """Return an attribute of an object."""
        buffer = ctypes.create_string_buffer(_MOST)
        attribute = _Attribute(kind, ctypes.addressof(buffer), _MOST)
        self.call(_GET, session, key, byref(attribute), 1)
        return buffer.raw[: attribute.length]

    def sign(self, session: c_ulong, key: int, mechanism: int, data: bytes, pin: Callable[[], Secret]) -> bytes:
        """Return a signature of the token's; *pin* is for a key that wants one for each of them."""
        self.call(_SIGN_INIT, session, byref(_Mechanism(mechanism)), key)
        if self._always_authenticates(session, key):
            self.login(session, _FOR_ONE_SIGNATURE, pin())
        buffer, length = ctypes.create_string_buffer(_MOST), c_ulong(_MOST)
        self.call(_SIGN, session, data, len(data), buffer, byref(length))
        return buffer.raw[: length.value]

    def _always_authenticates(self, session: c_ulong, key: int) -> bool:
        yes = c_ubyte()
        attribute = _Attribute(_ALWAYS_AUTHENTICATE, ctypes.addressof(yes), 1)
        return self._code(_GET, session, key, byref(attribute), 1) == _OK and bool(yes.value)  # a token need not know it


class TokenKey:
    """A key in a token, as one that somebody else signs with."""

    cure = "pkcs11_provider"

    def __init__(
        self,
        module: Module,
        slot: int,
        id_: bytes,
        blob: bytes,
        hash_: str,
        wants_login: bool,
        pin: Callable[[], Secret],
        name: str,
        shown: bytes | None = None,
    ) -> None:
        self.blob = shown or blob
        self.name = name
        self._about = module, slot, id_, blob, hash_, wants_login, pin, name

    def certified(self, certificate: bytes) -> TokenKey:
        """Return the key with a certificate."""
        return TokenKey(*self._about, certificate)

    def cancel(self) -> None:
        """Do nothing: a token signs at once."""

    def sign(self, data: bytes, flags: int) -> bytes:
        """Have the token sign."""
        module, slot, id_, blob, hash_, wants_login, pin, name = self._about
        with module.session(slot, pin if wants_login else None) as session:
            found = module.find(session, kind=_number(_PRIVATE), id=id_)
            if not found:
                raise LibsshSessionException(f"the token has no private key for {name}")
            if hash_:
                raw = module.sign(session, found[0], _ECDSA, hashlib.new(hash_, data).digest(), pin)
                half = len(raw) // 2
                return string(blob[4 : 4 + blob[3]]) + string(string(mpint(raw[:half])) + string(mpint(raw[half:])))
            kind, digest, info = _SIGNATURES.get(flags, _SIGNATURES[0])
            raw = module.sign(session, found[0], _RSA_PKCS, info + hashlib.new(digest, data).digest(), pin)
            return string(kind) + string(raw)


def keys(uri: Uri, provider: str | None, ask: Ask | None) -> list[TokenKey]:
    """Return the keys that a URI means, by the library that it or *provider* names; *ask* is for a PIN that it doesn't have."""
    path = uri.module or provider
    if not path:
        raise LibsshSessionException(f"{uri.name}: set pkcs11_provider to the token's library, or give it as module-path")
    module = Module(path)
    found = []
    for slot, token, wants_login in module.slots(uri.token):
        pin = _Pin(uri, token, ask)
        with module.session(slot) as session:
            for key in module.find(session, kind=_number(_PUBLIC), label=uri.label, id=uri.id):
                public = _public(module, session, key)
                if public is not None:
                    blob, hash_ = public
                    label = module.attribute(session, key, _LABEL).decode(errors="replace")
                    id_ = module.attribute(session, key, _ID)
                    found.append(TokenKey(module, slot, id_, blob, hash_, wants_login, pin, f"the token {token}'s {label}"))
    if not found:
        raise KeyImportError(f"{uri.name}: no token has such a key")
    return found


class _Pin:
    """A token's PIN, asked for once."""

    def __init__(self, uri: Uri, token: str, ask: Ask | None) -> None:
        self._pin: Secret | None = uri.pin
        self._token = token
        self._ask = ask

    def __call__(self) -> Secret:
        if not self._pin and self._ask:
            self._pin = self._ask(f"PIN of the token {self._token}: ", True)
        if not self._pin:
            raise LibsshSessionException(f"nobody is here to give the PIN of the token {self._token}")
        return self._pin


def _public(module: Module, session: c_ulong, key: int) -> tuple[bytes, str] | None:
    """Return a public key's blob (RFC 4253 section 6.6) and, of ECDSA, the hash; None of a kind that SSH does not know."""
    kind = int.from_bytes(module.attribute(session, key, _KEY_TYPE), sys.byteorder)
    if kind == _RSA:
        exponent, modulus = (mpint(module.attribute(session, key, which)) for which in (_EXPONENT, _MODULUS))
        return string(b"ssh-rsa") + string(exponent) + string(modulus), ""
    curve = _CURVES.get(module.attribute(session, key, _EC_PARAMS)) if kind == _EC else None
    if curve is None:
        return None
    name, hash_ = curve
    point = module.attribute(session, key, _EC_POINT)  # DER of an octet string, whose length may take a byte more
    point = point[3:] if point[1] == 0x81 else point[2:]
    return string(f"ecdsa-sha2-{name}".encode()) + string(name.encode()) + string(point), hash_


def _number(value: int) -> bytes:
    return value.to_bytes(_WORD, sys.byteorder)
