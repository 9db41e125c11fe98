# SPDX-License-Identifier: LGPL-2.1-or-later
"""The doctor: what happens on the way to a host, step by step, and what to do where it ends.

``python -m pylibsshext doctor [user@]host[:port]``, or `examine` for programs.
"""

from __future__ import annotations

from .examination import examine
from .report import Finding, Report

__all__ = ["Finding", "Report", "examine"]
