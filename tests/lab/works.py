# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables in the documentation of what works with which server, held true by the tests that see it work.

A page has a table between two marks; its columns are servers with their versions.  A test that saw something work says so by
`works("password", host)`.  It fails if the page does not have that; with NOTE_WORKS=1 in the environment the page gets it instead.

What tests saw is added to the file that SEEN_WORKING names.  After a run of all tests `python -m tests.lab.works FILE` tells which
marks were not made again; in CI, where nothing is missing that tests need, that is a failure.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Collection
from pathlib import Path

from .hosts import Host

DOCS = Path(__file__).resolve().parents[2] / "docs"
YES = "yes"
_BEGIN, _END = "<!-- works -->\n", "<!-- end -->\n"


def server_name(host: Host) -> str:
    """Return the server's name and version, as its greeting tells them."""
    with socket.create_connection((host.address, host.port), 10) as connection:
        greeting = connection.recv(256).decode("ascii", "replace")
    found = re.match(r"SSH-2\.0-(?:([A-Za-z]+)[_ -]?v?([\w.]*))", greeting)
    return " ".join(found.groups()) if found else greeting.strip()


class Table:
    """The table of a page: feature, then a mark for each server."""

    def __init__(self, page: str) -> None:
        self._path = DOCS / f"{page}.md"
        self._text = self._path.read_text()
        head, *rows = [
            [cell.strip() for cell in line.strip().strip("|").split("|")]
            for line in self._text.partition(_BEGIN)[2].partition(_END)[0].splitlines()
            if not line.startswith("|--")
        ]
        self.servers = head[1:]
        self.rows = {row[0]: row[1:] for row in rows}

    def has(self, feature: str, server: str) -> bool:
        """Return whether the page says so; it says nothing about versions that it has no column for."""
        if server not in self.servers:
            return feature in self.rows
        return self.rows.get(feature, [""] * len(self.servers))[self.servers.index(server)] == YES

    def unseen(self, seen: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the marks, as (feature, server), that are not among *seen*; a server may be there in another version instead."""
        there = {server for _, server in seen}
        others = {server.split()[0] for server in there.difference(self.servers)}
        return [
            (feature, server)
            for feature, cells in self.rows.items()
            for server, cell in zip(self.servers, cells)
            if cell == YES and (feature, server) not in seen and (server in there or server.split()[0] not in others)
        ]

    def note(self, feature: str, server: str) -> None:
        """Write it down."""
        if server not in self.servers:
            self.servers.append(server)
            self.rows = {name: [*cells, ""] for name, cells in self.rows.items()}
        self.rows.setdefault(feature, [""] * len(self.servers))[self.servers.index(server)] = YES
        lines = [["", *self.servers], ["--"] * (1 + len(self.servers)), *([name, *cells] for name, cells in self.rows.items())]
        table = "".join(f"|{'|'.join(line)}|\n" if line[0] == "--" else f"| {' | '.join(line)} |\n" for line in lines)
        before, _, rest = self._text.partition(_BEGIN)
        self._path.write_text(before + _BEGIN + table + _END + rest.partition(_END)[2])


def works(feature: str, host: Host, page: str = "authentication") -> None:
    """Hold the page's table to it that *feature* works with the server of *host*."""
    if not DOCS.exists():
        return  # a copy of the checkout without them
    table, server = Table(page), server_name(host)
    if os.environ.get("SEEN_WORKING"):
        with open(os.environ["SEEN_WORKING"], "a") as file:
            file.write(f"{page}\t{feature}\t{server}\n")
    if os.environ.get("NOTE_WORKS"):
        table.note(feature, server)
    else:
        assert table.has(feature, server), f"docs/{page}.md does not say that {feature!r} works with {server}: NOTE_WORKS=1"


def main() -> int:
    """Tell which marks the tests that wrote a file did not make; return the exit status."""
    made: dict[str, set[tuple[str, str]]] = {path.stem: set() for path in DOCS.glob("*.md") if _BEGIN in path.read_text()}
    for line in Path(sys.argv[1]).read_text().splitlines():
        page, feature, server = line.split("\t")
        made[page].add((feature, server))
    left = [(page, *mark) for page, marks in made.items() for mark in Table(page).unseen(marks)]
    for page, feature, server in left:
        print(f"docs/{page}.md says that {feature!r} works with {server}, and no test saw that")
    return 1 if left and os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
