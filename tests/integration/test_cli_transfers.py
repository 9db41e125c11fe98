# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m pylibsshext get`` and ``put`` against real servers, with and without a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

BIG = 24 << 20
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOT, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}


class Command:
    """The command line with what it needs to reach a host."""

    def __init__(self, host, directory):
        self.host = host
        self.directory = directory
        self.environment = {**ENVIRONMENT, "HOME": str(directory / "home")}
        (directory / "home").mkdir()

    def words(self, action, *words, login=True):
        host = self.host
        options = ["-P", str(host.port), "-F", "none", "--known-hosts", str(host.known_hosts_file)]
        if login:
            options += ["-i", str(host.key)]
        told = [word.replace("HOST:", f"{host.user}@{host.address}:") for word in map(str, words)]
        return [sys.executable, "-W", "error", "-m", "pylibsshext", action, *options, *told]

    def __call__(self, action, *words, **more):
        """Run it without a terminal; return status, output, and errors."""
        done = subprocess.run(
            self.words(action, *words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.directory,
            env=self.environment,
            start_new_session=True,
            **more,
        )
        return done.returncode, done.stdout, done.stderr

    def at_terminal(self, *words, **more):
        """Start it on a terminal of its own."""
        return Terminal(self.words(*words, **more), self.directory, self.environment)


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, argv, directory, environment):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            with contextlib.suppress(BaseException):
                os.chdir(directory)
                os.execve(argv[0], argv, environment)  # noqa: S606 - on the terminal that pty has made
            os._exit(127)
        self.said = ""

    def wait_for(self, pattern, timeout=30):
        """Read until *pattern* has been printed."""
        end = time.monotonic() + timeout
        while not re.search(pattern, self.said):
            assert time.monotonic() < end, f"no {pattern!r} in {self.said!r}"
            if not self._read():
                raise AssertionError(f"ended without {pattern!r}: {self.said!r}")

    def _read(self):
        if not select.select([self.fd], [], [], 0.5)[0]:
            return True
        try:
            chunk = os.read(self.fd, 65536)
        except OSError:
            return False
        self.said += chunk.decode(errors="replace")
        return bool(chunk)

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self, timeout=30):
        """Read to the end; return the exit status."""
        end = time.monotonic() + timeout
        while self._read():
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def place(tmp_path):
    """Files to send, and a directory of the server's to send them to."""
    (tmp_path / "big").write_bytes(os.urandom(1 << 20) * (BIG >> 20))
    (tmp_path / "small").write_bytes(b"small")
    for name in ("tree/a/one", "tree/a/two", "tree/three", "tree/skip.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "far").mkdir()
    (tmp_path / "far").chmod(0o777)
    return tmp_path


@pytest.fixture
def command(sshd, place):
    """The command line for the shared host."""
    return Command(sshd, place)


def names(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def test_files_go_and_come_back(command, place):
    """Several files at once; a line for each, and nothing but that without a terminal."""
    status, out, err = command("put", "big", "small", f"HOST:{place}/far")
    assert (status, err) == (0, "")
    assert sorted(re.sub(r"  .*", "", line) for line in out.splitlines()) == ["big", "small"]
    assert re.search(r"^big  25\.2 MB  [\d.]+ MB/s  00:\d\d$", out, re.MULTILINE)
    assert (place / "far/big").read_bytes() == (place / "big").read_bytes()
    status, out, err = command("get", "-q", f"HOST:{place}/far/big", f"HOST:{place}/far/small", "home")
    assert (status, out, err) == (0, "", "")
    assert (place / "home/big").read_bytes() == (place / "big").read_bytes()
    assert names(place / "home") == ["big", "small"]


def test_a_tree_goes_below_a_directory_that_is_there(command, place):
    """As with scp: a new target becomes the tree, an old one gets it inside; patterns choose."""
    assert command("put", "-r", "--exclude", "*.pyc", "tree", f"HOST:{place}/far/new")[0] == 0
    assert names(place / "far") == ["new/a/one", "new/a/two", "new/three"]
    assert command("put", "-rp", "tree", f"HOST:{place}/far/new")[0] == 0
    assert "new/tree/skip.pyc" in names(place / "far")
    assert (place / "far/new/tree/three").stat().st_mtime == int((place / "tree/three").stat().st_mtime)
    assert command("get", "-r", "--include", "t*", f"HOST:{place}/far/new", "home")[0] == 0
    assert names(place / "home") == ["new/a/two", "new/three", "new/tree/a/two", "new/tree/three"]


def test_one_failure_does_not_keep_the_others_back(command, place):
    """Each failure is a line on standard error, the rest is copied, and the exit status is 1."""
    status, out, err = command("put", "small", "missing", "tree", f"HOST:{place}/far")
    assert status == 1
    assert err.splitlines() == [
        "put: missing: No such file or directory",
        "put: tree: it is a directory: -r copies directories",
    ]
    assert (names(place / "far"), out.count("\n")) == (["small"], 1)
    status, _, err = command("get", f"HOST:{place}/far/none", f"HOST:{place}/far/small", "home")
    assert (status, names(place / "home")) == (1, ["small"])
    assert err == f"get: {place}/far/none: looking at '{place}/far/none' failed: No such file\n"
    status, _, err = command("get", f"HOST:{place}/far/small", place / "none/here")
    assert (status, err) == (1, f"get: {place}/far/small: {place}/none/here: No such file or directory\n")
    status, _, err = command("put", "small", "big", f"HOST:{place}/far/small")
    assert (status, err) == (1, f"put: '{place}/far/small' is not a directory, and cannot take several files\n")


def test_by_scp(command, place):
    """-O copies files and trees by the scp program."""
    assert command("put", "-O", "big", "small", f"HOST:{place}/far")[0] == 0
    assert command("put", "-Orp", "tree", f"HOST:{place}/far")[0] == 0
    status, _, err = command("get", "-Or", f"HOST:{place}/far/tree", "home")
    assert (status, err) == (0, "")
    assert names(place / "home") == ["tree/a/one", "tree/a/two", "tree/skip.pyc", "tree/three"]
    status, _, err = command("get", "-O", f"HOST:{place}/far/none", f"HOST:{place}/far/big", "home")
    assert (status, (place / "home/big").read_bytes() == (place / "big").read_bytes()) == (1, True)
    assert "No such file or directory" in err


def test_no_connection_is_255(command, place, other_server):
    """A refused connection, an unknown host key and a refused login end with ssh's exit status and one line."""
    status, _, err = command("put", "-P", "1", "small", "HOST:x")
    assert (status, err.count("\n")) == (255, 1)
    assert "Connection refused" in err
    (place / "nobody").write_text("")
    status, _, err = command("put", "--known-hosts", place / "nobody", "small", "HOST:x")
    assert (status, err.count("\n")) == (255, 1)
    assert "Host is unknown" in err
    assert err.endswith("With --accept-new it is trusted.\n")
    status, _, err = command("put", "--known-hosts", place / "nobody", "--accept-new", "small", f"HOST:{place}/far")
    assert (status, (place / "nobody").read_text().count("\n")) == (0, 1)
    status, _, err = command("put", "-i", place / "small", "small", "HOST:x")
    assert (status, err.count("\n")) == (255, 1)
    assert "Failed to authenticate" in err
    assert err.endswith("Check USER@ and -i FILE.\n")


def test_a_server_without_sftp(command, place, new_sshd):
    """What is missing is said."""
    command.host = new_sshd(sftp=False)
    status, _, err = command("put", "small", f"HOST:{place}/far")
    assert (status, err.count("\n")) == (1, 1)
    assert "starting SFTP failed" in err


def test_resume(command, place, relay):
    """What an interrupted copy has left is gone on with, and the leftover is gone then."""
    half = (place / "big").read_bytes()[: BIG // 2]
    (place / "far/.big.part").write_bytes(half)
    status, _, _ = command("put", "--resume", "big", f"HOST:{place}/far")
    assert status == 0
    assert names(place / "far") == ["big"]
    assert (place / "far/big").read_bytes() == (place / "big").read_bytes()


def test_bars_at_a_terminal(command, place, relay):
    """Each file under way has a bar with size, rate and time left, and so have all together; at the end lines remain."""
    command.host, _ = relay(command.host, rate=12e6)
    terminal = command.at_terminal("put", "big", "small", f"HOST:{place}/far")
    terminal.wait_for(r"total of 2 files")
    terminal.wait_for(r"━.*\d+%.*\d/25\.2 MB")
    terminal.wait_for(r"\d+(\.\d+)? MB/s.*0:00:0\d")
    assert terminal.end() == 0
    assert re.search(r"big  25\.2 MB  [\d.]+ MB/s  00:0\d\r\n", terminal.said)
    assert (place / "far/big").read_bytes() == (place / "big").read_bytes()


def test_lines_at_a_terminal_without_rich(command, place):
    """The optional package only decorates."""
    (place / "home/rich.py").write_text("raise ImportError('not installed')")
    command.environment["PYTHONPATH"] = f"{place}/home:{ROOT}"
    terminal = command.at_terminal("put", "small", f"HOST:{place}/far")
    assert terminal.end() == 0
    assert re.fullmatch(r"small  5 B  [\d.]+ k?B/s  00:00\r\n", terminal.said)


@pytest.mark.parametrize("direction", ["put", "get"])
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_an_interrupted_copy_leaves_no_litter(command, place, relay, direction, how):
    """The old file stays, nothing else does, and the exit status tells what it was."""
    command.host, _ = relay(command.host, rate=4e6)
    source, target = ("big", f"HOST:{place}/far/x") if direction == "put" else (f"HOST:{place}/big", "far/x")
    (place / "far/x").write_bytes(b"old")
    terminal = command.at_terminal(direction, source, target)
    terminal.wait_for(r"[1-9]\d?%")
    assert len(names(place / "far")) == 2
    if how == "Ctrl-C":
        terminal.type("\x03")
    else:
        os.kill(terminal.pid, signal.Signals[how])
    began = time.monotonic()
    assert terminal.end() == {"Ctrl-C": 130, "SIGTERM": 143, "SIGHUP": 129}[how]
    assert time.monotonic() - began < 8
    assert names(place / "far") == ["x"]
    assert (place / "far/x").read_bytes() == b"old"
    assert "Traceback" not in terminal.said


def test_ctrl_c_while_the_server_is_frozen(command, place, relay):
    """A server that does not answer any more does not keep the user waiting."""
    command.host, link = relay(command.host, rate=4e6)
    terminal = command.at_terminal("put", "big", f"HOST:{place}/far/x")
    terminal.wait_for(r"[1-9]\d?%")
    link.freeze()
    began = time.monotonic()
    terminal.type("\x03")
    assert terminal.end(60) == 130
    assert time.monotonic() - began < 15
    assert not (place / "far/x").exists()


def test_a_password_and_an_unknown_host_are_asked_for(command, place):
    """At a terminal the user decides about the host key, and types the password; neither is echoed nor kept."""
    if not command.host.has_accounts:
        pytest.fail("root is needed: there is no password to type")
    (place / "nobody").write_text("")
    words = ("put", "--known-hosts", place / "nobody", "small", f"HOST:{place}/far")
    terminal = command.at_terminal(*words, login=False)
    terminal.wait_for(r"SHA256:.*\r\nConnect all the same \(yes/no/\[fingerprint\]\)\? ")
    terminal.type("no\n")
    assert terminal.end() == 255
    assert not (place / "nobody").read_text()
    terminal = command.at_terminal(*words, login=False)
    terminal.wait_for(r"Connect all the same \(yes/no/\[fingerprint\]\)\? ")
    terminal.type("yes\n")
    terminal.wait_for(r"assword: ")
    terminal.type(f"{command.host.password}\n")
    assert terminal.end() == 0, terminal.said
    assert command.host.password not in terminal.said
    assert (place / "far/small").read_bytes() == b"small"
    assert (place / "nobody").read_text()


def test_a_passphrase_is_asked_for_once(command, place, lab):
    """A wrong one is told, and not asked for again with the passwords that follow; neither is echoed."""
    locked = place / "locked"
    locked.write_bytes(lab.key.read_bytes())
    locked.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", locked], check=True, capture_output=True)
    terminal = command.at_terminal("put", "-i", locked, "small", f"HOST:{place}/far", login=False)
    terminal.wait_for(f"Passphrase for {locked}: ")
    terminal.type("open sesame\n")
    assert terminal.end() == 0, terminal.said
    assert (place / "far/small").read_bytes() == b"small"
    terminal = command.at_terminal("get", "-i", locked, f"HOST:{place}/small", "far/again", login=False)
    terminal.wait_for(f"Passphrase for {locked}: ")
    terminal.type("sesame open\n")
    for _ in range(4):  # the server's own question, then three passwords
        terminal.wait_for(r"assword: $")
        terminal.said = terminal.said.replace("assword: ", "")
        terminal.type("wrong\n")
    assert terminal.end() == 255, terminal.said
    assert terminal.said.count("Passphrase for") == 1
    assert "sesame" not in terminal.said
