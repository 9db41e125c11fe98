# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the documentation works: each page is followed from top to bottom, on hosts that have the names it uses."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

import pylibsshext
from tests.integration import mux_lab
from tests.integration.playbooks import runner
from tests.lab import Lab
from tests.lab.fixtures import missing, new_hosts

from . import blocks, galaxy
from .blocks import Block

ALL = [block for page in blocks.PAGES for block in blocks.blocks(page)]
PAGES = sorted({block.page for block in ALL if not block.not_run})

# The hosts of the documentation, all of which are one. The last can't be reached but from the bastion.
NAMES = "web1 web2 db1 server switch1".split()
INTERNAL = "db2.internal.example.com"
# What a device has, and what a server that the examples write to has.
SETUP = f"""
echo 127.0.0.1 {INTERNAL} >>/etc/hosts
printf '#!/bin/sh\\necho "Version 1.0"\\n' >/usr/local/bin/show
chmod 755 /usr/local/bin/show
mkdir -p /srv/www
cp /etc/services /srv/example.log
chown -R ansible: /srv
"""
INVENTORY = """\
all:
  vars:
    ansible_connection: ansible.netcommon.libssh
    ansible_user: ansible
  hosts:
    web1.example.com:
"""
INSTALLS = "ansible-galaxy collection install"
# As the pages have it: passwords are in a vault.
VAULT = "vault_password: s3cret\nvault_become_password: s3cret\nvault_totp_secret: JBSWY3DPEHPK3PXP\n"


@pytest.fixture(scope="module")
def home(lab: Lab, tmp_path_factory: pytest.TempPathFactory, collections_path: str):
    """A home whose keys the hosts of the documentation know, and which knows them; their names are in its file ``hosts``."""
    if not runner.OTHERS.exists():
        missing(f"other collections: make {runner.OTHERS}/ready")
    home = tmp_path_factory.mktemp("home")
    for new in new_hosts(lab, "netns"):
        server = new(setup=SETUP, sshd_config="ListenAddress 0.0.0.0:2222")
        names = " ".join(f"{name}.example.com" for name in NAMES)
        bastion = new(setup=f"echo {server.address} {INTERNAL} {names} >>/etc/hosts")
        ssh = home / ".ssh"
        ssh.mkdir(mode=0o700)
        for suffix in ("", ".pub"):
            shutil.copy(f"{server.key}{suffix}", ssh / f"id_ed25519{suffix}")
        (home / ".ansible").mkdir()
        (home / ".ansible/collections").symlink_to(collections_path)
        (home / "web1.pub").write_text(f"{server.host_keys[0]}\n")
        (home / "hosts").write_text(f"127.0.0.1 localhost\n{server.address} {names}\n{bastion.address} bastion.example.com\n")
        known = [
            f"{patterns} {key}\n"
            for patterns, host in (
                ("bastion.example.com", bastion),
                ("!bastion.example.com,*.example.com,[*.example.com]:*", server),
            )
            for key in host.host_keys
        ]
        (ssh / "known_hosts").write_text("".join(known))
        (home / "passwd").write_text(re.sub(r"(?m)^(root:.*):.*(:.*)$", rf"\1:{home}\2", Path("/etc/passwd").read_text()))
        yield home


@pytest.fixture(scope="module")
def galaxy_server():
    """Where this collection's artifact can be installed from by its name."""
    artifacts = sorted(blocks.ROOT.glob("build/ansible-netcommon-*.tar.gz"), key=os.path.getmtime)
    if not artifacts:
        missing("the collection's artifact: make collection")
    with galaxy.serve(artifacts[-1]) as server:
        yield server


