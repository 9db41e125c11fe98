#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection's artifact, with a compiled copy of the library in it: ``build/ansible-netcommon-<version>.tar.gz``.

This Python compiles; ``LIBSSH_PREFIX`` says which libssh goes in. ``ansible-galaxy`` has to be beside it or on PATH.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import yaml

ROOT = Path(__file__).resolve().parent.parent
COLLECTION = ("README.md", "galaxy.yml", "meta", "plugins", "docs", "changelogs", "LICENSES")
COMPILED = (".so", ".dylib")


def loader() -> ModuleType:
    """Return the collection's loader, which knows how the bundle is laid out."""
    path = ROOT / "plugins/module_utils/_bundled.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compile_library(package: str, work: Path) -> Path:
    """Compile the library under the name *package* in *work*; return the package's folder.

    Cython enters a module into ``sys.modules`` by the name it was compiled under, so a copy by another name is compiled anew.
    """
    shutil.copytree(ROOT / "pylibsshext", work / package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("setup.py", "scripts/exports.map"):
        (work / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, work / name)
    environment = {**os.environ, "PYLIBSSHEXT_PACKAGE": package}
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=work, env=environment, check=True)
    return work / package


def bundle(compiled: Path, target: Path, tag: str) -> None:
    """Lay the compiled package out as the loader wants it: Python files in one tree, binaries in a folder per platform."""
    shutil.copytree(compiled, target / compiled.name, ignore=shutil.ignore_patterns("_c", "*.pyx", "*.pyi", "py.typed", "*.so"))
    (target / "_lib" / tag).mkdir(parents=True)
    for path in compiled.iterdir():
        if path.suffix in COMPILED:
            shutil.copy(path, target / "_lib" / tag)


def stage(tree: Path) -> None:
    """Copy the collection's own files."""
    for name in COLLECTION:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "_pylibsshext_bundle"))
        elif source.exists():
            shutil.copy(source, tree / name)


# What of an option's documentation is not for Ansible's loader.
_FOR_READERS = ("description", "version_added")


def write_options(tree: Path) -> None:
    """Write the options of the connection plugin as Ansible's loader would read them out of its documentation, for each task."""
    plugin = tree / "plugins/connection/libssh.py"
    assignment = next(node for node in ast.parse(plugin.read_text()).body if isinstance(node, ast.Assign))
    options = yaml.safe_load(ast.literal_eval(assignment.value))["options"]
    for option in options.values():
        for word in _FOR_READERS:
            option.pop(word, None)
    (tree / "plugins/module_utils/_libssh_options.json").write_text(json.dumps(options, separators=(",", ":")))


def galaxy() -> str:
    """Find ansible-galaxy."""
    program = shutil.which("ansible-galaxy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    return program or sys.exit("error: no ansible-galaxy: install ansible-core beside this Python")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the collection's artifact.")
    parser.add_argument("output", type=Path, nargs="?", default=ROOT / "build", help="folder for the artifact")
    output = parser.parse_args().output.resolve()
    work = output / "collection"
    shutil.rmtree(work, ignore_errors=True)
    tree = work / "tree"
    tree.mkdir(parents=True)
    layout = loader()
    compiled = compile_library(layout.NAME, work)
    stage(tree)
    write_options(tree)
    bundle(compiled, tree / "plugins/module_utils/_pylibsshext_bundle", layout.platform_tag())
    command = [galaxy(), "collection", "build", "--force", "--output-path", str(output), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}")
    artifact = re.search(r"\S+\.tar\.gz", done.stdout)
    print(artifact.group() if artifact else done.stdout)


if __name__ == "__main__":
    main()
