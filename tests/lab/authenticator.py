# SPDX-License-Identifier: LGPL-2.1-or-later
"""A FIDO2 security key in software, on a socket instead of USB: CTAPHID reports, CTAP 2 and U2F inside (CTAP 2.1, FIDO U2F 1.2).

`Library` builds what makes libfido2 see it, in our processes and in OpenSSH's.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .hosts import run

LIBRARY = "libfido2.so.1"
_REPORT = 64
_MSG, _INIT, _CBOR, _CANCEL, _KEEPALIVE, _ERROR = 0x03, 0x06, 0x10, 0x11, 0x3B, 0x3F
_UP_NEEDED = b"\x02"
_ES256, _EDDSA = -7, -8
_UP, _UV, _ATTESTED, _EXTENSIONS = 0x01, 0x04, 0x40, 0x80
_INVALID_PARAMETER = 0x02
_CANCELLED, _NO_CREDENTIALS, _TOO_LATE, _PIN_INVALID, _PIN_BLOCKED = 0x2D, 0x2E, 0x2F, 0x31, 0x32
_PIN_AUTH_INVALID, _PIN_AUTH_BLOCKED, _PIN_NOT_SET, _PIN_REQUIRED = 0x33, 0x34, 0x35, 0x36
_NO_ERROR, _NOT_SATISFIED, _WRONG_DATA, _NO_INSTRUCTION = b"\x90\0", b"\x69\x85", b"\x6a\x80", b"\x6d\0"
_TRIES, _TRIES_AT_ONCE = 8, 3
_AAGUID = b"pylibssh lab key"


class Library:
    """libfido2 with sockets for devices, in a directory for LD_LIBRARY_PATH."""

    def __init__(self, directory: Path, real: Path) -> None:
        self.path = directory / LIBRARY
        copy = directory / "libfido2.so.R"  # with a name of its own, for both are loaded
        copy.write_bytes(real.read_bytes().replace(LIBRARY.encode() + b"\0", copy.name.encode() + b"\0"))
        source = Path(__file__).with_name("libfido2.c")
        flags = (
            "-shared",
            "-fPIC",
            "-Wall",
            "-Werror",
            f'-DREAL="{copy}"',
            f"-Wl,-soname,{LIBRARY}",
            f"-Wl,-rpath,{directory}",
        )
        run("gcc", *flags, "-o", self.path, source, copy)
        self.environment = {"LD_LIBRARY_PATH": str(directory)}


class Refused(Exception):
    """What CTAP answers with a code alone."""


class Credential(NamedTuple):
    """A key that is in the device."""

    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    rp: bytes  # the hash of its relying party's name
    verify: bool

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(data)
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    def cose(self) -> dict[int, Any]:
        """Return the public key as COSE has it (RFC 9053)."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return {1: 1, 3: _EDDSA, -1: 6, -2: raw}
        return {**_point(self.key), 3: _ES256}


