# SPDX-License-Identifier: LGPL-2.1-or-later
"""Results as a Markdown table, as figures, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pylibsshext

from .judges import NO_BOUND, Row, Verdict
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
    parts = [ranking(results, row.key), *(f"{key}: {ranking(results, key)}" for key in row.also)]
    return "<br>".join(parts + [f"{name}: failed" for name in failures])


def ranking(results: dict[str, list[Run]], key: str) -> str:
    """Return the medians of one number, the best first."""
    middles = {name: median(run[key] for run in runs) for name, runs in results.items()}
    ordered = sorted(middles.items(), key=lambda item: item[1], reverse="MB/s" in key)
    return "; ".join(f"{name} {value:.3g}" for name, value in ordered)


def line(row: Row, verdict: Verdict, results: dict[str, list[Run]], failures: dict[str, str]) -> str:
    """Return a row of the table."""
    result = verdict.text if row.bound == NO_BOUND else f"**{'PASS' if verdict.ok else 'MISS'}** {verdict.text}"
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


def figures(rows: Sequence[Row], entries: dict[str, Entry]) -> list[dict[str, Any]]:
    """Return what `plots` draws: one figure for each group of rows, a panel for each number of a row."""
    made: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.name not in entries:
            continue
        one = entries[row.name]
        figure = made.setdefault(row.group, {"name": row.group, "where": one["where"], "panels": []})
        for key in (row.key, *row.also):
            candidates = {name: [run[key] for run in runs] for name, runs in one["results"].items()}
            judged = {"bound": row.bound, "ok": one["ok"]} if key == row.key else {"bound": "", "ok": None}
            figure["panels"].append({"title": row.title, "unit": key, "candidates": candidates, **judged})
    return list(made.values())


def save(directory: Path, rows: Sequence[Row], entries: dict[str, Entry], python: Path) -> None:
    """Write the results in all their forms; *python* has matplotlib."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = figures(rows, entries)
    plots = [python, Path(__file__).with_name("plots.py"), directory]
    subprocess.run(plots, input=json.dumps(drawn), text=True, check=True)
    pictures = "\n\n".join(f"![{figure['name']}]({figure['name']}.svg)" for figure in drawn)
    (directory / "results.md").write_text(f"{HEAD}\n{table(entries)}\n{pictures}\n")
    (directory / "results.json").write_text(json.dumps(entries, indent=1) + "\n")
