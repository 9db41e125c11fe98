# SPDX-License-Identifier: LGPL-2.1-or-later
"""ssh_config files, read as ``ssh -G`` reads them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from pylibsshext import ssh_config
from pylibsshext.ssh_config import Config, ConfigError


def read(text: str, host: str = "web1.example.com", **about) -> Config:
    """Return what a file with *text* says about a host."""
    config = Config(host, **about)
    config.read(text.splitlines(), [])
    return config


def resolved(path: Path, host: str) -> list[str]:
    """What ``ssh -G`` says about a host, or how it refuses the file."""
    command = ["ssh", "-G", "-F", str(path), "--", host]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("host ")]
    return list(dict.fromkeys(lines)) if done.returncode == 0 else ["refused"]


def agrees(tmp_path: Path, text: str, host: str) -> None:
    """Our reading, written as a file without blocks, is to ssh what the file is."""
    path, flat = tmp_path / "config", tmp_path / "flat"
    path.write_text(text)
    config = Config(host)
    expected = resolved(path, host)
    try:
        config.read([], [str(path)])
    except ConfigError:
        assert expected == ["refused"], text
        return
    if expected == ["refused"]:
        return  # we are more lenient: a word's own value is not looked at here
    lines = [f"{word} {' '.join(map(ssh_config.quoted, row))}" for word in config.words() for row in config.rows(word)]
    lines = [line if not line.startswith("proxy") else f"proxyjump {config.raw('proxyjump')}" for line in lines]
    flat.write_text("\n".join(lines) + "\n")
    assert resolved(flat, host) == expected, (text, flat.read_text())


EXAMPLE = """
# comment
Host *.example.com !db.example.com
    User   admin
    Port=2222
    IdentityFile ~/.ssh/one
    SendEnv LANG LC_*
Host web?.example.com "quoted name"
    user "other one"
    HostName = %h.internal   # said late
    IdentityFile ~/.ssh/two
    SetEnv A=1 "B=two words"
Match originalhost web1.example.com user admin
    ServerAliveInterval 7
Match host *.internal !user nobody
    ServerAliveCountMax 5
Match exec "test %n = web1.example.com"
    ForwardAgent yes
Match exec "test %h = web1.example.com"
    ConnectionAttempts 9
Match !final host *.internal
    ConnectTimeout 3
Match final host *.internal
    HostKeyAlias %%seen
Match all
    PreferredAuthentications publickey,password
    UserKnownHostsFile /a "/b c" ~/.ssh/%h
    StrictHostKeyChecking accept-new
"""


@pytest.mark.parametrize(
    "host", ["web1.example.com", "web22.example.com", "db.example.com", "quoted name", "WEB1.example.com", "x"]
)
def test_example_is_what_ssh_reads(tmp_path: Path, host: str) -> None:
    """All kinds of blocks, quotes and tokens, for hosts that are in them and hosts that are not."""
    agrees(tmp_path, EXAMPLE, host)


def test_values() -> None:
    """First values win, lists grow, and names have their tokens replaced."""
    config = read(EXAMPLE)
    assert (config.host, config.user, config.port) == ("web1.example.com.internal", "admin", 2222)
    assert config.rows("identityfile") == [["~/.ssh/one"], ["~/.ssh/two"]]
    assert config.rows("setenv") == [["A=1", "B=two words"]]
    assert config.get("forwardagent") == "yes"
    assert config.get("connectionattempts") is None
    assert config.expand("%r@%h:%p") == "admin@web1.example.com.internal:2222"


def test_what_is_given_comes_first() -> None:
    """A user and a port that are given decide, also in what Match looks at."""
    config = read("Match user me\nCompression yes\nUser you\nPort 3\n", user="me", port=2)
    assert (config.user, config.port, config.get("compression")) == ("me", 2, "yes")


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("ProxyJump a\nProxyCommand b\n", ["proxyjump"]),
        ("ProxyCommand b %h\nProxyJump a\n", ["proxycommand"]),
        ("ProxyCommand none\nProxyJump a\n", ["proxycommand"]),
    ],
)
def test_one_way(text: str, way: list[str]) -> None:
    """ProxyJump and ProxyCommand are one setting."""
    assert read(text).words() == way


def test_include(tmp_path: Path) -> None:
    """Files are included relative to the including one's directory, by patterns, and only where the block holds."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/1").write_text("Host other\nPort 1\n")
    (tmp_path / "d/2").write_text("Host *\nPort 2\n")
    (tmp_path / "no").write_text("User nobody\n")
    path = tmp_path / "config"
    path.write_text("Host other\nInclude no\nHost *\nInclude d/*\nCompression yes\nInclude gone\n")
    config = Config("web", directory=str(tmp_path))
    config.read([], [str(path)])
    assert (config.port, config.get("user"), config.get("compression")) == (2, None, "yes")
    path.write_text(f"Host other\nInclude {tmp_path}/no\nHost *\nInclude {tmp_path}/d/*\nCompression yes\n")
    agrees(tmp_path, path.read_text(), "web")


