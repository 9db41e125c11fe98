# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole directories, either way: which files, in which order, and nothing outside the target.

Directories are made first, files follow many at a time, then symbolic links, and the times of directories come last.
Links last, because a link that a hostile server made us create must not be a way for the file after it.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Union

from .._named_tuple import NamedTuple
from . import protocol as p
from .attributes import SFTPAttributes
from .errors import SFTPConnectionError, SFTPError, SFTPFileExistsError, SFTPProtocolError, SFTPTimeout
from .get import get_file
from .listing import list_directory
from .local import Observer
from .pool import Steps, run, run_all
from .put import Upload
from .tickets import Ticket, attributes_of, name_of

if TYPE_CHECKING:
    from .client import Client
    from .local import Options, Progress

log = logging.getLogger("ansible-pylibssh")

#: No file system of ours takes a longer one; a server that has directories in directories without end runs into it.
LONGEST_PATH = 4096

Patterns = Union[str, Sequence[str], None]

#: Files on their way at a time: with ``limits@openssh.com`` the server tells how many handles it has.
FILES_AT_ONCE = 64
FILES_AT_ONCE_UNTOLD = 16


class Choice(NamedTuple):
    """Which entries of a tree to take."""

    symlinks: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]

    @classmethod
    def of(cls, symlinks: str, include: Patterns, exclude: Patterns) -> Choice:
        """Test and take the arguments of ``put`` and ``get``."""
        if symlinks not in {"keep", "follow", "skip"}:
            raise ValueError(f"symlinks is 'keep', 'follow' or 'skip', not {symlinks!r}")
        return cls(symlinks, _patterns(include), _patterns(exclude))

    def takes(self, relative: str, is_dir: bool) -> bool:
        """Return whether the entry at *relative* (``/`` between names) is wanted."""
        if _matches(relative, self.exclude):
            return False
        return is_dir or not self.include or _matches(relative, self.include)


def _patterns(given: Patterns) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _matches(relative: str, patterns: Iterable[str]) -> bool:
    """A pattern with a slash is for the path from the top of the tree, any other for the last name."""
    name = relative.rpartition("/")[2]
    return any(fnmatchcase(relative if "/" in pattern else name, pattern.strip("/")) for pattern in patterns)


class Plan(NamedTuple):
    """What a walk found: paths relative to the top, with ``/`` between names."""

    directories: list[tuple[str, SFTPAttributes]]
    files: list[tuple[str, SFTPAttributes]]
    links: list[tuple[str, str]]


