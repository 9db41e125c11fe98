# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the holder's socket is: a directory that nobody else can look into, and a name for each version and environment.

Whoever can put a socket there gets passwords; so the directory is opened once, checked by its descriptor, and everything else
is done through that descriptor.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from functools import cache

from .protocol import VERSION, MuxUnavailable

OVERRIDE = "PYLIBSSHEXT_MUX_DIR"
"""The environment variable that names another directory."""

_NAME = "pylibsshext"
_SUN_PATH = 100  # what all systems allow for the path of a socket

# What differs from one terminal, task or run of ansible-runner to the next, and makes no difference to a connection.  All else does:
# a ProxyCommand, the agent, Kerberos and libssh itself read the environment.
_NOISE = {
    "_", "AWX_ISOLATED_DATA_DIR", "COLORTERM", "COLUMNS", "DBUS_SESSION_BUS_ADDRESS", "GPG_TTY", "INVOCATION_ID", "JOURNAL_STREAM",
    "LINES", "LS_COLORS", "OLDPWD", "PS1", "PS2", "PWD", "PYTEST_CURRENT_TEST", "SHLVL", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY",
    "STY", "TERM", "WINDOWID",
}  # fmt: skip
_NOISY = ("ANSIBLE_", "GNOME_TERMINAL_", "ITERM_", "KONSOLE_", "TERM_", "TMUX", "VSCODE_", "VTE_", "XDG_SESSION_")


class Directory:
    """A directory for sockets, held open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        about = os.fstat(self.fd)
        if about.st_uid != os.geteuid():
            raise MuxUnavailable(f"{self.path} belongs to user {about.st_uid}")
        if stat.S_IMODE(about.st_mode) & 0o077:
            raise MuxUnavailable(f"{self.path} is open to others (mode {stat.S_IMODE(about.st_mode):o}, and 700 is needed)")
        above = os.stat("..", dir_fd=self.fd)
        others = stat.S_IMODE(above.st_mode) & 0o022
        if above.st_uid not in (0, os.geteuid()) or (others and not above.st_mode & stat.S_ISVTX):
            raise MuxUnavailable(f"others can replace {self.path}")

    def address(self, name: str) -> str:
        """Return a path for the socket *name* that is short enough, and leads into this very directory."""
        through = f"/proc/self/fd/{self.fd}/{name}"
        plain = os.path.join(self.path, name)
        return through if len(os.fsencode(plain)) > _SUN_PATH or os.path.exists("/proc/self/fd") else plain

    def names(self) -> list[str]:
        """Return the names of all sockets."""
        return sorted(name for name in os.listdir(self.fd) if name.endswith(".sock"))

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self.fd)


def directory(create: bool = True) -> Directory:
    """Return the directory for this user, made if need be; `MuxUnavailable` if no place is safe."""
    chosen = os.environ.get(OVERRIDE)
    problems = []
    for path in [chosen] if chosen else _candidates():
        try:
            with contextlib.suppress(FileNotFoundError):
                return Directory(path)
            if create:
                os.makedirs(path, mode=0o700, exist_ok=True)
            return Directory(path)
        except MuxUnavailable as exc:
            problems.append(exc.message)
        except OSError as exc:
            problems.append(f"{path}: {exc.strerror}")
    raise MuxUnavailable(f"there is no safe place for the connection holder's socket: {'; '.join(problems)}")


def _candidates() -> Iterator[str]:
    runtime, home = os.environ.get("XDG_RUNTIME_DIR"), os.path.expanduser("~")
    if runtime and os.path.isabs(runtime):
        yield os.path.join(runtime, _NAME)
    if os.path.isabs(home) and home != "/":
        yield os.path.join(home, ".cache", _NAME)
    import tempfile  # seldom needed, and the holder starts without it

    yield os.path.join(tempfile.gettempdir(), f"{_NAME}-{os.geteuid()}")


def environment() -> dict[str, str]:
    """Return what of the environment a connection may depend on."""
    return {name: value for name, value in os.environ.items() if name not in _NOISE and not name.startswith(_NOISY)}


def holder_name() -> str:
    """Return the holder's name without suffix: another version of the code, or another environment, has another one."""
    from hashlib import blake2b  # which the holder itself has no use for

    about = [VERSION, *_code(), sys.executable, sys.version, os.uname().nodename, *sorted(map("=".join, environment().items()))]
    return blake2b(os.fsencode("\0".join(map(str, about))), digest_size=12).hexdigest()


def package() -> tuple[str, str, list[str]]:
    """Return name, ``__init__`` and search path of the package that this module is part of, under whatever name it runs."""
    module = sys.modules[__package__.rpartition(".")[0]]
    return module.__name__, str(module.__file__), list(module.__path__)


@cache
def _code() -> list[object]:
    """Return what changes with the code: its place, and when its files were changed last, as this process found them."""
    name, file, places = package()
    marks: list[object] = [name, file]
    for place in [*places, os.path.dirname(os.path.abspath(__file__))]:
        with os.scandir(place) as entries:
            times = [entry.stat().st_mtime_ns for entry in entries if entry.name.endswith((".py", ".so"))]
        marks += [place, max(times, default=0)]
    return marks
