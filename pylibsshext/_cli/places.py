# SPDX-License-Identifier: LGPL-2.1-or-later
"""``[USER@]HOST:PATH``, as ``scp`` reads it."""

from __future__ import annotations

import re
from typing import Optional

from .._named_tuple import NamedTuple


class Place(NamedTuple):
    """A path of a host."""

    user: Optional[str]  # noqa: UP045 - Python 3.9 evaluates the fields of a NamedTuple
    host: str
    path: str

    @property
    def where(self) -> tuple[str | None, str]:
        """Return whom it is to be asked of."""
        return self.user, self.host


_PLACE = re.compile(r"(?:(?P<user>[^:/]+)@)?(?:\[(?P<address>[^]/]+)\]|(?P<host>[^:/@\[\]]+)):(?P<path>.*)", re.DOTALL)


def parse(text: str) -> Place:
    """Take a remote path apart; IPv6 addresses are in brackets, and an empty path is the home directory."""
    found = _PLACE.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not [USER@]HOST:PATH")
    return Place(found["user"], found["address"] or found["host"], found["path"] or ".")
