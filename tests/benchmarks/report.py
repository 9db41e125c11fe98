# SPDX-License-Identifier: LGPL-2.1-or-later
"""Results as a Markdown table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Any

import pylibsshext

from .judges import Row, Verdict
from .runner import Run

Entry = dict[str, Any]
HEAD = """\
# Measurements

Written by `make bench`: medians of rounds in which all candidates took turns, so that what the machine did besides hit them alike; the ratios
are medians of the paired ones. "+nodelay" is a library with TCP_NODELAY set on the socket that it was given.
"""
VERSIONS = """
from importlib import metadata
print(", ".join(f"{name} {metadata.version(name)}" for name in ("paramiko", "asyncssh", "ssh2-python", "ssh-python")))
"""


def machine(python: Path) -> str:
    """Say where and with what the numbers came about."""
    processor = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr.strip()
    peers = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True).stdout.strip()
    pythons = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    date = time.strftime("%Y-%m-%d", time.gmtime())
    ours = pylibsshext.__full_version__.strip("<>")
    return f"{date}, {os.cpu_count()} × {processor}, Linux {platform.release()}, {pythons}; {ssh}; {ours}; {peers}"


def numbers(row: Row, results: dict[str, list[Run]], failures: dict[str, str]) -> str:
    """Return every candidate's median, the best first; its spread where it is wide."""
    rate = "MB/s" in row.key
    middles = {name: median(run[row.key] for run in runs) for name, runs in results.items()}
    parts = [f"{name} {value:.3g}" for name, value in sorted(middles.items(), key=lambda item: item[1], reverse=rate)]
    return "; ".join(parts + [f"{name}: failed" for name in failures])


def line(row: Row, verdict: Verdict, results: dict[str, list[Run]], failures: dict[str, str]) -> str:
    """Return a row of the table."""
    result = f"**{'PASS' if verdict.ok else 'MISS'}** {verdict.text}"
    return f"| {row.title} | {row.bound} | {result} | {numbers(row, results, failures)} |"


def entry(row: Row, verdict: Verdict, results: dict[str, list[Run]], failures: dict[str, str], where: str) -> Entry:
    """Return all that is kept of a row: the line of the table, where it was measured, and every single measurement."""
    text = line(row, verdict, results, failures)
    return {"ok": verdict.ok, "line": text, "where": where, "results": results, "failures": failures}


def table(entries: dict[str, Entry]) -> str:
    """Return the whole table, and below it where and with what it came about."""
    head = ["| work, loopback | must be | result | medians |", "|---|---|---|---|"]
    places = dict.fromkeys(one["where"] for one in entries.values())
    return "\n".join([*head, *(one["line"] for one in entries.values()), "", *places, ""])


def load(directory: Path) -> dict[str, Entry]:
    """Return the rows that were measured before."""
    try:
        known: dict[str, Entry] = json.loads((directory / "results.json").read_text())
    except FileNotFoundError:
        return {}
    return known


def save(directory: Path, entries: dict[str, Entry]) -> None:
    """Write both forms of the results."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.md").write_text(f"{HEAD}\n{table(entries)}")
    (directory / "results.json").write_text(json.dumps(entries, indent=1) + "\n")