def test_include_of_itself_ends(tmp_path: Path) -> None:
    """A file that includes itself is an error, as for ssh."""
    path = tmp_path / "config"
    path.write_text(f"Include {path}\n")
    with pytest.raises(ConfigError, match="include each other"):
        Config("h").read([], [str(path)])


@pytest.mark.parametrize("line", ['User "x', "Match", "Match nonsense x", "Match host", "Host", "Match exec %z", "Port"])
def test_what_can_not_be_read(line: str) -> None:
    """The error names file and line."""
    with pytest.raises(ConfigError, match=r"-o line 2|not closed"):
        read(f"Compression yes\n{line}\n")


def test_a_command_runs_only_if_it_decides(tmp_path: Path) -> None:
    """``Match exec`` runs nothing where another criterion has failed, and no name becomes a command."""
    mark = tmp_path / "mark"
    read(f'Match host other exec "touch {mark}"\nUser x\n')
    assert not mark.exists()
    with pytest.raises(ConfigError, match="host name"):
        read('Match exec "test -n %h"\nUser x\n', host=f"x;touch${{IFS}}{mark}")
    assert not mark.exists()


WORDS = st.sampled_from(
    ["User", "Port", "HostName", "IdentityFile", "Compression", "ServerAliveInterval", "SendEnv", "HostKeyAlias", "ProxyJump"]
)
NAMES = ["a", "b.x", "B.X", "*", "?.x", "!a", "b.*", "a,b.x", "!b.x,*", "%h.y"]


@st.composite
def lines(draw: st.DrawFn) -> str:
    """Return a line of a file, sensible most of the time."""
    kind = draw(st.integers(0, 9))
    name = draw(st.sampled_from(NAMES))
    if kind < 3:
        return f"Host {' '.join(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)))}"
    if kind < 5:
        criteria = st.sampled_from(["host", "originalhost", "!host", "user", "!originalhost", "final host", "!final host"])
        return "Match " + " ".join(f"{draw(criteria)} {draw(st.sampled_from(NAMES))}" for _ in range(draw(st.integers(1, 2))))
    word = draw(WORDS)
    value = draw(st.integers(1, 4).map(str)) if word in {"Port", "ServerAliveInterval"} else name
    value = draw(st.sampled_from(["yes", "no"])) if word == "Compression" else value
    value = draw(st.sampled_from(["b.y", "c", "%h.y"])) if word == "HostName" else value
    value = draw(st.sampled_from(["j1", "u@j2:3", "none"])) if word == "ProxyJump" else value
    value = draw(st.sampled_from(["{}", "{}", '"{}"', "'{}'", "{} # c"])).format(value)
    between = draw(st.sampled_from([" ", "=", " = ", "\t"]))
    return f"{draw(st.sampled_from(['', '  ']))}{word}{between}{value}"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=st.lists(lines(), max_size=8).map("\n".join), host=st.sampled_from(["a", "b.x", "B.X", "c"]))
def test_any_file_is_what_ssh_reads(tmp_path: Path, text: str, host: str) -> None:
    """Whatever is in a file: ssh takes our reading of it for the same."""
    if shutil.which("ssh"):
        agrees(tmp_path, text + "\n", host)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text does anything but be read, or be refused with a reason."""
    try:
        read(text.lower().replace("exec", "host").replace("include", "user"))
    except ConfigError as exc:
        assert str(exc)
