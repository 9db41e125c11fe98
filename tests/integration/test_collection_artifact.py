# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact as users get it: built, installed by ansible-galaxy, and used without any pylibsshext in Ansible's Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.integration import mux_lab
from tests.integration.playbooks import runner
from tests.lab.fixtures import missing

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = "plugins/module_utils/_pylibsshext_bundle"


def command(*argv, **environment):
    """Run a program with nothing of the caller's Ansible or Python; return what it printed."""
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    done = subprocess.run(list(map(str, argv)), env=variables, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """Return the artifact that `make collection` would make, built anew."""
    output = tmp_path_factory.mktemp("artifact")
    libssh = {name: value for name, value in os.environ.items() if name == "LIBSSH_PREFIX"}
    printed = command(sys.executable, ROOT / "scripts/build_collection.py", output, ANSIBLE_HOME=str(output), **libssh)
    return Path(printed.strip())


@pytest.fixture(scope="module")
def installed(artifact, tmp_path_factory):
    """Return a collections path that has the artifact."""
    path = tmp_path_factory.mktemp("collections")
    galaxy = runner.ansible_bin() / "ansible-galaxy"
    command(
        *(galaxy, "collection", "install", "--offline", "-p", path, artifact),
        ANSIBLE_COLLECTIONS_PATH=str(path),
        ANSIBLE_HOME=str(path / "home"),
    )
    return path


@pytest.fixture(scope="module")
def collection(installed):
    """Return the folder of the installed collection."""
    return installed / "ansible_collections/ansible/netcommon"


@pytest.fixture
def ansible(installed, sshd, tmp_path):
    """Return an Ansible that has the artifact, a host, and no pylibsshext."""
    with mux_lab.own_directory(tmp_path / "mux") as sockets:
        ansible = runner.Ansible(tmp_path, str(installed))
        ansible.environment |= {"PYTHONPATH": "", mux_lab.DIRECTORY: str(sockets)}
        ansible.add(sshd)
        yield ansible


def load(collection, code, *, python=sys.executable, path=""):
    """Run *code* with the installed collection's loader as `bundled`."""
    folder = collection / "plugins/module_utils"
    return command(
        python, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); import _bundled as bundled\n{code}", PYTHONPATH=path
    )


def test_artifact_is_named_for_the_version(artifact):
    """The name says collection and version."""
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    assert artifact.name == f"ansible-netcommon-{version}.tar.gz"


def test_artifact_has_the_collection_and_nothing_else(artifact):
    """Of the checkout only the collection's files are in it, besides the bundle; no source of C, no cache, no test."""
    with tarfile.open(artifact) as archive:
        names = [member.name for member in archive if member.isfile()]
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"FILES.json", "MANIFEST.json", "LICENSES", "README.md", "changelogs", "docs", "meta", "plugins"}
    assert not [name for name in names if name.endswith((".pyx", ".pxd", ".c", ".pyc", ".pyi"))]
    binaries = [name for name in names if name.endswith(".so")]
    assert len(binaries) == 1
    assert binaries[0].startswith(f"{BUNDLE}/_lib/{os.uname().machine}-")


def test_playbook_runs_without_an_installed_library(ansible, collection, sshd):
    """A play runs commands, become and transfers over the bundled library, where Python has no other, and with one login."""
    command(runner.ansible_bin() / "python", "-c", "import importlib.util as u; assert not u.find_spec('pylibsshext')")
    outcome = ansible.passes(
        """
        - raw: echo hello
        - command: id -un
          become: "{{ ansible_user == 'root' }}"
        - copy: {content: "text", dest: "/tmp/.artifact-{{ ansible_port }}"}
        - file: {path: "/tmp/.artifact-{{ ansible_port }}", state: absent}
        """
    )
    assert outcome.recap()["ok"] == 4
    listed = ansible.run("python", str(collection / "plugins/module_utils/_bundled.py"), "mux", "list").text
    assert f"{sshd.user}@{sshd.address}:{sshd.port}" in listed


