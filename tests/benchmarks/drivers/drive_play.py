# SPDX-License-Identifier: LGPL-2.1-or-later
"""One run of ansible-playbook: ``python drive_play.py play JSON``, in an environment that has Ansible.

What is measured is what a user waits for, from an ``ansible-playbook`` that finds no login to the end of its play.  The CPU is that of
the run, its workers, the programs that they start, and what keeps the logins (the connection holder, ssh's master): the whole controller.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
# Three tasks each time, on another file, so that each has something to do.
MODULES = """
    - command: 'true'
      changed_when: false
    - copy: {{content: "{number}", dest: "{place}/f{number}", mode: "0600"}}
    - stat: {{path: "{place}/f{number}"}}
"""
TASKS = {
    "raw": lambda number, place: "    - raw: 'true'\n      changed_when: false\n",
    "modules": lambda number, place: MODULES.format(number=number, place=place),
    "copy": lambda number, place: f"    - copy: {{src: {place}/source, dest: '{place}/{{{{ ansible_port }}}}'}}\n",
}


def playbook(options: dict, place: Path) -> str:
    """Return the play: *count* times one kind of task."""
    tasks = "".join(TASKS[options["tasks"]](number, place) for number in range(options["count"]))
    return f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}"


def inventory(options: dict) -> dict:
    """Return the hosts, with what each connection plugin has to know."""
    ssh = options["connection"] == "ssh"
    hosts = {
        f"h{number}": {
            "ansible_host": host["address"],
            "ansible_port": host["port"],
            "ansible_user": host["user"],
            "ansible_private_key_file": host["key"],
            "ansible_libssh_known_hosts_file": host["known_hosts"],
            **({"ansible_ssh_common_args": f"-o UserKnownHostsFile={host['known_hosts']}"} if ssh else {}),
        }
        for number, host in enumerate([options["host"], *options["host"]["others"]])
    }
    variables = {
        "ansible_connection": options["connection"],
        "ansible_pipelining": options["pipelining"],
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    return {"all": {"hosts": hosts, "vars": variables}}


def environment(options: dict, place: Path) -> dict[str, str]:
    """Return nothing of the caller's own Ansible."""
    found = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(place / "home"),
        "XDG_RUNTIME_DIR": str(place / "run"),
        "LANG": "C.UTF-8",
        "ANSIBLE_HOME": str(place / "home/.ansible"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(place / "cp"),
        "ANSIBLE_FORKS": str(options["forks"]),
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
    }
    if options.get("collections"):
        found["ANSIBLE_COLLECTIONS_PATH"] = options["collections"]
    if options.get("mitogen"):
        package = importlib.util.find_spec("ansible_mitogen").submodule_search_locations[0]
        found |= {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": f"{package}/plugins/strategy"}
    return {**found, **options.get("environment", {})}


def end_daemons() -> None:
    """End what outlives the run, and was handed to this process for that, so that its CPU is counted."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for pid in map(int, children):
            os.kill(pid, signal_number)
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            try:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.01)
            except ChildProcessError:
                return


def run(options: dict, place: Path) -> dict:
    """Run the play once; return what it took."""
    for name in ("home", "run", "cp"):
        (place / name).mkdir(mode=0o700)
    if options.get("size"):
        (place / "source").write_bytes(os.urandom(options["size"]))
    (place / "play.yml").write_text(playbook(options, place))
    (place / "hosts.json").write_text(json.dumps(inventory(options)))
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [str(program), "-i", str(place / "hosts.json"), str(place / "play.yml")]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=place, env=environment(options, place), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    end_daemons()
    if done.returncode:
        fatal = [line for line in (done.stdout + done.stderr).splitlines() if "fatal:" in line or "ERROR" in line]
        raise RuntimeError("\n".join(fatal)[-2000:] or done.stdout[-2000:])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"s": seconds, "cpu_s": used.ru_utime + used.ru_stime}


def main() -> None:
    """Do what the command line says."""
    options = json.loads(sys.argv[2])
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    place = Path(tempfile.mkdtemp(prefix="play"))
    try:
        print(json.dumps(run(options, place)))
    finally:
        shutil.rmtree(place)


main()
