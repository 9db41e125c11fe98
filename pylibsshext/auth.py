# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logging in: which methods are tried, in what order, and what to say when none gets through (RFC 4252)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Callable, NamedTuple

from . import _core, hostkeys
from .agent import AgentError, AgentKey, Selector, list_keys
from .errors import AuthenticationError, KeyImportError, LibsshConnectionError, LibsshSessionException
from .keys import is_encrypted, key_fingerprint, load_key, load_key_file, public_blob

__all__ = ["Callback", "Credentials", "Prompts", "is_encrypted", "key_fingerprint", "load_key", "login"]

Prompts = Sequence[tuple[str, bool]]
Callback = Callable[[str, str, Prompts], list[str]]
"""``callback(name, instruction, [(prompt, echo), ...])`` returns one answer a prompt (RFC 4256)."""

_ANSWER_ROUNDS = 100  # of one keyboard-interactive exchange: a server that asks for ever is given up
_RESULTS = {_core.AUTH_PARTIAL: "accepted, but more is wanted"}


class Credentials(NamedTuple):
    """What the caller has to log in with."""

    key: _core.Key | None = None
    password: str | bytes | None = None
    password_prompt: str | None = None
    kbdint_callback: Callback | None = None
    identities: Sequence[str] = ()
    look_for_keys: bool = True
    key_files: Sequence[str] = ()
    agent: str | None = None
    named_only: bool = False
    passphrase: str | bytes | None = None
    methods: Sequence[str] = tuple(_core.METHODS)


class Candidate(NamedTuple):
    """One thing to try: a method of RFC 4252, what it is tried with, and how."""

    method: str
    source: str
    attempt: Callable[[], int]

    def __str__(self) -> str:
        return f"{self.method} ({self.source})" if self.source else self.method


def login(
    core: _core.Session,
    credentials: Credentials,
    where: str,
    deadline: float | None,
    only: Collection[str] = _core.METHODS,
) -> str:
    """Log in to *where* (text for errors), by one of the methods *only*; return the method that completed it.

    After each partial success the server's list of methods is read again (RFC 4252 section 5.1).  Nothing is tried twice.
    """
    if core.auth_none(deadline) == _core.AUTH_SUCCESS:
        return "none"
    with ExitStack() as stack:
        left = Candidates(core, credentials, deadline, stack).all()
        attempts: list[str] = []
        while True:
            allowed = method_names(core.auth_methods())
            candidate = next((one for one in left if one.method in allowed and one.method in only), None)
            if candidate is None:
                raise failure(where, attempts, allowed)
            left.remove(candidate)
            code = _try(candidate, attempts, where, allowed)
            if code == _core.AUTH_SUCCESS:
                return candidate.method


def _try(candidate: Candidate, attempts: list[str], where: str, allowed: Sequence[str]) -> int:
    """Try one candidate and take note of how that went in *attempts*."""
    try:
        code = candidate.attempt()
    except LibsshConnectionError as exc:
        if not attempts:
            raise
        raise failure(where, [*attempts, f"{candidate}: {exc}"], allowed) from exc
    except (LibsshSessionException, AgentError) as exc:
        if isinstance(exc, TimeoutError):
            raise
        attempts.append(f"{candidate}: {exc}")
        return _core.AUTH_DENIED
    if code != _core.AUTH_SUCCESS:
        attempts.append(f"{candidate}: {_RESULTS.get(code, 'denied')}")
    return code


def method_names(bits: int) -> list[str]:
    """Return the names of the methods in libssh's bit mask."""
    return [name for name, bit in _core.METHODS.items() if bits & bit]


def failure(where: str, attempts: Sequence[str], allowed: Sequence[str]) -> AuthenticationError:
    """Return the exception that tells all: what was tried, what the server said, what it would still take."""
    tried = f"Tried {'; '.join(attempts)}." if attempts else "Failed to find any acceptable way to authenticate."
    wanted = f" The server accepts: {', '.join(allowed)}." if allowed else ""
    return AuthenticationError(f"Failed to authenticate to {where}. {tried}{wanted}", attempts, allowed)


