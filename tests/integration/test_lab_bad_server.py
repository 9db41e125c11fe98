# SPDX-License-Identifier: LGPL-2.1-or-later
"""The misbehaving server really misbehaves: seen with OpenSSH's client, or on the bare socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from tests.lab import BadHost, Round
from tests.lab.openssh import options, ssh, with_password

BadServer = Callable[..., BadHost]


@pytest.fixture
def bad(bad_server: BadServer) -> BadHost:
    """A server with a polite login, whose commands misbehave."""
    return bad_server()


def raw(host: BadHost, size: int = 100, wait: float = 1.0) -> bytes:
    """What a client sees that only connects and listens."""
    seen = b""
    with socket.socket() as connection:
        connection.settimeout(wait)
        try:
            connection.connect((host.address, host.port))
            while len(seen) < size:
                data = connection.recv(size)
                if not data:
                    return seen + b"<end>"
                seen += data
        except TimeoutError:
            return seen + b"<silence>"
        except ConnectionResetError:
            return seen + b"<reset>"
    return seen


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo hello", (0, "hello\n", "")),
        ("rc 7", (7, "", "")),
        ("split hello", (0, "hello\n", "")),
        ("nothing-known", (127, "", "nothing-known: no such command\n")),
        ("die TERM", (255, "before\n", "")),
        ("no-status", (255, "bye\n", "")),
        ("refuse", (255, "", "exec request failed on channel 0\n")),
        ("close-early", (255, "", "")),
        ("status-first 5", (5, "late\n", "")),
    ],
)
def test_commands(bad: BadHost, command: str, expected: tuple[int, str, str]) -> None:
    """Commands end as they are told to."""
    done = ssh(bad, command)
    assert (done.returncode, done.stdout, done.stderr) == expected


def test_flood(bad: BadHost) -> None:
    """Much output comes on the stream that was asked for."""
    assert ssh(bad, "flood 1000000").stdout == "x" * 1_000_000
    assert len(ssh(bad, "flood 100000 1000 stderr").stderr) == 100_000


def test_cat_and_ask(bad: BadHost) -> None:
    """The server reads its input too."""
    assert ssh(bad, "cat", input="there and back\n").stdout == "there and back\n"
    assert ssh(bad, "ask", input="s3cret\n").stdout == "got s3cret\n"


@pytest.mark.parametrize("command", ["data-after-eof", "data-after-close"])
def test_data_after_the_end(bad: BadHost, command: str) -> None:
    """Data comes after the end of file, or after the close: a strict client (asyncssh) leaves with a protocol error."""
    ends: list[Exception | None] = []

    class Client(asyncssh.SSHClient):
        def connection_lost(self, exc: Exception | None) -> None:
            ends.append(exc)

    async def run() -> None:
        login = {"username": bad.user, "client_keys": [str(bad.key)], "known_hosts": None, "config": None}
        async with asyncssh.connect(bad.address, bad.port, client_factory=Client, agent_path=None, **login) as connection:
            with contextlib.suppress(asyncssh.Error):
                await connection.run(command)
            await asyncio.wait_for(connection.wait_closed(), 5)

    asyncio.run(run())
    assert isinstance(ends[0], asyncssh.ProtocolError)
    assert ssh(bad, command).stdout in ("", "one\n")  # OpenSSH's client passes over what comes too late


def test_no_close(bad: BadHost) -> None:
    """After end of file and status the channel stays open: the client waits."""
    argv = ["ssh", *options(bad), bad.address, "eof-no-close"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.read() == b"done\n"
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(1)
        client.kill()


def test_input_that_is_not_read(bad: BadHost) -> None:
    """A server that reads nothing lets the window run out: the client can't get rid of its bytes."""
    argv = ["ssh", *options(bad), bad.address, "ignore-input"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as client:
        with pytest.raises(subprocess.TimeoutExpired):
            client.communicate(b"x" * 8_000_000, timeout=2)
        client.kill()


def test_more_than_the_window(bad: BadHost) -> None:
    """The server can send more than the client's window allows (OpenSSH's is 2 MiB and notices)."""
    argv = ["ssh", *options(bad, "-o", "LogLevel=INFO"), bad.address, "over-window 16000000"]
    # Nobody reads what it prints: as it reads itself, a quick client could open its window before the rest comes.
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        assert client.stderr is not None
        assert any("too much data" in line for line in client.stderr)
        client.kill()


def test_slow_output_and_environment(bad: BadHost) -> None:
    """Output comes line by line over some time; variables that the client sends are seen."""
    start = time.monotonic()
    assert ssh(bad, "slow 5 0.1").stdout == "0\n1\n2\n3\n4\n"
    assert time.monotonic() - start > 0.5
    assert "LAB=moon\n" in ssh(bad, "env", "-o", "SetEnv=LAB=moon").stdout


def test_a_shell_like_a_device(bad: BadHost) -> None:
    """Without a command there is a prompt, and each line comes back."""
    argv = ["ssh", "-T", *options(bad), bad.address]
    done = subprocess.run(argv, input="show version\n", capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == "router>show version\nrouter>"


def test_banner_and_choice_of_methods(bad_server: BadServer) -> None:
    """A banner comes before the login; of several methods one can be enough."""
    host = bad_server(banner="Beware\n", any_of=("publickey", "password"))
    assert "Beware" in ssh(host, "true", "-o", "LogLevel=INFO").stderr
    assert with_password(host, "echo in", "s3cret", user="ansible").stdout == "in\n"
    assert "Permission denied (publickey,password)" in with_password(host, "true", "wrong", user="ansible").stderr


def test_small_windows_and_many_key_exchanges(bad_server: BadServer) -> None:
    """The server can offer a tiny window and tiny packets, and can change keys all the time."""
    text = "x" * 200_000
    tiny = ssh(bad_server(listen={"window": 2048, "max_pktsize": 1024}), "cat", "-o", "LogLevel=DEBUG2", input=text)
    assert tiny.stdout == text
    assert "rwindow 2048 rmax 1024" in tiny.stderr
    restless = ssh(bad_server(listen={"rekey_bytes": 20_000}), "cat", "-o", "LogLevel=DEBUG3", input=text)
    assert restless.stdout == text
    assert restless.stderr.count("receive packet: type 21") > 5  # new keys


def test_connections_end(bad: BadHost) -> None:
    """The connection can be cut in the middle, or be ended with a word."""
    done = ssh(bad, "drop 1000")
    assert (done.returncode, done.stdout) == (255, "x" * 1000)
    assert "Go away" in ssh(bad, "hang-up Go away", "-o", "LogLevel=INFO").stderr


def test_channels_are_refused(bad_server: BadServer) -> None:
    """The server can refuse channels, or open them late."""
    assert "too many channels" in ssh(bad_server(max_channels=0), "echo x", "-o", "LogLevel=INFO").stderr
    start = time.monotonic()
    assert ssh(bad_server(open_delay=1.0), "echo x").stdout == "x\n"
    assert time.monotonic() - start > 1


def test_sftp(bad_server: BadServer, tmp_path: Path) -> None:
    """There are files by SFTP, if wanted."""
    for sftp in (True, False):
        host = bad_server(sftp=sftp)
        (host.files / "there").write_text("file\n")
        argv = ["sftp", "-q", *options(host), "-b", "-", host.address]
        batch = f"get /there {tmp_path}/here\n"
        done = subprocess.run(argv, input=batch, text=True, capture_output=True, timeout=30, check=False)
        assert done.returncode == (0 if sftp else 255), done.stderr
    assert (tmp_path / "here").read_text() == "file\n"


def test_scripts(bad_server: BadServer, tmp_path: Path) -> None:
    """A test can write what the server says to a command or a subsystem: here an SCP source with a name of its own choice."""
    evil = [["expect", 1], ["send", "C0644 5 ../evil\n"], ["expect", 1], ["exit", 0]]
    host = bad_server(scripts={"scp": evil, "sftp": [["expect", 9], ["send", "\0\0\0\1\xff"], ["close"]]})
    argv = ["scp", "-O", *options(host), f"{host.address}:asked", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert "unexpected filename: ../evil" in done.stderr
    argv = ["sftp", *options(host), "-b", "-", host.address]
    done = subprocess.run(argv, input="pwd\n", capture_output=True, text=True, timeout=20, check=False)
    assert "255" in done.stderr  # the type of packet that came
    assert "got 000000050100000003" in host.log()  # the client's SSH_FXP_INIT, version 3


def test_partial_success(bad_server: BadServer) -> None:
    """Several factors are wanted one after the other."""
    host = bad_server(factors=("publickey", "password"))
    assert "Permission denied (password)" in ssh(host, "true").stderr
    both = ("-o", "PreferredAuthentications=publickey,password")
    assert with_password(host, "echo in", "s3cret", *both, user="ansible").stdout == "in\n"
    assert host.logins() == 1
    assert host.log().index("passed publickey") < host.log().index("passed password")


def test_keyboard_interactive_rounds(bad_server: BadServer) -> None:
    """Several rounds of several questions are asked; one wrong answer refuses the login."""
    same = ("Say it: ", False, "s3cret")
    right = (Round((same, same)), Round(()), Round((same,), "Last", "Once more"))
    wrong = (Round((same, ("And: ", True, "other"))),)
    for rounds, status in ((right, 0), (wrong, 255)):
        host = bad_server(factors=("keyboard-interactive",), rounds=rounds)
        only = ("-o", "PreferredAuthentications=keyboard-interactive")
        assert with_password(host, "echo in", "s3cret", *only, user="ansible").returncode == status
    assert "round 1" in host.log()


def test_expired_password(bad_server: BadServer) -> None:
    """The right password must be changed before it is of use."""
    host = bad_server(factors=("password",), expired=True)
    with_password(host, "echo in", "s3cret", user="ansible")
    assert "changed the password of ansible" in host.log()


def test_deaf_after_login(bad_server: BadServer) -> None:
    """After the login no answer comes."""
    with pytest.raises(subprocess.TimeoutExpired):
        ssh(bad_server(deaf=True), "echo in", timeout=3)


@pytest.mark.parametrize(
    ("greeting", "seen"),
    [
        ("silent", b"<silence>"),
        ("close", b"<end>"),
        ("reset", b"<reset>"),
        ("http", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n<silence>"),
        ("banner-only", b"SSH-2.0-Silent\r\n<silence>"),
        ("banner-close", b"SSH-2.0-Brief\r\n<end>"),
        ("garbage", bytes(range(128, 228))),
        ("endless", b"x" * 100),
        ("chatter", b"This is line 0 of a long story.\r\n"),
        ("slow", b"SSH-2.0-AsyncSSH"),
        ("drip", b"SSH-2.0-"),
    ],
)
def test_greetings(bad_server: BadServer, greeting: str, seen: bytes) -> None:
    """The server greets as it is told to."""
    assert raw(bad_server(greeting=greeting, delay=0.1)).startswith(seen)


@pytest.mark.parametrize("greeting", ["slow", "drip", "chatter"])
def test_late_but_right_greetings(bad_server: BadServer, greeting: str) -> None:
    """After some greetings the server works: they are odd, and allowed."""
    start = time.monotonic()
    assert ssh(bad_server(greeting=greeting, delay=0.05), "echo in").stdout == "in\n"
    assert time.monotonic() - start < 10


def test_kill_and_restart(bad: BadHost) -> None:
    """A misbehaving host can be stopped and started as any other."""
    bad.kill()
    with pytest.raises(ConnectionRefusedError):
        raw(bad)
    bad.start()
    assert ssh(bad, "echo again").stdout == "again\n"
