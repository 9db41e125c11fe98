# SPDX-License-Identifier: LGPL-2.1-or-later
"""The public surface of ansible-pylibssh 1.4.0: each name where it was, each parameter by its name and with its default."""

from __future__ import annotations

import gc
import importlib
import inspect
import weakref

import pytest

# Module: class: method: its parameters, as 1.4.0's documentation and its users have them.
METHODS = {
    "session": {
        "Session": {
            "__init__": "host=None **kwargs",
            "connect": "**kwargs",
            "set_ssh_options": "key value",
            "get_ssh_options": "key",
            "disconnect": "",
            "close": "",
            "new_channel": "",
            "new_shell_channel": "",
            "invoke_shell": "",
            "scp": "",
            "sftp": "",
            "set_log_level": "level",
            "set_missing_host_key_policy": "policy",
            "verify_knownhost": "",
            "hostkey_auto_add": "username",
            "authenticate_specific_pubkey": "private_key_b64 private_key_password=None",
            "authenticate_pubkey": "",
            "authenticate_password": "password",
            "authenticate_interactive": "password expected_prompt=None",
            "authenticate_gssapi_with_mic": "",
            "push_callback": "callback",
        },
        **{
            policy: {"missing_host_key": "session hostname username key_type fingerprint message"}
            for policy in ("MissingHostKeyPolicy", "AutoAddPolicy", "RejectPolicy")
        },
    },
    "channel": {
        "Channel": {
            "__init__": "session",
            "request_shell": "",
            "request_exec": "command",
            "request_pty": "",
            "request_pty_size": "terminal col row",
            "poll": "timeout=-1 stderr=0",
            "read_nonblocking": "size=1024 stderr=0",
            "recv": "size=1024 stderr=0",
            "write": "data",
            "sendall": "data",
            "read_bulk_response": "stderr=0 timeout=0.001 retry=5",
            "exec_command": "command",
            "send_eof": "",
            "send_signal": "sig",
            "get_channel_exit_status": "",
            "close": "",
        },
        "ChannelCallback": {"set_user_data": "userdata"},
    },
    "scp": {"SCP": {"__init__": "session", "put": "local_file remote_file", "get": "remote_file local_file"}},
    "sftp": {"SFTP": {"__init__": "session", "put": "local_file remote_file", "get": "remote_file local_file", "close": ""}},
}
NAMES = {
    "": "__version__ __version_info__ __full_version__ __libssh_version__",
    "session": "AutoAddPolicy Channel HOST_KEY_AUTO_ADD_MSG_MAP KNOW_HOST_MSG_MAP MissingHostKeyPolicy OPTS_DIR_MAP OPTS_MAP "
    "RejectPolicy SCP SFTP Session",
    "channel": "Channel ChannelCallback CompletedProcess LibsshChannelReadFailure",
    "scp": "SCP SCP_MAX_CHUNK",
    "sftp": "MSG_MAP SFTP SFTP_MAX_CHUNK",
    "errors": "LibsshChannelException LibsshChannelReadFailure LibsshException LibsshSCPException LibsshSFTPException "
    "LibsshSessionException",
    "logging": "ANSIBLE_PYLIBSSH_NOLOG ANSIBLE_PYLIBSSH_TRACE LOG_MAP LOG_MAP_REV",
}
EVERY_METHOD = [
    (module, kind, method, parameters.split())
    for module, kinds in METHODS.items()
    for kind, methods in kinds.items()
    for method, parameters in methods.items()
]


def load(module):
    """Import a module of the library."""
    return importlib.import_module(f"pylibsshext.{module}" if module else "pylibsshext")


@pytest.mark.parametrize("module", NAMES)
def test_names(module):
    """`from pylibsshext.module import name` finds what it found."""
    assert [name for name in NAMES[module].split() if not hasattr(load(module), name)] == []


@pytest.mark.parametrize(("module", "kind", "method", "parameters"), EVERY_METHOD, ids=lambda value: str(value))
def test_parameters(module, kind, method, parameters):
    """A call for 1.4.0, by position or by name, still fits; what was added has a default."""
    signature = inspect.signature(getattr(getattr(load(module), kind), method))
    ours = list(signature.parameters.values())[1:]
    for theirs, mine in zip(parameters, ours):
        name, _, default = theirs.partition("=")
        assert mine.name == name.lstrip("*")
        if default:
            assert mine.default == eval(default)  # noqa: S307 - a literal of the table above
        elif name.startswith("**"):
            assert mine.kind is inspect.Parameter.VAR_KEYWORD
    assert len(ours) >= len(parameters)
    for added in ours[len(parameters) :]:
        assert added.default is not inspect.Parameter.empty or added.kind is inspect.Parameter.VAR_KEYWORD


def test_maps_of_messages():
    """Texts by libssh's numbers: states of a host key, results of adding one."""
    session = load("session")
    assert {number: text[:4] for number, text in session.KNOW_HOST_MSG_MAP.items()} == {0: "Host", 2: "Host", 3: "Host"}
    assert set(session.HOST_KEY_AUTO_ADD_MSG_MAP) == {-1, 1, 2, 4}


def test_kept_callback():
    """What a session is told to keep lives as long as it does."""
    session, callback = load("session").Session(), load("channel").ChannelCallback()
    callback.set_user_data(object())
    kept = weakref.ref(callback)
    session.push_callback(callback)
    del callback
    gc.collect()
    assert kept() is not None
    del session
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("name", ["is_connected", "port"])
def test_properties(name):
    """What was read as an attribute still is."""
    assert isinstance(getattr(load("session").Session, name), property)


def test_unknown_name_of_the_session_module():
    """What was never there is an AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="Sesion"):
        load("session").Sesion  # noqa: B018
