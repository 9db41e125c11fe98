# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs work that is written as generators: a generator yields a ticket and gets its reply, or the failure thrown in.

One generator is one file's transfer; many run side by side over one channel, from one thread, and so a tree of small
files costs a few round trips instead of several for each file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from .protocol import Reply
from .tickets import Ticket

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

    from .client import Client

T = TypeVar("T")
Steps: TypeAlias = Generator[Ticket, Reply, T]


def run(client: Client, steps: Steps[T]) -> T:
    """Run one generator to its end; return what it returns."""
    try:
        ticket = next(steps)
        while True:
            ticket = _resume(client, steps, ticket)
    except StopIteration as done:
        result: T = done.value
        return result


def run_all(client: Client, jobs: Iterable[Steps[None]], at_once: int) -> None:
    """Run the generators, *at_once* of them at a time; the first failure ends all.

    The server answers in order, more or less, so the ticket that has waited longest is the one to look at.
    """
    waiting: deque[tuple[Steps[None], Ticket]] = deque()
    source = iter(jobs)
    try:
        while True:
            for steps in islice(source, at_once - len(waiting)):
                with suppress(StopIteration):
                    waiting.append((steps, next(steps)))
            if not waiting:
                return
            steps, ticket = waiting.popleft()
            with suppress(StopIteration):
                waiting.append((steps, _resume(client, steps, ticket)))
    finally:
        for steps, _ in waiting:
            steps.close()


def _resume(client: Client, steps: Steps[T], ticket: Ticket) -> Ticket:
    try:
        reply = client.wait(ticket)
    except BaseException as exc:  # noqa: BLE001 - it is thrown in where the generator waits
        return steps.throw(exc)
    return steps.send(reply)
