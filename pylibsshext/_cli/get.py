# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m pylibsshext get [USER@]HOST:PATH... LOCAL``: fetch files and trees."""

from __future__ import annotations

import argparse
import os
import posixpath
from typing import TYPE_CHECKING, Any

from ..sftp import SFTP
from . import places, transfer

if TYPE_CHECKING:
    from ..session import Session
    from .display import Display


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell what can be asked for."""
    parser.add_argument("sources", nargs="+", metavar="[USER@]HOST:PATH", help="what to fetch, all from one host")
    parser.add_argument("target", metavar="LOCAL", help="the file to make, or a directory to put it in")
    transfer.add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    return transfer.run(Get(arguments))


class Get(transfer.Work):
    """Fetch."""

    def where(self) -> tuple[str | None, str]:
        found = {places.parse(source).where for source in self.arguments.sources}
        if len(found) > 1:
            raise ValueError("all sources have to be on one host")
        return found.pop()

    def _pairs(self, name: Any) -> list[tuple[str, str]]:
        sources = [places.parse(source).path for source in self.arguments.sources]
        target = self.arguments.target
        return transfer.named(sources, target, os.path.isdir(target), name, os.path.join)

    def by_sftp(self, session: Session, display: Display) -> None:
        with SFTP(session, timeout=self.arguments.timeout) as sftp:
            files = []
            for source, to in self._pairs(lambda path: posixpath.basename(sftp.normalize(path))):
                with transfer.reported(source, display):
                    found = sftp.stat(source)
                    if self.arguments.recursive and found.is_dir():
                        sftp.get(source, to, recursive=True, **self.choice, **self.careful, progress=display)
                    else:
                        display.planned(found.st_size or 0, 1)
                        files.append((source, to))
            sftp.get_files(files, **self.careful, progress=display, most=self.arguments.jobs)

    def by_scp(self, session: Session, display: Display) -> None:
        scp = session.scp()
        scp.timeout = self.arguments.timeout
        self.each(self._pairs(lambda path: posixpath.basename(path.rstrip("/")).rpartition(":")[2]), scp.get, display)
