# SPDX-License-Identifier: LGPL-2.1-or-later
"""A directory of holders of a test's own, and their end."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pylibsshext.mux import command, paths
from pylibsshext.mux.protocol import MuxUnavailable

DIRECTORY = paths.OVERRIDE


def pids(directory: Path) -> list[int]:
    """Return the processes of the holders whose sockets are in *directory*."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in words and b".mux.holder" in words:
            found.append(int(pid))
    return found


def gone(directory: Path, seconds: float = 10) -> bool:
    """Wait for the end of all holders of *directory*."""
    end = time.monotonic() + seconds
    while pids(directory):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def own_directory(directory: Path) -> Iterator[Path]:
    """Use *directory* for holders, in this process and its children; stop them in the end."""
    before = os.environ.get(DIRECTORY)
    os.environ[DIRECTORY] = str(directory)
    try:
        yield directory
    finally:
        if directory.exists():
            directory.chmod(0o700)
            with command.holders() as wires:
                for wire in wires:
                    with suppress(MuxUnavailable):  # it was about to end by itself
                        command.ask(wire, do="stop")
        ended = gone(directory)
        if before is None:
            del os.environ[DIRECTORY]
        else:
            os.environ[DIRECTORY] = before
        assert ended, "a connection holder outlives its test"


def remembered(directory: Path, **secrets: bytes) -> set[str]:
    """Return which of some secrets, by name, the holder of *directory* has in its memory."""
    if os.geteuid():
        pytest.fail("only root can look into the holder's memory")
    (pid,) = pids(directory)
    memory = _writable(pid)
    assert any(b"pylibsshext" in piece for piece in memory)  # it can be read at all
    return {name for name, secret in secrets.items() if any(secret in piece for piece in memory)}


def _writable(pid: int) -> list[bytes]:
    """Return all that a process can write to: its heaps, its stacks, its libraries' data."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            begin, end, mode = re.split(r"[- ]", line)[:3]
            if mode.startswith("rw"):
                file.seek(int(begin, 16))
                with suppress(OSError):  # a thread's stack or a heap that has gone meanwhile
                    found.append(file.read(int(end, 16) - int(begin, 16)))
    return found
