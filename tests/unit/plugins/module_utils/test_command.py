# SPDX-License-Identifier: GPL-3.0-or-later
"""What a shell is sent instead of a command of Ansible's: it has to do the same."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from ansible_collections.ansible.netcommon.plugins.module_utils import _command

SCRIPTS = [
    "echo ~",
    "echo \"it's\" '$HOME'",
    "( umask 77 && umask ) && exit 3",
    "true",
    "",
    "echo 'a\nb' ; false",
    "if",
    "echo \u00e4",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_shell_would_do_anyway(script):
    """Of /bin/sh -c and one script, quoted as Ansible does, the script is left."""
    assert _command._unwrapped(f"/bin/sh -c {shlex.quote(script)}") == script


@pytest.mark.parametrize(
    "command",
    [
        *(
            "/bin/sh -c $HOME",
            "/bin/sh -c 'echo a'; echo b",
            "/bin/sh -c 'echo a' b",
            '/bin/sh -c "echo $HOME"',
            "/bin/sh -c a\\ b",
        ),
        *(
            "/bin/sh -c 'echo a",
            "/bin/bash -c 'echo a'",
            "/bin/sh -e -c 'echo a'",
            "/bin/sh",
            "echo ~",
            "",
            " /bin/sh -c 'echo a'",
        ),
    ],
)
def test_what_is_more_than_that(command):
    """Anything else goes as it is."""
    assert _command._unwrapped(command) == command


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_does_the_same(script):
    """Both ways have the same output and end the same way."""
    command = f"/bin/sh -c {shlex.quote(script)}"
    outcomes = []
    for words in (command, _command._unwrapped(command)):
        done = subprocess.run(["/bin/sh", "-c", words], check=False, capture_output=True)
        outcomes.append((done.returncode, done.stdout, bool(done.stderr)))
    assert outcomes[0] == outcomes[1]
