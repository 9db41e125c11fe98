# SPDX-License-Identifier: GPL-3.0-or-later
"""Every scenario of the files beside this one, with our connection and with Ansible's own: whatever works there works here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.playbooks.runner import PYTHON, Ansible, Outcome

from .connections import LIBSSH, WAYS, Scenario, Servers, scenarios

SCENARIOS = scenarios()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_scenario(scenario: Scenario, servers: Servers, ansible: Ansible, tmp_path: Path, record_property):
    """The playbook ends as it says that it will with every connection, and shows nothing else."""
    ways = [way for way in WAYS if way in (scenario.only or WAYS)]
    wrong = []
    for number, turn in enumerate([way] for way in ways) if scenario.alone else enumerate([ways]):
        directory = tmp_path / str(number)
        directory.mkdir()
        hosts(scenario, turn, servers, ansible, directory)
        outcome = play(scenario, ansible)
        results = json.loads(Path(ansible.environment["SCENARIO_RESULTS"]).read_text())
        for way in turn:
            problems = list(objections(scenario, way, outcome, " ".join(results["failures"].get(way, ()))))
            record_property("scenario", (scenario.title, way, not problems, results["seconds"].get(way, 0.0)))
            wrong += problems
        if scenario.quiet and outcome.noise:
            wrong.append("it is not quiet")
        assert not wrong, "\n".join([*wrong, outcome.text])


def hosts(scenario: Scenario, ways: list[str], servers: Servers, ansible: Ansible, directory: Path) -> None:
    """Fill the inventory: the same host once for each way."""
    host = servers.host(scenario.server)
    known_hosts = host.known_hosts_file
    if scenario.known_hosts != "right":
        known_hosts = directory / "known_hosts"
        known_hosts.write_text(host.known_hosts.replace(host.host_keys[0], host.lab.public_key))
        if scenario.known_hosts == "none":
            known_hosts.write_text("")
    ansible.hosts.clear()
    for way in ways:
        (directory / way).mkdir()
        there = f"/var/tmp/{SCENARIOS.index(scenario)}-{way}"
        if host.backend == "netns":
            host.run("install", "-d", "-m", "1777", there)
        ansible.hosts[way] = {
            "ansible_host": host.address,
            "ansible_port": host.port,
            "ansible_user": host.user,
            "ansible_private_key_file": str(host.key),
            "ansible_python_interpreter": PYTHON,
            "here": str(directory / way),
            "there": there,
            "nobody": host.address.rpartition(".")[0] + ".250",
            **WAYS[way].variables(known_hosts, scenario.afresh),
            **(scenario.vars or {}),
        }


def play(scenario: Scenario, ansible: Ansible) -> Outcome:
    """Run the playbook."""
    environment = {name: str(value) for name, value in (scenario.environment or {}).items()}
    return ansible.play(
        scenario.playbook(), *scenario.arguments, quiet=False, timeout=scenario.seconds, environment=environment
    )


def objections(scenario: Scenario, way: str, outcome: Outcome, failures: str) -> Iterator[str]:
    """Tell what is not as the scenario says."""
    recap = outcome.recap(re.escape(way))
    if scenario.recap is None and {"failed", "unreachable"} & set(recap):
        yield f"{way} ends with {recap}"
    if scenario.recap is not None and recap != scenario.recap:
        yield f"{way} ends with {recap}"
    if WAYS[way].plugin == LIBSSH:
        for pattern in scenario.libssh_says:
            if not re.search(pattern, failures):
                yield f"{way} does not say {pattern!r}"
