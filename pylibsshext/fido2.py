# SPDX-License-Identifier: LGPL-2.1-or-later
"""Security keys that are plugged in: OpenSSH's ``internal`` way to them, by libfido2, which is loaded when it is needed.

Which device has a key is found out without a person where that can be: a device tells whether it knows a handle before anybody has to
touch it (CTAP 2.1 section 6.2, option ``up``).  It keeps to itself that it has a key which wants the PIN each time; then a touch chooses.
"""

from __future__ import annotations

import ctypes
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import POINTER, byref, c_bool, c_char_p, c_int, c_size_t, c_uint8, c_uint32, c_void_p
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ._named_tuple import NamedTuple
from .errors import LibsshSessionException

if TYPE_CHECKING:
    from ._secrets import Secret
    from .security_keys import Handle

LIBRARY = "libfido2.so.1"
_SLICE = 0.1  # seconds between two looks at whether the login has been given up
_MOST_DEVICES = 64
TOUCH, VERIFY = 0x01, 0x04  # flags of a key file
_FALSE, _TRUE = 1, 2  # of fido_opt_t

# The status codes of CTAP 2.1 section 8.2, and those of libfido2, which are negative.
_OK, _RX, _PRESENCE_REQUIRED = 0, -2, -8
_NO_CREDENTIALS, _PIN_INVALID, _PIN_REQUIRED = 0x2E, 0x31, 0x36
_UV_BLOCKED, _UV_INVALID = 0x3C, 0x3F
_ERRORS = {
    -1: "it does not answer any more",
    _RX: "it does not answer any more",
    0x27: "that was refused at the device",
    0x2D: "it was told to give up",
    _NO_CREDENTIALS: "it does not have this key",
    0x2F: "nobody touched it in time",
    0x32: "its PIN is blocked after too many wrong ones",
    0x34: "too many wrong PINs in a row: take it out and plug it in again",
    0x35: "it has no PIN yet: give it one (fido2-token -S)",
    0x3A: "nobody touched it in time",
}
_NONE = "no security key is there: plug it in, and see that this user may open its /dev/hidraw file"

_DEVICE = (c_void_p,)
_ITEM = (c_void_p, c_size_t)
_PROTOTYPES: dict[str, tuple[Any, Sequence[Any]]] = {
    "fido_init": (None, (c_int,)),
    "fido_strerr": (c_char_p, (c_int,)),
    "fido_dev_info_new": (c_void_p, (c_size_t,)),
    "fido_dev_info_manifest": (c_int, (c_void_p, c_size_t, POINTER(c_size_t))),
    "fido_dev_info_ptr": (c_void_p, _ITEM),
    "fido_dev_info_path": (c_char_p, (c_void_p,)),
    "fido_dev_info_free": (None, (POINTER(c_void_p), c_size_t)),
    "fido_dev_new": (c_void_p, ()),
    "fido_dev_open": (c_int, (c_void_p, c_char_p)),
    "fido_dev_close": (c_int, _DEVICE),
    "fido_dev_free": (None, (POINTER(c_void_p),)),
    "fido_dev_cancel": (c_int, _DEVICE),
    "fido_dev_is_fido2": (c_bool, _DEVICE),
    "fido_dev_has_uv": (c_bool, _DEVICE),
    "fido_dev_get_retry_count": (c_int, (c_void_p, POINTER(c_int))),
    "fido_dev_get_touch_begin": (c_int, _DEVICE),
    "fido_dev_get_touch_status": (c_int, (c_void_p, POINTER(c_int), c_int)),
    "fido_dev_get_assert": (c_int, (c_void_p, c_void_p, c_char_p)),
    "fido_assert_new": (c_void_p, ()),
    "fido_assert_free": (None, (POINTER(c_void_p),)),
    "fido_assert_set_clientdata_hash": (c_int, (c_void_p, c_char_p, c_size_t)),
    "fido_assert_set_rp": (c_int, (c_void_p, c_char_p)),
    "fido_assert_allow_cred": (c_int, (c_void_p, c_char_p, c_size_t)),
    "fido_assert_set_up": (c_int, (c_void_p, c_int)),
    "fido_assert_set_uv": (c_int, (c_void_p, c_int)),
    "fido_assert_count": (c_size_t, (c_void_p,)),
    "fido_assert_sig_ptr": (c_void_p, _ITEM),
    "fido_assert_sig_len": (c_size_t, _ITEM),
    "fido_assert_flags": (c_uint8, _ITEM),
    "fido_assert_sigcount": (c_uint32, _ITEM),
}

