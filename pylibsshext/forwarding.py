# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agent forwarding: the server opens channels, and what comes through them is for our agent (``auth-agent-req@openssh.com``)."""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from contextlib import suppress
from typing import Any

from . import _core
from .errors import LibsshChannelTimeout, LibsshException

_SLICE = 1.0  # seconds between two looks whether anybody still has the session
_PIECE = 1 << 16


def agent_path(value: Any) -> str | None:
    """Return the socket to forward to: ForwardAgent of ssh_config, which is a switch or a path; None for none."""
    if not value:
        return None
    path = os.path.expanduser(value) if isinstance(value, str) else os.environ.get("SSH_AUTH_SOCK")
    if not path:
        from . import logging

        logging.logger.warning("the agent is not forwarded: there is none (SSH_AUTH_SOCK is not set)")
    return path or None


def forward(core: _core.Session, path: str) -> None:
    """Serve the server's channels to the agent at *path*, for as long as the session lives."""
    core.accept_agent()
    threading.Thread(target=_accept, args=(weakref.ref(core), path), name="ssh-agent-forwarding", daemon=True).start()


def _accept(session: weakref.ref[_core.Session], path: str) -> None:
    while (core := session()) is not None:
        channel = _core.Channel(core)
        del core
        try:
            channel.adopt(time.monotonic() + _SLICE)
        except LibsshChannelTimeout:
            del channel
            continue
        except LibsshException:
            return  # the session is over
        threading.Thread(target=_serve, args=(channel, path), name="ssh-agent-forwarded", daemon=True).start()
        del channel


def _serve(channel: _core.Channel, path: str) -> None:
    """Carry one channel to the agent and back: the agent answers each request before it looks at the next."""
    with suppress(LibsshException, OSError), socket.socket(socket.AF_UNIX) as agent:
        agent.connect(path)
        threading.Thread(target=_back, args=(agent, channel), name="ssh-agent-answers", daemon=True).start()
        while data := _read(channel):
            agent.sendall(data)
        agent.shutdown(socket.SHUT_RDWR)
    channel.close()


def _read(channel: _core.Channel) -> bytes:
    channel.wait_readable(0, None)
    return channel.take(_PIECE, False)


def _back(agent: socket.socket, channel: _core.Channel) -> None:
    with suppress(LibsshException, OSError):
        while data := agent.recv(_PIECE):
            channel.write(data, None)
    channel.close()
