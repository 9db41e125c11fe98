# SPDX-License-Identifier: LGPL-2.1-or-later
"""Imports go one way: connection plugin, its module_utils, the library's modules, the compiled core."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = sorted((ROOT / "pylibsshext").rglob("*.py"))
MODULE_UTILS = sorted((ROOT / "plugins/module_utils").rglob("*.py"))
PLUGINS = sorted(path for path in (ROOT / "plugins").rglob("*.py") if path not in MODULE_UTILS)


def name(path: Path) -> str:
    """Return a file's name for the test report."""
    return str(path.relative_to(ROOT))


def imports(path: Path) -> list[tuple[int, str]]:
    """Return (level, module) of each import; "from . import x" counts as an import of .x."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.level, node.module))
        elif isinstance(node, ast.ImportFrom):
            found += [(node.level, alias.name) for alias in node.names]
    return found


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_library_knows_neither_its_own_name_nor_ansible(path):
    """The library imports itself relatively only, so that it works under any name, and nothing of Ansible."""
    absolute = {module.partition(".")[0] for level, module in imports(path) if level == 0}
    assert not absolute & {"pylibsshext", "ansible", "ansible_collections", "plugins", "tests"}


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_library_does_not_import_out_of_itself(path):
    """No relative import climbs out of the package."""
    depth = len(path.relative_to(ROOT / "pylibsshext").parts)
    assert all(level <= depth for level, _ in imports(path))


@pytest.mark.parametrize("path", sorted((ROOT / "pylibsshext").rglob("*.py[xd]")), ids=name)
def test_core_stands_on_declarations_only(path):
    """What is compiled takes C from _c, and of the library's Python nothing but its exceptions."""
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:1] == ["from"] and words[1].startswith("."):
            target = words[1].lstrip(".") or words[3]
            assert target.partition(".")[0] in {"_c", "errors", "logging"} or path.parent.name == "_c", line


@pytest.mark.parametrize("path", MODULE_UTILS, ids=name)
def test_module_utils_know_no_plugin(path):
    """module_utils import no plugin, no Display and nothing else of the controller's side of Ansible."""
    modules = {module for _, module in imports(path)}
    assert not {module for module in modules if module.startswith(("ansible.plugins", "ansible.utils", "connection"))}


@pytest.mark.parametrize("path", [*MODULE_UTILS, *PLUGINS], ids=name)
def test_collection_gets_the_library_by_its_loader(path):
    """Nothing but the loader imports pylibsshext; all others ask it, and so get the bundled copy."""
    importers = {module.partition(".")[0] for level, module in imports(path) if level == 0}
    assert "pylibsshext" not in importers


@pytest.mark.parametrize("path", [*MODULE_UTILS, *PLUGINS], ids=name)
def test_collection_uses_public_names(path):
    """Of the library that the loader gives them, plugins use public names only."""
    assert not re.findall(r"(?:library|_bundled)\._(?!_)\w+", path.read_text())
