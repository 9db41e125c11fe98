# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where a session is made. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from . import _connection_options as connection_options, _holder

if TYPE_CHECKING:
    from types import ModuleType

QUESTION = """\
The authenticity of host '{host}' can't be established.
{key_type} key fingerprint is {fingerprint}.
Are you sure you want to continue connecting (yes/no)? """


def open_session(
    library: ModuleType,
    options: Mapping[str, Any],
    ask: Callable[[str], bool],
    persist: int = 0,
    report: Callable[[str], None] = print,
) -> Any:
    """Return a session, connected and logged in as *options* say: the connection holder's, if *persist* seconds are wanted.

    *ask* puts a question to the user: whether to trust a host that is not known yet.
    """
    policy = _policy(library, ask)
    keywords = connection_options.connect_keywords(options)
    if persist > 0:
        session = _holder.open_session(library, policy, keywords, persist, report)
        if session:
            return session
    session = library.session.Session()
    session.set_missing_host_key_policy(policy)
    session.connect(**keywords)
    return session


def end_session(library: ModuleType, options: Mapping[str, Any], report: Callable[[str], None]) -> None:
    """End the connection holder's session that was made with *options*, if there is one."""
    keywords = connection_options.connect_keywords(options)
    _holder.end_session(library, _policy(library, lambda _question: False), keywords, report)


def _policy(library: ModuleType, ask: Callable[[str], bool]) -> Any:
    """What to do about a host whose key is in no known_hosts file. A changed key never comes this far."""
    base: Any = library.policies.AutoAddPolicy

    class AskPolicy(base):
        """Add the key that the user accepts."""

        def missing_host_key(
            self, session: Any, hostname: str, username: str, key_type: str, fingerprint: str, message: str
        ) -> None:
            host = connection_options.destination({"remote_addr": hostname, "port": session.port})
            if not ask(QUESTION.format(host=host, key_type=key_type, fingerprint=fingerprint)):
                raise library.errors.HostKeyError(message, hostname, session.port, key_type, fingerprint)
            super().missing_host_key(session, hostname, username, key_type, fingerprint, message)

    return AskPolicy()
