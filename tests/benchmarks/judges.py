# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a row of the results is, and how one is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .candidates import OURS, Candidate

# One measurement for each round: {candidate: [{"ms": 3.2}, ...]}
Results = Mapping[str, Sequence[Mapping[str, float]]]


NO_BOUND = "no bound"
"""What a row must be that only informs."""


@dataclass(frozen=True)
class Verdict:
    """A row's sentence, and whether it keeps its promise."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Row:
    """One kind of work for some candidates."""

    name: str
    title: str
    bound: str
    work: str
    key: str  # the number that counts, of those that the work yields: it is shown with its name as the unit
    judge: Callable[[Results], Verdict]
    candidates: Sequence[Candidate]
    options: Mapping[str, Any] = field(default_factory=dict)
    own_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    server: str = ""  # lines for sshd_config
    rounds: int = 5
    rtt: float = 0  # seconds that a byte and its answer are on their way
    group: str = "commands"  # the figure that it is part of
    also: Sequence[str] = ()  # further numbers to show
    hosts: int = 1  # servers


def middle(results: Results, who: str, key: str) -> float:
    """Return the median of a candidate's rounds."""
    return median(run[key] for run in results[who])


def ratio(results: Results, key: str, who: str, other: str) -> float:
    """Return the median of the paired ratios who/other: rounds ran side by side, so that the machine's moods cancel out."""
    return median(mine[key] / theirs[key] for mine, theirs in zip(results[who], results[other]))


def no_slower(key: str, slack: float = 1.05) -> Callable[[Results], Verdict]:
    """Judge: ours takes no longer than the quickest other (5 % is what a measurement may err)."""

    def judge(results: Results) -> Verdict:
        peers = [name for name in results if name != OURS.name]
        quickest = min(peers, key=lambda name: middle(results, name, key))
        factor = ratio(results, key, OURS.name, quickest)
        return Verdict(factor <= slack, f"{factor:.2f} × the quickest peer's ({quickest})")

    return judge


def faster(key: str) -> Callable[[Results], Verdict]:
    """Judge: ours has a higher rate than every other."""

    def judge(results: Results) -> Verdict:
        peers = [name for name in results if name != OURS.name]
        quickest = max(peers, key=lambda name: middle(results, name, key))
        factor = ratio(results, key, OURS.name, quickest)
        return Verdict(factor > 1, f"{factor:.2f} × the quickest peer's rate ({quickest})")

    return judge


def at_most(key: str, limit: float, unit: str) -> Callable[[Results], Verdict]:
    """Judge: the worst of our rounds keeps an absolute limit."""

    def judge(results: Results) -> Verdict:
        worst = max(run[key] for run in results[OURS.name])
        return Verdict(worst <= limit, f"at worst {worst:.3g} {unit}")

    return judge


def share_of(key: str, other: Candidate, limit: float) -> Callable[[Results], Verdict]:
    """Judge: ours takes no more than a share of another's."""

    def judge(results: Results) -> Verdict:
        factor = ratio(results, key, OURS.name, other.name)
        return Verdict(factor <= limit, f"{factor:.3f} × {other.name}'s")

    return judge
