# SPDX-License-Identifier: LGPL-2.1-or-later
"""FIDO2 security keys without an agent: OpenSSH's key files of types ed25519-sk and ecdsa-sk (PROTOCOL.u2f in its sources).

The file holds a handle, which the device makes the signature with.  Devices that are plugged in are reached by libfido2 (`fido2`), others
through a middleware library with the interface that OpenSSH has for them (``SSH_SK_PROVIDER``); either is loaded when it is needed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ._named_tuple import NamedTuple
from .agent import string, strings
from .errors import LibsshSessionException
from .fido2 import TOUCH, VERIFY, PinWanted, PluggedIn, Signature, c_string, refusal

if TYPE_CHECKING:
    from ._secrets import Secret
    from .keys import Ask

ED25519 = b"sk-ssh-ed25519@openssh.com"
ECDSA = b"sk-ecdsa-sha2-nistp256@openssh.com"
TYPES = (ED25519, ECDSA)

_ALGORITHMS = {ECDSA: 0, ED25519: 1}
_VERSION, _VERSION_MASK = 0x000A0000, 0xFFFF0000
_PIN_REQUIRED = -3
_ERRORS = {
    -1: "it failed",
    -2: "it has no such keys",
    _PIN_REQUIRED: "the PIN is wrong",
    -4: "no security key with this key is there",
}
INTERNAL = "internal"
"""The provider that is no library: the devices that are plugged in."""


class Handle(NamedTuple):
    """What a key file has of a key in a device."""

    type: bytes
    application: bytes
    flags: int
    handle: bytes


def parse(private: bytes) -> Handle | None:
    """Read the decrypted private section of a key file; None if it is of no security key."""
    check, rest = private[:8], private[8:]
    if check[:4] != check[4:]:
        return None
    head = strings(rest)
    if not head or head[0] not in TYPES:
        return None
    public = 3 if head[0] == ED25519 else 4  # type, then the key, or the curve and the point; then the application
    if len(head) < public:
        return None
    tail = rest[sum(4 + len(field) for field in head[:public]) :]
    fields = strings(tail[1:])
    return Handle(head[0], head[public - 1], tail[0], fields[0]) if fields else None


class _Way(Protocol):
    """A way to devices."""

    def sign(self, key: Handle, data: bytes, pin: Secret | None) -> Signature:
        """Have a device sign; `PinWanted` if it does only with its PIN."""

    def cancel(self) -> None:
        """Have `sign`, in another thread, end soon."""


class SecurityKey:
    """A key in a device, as one that somebody else signs with.

    *load* reads its handle, which may take a passphrase, only when it is to sign.  *ask* (the question; whether the answer is a
    secret) is for the PIN, *notify* tells when the device waits for a touch.
    """

    cure = "security_key_provider"

    def __init__(
        self,
        load: Callable[[], Handle],
        blob: bytes,
        name: str,
        provider: str | None,
        ask: Ask | None = None,
        notify: Callable[[str], Any] | None = None,
        certificate: bytes | None = None,
    ) -> None:
        self.blob = certificate or blob
        self.name = name
        self._about = load, blob, name, provider, ask, notify
        self._way: _Way | None = None

    def certified(self, certificate: bytes) -> SecurityKey:
        """Return the key with a certificate."""
        return SecurityKey(*self._about, certificate)

    def sign(self, data: bytes, _flags: int) -> bytes:
        """Have the device sign."""
        load, _, _, provider, _, _ = self._about
        key = load()
        way: _Way = PluggedIn(self._tell) if provider in (None, INTERNAL) else _Middleware(provider, self._tell)
        self._way = way
        try:
            made = way.sign(key, data, None)
        except PinWanted:
            made = way.sign(key, data, self._pin())
        finally:
            self._way = None
        body = string(made.r) if key.type == ED25519 else string(string(mpint(made.r)) + string(mpint(made.s)))
        return string(key.type) + body + bytes([made.flags]) + made.counter.to_bytes(4, "big")

    def cancel(self) -> None:
        """Have `sign` end, if the device can be told to."""
        way = self._way
        if way is not None:
            way.cancel()

    def _tell(self) -> None:
        *_, name, _, _, notify = self._about
        if notify:
            notify(f"Touch the security key to log in with {name}")

    def _pin(self) -> Secret:
        *_, name, _, ask, _ = self._about
        pin = ask(f"PIN of the security key for {name}: ", True) if ask else None
        if not pin:
            raise LibsshSessionException(f"nobody is here to give the PIN of the security key for {name}")
        return pin


class _Response(ctypes.Structure):
    """``struct sk_sign_response`` of OpenSSH's interface."""

    _fields_ = (
        ("flags", ctypes.c_uint8),
        ("counter", ctypes.c_uint32),
        ("r", ctypes.POINTER(ctypes.c_uint8)),
        ("r_length", ctypes.c_size_t),
        ("s", ctypes.POINTER(ctypes.c_uint8)),
        ("s_length", ctypes.c_size_t),
    )


class _Middleware:
    """A library that reaches devices."""

    def __init__(self, path: str, touch: Callable[[], Any]) -> None:
        self._touch = touch
        try:
            self._library = ctypes.CDLL(path)
            version = self._library.sk_api_version
            self._sign = self._library.sk_sign
        except (OSError, AttributeError) as exc:
            raise LibsshSessionException(f"security_key_provider: {path} cannot be used: {exc}") from exc
        version.restype = ctypes.c_uint32
        if version() & _VERSION_MASK != _VERSION:
            raise LibsshSessionException(
                f"security_key_provider: {path} has version {version():#x} of the interface, not {_VERSION:#x}"
            )
        self._sign.argtypes = (
            ctypes.c_uint32,
            *(ctypes.c_char_p, ctypes.c_size_t),
            ctypes.c_char_p,
            *(ctypes.c_char_p, ctypes.c_size_t),
            ctypes.c_uint8,
            ctypes.c_char_p,
            ctypes.c_void_p,
            ctypes.POINTER(ctypes.POINTER(_Response)),
        )
        self._sign.restype = ctypes.c_int

    def sign(self, key: Handle, data: bytes, pin: Secret | None) -> Signature:
        """Have a device sign."""
        if key.flags & VERIFY and pin is None:
            raise PinWanted
        if key.flags & TOUCH:
            self._touch()
        response = ctypes.POINTER(_Response)()
        options = ctypes.c_void_p()  # an empty list
        with c_string(pin) as c_pin:
            code = self._sign(
                _ALGORITHMS[key.type],
                *(data, len(data)),
                key.application,
                *(key.handle, len(key.handle)),
                key.flags,
                c_pin,
                ctypes.addressof(options),
                ctypes.byref(response),
            )
        if code == _PIN_REQUIRED and pin is None:
            raise PinWanted
        if code != 0 or not response:
            raise refusal(_ERRORS.get(code, f"error {code}"))
        made = response.contents
        r, s = bytes(made.r[: made.r_length]), bytes(made.s[: made.s_length]) if made.s_length else b""
        return Signature(r, s, made.flags, made.counter)

    def cancel(self) -> None:
        """Do nothing: the interface has no such call."""


def mpint(number: bytes) -> bytes:
    """Return an unsigned number as RFC 4251 section 5 has it, without its length."""
    shortest = number.lstrip(b"\0")
    return b"\0" + shortest if shortest[:1] >= b"\x80" else shortest
