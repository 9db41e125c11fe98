# SPDX-License-Identifier: LGPL-2.1-or-later
"""Let go of session, channel, SFTP, key and policy in every order: by close, by del, by the cycle collector, at exit."""

from __future__ import annotations

import atexit
import gc
import itertools
import sys
import threading
import weakref

from harness import HOST, attempt, connect, works

from pylibsshext import _core
from pylibsshext.session import MissingHostKeyPolicy


def family():
    """One of everything, alive: with data on the way in both directions."""
    session = connect()
    channel = session.new_channel()
    channel.request_exec("cat")
    channel.write(b"x" * 100_000)
    return {
        "session": session,
        "channel": channel,
        "sftp": session.sftp(),
        "core": session._core,
        "inner": channel._core,
        "key": _core.Key.from_text(open(HOST["key"], "rb").read(), None),
    }


def orders():
    """Every order of ends, with each way to end chosen in turn."""
    names = ("session", "channel", "sftp", "core", "inner")
    for turn, order in enumerate(itertools.permutations(names)):
        things = family()
        for position, name in enumerate(order):
            thing = things.pop(name)
            way = (turn >> position) % 3 if turn % 2 else (turn + position) % 3
            if way == 0:
                thing.close()
            elif way == 1:
                attempt(getattr(thing, "close", None))
            del thing
            if turn % 5 == 0:
                gc.collect()
        del things


def cycles():
    """Everything hangs on everything, and the collector takes it apart in an order of its own."""
    gc.disable()
    for _ in range(20):
        things = family()
        things["session"].back = things
        things["channel"].back = things["session"]
        things["me"] = things
        del things
    gc.enable()
    gc.collect()


class Finalized:
    """Uses what is being collected with it."""

    def __init__(self, things):
        self.things = things

    def __del__(self):
        attempt(self.things["channel"].read, 10)
        attempt(self.things["session"].exec_command, "true")
        attempt(self.things["session"].close)
        attempt(self.things["channel"].write, b"x")
        attempt(self.things["inner"].take, 10, False)
        attempt(self.things["core"].negotiated)


def finalizers():
    for _ in range(10):
        things = family()
        things["last"] = Finalized(things)
        del things
        gc.collect()


def weak():
    """Callbacks of weak references run in the middle of a collection."""
    called = []
    for _ in range(10):
        things = family()
        other = things["channel"]

        def gone(reference, other=other):
            called.append(reference)
            attempt(other.read, 10, timeout=0)
            attempt(other.close)

        references = [weakref.ref(things[name], gone) for name in ("session", "sftp", "core")]
        things["session"].close()
        del things, other
        gc.collect()
        assert len(references) == 3
    assert called


class Policy(MissingHostKeyPolicy):
    pass


def at_exit():
    """The interpreter ends with all of it alive, in use by atexit, by finalizers and by threads that read."""
    things = family()
    sys.modules["__main__"].things = things
    things["session"].policy = Policy()
    things["session"].back = things
    sys.modules["__main__"].last = Finalized(family())
    sys.exception_keeper = family()
    for daemon in (family(), family()):
        threading.Thread(target=daemon["channel"].read, args=(1 << 20,), daemon=True).start()
        threading.Thread(target=forever, args=(daemon,), daemon=True).start()
    atexit.register(attempt, things["channel"].read, 10)
    weakref.finalize(things["core"], attempt, things["session"].exec_command, "true")


def forever(things):
    """Go in and out of libssh until the interpreter ends."""
    while True:
        attempt_quietly(things["session"].exec_command, "true")
        attempt_quietly(things["core"].negotiated)


def attempt_quietly(function, *args):
    """As `attempt`, for threads, where there are no signals."""
    try:
        function(*args)
    except Exception as exc:
        assert not isinstance(exc, (SystemError, MemoryError)), exc


def after_exit_of_threads():
    """A thread that made sessions has ended; others use and drop them."""
    made = []
    for _ in range(5):
        thread = threading.Thread(target=lambda: made.append(family()))
        thread.start()
        thread.join()
    for things in made:
        works(things["session"])
    made.clear()
    gc.collect()


globals()[sys.argv[1]]()
if sys.argv[1] != "at_exit":
    works()
