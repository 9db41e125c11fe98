# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can go wrong, as exceptions.

The names of ansible-pylibssh 1.4.0 are the trunk.  The newer leaves also derive from the builtin exception that a Python
programmer would catch: ``ConnectionError``, ``TimeoutError``, ``PermissionError``, ``ValueError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class LibsshException(Exception):
    """Base class of everything that this package raises on its own account."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message: str = message

    def __str__(self) -> str:
        """Return the message alone, also where a builtin base would add an errno."""
        return self.message


class LibsshSessionException(LibsshException):
    """The connection, its key exchange or its options failed."""


class LibsshConnectionError(LibsshSessionException, ConnectionError):
    """The peer refused the connection, closed it, or is gone."""


class LibsshSessionTimeout(LibsshSessionException, TimeoutError):
    """Connecting or logging in took longer than the caller allows."""


class AuthenticationError(LibsshSessionException, PermissionError):
    """No login method got through.

    ``attempts`` lists them in order, one line each; ``methods_left`` names what the server still wants
    (RFC 4252 section 5.1, "authentications that can continue"); ``keywords`` names those of ``connect`` that would give it more to try.
    """

    def __init__(
        self,
        message: str = "",
        attempts: Sequence[str] = (),
        methods_left: Sequence[str] = (),
        keywords: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.attempts: list[str] = list(attempts)
        self.methods_left: list[str] = list(methods_left)
        self.keywords: list[str] = list(keywords)

    def __str__(self) -> str:
        """Return the message and what can be changed."""
        return f"{self.message} Keywords to change: {', '.join(self.keywords)}." if self.keywords else self.message


class KeyImportError(LibsshSessionException, ValueError):
    """A private key cannot be read: not there, not a key, or a wrong or missing passphrase (`PassphraseError`)."""


class PassphraseError(KeyImportError):
    """A private key has a passphrase, which is missing or wrong."""


class ShortKeyError(LibsshSessionException):
    """An RSA key has fewer bits than ``rsa_min_size`` allows."""


class HostKeyError(LibsshSessionException):
    """The host key of the server is not one to trust.

    ``fingerprint`` is written as ``ssh-keygen -l`` prints it (``SHA256:...``).
    """

    def __init__(
        self,
        message: str = "",
        host: str | None = None,
        port: int | None = None,
        key_type: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.host: str | None = host
        self.port: int | None = port
        self.key_type: str | None = key_type
        self.fingerprint: str | None = fingerprint


class HostKeyChangedError(HostKeyError):
    """The server shows another key than the one on record, or a revoked one.

    ``file``, ``line`` and ``known_fingerprint`` say what is on record.
    """

    file: str | None = None
    line: int | None = None
    known_fingerprint: str | None = None


class LibsshChannelException(LibsshException):
    """A channel could not be opened or used, or was closed."""


class LibsshChannelConnectionError(LibsshChannelException, ConnectionError):
    """The connection under a channel is gone."""


class LibsshChannelReadFailure(LibsshChannelConnectionError):
    """Reading from a channel failed because the connection did."""


class LibsshChannelTimeout(LibsshChannelException, TimeoutError):
    """A channel operation took longer than the caller allows.

    ``stdout`` and ``stderr`` hold what a command printed until then.
    """

    def __init__(self, message: str = "", stdout: bytes = b"", stderr: bytes = b"") -> None:
        super().__init__(message)
        self.stdout: bytes = stdout
        self.stderr: bytes = stderr


class LibsshSCPException(LibsshException):
    """An SCP transfer failed."""


class LibsshSFTPException(LibsshException):
    """An SFTP request failed."""
