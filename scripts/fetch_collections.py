# SPDX-License-Identifier: GPL-3.0-or-later
"""fetch_collections.py DIRECTORY: put there what the tests use of other collections.

The package index has them as parts of the distribution ``ansible``, of which nothing else is unpacked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PARTS = (
    "ansible_collections/ansible/posix/",
    "ansible_collections/community/general/MANIFEST.json",
    "ansible_collections/community/general/plugins/become/",
)


def fetch(directory: Path) -> None:
    """Unpack them into *directory*, which Ansible can have as a collections path then."""
    with tempfile.TemporaryDirectory(prefix="ansible-") as scratch:
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", scratch]
        subprocess.run([*download, "ansible"], check=True)
        (wheel,) = Path(scratch).iterdir()
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(directory, [name for name in archive.namelist() if name.startswith(PARTS)])


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
