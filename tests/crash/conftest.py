# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that try to crash the interpreter, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import pylibsshext
from tests.lab import Host

PROGRAMS = Path(__file__).parent / "programs"

Run = Callable[..., Any]


def start(program: str, *args: object, host: Host, home: Path, timeout: float, **env: str) -> subprocess.Popen[str]:
    """Start a program with a home of its own and an allocator that fills what is freed."""
    home.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(Path(pylibsshext.__path__[0]).parent),
        "PYTHONFAULTHANDLER": "1",
        "MALLOC_PERTURB_": "165",
        "CRASH_HOST": json.dumps(host.describe()),
        "CRASH_TIMEOUT": str(timeout),
        **env,
    }
    return subprocess.Popen(
        [sys.executable, str(PROGRAMS / f"{program}.py"), *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=home,
        env=environment,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], timeout: float) -> Any:
    """Wait for a program: no signal, no hang, nothing on stderr; return what it reported, if anything."""
    try:
        out, err = process.communicate(timeout=timeout + 10)  # by itself it ends before, with a traceback of each thread
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"hung:\n{out[-2000:]}\n{err[-8000:]}")
    assert process.returncode == 0, f"ended with {process.returncode}:\n{out[-2000:]}\n{err[-8000:]}"
    assert not err, f"printed to stderr:\n{err[-8000:]}"
    return json.loads(out) if out else None


@pytest.fixture
def crash(sshd: Host, tmp_path: Path) -> Run:
    """Run a program to its end: `crash("methods", "Channel", "closed")`."""

    def run(program: str, *args: object, host: Host | None = None, timeout: float = 90, **env: str) -> Any:
        process = start(program, *args, host=host or sshd, home=tmp_path / "home", timeout=timeout, **env)
        return finish(process, timeout)

    return run
