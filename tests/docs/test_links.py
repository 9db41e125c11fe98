# SPDX-License-Identifier: GPL-3.0-or-later
"""Links lead somewhere, also in the file that Sphinx does not see."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import blocks


@pytest.mark.parametrize("page", blocks.PAGES, ids=lambda page: str(page.relative_to(blocks.ROOT)))
def test_relative_links_lead_to_files(page: Path):
    """What a page of the repository links to in the repository is there."""
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
