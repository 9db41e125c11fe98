# SPDX-License-Identifier: LGPL-2.1-or-later
"""libssh's log of real connections: how much there is at each level, and what may never be in it."""

from __future__ import annotations

import base64
import logging

import pytest

from pylibsshext import logging as ssh_logging
from pylibsshext.errors import AuthenticationError
from pylibsshext.logging import ANSIBLE_PYLIBSSH_NOLOG, ANSIBLE_PYLIBSSH_TRACE
from pylibsshext.session import Session
from tests.lab import servers
from tests.lab.bad import Round

from .conftest import login

CANARY = "c4nary-Of-a-secret"


@pytest.fixture
def log(caplog):
    """Everything that libssh can tell, as one text."""
    caplog.set_level(ANSIBLE_PYLIBSSH_TRACE, "ansible-pylibssh")
    yield lambda: "\n".join(record.getMessage() for record in caplog.records)
    ssh_logging.logger.setLevel(logging.NOTSET)


def leaks(log):
    """The canary in what was logged, in whatever form a log could show it."""
    data = CANARY.encode()
    text = log()
    assert text, "nothing was logged at all"
    forms = [CANARY, data.hex(), data.hex(" "), data.hex(":"), base64.b64encode(data).decode()]
    return [form for form in forms if form.lower() in text.lower()]


def test_levels(sshd, caplog):
    """The more detailed the level, the more there is; NOLOG leaves nothing."""
    counts = []
    for level in (ANSIBLE_PYLIBSSH_NOLOG, logging.WARNING, logging.INFO, logging.DEBUG, ANSIBLE_PYLIBSSH_TRACE):
        caplog.clear()
        caplog.set_level(ANSIBLE_PYLIBSSH_TRACE, "ansible-pylibssh")
        with Session() as session:
            session.set_log_level(level)
            session.connect(**login(sshd))
            session.exec_command("true")
        counts.append(len(caplog.records))
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-1] > counts[2]


def test_each_session_has_its_log(sshd, connect, monkeypatch):
    """Fetching output that libssh kept back is logged by the session whose output it is, not by the last that this thread used."""
    told = []
    sessions = []
    for number in (0, 1):
        monkeypatch.setattr(ssh_logging, "emit", lambda level, text, number=number: told.append((number, text)))
        sessions.append(connect(sshd))
        sessions[-1].set_log_level(ANSIBLE_PYLIBSSH_TRACE)
    first, session = sessions
    with session.new_channel() as channel:
        channel.request_exec("head -c 20000000 /dev/zero")
        while channel.poll(1000) < 1 << 20:
            pass
        assert session.exec_command("true").returncode == 0  # more has come meanwhile, and is kept by libssh
        assert channel.read(1 << 30)
        assert first.is_connected
        told.clear()
        assert channel.read(1 << 30)
        assert first.is_connected
        assert session.is_connected
    assert {number for number, text in told if "buffered" in text} == {1}


def test_quiet_by_default(sshd, connect, capfd, caplog):
    """A connection with ssh_config files that are missing, as 1.4.0 warned of, logs no warning and prints nothing."""
    caplog.set_level(logging.WARNING)
    connect(sshd, config_file=None).exec_command("true")
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_password_is_not_logged(bad_server, connect, log):
    """A password, right or wrong, is in no record at any level."""
    with pytest.raises(AuthenticationError):
        connect(bad_server(factors=("password",)), private_key=None, password=CANARY)
    assert not leaks(log)


def test_answers_are_not_logged(bad_server, connect, log):
    """Nor are answers to prompts."""
    rounds = (Round((("Password: ", False, CANARY), ("Code: ", False, CANARY))),)
    host = bad_server(factors=("keyboard-interactive",), rounds=rounds)
    connect(host, private_key=None, kbdint_callback=lambda *_: [CANARY, CANARY])
    assert not leaks(log)


def test_keys_and_passphrases_are_not_logged(new_sshd, connect, log, tmp_path):
    """Nor are private keys and their passphrases."""
    public = servers.make_key(tmp_path / "key", passphrase=CANARY)
    text = (tmp_path / "key").read_text()
    connect(new_sshd(authorized_keys=public), private_key=text, private_key_password=CANARY)
    assert not leaks(log)
    assert not [line for line in text.splitlines()[1:-1] if line in log()]


def test_input_and_output_are_not_logged(session, log):
    """Nor is what a command is given and prints: it may be a secret as well."""
    session.set_log_level(ANSIBLE_PYLIBSSH_TRACE)
    assert session.exec_command("cat", stdin=CANARY.encode()).stdout == CANARY.encode()
    assert not leaks(log)


def test_threads_log_to_their_own_session(sshd, connect, caplog):
    """The level belongs to the session, not to the thread: another one in the same thread stays silent."""
    caplog.set_level(ANSIBLE_PYLIBSSH_TRACE, "ansible-pylibssh")
    loud, silent = connect(sshd), connect(sshd)
    loud.set_log_level(ANSIBLE_PYLIBSSH_TRACE)
    silent.set_log_level(ANSIBLE_PYLIBSSH_NOLOG)
    caplog.clear()
    silent.exec_command("true")
    assert not caplog.records
    loud.exec_command("true")
    assert caplog.records
