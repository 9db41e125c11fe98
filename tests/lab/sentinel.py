# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pytest plugin that watches the test run itself.

It prints the versions that matter, tells in which test the previous run died (a crash of the interpreter leaves no report),
and fails a run that leaves processes behind.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
from typing import Any

import pytest

from . import processes
from .hosts import run

FEW = 10  # descriptors that pytest itself may open for good during a run


def _library() -> str:
    """What is to be tested, if it is built. Another process looks: this one must live even if the import would crash."""
    look = "import pylibsshext as p; print(p.__version__, 'with libssh', p.__libssh_version__, 'from', p.__path__[0])"
    done = run(sys.executable, "-c", look, check=False)
    said = (done.stdout or done.stderr or f"died: {done.returncode}").strip().splitlines()[-1]
    return f"pylibsshext {said}"


def _openssh() -> str:
    try:
        return run("ssh", "-V").stderr.strip()
    except OSError:
        return "OpenSSH: absent"


def _open_files() -> dict[str, str]:
    """Our descriptors, and what each is."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one that lists the directory
    return found


class Sentinel:
    """The watch over one test run."""

    def __init__(self, config: pytest.Config) -> None:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.running = config.rootpath / config.getini("cache_dir") / f"running-{worker}"
        self.died_in = self.running.read_text() if self.running.exists() else ""
        self.children = set(processes.descendants(os.getpid()))
        self.files = _open_files()
        self.left: list[str] = []

    def pytest_report_header(self) -> list[str]:
        """Print versions, and where the previous run died."""
        lines = [f"{platform.python_implementation()} {platform.python_version()}; {_openssh()}", _library()]
        if self.died_in:
            lines.append(f"!!! the previous run died in {self.died_in}")
        return lines

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note which test runs now."""
        self.running.parent.mkdir(parents=True, exist_ok=True)
        self.running.write_text(nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that leaves processes or descriptors behind."""
        self.running.unlink(missing_ok=True)
        if not session.config.getoption("numprocesses", None):
            self.left = self.look()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["left"] = self.left
        if self.left and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def look(self) -> list[str]:
        """Say what there is of ours that was not there in the beginning."""
        gc.collect()  # an exception that a test has caught is in a cycle with the test's frame, and sessions are there with it
        left = [f"process {pid}: {processes.command(pid)}" for pid in set(processes.descendants(os.getpid())) - self.children]
        files = {name: what for name, what in _open_files().items() if name not in self.files}
        if len(files) > FEW:
            left.append(f"{len(files)} open files: {', '.join(sorted(files.values()))}")
        return left

    @pytest.hookimpl(optionalhook=True)  # of pytest-xdist
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of pytest-xdist has found; it looks after itself, but nobody asks how it ended."""
        self.left += getattr(node, "workeroutput", {}).get("left", [])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what has been left behind."""
        if self.left:
            terminalreporter.section("left behind by the tests", red=True)
            for line in self.left:
                terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch."""
    config.pluginmanager.register(Sentinel(config), "lab-sentinel")
