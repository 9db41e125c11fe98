# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the documentation out of ``docs/``: ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.docs import options  # noqa: E402  it stands on the path above

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "ansible.netcommon and pylibsshext"
author = "The ansible.netcommon contributors"
project_copyright = author
version = release = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]

extensions = ["myst_parser"]
myst_heading_anchors = 3
# `text` in single backticks is code, in the library's docstrings too.
default_role = "code"
pygments_style = "friendly"

html_theme = "furo"
html_title = f"ansible.netcommon {version}"
html_show_sourcelink = False


def setup(app: Sphinx) -> None:
    """Let pages have what is generated, each at its comment."""
    app.connect("source-read", lambda _app, _page, source: source.__setitem__(0, options.fill(source[0])))
