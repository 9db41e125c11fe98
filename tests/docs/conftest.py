# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the documentation share with those that run Ansible."""

from __future__ import annotations

from tests.integration.playbooks.conftest import collections_path

__all__ = ["collections_path"]