def at_once(client: Client) -> int:
    """Return how many files may be open at a time on the server."""
    handles = client.limits.max_open_handles
    if not handles:
        return FILES_AT_ONCE if "limits@openssh.com" in client.extensions else FILES_AT_ONCE_UNTOLD
    return max(1, min(FILES_AT_ONCE, handles // 2))


def _skipped(path: str) -> None:
    log.warning("skipped %r: neither file, directory nor link", path)


# -- many files at a time ----------------------------------------------------------------------------------------------


def watched(steps: Steps[None], name: str, progress: Progress | None) -> Steps[None]:
    """Move one file, and tell an observer how it ended; what the connection dies of ends the others, too."""
    if not isinstance(progress, Observer):
        return (yield from steps)
    try:
        yield from steps
    except (SFTPConnectionError, SFTPTimeout):
        raise
    except OSError as exc:
        if not progress.failed(name, exc):
            raise
    else:
        progress.ended(name)


def put_files(
    client: Client,
    pairs: Iterable[tuple[str, bytes]],
    options: Options,
    progress: Progress | None,
    litter: set[bytes],
    most: int = FILES_AT_ONCE,
) -> None:
    """Send files, each to its target, *most* of them at a time."""
    jobs = (watched(Upload(client, to, options, litter).run(local, progress), local, progress) for local, to in pairs)
    run_all(client, jobs, min(most, at_once(client)))


def get_files(
    client: Client,
    pairs: Iterable[tuple[bytes, str]],
    options: Options,
    progress: Progress | None,
    most: int = FILES_AT_ONCE,
) -> None:
    """Fetch files, each to its target, *most* of them at a time."""
    jobs = (watched(get_file(client, remote, to, options, progress), p.from_path(remote), progress) for remote, to in pairs)
    run_all(client, jobs, min(most, at_once(client)))


def _tell(progress: Progress | None, plan: Plan) -> None:
    if isinstance(progress, Observer):
        progress.planned(sum(found.st_size or 0 for _, found in plan.files), len(plan.files))


# -- to the server -----------------------------------------------------------------------------------------------------


def put_tree(
    client: Client, local: str, remote: bytes, options: Options, choice: Choice, progress: Progress | None, litter: set[bytes]
) -> None:
    """Send what is in the directory *local* into the directory *remote*, which is made if it is not there."""
    plan = local_plan(local, choice)
    _tell(progress, plan)
    _make_directories(client, remote, plan.directories)
    pairs = ((os.path.join(local, relative), _below(remote, relative)) for relative, _ in plan.files)
    put_files(client, pairs, options, progress, litter)
    run_all(client, (_put_link(client, target, _below(remote, name)) for name, target in plan.links), at_once(client))
    if options.preserve:
        deepest_first = [_set_directory(client, _below(remote, name), found) for name, found in reversed(plan.directories)]
        run_all(client, deepest_first, at_once(client))


def local_plan(top: str, choice: Choice) -> Plan:
    """Walk a local directory."""
    plan = Plan([("", SFTPAttributes.from_stat(os.stat(top)))], [], [])
    waiting: deque[tuple[str, frozenset[tuple[int, int]]]] = deque([("", frozenset({_identity(os.stat(top))}))])
    while waiting:
        relative, above = waiting.popleft()
        with os.scandir(os.path.join(top, relative)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = f"{relative}/{entry.name}" if relative else entry.name
                _plan_local(plan, waiting, entry, name, above, choice)
    return plan


def _plan_local(
    plan: Plan,
    waiting: deque[tuple[str, frozenset[tuple[int, int]]]],
    entry: os.DirEntry[str],
    name: str,
    above: frozenset[tuple[int, int]],
    choice: Choice,
) -> None:
    if entry.is_symlink() and choice.symlinks != "follow":
        if choice.symlinks == "keep" and choice.takes(name, is_dir=False):
            plan.links.append((name, os.readlink(entry.path)))
        return
    is_dir = entry.is_dir()
    if not choice.takes(name, is_dir):
        return
    found = entry.stat()
    if is_dir:
        if _identity(found) in above:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), entry.path)
        plan.directories.append((name, SFTPAttributes.from_stat(found)))
        waiting.append((name, above | {_identity(found)}))
    elif stat.S_ISREG(found.st_mode):
        plan.files.append((name, SFTPAttributes.from_stat(found)))
    else:
        _skipped(entry.path)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _make_directories(client: Client, remote: bytes, directories: list[tuple[str, SFTPAttributes]]) -> None:
    """Make a directory after the one that holds it: one round trip for each level of the tree."""
    levels: dict[int, list[Steps[None]]] = {}
    for relative, found in directories:
        level = relative.count("/") + 1 if relative else 0
        levels.setdefault(level, []).append(_make_directory(client, _below(remote, relative), found))
    for level in sorted(levels):
        run_all(client, levels[level], at_once(client))


def _make_directory(client: Client, path: bytes, found: SFTPAttributes) -> Steps[None]:
    about = p.from_path(path)
    mode = stat.S_IMODE(found.st_mode or 0o777) | stat.S_IRWXU  # we have to write into it
    wanted = SFTPAttributes(st_mode=mode & 0o777)
    made = client.request(p.MKDIR, p.string(path), wanted.encode(), about=about, defer=True)
    try:
        yield made
    except SFTPError:
        try:
            there = attributes_of((yield client.request(p.STAT, p.string(path), about=about, defer=True)))
        except SFTPError:
            there = SFTPAttributes()
        if not there.is_dir():
            raise


def _set_directory(client: Client, path: bytes, found: SFTPAttributes) -> Steps[None]:
    wanted = SFTPAttributes(st_mode=stat.S_IMODE(found.st_mode or 0o777), st_atime=found.st_atime, st_mtime=found.st_mtime)
    yield client.request(p.SETSTAT, p.string(path), wanted.encode(), about=p.from_path(path), defer=True)


def _put_link(client: Client, target: str, path: bytes) -> Steps[None]:
    """Make a link; one that is there already is replaced, a file or directory is not."""
    about = p.from_path(path)
    try:
        yield client.symlink(p.to_path(target), path, defer=True)
    except SFTPError:
        try:
            there = attributes_of((yield client.request(p.LSTAT, p.string(path), about=about)))
        except SFTPError:
            there = None
        if there is None:
            raise
        if not there.is_symlink():
            raise SFTPFileExistsError(f"linking {about!r} failed: a file is in the way", errno.EEXIST, about) from None
        yield client.request(p.REMOVE, p.string(path), about=about, defer=True)
        yield client.symlink(p.to_path(target), path)


def _below(top: bytes, relative: str) -> bytes:
    if not relative:
        return top
    return (b"" if not top else top.rstrip(b"/") + b"/") + p.to_path(relative)


# -- from the server ---------------------------------------------------------------------------------------------------


def get_tree(client: Client, remote: bytes, local: str, options: Options, choice: Choice, progress: Progress | None) -> None:
    """Fetch what is in the directory *remote* into the directory *local*, which is made if it is not there."""
    top = attributes_of(client.wait(client.request(p.STAT, p.string(remote), about=p.from_path(remote))))
    if not top.is_dir():
        raise SFTPError(f"{p.from_path(remote)!r} is not a directory", errno.ENOTDIR, p.from_path(remote))
    plan = remote_plan(client, remote, top, choice)
    _tell(progress, plan)
    for relative, found in plan.directories:
        make_local(os.path.join(local, relative) if relative else local, found, is_top=not relative)
    jobs = (
        _get_below(client, _below(remote, name), os.path.join(local, name), options, progress, found)
        for name, found in plan.files
    )
    run_all(client, jobs, at_once(client))
    for name, target in plan.links:
        _make_local_link(target, os.path.join(local, name))
    if options.preserve:
        for name, found in reversed(plan.directories):
            dress_local(os.path.join(local, name) if name else local, found)


def _get_below(
    client: Client, remote: bytes, local: str, options: Options, progress: Progress | None, found: SFTPAttributes
) -> Steps[None]:
    steps = get_file(client, remote, local, options, progress, known=found, follow=False)
    return watched(steps, p.from_path(remote), progress)


def remote_plan(client: Client, remote: bytes, top: SFTPAttributes, choice: Choice) -> Plan:
    """Walk a remote directory, all directories of a level at a time."""
    plan = Plan([("", top)], [], [])
    level: list[tuple[str, tuple[str, ...]]] = [("", ())]
    while level:
        following: list[tuple[str, tuple[str, ...]]] = []
        jobs = (_plan_remote(client, remote, name, above, choice, plan, following) for name, above in level)
        run_all(client, jobs, at_once(client))
        level = following
    plan.files.sort(key=lambda item: item[0])
    return plan


def _plan_remote(
    client: Client,
    remote: bytes,
    relative: str,
    above: tuple[str, ...],
    choice: Choice,
    plan: Plan,
    following: list[tuple[str, tuple[str, ...]]],
) -> Steps[None]:
    path = _below(remote, relative)
    if len(path) > LONGEST_PATH:
        raise SFTPError(
            f"listing {p.from_path(remote)!r} failed: a path in it is too long", errno.ENAMETOOLONG, p.from_path(remote)
        )
    if choice.symlinks == "follow":
        real = name_of((yield client.request(p.REALPATH, p.string(path), about=p.from_path(path), defer=True)))
        if real in above:
            raise SFTPError(f"listing {p.from_path(path)!r} failed: a loop of links", errno.ELOOP, p.from_path(path))
        above = (*above, real)
    entries = yield from list_directory(client, path)
    check_names(entries, p.from_path(path))
    for entry in entries:
        name = f"{relative}/{entry.filename}" if relative else entry.filename or ""
        yield from _plan_entry(client, _below(remote, name), name, entry, above, choice, plan, following)


def _plan_entry(
    client: Client,
    path: bytes,
    name: str,
    entry: SFTPAttributes,
    above: tuple[str, ...],
    choice: Choice,
    plan: Plan,
    following: list[tuple[str, tuple[str, ...]]],
) -> Steps[None]:
    about = p.from_path(path)
    if entry.is_symlink() or not entry.kind:
        if entry.is_symlink() and choice.symlinks != "follow":
            if choice.symlinks == "keep" and choice.takes(name, is_dir=False):
                plan.links.append((name, name_of((yield client.request(p.READLINK, p.string(path), about=about)))))
            return
        entry = attributes_of((yield client.request(p.STAT, p.string(path), about=about)))
    if not choice.takes(name, entry.is_dir()):
        return
    if entry.is_dir():
        plan.directories.append((name, entry))
        following.append((name, above))
    elif entry.is_file():
        plan.files.append((name, entry))
    else:
        _skipped(about)


def check_names(entries: Iterable[SFTPAttributes], directory: str) -> None:
    """Raise for a listing whose names would lead out of the directory, or that has one twice."""
    seen = set()
    for entry in entries:
        name = entry.filename or ""
        if name in {"", ".", ".."} or "/" in name or "\0" in name or name in seen:
            raise SFTPProtocolError(f"the server listed the name {name!r} in {directory!r}", errno.EPROTO, directory)
        seen.add(name)


def make_local(path: str, found: SFTPAttributes, is_top: bool) -> None:
    try:
        os.mkdir(path, stat.S_IMODE(found.st_mode or 0o777) & 0o777 | stat.S_IRWXU)
    except FileExistsError:
        # A link below the top may be one that this server had us make the last time.
        if not os.path.isdir(path) or (os.path.islink(path) and not is_top):
            raise


def _make_local_link(target: str, path: str) -> None:
    if os.path.islink(path):
        os.unlink(path)
    os.symlink(target, path)


def dress_local(path: str, found: SFTPAttributes) -> None:
    if found.st_mode is not None:
        os.chmod(path, stat.S_IMODE(found.st_mode))
    if found.st_atime is not None and found.st_mtime is not None:
        os.utime(path, (found.st_atime, found.st_mtime))


def walk(client: Client, top: str, *, topdown: bool, followlinks: bool) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield (directory, names of directories, names of others) as ``os.walk`` does."""
    entries = run(client, list_directory(client, p.to_path(top)))
    check_names(entries, top)
    directories: list[str] = []
    others: list[str] = []
    linked = set()
    for entry in entries:
        name = entry.filename or ""
        is_dir = entry.is_dir()
        if entry.is_symlink():
            is_dir = _leads_to_directory(client, f"{top.rstrip('/')}/{name}")
            linked.add(name)
        (directories if is_dir else others).append(name)
    if topdown:
        yield top, directories, others
    for name in directories:
        if followlinks or name not in linked:
            yield from walk(client, f"{top.rstrip('/')}/{name}", topdown=topdown, followlinks=followlinks)
    if not topdown:
        yield top, directories, others


def _leads_to_directory(client: Client, path: str) -> bool:
    request: Ticket = client.request(p.STAT, p.string(p.to_path(path)), about=path)
    try:
        return attributes_of(client.wait(request)).is_dir()
    except SFTPError:
        return False
