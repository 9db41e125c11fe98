# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fetch one file, as a generator of tickets."""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import TYPE_CHECKING

from . import protocol as p
from .bulk import DescriptorSink, Sink, StreamSink, check_end, download
from .errors import SFTPError
from .local import LocalTarget, Meter, Opened, Options, Progress, is_path
from .tickets import attributes_of, handle_of

if TYPE_CHECKING:
    from .attributes import SFTPAttributes
    from .client import Client
    from .pool import Steps
from .stripes import Share, download_pieces, download_side

#: How much of a partial file is compared with the source before it is continued.
TAIL = 64 * 1024


def get_file(
    client: Client,
    remote: bytes,
    local: object,
    options: Options,
    progress: Progress | None = None,
    *,
    known: SFTPAttributes | None = None,
    follow: bool = True,
) -> Steps[None]:
    """Fetch *remote* into *local*, a path, an ``Opened`` file or a file object; *known* saves asking for the attributes."""
    about = p.from_path(remote)
    attributes = known
    if attributes is None:
        # Asked first: opening a pipe would stop the whole server until someone writes to it.
        attributes = attributes_of((yield client.request(p.STAT, p.string(remote), about=about, defer=True)))
    refuse(attributes, about)
    opened = client.request(p.OPEN, p.string(remote), p.u32(p.F_READ), p.u32(0), about=about, defer=True)
    handle = handle_of((yield opened))
    meter = Meter(progress, about, attributes.st_size)
    try:
        if is_path(local):
            target = LocalTarget(os.fsdecode(local), options, follow=follow)
            yield from _into_file(client, handle, target, attributes, meter, remote)
        elif isinstance(local, Opened):
            meter.start()
            yield from _into_opened(client, handle, local, 0, attributes, meter, remote, striped=local.is_regular())
        else:
            meter.start()
            yield from _into(client, handle, StreamSink(local), 0, attributes, meter, about)
    finally:
        client.later(p.CLOSE, p.string(handle))


def refuse(attributes: SFTPAttributes, about: str) -> None:
    """Raise for what cannot be read as a file."""
    if attributes.is_dir():
        raise SFTPError(f"{about!r} is a directory: recursive=True fetches it", errno.EISDIR, about)
    if attributes.kind in {stat.S_IFIFO, stat.S_IFSOCK}:
        raise SFTPError(f"{about!r} is a pipe or a socket, not a file", errno.EINVAL, about)


def _into_file(
    client: Client,
    handle: bytes,
    target: LocalTarget,
    attributes: SFTPAttributes,
    meter: Meter,
    remote: bytes,
) -> Steps[None]:
    about = p.from_path(remote)
    try:
        target.open(attributes.st_mode)
        offset = target.held()
        if offset and not (yield from _continues(client, handle, target.fd, offset, about)):
            offset = 0
        meter.start(offset)
        opened = Opened(target.fd, target.path)
        striped = target.partial is not None and not target.options.resume
        end = yield from _into_opened(client, handle, opened, offset, attributes, meter, remote, striped=striped)
        target.commit(end, attributes)
    except BaseException:
        target.keep(meter.done)
        raise
    finally:
        target.discard()


def _into_opened(
    client: Client,
    handle: bytes,
    target: Opened,
    offset: int,
    attributes: SFTPAttributes,
    meter: Meter,
    remote: bytes,
    *,
    striped: bool,
) -> Steps[int]:
    """Fetch into an open file; return where it ended."""
    sink: Sink
    if target.is_seekable():
        sink = DescriptorSink(*target)
        if striped:
            offset = _striped(client, handle, sink, attributes, meter, remote)
    else:
        sink = StreamSink(io.FileIO(target.fd, "w", closefd=False))
    return (yield from _into(client, handle, sink, offset, attributes, meter, p.from_path(remote)))


def _into(
    client: Client, handle: bytes, sink: Sink, offset: int, attributes: SFTPAttributes, meter: Meter, about: str
) -> Steps[int]:
    size = attributes.st_size
    end = yield from download(client, handle, sink, offset=offset, announced=size or 0, moved=meter, about=about)
    check_end(end, size, about)
    return end


def _striped(
    client: Client, handle: bytes, sink: DescriptorSink, attributes: SFTPAttributes, meter: Meter, remote: bytes
) -> int:
    """Fetch what the server announces of a large file over several channels; return the offset to go on from."""
    size, stripes = attributes.st_size or 0, client.stripes
    count = 1 if stripes is None else stripes.wanted(client, size)
    if stripes is None or count < 2 or not attributes.is_file():
        return 0
    share = Share(size, 0, meter.name, meter)
    own = download_pieces(client, handle, sink, share)
    stripes.move(client, count, share, own, lambda other: download_side(other, remote, attributes, sink, share))
    return size


def _continues(client: Client, handle: bytes, fd: int, offset: int, about: str) -> Steps[bool]:
    """Return whether what was fetched earlier ends with the same bytes as the file that is there now."""
    size = min(TAIL, offset)
    mine = os.pread(fd, size, offset - size)
    return (yield from same_bytes(client, handle, mine, offset - size, about))


def same_bytes(client: Client, handle: bytes, mine: bytes, offset: int, about: str) -> Steps[bool]:
    """Return whether the remote file has the bytes *mine* at *offset*."""
    while mine:
        reply = yield client.read(handle, offset, min(len(mine), client.read_chunk), about)
        if not isinstance(reply, p.Data) or not reply.payload:
            return False
        got = len(reply.payload)
        if reply.payload != mine[:got]:
            return False
        mine, offset = mine[got:], offset + got
    return True
