# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that the library's doctor names are the connection plugin's."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.ansible.netcommon.plugins.connection.libssh import DOCUMENTATION
from ansible_collections.ansible.netcommon.plugins.module_utils import _connection_options

from pylibsshext import variables
from pylibsshext.doctor import inventory

OPTIONS = yaml.safe_load(DOCUMENTATION)["options"]
OPTION_OF = {keyword: option for option, keyword in _connection_options._KEYWORDS.items()} | {
    "host_key_checking": "host_key_checking",
}
VARIABLES = {**variables.VARIABLES, **{keyword: name for keyword, (name, _) in variables.SECRETS.items()}}


@pytest.mark.parametrize("keyword", VARIABLES)
def test_variable_reaches_its_keyword(keyword):
    """A variable in the doctor's last lines sets the keyword of the connection that he tried."""
    assert VARIABLES[keyword] in [entry["name"] for entry in OPTIONS[OPTION_OF[keyword]]["vars"]]


def test_names_in_hops():
    """In a mapping of proxy_jump each is called as the plugin takes it there."""
    for keyword in set(VARIABLES) - {"proxy_jump", "host_key_checking"}:
        about = {"remote_addr": "h", inventory.in_hop(keyword): "x"}
        assert _connection_options.hops([about])[0][keyword], keyword
    assert (
        _connection_options.hops([{"host": "h", inventory.in_hop("host_key_checking"): "yes"}])[0]["host_key_checking"] == "yes"
    )
