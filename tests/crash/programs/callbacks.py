# SPDX-License-Identifier: LGPL-2.1-or-later
"""Python that runs in the middle of a connection - policies, prompts, log handlers - raises, calls back, collects."""

from __future__ import annotations

import gc
import logging
import sys

from harness import attempt, connect, options, works

from pylibsshext import logging as ssh_logging
from pylibsshext.errors import LibsshException
from pylibsshext.session import AutoAddPolicy, MissingHostKeyPolicy, Session


class Raising(MissingHostKeyPolicy):
    def missing_host_key(self, *args):
        raise KeyboardInterrupt


class Closing(MissingHostKeyPolicy):
    """Does to the session what no policy should."""

    def missing_host_key(self, session, *args):
        session.close()
        session.set_missing_host_key_policy(AutoAddPolicy)
        attempt(session.connect, **options())
        attempt(session.new_channel)
        gc.collect()


class Recursive(MissingHostKeyPolicy):
    """Goes in again."""

    def missing_host_key(self, session, *args):
        session.verify_knownhost()


class NotOne:
    """Has no such method."""


def policies():
    for policy in (Raising, Closing, Recursive, NotOne, NotOne(), None, int, "text"):
        session = Session()
        attempt(session.set_missing_host_key_policy, policy)
        try:
            session.connect(**options(knownhosts="/dev/null", auth_timeout=3))
        except (Exception, KeyboardInterrupt) as exc:
            assert not isinstance(exc, SystemError), exc
        attempt(session.exec_command, "true")
        session.close()
    works()


def prompts():
    """Answers to keyboard-interactive questions that are none."""
    sessions = []

    def closing(name, instruction, prompts):
        sessions[-1].close()
        return ["x"] * len(prompts)

    def interrupting(name, instruction, prompts):
        raise KeyboardInterrupt

    answers = [None, 1, "text", b"bytes", [], [None], [1], ["nul\0"], ["\ud800"], [b"\xff"], ["a", "b"], {}, object()]
    callbacks = [lambda *_, one=one: one for one in answers]
    for callback in [closing, interrupting, len, 7, *callbacks]:
        sessions.append(Session())
        try:
            sessions[-1].connect(**options(private_key=None, kbdint_callback=callback))
        except (Exception, KeyboardInterrupt) as exc:
            assert not isinstance(exc, SystemError), exc
        sessions[-1].close()
    works()


class Handler(logging.Handler):
    """A log handler with ideas."""

    def __init__(self, idea):
        super().__init__(ssh_logging.ANSIBLE_PYLIBSSH_TRACE)
        self.idea = idea
        self.busy = False
        self.records = 0

    def emit(self, record):
        self.records += 1
        if not self.busy:
            self.busy = True
            try:
                self.idea()
            finally:
                self.busy = False


class Boom(Exception):
    pass


def boom():
    raise Boom


def handlers():
    """Handlers that raise, use the session that logs, close it, or collect everything."""
    held = {}
    ideas = [
        boom,
        gc.collect,
        lambda: held["session"].is_connected,
        lambda: attempt(held["session"].new_channel),
        lambda: attempt(held["session"].exec_command, "true"),
        lambda: held["session"].close(),
        lambda: held.clear(),
        lambda: held["session"].set_log_level(10),
        lambda: connect().close(),
    ]
    for idea in ideas:
        handler = Handler(idea)
        ssh_logging.logger.addHandler(handler)
        ssh_logging.logger.setLevel(ssh_logging.ANSIBLE_PYLIBSSH_TRACE)
        try:
            session = held["session"] = Session()
            session.connect(**options())
            session.exec_command("true", timeout=20)
            session.close()
        except (LibsshException, Boom, KeyError):
            pass
        finally:
            ssh_logging.logger.removeHandler(handler)
            ssh_logging.logger.setLevel(logging.NOTSET)
        assert handler.records, "nothing was logged"
        held.clear()
        works()


def buffers():
    """Data in buffers that change, or belong to what is freed meanwhile."""
    session = connect()
    channel = session.new_channel()
    channel.request_exec("cat > /dev/null")
    array = bytearray(b"x" * 1000)
    view = memoryview(array)
    channel.write(view)
    view.release()
    attempt(channel.write, view)
    channel.write(array)
    array.extend(b"y" * 100_000)  # no export of it is left
    for odd in (memoryview(array)[::2], memoryview(array).cast("I"), memoryview(b""), range(3), 5, None, "text"):
        attempt(channel.write, odd)
    works(session)


globals()[sys.argv[1]]()
