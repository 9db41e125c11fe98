# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that the library's doctor names are the connection plugin's."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.ansible.netcommon.plugins.connection.libssh import DOCUMENTATION
from ansible_collections.ansible.netcommon.plugins.module_utils import _connection_options

from pylibsshext.doctor import inventory

OPTIONS = yaml.safe_load(DOCUMENTATION)["options"]
OPTION_OF = {keyword: option for option, keyword in _connection_options._KEYWORDS.items()} | {
    "host_key_checking": "host_key_checking",
}
VARIABLES = {**inventory.VARIABLES, **{keyword: name for keyword, (name, _) in inventory.SECRETS.items()}}


@pytest.mark.parametrize("keyword", VARIABLES)
def test_variable_reaches_its_keyword(keyword):
    """A variable in the doctor's last lines sets the keyword of the connection that he tried."""
    assert VARIABLES[keyword] in [entry["name"] for entry in OPTIONS[OPTION_OF[keyword]]["vars"]]
