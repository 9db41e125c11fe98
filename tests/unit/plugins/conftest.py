# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout is importable as the collection, wherever it lies."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from ansible.plugins.loader import become_loader, shell_loader

ROOT = Path(__file__).resolve().parents[3]


def _package(name: str, *path: Path) -> None:
    package = types.ModuleType(name)
    package.__path__ = [str(part) for part in path]
    sys.modules.setdefault(name, package)


_package("ansible_collections")
_package("ansible_collections.ansible")
_package("ansible_collections.ansible.netcommon", ROOT)


@pytest.fixture
def become():
    """Make one of ansible-core's become plugins, with a command built as a task would."""

    def make(name, password=None):
        plugin = become_loader.get(name)
        plugin.set_options(direct={"become_pass": password, "become_user": "root"})
        plugin.command = plugin.build_become_command("id", shell_loader.get("sh"))
        return plugin

    return make
