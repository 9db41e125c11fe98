# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connect as a program at a terminal does: what is missing is asked for, where there is somebody to ask."""

from __future__ import annotations

import os
from getpass import getpass
from typing import TYPE_CHECKING, Any

from ..errors import AuthenticationError
from ..policies import AutoAddPolicy, MissingHostKeyPolicy, RejectPolicy

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..kbdint import Prompts
    from ..session import Session

#: How often a password may be wrong: OpenSSH's NumberOfPasswordPrompts.
TRIES = 3


class AskPolicy(MissingHostKeyPolicy):
    """Show an unknown host key and let the user decide."""

    def missing_host_key(
        self, session: Session, hostname: str, username: str | None, key_type: str, fingerprint: str, message: str
    ) -> Any:
        """Add the key, or raise."""
        print(f"The authenticity of host {hostname!r} can't be established.")
        print(f"{key_type} key fingerprint is {fingerprint}.")
        answer = _ask("Connect all the same (yes/no/[fingerprint])? ").strip()
        if answer.lower() != "yes" and answer != fingerprint:
            RejectPolicy().missing_host_key(session, hostname, username, key_type, fingerprint, message)
        session.hostkey_auto_add(username)


def connect(session: Session, user: str | None, host: str, arguments: argparse.Namespace) -> None:
    """Connect *session*, with the options of the command line."""
    asks = has_terminal()
    replies = _Replies()
    session.set_missing_host_key_policy(AutoAddPolicy if arguments.accept_new else AskPolicy if asks else RejectPolicy)
    given = {
        "host": host,
        "user": user,
        "port": arguments.port,
        "config_file": arguments.config,
        "knownhosts": arguments.known_hosts,
        "identities": [arguments.identity] if arguments.identity else None,
        "kbdint_callback": _answer if asks else None,
        "prompt_callback": replies if asks else None,
        "timeout": arguments.timeout,
        "server_alive_interval": arguments.timeout,
    }
    for password in _passwords(f"{user}@{host}" if user else host):
        try:
            session.connect(**given, password=password)
        except AuthenticationError as exc:
            if not asks or "password" not in exc.methods_left:
                raise
            failure = exc
            replies.keep(any(": accepted, " in attempt for attempt in exc.attempts))
        else:
            return
    raise failure


def _passwords(where: str) -> Iterator[str | None]:
    """Yield what to log in with: first nothing but keys, then what the user types."""
    yield None
    for _ in range(TRIES):
        yield getpass(f"{where}'s password: ")


def has_terminal() -> bool:
    """Return whether there is anybody to ask."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _ask(prompt: str) -> str:
    with open("/dev/tty", "w", encoding="utf-8", errors="replace") as terminal:
        terminal.write(prompt)
    with open("/dev/tty", encoding="utf-8", errors="replace") as terminal:
        return terminal.readline().rstrip("\n")


def _answer(name: str, instruction: str, prompts: Prompts) -> list[str]:
    for text in (name, instruction):
        if text:
            print(text)
    return [_ask(prompt) if echo else getpass(prompt) for prompt, echo in prompts]


class _Replies:
    """Passphrases and PINs, typed when a key is tried: once, for a token is locked after a few wrong PINs."""

    def __init__(self) -> None:
        self._typed: dict[str, str | None] = {}

    def __call__(self, question: str, secret: bool) -> str | None:
        """Ask, unless that was asked before."""
        if question not in self._typed:
            self._typed[question] = getpass(question) if secret else _ask(question)
        return self._typed[question]

    def keep(self, good: bool) -> None:
        """Give what was typed so far to the next login, too; if it was no *good*, nothing, and do not ask again."""
        if not good:
            self._typed = dict.fromkeys(self._typed)