class Authenticator:
    """A security key that listens at *path*.

    ``finger`` says whether somebody touches it, ``waiting`` is set while it waits for that, ``asked`` counts how often it did,
    ``told_to_stop`` that it was cancelled; ``protocol`` is how it takes PINs, 1 or 2.  *verifies* is a key that knows its owner's finger; *u2f* one of the time before FIDO2.
    """

    def __init__(
        self, path: Path, pin: str | None = None, *, verifies: bool = False, u2f: bool = False, patience: float = 20.0
    ) -> None:
        self.pin = pin
        self.protocol = 1
        self.tries = _TRIES
        self.finger = threading.Event()
        self.finger.set()
        self.waiting = threading.Event()
        self.asked = 0
        self.told_to_stop = threading.Event()
        self.mute = False
        self._at_once = _TRIES_AT_ONCE
        self.verifies = verifies
        self._u2f = u2f
        self.patience = patience
        self._credentials: dict[bytes, Credential] = {}
        self._counter = 0
        self._agreement = ec.generate_private_key(ec.SECP256R1())
        self._token = os.urandom(32)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self._host: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="authenticator", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Be pulled out, if it is still there."""
        for one in (self._listener, self._host):
            with suppress(OSError):
                if one is not None:
                    one.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()

    def plug_in_again(self) -> None:
        """Forget how often the PIN was wrong since it has power."""
        self._at_once = _TRIES_AT_ONCE

    # CTAPHID

    def _serve(self) -> None:
        while True:
            try:
                self._host = self._listener.accept()[0]
            except OSError:
                return
            with self._host:
                try:
                    while True:
                        self._exchange(*self._receive())
                except (OSError, EOFError):
                    continue

    def _report(self) -> bytes:
        assert self._host is not None
        try:
            report = self._host.recv(_REPORT)
        except ConnectionResetError:  # it hung up without having heard us out; what it said before is still there
            report = self._host.recv(_REPORT)
        if len(report) != _REPORT:
            raise EOFError
        return report

    def _receive(self) -> tuple[bytes, int, bytes]:
        report = self._report()
        channel, command, size = report[:4], report[4] & 0x7F, int.from_bytes(report[5:7], "big")
        data = report[7:]
        while len(data) < size:
            data += self._report()[5:]
        return channel, command, data[:size]

    def _send(self, channel: bytes, command: int, data: bytes) -> None:
        assert self._host is not None
        report = channel + bytes([command | 0x80]) + struct.pack(">H", len(data)) + data[:57]
        rest, number = data[57:], 0
        self._host.send(report.ljust(_REPORT, b"\0"))
        while rest:
            self._host.send((channel + bytes([number]) + rest[:59]).ljust(_REPORT, b"\0"))
            rest, number = rest[59:], number + 1

    def _exchange(self, channel: bytes, command: int, data: bytes) -> None:
        if self.mute:
            return
        if command == _INIT:
            answer = data + os.urandom(4) + bytes([2, 1, 0, 0, 0x00 if self._u2f else 0x0C])
        elif command == _CBOR and not self._u2f:
            try:
                answer = b"\0" + self._ctap(channel, data[0], decoded(data[1:]) if data[1:] else {})
            except Refused as exc:
                answer = bytes([exc.args[0]])
        elif command == _MSG and self._u2f:
            answer = self._apdu(data)
        elif command == _CANCEL:
            return
        else:
            command, answer = _ERROR, b"\x01"
        self._send(channel, command, answer)

    def _touched(self, channel: bytes) -> None:
        """Wait for a touch."""
        assert self._host is not None
        self.asked += 1
        self.waiting.set()
        try:
            end = time.monotonic() + self.patience
            while not self.finger.wait(0.05):
                self._host.setblocking(False)
                try:
                    if self._receive()[1] == _CANCEL:
                        self.told_to_stop.set()
                        raise Refused(_CANCELLED)
                except BlockingIOError:
                    pass
                finally:
                    self._host.setblocking(True)
                if time.monotonic() > end:
                    raise Refused(_TOO_LATE)
                with suppress(OSError):  # of one that has said something and hung up
                    self._send(channel, _KEEPALIVE, _UP_NEEDED)
        finally:
            self.waiting.clear()

    # CTAP 2

    def _ctap(self, channel: bytes, command: int, given: dict[Any, Any]) -> bytes:
        if command == 0x04:
            return self._info()
        if command == 0x06:
            return self._client_pin(given)
        if command == 0x01:
            return self._make_credential(channel, given)
        if command == 0x02:
            return self._get_assertion(channel, given)
        raise Refused(0x01)

    def _info(self) -> bytes:
        options = {"rk": True, "up": True, "clientPin": self.pin is not None}
        if self.verifies:
            options["uv"] = True
        known = {1: ["FIDO_2_0", "FIDO_2_1_PRE"], 2: ["credProtect"], 3: _AAGUID, 4: options, 5: 1200, 6: [self.protocol]}
        return encoded(known)

    def _client_pin(self, given: dict[Any, Any]) -> bytes:
        if given[2] == 1:
            return encoded({3: self.tries})
        if given[2] == 2:
            return encoded({1: {**_point(self._agreement), 3: -25}})
        if given[2] != 5:
            raise Refused(0x01)
        if self.pin is None:
            raise Refused(_PIN_NOT_SET)
        if not self.tries or not self._at_once:
            raise Refused(_PIN_AUTH_BLOCKED if self.tries else _PIN_BLOCKED)
        point = ec.EllipticCurvePublicNumbers(
            int.from_bytes(given[3][-2], "big"), int.from_bytes(given[3][-3], "big"), ec.SECP256R1()
        ).public_key()
        if given[1] != self.protocol:
            raise Refused(_INVALID_PARAMETER)
        key, sealed, iv = self._shared(self._agreement.exchange(ec.ECDH(), point)), given[6], bytes(16)
        if self.protocol == 2:
            iv, sealed = sealed[:16], sealed[16:]
        decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        if decryptor.update(sealed) + decryptor.finalize() != hashlib.sha256(self.pin.encode()).digest()[:16]:
            self.tries -= 1
            self._at_once -= 1
            raise Refused(_PIN_BLOCKED if not self.tries else _PIN_INVALID if self._at_once else _PIN_AUTH_BLOCKED)
        self.tries, self._at_once = _TRIES, _TRIES_AT_ONCE
        iv = os.urandom(16) if self.protocol == 2 else bytes(16)
        encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        return encoded({2: (iv if self.protocol == 2 else b"") + encryptor.update(self._token) + encryptor.finalize()})

    def _shared(self, agreed: bytes) -> bytes:
        """Return the key for the PIN (CTAP 2.1 sections 6.5.6 and 6.5.7)."""
        if self.protocol == 1:
            return hashlib.sha256(agreed).digest()
        return HKDF(hashes.SHA256(), 32, salt=bytes(32), info=b"CTAP2 AES key").derive(agreed)

    def _verified(self, proof: bytes | None, digest: bytes, options: dict[str, bool]) -> int:
        """Return the flag of a user who was verified, by the PIN or by his finger."""
        if proof is None:
            return _UV if self.verifies and options.get("uv") else 0
        if proof != hmac.new(self._token, digest, "sha256").digest()[: 16 if self.protocol == 1 else 32]:
            raise Refused(_PIN_AUTH_INVALID)
        return _UV

    def _make_credential(self, channel: bytes, given: dict[Any, Any]) -> bytes:
        if given.get(8) == b"":  # somebody has to choose among several devices
            self._touched(channel)
            raise Refused(_PIN_NOT_SET if self.pin is None else _PIN_INVALID)
        flags = self._verified(given.get(8), given[1], given.get(7, {}))
        if self.pin is not None and not flags:
            raise Refused(_PIN_REQUIRED)
        self._touched(channel)
        protect = given.get(6, {}).get("credProtect", 1)
        rp = hashlib.sha256(given[2]["id"].encode()).digest()
        algorithm = given[4][0]["alg"]
        key = ed25519.Ed25519PrivateKey.generate() if algorithm == _EDDSA else ec.generate_private_key(ec.SECP256R1())
        made, name = Credential(key, rp, protect == 3), os.urandom(48)
        self._credentials[name] = made
        extensions = encoded({"credProtect": protect}) if 6 in given else b""
        flags |= _UP | _ATTESTED | (_EXTENSIONS if extensions else 0)
        about = _AAGUID + struct.pack(">H", len(name)) + name + encoded(made.cose()) + extensions
        data = self._authdata(rp, flags) + about
        return encoded({1: "packed", 2: data, 3: {"alg": algorithm, "sig": made.sign(data + given[1])}})

    def _get_assertion(self, channel: bytes, given: dict[Any, Any]) -> bytes:
        options = given.get(5, {})
        flags = self._verified(given.get(6), given[2], options)
        rp = hashlib.sha256(given[1].encode()).digest()
        known = [one["id"] for one in given.get(3, []) if one["id"] in self._credentials]
        known = [name for name in known if flags & _UV or not self._credentials[name].verify]
        if options.get("up", True):
            self._touched(channel)
            flags |= _UP
        if not known or self._credentials[known[0]].rp != rp:
            raise Refused(_NO_CREDENTIALS)
        data = self._authdata(rp, flags)
        signature = self._credentials[known[0]].sign(data + given[2])
        return encoded({1: {"id": known[0], "type": "public-key"}, 2: data, 3: signature})

    def _authdata(self, rp: bytes, flags: int) -> bytes:
        self._counter += 1
        return rp + bytes([flags]) + struct.pack(">I", self._counter)

    # U2F

    def _apdu(self, apdu: bytes) -> bytes:
        instruction, control, data = apdu[1], apdu[2], apdu[7 : 7 + int.from_bytes(apdu[5:7], "big")]
        if instruction == 3:
            return b"U2F_V2" + _NO_ERROR
        if instruction != 2:
            return _NO_INSTRUCTION
        digest, rp, name = data[:32], data[32:64], data[65 : 65 + data[64]]
        found = self._credentials.get(name)
        if found is None or found.rp != rp:
            return _WRONG_DATA
        if control == 7 or not self.finger.is_set():
            self.asked += control != 7
            if control != 7:
                self.waiting.set()
            return _NOT_SATISFIED
        self.waiting.clear()
        data = self._authdata(rp, _UP)
        return data[32:] + found.sign(data + digest) + _NO_ERROR

    def enrol(self, rp: str) -> tuple[bytes, ec.EllipticCurvePublicKey]:
        """Make a key without being asked over the line; return its handle and its public half."""
        key, name = ec.generate_private_key(ec.SECP256R1()), os.urandom(64)
        self._credentials[name] = Credential(key, hashlib.sha256(rp.encode()).digest(), verify=False)
        return name, key.public_key()


@contextmanager
def plugged_in(path: Path, **about: Any) -> Iterator[Authenticator]:
    """Have a device for a while."""
    device = Authenticator(path, **about)
    try:
        yield device
    finally:
        device.close()
        path.unlink()


def _point(key: ec.EllipticCurvePrivateKey) -> dict[int, Any]:
    numbers = key.public_key().public_numbers()
    return {1: 2, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}


# CBOR (RFC 8949), as much as CTAP has


def encoded(value: Any) -> bytes:
    """Return *value* in CBOR."""
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value)) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(encoded, value))
    pairs = sorted((encoded(name), encoded(one)) for name, one in value.items())
    return _head(5, len(value)) + b"".join(name + one for name, one in pairs)


def _head(kind: int, number: int) -> bytes:
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 24:
            return bytes([kind << 5 | number])
        if number < 1 << (8 * size):
            return bytes([kind << 5 | code]) + number.to_bytes(size, "big")
    raise ValueError(number)


def decoded(data: bytes) -> Any:
    """Return the value that *data* has."""
    return _decoded(memoryview(data))[0]


def _decoded(data: memoryview) -> tuple[Any, memoryview]:
    kind, number, rest = data[0] >> 5, data[0] & 31, data[1:]
    if kind == 7:
        return number == 21, rest
    if number >= 24:
        size = 1 << (number - 24)
        number, rest = int.from_bytes(rest[:size], "big"), rest[size:]
    if kind < 2:
        return number if kind == 0 else -1 - number, rest
    if kind < 4:
        text = bytes(rest[:number])
        return text if kind == 2 else text.decode(), rest[number:]
    values = []
    for _ in range(number if kind == 4 else 2 * number):
        value, rest = _decoded(rest)
        values.append(value)
    return (values if kind == 4 else dict(zip(values[::2], values[1::2]))), rest
