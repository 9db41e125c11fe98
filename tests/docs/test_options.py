# SPDX-License-Identifier: GPL-3.0-or-later
"""No option of the plugins that people come from is forgotten, and what is said of options is said right."""

from __future__ import annotations

import re

import pytest

from scripts.docs import options

THEIRS = [(plugin, option) for plugin, found in options.theirs().items() for option in found.values()]


@pytest.mark.parametrize(("plugin", "option"), THEIRS, ids=[f"{plugin}-{option.name}" for plugin, option in THEIRS])
def test_option_is_here_or_explained(plugin: str, option: options.Option):
    """Each option is read from wherever its plugin reads it, with the same default; or the documentation says why not."""
    assert options.verdict(option).unexplained == ()


def test_the_plugins_were_read():
    """The comparison is with all of them, and with what Ansible adds to ``ssh``'s own documentation."""
    count = {plugin: len(found) for plugin, found in options.theirs().items()}
    assert count[options.NETCOMMON] == 22
    assert count[options.PARAMIKO] == 15
    assert count[options.SSH] >= 28
    assert "[connection] pipelining" in options.theirs()[options.SSH]["pipelining"].sources


def test_explanations_are_of_options_that_there_are():
    """An explanation does not outlive what it explains."""
    said = options.differences()
    known = {option.name for _, option in THEIRS}
    assert not set(said["absent"]) & set(options.ours())
    assert {name for kind in ("renamed", "absent", "defaults") for name in said[kind]} <= known
    assert set(said["sources"]) <= {source for _, option in THEIRS for source in option.sources}
    assert set(said["renamed"].values()) <= set(options.ours())


def test_reference_has_every_option():
    """Each option has a section, all of Ansible's markup is translated, and links lead to sections."""
    text = options.reference()
    headings = re.findall(r"(?m)^### (\S+)$", text)
    assert headings == sorted(options.ours())
    assert not re.search(r"\b[BCEIOV]\(", text)
    assert set(re.findall(r"\]\(#([^)]+)\)", text + options.comparison())) <= set(headings)