class Candidates:
    """Everything there is to try with some credentials, in order."""

    def __init__(self, core: _core.Session, credentials: Credentials, deadline: float | None, stack: ExitStack) -> None:
        self._core = core
        self._credentials = credentials
        self._deadline = deadline
        self._stack = stack
        self._selector: Selector | None = None

    def all(self) -> list[Candidate]:
        """Return them: what was given first, then the password, then what lies about, unless ``methods`` has another order."""
        credentials = self._credentials
        held = self._agent_keys()
        named = [self._identity(path, held) for path in credentials.identities]
        found = [*self._given_key(), *named, *self._password(), *self._other_keys(held)]
        found.append(Candidate("gssapi-with-mic", "", lambda: self._core.auth_gssapi(self._deadline)))
        wanted = list(credentials.methods)
        found = [one for one in found if one.method in wanted]
        if credentials.methods != tuple(_core.METHODS):
            found.sort(key=lambda one: wanted.index(one.method))
        return found

    def _given_key(self) -> Iterator[Candidate]:
        key = self._credentials.key
        if key is not None:
            source = f"private_key {key_fingerprint(key)}"
            yield Candidate("publickey", source, lambda: self._core.auth_publickey(key, self._deadline))

    def _password(self) -> Iterator[Candidate]:
        credentials, core = self._credentials, self._core
        password = credentials.password
        if password:
            yield Candidate("password", "", lambda: core.auth_password(password, self._deadline))
        if password or credentials.kbdint_callback:
            answer = answers(password, credentials.password_prompt, credentials.kbdint_callback)
            yield Candidate("keyboard-interactive", "", lambda: keyboard_interactive(core, answer, self._deadline))

    def _other_keys(self, held: list[AgentKey]) -> Iterator[Candidate]:
        """Yield the keys that the agent holds besides those that were named, then the usual key files."""
        credentials = self._credentials
        offered = [] if credentials.named_only else held
        for key in offered:
            yield self._agent_key(key)
        if credentials.look_for_keys:
            blobs = {key.blob for key in offered}
            for path in dict.fromkeys(credentials.key_files):
                if path not in credentials.identities and os.path.exists(path) and public_blob(path) not in blobs:
                    yield self._identity(path, held)

    def _agent_keys(self) -> list[AgentKey]:
        try:
            return list_keys(self._credentials.agent) if self._credentials.agent else []
        except AgentError:
            return []  # a stale SSH_AUTH_SOCK is no reason not to try the rest

    def _identity(self, path: str, held: list[AgentKey]) -> Candidate:
        """Return a key file to try: through the agent where that holds it, which knows its passphrase."""
        blob = public_blob(path)
        for key in held:
            if key.blob == blob:
                held.remove(key)
                return self._agent_key(key)
        known = f" {hostkeys.fingerprint(blob)}" if blob else ""
        return Candidate("publickey", f"{path}{known}", lambda: self._key_file(path))

    def _key_file(self, path: str) -> int:
        if path.endswith(".pub"):
            raise KeyImportError("the agent does not hold this key")
        return self._core.auth_publickey(load_key_file(path, self._credentials.passphrase), self._deadline)

    def _agent_key(self, key: AgentKey) -> Candidate:
        source = f"the agent's {key.comment} {hostkeys.fingerprint(key.blob)}"
        return Candidate("publickey", source, lambda: self._by_agent(key))

    def _by_agent(self, key: AgentKey) -> int:
        if self._selector is None:
            self._selector = Selector(self._credentials.agent or "")
            self._stack.callback(self._selector.close)
            self._core.set_agent(self._selector.detach())
        self._selector.choose(key)
        return self._core.auth_agent(self._deadline)


def keyboard_interactive(core: _core.Session, answer: Callback, deadline: float | None) -> int:
    """Go through an exchange of RFC 4256, however many rounds and prompts it has; return libssh's code."""
    for _ in range(_ANSWER_ROUNDS):
        code = core.auth_kbdint(deadline)
        if code != _core.AUTH_INFO:
            return code
        name, instruction, prompts = core.kbdint_prompts()
        if prompts:
            replies = answer(name, instruction, prompts)
            if len(replies) != len(prompts):
                raise LibsshSessionException(f"{len(prompts)} prompts got {len(replies)} answers")
            for index, reply in enumerate(replies):
                core.kbdint_answer(index, reply)
    raise LibsshSessionException("the server does not stop asking")


def answers(password: Any, expected_prompt: str | None, callback: Callback | None) -> Callback:
    """Return what answers prompts: *callback* if there is one, else *password* to what asks for one.

    That is a prompt that ends with *expected_prompt* ("password:" by default), or the only hidden one where none was expected.
    """

    def by_password(_name: str, _instruction: str, prompts: Prompts) -> list[str]:
        suffix = (expected_prompt or "password:").strip().lower()
        matching = [text.strip().lower().endswith(suffix) for text, _ in prompts]
        if not any(matching) and expected_prompt is None and len(prompts) == 1 and not prompts[0][1]:
            matching = [True]
        if not all(matching):
            unknown = [text.strip() for (text, _), known in zip(prompts, matching) if not known]
            raise LibsshSessionException(f"None of the prompts looked like password prompts: {unknown}")
        return [password] * len(prompts)

    return callback or by_password
