# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection plugin without a network: its documentation and its options agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.ansible.netcommon.plugins.connection import libssh
from ansible_collections.ansible.netcommon.plugins.module_utils import _connection_options, _ssh_args

from pylibsshext import options as library_options

OPTIONS = yaml.safe_load(libssh.DOCUMENTATION)["options"]
SOURCES = "".join(
    path.read_text().partition("\nimport ")[2] if path.name == "libssh.py" else path.read_text()
    for path in sorted(Path(libssh.__file__).parents[1].rglob("*.py"))
)
# Read by others: Ansible's own code, and the action plugins of network modules.
# Has no place in an environment or in a file that is not encrypted.
SECRETS = {"keyboard_interactive_answers", "private_key"}
FOR_OTHERS = {"import_modules", "pipelining"}


def test_options_that_make_a_connection_are_documented():
    """Each is asked for by its documented name."""
    assert set(_connection_options.OPTIONS) <= set(OPTIONS)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_no_option_is_dead(name):
    """Each documented option is read somewhere."""
    assert name in FOR_OTHERS or re.search(rf'"{name}"', SOURCES)


@pytest.mark.parametrize("name", sorted(_connection_options._DEFAULTS))
def test_defaults_are_the_documented_ones(name):
    """What ssh_args may replace is recognised by its default."""
    assert OPTIONS[name]["default"] == _connection_options._DEFAULTS[name]


def test_every_keyword_is_one_of_the_library():
    """The library knows each keyword that the plugin calls it with."""
    known = {*library_options.OPTS_MAP, *library_options.OPTS_DIR_MAP, *library_options.EXTRA_OPTIONS}
    known |= set(library_options.CONNECT_KEYWORDS)
    assert set(_connection_options._KEYWORDS.values()) | {"identities"} <= known


def test_ssh_arguments_are_documented_options():
    """What ssh_args can set besides the lines for the library is an option of the plugin."""
    assert set(_ssh_args._OPTIONS.values()) <= set(_connection_options.OPTIONS)


def test_names_of_variables_follow_one_rule():
    """Every option that is new in 9.0.0 can be set by a variable, an environment variable and the configuration file."""
    for name, option in OPTIONS.items():
        if str(option.get("version_added")) == "9.0.0" and name not in SECRETS:
            assert f"ansible_libssh_{name}" in [entry["name"] for entry in option["vars"]]
            assert any(entry["name"].startswith("ANSIBLE_LIBSSH_") for entry in option["env"])
            assert any(entry["section"] == "libssh_connection" for entry in option["ini"])


def test_no_other_name_is_promised():
    """The module gives Session to those who import it, and nothing else by magic."""
    with pytest.raises(AttributeError, match="no attribute 'Sessions'"):
        libssh.Sessions  # noqa: B018
