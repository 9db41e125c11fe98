# SPDX-License-Identifier: GPL-3.0-or-later
"""The ssh program's arguments, read as options of the plugin."""

from __future__ import annotations

import pytest
from ansible_collections.ansible.netcommon.plugins.module_utils._ssh_args import parse


@pytest.mark.parametrize(
    ("line", "options", "lines"),
    [
        ("", {}, []),
        ("-p 2222 -l me", {"port": 2222, "remote_user": "me"}, []),
        ("-o Port=2222 -o 'User me'", {"port": 2222, "remote_user": "me"}, []),
        ("-p2222 -i ~/.ssh/key", {"port": 2222}, ["IdentityFile ~/.ssh/key"]),
        ("-i 'my key' -J u@b:22,c -4 -6 -A -a -b ::1", {}, [
            'IdentityFile "my key"', "ProxyJump u@b:22,c", "AddressFamily inet", "AddressFamily inet6", "ForwardAgent yes",
            "ForwardAgent no", "BindAddress ::1",
        ]),
        ("-C -o ControlMaster=auto", {}, ["Compression yes", "ControlMaster=auto"]),
        ('-o ProxyCommand="ssh -W %h:%p -q bastion"', {}, ["ProxyCommand=ssh -W %h:%p -q bastion"]),
        ("-oProxyCommand='nc -x a=b %h %p'", {}, ["ProxyCommand=nc -x a=b %h %p"]),
        ("-c aes256-ctr -m hmac-sha1", {}, ["Ciphers aes256-ctr", "MACs hmac-sha1"]),
        ("-F /etc/ssh/other -qtt", {"config_file": "/etc/ssh/other"}, []),
        ("-K", {}, ["GSSAPIAuthentication yes", "GSSAPIDelegateCredentials yes"]),
    ],
)  # fmt: skip
def test_each_way_of_writing(line, options, lines):
    """Each way of writing an argument ends as a line of ssh_config, or as the plugin's option."""
    assert parse(line) == (options, lines, [])


def test_the_first_value_wins_over_all_three_lines():
    """As with ssh, which reads ssh_args, then ssh_common_args, then ssh_extra_args."""
    assert parse("-p 1", None, "-o Port=2 -l me").options == {"port": 1, "remote_user": "me"}


@pytest.mark.parametrize(
    ("line", "ignored"),
    [("-L 1:host:2 -X", ["-L 1:host:2", "-X"]), ("-q another.host", ["another.host"]), ("-W a:1", ["-W a:1"])],
)
def test_what_can_not_be_honoured_is_named(line, ignored):
    """Nothing is dropped in silence."""
    assert parse(line) == ({}, [], ignored)


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
