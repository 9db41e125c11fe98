# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agent forwarding: a command on the host logs in to a further one with a key that is only here."""

from __future__ import annotations

import gc
import os
import threading
import time

import pytest

from pylibsshext.mux.client import MuxSession
from tests.lab import agents
from tests.lab.works import works

from . import mux_lab
from .conftest import login


@pytest.fixture
def agent(lab, tmp_path, monkeypatch):
    """An agent that holds the lab's key."""
    with agents.ssh_agent(tmp_path, lab.key) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        yield path


@pytest.fixture
def hop(sshd):
    """A command that goes on to the same server with nothing but the agent."""
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": sshd.known_hosts_file,
        "IdentityFile": "none",
        "BatchMode": "yes",
    }
    words = " ".join(f"-o {name}={value}" for name, value in options.items())
    return f"ssh -F none {words} -p {sshd.port} {sshd.user}@{sshd.address} echo there"


def test_a_second_hop(sshd, connect, agent, hop):
    """It logs in by the forwarded agent, several at a time, and can't without forwarding."""
    without = connect(sshd).exec_command(hop)
    assert (without.returncode, without.stdout) == (255, b"")
    session = connect(sshd, forward_agent=True)
    for _ in range(3):
        done = session.exec_command(hop, timeout=20)
        assert (done.returncode, done.stdout) == (0, b"there\n"), done.stderr
    done = session.exec_command(f"({hop})& ({hop})& ({hop})& wait", timeout=30)
    assert done.stdout == b"there\n" * 3, done.stderr
    works("agent forwarding", sshd)


def test_another_agents_socket(sshd, connect, agent, monkeypatch):
    """The socket may be named; what is listed through it is what the agent holds."""
    monkeypatch.delenv("SSH_AUTH_SOCK")
    session = connect(sshd, forward_agent=agent)
    assert b"SHA256:" in session.exec_command("ssh-add -l", timeout=20).stdout


def test_by_ssh_config(sshd, connect, agent, tmp_path):
    """ForwardAgent yes does it, too."""
    config = tmp_path / "config"
    config.write_text("ForwardAgent yes\n")
    assert b"SHA256:" in connect(sshd, config_file=str(config)).exec_command("ssh-add -l", timeout=20).stdout


def test_without_an_agent(sshd, connect, monkeypatch, caplog):
    """Nothing is forwarded, the log says why, and commands run."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert connect(sshd, forward_agent=True).exec_command("echo $SSH_AUTH_SOCK").stdout == b"\n"
    assert "SSH_AUTH_SOCK is not set" in caplog.text


def test_an_agent_that_dies(sshd, connect, agent, tmp_path):
    """The remote side gets an end instead of an answer, and the session goes on."""
    session = connect(sshd, forward_agent=agent)
    os.rename(agent, tmp_path / "gone")
    assert session.exec_command("ssh-add -l", timeout=20).returncode != 0
    os.rename(tmp_path / "gone", agent)
    assert session.exec_command("ssh-add -l", timeout=20).returncode == 0


def test_nothing_is_left(sshd, connect, agent):
    """Neither a closed nor a forgotten session leaves a thread behind."""
    from pylibsshext.session import Session

    before = threading.active_count()
    connect(sshd, forward_agent=True).close()
    forgotten = Session()
    forgotten.connect(**login(sshd, forward_agent=True))
    del forgotten
    gc.collect()
    end = time.monotonic() + 5
    while threading.active_count() > before:
        assert time.monotonic() < end, threading.enumerate()
        time.sleep(0.05)


def test_through_the_holder(sshd, agent, hop, tmp_path):
    """The holder forwards this user's agent, and keeps sessions with and without it apart."""
    with mux_lab.own_directory(tmp_path / "mux"):
        keywords = login(sshd)
        with MuxSession(5) as session:
            session.connect(**keywords, forward_agent=True)
            done = session.exec_command(hop, timeout=20)
            assert done.stdout == b"there\n", done.stderr
        with MuxSession(5) as session:
            session.connect(**keywords)
            assert not session.reused
            assert session.exec_command(hop, timeout=20).returncode == 255