def test_all_commands_run_without_an_installed_library(ansible, collection, sshd, tmp_path):
    """`_bundled.py` stands for `-m pylibsshext`, in Ansible's own Python: doctor, put and get; a usage line names what was called."""
    program = [str(runner.ansible_bin() / "python"), str(collection / "plugins/module_utils/_bundled.py")]
    settings = tmp_path / "ssh_config"
    settings.write_text(f"IdentityFile {sshd.key}\nUserKnownHostsFile {sshd.known_hosts_file}\nPort {sshd.port}\n")
    report = json.loads(command(*program, "doctor", "--json", "-F", settings, f"{sshd.user}@{sshd.address}"))
    assert report["ok"], report
    assert report["steps"][-1]["step"] == "channels"
    (tmp_path / "sent").write_bytes(os.urandom(99))
    there = f"{sshd.user}@{sshd.address}:{tmp_path}/there"
    command(*program, "put", "-q", "-F", settings, tmp_path / "sent", there)
    command(*program, "get", "-q", "-F", settings, there, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes()
    assert f"usage: python {program[1]} mux" in command(*program, "mux", "--help")


def test_options_are_those_of_the_documentation(collection):
    """What Ansible is told of the options, to save it reading the documentation for each task, is what the documentation says."""
    plugin = collection / "plugins/connection/libssh.py"
    documentation = plugin.read_text().split('DOCUMENTATION = """')[1].split('"""')[0]
    ready = json.loads((plugin.parents[1] / "module_utils/_libssh_options.json").read_text())
    documented = yaml.safe_load(documentation)["options"]
    for_readers = {"description", "version_added"}
    assert ready == {
        name: {word: value for word, value in about.items() if word not in for_readers} for name, about in documented.items()
    }


def test_bundle_and_installed_library_live_side_by_side(collection):
    """A process that uses both has two packages with a core each, under their own names."""
    code = """
ours = bundled.module("session")
import pylibsshext.session as theirs
print(ours.__name__, ours._core.__name__, ours._core.Session is theirs._core.Session)
print(sorted(name for name in sys.modules if name.endswith("._core")))
"""
    ours, cores = load(collection, code, path=str(Path(runner.library_path() or ROOT))).splitlines()
    assert ours == "ansible_netcommon_pylibsshext.session ansible_netcommon_pylibsshext._core False"
    assert cores == "['ansible_netcommon_pylibsshext._core', 'pylibsshext._core']"


def test_installed_library_is_used_where_it_is_preferred(collection):
    """`prefer_installed` takes the installed library, and the bundled one where none is installed."""
    code = "print(bundled.load(prefer_installed=True).__name__)"
    assert load(collection, code, path=str(Path(runner.library_path() or ROOT))).strip() == "pylibsshext"
    assert load(collection, code).strip() == "ansible_netcommon_pylibsshext"


def test_bundled_library_loads_once(collection):
    """A second load, from whatever thread, returns the same package."""
    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(16) as pool:
    print(len({id(package) for package in pool.map(lambda _: bundled.load(), range(64))}))
"""
    assert load(collection, code).strip() == "1"


def test_bundled_library_has_its_own_version_of_libssh(collection):
    """The package tells which libssh is in it."""
    assert "with libssh v0.1" in load(collection, "print(bundled.load().__full_version__)")


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_one_binary_serves_every_python(collection, version):
    """The one binary loads in each Python from 3.11 on that is here."""
    found = subprocess.run([ROOT / "scripts/find-python", version], capture_output=True, text=True, check=False)
    if found.returncode:
        missing(found.stderr)
    assert "Session" in load(collection, "print(bundled.module('session').Session)", python=found.stdout.strip())


def test_documentation_of_the_plugin_can_be_read(ansible):
    """`ansible-doc` shows the connection plugin's options."""
    outcome = ansible.run("ansible-doc", "-t", "connection", "ansible.netcommon.libssh")
    assert outcome.rc == 0
    assert "transfer_method" in outcome.text


def test_what_is_not_in_this_release_says_where_it_is(ansible):
    """Who comes from netcommon 8 with network devices is told to stay there, rather than that nothing was found."""
    for what in (
        ["-e", "ansible_connection=ansible.netcommon.network_cli", "-m", "raw"],
        ["-m", "ansible.netcommon.cli_command"],
    ):
        outcome = ansible.run("ansible", "-i", "localhost,", "localhost", *what, "-a", "command=x")
        assert outcome.rc != 0
        assert "Install 'ansible.netcommon:<9.0.0' for it." in outcome.words
