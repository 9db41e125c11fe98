# SPDX-License-Identifier: LGPL-2.1-or-later
"""The documentation's tables of what works: no mark stays that no test makes."""

from __future__ import annotations

import pytest

from tests.lab import works

PAGE = """Text.

<!-- works -->
|  | OpenSSH 9.2p1 | dropbear 2022.83 |
|--|--|--|
| password | yes | yes |
| agent | yes |  |
<!-- end -->
"""


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Compare a page with what tests saw work, in CI; return what is told."""
    monkeypatch.setattr(works, "DOCS", tmp_path)
    monkeypatch.setenv("CI", "true")
    (tmp_path / "login.md").write_text(PAGE)
    (tmp_path / "other.md").write_text("No table.")

    def check(*seen):
        (tmp_path / "seen").write_text("".join(f"login\t{mark}\n" for mark in seen))
        monkeypatch.setattr("sys.argv", ["works", str(tmp_path / "seen")])
        status, told = works.main(), capsys.readouterr().out
        assert status == bool(told)
        return told

    return check


def test_marks_that_no_test_makes(check):
    """Each mark that was not made is told, also where nothing at all was seen with a server."""
    mine = "password\tOpenSSH 9.2p1", "agent\tOpenSSH 9.2p1", "password\tdropbear 2022.83"
    assert check(*mine) == ""
    assert check(*mine[1:]) == "docs/login.md says that 'password' works with OpenSSH 9.2p1, and no test saw that\n"
    assert check(*mine[:2]) == "docs/login.md says that 'password' works with dropbear 2022.83, and no test saw that\n"
    assert check().count("no test saw that") == 3


def test_servers_in_another_version(check):
    """A column for a version that is not there is left alone, as it is when a mark is made."""
    assert check("password\tOpenSSH 9.9", "password\tdropbear 2022.83") == ""


def test_outside_ci(check, monkeypatch, capsys):
    """Elsewhere something may be missing that tests need: then it is only told."""
    check()
    monkeypatch.delenv("CI")
    assert works.main() == 0
    assert "no test saw that" in capsys.readouterr().out
