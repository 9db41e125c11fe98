# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where a session is made. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import _connection_options as connection_options, _holder

if TYPE_CHECKING:
    from types import ModuleType

    Answer = Callable[[str, bool], "str | None"]
    """Puts a question, whose answer may be a secret, to the user; None if there is nobody."""

QUESTION = """\
The authenticity of host '{host}' can't be established.
{key_type} key fingerprint is {fingerprint}.
Are you sure you want to continue connecting (yes/no/[fingerprint])? """
AGAIN = "Please type 'yes', 'no' or the fingerprint: "


def open_session(
    library: ModuleType,
    options: Mapping[str, Any],
    ask: Callable[[str], str],
    answer: Answer,
    notify: Callable[[str], None],
    persist: int = 0,
    report: Callable[[str], None] = print,
) -> Any:
    """Return a session, connected and logged in as *options* say: the connection holder's, if *persist* seconds are wanted.

    *ask* puts a question to the user, "" if there is none: whether to trust a host that is not known yet.  *answer* is for what is asked in the course of
    the login, *notify* for what the user has to do meanwhile.
    """
    policy = AskPolicy(library, ask)
    keywords = _keywords(library, options, answer, notify)
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
    keywords = _keywords(library, options, lambda _question, _secret: None, report)
    _holder.end_session(library, AskPolicy(library, lambda _question: ""), keywords, report)


def _keywords(library: ModuleType, options: Mapping[str, Any], answer: Answer, notify: Callable[[str], None]) -> dict[str, Any]:
    """Return what to connect with; the callbacks are part of it, though all of them count as equal."""

    def kbdint_callback(name: str, instruction: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
        before = "".join(f"{text.strip()}\n" for text in (name, instruction) if text.strip())
        answers = []
        for prompt, echo in prompts:
            reply = answer(_harmless(before + prompt), not echo)
            if reply is None:
                raise library.errors.LibsshSessionException(f"nobody is here to answer {prompt.strip()!r}")
            answers.append(reply)
            before = ""
        return answers

    callbacks = {"kbdint_callback": kbdint_callback, "prompt_callback": answer, "notify_callback": notify}
    return {**connection_options.connect_keywords(options), **callbacks}


def _harmless(text: str) -> str:
    """Return a server's text without what terminals take for orders."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


class AskPolicy:
    """What to do about a host whose key is in no known_hosts file: add the key that the user accepts. A changed key never comes here.

    As OpenSSH's client takes it, "yes" and the right fingerprint accept it, "no" and an empty answer do not, and other answers are asked again.
    """

    def __init__(self, library: ModuleType, ask: Callable[[str], str]) -> None:
        self._library = library
        self._ask = ask

    def missing_host_key(
        self, session: Any, hostname: str, username: str, key_type: str, fingerprint: str, message: str
    ) -> None:
        """Add the key, or raise."""
        host = connection_options.destination({"remote_addr": hostname, "port": session.port})
        answer = self._ask(QUESTION.format(host=host, key_type=key_type, fingerprint=fingerprint))
        while answer.lower() != "yes" and answer != fingerprint:
            if answer.lower() in ("", "no"):
                raise self._library.errors.HostKeyError(message, hostname, session.port, key_type, fingerprint)
            answer = self._ask(AGAIN)
        session.hostkey_auto_add(username)
