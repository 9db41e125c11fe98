# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sessions with the lab's hosts, and a clock for the GIL."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Callable

import pytest

from pylibsshext.session import Session
from tests.lab import Host


def login(host: Host, /, **more: Any) -> dict[str, Any]:
    """What connect() needs to log in to a host: nothing of this machine's user is used."""
    return {
        "host": host.address,
        "port": host.port,
        "user": host.user,
        "private_key": host.key.read_bytes(),
        "knownhosts": str(host.known_hosts_file),
        "look_for_keys": False,
        "config_file": "none",
        **more,
    }


@pytest.fixture
def connect() -> Iterator[Callable[..., Session]]:
    """Connect to a host: `connect(host, timeout=3)`; closed after the test."""
    with ExitStack() as stack:

        def new(host: Host, /, **more: Any) -> Session:
            session = stack.enter_context(Session())
            session.connect(**login(host, **more))
            return session

        yield new


@pytest.fixture
def session(sshd: Host, connect: Callable[..., Session]) -> Session:
    """Be logged in to the shared host."""
    return connect(sshd)


@contextmanager
def ticking(every: float = 0.01) -> Iterator[list[float]]:
    """Note the time again and again in another thread: a gap tells that the GIL was held."""
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(every):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield ticks
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def ticker() -> Callable[..., Any]:
    """Use it as `with ticker() as ticks:`."""
    return ticking


@pytest.fixture
def soon() -> Callable[..., Any]:
    """Use it as `with soon(2.0):`: what is inside takes that long, give or take 0.3 s."""

    @contextmanager
    def within(expected: float, tolerance: float = 0.3) -> Iterator[None]:
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        assert expected - 0.05 <= took <= expected + tolerance, f"took {took:.2f} s instead of {expected} s"

    return within
