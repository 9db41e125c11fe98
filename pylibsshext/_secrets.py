# SPDX-License-Identifier: LGPL-2.1-or-later
"""Passwords and their like, which must not stay in memory."""

from __future__ import annotations

from typing import Union

Secret = Union[str, bytes, bytearray]
"""Whose owner may overwrite it after use, where it is a bytearray: no copy of it stays here."""


def wipe(secret: bytearray) -> None:
    """Overwrite what is not needed any more, and should not be found in memory."""
    secret[:] = bytes(len(secret))
