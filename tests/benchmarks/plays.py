# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plays and the connection holder: what is measured, with whom, and what must come out (the bounds are the project's own goals)."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from .candidates import OURS, Candidate, named
from .judges import Results, Row, Verdict, ratio
from .runner import ROOT

PLAY = "drive_play.py"
OUR_PLAY = Candidate(OURS.name, PLAY, nodelay=True)
AS_INSTALLED = Candidate(f"{OURS.name}, without connection_plugins", PLAY, nodelay=True)
SSH = Candidate("ssh, ControlPersist", PLAY, nodelay=True)
LOCAL = Candidate("local", PLAY, nodelay=True)
INCUMBENT = Candidate("libssh plugin of netcommon 8, pylibssh 1.4.0", PLAY, nodelay=True)
MITOGEN = Candidate("Mitogen over ssh", PLAY, nodelay=True)
IN_PROCESS = named(f"{OURS.name}, in the process", OURS)
HOLDER = Candidate(OURS.name, "drive_holder.py", nodelay=True)

LIBSSH = "ansible.netcommon.libssh"
COLLECTIONS = ROOT / "build/collections"
PLUGINS = COLLECTIONS / "ansible_collections/ansible/netcommon/plugins/connection"
# What each needs to be told, besides where the hosts are.
SETTINGS = {
    # Ansible imports ssh's plugin before it forks; this has it import ours, too (docs/performance.md).
    OUR_PLAY.name: {
        "connection": LIBSSH,
        "collections": str(COLLECTIONS),
        "environment": {"ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS)},
    },
    AS_INSTALLED.name: {"connection": LIBSSH, "collections": str(COLLECTIONS)},
    SSH.name: {"connection": "ssh"},
    LOCAL.name: {"connection": "local"},
    INCUMBENT.name: {"connection": LIBSSH, "environment": {"ANSIBLE_HOST_KEY_CHECKING": "False"}},
    MITOGEN.name: {"connection": "ssh", "mitogen": True},
}
IDLE_SESSIONS = 500


def judge_raw(results: Results) -> Verdict:
    """Judge: the whole of the play, and what the connection adds to a play without one."""
    whole = ratio(results, "s", OURS.name, SSH.name)
    than_incumbent = ratio(results, "s", OURS.name, INCUMBENT.name) if INCUMBENT.name in results else 0.0
    rounds = zip(results[OURS.name], results[SSH.name], results[LOCAL.name])
    part = median((mine["s"] - local["s"]) / max(0.001, ssh["s"] - local["s"]) for mine, ssh, local in rounds)
    ok = whole <= 0.8 and than_incumbent <= 0.25 and part <= 0.4
    return Verdict(ok, f"{whole:.2f} × ssh's, {than_incumbent:.2f} × the incumbent's; above local {part:.2f} × ssh's")


def than_ssh(wall: float, cpu: float | None = None) -> Callable[[Results], Verdict]:
    """Judge: at most such a part of ssh's time, and of its CPU."""

    def judge(results: Results) -> Verdict:
        time, share = (ratio(results, key, OURS.name, SSH.name) for key in ("s", "cpu_s"))
        return Verdict(time <= wall and (cpu is None or share <= cpu), f"{time:.2f} × ssh's time, {share:.2f} × its CPU")

    return judge


def judge_command(results: Results) -> Verdict:
    """Judge: the way through the holder is short."""
    factor = ratio(results, "ms", OURS.name, IN_PROCESS.name)
    return Verdict(factor <= 1.5, f"{factor:.2f} × a command in the process")


def judge_idle(results: Results) -> Verdict:
    """Judge: many idle sessions cost little memory, and next to no CPU."""
    memory, cpu = (max(run[key] for run in results[OURS.name]) for key in ("MiB", "cpu_%"))
    return Verdict(memory <= 25 + 0.5 * IDLE_SESSIONS and cpu <= 2, f"{memory:.0f} MiB, {cpu:.1f} % of a core")


def play(
    name: str,
    title: str,
    bound: str,
    judge: Callable[[Results], Verdict],
    candidates: list[Candidate],
    tasks: str,
    count: int,
    *,
    pipelining: bool = True,
    hosts: int = 1,
    forks: int = 5,
    size: int = 0,
    rtt: float = 0,
) -> Row:
    """Return the row of a play that has *count* times the *tasks* that the driver knows by this name."""
    options = {"tasks": tasks, "count": count, "pipelining": pipelining, "forks": forks, "size": size}
    own = {candidate.name: SETTINGS[candidate.name] for candidate in candidates}
    return Row(
        *(name, title, bound, "play", "s", judge, candidates, options, own),
        server="MaxSessions 50\nMaxStartups 100",
        rounds=3,
        group="plays",
        also=("cpu_s",),
        hosts=hosts,
        rtt=rtt,
    )


ROWS = [
    play(
        *("play-raw", "40 `raw` tasks, one host (s)", "≤ 0.8 × ssh's, ≤ 0.25 × the incumbent's; above local ≤ 0.4 × ssh's"),
        *(judge_raw, [OUR_PLAY, AS_INSTALLED, SSH, LOCAL, INCUMBENT, MITOGEN], "raw", 40),
    ),
    play(
        *("play-modules", "51 module tasks, one host, pipelining (s)", "≤ ssh's, CPU ≤ 0.85 ×"),
        *(than_ssh(1.0, 0.85), [OUR_PLAY, AS_INSTALLED, SSH, LOCAL, MITOGEN], "modules", 17),
    ),
    play(
        *("play-plain", "51 module tasks, one host, no pipelining (s)", "≤ 0.8 × ssh's"),
        *(than_ssh(0.8), [OUR_PLAY, AS_INSTALLED, SSH], "modules", 17),
        pipelining=False,
    ),
    play(
        *("play-far", "12 module tasks, one host, no pipelining, 50 ms round trip (s)", "≤ 0.8 × ssh's"),
        *(than_ssh(0.8), [OUR_PLAY, AS_INSTALLED, SSH], "modules", 4),
        pipelining=False,
        rtt=0.05,
    ),
    play(
        *("play-hosts", "10 `raw` tasks on each of 40 hosts, 20 forks (s)", "≤ 0.95 × ssh's, CPU ≤ 0.8 ×"),
        *(than_ssh(0.95, 0.8), [OUR_PLAY, AS_INSTALLED, SSH], "raw", 10),
        hosts=40,
        forks=20,
    ),
    play(
        *("play-copy", "20 MiB to each of 50 hosts at once (s)", "≤ ssh's"),
        *(than_ssh(1.0), [OUR_PLAY, AS_INSTALLED, SSH], "copy", 1),
        hosts=50,
        forks=50,
        size=20 << 20,
    ),
    Row(
        *("holder-exec", "exec `true` through the holder (ms)", "≤ 1.5 × in the process", "exec", "ms", judge_command),
        [HOLDER, IN_PROCESS],
        {"count": 100},
        group="plays",
    ),
    Row(
        *("holder-idle", f"the holder with {IDLE_SESSIONS} idle sessions (MiB)", "≤ 25 MiB + 0.5 each, ≤ 2 % of a core"),
        *("idle", "MiB", judge_idle, [HOLDER], {"sessions": IDLE_SESSIONS, "seconds": 10}),
        server="MaxStartups 1000",
        rounds=1,
        group="plays",
        also=("cpu_%",),
    ),
]
