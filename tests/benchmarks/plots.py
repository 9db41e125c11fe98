# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws results: ``python plots.py DIRECTORY``, with the figures as JSON on standard input.

It runs in the peers' environment, which has matplotlib, and imports nothing of this repository.  A figure is {"name", "where",
"panels"}, a panel {"title", "unit", "bound", "ok", "candidates"}, and a candidate has its measurements of each round.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from statistics import median

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.fonttype"] = "none"  # text stays text: a tenth of the size, and it can be searched
mpl.rcParams["svg.hashsalt"] = "bench"  # the same numbers make the same file
mpl.rcParams["font.size"] = 8

from matplotlib import pyplot as plt  # noqa: E402  the backend comes first

OURS, THEIRS, FLOOR = "#0b6e4f", "#9aa5b1", "#c98b2b"
COLUMNS = 2


def colour(name: str) -> str:
    """Return the colour of a candidate's bar."""
    return OURS if name.startswith("ours") else FLOOR if name.startswith("C loop") else THEIRS


def draw_panel(axes: plt.Axes, panel: dict) -> None:
    """Draw the medians as bars, best first, with the range of the rounds as a whisker."""
    more_is_better = "MB/s" in panel["unit"]
    middles = {name: median(values) for name, values in panel["candidates"].items()}
    order = sorted(middles, key=middles.__getitem__, reverse=not more_is_better)
    places = range(len(order))
    axes.barh(places, [middles[name] for name in order], color=[colour(name) for name in order], height=0.7)
    for place, name in enumerate(order):
        values = panel["candidates"][name]
        axes.plot([min(values), max(values)], [place, place], color="#333333", linewidth=0.8)
        axes.text(max(values), place, f" {middles[name]:.3g}", va="center", ha="left")
    axes.set_yticks(list(places), order)
    axes.set_xlim(0, 1.18 * max(max(values) for values in panel["candidates"].values()) or 1)
    mark = "" if panel["ok"] is None else ("✓ " if panel["ok"] else "✗ ")
    axes.set_title("\n".join([panel["title"], *textwrap.wrap(mark + panel["bound"], 60)]), fontsize=8, loc="left")
    axes.set_xlabel(f"{panel['unit']} ({'more' if more_is_better else 'less'} is better)")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw(figure: dict, directory: Path) -> None:
    """Draw one figure."""
    panels = figure["panels"]
    rows = -(-len(panels) // COLUMNS)
    bars = max(len(panel["candidates"]) for panel in panels)
    picture, grid = plt.subplots(
        rows, COLUMNS, figsize=(11, rows * (1.3 + 0.21 * bars) + 0.5), squeeze=False, layout="constrained"
    )
    for axes, panel in zip(grid.flat, panels):
        draw_panel(axes, panel)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    picture.supxlabel("\n".join(textwrap.wrap(figure["where"], 150)), fontsize=6.5, color="#555555")
    picture.savefig(directory / f"{figure['name']}.svg", metadata={"Date": None})
    plt.close(picture)


def main() -> None:
    """Draw all figures."""
    for figure in json.load(sys.stdin):
        draw(figure, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
