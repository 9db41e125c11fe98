# SPDX-License-Identifier: GPL-3.0-or-later
"""Find pylibsshext: the copy that this collection carries, else an installed one. Private to this collection.

Ansible's own import machinery can't load compiled modules out of a collection. So the copy is an ordinary package in an
ordinary folder, which Python's machinery imports (and caches) by the name that it was compiled under. That name is ours alone:
another pylibsshext in the same process stays what it is.

Run as a program, this file is ``python -m pylibsshext`` for the copy that is found.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import threading
from types import ModuleType

NAME = "ansible_netcommon_pylibsshext"
BUNDLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_pylibsshext_bundle")
OLDEST = (2,)

_lock = threading.Lock()


def load(prefer_installed: bool = False) -> ModuleType:
    """Return the package: the bundled one, or the installed one where it is preferred or the only one."""
    sources = (installed, bundled) if prefer_installed else (bundled, installed)
    problems = []
    for source in sources:
        try:
            return source()
        except ImportError as exc:
            problems.append(str(exc))
    raise ImportError("; and ".join(problems), name="pylibsshext")


def module(name: str, prefer_installed: bool = False) -> ModuleType:
    """Return one module of the package: ``module("session").Session``."""
    return importlib.import_module(f".{name}", load(prefer_installed).__name__)


def bundled() -> ModuleType:
    """Return the package that came with the collection."""
    with _lock:
        if NAME in sys.modules:
            return sys.modules[NAME]
        package, binary = os.path.join(BUNDLE, NAME), os.path.join(BUNDLE, "_lib", platform_tag())
        if not _loadable(binary):
            raise ImportError(_absence())
        # The compiled module's folder comes first: beside the .py files is only what reports that there is none.
        spec = importlib.util.spec_from_file_location(
            NAME, os.path.join(package, "__init__.py"), submodule_search_locations=[binary, package]
        )
        if spec is None or spec.loader is None:
            raise ImportError(f"the collection's files in {package} are incomplete: install it again")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = loaded
        try:
            spec.loader.exec_module(loaded)
        except BaseException:
            del sys.modules[NAME]
            raise
        return loaded


def installed() -> ModuleType:
    """Return the package that is installed in Ansible's Python."""
    try:
        package = importlib.import_module("pylibsshext")
    except ImportError as exc:
        raise ImportError(f"no pylibsshext is installed for {sys.executable} ('pip install ansible-pylibssh'): {exc}") from exc
    if package.__version_info__ < OLDEST:
        raise ImportError(
            f"pylibsshext {package.__version__} is installed for {sys.executable}, and this collection needs 2.0 or newer "
            "('pip install --upgrade ansible-pylibssh')"
        )
    return package


def platform_tag() -> str:
    """Name the kind of machine that a compiled module runs on: ``x86_64-glibc``."""
    return f"{os.uname().machine}-{_libc()}"


def _libc() -> str:
    if sys.platform != "linux":
        return sys.platform
    try:
        return "glibc" if os.confstr("CS_GNU_LIBC_VERSION") else "musl"
    except (OSError, ValueError):
        return "musl"


def _loadable(folder: str) -> bool:
    """Whether *folder* has a compiled module for this Python; the stable ABI that we use began with 3.11."""
    suffixes = (
        suffix for suffix in importlib.machinery.EXTENSION_SUFFIXES if suffix != ".abi3.so" or sys.version_info >= (3, 11)
    )
    return any(os.path.exists(os.path.join(folder, f"_core{suffix}")) for suffix in suffixes)


def _absence() -> str:
    """Say what the collection lacks."""
    try:
        carried = ", ".join(sorted(os.listdir(os.path.join(BUNDLE, "_lib"))))
    except OSError:
        return "this copy of ansible.netcommon carries no compiled pylibsshext (it was not made by 'make collection')"
    python = "{}.{}".format(*sys.version_info[:2])
    return (
        f"this copy of ansible.netcommon carries pylibsshext for Python 3.11 or newer on {carried}, "
        f"and not for Python {python} on {platform_tag()}"
    )


if __name__ == "__main__":
    raise SystemExit(module("__main__").main(program=f"python {sys.argv[0]}"))
