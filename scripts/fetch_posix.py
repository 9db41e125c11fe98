# SPDX-License-Identifier: GPL-3.0-or-later
"""fetch_posix.py DIRECTORY: put the collection ansible.posix there, for the tests.

The package index has it as a part of the distribution ``ansible``, of which nothing else is unpacked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PART = "ansible_collections/ansible/posix/"


def fetch(directory: Path) -> None:
    """Unpack the collection into *directory*, which Ansible can have as a collections path then."""
    with tempfile.TemporaryDirectory(prefix="ansible-") as scratch:
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", scratch]
        subprocess.run([*download, "ansible"], check=True)
        (wheel,) = Path(scratch).iterdir()
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(directory, [name for name in archive.namelist() if name.startswith(PART)])


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
