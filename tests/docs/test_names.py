# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation names nothing that there isn't."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts.docs import options

from . import blocks

# Variables that no plugin documents, and the folder of collections.
OTHERS = {"ansible_connection", "ansible_shell_type", "ansible_shell_executable", "ansible_collections"}


def known() -> set[str]:
    """All variables, environment variables and options that we read, that others have, and that ansible-core documents."""
    names = set(OTHERS)
    for plugin in (options.ours(), *options.theirs().values()):
        names |= {source for option in plugin.values() for source in option.sources}
    spec = find_spec("ansible")
    (core,) = spec.submodule_search_locations
    for path in [*Path(core, "plugins").rglob("*.py"), Path(core, "config/base.yml")]:
        names |= set(re.findall(r"name: \"?((?:ansible|ANSIBLE)_\w+)", path.read_text()))
    return names


@pytest.mark.parametrize("page", blocks.PAGES, ids=lambda page: str(page.relative_to(blocks.ROOT)))
def test_variables_exist(page: Path):
    """Each variable of Ansible's that a page names is one that is read."""
    named = set(re.findall(r"\b(?:ansible|ANSIBLE)_[A-Za-z_0-9]*[A-Za-z0-9]\b(?!\*)", page.read_text()))
    assert named - known() == set()
