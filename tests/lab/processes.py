# SPDX-License-Identifier: LGPL-2.1-or-later
"""Find and end processes, and leave none behind.

Run as a program this file is the *reaper*: it collects clean-up steps on its standard input and takes them, last one first,
when the input ends. It ends when the lab closes, and also when the lab is killed and can close nothing any more.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

MARK = "SSH_LAB"  # every process that a host's user starts has this in its environment


def _stat(pid: int) -> tuple[str, int, int] | None:
    """State, parent and start time of a process, or None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[19])


def started(pid: int) -> int:
    """When a process started, in ticks since boot: tells it from a later one with the same number (0: there is none)."""
    found = _stat(pid)
    return found[2] if found else 0


def parent(pid: int) -> int:
    """The parent of a process (0: there is no such process)."""
    found = _stat(pid)
    return found[1] if found else 0


def command(pid: int) -> str:
    """The command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    found = _stat(pid)
    return found is not None and found[0] not in "ZX"


def everyone() -> list[int]:
    """All process numbers that can be seen from here."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def descendants(root: int) -> list[int]:
    """The living children of a process, theirs, and so on: parents first."""
    children: dict[int, list[int]] = {}
    for pid in everyone():
        found = _stat(pid)
        if found and found[0] not in "ZX":
            children.setdefault(found[1], []).append(pid)
    tree = [root]
    for pid in tree:
        tree.extend(sorted(children.get(pid, []), key=started))
    return tree[1:]


def marked(mark: str) -> list[int]:
    """The processes whose environment says that they belong to one lab."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in everyone():
        try:
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and alive(pid):
                found.append(pid)
        except OSError:
            continue  # gone, or another user's
    return found


def send(sig: signal.Signals, *pids: int) -> None:
    """Signal processes; those that have gone are passed over."""
    for pid in pids:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            continue


def kill_tree(root: int) -> None:
    """Kill a process and all its descendants."""
    send(signal.SIGKILL, root, *descendants(root))


class Reaper:
    """The lab's end of the reaper process."""

    def __init__(self) -> None:
        # A session of its own: Ctrl-C ends the tests, and the reaper must outlive them.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def _add(self, step: str, argument: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([step, argument]) + "\n")
        self._process.stdin.flush()

    def kill(self, pid: int) -> None:
        """In the end kill this process and its descendants."""
        self._add("kill", [pid, started(pid)])

    def kill_marked(self, mark: str) -> None:
        """In the end kill all processes that carry the mark."""
        self._add("kill_marked", mark)

    def run(self, *argv: object, env: dict[str, str] | None = None) -> None:
        """In the end run this command."""
        self._add("run", [[str(part) for part in argv], env])

    def remove(self, directory: Path) -> None:
        """In the end remove this directory with all that is in it."""
        self._add("remove", str(directory))

    def close(self) -> None:
        """Take all steps now."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def _kill(target: list[int]) -> None:
    pid, since = target
    if since and started(pid) == since:
        kill_tree(pid)


def _run(target: list[Any]) -> None:
    argv, env = target
    subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=50, check=False)


STEPS: dict[str, Callable[[Any], object]] = {
    "kill": _kill,
    "kill_marked": lambda mark: send(signal.SIGKILL, *marked(mark)),
    "run": _run,
    "remove": lambda path: shutil.rmtree(path, ignore_errors=True),
}


def main() -> None:
    """Collect steps until the input ends or the parent has gone; then take them."""
    parent = os.getppid()
    lines = b""
    # The parent's number is watched too: a process that it forked may hold the pipe open after its death.
    while os.getppid() == parent:
        if select.select([0], [], [], 1.0)[0]:
            chunk = os.read(0, 65536)
            if not chunk:
                break
            lines += chunk
    for line in reversed(lines.splitlines()):
        step, argument = json.loads(line)
        try:
            STEPS[step](argument)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"lab reaper: {step} {argument}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
