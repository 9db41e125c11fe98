# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: the first thing that a newcomer runs."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from .runner import ROOT

# As for anybody who is not root: without the right to mount, the demo's server has no accounts of its own, and without that to change
# owners it can't hand out terminals, where new ones are not of the group tty.
POOR = """
mount -t devpts -o newinstance,mode=620,ptmxmode=666 devpts /dev/pts
mount --bind /dev/pts/ptmx /dev/ptmx
exec setpriv --bounding-set=-sys_admin,-chown "$@"
"""


@pytest.mark.parametrize("without", [[], ["unshare", "--mount", "sh", "-euc", POOR, "sh"]], ids=["accounts", "own account"])
def test_it_works_and_leaves_nothing_behind(without: list[str], collections_path: str, tmp_path: Path):
    """Files go there and back, and neither the homes nor the directory of temporary files keep any of them."""
    homes = [tmp_path, Path(pwd.getpwuid(os.geteuid()).pw_dir)]
    before = [set(home.iterdir()) for home in homes]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": collections_path,
        "ANSIBLE_BECOME_ALLOW_SAME_USER": "true",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    demo = [*without, sys.executable, str(ROOT / "scripts/demo.py")]
    done = subprocess.run(demo, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "32 MiB went there and back over sftp and over scp" in done.stdout
    assert done.stdout.count("changed  copy a file") == 2
    assert "ok       run it as another user" in done.stdout
    assert [set(home.iterdir()) for home in homes] == before
