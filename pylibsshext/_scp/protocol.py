# SPDX-License-Identifier: LGPL-2.1-or-later
"""The two halves of the rcp protocol, without I/O.

The sender announces a file by a line (``C0644 5 name``), the receiver answers with a zero byte, then the bytes of the file
come and a zero byte; directories are bracketed by ``D0755 0 name`` and ``E``, times precede in ``T1 0 1 0``.  In place of a
zero byte either side may send a one (a warning, for OpenSSH: this file failed) or a two (the end), and a line of text.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Union

from .._named_tuple import NamedTuple
from .._sftp.errors import SCPProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: No line of the protocol is longer: a path has 4096 bytes at most.
LONGEST_LINE = 16384

_FILE = re.compile(rb"([CD])([0-7]{3,7}) ([0-9]{1,19}) (.+)", re.DOTALL)
_TIMES = re.compile(rb"T([0-9]{1,19}) [0-9]{1,6} ([0-9]{1,19}) [0-9]{1,6}")


class Okay(NamedTuple):
    """A zero byte: go on; after data, all of it came."""


class Problem(NamedTuple):
    """What the other side could not do; after a fatal one it has gone."""

    text: str
    fatal: bool


class Times(NamedTuple):
    """The times of the file or directory that comes next."""

    modified: int
    accessed: int


class File(NamedTuple):
    """A file comes, and *size* bytes of data."""

    mode: int
    size: int
    name: str


class Directory(NamedTuple):
    """What comes, up to the matching ``End``, is in this directory."""

    mode: int
    name: str


class End(NamedTuple):
    """The directory is complete."""


class Piece(NamedTuple):
    """A part of the file's data."""

    data: memoryview


Event = Union[Okay, Problem, Times, File, Directory, End, Piece]


def broken(text: str) -> SCPProtocolError:
    """Return the exception for what the protocol does not allow."""
    return SCPProtocolError(f"SCP protocol error: {text}", errno.EPROTO)


def text_of(line: bytes) -> str:
    """Return a line of the server as text, without the program's name before it."""
    return re.sub("^scp: ", "", line.decode("utf-8", "replace").strip())


class Decoder:
    """Cuts what the other side sends into events.

    Devices greet with banners and prompts: text before the first sign of the protocol is kept in ``noise``, as it may be
    the only explanation of what follows, and otherwise passed over.
    """

    def __init__(self) -> None:
        self.noise = b""
        self._line = bytearray()
        self._data = 0  # bytes of the file that are still to come
        self._in_status = False  # right behind the data: a zero byte, or a line of text
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that *chunk* completes.  Take them all: the place is kept between two of them only."""
        rest = memoryview(chunk)
        while rest:
            if self._data:
                piece, rest = rest[: self._data], rest[self._data :]
                self._data -= len(piece)
                self._in_status = not self._data
                yield Piece(piece)
            elif not self._line and rest[0] == 0:
                rest = rest[1:]
                self._begun, self._in_status = True, False
                yield Okay()
            else:
                rest = self._gather(rest)
                if self._line.endswith(b"\n"):
                    line, self._line = bytes(self._line[:-1]), bytearray()
                    yield from self._event(line)

    def _gather(self, rest: memoryview) -> memoryview:
        """Take the rest of a line; return what is behind it.  Noise may end in a zero byte instead: a prompt, then a yes."""
        block = bytes(rest[:LONGEST_LINE])
        ends = [at + 1 for at in (block.find(b"\n"),) if at >= 0]
        if not self._begun:
            ends += [at for at in (block.find(b"\0"),) if at >= 0]
        end = min(ends, default=len(block))
        self._line += block[:end]
        if len(self._line) > LONGEST_LINE:
            raise broken("an endless line")
        if not self._begun and block[end : end + 1] == b"\0" and not self._line.endswith(b"\n"):
            self.noise += bytes(self._line)
            self._line = bytearray()
        return rest[end:]

    def _event(self, line: bytes) -> Iterator[Event]:
        event = None if self._in_status and line[:1] not in b"\1\2" else self._parse(line)
        if event is not None:
            self._begun, self._in_status = True, False
            yield event
        elif self._begun:
            raise broken(f"{text_of(line)!r}")
        else:
            self.noise = (self.noise + line + b"\n")[-LONGEST_LINE:]

    def _parse(self, line: bytes) -> Event | None:
        if line[:1] in (b"\1", b"\2"):
            return Problem(text_of(line[1:]), fatal=line[:1] == b"\2")
        if line == b"E":
            return End()
        times = _TIMES.fullmatch(line)
        if times:
            return Times(int(times[1]), int(times[2]))
        found = _FILE.fullmatch(line)
        if not found:
            return None
        mode, name = int(found[2], 8) & 0o777, found[4].decode("utf-8", "surrogateescape")
        if found[1] == b"D":
            return Directory(mode, name)
        self._data = int(found[3])
        self._in_status = not self._data
        return File(mode, self._data, name)


def check_name(name: str, seen: set[str]) -> None:
    """Raise for a name that would lead out of the directory, or that came before."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name or name in seen:
        raise broken(f"the server sent the name {name!r}")
    seen.add(name)


def check_asked(name: str, asked: str) -> None:
    """Raise unless *name* is that of the path that was asked for (CVE-2019-6111)."""
    plain = asked.rstrip("/")
    base = plain.rpartition("/")[2]
    # A device path may have its prefix in front or not; for "." and "~" any one name will do.
    if name not in {plain, base, base.rpartition(":")[2]} and (base not in {"", ".", "..", "~"} or "/" in name):
        raise broken(f"the server sent the name {name!r}, not {base!r}")


def file_line(mode: int, size: int, name: str) -> bytes:
    """Announce a file."""
    return _announce("C", mode, size, name)


def directory_line(mode: int, name: str) -> bytes:
    """Announce a directory."""
    return _announce("D", mode, 0, name)


def _announce(kind: str, mode: int, size: int, name: str) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    if b"\n" in raw:
        raise ValueError(f"SCP cannot carry the name {name!r}: it has a line break")
    return f"{kind}{mode & 0o7777:04o} {size} ".encode() + raw + b"\n"


def times_line(modified: float, accessed: float) -> bytes:
    """Announce the times of what comes next."""
    return f"T{max(0, int(modified))} 0 {max(0, int(accessed))} 0\n".encode()


#: What needs no quotes in a POSIX shell, and so goes to devices, which know no quotes, as it is.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


def quoted(path: str) -> str:
    """Return *path* as one word of a command line: verbatim if it is plain, else in single quotes."""
    if "\0" in path:
        raise ValueError("a path cannot contain a NUL byte")
    if not path:
        raise ValueError("a path cannot be empty")
    if path.startswith("-"):
        path = "./" + path
    if _PLAIN.fullmatch(path):
        return path
    return "'" + path.replace("'", "'\\''") + "'"
