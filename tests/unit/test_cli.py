# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line: what its words mean, and what it may print."""

from __future__ import annotations

import posixpath

import pytest

from pylibsshext import __main__
from pylibsshext._cli import display, places, transfer
from pylibsshext.sftp import SFTPError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host:path", (None, "host", "path")),
        ("me@host:/a/b", ("me", "host", "/a/b")),
        ("me@corp.example@host:x", ("me@corp.example", "host", "x")),
        ("host:", (None, "host", ".")),
        ("[::1]:x", (None, "::1", "x")),
        ("me@[fe80::1%eth0]:x", ("me", "fe80::1%eth0", "x")),
        ("router:flash:image.bin", (None, "router", "flash:image.bin")),
        ("host:with space\nand line", (None, "host", "with space\nand line")),
        ("./host:path", None),
        ("/a:b", None),
        ("path", None),
        (":path", None),
        ("@host:path", None),
        ("", None),
    ],
)
def test_a_place_is_read_as_scp_reads_it(text, expected):
    """Up to the first colon it is a host, if no slash comes before it."""
    if expected is None:
        with pytest.raises(ValueError, match="is not"):
            places.parse(text)
    else:
        assert places.parse(text) == expected


def test_sources_get_their_targets():
    """A directory takes files under their own names; anything else is the name of the one file."""
    assert transfer.named(["a/x"], "t", False, posixpath.basename, posixpath.join) == [("a/x", "t")]
    expected = [("a/x", "t/x"), ("y", "t/y")]
    assert transfer.named(["a/x", "y"], "t", True, posixpath.basename, posixpath.join) == expected


@pytest.mark.parametrize("sources", [["a/x", "b/x"], ["x", "x"]])
def test_two_files_do_not_become_one(sources):
    """Sources of the same name are refused before anything is copied."""
    with pytest.raises(SFTPError, match="several of the files would become 't/x'"):
        transfer.named(sources, "t", True, posixpath.basename, posixpath.join)


def test_names_cannot_drive_the_terminal():
    """Escape sequences, line ends and undecodable bytes in names are printed as text."""
    assert display.printable("a\x1b[2J\r\n\x9b\udc80ü…") == r"a\x1b[2J\r\n\x9b\udc80ü…"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_500_000_000, "1.5 GB"), (5 * 10**15, "5000.0 TB")]
)
def test_amounts_have_units(size, text):
    """Sizes are in the unit that suits."""
    assert display.amount(size) == text


@pytest.mark.parametrize(
    "words",
    [
        ["put", "x"],
        ["put", "x", "y"],
        ["put", "--scp", "--resume", "x", "h:y"],
        ["put", "-j", "0", "x", "h:y"],
        ["get", "x", "y"],
        ["get", "one:x", "two:y", "z"],
        ["get", "one:x", "you@one:y", "z"],
        ["get", "--mode", "9", "h:x", "y"],
        ["fetch"],
        [],
    ],
)
def test_a_wrong_command_line_ends_with_2(words, capsys):
    """Nothing is connected to, and the usage is shown."""
    with pytest.raises(SystemExit) as ended:
        __main__.main(words)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err
