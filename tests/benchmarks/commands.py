# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands and connections: what is measured, with whom, and what must come out (the bounds are the project's own goals)."""

from __future__ import annotations

import math
from statistics import median

from .candidates import ALL_PEERS, OURS, best_of, incumbent, incumbent_best, named
from .judges import NO_BOUND, Results, Row, Verdict, at_most, faster, no_slower, ratio, share_of


def judge_stream(results: Results) -> Verdict:
    """Judge: 1 GB as fast per byte as 100 MB, in the same memory."""
    name = OURS.name
    growth = max(run["growth_MiB"] for run in results[name])
    linear = ratio(results, "MB/s", name, f"{name}, 100 MB")
    ok = growth < 16 and linear > 0.85
    return Verdict(ok, f"{linear:.2f} × the rate of 100 MB, grows by {growth:.1f} MiB")


def judge_threads(results: Results) -> Verdict:
    """Judge: ten times the incumbent's rate, and no thread kept waiting."""
    factor = 1 / ratio(results, "s", OURS.name, incumbent.name)
    alone = 1 / ratio(results, "exec_s", OURS.name, incumbent.name)
    stall = median(run["stall_ms"] for run in results[OURS.name])
    return Verdict(factor >= 10 and stall <= 20, f"{factor:.1f} × (without connecting {alone:.1f} ×), stall {stall:.1f} ms")


GCM = "Ciphers aes128-gcm@openssh.com"
SMALL = {incumbent.name: {"size": 10_000_000}, incumbent_best.name: {"size": 10_000_000}}
OUTPUT = {"size": 100_000_000}
SHORTER = named(f"{OURS.name}, 100 MB", OURS)

ROWS = [
    Row(
        "exec",
        "exec `true`, one session (ms)",
        "no slower than the quickest peer",
        "exec",
        "ms",
        no_slower("ms"),
        [OURS, *ALL_PEERS],
        {"count": 40},
        rounds=12,
    ),
    Row(
        "output",
        "100 MB of stdout, default ciphers (MB/s)",
        "faster than every peer",
        "output",
        "MB/s",
        faster("MB/s"),
        [OURS, *best_of(ALL_PEERS)],
        OUTPUT,
        SMALL,
    ),
    Row(
        "output-gcm",
        "100 MB of stdout, AES-GCM for all (MB/s)",
        "faster than every peer",
        "output",
        "MB/s",
        faster("MB/s"),
        [OURS, *best_of(ALL_PEERS)],
        OUTPUT,
        SMALL,
        GCM,
    ),
    Row(
        "stream",
        "1 GB of stdout, streamed (MB/s)",
        "linear, flat memory",
        "stream",
        "MB/s",
        judge_stream,
        [OURS, SHORTER],
        {"size": 1_000_000_000},
        {SHORTER.name: {"size": 100_000_000}},
        rounds=3,
    ),
    Row(
        "threads",
        "8 threads × 50 `true`, a session each (s)",
        "≥ 10 × 1.4.0, no thread stalled over 20 ms",
        "threads",
        "s",
        judge_threads,
        [OURS, incumbent, incumbent_best],
        {"threads": 8, "count": 50},
        rounds=3,
    ),
    Row(
        "sleep",
        "CPU while a command sleeps (% of a core)",
        "≤ 1 %",
        "sleep",
        "cpu_%",
        at_most("cpu_%", 1, "%"),
        [OURS, *best_of(ALL_PEERS)],
        {"seconds": 3},
        rounds=2,
    ),
    Row(
        "interrupt",
        "Ctrl-C during a wait (ms late)",
        "≤ 300 ms",
        "interrupt",
        "ms",
        at_most("ms", 300, "ms"),
        [OURS, incumbent],
        {"seconds": 4},
        rounds=3,
    ),
    Row(
        "timeout",
        "time-out of a wait (ms late)",
        "≤ 300 ms",
        "timeout",
        "ms",
        at_most("ms", 300, "ms"),
        [OURS],
        {"seconds": 4},
        rounds=3,
    ),
    Row(
        "connect",
        "connect + key, default algorithms (CPU ms)",
        "≤ 0.5 × 1.4.0's CPU",
        "connect",
        "cpu_ms",
        share_of("cpu_ms", incumbent, 0.5),
        [OURS, incumbent, *[peer for peer in best_of(ALL_PEERS) if peer is not incumbent_best]],
        {"count": 10},
    ),
    Row(
        "import",
        "`import pylibsshext` (ms)",
        "no slower than 1.4.0's",
        "import",
        "ms",
        share_of("ms", incumbent, 1.05),
        [OURS, incumbent],
        {"module": "pylibsshext"},
        rounds=11,
    ),
    Row(
        "import-session",
        "`import pylibsshext.session`, with all that connects and logs in (ms)",
        NO_BOUND,
        "import",
        "ms",
        share_of("ms", incumbent, math.inf),
        [OURS, incumbent],
        {"module": "pylibsshext.session"},
        rounds=11,
    ),
]
