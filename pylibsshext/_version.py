# SPDX-License-Identifier: LGPL-2.1-or-later
"""The version, in the one place that the build reads too."""

from __future__ import annotations

__version__ = "2.0.0"
__version_info__ = tuple(int(part) if part.isdigit() else part for part in __version__.split("."))