_turn = threading.Lock()  # a device serves one program at a time, and a person one device


@contextmanager
def c_string(secret: Secret | None) -> Iterator[Any]:
    """Have a PIN as C's libraries take it; that copy is overwritten afterwards."""
    if secret is None:
        yield None
        return
    given = secret.encode() if isinstance(secret, str) else secret
    data = bytearray(len(given) + 1)
    data[:-1] = given
    buffer = (ctypes.c_char * len(data)).from_buffer(data)
    try:
        yield buffer
    finally:
        ctypes.memset(buffer, 0, len(data))


class Signature(NamedTuple):
    """What a device has signed with: one number (Ed25519's string of bytes) or two (ECDSA), its flags and its counter."""

    r: bytes
    s: bytes
    flags: int
    counter: int


class PinWanted(Exception):
    """The device does not sign without its PIN."""


class PluggedIn:
    """The security keys that are plugged in, for one login.  *touch* is called when one waits for a touch.

    `sign` may be called again with the PIN; `cancel` ends it from another thread.
    """

    def __init__(self, touch: Callable[[], Any]) -> None:
        self._touch = touch
        self._library = _load(LIBRARY)
        self._path: bytes | None = None
        self._guard = threading.Lock()  # of the two below
        self._open: list[_Device] = []
        self._given_up = False

    def sign(self, key: Handle, data: bytes, pin: Secret | None) -> Signature:
        """Have the device that has *key* sign *data*; `PinWanted` if it does only with its PIN."""
        if self._path is None:
            self._path = self._choose(key)
        with self._opened([self._path]) as devices:
            if not devices:
                raise LibsshSessionException(f"the security key at {self._path.decode()} cannot be opened")
            return devices[0].sign(key, data, pin, self._touch)

    def cancel(self) -> None:
        """Have no device wait for a touch any more."""
        with self._guard:
            self._given_up = True
            for device in self._open:
                device.cancel()

    def _choose(self, key: Handle) -> bytes:
        """Return the path of the device that has *key*."""
        paths = self._paths()
        if not paths:
            raise LibsshSessionException(_NONE)
        if len(paths) == 1:
            return paths[0]
        with self._opened(paths) as devices:
            found = {device: device.knows(key) for device in devices}
            sure = [device for device, knows in found.items() if knows]
            unsure = [device for device, knows in found.items() if knows is None]
            if sure or len(unsure) == 1:
                return (sure or unsure)[0].path
            if not unsure:
                raise LibsshSessionException(f"none of the {len(paths)} security keys that are there has this key")
            self._touch()
            return self._touched(unsure).path

    def _paths(self) -> list[bytes]:
        library, count = self._library, c_size_t()
        found = c_void_p(library.fido_dev_info_new(_MOST_DEVICES))
        try:
            code = library.fido_dev_info_manifest(found, _MOST_DEVICES, byref(count))
            if code != _OK:
                raise LibsshSessionException(f"the security keys cannot be listed: {_text(library, code)}")
            return [library.fido_dev_info_path(library.fido_dev_info_ptr(found, which)) for which in range(count.value)]
        finally:
            library.fido_dev_info_free(byref(found), _MOST_DEVICES)

    @contextmanager
    def _opened(self, paths: Sequence[bytes]) -> Iterator[list[_Device]]:
        """Open those of the devices that can be, and keep other logins of this process from them meanwhile."""
        while not _turn.acquire(timeout=_SLICE):
            self._go_on()
        try:
            for path in paths:
                device = _Device(self._library, path)
                if device.is_open:
                    with self._guard:
                        self._open.append(device)
            self._go_on()
            yield self._open
        finally:
            with self._guard:
                for device in self._open:
                    device.close()
                self._open = []
            _turn.release()

    def _touched(self, devices: Sequence[_Device]) -> _Device:
        """Return the one that a person touches."""
        waiting = [device for device in devices if device.begin_touch()]
        try:
            while waiting:
                for device in waiting:
                    self._go_on()
                    touched = device.is_touched()
                    if touched:
                        return device
                    if touched is None:
                        waiting = [other for other in waiting if other is not device]
        finally:
            for device in waiting:
                device.cancel()
        raise refusal("nobody touched one in time")

    def _go_on(self) -> None:
        if self._given_up:
            raise refusal("the login was given up")


