# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of the connection holder, which outlive the task. Private to this collection."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    Report = Callable[[str], None]


def preload(library: ModuleType) -> None:
    """Import the holder's client, and note what it tells its own holder by: which code it is."""
    for name in (".mux.client", ".mux.files", ".completed"):
        importlib.import_module(name, library.__name__)
    importlib.import_module(".mux.paths", library.__name__).holder_name()


def open_session(library: ModuleType, policy: Any, keywords: Mapping[str, Any], persist: int, report: Report) -> Any:
    """Return the holder's session for *keywords*, logged in by now; None if there can be no holder here."""
    client = importlib.import_module(".mux.client", library.__name__)
    session = client.MuxSession(persist)
    session.set_missing_host_key_policy(policy)
    try:
        session.connect(**keywords)
    except client.MuxUnavailable as exc:
        report(f"This task logs in by itself: {exc}")
        return None
    report("Used the login that the connection holder has" if session.reused else f"Logged in; the holder keeps it {persist} s")
    return session


def end_session(library: ModuleType, policy: Any, keywords: Mapping[str, Any], report: Report) -> None:
    """End the holder's session for *keywords*, if it has one."""
    client = importlib.import_module(".mux.client", library.__name__)
    session = client.MuxSession()
    session.set_missing_host_key_policy(policy)
    try:
        ended = session.reset(**keywords)
    except client.MuxUnavailable:
        return  # and so no session either
    if ended:
        report("The connection holder ends the session")
