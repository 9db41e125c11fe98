# SPDX-License-Identifier: LGPL-2.1-or-later
"""libssh's log as records of Python's `logging`, under the logger ``ansible-pylibssh``.

Nothing is printed unless the program configures a handler.  How much libssh logs follows the level of that logger at the time
of the connect, or `Session.set_log_level`.
"""

from __future__ import annotations

import logging

from .errors import LibsshSessionException

__all__ = ["ANSIBLE_PYLIBSSH_NOLOG", "ANSIBLE_PYLIBSSH_TRACE", "LOG_MAP", "LOG_MAP_REV", "logger"]

ANSIBLE_PYLIBSSH_NOLOG: int = logging.FATAL * 2
"""A level above all others: nothing is logged."""
ANSIBLE_PYLIBSSH_TRACE: int = logging.DEBUG // 2
"""A level below DEBUG: everything that libssh can tell, packets included."""

# libssh's levels, from SSH_LOG_NONE (0) to SSH_LOG_TRACE (4), are this table's indices.
_LEVELS = (ANSIBLE_PYLIBSSH_NOLOG, logging.WARNING, logging.INFO, logging.DEBUG, ANSIBLE_PYLIBSSH_TRACE)

LOG_MAP: dict[int, int] = {level: number for number, level in enumerate(_LEVELS)}
LOG_MAP[logging.NOTSET] = 4
LOG_MAP[logging.ERROR] = LOG_MAP[logging.CRITICAL] = 1
LOG_MAP_REV: dict[int, int] = dict(enumerate(_LEVELS))

logger: logging.Logger = logging.getLogger("ansible-pylibssh")
logger.addHandler(logging.NullHandler())  # without it Python prints warnings to stderr
logging.addLevelName(ANSIBLE_PYLIBSSH_TRACE, "TRACE")


def libssh_level(level: int) -> int:
    """Return libssh's number for a level of `logging`; an unknown one raises `LibsshSessionException`."""
    try:
        return LOG_MAP[level]
    except (KeyError, TypeError):
        raise LibsshSessionException(f"Invalid log level [{level}]") from None


def effective_level() -> int:
    """Return libssh's number for what the logger lets through now."""
    return next((number for number in range(4, 0, -1) if logger.isEnabledFor(_LEVELS[number])), 0)


def emit(number: int, text: str) -> None:
    """Log one line of libssh's, which came with libssh's level *number*."""
    level = _LEVELS[min(max(number, 0), 4)]
    if text.startswith("ssh_strict_fopen:"):
        level = logging.DEBUG  # a file that need not be there is not
    logger.log(level, "%s", text)
