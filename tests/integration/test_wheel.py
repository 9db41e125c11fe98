# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library as users get it: built by pip from the checkout or from an sdist, or refused with a sentence that helps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tests.lab.fixtures import missing

ROOT = Path(__file__).resolve().parents[2]
LOGIN = """
import sys
from pylibsshext.session import Session
host, port, user, key = sys.argv[1:]
with Session() as session:
    session.connect(host=host, port=int(port), user=user, private_key=open(key, "rb").read(), host_key_checking=False)
    print(session.exec_command("echo hello").stdout.decode().strip(), sys.modules["pylibsshext"].__file__)
"""


def run(*argv, cwd, status=0, **environment):
    """Run a program; return what it printed, and on stderr."""
    done = subprocess.run(
        list(map(str, argv)), cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a copy of the checkout, to build in."""
    path = tmp_path_factory.mktemp("checkout")
    for name in ("LICENSES", "MANIFEST.in", "README.md", "pylibsshext", "pyproject.toml", "scripts", "setup.py"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy(ROOT / name, path / name)
    return path


@pytest.fixture(scope="module")
def sdist(checkout):
    """Return the sdist that setuptools makes of the checkout."""
    code = "from setuptools import build_meta; print(build_meta.build_sdist('dist'))"
    run(sys.executable, "-c", code, cwd=checkout)
    return next((checkout / "dist").glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """Return the wheel that pip makes of the sdist, and so of nothing that is not in it."""
    output = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
        "-w",
        output,
        sdist,
        cwd=output,
    )
    return next(output.glob("*.whl"))


def test_wheel_serves_every_python_from_3_11(wheel):
    """The wheel is named for the stable ABI of Python 3.11."""
    assert re.fullmatch(r"ansible_pylibssh-2\.\d+\.\d+-cp311-abi3-[a-z0-9_]+\.whl", wheel.name)


def test_wheel_has_what_runs_and_what_types(wheel):
    """In the wheel are Python, the compiled module, the types, and no source of C."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("pylibsshext/")}
    assert {"pylibsshext/py.typed", "pylibsshext/_core.abi3.so", "pylibsshext/session.py", "pylibsshext/_core.pyi"} <= names
    assert not [name for name in names if name.endswith((".pyx", ".pxd", ".c", ".h"))]


def test_sdist_has_all_sources(sdist):
    """In the sdist are Cython's sources, and not what Cython makes of them."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pylibsshext/_core.pyx", "pylibsshext/_c/libssh.pxd", "pylibsshext/_c/compat.h", "scripts/exports.map"} <= names
    assert "pylibsshext/_core.c" not in names


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_wheel_logs_in(wheel, sshd, tmp_path, version):
    """A program that has nothing but the wheel logs in and runs a command, in each Python."""
    found = subprocess.run([ROOT / "scripts/find-python", version], capture_output=True, text=True, check=False)
    if found.returncode:
        missing(found.stderr)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    arguments = (sshd.address, sshd.port, sshd.user, sshd.key)
    printed = run(found.stdout.strip(), "-c", LOGIN, *arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert printed.strip() == f"hello {tmp_path}/pylibsshext/__init__.py"


def test_missing_headers_stop_the_build_at_once(checkout):
    """Without libssh's headers pip stops in seconds, and the last words name the package for apt, dnf, apk and brew."""
    began = time.monotonic()
    command = ("pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", "dist", ".")
    printed = run(sys.executable, "-m", *command, cwd=checkout, status=1, LIBSSH_PREFIX="", CFLAGS="-nostdinc")
    assert time.monotonic() - began < 15
    for hint in ("apt install libssh-dev", "dnf install libssh-devel", "apk add libssh-dev", "brew install libssh"):
        assert hint in printed


def test_wrong_prefix_stops_the_build(checkout, tmp_path):
    """A prefix without a static library is named, with the script that makes one."""
    build = ("setup.py", "-q", "build_ext")
    printed = run(sys.executable, *build, cwd=checkout, status=1, LIBSSH_PREFIX=str(tmp_path))
    assert printed.splitlines()[-1] == (
        f"error: LIBSSH_PREFIX is set, but there is no {tmp_path}/lib/libssh.a: make one with scripts/build_libssh.py."
    )
