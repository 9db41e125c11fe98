# SPDX-License-Identifier: GPL-3.0-or-later
"""The loader of the library without a bundle; with one, tests/integration/test_collection_artifact.py tries it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADER = ROOT / "plugins/module_utils/_bundled.py"


@pytest.fixture
def checkout(tmp_path):
    """Return the loader as a collection without a bundle has it."""
    path = tmp_path / "plugins/module_utils/_bundled.py"
    path.parent.mkdir(parents=True)
    path.write_bytes(LOADER.read_bytes())
    return path


def run(loader, code, *pythonpath):
    """Run *code* with the loader as `bundled`, in an interpreter that finds only what *pythonpath* has."""
    begin = f"import sys; sys.path[:0] = {[str(loader.parent), *map(str, pythonpath)]}; import _bundled as bundled\n"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", begin + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ERROR = """
try:
    bundled.load()
except ImportError as exc:
    print(exc.name, exc)
"""


def test_installed_library_serves_a_collection_without_one(checkout):
    """A checkout's plugins run on the library that is installed."""
    assert run(checkout, "print(bundled.load().__name__, bundled.module('errors').__name__)", ROOT) == (
        "pylibsshext pylibsshext.errors"
    )


def test_error_names_both_that_are_missing(checkout):
    """Without a bundle and without an installed library, the error says so of both, and what to do."""
    text = run(checkout, ERROR)
    assert text.startswith("pylibsshext ")
    assert "carries no compiled pylibsshext" in text
    assert f"no pylibsshext is installed for {sys.executable}" in text
    assert "pip install ansible-pylibssh" in text


def test_error_names_the_machine(checkout):
    """A bundle for other machines: the error says for which it is, and which this one is."""
    (checkout.parent / "_pylibsshext_bundle/_lib/riscv64-glibc").mkdir(parents=True)
    tag = run(checkout, "print(bundled.platform_tag())")
    text = run(checkout, ERROR)
    assert "on riscv64-glibc" in text
    assert f"not for Python {sys.version_info[0]}.{sys.version_info[1]} on {tag}" in text


def test_library_that_is_too_old_is_refused(checkout, tmp_path):
    """An installed 1.4.0 is named with its version, not used."""
    package = tmp_path / "site/pylibsshext"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '1.4.0'\n__version_info__ = (1, 4, 0)\n")
    text = run(checkout, ERROR, package.parent)
    assert "pylibsshext 1.4.0 is installed" in text
    assert "needs 2.0 or newer" in text


def test_platform_tag_tells_the_libc(checkout):
    """The folder of a binary is named for processor and C library."""
    assert run(checkout, "import os; print(bundled.platform_tag() == os.uname().machine + '-glibc')") == "True"


@pytest.mark.parametrize("module", ["ansible", "platform", "subprocess", "pylibsshext"])
def test_import_of_the_loader_is_light(checkout, module):
    """Importing the loader loads nothing that costs time: it happens in each worker of Ansible, for each task."""
    assert run(checkout, f"print({module!r} in sys.modules)", ROOT) == "False"


def test_loader_is_a_module_that_stands_alone():
    """ansible-test imports each of module_utils by itself, with the standard library alone."""
    spec = importlib.util.spec_from_file_location("alone", LOADER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.load)
