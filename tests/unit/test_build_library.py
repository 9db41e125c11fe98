# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the build makes, and what it says when it can't."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pylibsshext
from pylibsshext import _core


def python(code):
    """Run *code* in a fresh interpreter that finds the library under test."""
    path = str(Path(pylibsshext.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {path!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_no_library():
    """`import pylibsshext` alone is instant: no compiled module, no libssh, none of its own modules."""
    code = "import pylibsshext; print(sorted(name for name in sys.modules if name.startswith('pylibsshext')))"
    assert python(code) == "['pylibsshext']"


def test_a_session_loads_no_more_than_it_needs():
    """Modules of Python's that take long and that a login has no use for stay away: each start of the connection holder pays for them."""
    dear = {"inspect", "logging", "ctypes", "asyncio", "hmac", "getpass", "tempfile", "urllib.request"}
    code = f"import pylibsshext.session, pylibsshext.mux.holder; print(sorted({dear!r} & sys.modules.keys()))"
    assert python(code) == "[]"


def test_versions_have_the_shapes_of_1_4_0():
    """A version, its parts as numbers, libssh's version, and all of it in one text."""
    assert re.fullmatch(r"2\.\d+\.\d+", pylibsshext.__version__)
    assert pylibsshext.__version_info__ == tuple(int(part) for part in pylibsshext.__version__.split("."))
    assert re.fullmatch(r"0\.1\d\.\d+", pylibsshext.__libssh_version__)
    assert pylibsshext.__full_version__ == (
        f"<pylibsshext v{pylibsshext.__version__} with libssh v{pylibsshext.__libssh_version__}>"
    )


def test_modules_load_when_they_are_used():
    """`pylibsshext.session` needs no import of its own, and a name that is not there is an AttributeError."""
    assert python("import pylibsshext; print(pylibsshext.session.Session.__name__)") == "Session"
    with pytest.raises(AttributeError, match="has no attribute 'sesion'"):
        pylibsshext.sesion  # noqa: B018


def test_missing_core_says_how_to_build_it(tmp_path):
    """Without the compiled module an import says where it is missing, for what machine, and how to get it."""
    package = tmp_path / "pylibsshext"
    shutil.copytree(Path(pylibsshext.__path__[0]), package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import pylibsshext.session"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {package} has no compiled module for CPython {sys.version.split()[0]}")
    assert "pip install ansible-pylibssh" in last


def symbols(*options):
    """Return names out of the dynamic symbol table of the compiled module."""
    done = subprocess.run(["nm", "-D", *options, _core.__file__], capture_output=True, text=True, check=True)
    return {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines()}


def test_module_shows_nothing_of_libssh():
    """The compiled module exports how to initialise it, and no function of libssh that another library could meet."""
    exported = symbols("--defined-only")
    assert "PyInit__core" in exported
    assert not {name for name in exported if name.startswith(("ssh_", "sftp_", "gss_", "pylibssh_"))}


def test_static_module_needs_no_kerberos():
    """A module with libssh inside asks the linker for no function of libssh or GSSAPI: the latter is loaded on demand."""
    needed = symbols("--undefined-only")
    if "ssh_new" in needed:
        assert not {name for name in symbols("--defined-only") if name.startswith("ssh_")}
    else:
        assert not {name for name in needed if name.startswith(("ssh_", "gss_", "krb5_"))}
