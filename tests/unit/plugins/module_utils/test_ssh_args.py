# SPDX-License-Identifier: GPL-3.0-or-later
"""The ssh program's arguments, read as options of the plugin."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from ansible_collections.ansible.netcommon.plugins.module_utils._ssh_args import parse
from hypothesis import given, settings, strategies as st

# What -q is about.
QUIET = ("loglevel ",)


@pytest.mark.parametrize(
    ("line", "options", "lines"),
    [
        ("", {}, []),
        ("-p 2222 -l me", {"port": 2222, "remote_user": "me"}, []),
        ("-o Port=2222 -o 'User me'", {"port": 2222, "remote_user": "me"}, []),
        ("-p2222 -i ~/.ssh/key", {"port": 2222}, ["IdentityFile ~/.ssh/key"]),
        ("-i 'my key' -J u@b:22,c -4 -6 -A -a -b ::1", {}, [
            "BindAddress ::1", "ForwardAgent no", "ForwardAgent yes", "AddressFamily inet6", "AddressFamily inet",
            'IdentityFile "my key"', "ProxyJump u@b:22,c",
        ]),
        ("-l a=b -2", {"remote_user": "a=b"}, []),
        ("-o 'User=\"a b\"' -o '' -o '# nothing'", {"remote_user": "a b"}, []),
        ("-F a -F none -P work", {"config_file": "none"}, ["Tag work"]),
        ("-o Ciphers=a -c b -c d", {}, ["Ciphers d", "Ciphers b", "Ciphers=a"]),
        ("-C -o ControlMaster=auto", {}, ["Compression yes", "ControlMaster=auto"]),
        ('-o ProxyCommand="ssh -W %h:%p -q bastion"', {}, ["ProxyCommand=ssh -W %h:%p -q bastion"]),
        ("-oProxyCommand='nc -x a=b %h %p'", {}, ["ProxyCommand=nc -x a=b %h %p"]),
        ("-c aes256-ctr -m hmac-sha1", {}, ["MACs hmac-sha1", "Ciphers aes256-ctr"]),
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
        ("-p twenty", "'twenty' is no port"),
        ("-o Port=0", "'0' is no port"),
        ("-p 65536", "'65536' is no port"),
        ("-o 'Port 22 23'", "not one value"),
        ("-o 'Host x' -o Port=5", "for ssh_config files only"),
        ("-J a -J b", "-J b comes after"),
        ("-o ProxyCommand=a -J b", "-J b comes after"),
    ],
)
def test_what_can_not_be_read_is_an_error(line, why):
    """An unclosed quotation, an unknown switch, a missing value, a port that is no number."""
    with pytest.raises(ValueError, match=why):
        parse(line)


def resolved(*words: str) -> list[str]:
    """What ``ssh -G`` makes of a command line, or that it refuses it."""
    command = ["ssh", "-G", "-F", "none", *words, "--", "h"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.stdout.splitlines() if done.returncode == 0 else ["refused"]


SWITCHES = st.sampled_from([
    "-4", "-6", "-A", "-a", "-C", "-K", "-k", "-q", "-2", "-b 127.0.0.2", "-b ::1", "-c aes128-ctr", "-c aes256-ctr", "-m hmac-sha1",
    "-i /etc/passwd", "-i /etc/group", "-J j", "-J u@j:1,k", "-l me", "-l you", "-p 1", "-p 2", "-o Port=3", "-o User=her", "-o 'User her'", "-oPort=3",
    "-o AddressFamily=inet", "-o Ciphers=+aes128-cbc", "-o IdentityFile=/c", "-o ProxyCommand='nc %h'", "-o ProxyJump=none", "-o Compression=no",
    "-o ForwardAgent=/x", "-o BindAddress=::2", "-o GSSAPIDelegateCredentials=yes", "-o SendEnv=A", "-o 'SetEnv A=1 B=2'", "-o SendEnv=B",
])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(line=st.lists(SWITCHES, max_size=6).map(" ".join))
def test_any_command_line_is_what_ssh_reads(line: str):
    """Whatever is on it: ssh takes our reading of it, each part as -o, for the same."""
    expected = resolved(*shlex.split(line))
    try:
        found = parse(line)
    except ValueError:
        assert expected == ["refused"]
        return
    if expected == ["refused"]:
        return  # what ssh knows better, -J after -J none, for one, makes no difference here
    lines = [*found.lines, *(f"{ {'remote_user': 'User'}.get(name, name) }={value}" for name, value in found.options.items())]
    ours = resolved(*(word for one in lines for word in ("-o", one)))
    assert [one for one in ours if not one.startswith(QUIET)] == [one for one in expected if not one.startswith(QUIET)]
