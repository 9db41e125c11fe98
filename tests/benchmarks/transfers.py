# SPDX-License-Identifier: LGPL-2.1-or-later
"""Transfers: what is measured, with whom, and what must come out (the bounds are the project's own goals)."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from .candidates import ALL_PEERS, OURS, Candidate, best_of, c_loop, incumbent_best, named, openssh
from .judges import Results, Row, Verdict, middle, ratio

MIB = 1 << 20
ALONE = named(f"{OURS.name}, one at a time", OURS)

PEERS = best_of(ALL_PEERS)
# 1.4.0's put takes 20 minutes for a gibibyte without TCP_NODELAY: its best is measured.  Peers that are slow anyway get less to do.
LESS = {
    incumbent_best.name: {"size": 64 * MIB},
    "ssh-python +nodelay": {"size": 64 * MIB},
    "paramiko +nodelay": {"size": 256 * MIB},
    "asyncssh": {"size": 256 * MIB},
    "ssh2-python +nodelay": {"size": 256 * MIB},
}


def than_openssh(times: float, cpu: float | None = None, memory: float = 64) -> Callable[[Results], Verdict]:
    """Judge: so many times OpenSSH's rate with such a part of its CPU, flat memory, ahead of the others, close to the floor."""

    def judge(results: Results) -> Verdict:
        factor = ratio(results, "MB/s", OURS.name, openssh.name)
        share = ratio(results, "cpu_s", OURS.name, openssh.name)
        growth = max(run["growth_MiB"] for run in results[OURS.name])
        others = [name for name in results if name not in {OURS.name, c_loop.name}]
        best = max(others, key=lambda name: middle(results, name, "MB/s"))
        first = best == openssh.name or ratio(results, "MB/s", OURS.name, best) > 1
        floor = ratio(results, "MB/s", OURS.name, c_loop.name) if c_loop.name in results else 1
        ok = factor >= times and (cpu is None or share <= cpu) and growth < memory and first and floor >= 0.9
        text = f"{factor:.2f} × {openssh.name}'s rate, {share:.2f} × its CPU, grows by {growth:.0f} MiB"
        if c_loop.name in results:
            text += f", {floor:.2f} × the rate of the C loop"
        return Verdict(ok, text if first else f"{text}; {best} is ahead")

    return judge


def judge_at_once(results: Results) -> Verdict:
    """Judge: eight at once are well over one's rate."""
    factor = median(many["MB/s"] / one["MB/s"] for many, one in zip(results[OURS.name], results[ALONE.name]))
    return Verdict(factor >= 1.5, f"{factor:.2f} × one transfer's rate")


def row(
    name: str,
    title: str,
    bound: str,
    way: str,
    judge: Callable[[Results], Verdict],
    candidates: list[Candidate],
    size: int,
    rtt: float = 0,
    count: int = 0,
    rounds: int = 3,
) -> Row:
    """Return the row for a file of *size* bytes, or for a tree of *count* such files."""
    options = {"way": way, "size": size * (count or 1), "count": count}
    group, also = name.rpartition("-")[0], ["cpu_s/GB"]
    return Row(
        name, title, bound, "transfer", "MB/s", judge, candidates, options, LESS, rounds=rounds, rtt=rtt, group=group, also=also
    )


def both_ways(
    name: str, title: str, bound: str, judge: Callable[[Results], Verdict], *rest: object, **more: object
) -> list[Row]:
    """Return the rows for put and get."""
    scp = "scp-" if name == "scp" else ""
    return [
        row(f"{name}-{way}", f"{title} {way} (MB/s)", bound, scp + way, judge, *rest, **more)  # type: ignore[arg-type]
        for way in ("put", "get")
    ]


ROWS = [
    *both_ways(
        "sftp",
        "SFTP 1 GiB",
        "≥ 1.3 × `sftp`, CPU ≤ 0.6 ×, memory < 64 MiB, faster than every peer, ≥ 0.9 × a C loop on libssh",
        than_openssh(1.3, 0.6),
        [OURS, openssh, c_loop, *PEERS],
        1024 * MIB,
    ),
    *both_ways(
        "wan",
        "SFTP 256 MiB, 50 ms round trip,",
        "≥ 3 × `sftp`",
        than_openssh(3),
        [OURS, openssh],
        256 * MIB,
        rtt=0.05,
    ),
    *both_ways(
        "tree",
        "SFTP 500 × 4 KiB,",
        "no slower than `sftp -r`",
        than_openssh(1),
        [OURS, openssh],
        4096,
        count=500,
    ),
    *both_ways(
        "tree-wan",
        "SFTP 500 × 4 KiB, 20 ms round trip,",
        "≥ 10 × `sftp -r`",
        than_openssh(10),
        [OURS, openssh],
        4096,
        count=500,
        rtt=0.02,
        rounds=1,
    ),
    *both_ways(
        "scp",
        "SCP 256 MiB",
        "no slower than `scp -O`",
        than_openssh(1, memory=1024),
        [OURS, openssh],
        256 * MIB,
        rounds=5,
    ),
    Row(
        "at-once",
        "SFTP put by 8 threads at once (MB/s)",
        "≥ 1.5 × one transfer's rate",
        "at_once",
        "MB/s",
        judge_at_once,
        [OURS, ALONE],
        {"way": "put", "size": 128 * MIB, "count": 0, "threads": 8},
        {ALONE.name: {"threads": 1}},
        group="at-once",
    ),
]
