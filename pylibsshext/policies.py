# SPDX-License-Identifier: LGPL-2.1-or-later
"""What to do with a host key that is not on record. A changed or revoked key never gets here: it is refused."""

# ruff: noqa: ARG002 - the arguments are what programs for 1.4.0 define their own policies with

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import HostKeyError

if TYPE_CHECKING:
    from .session import Session


# Names of 1.4.0, by libssh's numbers. A policy is asked about unknown keys only, and a key that can't be added raises what hindered it.
KNOW_HOST_MSG_MAP: dict[int, str] = {
    0: "Host is unknown: ",
    2: "Host key for server has changed: ",
    3: "Host key type for server has changed: ",
}
HOST_KEY_AUTO_ADD_MSG_MAP: dict[int, str] = {
    -1: "it went wrong",
    1: "the server does not accept that key",
    2: "the server wants another method of authentication as well",
    4: "it would block: try again",
}


class MissingHostKeyPolicy:
    """What to do with a host key that no known_hosts file has. This one accepts it, for this connection only."""

    def missing_host_key(
        self, session: Session, hostname: str, username: str | None, key_type: str, fingerprint: str, message: str
    ) -> Any:
        """Return to accept the key, raise to refuse it; *fingerprint* is as ``ssh-keygen -l`` prints it."""


class AutoAddPolicy(MissingHostKeyPolicy):
    """Accept an unknown host key and add it to the user's known_hosts. A changed one is refused all the same."""

    def missing_host_key(
        self, session: Session, hostname: str, username: str | None, key_type: str, fingerprint: str, message: str
    ) -> Any:
        """Add the key."""
        return session.hostkey_auto_add(username)


class RejectPolicy(MissingHostKeyPolicy):
    """Refuse an unknown host key. The default."""

    def missing_host_key(
        self, session: Session, hostname: str, username: str | None, key_type: str, fingerprint: str, message: str
    ) -> Any:
        """Raise `HostKeyError`."""
        raise HostKeyError(message, hostname, session.port, key_type, fingerprint)
