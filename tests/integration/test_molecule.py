# SPDX-License-Identifier: GPL-3.0-or-later
"""The Molecule scenario of the collection: create, prepare, converge, idempotence, verify and destroy, over our connection."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.lab import podman
from tests.lab.fixtures import missing
from tests.lab.lab import Lab

from .playbooks.runner import ROOT, ansible_bin, collections, library_path

STEPS = ["syntax", "create", "prepare", "converge", "idempotence", "verify", "destroy"]


def test_molecule(tmp_path: Path, lab: Lab):
    """Every step succeeds, nothing is changed by the second converge, and our plugin has no warning for Molecule's settings."""
    program = Path(sys.executable).with_name("molecule")
    problem = podman.unusable() or ("" if program.exists() else "molecule is not installed")
    if problem:
        missing(problem)
    environment = {
        **os.environ,
        "PATH": f"{ansible_bin()}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": library_path(),
        "ANSIBLE_COLLECTIONS_PATH": collections(tmp_path),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(lab.directory / "molecule"),  # podman wants a short path
        "PYLIBSSHEXT_MUX_DIR": str(tmp_path / "mux"),
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        [program, "test"],
        cwd=ROOT / "extensions",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    for step in STEPS:
        assert re.search(rf"{step}\W.*Successful", done.stdout), (step, done.stdout)
    assert "can't honour" not in done.stdout
    left = subprocess.run(["pgrep", "-f", "/scenario/sshd.sh|ListenAddress 127.0.0.1:4220"], capture_output=True, check=False)
    assert left.returncode == 1, left.stdout
