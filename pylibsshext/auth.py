# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logging in: method by method until the server is content, and what to say when it never is (RFC 4252)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack

from . import _core
from ._named_tuple import NamedTuple
from .agent import AgentError
from .candidates import Candidate, Candidates, Credentials
from .errors import AuthenticationError, LibsshConnectionError, LibsshSessionException, PassphraseError, ShortKeyError

__all__ = ["Credentials", "Login", "login"]

_PARTIAL = "accepted, but more is wanted"
# What libssh makes of SSH_MSG_USERAUTH_PASSWD_CHANGEREQ (RFC 4252 section 8), which it cannot answer.
_CHANGE_REQUEST = "rejected packet (type 60)"
_DISCONNECT = "SSH_MSG_DISCONNECT"  # the server ends the login, and says so (RFC 4253 section 11.1)

# What failed before the server was asked: the keyword to change.
_CURES: dict[type[Exception], str] = {PassphraseError: "private_key_password", ShortKeyError: "rsa_min_size"}


class Login(NamedTuple):
    """A login that got through: the method that completed it, and each attempt with the server's answer, in order."""

    method: str
    attempts: Sequence[str] = ()


def login(
    core: _core.Session,
    credentials: Credentials,
    where: str,
    deadline: float | None,
    only: Collection[str] = _core.METHODS,
) -> Login:
    """Log in to *where* (text for errors), by one of the methods *only*.

    Where there is a key at hand, and no password, the key is offered at once; that saves a round trip, and the 5 ms and more that
    OpenSSH's server takes for each request.  Else the server is asked for no authentication first, and tells its methods (RFC 4252
    section 5.2): a key that it can't want would cost one of its MaxAuthTries.  After each partial success its list is read again
    (section 5.1).  Nothing is tried twice.
    """
    with ExitStack() as stack:
        candidates = Candidates(core, credentials, deadline, stack)
        left = [one for one in candidates.all() if one.method in only]
        attempts = _Attempts(core, credentials, where, candidates.obstacles)
        asked_for_none = False
        while True:
            allowed = method_names(core.auth_methods())
            if not (allowed or asked_for_none or credentials.password) and left and left[0].at_hand:
                candidate: Candidate | None = left[0]
            else:
                candidate = next((one for one in left if one.method in allowed), None)
            if candidate is not None:
                left.remove(candidate)
                if attempts.make(candidate, allowed) == _core.AUTH_SUCCESS:
                    return Login(candidate.method, attempts.lines)
            elif asked_for_none:
                raise attempts.failure(allowed)
            else:
                asked_for_none = True
                if attempts.ask_for_none(deadline, allowed) == _core.AUTH_SUCCESS:
                    return Login("none", attempts.lines)


def method_names(bits: int) -> list[str]:
    """Return the names of the methods in libssh's bit mask."""
    return [name for name, bit in _core.METHODS.items() if bits & bit]


class _Attempts:
    """The attempts of one login, in order, and how each of them ended."""

    def __init__(self, core: _core.Session, credentials: Credentials, where: str, obstacles: Sequence[str]) -> None:
        self._core = core
        self._credentials = credentials
        self._where = where
        self.lines = list(obstacles)
        self._cures: list[str] = []

    def make(self, candidate: Candidate, allowed: Sequence[str]) -> int:
        """Try *candidate*, and return libssh's code; raise if there is no connection after that."""
        try:
            code = candidate.attempt()
        except LibsshConnectionError as exc:
            if _CHANGE_REQUEST in str(exc) and candidate.method == "password":
                self.lines.append(f"{candidate}: the server wants the password to be changed first")
                raise self.failure(allowed) from exc
            if not (self.lines or _DISCONNECT in str(exc)):
                raise
            self.lines.append(f"{candidate}: {exc}")
            self._cures.append("identities_only")  # what most often uses up MaxAuthTries is an agent with many keys
            raise self.failure(allowed) from exc
        except (LibsshSessionException, AgentError) as exc:
            if isinstance(exc, TimeoutError):
                raise
            self.lines.append(f"{candidate}: {exc}")
            self._cures.append(next((cure for kind, cure in _CURES.items() if isinstance(exc, kind)), candidate.cure))
            return _core.AUTH_DENIED
        if code == _core.AUTH_SUCCESS:
            self.lines.append(f"{candidate}: accepted")
        else:
            left = ", ".join(method_names(self._core.auth_methods()))
            answer = _PARTIAL if code == _core.AUTH_PARTIAL else "denied"
            answers = self._credentials.answers
            if answer == "denied" and candidate.method == "keyboard-interactive" and answers is not None and answers.had_code:
                answer = "denied with a one-time code"
            self.lines.append(f"{candidate}: {answer} (methods left: {left or 'none'})")
        return code

    def ask_for_none(self, deadline: float | None, allowed: Sequence[str]) -> int:
        """Ask for no authentication, and return libssh's code: some servers grant it, and all tell their methods."""
        try:
            return self._core.auth_none(deadline)
        except LibsshConnectionError as exc:
            if not self.lines:
                raise
            raise self.failure(allowed) from exc  # MaxAuthTries counts this, too

    def failure(self, wanted: Sequence[str]) -> AuthenticationError:
        """Return the exception that tells all, when the server still *wanted* one of these methods."""
        tried = f"Tried {'; '.join(self.lines)}." if self.lines else "Failed to find any acceptable way to authenticate."
        accepts = f" The server accepts: {', '.join(wanted)}." if wanted else ""
        cures = [*self._cures, *self._credentials.cures(wanted)]
        text = f"Failed to authenticate to {self._where}. {tried}{accepts}"
        return AuthenticationError(text, self.lines, wanted, list(dict.fromkeys(filter(None, cures))))
