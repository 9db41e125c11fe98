# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connect to the holder; start one if there is none.

The one who starts it binds the socket, and hands it to the new process: from then on everybody can connect, and waits in the
socket's queue until the holder is up.  A lock file sees to it that only one does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import struct
import sys
from collections.abc import Iterator

from . import paths
from .protocol import MuxUnavailable, Wire

READY = b"\0"
"""What the new process says last, on its standard error."""

_BACKLOG = 512
# Seconds, as a timeval, until there is room in the queue or the buffer of a holder that stands still.
_PATIENCE = struct.pack("ll", 30, 0)

# The package is imported from where it is here, under the name that it has here.  -I and -S keep everything else out.  It goes to the
# background while there is little to copy, and does not look for garbage where there is none.
_BOOTSTRAP = """\
import os
os.fork() and os._exit(0)
import gc
gc.disable()
import importlib.util, json, sys
about = json.loads(sys.argv[1])
spec = importlib.util.spec_from_file_location(about["name"], about["file"], submodule_search_locations=about["path"])
module = importlib.util.module_from_spec(spec)
sys.modules[about["name"]] = module
spec.loader.exec_module(module)
importlib.import_module(about["name"] + ".mux.holder").begin(about)
"""


def connect(create: bool = True) -> Wire:
    """Return a connection to this user's holder; `MuxUnavailable` if there is none and none can be started."""
    if not hasattr(socket, "SO_PEERCRED"):
        raise MuxUnavailable("this system cannot tell who is at the other end of a socket")
    directory = paths.directory(create)
    try:
        name = paths.holder_name()
        sock = dial(directory, f"{name}.sock")
        if sock is None and create:
            sock = _start(directory, name)
        if sock is None:
            raise MuxUnavailable("no connection holder is running")
        return checked(sock)
    except OSError as exc:
        raise MuxUnavailable(f"the connection holder cannot be reached: {exc}") from exc
    finally:
        directory.close()


def checked(sock: socket.socket) -> Wire:
    """Return the socket as a wire if it leads to a process of the same user."""
    wire = Wire(sock)
    try:
        wire.check_peer()
    except BaseException:
        wire.close()
        raise
    return wire


def dial(directory: paths.Directory, name: str) -> socket.socket | None:
    """Connect to a socket; None if nobody listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
    try:
        sock.connect(directory.address(name))
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def lock(directory: paths.Directory, name: str, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a holder's name: its socket is made and removed under it.  BlockingIOError if *wait* is off and it is taken."""
    fd = os.open(f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory.fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(fd)


def _start(directory: paths.Directory, name: str) -> socket.socket | None:
    with lock(directory, name):
        sock = dial(directory, f"{name}.sock")
        if sock is not None:
            return sock
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{name}.sock", dir_fd=directory.fd)  # its holder was killed
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(directory.address(f"{name}.sock"))
            listener.listen(_BACKLOG)
            try:
                _launch(listener, directory, name)
            except BaseException:
                os.unlink(f"{name}.sock", dir_fd=directory.fd)
                raise
        return dial(directory, f"{name}.sock")


def _launch(listener: socket.socket, directory: paths.Directory, name: str) -> None:
    """Run the new process, in the background, until it has loaded its code."""
    import subprocess  # which the holder itself has no use for

    package, file, path = paths.package()
    about = {"name": package, "file": file, "path": path, "socket": listener.fileno(), "directory": directory.path, "key": name}
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, json.dumps(about)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[listener.fileno()],
        cwd="/",
        start_new_session=True,
        # Each of the holder's threads would get a heap of its own, and give nothing back.
        env={**paths.environment(), "MALLOC_ARENA_MAX": "2"},
    )
    said = process.communicate()[1]
    if not said.endswith(READY):
        text = said.decode(errors="replace").strip()
        raise MuxUnavailable(f"the connection holder could not be started: {text or os.strerror(errno.ECHILD)}")
