# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the candidates in turn, each piece of work in a process of its own, against one throw-away sshd."""

from __future__ import annotations

import contextlib
import filecmp
import json
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab.links import Relay

from .candidates import OURS, Candidate
from .judges import Row

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = Path(__file__).resolve().parent / "drivers"
OUR_DRIVERS = {OURS.driver, "drive_holder.py"}
PATIENCE = 300

Run = dict[str, float]


def make_peers() -> Path:
    """Make the environment of the peers if it is missing or out of date; return it."""
    directory = ROOT / "build" / "bench" / "peers"
    requirements = Path(__file__).with_name("peers.txt")
    made_from = directory / "made-from.txt"
    if not made_from.exists() or made_from.read_text() != requirements.read_text():
        print(f"installing the peers into {directory}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        subprocess.run([directory / "bin" / "python", "-m", "pip", "install", "-q", "-r", requirements], check=True)
        made_from.write_text(requirements.read_text())
    return directory


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory for files, in memory where there is plenty of it: a disk's moods are not what is measured."""
    shm = Path("/dev/shm")
    roomy = shm.is_dir() and shutil.disk_usage(shm).free > 8 << 30
    with tempfile.TemporaryDirectory(prefix="bench", dir=shm if roomy else None) as name:
        yield Path(name)


def touch_memory() -> None:
    """Use most of the free memory once: a guest's first use of a page takes much longer than any other, and would be one candidate's."""
    with open("/proc/meminfo", encoding="ascii") as file:
        (available,) = (int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:"))
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    mmap.mmap(-1, available * 3 // 4, flags=flags).close()


def make_source(place: Path, size: int, count: int) -> Path:
    """Make what is to be copied: a file of *size* random bytes, or a tree of *count* files that are as long together."""
    source = place / "source"
    if source.is_dir():
        shutil.rmtree(source)
    source.unlink(missing_ok=True)
    if not count:
        block = os.urandom(1 << 20)
        with source.open("wb") as file:
            for _ in range(size >> 20):
                file.write(block)
        return source
    for number in range(count):
        part = source / f"d{number % 10}" / f"f{number}"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(os.urandom(size // count))
    return source


@contextlib.contextmanager
def far(host: dict[str, Any], rtt: float) -> Iterator[dict[str, Any]]:
    """Give the same host at the end of a longer line."""
    if not rtt:
        yield host
        return
    with Relay((host["address"], host["port"]), rtt=rtt) as relay, tempfile.NamedTemporaryFile("w") as known:
        known.writelines(f"[{relay.address}]:{relay.port} {key}\n" for key in host["host_keys"])
        known.flush()
        yield {**host, "address": relay.address, "port": relay.port, "known_hosts": known.name}


@contextlib.contextmanager
def server(config: str, hosts: int) -> Iterator[dict[str, Any]]:
    """Run some sshd for the time of a block; give the first one's description with the text of the login key, and all others."""
    lab = subprocess.Popen(
        [sys.executable, "-m", "tests.lab", "serve", "--sshd-config", config, "--hosts", str(hosts)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert lab.stdin is not None
    assert lab.stdout is not None
    with lab:
        try:
            host: dict[str, Any]
            host, *others = json.loads(lab.stdout.readline())
            host["others"] = others
            # Only a throw-away key, so a driver may have it on its command line.
            host["key_text"] = Path(host["key"]).read_text()
            yield host
        finally:
            lab.stdin.close()


def measure(python: Path, candidate: Candidate, row: Row, host: dict[str, Any]) -> Run:
    """Let one candidate do a row's work once."""
    options = {**row.options, **row.own_options.get(candidate.name, {}), "host": host, "nodelay": candidate.nodelay}
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # Installed packages have their modules compiled; a checkout gets its own in the first of all runs.
    env["PYTHONPYCACHEPREFIX"] = str(ROOT / "build" / "bench" / "pycache")
    if candidate.driver in OUR_DRIVERS:
        env["PYTHONPATH"] = str(ROOT)
    with contextlib.ExitStack() as stack:
        if "way" in options:
            place = stack.enter_context(scratch())
            options["source"] = str(make_source(place, options["size"], options["count"]))
            options["target"] = str(place / "target")
        result = drive(python, candidate, row, options, env)
        if row.work == "transfer" and not same(options["source"], options["target"]):
            raise RuntimeError(f"{candidate.name} did not copy {row.name} rightly")
        return result


def same(source: str, target: str) -> bool:
    """Tell whether a file or a tree has arrived as it was."""
    if not os.path.isdir(source):
        return filecmp.cmp(source, target, shallow=False)
    names = sorted(str(path.relative_to(source)) for path in Path(source).rglob("f*"))
    return filecmp.cmpfiles(source, target, names, shallow=False)[0] == names


def drive(python: Path, candidate: Candidate, row: Row, options: dict[str, Any], env: dict[str, str]) -> Run:
    """Run a driver and return what it measured."""
    command = [python, DRIVERS / candidate.driver, row.work, json.dumps(options)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise RuntimeError(f"{candidate.name} can't do {row.name}: {done.stderr.strip()[-800:]}")
    result: Run = json.loads(done.stdout)
    return result


def run(python: Path, row: Row, rounds: int) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """Run a row's candidates by turns, so that what the machine does besides hits all alike; return results and failures."""
    results: dict[str, list[Run]] = {}
    failures: dict[str, str] = {}
    if "way" in row.options:
        touch_memory()
    with server(row.server, row.hosts) as near, far(near, row.rtt) as host:
        for number in range(rounds):
            for candidate in row.candidates:
                if candidate.name in failures:
                    continue
                print(f"{row.name} {number + 1}/{rounds}: {candidate.name}", file=sys.stderr)
                try:
                    results.setdefault(candidate.name, []).append(measure(python, candidate, row, host))
                except (RuntimeError, subprocess.TimeoutExpired) as exc:
                    if candidate.name == OURS.name:
                        raise
                    failures[candidate.name] = str(exc)
                    results.pop(candidate.name, None)
    return results, failures
