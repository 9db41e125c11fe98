# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stands in for the compiled module where there is none: Python prefers ``_core.*.so``, and comes here only without it."""

from __future__ import annotations

import os
import platform

_msg = (
    f"{os.path.dirname(__file__)} has no compiled module for {platform.python_implementation()} "
    f"{platform.python_version()} on {platform.machine()}: build it with 'pip install ansible-pylibssh', or in a "
    "checkout with 'make build'"
)
raise ImportError(_msg, name=__name__)
