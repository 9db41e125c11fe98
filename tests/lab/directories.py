# SPDX-License-Identifier: LGPL-2.1-or-later
"""The directories of labs: one each, locked while it is in use, so that what a killed machine left can be told and removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from .hosts import run

PREFIX = "sshlab-"


def base() -> Path:
    """Where labs are.

    Not in /tmp where we can choose: tinysshd refuses homes below a directory that others can write, and /tmp may be in memory.
    """
    return Path("/var/lib") if os.geteuid() == 0 else Path(tempfile.gettempdir())


def _lock(directory: Path) -> int | None:
    """Lock a directory: its descriptor, or None when a living lab holds it."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def sweep() -> None:
    """Remove the directories of labs that have died together with their reapers."""
    for directory in base().glob(PREFIX + "*"):
        if directory.stat().st_uid != os.geteuid():
            continue
        fd = _lock(directory)
        if fd is not None:
            run("umount", "-l", directory / "podman/storage/overlay", check=False)
            shutil.rmtree(directory, ignore_errors=True)
            os.close(fd)


def make() -> tuple[Path, int]:
    """Make a lab's directory and lock it until the descriptor is closed."""
    sweep()
    directory = Path(tempfile.mkdtemp(prefix="new-" + PREFIX, dir=base()))
    # All users of the lab's hosts must get to their homes. What is secret has a mode of its own.
    directory.chmod(0o755)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    # Only now may others see it: a sweep would take an unlocked one for a dead lab's.
    return directory.rename(directory.with_name(directory.name[len("new-") :])), fd
