# SPDX-License-Identifier: LGPL-2.1-or-later
"""``get`` and ``put``: what they have in common is nearly all."""

from __future__ import annotations

import argparse
import errno
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from ..doctor.inventory import public
from ..errors import AuthenticationError, HostKeyChangedError, HostKeyError, LibsshException
from ..session import Session
from ..sftp import SFTPError
from . import login
from .display import Display, choose, printable, reason

#: Exit statuses: some files failed; no connection, as ``ssh`` has it; ended by Ctrl-C.  A wrong command line is argparse's 2.
FAILED, NO_CONNECTION, INTERRUPTED = 1, 255, 128 + signal.SIGINT

#: Files at a time.
JOBS = 8

SFTP_ONLY = ("resume", "in_place", "symlinks", "include", "exclude")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of both directions; letters are those of ``scp`` where it has them."""
    add = parser.add_argument
    add("-r", "--recursive", action="store_true", help="copy directories, with all that is in them")
    add("-p", "--preserve", action="store_true", help="keep modes and times")
    add("--mode", type=lambda text: int(text, 8), metavar="OCTAL", help="set the mode of the copies")
    add("--resume", action="store_true", help="go on where an interrupted copy ended")
    add("--in-place", action="store_true", help="write into the target itself, not into a new file that replaces it")
    add("--symlinks", choices=("keep", "follow", "skip"), help="what becomes of links in directories (default: keep)")
    add("--include", action="append", metavar="PATTERN", help="in directories, copy only what matches; may be repeated")
    add("--exclude", action="append", metavar="PATTERN", help="in directories, leave out what matches; may be repeated")
    add("-j", "--jobs", type=int, default=JOBS, metavar="N", help="files at a time (default: %(default)s)")
    add("-O", "--scp", action="store_true", help="use the SCP protocol, for servers without SFTP")
    add("-q", "--quiet", action="store_true", help="print failures only")
    add("-P", "--port", type=int, help="the server's port")
    add("-i", "--identity", type=public, metavar="FILE", help="the private key to log in with")
    add("-F", "--config", metavar="FILE", help='the ssh_config file to read, "none" for none')
    add("--known-hosts", metavar="FILE", help="the file of known host keys")
    add("--accept-new", action="store_true", help="trust the key of a host that is not known yet, and remember it")
    add("--timeout", type=float, default=30, metavar="SECONDS", help="how long the server may be silent (default: %(default)g)")
    parser.set_defaults(parser=parser)


def run(work: Work) -> int:
    """Do what the command line says; return the exit status."""
    arguments = work.arguments
    work.check()
    # Both end the program as Ctrl-C does: by an exception, so that nothing unfinished is left.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ended)
    display = choose(arguments.command, arguments.quiet)
    try:
        with Session() as session:
            login.connect(session, *work.where(), arguments)
            with display:
                (work.by_scp if arguments.scp else work.by_sftp)(session, display)
    except KeyboardInterrupt:
        print(f"{arguments.command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (LibsshException, OSError) as exc:
        print(f"{arguments.command}: {printable(_explained(exc))}", file=sys.stderr)
        return FAILED if isinstance(exc, SFTPError) else NO_CONNECTION
    return FAILED if display.failures else 0


def _explained(error: Exception) -> str:
    """Return what went wrong, and which option would help."""
    if isinstance(error, AuthenticationError):
        return f"{error.message} Check USER@ and -i FILE."
    if isinstance(error, HostKeyError) and error.fingerprint and not isinstance(error, HostKeyChangedError):
        return f"{error}. With --accept-new it is trusted."
    return reason(error)


def _ended(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


class Work:
    """Some sources, and where they go."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.options: dict[str, Any] = {"preserve": arguments.preserve, "mode": arguments.mode}
        self.careful = {**self.options, "resume": arguments.resume, "atomic": False if arguments.in_place else None}
        self.choice = {
            "symlinks": arguments.symlinks or "keep",
            "include": arguments.include,
            "exclude": arguments.exclude,
        }

    def check(self) -> None:
        """End the program for a command line that makes no sense."""
        given = [name for name in SFTP_ONLY if self.arguments.scp and getattr(self.arguments, name)]
        if given:
            self.wrong(f"--{given[0].replace('_', '-')} is not for SCP")
        if self.arguments.jobs < 1:
            self.wrong("there is at least one file at a time")
        try:
            self.where()
        except ValueError as exc:
            self.wrong(str(exc))

    def wrong(self, why: str) -> NoReturn:
        """End the program as for any mistake in the command line, with status 2."""
        self.arguments.parser.error(why)
        raise AssertionError("argparse has ended the program")

    def where(self) -> tuple[str | None, str]:
        """Return user and host."""
        raise NotImplementedError

    def by_sftp(self, session: Session, display: Display) -> None:
        """Move all, over SFTP."""
        raise NotImplementedError

    def by_scp(self, session: Session, display: Display) -> None:
        """Move all, by ``scp``."""
        raise NotImplementedError

    def each(self, pairs: Iterable[tuple[str, str]], copy: Any, display: Display) -> None:
        """Copy one after the other by SCP."""
        for source, target in pairs:
            with reported(source, display):
                copy(source, target, recursive=self.arguments.recursive, **self.options, progress=display)
                display.ended(source)


def named(sources: list[str], target: str, is_directory: bool, name: Any, join: Any) -> list[tuple[str, str]]:
    """Give each source its target: the one that was named or, where that is a directory, one of its own name in there."""
    if not is_directory:
        if len(sources) > 1:
            raise SFTPError(f"{target!r} is not a directory, and cannot take several files", errno.ENOTDIR, target)
        return [(sources[0], target)]
    pairs = [(source, join(target, name(source))) for source in sources]
    twice = [to for to, count in Counter(to for _, to in pairs).items() if count > 1]
    if twice:
        raise SFTPError(f"several of the files would become {twice[0]!r}", errno.EEXIST, twice[0])
    return pairs


@contextmanager
def reported(source: str, display: Display) -> Iterator[None]:
    """Tell of a failure, and go on with the next file unless the connection is what failed."""
    try:
        yield
    except (ConnectionError, TimeoutError):
        raise
    except OSError as exc:
        display.failed(source, exc)
