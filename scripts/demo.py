#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run examples/demo.yml against a throw-away OpenSSH server on 127.0.0.1, with the collection in ANSIBLE_COLLECTIONS_PATH."""

from __future__ import annotations

import contextlib
import filecmp
import grp
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILE_SIZE = 32 * 1024 * 1024
# The lab gives a root user's server two more accounts. This one may use sudo only with its password.
SUDO_USER = "nopw"
CONFIG = """\
[defaults]
callback_plugins = {callbacks}
stdout_callback = stopwatch
home = {home}
"""


@contextlib.contextmanager
def server() -> Iterator[dict[str, Any]]:
    """A server that ends, and takes its files with it, when we do."""
    command = [sys.executable, "-m", "tests.lab", "serve"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as lab:
        hosts = lab.stdout.readline() if lab.stdout else ""
        if not hosts:
            sys.exit("error: the demo's sshd did not start")
        host: dict[str, Any] = json.loads(hosts)[0]
        yield host


def inventory(host: dict[str, Any], file: Path) -> dict[str, Any]:
    """What Ansible has to know about the server."""
    as_root = host["password"] is not None
    may_sudo = shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    variables = {
        "ansible_host": host["address"],
        "ansible_port": host["port"],
        "ansible_user": SUDO_USER if as_root else host["user"],
        "ansible_private_key_file": host["key"],
        "ansible_libssh_known_hosts_file": host["known_hosts"],
        "ansible_python_interpreter": shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable,
        "demo_become": bool(as_root or may_sudo),
        "demo_file": str(file),
        "demo_folder": "~",
    }
    if as_root:
        variables["ansible_become_password"] = host["password"]
    else:  # "~" is a real user's home, in which nothing shall be left
        remote = file.with_name("remote")
        remote.mkdir()
        variables |= {
            "demo_folder": str(remote),
            "ansible_remote_tmp": str(remote / "tmp"),
            "ansible_ssh_use_tty": terminals_are_ready(),
        }
    return {"all": {"hosts": {"demo": variables}}}


def terminals_are_ready() -> bool:
    """Whether new terminals are of the group tty, as sshd wants them: in some containers they aren't, and only root can change that."""
    ours, theirs = os.openpty()
    try:
        return os.fstat(theirs).st_gid == grp.getgrnam("tty").gr_gid
    except KeyError:  # then sshd doesn't mind
        return True
    finally:
        os.close(ours)
        os.close(theirs)


def stop_holder(environment: dict[str, str]) -> None:
    """End the process that keeps the login for runs that will not come."""
    collection = Path(environment["ANSIBLE_COLLECTIONS_PATH"]) / "ansible_collections/ansible/netcommon"
    command = [sys.executable, str(collection / "plugins/module_utils/_bundled.py"), "mux", "stop"]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)


def play(folder: Path) -> int:
    """Start the server, run the playbook, compare what came back."""
    file = folder / "image.bin"
    file.write_bytes(os.urandom(FILE_SIZE))
    with server() as host:
        hosts = folder / "inventory.json"
        hosts.write_text(json.dumps(inventory(host, file)))
        config = folder / "ansible.cfg"
        config.write_text(CONFIG.format(callbacks=ROOT / "scripts/callback_plugins", home=folder / "ansible"))
        environment = {**os.environ, "ANSIBLE_CONFIG": str(config), "PYLIBSSHEXT_MUX_DIR": str(folder / "mux")}
        program = Path(sys.executable).with_name("ansible-playbook")
        command = [str(program), "-i", str(hosts), str(ROOT / "examples/demo.yml"), *sys.argv[1:]]
        status = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
        stop_holder(environment)
    for method in "sftp", "scp":
        copy = file.with_name(f"{file.name}.{method}")
        if status == 0 and not filecmp.cmp(file, copy, shallow=False):
            sys.exit(f"error: what came back over {method} is not what was sent")
    return status


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        status = play(Path(name))
    if status:
        sys.exit(status)
    print(
        f"\n{FILE_SIZE >> 20} MiB went there and back over sftp and over scp, and came back the same. The server and all "
        f"files are gone.\n{time.monotonic() - began:.1f} s in all."
    )


if __name__ == "__main__":
    main()
