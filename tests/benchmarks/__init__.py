# SPDX-License-Identifier: LGPL-2.1-or-later
"""How fast we are beside our peers: ``python -m tests.benchmarks``. Never part of the test suite: its clocks are no test."""
