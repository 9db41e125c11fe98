# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples do what they say, on a real host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pylibsshext

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def start(sshd, tmp_path):
    """Start an example as a user would, for whom the shared host is called `lab`."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(
        f"Host lab lab2\n HostName {sshd.address}\n Port {sshd.port}\n User {sshd.user}\n"
        f" UserKnownHostsFile {sshd.known_hosts_file}\n IdentityFile {sshd.key}\n"
    )

    def start(name, *words):
        return subprocess.Popen(
            [sys.executable, EXAMPLES / name, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": str(Path(pylibsshext.__path__[0]).parent),
            },
        )

    return start


def test_run_command(start, sshd):
    """Both streams and the exit status come through."""
    process = start("run_command.py", f"{sshd.user}@lab", "echo out; echo err >&2; exit 5")
    assert process.communicate(timeout=60) == ("out\n", "err\n")
    assert process.returncode == 5


def test_run_command_that_fails(start):
    """A failure is one line."""
    process = start("run_command.py", "nowhere.invalid", "true")
    out, err = process.communicate(timeout=60)
    assert (out, err.count("\n")) == ("", 1)
    assert "nowhere.invalid" in err


def test_follow_log(start, tmp_path):
    """What is added to the file appears; Ctrl-C ends it."""
    path = tmp_path / "a log"
    path.write_text("old\n")
    process = start("follow_log.py", "lab", path)
    assert process.stdout.readline() == "old\n"
    with path.open("a") as file:
        file.write("new\n")
    assert process.stdout.readline() == "new\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 130


def test_many_hosts(start):
    """Each host answers in a line, also one that can't."""
    process = start("many_hosts.py", "echo here", "lab", "nowhere.invalid", "lab2")
    lines = process.communicate(timeout=60)[0].splitlines()
    assert (lines[0], lines[2]) == ("lab: [0] here", "lab2: [0] here")
    assert lines[1].startswith("nowhere.invalid: ")
