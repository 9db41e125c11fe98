# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m pylibsshext put LOCAL... [USER@]HOST:PATH``: send files and trees."""

from __future__ import annotations

import argparse
import os
import posixpath
import stat
from typing import TYPE_CHECKING

from ..sftp import SFTP, SFTPFileNotFoundError
from . import places, transfer

if TYPE_CHECKING:
    from ..session import Session
    from .display import Display


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell what can be asked for."""
    parser.add_argument("sources", nargs="+", metavar="LOCAL", help="what to send")
    parser.add_argument("target", metavar="[USER@]HOST:PATH", help="the file to make, or a directory to put it in")
    transfer.add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    return transfer.run(Put(arguments))


class Put(transfer.Work):
    """Send."""

    def where(self) -> tuple[str | None, str]:
        return places.parse(self.arguments.target).where

    def by_sftp(self, session: Session, display: Display) -> None:
        with SFTP(session, timeout=self.arguments.timeout) as sftp:
            target = places.parse(self.arguments.target).path
            pairs = transfer.named(self.arguments.sources, target, _remote_directory(sftp, target), _local_name, posixpath.join)
            files = []
            for source, to in pairs:
                if self.arguments.recursive and os.path.isdir(source):
                    with transfer.reported(source, display):
                        sftp.put(source, to, recursive=True, **self.choice, **self.careful, progress=display)
                else:
                    with transfer.reported(source, display):
                        display.planned(os.stat(source).st_size, 1)
                        files.append((source, to))
            sftp.put_files(files, **self.careful, progress=display, most=self.arguments.jobs)

    def by_scp(self, session: Session, display: Display) -> None:
        target, sources = places.parse(self.arguments.target).path, self.arguments.sources
        pairs = [(source, target if len(sources) == 1 else posixpath.join(target, _local_name(source))) for source in sources]
        scp = session.scp()
        scp.timeout = self.arguments.timeout
        self.each(pairs, scp.put, display)


def _local_name(path: str) -> str:
    return os.path.basename(os.path.abspath(path))


def _remote_directory(sftp: SFTP, path: str) -> bool:
    try:
        return stat.S_ISDIR(sftp.stat(path).st_mode or 0)
    except SFTPFileNotFoundError:
        return False
