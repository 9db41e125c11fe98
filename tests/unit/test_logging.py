# SPDX-License-Identifier: LGPL-2.1-or-later
"""libssh's log and Python's: levels, names, and silence by default."""

from __future__ import annotations

import logging

import pytest

from pylibsshext import logging as ssh_logging
from pylibsshext.errors import LibsshSessionException
from pylibsshext.logging import ANSIBLE_PYLIBSSH_NOLOG, ANSIBLE_PYLIBSSH_TRACE
from pylibsshext.session import Session


@pytest.fixture(autouse=True)
def _restore():
    yield
    ssh_logging.logger.setLevel(logging.NOTSET)


def test_levels_of_our_own():
    """TRACE lies below DEBUG and NOLOG above everything; both have 1.4.0's values."""
    assert (ANSIBLE_PYLIBSSH_TRACE, ANSIBLE_PYLIBSSH_NOLOG) == (5, 100)
    assert logging.getLevelName(ANSIBLE_PYLIBSSH_TRACE) == "TRACE"


@pytest.mark.parametrize(
    ("level", "number"),
    [
        (ANSIBLE_PYLIBSSH_NOLOG, 0),
        (logging.CRITICAL, 1),
        (logging.ERROR, 1),
        (logging.WARNING, 1),
        (logging.INFO, 2),
        (logging.DEBUG, 3),
        (ANSIBLE_PYLIBSSH_TRACE, 4),
        (logging.NOTSET, 4),
    ],
)
def test_level_map(level, number):
    """Each level of Python's has libssh's number."""
    assert ssh_logging.libssh_level(level) == number


@pytest.mark.parametrize("level", [1, 7, "DEBUG", None, [], 10.5])
def test_levels_that_are_none(level):
    """Any other is refused in 1.4.0's words."""
    with pytest.raises(LibsshSessionException, match="Invalid log level"):
        Session().set_log_level(level)


@pytest.mark.parametrize("number", [-1, 0, 1, 2, 3, 4, 5, 99])
def test_emit(caplog, number):
    """A line of libssh's becomes a record of the logger `ansible-pylibssh`, at the level it belongs to."""
    with caplog.at_level(ANSIBLE_PYLIBSSH_TRACE, "ansible-pylibssh"):
        ssh_logging.emit(number, "100 % of %s")
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("ansible-pylibssh", "100 % of %s")
    assert record.levelno == ssh_logging.LOG_MAP_REV[min(max(number, 0), 4)]


@pytest.mark.parametrize("level", [ANSIBLE_PYLIBSSH_TRACE, logging.DEBUG, logging.INFO, logging.WARNING])
def test_effective_level(level):
    """How much libssh is asked for follows the logger's level."""
    ssh_logging.logger.setLevel(level)
    assert ssh_logging.effective_level() == ssh_logging.LOG_MAP[level]


def test_silent_by_default(capfd):
    """Without a handler nothing is printed, not even warnings."""
    for number in range(5):
        ssh_logging.emit(number, "a line")
    assert capfd.readouterr() == ("", "")
