# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts and Ansibles of the scenarios, and the table at the end."""

from __future__ import annotations

import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import mux_lab
from tests.integration.playbooks import runner
from tests.lab.fixtures import missing
from tests.lab.lab import Lab

from .connections import HERE, WAYS, Servers


@pytest.fixture(scope="session")
def servers(lab: Lab) -> Iterator[Servers]:
    """Give the hosts of servers.yml."""
    problem = lab.unusable("netns")
    if problem:
        missing(f"hosts for the scenarios: {problem}")
    servers = Servers(lab)
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[runner.Ansible]:
    """One Ansible for all scenarios, so that logins are kept from one to the next as a user's are."""
    directory = tmp_path_factory.mktemp("ansible")
    if not runner.OTHERS.exists():
        missing(f"other collections: make {runner.OTHERS}/ready")
    one = runner.Ansible(directory, runner.collections(tmp_path_factory.mktemp("collections")))
    # A socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="cp") as sockets, mux_lab.own_directory(directory / "mux") as mux:
        one.environment |= {
            "PYLIBSSHEXT_MUX_DIR": str(mux),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
            "ANSIBLE_BECOME_PLUGINS": str(HERE / "become_plugins"),
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "scenario",
            "SCENARIO_RESULTS": str(directory / "results.json"),
        }
        yield one
        for path in Path(sockets).iterdir():
            subprocess.run(["ssh", "-O", "exit", "-S", str(path), "any"], check=False, capture_output=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which scenario passed with which connection, and in how many seconds."""
    rows: dict[str, dict[str, tuple[bool, float]]] = defaultdict(dict)
    for reports in terminalreporter.stats.values():
        for report in reports:
            for kind, value in getattr(report, "user_properties", ()):
                if kind == "scenario" and report.when == "call" and report.outcome != "rerun":
                    name, way, passed, seconds = value
                    rows[name][way] = passed, seconds
    if not rows:
        return
    line = "{:56}" + " {:>18}" * len(WAYS)
    terminalreporter.section("scenarios: seconds of their tasks")
    terminalreporter.write_line(line.format("", *WAYS))
    for name, row in sorted(rows.items()):
        cells = [f"{'pass' if row[way][0] else 'FAIL'} {row[way][1]:6.1f}" if way in row else "-" for way in WAYS]
        terminalreporter.write_line(line.format(name[:56], *cells))
    common = [row for row in rows.values() if len(row) == len(WAYS) and all(passed for passed, _ in row.values())]
    totals = [f"{sum(row[way][1] for row in common):6.1f}" for way in WAYS]
    terminalreporter.write_line(line.format(f"total of the {len(common)} that passed with all", *totals))
