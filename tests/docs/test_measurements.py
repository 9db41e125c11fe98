# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation says of speed is what was measured."""

from __future__ import annotations

import pytest

from tests.benchmarks import report
from tests.benchmarks.__main__ import ROWS

from .blocks import ROOT

DIRECTORY = ROOT / "docs/benchmarks"
ENTRIES = report.load(DIRECTORY)
MEASURED = [row for row in ROWS if row.name in ENTRIES]


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: row.name)
def test_line_follows_from_measurements(row):
    """Each line of the table, its verdict included, is what today's code makes of the single measurements."""
    entry = ENTRIES[row.name]
    verdict = row.judge(entry["results"])
    assert entry["line"] == report.line(row, verdict, entry["results"], entry["failures"])
    assert entry["ok"] == verdict.ok


def test_page_has_the_table():
    """The page is made of these lines."""
    assert set(ENTRIES) == {row.name for row in MEASURED}
    assert report.table(ENTRIES) in (DIRECTORY / "results.md").read_text()
