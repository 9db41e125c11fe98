# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's pytest plugins, seen from outside: pytest runs as a program on tests made up here."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).resolve().parents[2]
RunPytest = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_pytest(tmp_path: Path) -> RunPytest:
    """Run pytest with the lab's plugins on one file of this text."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(text: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(textwrap.dedent(text))
        inherited = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_XDIST_WORKER")}
        plugins = ["-p", "tests.lab.fixtures", "-p", "tests.lab.sentinel"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, "-rs", *arguments, "test_it.py"],
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_header_tells_versions(run_pytest: RunPytest) -> None:
    """The head of the report says what is tested, with what."""
    said = run_pytest("def test_nothing(): pass").stdout
    assert f"CPython {sys.version.split()[0]}; OpenSSH_" in said
    assert "\npylibsshext " in said


def test_missing_skips_here_and_fails_in_ci(run_pytest: RunPytest) -> None:
    """What is absent skips a test on a developer's machine, and is a failure in CI."""
    text = """
        from tests.lab.fixtures import missing
        def test_it(): missing("the moon")
    """
    here, ci = run_pytest(text), run_pytest(text, CI="1")
    assert (here.returncode, ci.returncode) == (0, 1)
    assert "missing: the moon" in here.stdout
    assert "missing in CI: the moon" in ci.stdout


def test_the_next_run_tells_where_one_died(run_pytest: RunPytest) -> None:
    """After a run that crashed the next one names the test in which it did; after a good run nothing is said."""
    crash = "def test_crash():\n    import os\n    os.abort()\n"
    assert run_pytest(crash).returncode < 0
    assert "the previous run died in test_it.py::test_crash" in run_pytest("def test_nothing(): pass").stdout
    assert "the previous run died" not in run_pytest("def test_nothing(): pass").stdout


@pytest.mark.parametrize("workers", ["0", "2"])
def test_processes_left_behind_fail_the_run(run_pytest: RunPytest, workers: str) -> None:
    """A test that leaves a process behind passes, but the run does not, and names it; so in a worker of pytest-xdist."""
    text = """
        import subprocess
        left = []
        def test_it(): left.append(subprocess.Popen(["sleep", "5"]))
    """
    done = run_pytest(text, "-n", workers)
    assert done.returncode == 1
    assert "sleep 5" in done.stdout
    assert "1 passed" in done.stdout


def test_files_left_open_fail_the_run(run_pytest: RunPytest) -> None:
    """So does one that leaves many files open."""
    done = run_pytest("""
        import os
        def test_it(): [os.open("/dev/zero", os.O_RDONLY) for _ in range(50)]
    """)
    assert done.returncode == 1
    assert "/dev/zero" in done.stdout


def test_hosts_are_gone_after_a_failed_test(run_pytest: RunPytest) -> None:
    """A test that fails in the middle leaves no host behind."""
    done = run_pytest("""
        def test_it(new_sshd):
            host = new_sshd()
            print("directory", host.lab.directory)
            assert not host
    """)
    assert "left behind" not in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("directory ")]
    assert not Path(line.split()[1]).exists()
