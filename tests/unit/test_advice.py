# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each way in which connecting fails has its advice."""

from __future__ import annotations

import builtins

import pytest

from pylibsshext import errors
from pylibsshext.advice import _ADVICE, advice


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (errors.AuthenticationError("denied"), "ansible_user"),
        (errors.KeyImportError("private_key is not a private key"), "Check ansible_private_key,"),
        (errors.KeyImportError("no key"), "ansible_private_key_passphrase"),
        (errors.HostKeyError("unknown", fingerprint="SHA256:x"), "ssh-keyscan -p 2222 there "),
        (errors.HostKeyError("unknown", fingerprint="SHA256:x"), " >> ~/.ssh/known_hosts)"),
        (errors.HostKeyError("(searched /a b/k, /etc/k)", fingerprint="SHA256:x"), " >> '/a b/k')"),
        (errors.HostKeyError("unknown", key_type="ecdsa-sha2-nistp256", fingerprint="SHA256:x"), "ssh_host_ecdsa_key.pub"),
        (errors.LibsshException("reading the configuration failed: /c is not a file"), "Check ansible_libssh_config_file"),
        (errors.HostKeyError("at the jump host b:7: unknown", "b", 7, fingerprint="SHA256:x"), "ssh-keyscan -p 7 b "),
        (errors.LibsshSessionTimeout("at the jump host b:7: ssh connect failed: timed out"), "The server takes connections"),
        (errors.LibsshSessionTimeout("slow"), "ansible_ssh_timeout"),
        (errors.LibsshConnectionError("ssh connect failed: [Errno 111] Connection refused"), "ansible_port"),
        (
            errors.LibsshSessionException("kex error : no match for method kex algos: server [a], client [b]"),
            "key_exchange_algo",
        ),
        (errors.LibsshSessionException("kex error : no match for method mac algo client->server: server"), "libssh_macs"),
        (errors.LibsshConnectionError("ssh connect failed: Socket error: disconnected"), "MaxStartups"),
        (errors.LibsshConnectionError("ssh connect failed: [Errno -2] Name or service not known"), "ansible_host"),
    ],
)
def test_advice_names_what_to_set(error, named):
    """The user reads which variable or command helps."""
    assert named in advice(error, "there", 2222)


@pytest.mark.parametrize(
    "error", [errors.HostKeyChangedError("changed"), errors.LibsshException("?"), errors.LibsshException("[Errno 5] ?")]
)
def test_no_advice_where_the_text_must_do(error):
    """A changed key says itself what to do; of an unknown trouble nothing is known."""
    assert advice(error, "there", 22) == ""


def test_every_class_of_the_table_exists():
    """A renamed exception must not lose its advice in silence."""
    known = {*vars(errors), *vars(builtins)}
    assert set(_ADVICE) <= known
