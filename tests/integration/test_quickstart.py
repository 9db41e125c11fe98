# SPDX-License-Identifier: LGPL-2.1-or-later
"""The example of the project's description, `quickstart.py`, runs unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pylibsshext
from tests.lab.fixtures import missing

QUICKSTART = Path(__file__).with_name("quickstart.py")
# The script connects to port 22, and has no known_hosts option: only where it goes, and its home, are ours.
AT_ANOTHER_PORT = """
import runpy, sys
from pylibsshext.session import Session
connect = Session.connect
def elsewhere(self, **kwargs):
    connect(self, **{**kwargs, "port": int(sys.argv[2])})
Session.connect = elsewhere
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture
def run(sshd, tmp_path):
    """Run the script against the shared host, with these variables."""

    def run(**env):
        (tmp_path / ".ssh").mkdir(exist_ok=True)
        (tmp_path / ".ssh" / "known_hosts").write_text(sshd.known_hosts)
        return subprocess.run(
            [sys.executable, "-c", AT_ANOTHER_PORT, str(QUICKSTART), str(sshd.port)],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": str(Path(pylibsshext.__path__[0]).parent),
                "SSH_HOST": sshd.address,
                "SSH_USER": sshd.user,
                **env,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_quickstart(run, sshd):
    """It connects, runs its command, prints the output and disconnects; nothing is on stderr."""
    if not sshd.password:
        missing("root, for hosts with passwords")
    done = run(SSH_PASSWORD=sshd.password)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"Successfully connected to {sshd.address}:22.",
        "Command output: Hello from pylibssh!",
        f"Disconnected from {sshd.address}.",
    ]


def test_quickstart_with_a_wrong_password(run):
    """It says what failed, in the way that its author provided for."""
    done = run(SSH_PASSWORD="wrong")
    assert done.stderr == ""
    assert done.stdout.startswith("Failed to connect to ")
    assert "over SSH: Failed to authenticate" in done.stdout


def test_quickstart_with_an_unknown_host(run, tmp_path):
    """It refuses a host that is not known."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("UserKnownHostsFile /dev/null\nGlobalKnownHostsFile /dev/null\n")
    done = run(SSH_PASSWORD="s3cret")
    assert "unknown" in done.stdout
    assert done.stderr == ""


def test_quickstart_on_port_22(netns_host, tmp_path):
    """The same with nothing at all changed, on a host that listens at port 22."""
    host = netns_host()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(host.known_hosts)
    done = subprocess.run(
        [sys.executable, str(QUICKSTART)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(Path(pylibsshext.__path__[0]).parent),
            "SSH_HOST": host.address,
            "SSH_USER": host.user,
            "SSH_PASSWORD": host.password,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert "Command output: Hello from pylibssh!" in done.stdout
