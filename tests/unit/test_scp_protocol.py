# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rcp protocol: events out of bytes, names that are refused, paths on a command line."""

from __future__ import annotations

import contextlib
import shlex
import subprocess

import pytest
from hypothesis import given, strategies as st

from pylibsshext._scp import protocol as p
from pylibsshext.scp import SCPProtocolError

TRANSCRIPT = (
    b"\0T1700000000 0 1600000000 0\nD0755 0 top\nC0644 5 name with space\nhello\0C0600 0 empty\n\0"
    b"C0644 3 bad\nabc\1scp: bad: Input/output error\nE\n\1scp: x: Permission denied\n\2gone\n"
)
EVENTS = [
    p.Okay(),
    p.Times(1700000000, 1600000000),
    p.Directory(0o755, "top"),
    p.File(0o644, 5, "name with space"),
    b"hello",
    p.Okay(),
    p.File(0o600, 0, "empty"),
    p.Okay(),
    p.File(0o644, 3, "bad"),
    b"abc",
    p.Problem("bad: Input/output error", fatal=False),
    p.End(),
    p.Problem("x: Permission denied", fatal=False),
    p.Problem("gone", fatal=True),
]


def events(*chunks):
    """The events in a stream that comes in *chunks*; data is joined, since it comes in pieces."""
    decoder = p.Decoder()
    found = []
    for chunk in chunks:
        for event in decoder.feed(chunk):
            if not isinstance(event, p.Piece):
                found.append(event)
            elif found and isinstance(found[-1], bytes):
                found[-1] += bytes(event.data)
            else:
                found.append(bytes(event.data))
    return found


@pytest.mark.parametrize("at", range(len(TRANSCRIPT) + 1))
def test_split_anywhere(at):
    """It does not matter where the stream is cut in two."""
    assert events(TRANSCRIPT[:at], TRANSCRIPT[at:]) == EVENTS


def test_byte_by_byte():
    """It does not matter if the stream comes in single bytes."""
    assert events(*(TRANSCRIPT[at : at + 1] for at in range(len(TRANSCRIPT)))) == EVENTS


@pytest.mark.parametrize(
    "noise", [b"Welcome to R1\r\n", b"\r\nCisco IOS Software\r\nR1#", b"R1#", b"Copyright (c)\r\n\r\nDo not enter\r\n"]
)
@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_banners_and_prompts(noise, cut):
    """What a device prints before it speaks the protocol is passed over, and kept."""
    stream = noise + b"\0C0644 2 x\nab\0"
    decoder = p.Decoder()
    found = [event for at in range(0, len(stream), cut) for event in decoder.feed(stream[at : at + cut])]
    assert found[0] == p.Okay()
    assert p.File(0o644, 2, "x") in found
    assert decoder.noise.strip() == noise.strip()


@pytest.mark.parametrize(
    "line",
    [b"C0644 x name\n", b"C0644 -1 name\n", b"C0644 99999999999999999999 n\n", b"C0644 5\n", b"X\n", b"C9 1 n\n", b"T1 2\n"],
)
def test_malformed_line(line):
    """A line that the protocol does not have is refused once it has begun."""
    with pytest.raises(SCPProtocolError):
        events(b"\0" + line)


def test_endless_line():
    """A line without an end is refused instead of stored."""
    with pytest.raises(SCPProtocolError, match="endless"):
        events(b"\0", *[b"C" * 1000] * 100)


def test_text_behind_data():
    """What follows the data must be a zero byte or an error line: another record there is refused."""
    with pytest.raises(SCPProtocolError):
        events(b"\0C0644 1 a\nxC0644 1 b\n")


@given(st.binary(max_size=500), st.integers(1, 50))
def test_garbage(data, cut):
    """Whatever bytes come, there are events or an SCPProtocolError, and nothing else."""
    with contextlib.suppress(SCPProtocolError):
        events(b"\0", *(data[at : at + cut] for at in range(0, len(data), cut)))


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc/passwd", "a/b", "x\0y"])
def test_names_that_lead_elsewhere(name):
    """No name in a directory may be a path, or be nothing."""
    with pytest.raises(SCPProtocolError):
        p.check_name(name, set())


def test_name_twice():
    """The same name twice is refused: the first could be a directory's, or a link's."""
    seen = set()
    p.check_name("x", seen)
    with pytest.raises(SCPProtocolError):
        p.check_name("x", seen)


@pytest.mark.parametrize(
    ("name", "asked"),
    [("x", "/tmp/x"), ("x", "x"), ("x", "/tmp/x/"), ("image.bin", "flash:image.bin"), ("flash:image.bin", "flash:image.bin"),
     ("image.bin", "flash:/image.bin"), ("home", "."), ("any", "/")],
)  # fmt: skip
def test_names_that_were_asked_for(name, asked):
    """The last part of the path that was asked for is taken, with a device's prefix or without."""
    p.check_asked(name, asked)


@pytest.mark.parametrize(
    ("name", "asked"), [("y", "/tmp/x"), ("../x", "x"), ("/etc/x", "/tmp/x"), (".ssh", "x"), ("a/b", "."), ("X", "x")]
)
def test_names_that_were_not_asked_for(name, asked):
    """Any other name is refused (CVE-2019-6111)."""
    with pytest.raises(SCPProtocolError, match="the server sent the name"):
        p.check_asked(name, asked)


@pytest.mark.parametrize(
    "path", ["flash:image.bin", "bootflash:/x-1.2.bin", "/etc/a_b+c@d,e%f=g", "disk0:/config.cfg", "nvram:startup-config"]
)
def test_plain_paths_go_out_verbatim(path):
    """A device knows no quotes, so what needs none gets none."""
    assert p.quoted(path) == path


def test_leading_dash():
    """A path that looks like an option is made a path."""
    assert p.quoted("-rf") == "./-rf"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(lambda t: t[0] != "-"))
def test_quoting_is_what_a_shell_undoes(path):
    """Any other path is one word for a shell, and the same word."""
    assert shlex.split(p.quoted(path)) == [path]


@pytest.mark.parametrize(
    "path", ["a b", "it's", "~", "~root/x", "$HOME", "`id`", "a;b", "a\nb", "*", "ü", '"', "\\", "a|b", "!x"]
)
def test_quoting_in_a_real_shell(path):
    """A shell passes the path on as it is."""
    done = subprocess.run(["sh", "-c", f"printf %s {p.quoted(path)}"], capture_output=True, check=True)
    assert done.stdout.decode() == path


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_impossible_paths(path):
    """An empty path and a NUL are refused."""
    with pytest.raises(ValueError, match="path cannot"):
        p.quoted(path)


def test_announcements():
    """Files, directories and times are announced in the protocol's own words."""
    assert p.file_line(0o100644, 5, "n m") == b"C0644 5 n m\n"
    assert p.directory_line(0o755, "ü") == "D0755 0 ü\n".encode()
    assert p.times_line(12.9, -1) == b"T12 0 0 0\n"
    with pytest.raises(ValueError, match="line break"):
        p.file_line(0o644, 5, "a\nb")
