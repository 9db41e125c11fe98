# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keyboard-interactive logins: any number of questions in any number of rounds (RFC 4256), and who answers them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _core
from .errors import LibsshSessionException

Prompts = Sequence[tuple[str, bool]]
Callback = Callable[[str, str, Prompts], list[str]]
"""``callback(name, instruction, [(prompt, echo), ...])`` returns one answer a prompt."""

_ROUNDS = 100  # of one exchange: a server that asks for ever is given up
# Compiled when they are used: most logins have no questions.
_NEW_PASSWORD = r"(?i)\b(new|retype|re-enter|repeat)\b.*\bpass(word|phrase|code)\b"  # noqa: S105
_ONE_TIME = r"(?i)\b(code|otp|token|one-time|verification|challenge|response|factor)\b"
_TOTP_STEP = 30  # seconds, RFC 6238's default, as are SHA-1 and RFC 4226's six digits
_TOTP_DIGITS = 6
_BASE32 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567abcdefghijklmnopqrstuvwxyz"  # the place of each, modulo 32, is its value


def login(core: _core.Session, answer: Callback, deadline: Callable[[], float | None]) -> int:
    """Go through an exchange, however many rounds and prompts it has; return libssh's code.

    The deadline is asked for each time: whoever is asked may take the time that it takes.
    """
    for _ in range(_ROUNDS):
        code = core.auth_kbdint(deadline())
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


class Answers:
    """Answers prompts: by a table, by the password where a password is asked for, and by the callback for the rest.

    The table has regular expressions, searched for in the prompt; the first that is found counts.  Its answers are texts, or
    ``{"totp": SECRET}`` for the one-time code of the moment.  The password goes to what ends with *expected_prompt*
    ("password:" by default), or, where none is expected, to the only hidden question; but never to one for a new password or a
    one-time code.  What comes again has got a wrong answer: it is for the callback.
    """

    def __init__(
        self,
        password: str | bytes | bytearray | None,
        expected_prompt: str | None = None,
        table: Mapping[str, Any] | None = None,
        callback: Callback | None = None,
    ) -> None:
        self._password = password
        self._expected = expected_prompt
        self._callback = callback
        self._asked: set[str] = set()
        try:
            self._table = [(re.compile(pattern), answer) for pattern, answer in (table or {}).items()]
        except re.error as exc:
            raise LibsshSessionException(f"kbdint_answers: {exc.pattern!r} is not a regular expression: {exc}") from exc
        for pattern, answer in self._table:
            if answer is not None and not isinstance(answer, (str, bytes, bytearray, Mapping)):
                what = f"{pattern.pattern!r} is no text, but {type(answer).__name__}"  # YAML's 0123 is 83, and its yes is true
                raise LibsshSessionException(f"kbdint_answers: the answer to {what}: put it in quotes")

    @property
    def knows_any(self) -> bool:
        """Whether there are answers for which nobody need be asked."""
        return bool(self._password or self._table)

    @property
    def had_code(self) -> bool:
        """Whether a question for a one-time code has been answered."""
        return any(re.search(_ONE_TIME, prompt) and not re.search(_NEW_PASSWORD, prompt) for prompt in self._asked)

    def __call__(self, name: str, instruction: str, prompts: Prompts) -> list[Any]:
        """Answer one round."""
        found = [self._known(prompt) for prompt, _ in prompts]
        if found == [None] and self._is_for_the_password(*prompts[0]):
            found = [self._password]
        again = [prompt for prompt, _ in prompts if prompt in self._asked]
        self._asked.update(prompt for prompt, _ in prompts)
        open_ones = [prompt for prompt, answer in zip(prompts, found) if answer is None]
        if not open_ones:
            return found
        texts = [prompt for prompt, _ in open_ones]
        if self._callback is None:
            raise LibsshSessionException(_unanswered(texts, again, instruction))
        try:
            replies = self._callback(name, instruction, open_ones)
        except LibsshSessionException as exc:  # nobody is there to answer, which is not all that there is to say
            if again or _wants_new_password(texts):
                raise type(exc)(_unanswered(texts, again, instruction)) from exc
            raise
        if not isinstance(replies, (list, tuple)):
            raise TypeError(f"kbdint_callback must return a list of answers, not {type(replies).__name__}")
        if len(replies) != len(open_ones):
            raise LibsshSessionException(f"{len(open_ones)} prompts got {len(replies)} answers")
        rest = iter(replies)
        return [next(rest) if answer is None else answer for answer in found]

    def _known(self, prompt: str) -> Any:
        """Return the answer for which nobody need be asked; None if there is none, or it was given before and so is wrong."""
        if prompt in self._asked:
            return None
        for pattern, answer in self._table:
            if pattern.search(prompt):
                return totp(answer["totp"]) if isinstance(answer, Mapping) else answer
        suffix = (self._expected or "password:").strip().lower()
        if self._password and prompt.strip().lower().endswith(suffix) and not re.search(_NEW_PASSWORD, prompt):
            return self._password
        return None

    def _is_for_the_password(self, prompt: str, echo: bool) -> bool:
        """Return whether the only question of a round is for the password, however it is worded."""
        other = echo or self._expected is not None or prompt in self._asked
        return bool(self._password) and not other and not re.search(_NEW_PASSWORD, prompt) and not re.search(_ONE_TIME, prompt)


def _wants_new_password(prompts: Sequence[str]) -> bool:
    return any(re.search(_NEW_PASSWORD, prompt) for prompt in prompts)


def _unanswered(prompts: list[str], again: list[str], instruction: str) -> str:
    """Return what is wrong when nobody answers *prompts*, of which some come *again*."""
    texts = [prompt.strip() for prompt in prompts]
    if _wants_new_password(prompts):
        why = f" ({' '.join(instruction.split())})" if instruction.strip() else ""
        return f"the server wants the password to be changed: it asks {texts}{why}"
    if again:
        return f"the answer was wrong: the server asks {texts} again"
    return f"None of the prompts looked like password prompts: {texts}"


def totp(secret: str | bytes | bytearray, moment: float | None = None) -> str:
    """Return the one-time code (RFC 6238) of a base32 *secret* at *moment*, seconds since 1970, now by default."""
    import hmac  # whose libraries take a while to load

    key = _base32(secret)
    counter = int(time.time() if moment is None else moment) // _TOTP_STEP
    digest = hmac.digest(key, counter.to_bytes(8, "big"), "sha1")
    key[:] = bytes(len(key))
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**_TOTP_DIGITS).zfill(_TOTP_DIGITS)


def _base32(text: str | bytes | bytearray) -> bytearray:
    """Decode (RFC 4648 section 6) what people copy, with spaces and in any case; but for the result nothing of it stays in memory."""
    found, bits, value = bytearray(), 0, 0
    for letter in str(text).encode() if isinstance(text, str) else text:
        if letter in b" =":
            continue
        digit = _BASE32.find(letter)
        if digit < 0:
            raise LibsshSessionException("the secret for one-time codes is not base32")
        value, bits = (value << 5 | digit % 32) & 0xFFF, bits + 5
        if bits >= 8:
            bits -= 8
            found.append(value >> bits & 0xFF)
    return found
