# SPDX-License-Identifier: GPL-3.0-or-later
"""The talk with sudo, su and their kin: bytes in, bytes out, no I/O. Private to this collection."""

from __future__ import annotations

from typing import Protocol


class EscalationError(Exception):
    """The user was refused: a wrong password, or none where one is wanted."""


class Become(Protocol):
    """What is used of an Ansible become plugin."""

    name: str
    success: str
    prompt: str | bool

    def check_password_prompt(self, b_output: bytes) -> bool: ...

    def check_success(self, b_output: bytes) -> bool: ...

    def check_incorrect_password(self, b_output: bytes) -> bool: ...

    def check_missing_password(self, b_output: bytes) -> bool: ...


class Escalation:
    """Follow a process from its start to the moment when the command proper runs.

    Feed it what the process prints until ``done``; write what ``feed`` returns to the process. Then ``stdout`` and
    ``stderr`` hold what already belongs to the command. If the process ends before that, ``finish`` puts all that it
    printed there, for that is where it says why.
    """

    def __init__(self, become: Become, password: str | None) -> None:
        self._become = become
        self._password = password
        self._answered = b""
        self._streams = _Stream(), _Stream()
        self.done = not become.success

    @property
    def stdout(self) -> bytes:
        """What the command has printed on its standard output so far."""
        return bytes(self._streams[0].output)

    @property
    def stderr(self) -> bytes:
        """What has been printed on standard error so far, without the prompt."""
        return bytes(self._streams[1].output)

    @property
    def printed(self) -> str:
        """All that is held back, for the text of an error."""
        return self._shown(b"".join(bytes(stream.output + stream.held) for stream in self._streams))

    def feed(self, stdout: bytes = b"", stderr: bytes = b"") -> bytes:
        """Take what the process printed; return what to write to it."""
        answer = b""
        for stream, printed in zip(self._streams, (stdout, stderr)):
            stream.held += printed
            answer += self._read(stream)
        if self.done:
            self.finish()
        return answer

    def finish(self) -> None:
        """No more will come, or no more is looked at: release what is held back."""
        for stream in self._streams:
            stream.release()

    def _read(self, stream: _Stream) -> bytes:
        """Go through the lines, and the unfinished one at the end: a prompt has no line end."""
        answer = b""
        while not self.done and (line := stream.line()):
            if self._is_success(line):
                # What stands before it on the same stream is a lecture or a greeting, not the command's.
                stream.output.clear()
                stream.drop(len(line))
                self.done = True
            elif self._become.check_password_prompt(line.lstrip(b"\r")):  # doas returns the carriage first
                end = self._end_of_prompt(line)
                answer += self._answer(line[:end].strip())
                stream.drop(end)
                stream.asked()
            else:
                self._refused(stream, line)
                if not line.endswith(b"\n"):
                    break
                stream.keep(len(line))
        return answer

    def _is_success(self, line: bytes) -> bool:
        # sudo's refusal quotes the whole command, and with it the marker: only a marker at the end of a line counts.
        marker = self._become.success.encode()
        return line.endswith(b"\n") and line.rstrip().endswith(marker) and self._become.check_success(line)

    def _end_of_prompt(self, line: bytes) -> int:
        prompt = self._become.prompt
        if not isinstance(prompt, str) or (start := line.find(prompt.strip().encode())) < 0:
            return len(line)
        return start + len(prompt.strip().encode())

    def _answer(self, prompt: bytes) -> bytes:
        if not self._password:
            raise EscalationError(f"Missing {self._become.name} password")
        if self._answered == prompt:
            raise EscalationError(f"Incorrect {self._become.name} password")
        if self._answered:
            # It took the password, and wants another: this one has expired, say.
            raise EscalationError(f"{self._become.name} wants more than the password: {self.printed}")
        self._answered = prompt
        return self._password.encode(errors="surrogateescape") + b"\n"

    def _refused(self, stream: _Stream, line: bytes) -> None:
        # An account that is over, say, is told of before the refusal, which is the same.
        said = self._shown(stream.since_prompt)
        reason = f": {said}" if said else ""
        if self._become.check_incorrect_password(line):
            raise EscalationError(f"Incorrect {self._become.name} password{reason}")
        if self._become.check_missing_password(line):
            if self._answered:
                raise EscalationError(f"{self._become.name} does not accept the password{reason}")
            raise EscalationError(f"Missing {self._become.name} password")

    def _shown(self, printed: bytes) -> str:
        """Return it as text, without the password: a program may have echoed it."""
        text = printed.decode(errors="replace")
        return (text.replace(self._password, "********") if self._password else text).strip()


class _Stream:
    """One stream of the process: what is not understood yet, and what will be handed on."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.output = bytearray()
        self.after_prompt = False
        self._prompted_at: int | None = None

    def asked(self) -> None:
        """What was read last was a prompt."""
        self.after_prompt = True
        self._prompted_at = len(self.output)

    @property
    def since_prompt(self) -> bytes:
        """What has been printed in whole lines since the last prompt, nothing if there was none."""
        return b"" if self._prompted_at is None else bytes(self.output[self._prompted_at :])

    def line(self) -> bytes:
        """Return the first line held, finished or not."""
        if self.after_prompt:
            # The blank behind a prompt is the prompt's.
            self.held = self.held.lstrip(b" ")
            self.after_prompt = not self.held
        return bytes(self.held[: self.held.find(b"\n") + 1 or None])

    def drop(self, length: int) -> None:
        del self.held[:length]

    def keep(self, length: int) -> None:
        self.output += self.held[:length]
        self.drop(length)

    def release(self) -> None:
        self.line()
        self.keep(len(self.held))