class Reader:
    """Somebody who does what a page says, in a directory of their own."""

    def __init__(self, directory: Path, home: Path, collections_path: str) -> None:
        self.ansible = runner.Ansible(directory, collections_path)
        self.directory = directory
        self.installed = directory / "collections"
        self.hosts = home / "hosts"
        self.users = home / "passwd"
        library = str(Path(pylibsshext.__path__[0]).parent)
        self.ansible.environment |= {
            "HOME": str(home),
            "PYTHONPATH": library,
            "ANSIBLE_HOME": str(directory / ".ansible"),
            "PATH": f"{Path(sys.executable).parent}:{self.ansible.environment['PATH']}",
        }
        self._write("inventory.yml", INVENTORY)
        self._write("group_vars/all/vault.yml", VAULT)
        self._write("image.bin", "x" * 100_000)
        self._write("web1.pub", (home / "web1.pub").read_text())
        self._write("site/index.html", "<p>It works.</p>\n")

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def follow(self, block: Block, typed: str) -> None:
        """Do what a block of code says. *typed* is all that the page has one type."""
        if block.language == "console":
            if INSTALLS in block.text:
                shutil.rmtree(self.installed, ignore_errors=True)
            for command in block.commands:
                self._run(block, "sh", "-euc", command)
            assert (
                INSTALLS not in block.text or (self.installed / "ansible_collections/ansible/netcommon/MANIFEST.json").exists()
            )
            return
        self._write(block.name, block.text)
        if block.name in typed:
            return
        if block.language == "python":
            self._run(block, "python", block.name)
        elif block.language == "yaml" and block.text.partition("\n")[2].lstrip().startswith("- "):
            self._run(block, "ansible-playbook", "-i", "inventory.yml", block.name)
        else:
            self._run(block, "ansible", "-i", "inventory.yml", "all", "-m", "ansible.builtin.raw", "-a", "id")

    def _run(self, block: Block, *command: str) -> None:
        # Names are looked up in a file of ours, which nobody else sees; and for the ssh program, a home is what a file says.
        script = f'mount --bind {self.hosts} /etc/hosts && mount --bind {self.users} /etc/passwd && exec "$@"'
        unshare = ("--mount", "--propagation", "private", "sh", "-c", script, "sh")
        directory = blocks.ROOT if block.in_checkout else self.directory
        done = self.ansible.run("unshare", *unshare, *command, quiet=False, timeout=90, cwd=directory)
        print(f"{done.seconds:6.2f} s  {' '.join(command)}")
        assert done.rc == 0, f"{block.where}: {' '.join(command)}\n{done.text}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(blocks.ROOT)))
def test_page_can_be_followed(page: Path, home: Path, tmp_path: Path, collections_path: str, galaxy_server: str):
    """Each program and each command ends well, each playbook passes, and each inventory leads to its hosts."""
    with mux_lab.own_directory(tmp_path / "mux") as mux:
        mux.mkdir(mode=0o700)
        directory = tmp_path / "page"
        directory.mkdir()
        reader = Reader(directory, home, collections_path)
        reader.ansible.environment["PYLIBSSHEXT_MUX_DIR"] = str(mux)
        followed = [block for block in blocks.blocks(page) if not block.not_run]
        typed = "\n".join(command for block in followed for command in block.commands)
        if INSTALLS in typed:
            # Then this is all that there is of it.
            reader.ansible.environment["ANSIBLE_COLLECTIONS_PATH"] = str(reader.installed)
            reader.ansible.environment["ANSIBLE_GALAXY_SERVER"] = galaxy_server
        for block in followed:
            reader.follow(block, typed)


@pytest.mark.parametrize("block", ALL, ids=lambda block: block.where)
def test_block_can_be_run(block: Block):
    """Each block is of a kind that is run, and says what file it is; or there is a reason why it isn't run."""
    if block.not_run:
        return
    assert block.language in ("console", "ini", "python", "yaml")
    if block.language == "console":
        assert block.commands
    else:
        assert block.name, f"{block.where} doesn't begin with a comment that names its file"
        if block.language == "python":
            compile(block.text, block.where, "exec")


def test_all_blocks_are_run():
    """What isn't run may be wrong without being noticed; but these tests can't run themselves."""
    excused = [block.text for block in ALL if block.not_run]
    assert excused == ["$ make test\n"]
