# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference of the library, as it is made of the stubs."""

from __future__ import annotations

import re

import pytest

from scripts.docs import api
from tests.unit.test_surface import NAMES


@pytest.fixture(scope="module")
def reference():
    return {module: api.reference(module) for module in api.MODULES}


def test_drop_in_names(reference):
    """Each name of ansible-pylibssh 1.4.0 is described, but Python's own."""
    described = set(re.findall(r"^ *\.\. py:\w+:: (\w+)", "\n".join(reference.values()), re.MULTILINE))
    wanted = {name for module in NAMES for name in NAMES[module].split() if f"pylibsshext.{module}" in api.MODULES}
    assert wanted - described == {"CompletedProcess"}


def test_inherited(reference):
    """What a class has of one that has no entry is described as its own, private names are not."""
    assert "py:method:: listdir(" in reference["pylibsshext.sftp"]
    assert all("py:method:: exec_command(" in reference[f"pylibsshext.{name}"] for name in ("session", "mux.client"))
    assert "\n".join(reference.values()).count("py:attribute:: sftp_code") == 1
    assert not re.search(r"py:\w+:: _", "\n".join(reference.values()))
