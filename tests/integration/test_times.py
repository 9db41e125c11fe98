# SPDX-License-Identifier: LGPL-2.1-or-later
"""Time-outs to connect, to be greeted, to log in and for a command: each against lines and servers of each bad kind, ± 10 %."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pylibsshext.session import Session

from .conftest import login

LIMIT = 2.0
LONG = 30.0


class Hooked(Session):
    """A session that has something happen once it is connected, or when the keys are exchanged."""

    def __init__(self, connected=lambda: None, greeted=lambda: None):
        super().__init__()
        self._connected, self._greeted = connected, greeted

    def _socket(self, *about):
        found = super()._socket(*about)
        self._connected()
        return found

    def verify_knownhost(self):
        self._greeted()
        self.since = time.monotonic()
        return super().verify_knownhost()


def connecting(host, connected=lambda: None, greeted=lambda: None, **limits):
    """Return how long it takes to give up; where it is the login that hangs, from there."""
    with Hooked(connected, greeted) as session:
        session.since = time.monotonic()
        with pytest.raises(TimeoutError):
            session.connect(**login(host, **limits))
        return time.monotonic() - session.since


def running(host, command, then=lambda: None):
    """Return how long a command is waited for."""
    with Session() as session:
        session.connect(**login(host))
        with session.new_channel() as channel:
            channel.request_exec(b"echo started")
            channel.wait()
        then()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            session.exec_command(command, timeout=LIMIT)
        return time.monotonic() - began


def test_each_limit_on_each_bad_line(sshd, netns_host, bad_server, relay, dead_address):
    """None ends early, none late, and none is another one's."""
    half_open = {phase: netns_host() for phase in ("connect", "greet", "login", "command")}
    half_open["connect"].unplug()
    relays = {name: relay(sshd) for name in ("swallow", "freeze", "slow", "hole")}
    relays["swallow"][1].black_hole()
    dead = bad_server().at(*dead_address)
    to_connect = {"timeout": LIMIT, "banner_timeout": LONG, "auth_timeout": LONG}
    to_greet = {"timeout": LONG, "banner_timeout": LIMIT, "auth_timeout": LONG}
    to_log_in = {"timeout": LONG, "banner_timeout": LONG, "auth_timeout": LIMIT}
    slow_command = "while :; do echo x; sleep 0.1; done"
    silent, slow = bad_server(greeting="silent"), bad_server(greeting="slow", delay=9)

    def on_line(name, what, **settings):
        far, link = relays[name]
        return lambda: connecting(far, greeted=lambda: getattr(link, what)(**settings), **to_log_in)

    cases = {
        "connect, black hole": lambda: connecting(dead, **to_connect),
        "connect, half-open": lambda: connecting(half_open["connect"], **to_connect),
        "connect, silent": lambda: connecting(silent, timeout=LIMIT, auth_timeout=LONG),
        "connect, slow": lambda: connecting(slow, timeout=LIMIT, auth_timeout=LONG),
        "greet, black hole": lambda: connecting(relays["swallow"][0], **to_greet),
        "greet, half-open": lambda: connecting(half_open["greet"], half_open["greet"].unplug, **to_greet),
        "greet, silent": lambda: connecting(silent, **to_greet),
        "greet, slow": lambda: connecting(slow, **to_greet),
        "login, black hole": on_line("hole", "black_hole"),
        "login, half-open": lambda: connecting(half_open["login"], greeted=half_open["login"].unplug, **to_log_in),
        "login, silent": on_line("freeze", "freeze"),
        "login, slow": on_line("slow", "set", rtt=1.5),
        "command, half-open": lambda: running(half_open["command"], "sleep 60", half_open["command"].unplug),
        "command, silent": lambda: running(sshd, "sleep 60"),
        "command, slow": lambda: running(sshd, slow_command),
    }
    with ThreadPoolExecutor(len(cases)) as pool:
        results = {name: pool.submit(case) for name, case in cases.items()}
        took = {name: result.result() for name, result in results.items()}
    wrong = {name: f"{seconds:.2f} s" for name, seconds in took.items() if not 0.9 * LIMIT <= seconds <= 1.1 * LIMIT}
    assert not wrong, f"instead of {LIMIT} s"
