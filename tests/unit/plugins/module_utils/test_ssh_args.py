# SPDX-License-Identifier: GPL-3.0-or-later
"""The ssh program's arguments, read as options of the plugin."""

from __future__ import annotations

import pytest
from ansible_collections.ansible.netcommon.plugins.module_utils._ssh_args import parse


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", {}),
        ("-p 2222 -l me", {"port": 2222, "remote_user": "me"}),
        ("-p2222 -i ~/.ssh/key", {"port": 2222, "private_key_file": "~/.ssh/key"}),
        ("-C -o ControlMaster=auto -o ControlPersist=60s", {"compression": True}),
        ("-o Compression=no", {"compression": False}),
        ('-o ProxyCommand="ssh -W %h:%p -q bastion"', {"proxy_command": "ssh -W %h:%p -q bastion"}),
        ('-o "ProxyCommand nc -x a=b %h %p"', {"proxy_command": "nc -x a=b %h %p"}),
        ("-oProxyCommand='nc %h %p'", {"proxy_command": "nc %h %p"}),
        ("-o stricthostkeychecking=no", {"host_key_checking": False}),
        ("-o StrictHostKeyChecking=accept-new", {"host_key_auto_add": True}),
        ("-o UserKnownHostsFile=/dev/null", {"known_hosts_file": "/dev/null"}),
        ("-o ConnectTimeout=3 -c aes256-ctr -m hmac-sha1", {"timeout": 3, "ciphers": "aes256-ctr", "macs": "hmac-sha1"}),
        ("-o KexAlgorithms=+diffie-hellman-group14-sha1", {"key_exchange_algorithms": "+diffie-hellman-group14-sha1"}),
        ("-F /etc/ssh/other -qtt", {"config_file": "/etc/ssh/other"}),
    ],
)
def test_what_has_an_option_becomes_one(line, options):
    """Each way of writing an argument ends as the plugin's option of that meaning."""
    assert parse(line) == (options, [])


def test_the_first_value_wins_over_all_three_lines():
    """As with ssh, which reads ssh_args, then ssh_common_args, then ssh_extra_args."""
    assert parse("-p 1", None, "-o Port=2 -l me").options == {"port": 1, "remote_user": "me"}


@pytest.mark.parametrize(
    ("line", "ignored"),
    [
        ("-J bastion", ["ProxyJump=bastion"]),
        ("-o ServerAliveInterval=5", ["ServerAliveInterval=5"]),
        ("-o StrictHostKeyChecking=perhaps", ["StrictHostKeyChecking=perhaps"]),
        ("-L 1:host:2 -A", ["-L 1:host:2", "-A"]),
        ("-q another.host", ["another.host"]),
    ],
)
def test_what_can_not_be_honoured_is_named(line, ignored):
    """Nothing is dropped in silence."""
    assert parse(line) == ({}, ignored)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-o 'ProxyCommand=x", "No closing quotation"),
        ("-Z", "option -Z not recognized"),
        ("-p", "option -p requires argument"),
        ("-p twenty", "'twenty'"),
    ],
)
def test_what_can_not_be_read_is_an_error(line, why):
    """An unclosed quotation, an unknown switch, a missing value, a port that is no number."""
    with pytest.raises(ValueError, match=why):
        parse(line)
