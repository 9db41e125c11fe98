# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m tests.benchmarks [NAME...]``: measure, print the table, keep it with figures in docs/benchmarks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import commands, plays, report, runner, transfers

ROWS = [*commands.ROWS, *transfers.ROWS, *plays.ROWS]


def main() -> int:
    """Run the rows that are asked for; the exit status says whether all keep their promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="This project beside its peers")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(row.name for row in ROWS)}; all by default")
    parser.add_argument("--rounds", type=int, help="how often each candidate gets its turn")
    parser.add_argument("--peers", type=Path, help="an environment that has the peers; by default one is made")
    parser.add_argument(
        "--output", type=Path, default=runner.ROOT / "docs/benchmarks", help="where the results go, beside what is there"
    )
    parser.add_argument("--draw", action="store_true", help="measure nothing: make table and figures anew")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    python = (arguments.peers or runner.make_peers()) / "bin" / "python"
    where = report.machine(python)
    known = report.load(arguments.output)
    if arguments.draw:
        report.save(arguments.output, ROWS, known, python)
        return 0
    missed = 0
    for row in ROWS:
        if arguments.names and row.name not in arguments.names:
            continue
        results, failures = runner.run(python, row, arguments.rounds or row.rounds)
        verdict = row.judge(results)
        missed += not verdict.ok
        known[row.name] = report.entry(row, verdict, results, failures, where)
        print(known[row.name]["line"], file=sys.stderr)
        known = {one.name: known[one.name] for one in ROWS if one.name in known}
        report.save(arguments.output, ROWS, known, python)
    print(report.table(known))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
