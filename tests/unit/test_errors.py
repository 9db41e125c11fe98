# SPDX-License-Identifier: LGPL-2.1-or-later
"""The family of exceptions: 1.4.0's names, the builtin bases, attributes and texts."""

from __future__ import annotations

import inspect
import pickle

import pytest

from pylibsshext import errors

CLASSES = [thing for _, thing in inspect.getmembers(errors, inspect.isclass) if issubclass(thing, Exception)]


@pytest.mark.parametrize(
    "name",
    ["Exception", "SessionException", "ChannelException", "ChannelReadFailure", "SCPException", "SFTPException"],
)
def test_historical_names(name):
    """1.4.0's exceptions are there, below LibsshException."""
    assert issubclass(getattr(errors, f"Libssh{name}"), errors.LibsshException)


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("LibsshConnectionError", (errors.LibsshSessionException, ConnectionError)),
        ("LibsshSessionTimeout", (errors.LibsshSessionException, TimeoutError)),
        ("AuthenticationError", (errors.LibsshSessionException, PermissionError)),
        ("KeyImportError", (errors.LibsshSessionException, ValueError)),
        ("HostKeyError", (errors.LibsshSessionException,)),
        ("HostKeyChangedError", (errors.HostKeyError,)),
        ("LibsshChannelReadFailure", (errors.LibsshChannelException, ConnectionError)),
        ("LibsshChannelTimeout", (errors.LibsshChannelException, TimeoutError)),
    ],
)
def test_builtin_bases(name, bases):
    """The builtin exception that a Python programmer would catch is a base, too."""
    assert all(issubclass(getattr(errors, name), base) for base in bases)


@pytest.mark.parametrize("cls", CLASSES)
def test_message(cls):
    """Each has its message as an attribute and as its text, and can be made without one."""
    assert cls("what was done failed: why").message == str(cls("what was done failed: why")) == "what was done failed: why"
    assert str(cls()) == ""


@pytest.mark.parametrize("cls", CLASSES)
def test_pickled(cls):
    """Each survives the way between processes with its text."""
    assert str(pickle.loads(pickle.dumps(cls("text")))) == "text"  # noqa: S301  our own


def test_attributes():
    """What a program wants to know is in attributes, not in the text."""
    error = errors.AuthenticationError("no", ["password: denied"], ["publickey"])
    assert (error.attempts, error.methods_left) == (["password: denied"], ["publickey"])
    timeout = errors.LibsshChannelTimeout("late", b"out", b"err")
    assert (timeout.stdout, timeout.stderr) == (b"out", b"err")
    unknown = errors.HostKeyError("unknown", "host", 22, "ssh-ed25519", "SHA256:x")
    assert (unknown.host, unknown.port, unknown.key_type, unknown.fingerprint) == ("host", 22, "ssh-ed25519", "SHA256:x")
