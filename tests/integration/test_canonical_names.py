# SPDX-License-Identifier: LGPL-2.1-or-later
"""CanonicalizeHostname with a name service that there is, as ``ssh -G`` does it; and Match localnetwork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pylibsshext
from pylibsshext import settings
from pylibsshext.ssh_config import ConfigError
from tests.lab.dns import NameServer
from tests.lab.fixtures import missing

NAMES = {
    "web.example.com": "127.0.0.9",
    "www.example.com": "web.example.com",
    "db.lab.test": "127.0.0.8",
    "a.b.example.com": "127.0.0.7",
    "alias.lab.test": "far.example.org",
    "far.example.org": "127.0.0.6",
    "bare": "web.example.com",
}
BASE = "CanonicalDomains lab.test example.com\nCanonicalizeHostname {}\n"
RULES = "CanonicalizePermittedCNAMEs *.example.com,bare:*.example.com\n"
ON = BASE.format("yes")
BLOCKS = "Host *.example.com\n Port 1001\nHost *.lab.test\n Port 1002\nMatch canonical host web*\n User canonical\nHost www\n User short\n"
CONFIGS = [
    ON,
    ON + RULES,
    ON + "CanonicalizePermittedCNAMEs none\n",
    ON + "CanonicalizeMaxDots 0\n",
    ON + "CanonicalizeMaxDots 2\n",
    ON + "CanonicalizeFallbackLocal no\n",
    ON + "ProxyJump j\n",
    ON + "ProxyCommand none\n" + RULES,
    BASE.format("always") + "ProxyJump j\n" + RULES,
    BASE.format("no") + RULES,
    "CanonicalizeHostname yes\nCanonicalDomains none\n",
    "CanonicalizeHostname yes\n",
    ON + "HostName %h.b\nCanonicalizeMaxDots 1\n",
    ON + "AddressFamily inet6\n",
]
HOSTS = ["www", "WEB", "db", "a.b", "nothing", "web.example.com.", "gone.example.com.", "127.0.0.1", "alias", "bare", "a.b.c.d"]
BOTH = """
import json, subprocess, sys
from pylibsshext import settings
from pylibsshext.errors import LibsshSessionException
for path, host in json.load(sys.stdin):
    done = subprocess.run(["ssh", "-G", "-F", path, "--", host], capture_output=True, text=True)
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    theirs = [said["hostname"], said["user"], int(said["port"])] if done.returncode == 0 else None
    try:
        found = settings.resolve({"host": host, "config_file": path})
        ours = [found["host"], found.get("user", "root"), found.get("port", 22)]
    except LibsshSessionException as exc:
        ours = None
    print(json.dumps([path, host, theirs, ours]))
"""


def environment(home: Path) -> dict[str, str]:
    """Where there is nothing but the library."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(Path(pylibsshext.__path__[0]).parent)}


def test_as_ssh_does(tmp_path):
    """Each host under each configuration leads to the name, the user and the port that it does for OpenSSH."""
    if os.getuid():
        missing("root, for a name service")
    cases = []
    for number, text in enumerate(CONFIGS):
        path = tmp_path / f"config{number}"
        path.write_text(text + BLOCKS)
        cases += [(str(path), host) for host in HOSTS]
    with NameServer(tmp_path, NAMES) as server:
        command = server.resolving(sys.executable, "-c", BOTH)
        done = subprocess.run(
            command, input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=60, env=environment(tmp_path)
        )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(cases)
    for path, host, theirs, ours in results:
        text = Path(path).read_text()
        if theirs is None and "FallbackLocal" not in text:  # ssh looks it up, fails and ends; here connecting does
            assert ours[0].lower() == host.lower(), (host, text)
        else:
            assert ours == theirs, (host, text)
    names = {theirs[0] for _, _, theirs, _ in results if theirs}
    assert {"web.example.com", "www.example.com", "db.lab.test", "www", "a.b.example.com"} <= names


@pytest.mark.parametrize(
    "line",
    [
        "CanonicalizeHostname perhaps",
        "CanonicalizeMaxDots many",
        "CanonicalizeFallbackLocal 2",
        "CanonicalizePermittedCNAMEs a",
    ],
)
def test_values_that_make_no_sense(line):
    """The word is named."""
    with pytest.raises(ConfigError, match=line.split()[0].lower()):
        settings.resolve(
            {
                "host": "h",
                "config_file": "none",
                "ssh_options": ["CanonicalizeHostname yes", "CanonicalDomains invalid", line][::-1],
            }
        )


def test_a_way_that_is_given(monkeypatch):
    """A name that a jump host will look up is not looked up here, unless that is asked for by "always"."""
    asked = []
    monkeypatch.setattr("pylibsshext.transport.canonical_name", lambda name, *_: asked.append(name))
    for canonicalize, way in (("yes", "j"), ("yes", "none"), ("always", "j")):
        lines = [f"CanonicalizeHostname {canonicalize}", f"CanonicalDomains {canonicalize}-{way}.test"]
        found = settings.resolve({"host": "h", "config_file": "none", "ssh_options": lines, "proxy_jump": way})
        assert found["host"] == "h"
    assert asked == ["h.yes-none.test.", "h.always-j.test."]


@pytest.mark.parametrize(
    ("networks", "here"),
    [("127.0.0.0/8", True), ("203.0.113.0/24", False), ("203.0.113.0/24,127.0.0.1/32", True), ("2001:db8::/32,::1/128", True)],
)
def test_local_networks(networks, here):
    """Match localnetwork holds where this machine has an address in one of the networks."""
    lines = [f"Match localnetwork {networks}", "User here", f"Match !localnetwork {networks}", "User there"]
    assert settings.resolve({"host": "h", "config_file": "none", "ssh_options": lines})["user"] == ("here" if here else "there")


def test_local_network_of_an_interface_that_is_down(tmp_path):
    """An address counts while its interface is up; what is no network is named."""
    with pytest.raises(ConfigError, match="nonsense"):
        settings.resolve({"host": "h", "config_file": "none", "ssh_options": ["Match localnetwork nonsense", "User x"]})
    if os.getuid():
        missing("root, for interfaces")
    program = (
        "from pylibsshext import settings;"
        "print('user' in settings.resolve({'host': 'h', 'config_file': 'none', 'ssh_options': ['Match localnetwork 198.51.100.0/24', 'User x']}))"
    )
    for state, expected in (("up", "True"), ("down", "False")):
        script = f'ip link add lan0 type bridge; ip addr add 198.51.100.7/24 dev lan0; ip link set lan0 {state}; exec "$@"'
        command = ["unshare", "--net", "sh", "-ec", script, "sh", sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(tmp_path))
        assert done.stdout.strip() == expected