class _Device:
    """A device, opened if it can be."""

    def __init__(self, library: ctypes.CDLL, path: bytes) -> None:
        self.path = path
        self._library = library
        self._ptr = c_void_p(library.fido_dev_new())
        self.is_open = library.fido_dev_open(self._ptr, path) == _OK
        if not self.is_open:
            library.fido_dev_free(byref(self._ptr))

    def close(self) -> None:
        self._library.fido_dev_close(self._ptr)
        self._library.fido_dev_free(byref(self._ptr))

    def cancel(self) -> None:
        self._library.fido_dev_cancel(self._ptr)

    def knows(self, key: Handle) -> bool | None:
        """Return whether it has *key*, None where it does not tell without its PIN."""
        with self._assertion(key, b"", _FALSE) as assertion:
            code = self._library.fido_dev_get_assert(self._ptr, assertion, None)
        if code in (_OK, _PRESENCE_REQUIRED):
            return True
        return None if code == _PIN_REQUIRED or key.flags & VERIFY else False

    def begin_touch(self) -> bool:
        return bool(self._library.fido_dev_get_touch_begin(self._ptr) == _OK)

    def is_touched(self) -> bool | None:
        """Return whether it was touched, after waiting a little; None if it waits no longer."""
        touched = c_int()
        code = self._library.fido_dev_get_touch_status(self._ptr, byref(touched), int(_SLICE * 1000))
        return bool(touched.value) if code == _OK else None

    def sign(self, key: Handle, data: bytes, pin: Secret | None, touch: Callable[[], Any]) -> Signature:
        library, ptr = self._library, self._ptr
        verifies = bool(key.flags & VERIFY) and pin is None  # by itself, as one with a fingerprint reader does
        if verifies and not library.fido_dev_has_uv(ptr):
            raise PinWanted
        with self._assertion(key, data, _TRUE if key.flags & TOUCH else _FALSE) as assertion:
            if verifies:
                library.fido_assert_set_uv(assertion, _TRUE)
            if key.flags & TOUCH:
                touch()
            with c_string(pin) as c_pin:
                code = library.fido_dev_get_assert(ptr, assertion, c_pin)
            if code != _OK or library.fido_assert_count(assertion) != 1:
                raise self._refusal(code, pin)
            made = ctypes.string_at(library.fido_assert_sig_ptr(assertion, 0), library.fido_assert_sig_len(assertion, 0))
            r, s = _integers(made) if b"ecdsa" in key.type else (made, b"")
            return Signature(r, s, library.fido_assert_flags(assertion, 0), library.fido_assert_sigcount(assertion, 0))

    @contextmanager
    def _assertion(self, key: Handle, data: bytes, touch: int) -> Iterator[c_void_p]:
        """Make ready what a device is asked to sign."""
        library, digest = self._library, hashlib.sha256(data).digest()
        assertion = c_void_p(library.fido_assert_new())
        try:
            for code in (
                library.fido_assert_set_clientdata_hash(assertion, digest, len(digest)),
                library.fido_assert_set_rp(assertion, key.application),
                library.fido_assert_allow_cred(assertion, key.handle, len(key.handle)),
                library.fido_assert_set_up(assertion, touch),
            ):
                if code != _OK:
                    raise LibsshSessionException(f"the security key cannot be asked: {_text(library, code)}")
            yield assertion
        finally:
            library.fido_assert_free(byref(assertion))

    def _refusal(self, code: int, pin: Secret | None) -> Exception:
        if pin is None and code in (_PIN_REQUIRED, _UV_BLOCKED, _UV_INVALID):
            return PinWanted()
        if code == _PIN_INVALID:
            left = c_int()
            known = self._library.fido_dev_get_retry_count(self._ptr, byref(left)) == _OK
            return refusal(f"the PIN is wrong{f' ({left.value} attempts left)' if known else ''}")
        return refusal(_ERRORS.get(code) or _text(self._library, code))


def refusal(why: str) -> LibsshSessionException:
    """Return the exception for a device that does not sign."""
    return LibsshSessionException(f"the security key does not sign: {why}")


def _integers(der: bytes) -> tuple[bytes, bytes]:
    """Return the two numbers of an ECDSA signature (RFC 3279 section 2.2.3); those of 256 bits need lengths of one byte only."""
    size = der[3]
    return der[4 : 4 + size], der[6 + size :]


@lru_cache
def _load(path: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(path)
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as exc:
        raise LibsshSessionException(
            f"{path}, which reaches security keys, cannot be used ({exc}): install libfido2 (apt: libfido2-1)"
        ) from exc
    library.fido_init(0)
    return library


def _text(library: ctypes.CDLL, code: int) -> str:
    return str(library.fido_strerr(code).decode())
