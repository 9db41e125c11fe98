# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m pylibsshext mux list|close|stop``: look at what this user's holders hold, and end it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import paths, start
from .client import greet
from .protocol import HangUp, MuxUnavailable, Wire


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell what can be asked for."""
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="show the sessions that are held")
    close = actions.add_parser("close", help="end sessions; what runs on them may finish")
    close.add_argument("label", nargs="?", help="user@host:port as list shows it; all sessions if left out")
    actions.add_parser("stop", help="end the holders, and all that runs over them")


def run(arguments: argparse.Namespace) -> int:
    """Do it; return the exit status: 1 if there is a holder that could not be talked with."""
    lines: list[str] = []
    problems: list[str] = []
    try:
        with holders(problems) as found:
            for wire in found:
                try:
                    lines += _ACTIONS[arguments.action](wire, arguments)
                except MuxUnavailable as exc:
                    problems.append(exc.message)
    except MuxUnavailable as exc:
        print(exc)
        return 1
    print("\n".join(lines + problems) or "no connection holder is running")
    return 1 if problems else 0


@contextmanager
def holders(problems: list[str] | None = None) -> Iterator[list[Wire]]:
    """Connect to all holders of this user, whatever version or environment they are of; to *problems* goes why not to one."""
    directory = paths.directory(create=False)
    wires: list[Wire] = []
    try:
        for name in directory.names():
            try:
                wire = _greeted(directory, name)
            except (MuxUnavailable, OSError) as exc:
                if problems is not None:
                    problems.append(f"{exc} ({name})")
            else:
                wires += [wire] if wire else []
        yield wires
    finally:
        directory.close()
        for wire in wires:
            wire.close()


def _greeted(directory: paths.Directory, name: str) -> Wire | None:
    """Connect to one holder; None if there is none any more."""
    sock = start.dial(directory, name)
    if sock is None:
        return None
    wire = start.checked(sock)
    try:
        greet(wire)
    except BaseException as exc:
        wire.close()
        if isinstance(exc, HangUp):  # it ends at this moment
            return None
        raise
    return wire


def ask(wire: Wire, **request: Any) -> dict[str, Any]:
    """Ask a holder for something that needs no session."""
    try:
        wire.send(request)
        return wire.receive(10).data
    except (HangUp, TimeoutError) as exc:
        raise MuxUnavailable(f"the connection holder does not answer: {exc}") from exc


_COLUMNS = ("SESSION", "SINCE", "CHANNELS", "KEPT", "SENT", "RECEIVED", "IDLE", "OF")


def _list(wire: Wire, _arguments: argparse.Namespace) -> Iterator[str]:
    """Yield a table: bytes sent and received, and for how many seconds of how many a session is idle."""
    about = ask(wire, do="list")
    yield f"holder, process {about['pid']}: {len(about['sessions'])} sessions"
    rows = [_COLUMNS, *map(_row, about["sessions"])] if about["sessions"] else []
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def _row(session: dict[str, Any]) -> tuple[str, ...]:
    return (
        session["label"],
        time.strftime("%H:%M:%S", time.localtime(session["since"])),
        str(session["channels"]),
        ",".join(session["kept"]) or "-",
        str(session["sent"]),
        str(session["received"]),
        f"{session['idle']:.0f}",
        f"{session['persist']:.0f}",
    )


def _close(wire: Wire, arguments: argparse.Namespace) -> Iterator[str]:
    yield f"{ask(wire, do='drop', label=arguments.label)['closed']} sessions closed"


def _stop(wire: Wire, _arguments: argparse.Namespace) -> Iterator[str]:
    ask(wire, do="stop")
    yield "stopped"


_ACTIONS = {"list": _list, "close": _close, "stop": _stop}
