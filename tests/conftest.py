# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all tests share: the lab's hosts as fixtures, and a watch over what the tests leave behind."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

# So that `tests.lab` can be imported however pytest is started.
ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

# A shell starts what runs in its background with Ctrl-C ignored, and so would be every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.lab.fixtures", "tests.lab.sentinel"]
