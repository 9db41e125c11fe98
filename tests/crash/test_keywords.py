# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes into connect() and into libssh's options."""

from __future__ import annotations

from tests.crash.conftest import Run


def test_keywords_of_connect(crash: Run) -> None:
    """Each keyword takes anything: connected, or an exception."""
    assert crash("keywords", "keywords", timeout=240)["None"] > 100


def test_private_keys(crash: Run) -> None:
    """Damaged keys, wrong passphrases, 10 MB of junk: an exception each."""
    ends = crash("keywords", "keys", timeout=240)
    assert ends["<class 'pylibsshext.errors.KeyImportError'>"] > 100


def test_option_numbers(crash: Run) -> None:
    """Numbers that a program puts into OPTS_MAP never make libssh follow a wild pointer."""
    crash("keywords", "numbers", timeout=240)
