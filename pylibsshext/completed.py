# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a remote command ended, in the words of `subprocess`."""

from __future__ import annotations

import signal
from subprocess import CalledProcessError, CompletedProcess

from .errors import LibsshChannelException


class Completed(CompletedProcess[bytes]):
    """What a remote command left: ``args``, ``returncode``, ``stdout``, ``stderr`` and ``signal``.

    ``returncode`` is -1 where the server sent none; ``signal`` names, without SIG, the signal that ended it, else None.
    """

    args: str
    returncode: int
    stdout: bytes
    stderr: bytes

    def __init__(self, args: str, returncode: int, stdout: bytes, stderr: bytes, signal: str | None = None) -> None:
        super().__init__(args, returncode, stdout, stderr)
        self.signal: str | None = signal

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, signal={self.signal!r})"

    def check_returncode(self) -> None:
        """Raise `subprocess.CalledProcessError` if the command failed, with minus the number of the signal that ended it.

        Where the server told neither status nor signal, raise `LibsshChannelException`.
        """
        number = getattr(signal, f"SIG{self.signal}", None)
        if number:
            raise CalledProcessError(-number, self.args, self.stdout, self.stderr)
        if self.returncode == -1:
            raise LibsshChannelException("the server ended the command without an exit status")
        super().check_returncode()
