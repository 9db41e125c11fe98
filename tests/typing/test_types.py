# SPDX-License-Identifier: LGPL-2.1-or-later
"""What type checkers see: the library, its examples, and the compiled module beside its stub."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.docs import api
from tests.lab.fixtures import missing

ROOT = Path(__file__).resolve().parents[2]
# What Cython adds, and nobody calls.
UNSTUBBED = r"""
pylibsshext\._core\.__(reduce|setstate)_cython__
pylibsshext\._core\.__test__
"""


@pytest.fixture
def mypy(tmp_path):
    """Run mypy, or another module of its."""
    if not importlib.util.find_spec("mypy"):
        missing("mypy")

    def run(*argv, module="mypy", stubs=""):
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, argv)],
            cwd=ROOT,
            env={**os.environ, "MYPY_CACHE_DIR": str(tmp_path / "cache"), "MYPYPATH": str(stubs)},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    return run


def test_examples(mypy):
    """The examples are strictly typed: so is what they use of the library."""
    done = mypy("--strict", *sorted((ROOT / "examples").glob("*.py")))
    assert done.returncode == 0, done.stdout


def test_generated_stubs_are_true(mypy, tmp_path):
    """The stubs that the reference is made of have what the modules have, with the parameters that these take."""
    (tmp_path / "allowed").write_text(UNSTUBBED)
    # "__hash__ = None", which is how a class says that it has none, is taken for a wrong type in a stub.
    (tmp_path / "mypy.ini").write_text("[mypy]\ndisable_error_code = assignment\n")
    done = mypy(
        *api.MODULES,
        "--mypy-config-file",
        tmp_path / "mypy.ini",
        "--ignore-missing-stub",
        "--ignore-disjoint-bases",
        "--allowlist",
        tmp_path / "allowed",
        "--ignore-unused-allowlist",
        module="mypy.stubtest",
        stubs=api.stubs(),
    )
    assert done.returncode == 0, done.stdout


def test_stub_is_true(mypy, tmp_path):
    """The stub of the compiled module has what the module has, and nothing else."""
    (tmp_path / "allowed").write_text(UNSTUBBED)
    done = mypy(
        "pylibsshext._core",
        "--mypy-config-file",
        ROOT / "pyproject.toml",
        "--allowlist",
        tmp_path / "allowed",
        module="mypy.stubtest",
    )
    assert done.returncode == 0, done.stdout


RIGHT = """
import pathlib
import typing
from pylibsshext.session import Session, AutoAddPolicy
from pylibsshext.channel import Channel, Completed
from pylibsshext.mux.client import MuxSession
with Session("host", port=22) as session:
    session.connect(user="me", password=b"x", identities=["k", pathlib.Path("l")], proxy_jump=[{"host": "b"}, "c"], port=None)
    keywords: dict[str, typing.Any] = {"timeout": 1.5}
    session.connect(**keywords)
    session.set_missing_host_key_policy(AutoAddPolicy)
    done: Completed = session.exec_command("true", stdin=b"", env={"A": "1"}, timeout=1.5)
    output: bytes = done.stdout
    status: int = done.returncode
    signal: str | None = done.signal
    channel: Channel = session.new_channel()
    data: bytes | None = channel.recv()
    pieces: list[bytes] = list(channel)
    kex: str | None = session.info.kex
held = MuxSession(persist=10)
held.connect(host="host", user="me", timeout=1.5)
"""
WRONG = [
    "session.connect(passwort='x')",
    "session.connect(port='22')",
    "session.exec_command(5)",
    "session.exec_command('true', timeout='1')",
    "session.exec_command('true', shell=True)",
    "session.new_channel().send_signal(15)",
    "session.new_channel().read('10')",
    "text: str = session.exec_command('true').stdout",
    "session.set_missing_host_key_policy('auto')",
    "session.no_such_method()",
    "MuxSession().connect(passwort='x')",
    "MuxSession().reset(port='22')",
]


def test_users_programs(mypy, tmp_path):
    """A program that is right passes; of one that is wrong, each wrong line is found."""
    (tmp_path / "right.py").write_text(RIGHT)
    imports = ["from pylibsshext.mux.client import MuxSession", "from pylibsshext.session import Session"]
    lines = [*imports, "session = Session()", *WRONG]
    (tmp_path / "wrong.py").write_text("\n".join(lines) + "\n")
    right = mypy("--strict", tmp_path / "right.py")
    assert right.returncode == 0, right.stdout
    found = mypy("--strict", tmp_path / "wrong.py").stdout
    assert [n for n in range(4, len(lines) + 1) if f"wrong.py:{n}:" not in found] == []


def pyright(*argv):
    """Run pyright, whose wheel carries all that it needs; return what it reports."""
    program = Path(sys.executable).with_name("basedpyright")
    if not program.exists():
        missing("basedpyright")
    done = subprocess.run(
        [program, "--outputjson", *map(str, argv)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return json.loads(done.stdout)


def test_pyright_knows_every_type():
    """Nothing that the library exports is of a type that pyright doesn't know."""
    found = pyright("--verifytypes", "pylibsshext", "--ignoreexternal")["typeCompleteness"]
    assert found["exportedSymbolCounts"]["withKnownType"] > 500
    assert found["exportedSymbolCounts"]["withUnknownType"] == found["otherSymbolCounts"]["withUnknownType"] == 0


REVEALED = {
    "session.exec_command('true')": "Completed",
    "session.exec_command('true').signal": "str | None",
    "session.new_channel().recv()": "bytes | None",
    "session.sftp().listdir('.')": "list[str]",
    "session.info.auth_attempts": "Sequence[str]",
    "LibsshChannelTimeout().stdout": "bytes",
}


def test_pyright_tells_users_types(tmp_path):
    """Pyright tells users the types that the reference does."""
    lines = ["from pylibsshext.errors import LibsshChannelTimeout", "from pylibsshext.session import Session"]
    lines += ["session = Session()", *(f"reveal_type({expression})" for expression in REVEALED)]
    (tmp_path / "program.py").write_text("\n".join(lines) + "\n")
    said = [each["message"] for each in pyright(tmp_path / "program.py")["generalDiagnostics"]]
    assert said == [f'Type of "{expression}" is "{kind}"' for expression, kind in REVEALED.items()]


def test_marked_as_typed():
    """The package says that it is typed (PEP 561)."""
    assert (ROOT / "pylibsshext" / "py.typed").exists()
