# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the crashing programs share: how to connect, what to throw at a method, and what may come of it."""

from __future__ import annotations

import contextlib
import faulthandler
import inspect
import json
import logging
import os
import random
import signal
import sys
import time
import warnings

from pylibsshext.session import Session

HOST = json.loads(os.environ["CRASH_HOST"])
PATIENCE = 0.02  # seconds until a call that waits is interrupted
LONGER = {"connect": 0.1}  # what should get somewhere at times
STUBBORN = 4.0  # seconds after which a call did not heed the interrupt

faulthandler.dump_traceback_later(float(os.environ["CRASH_TIMEOUT"]), exit=True)
logging.getLogger().addHandler(logging.NullHandler())
warnings.simplefilter("ignore")


class Interrupted(BaseException):
    """What the timer's signal raises, like a KeyboardInterrupt."""


def interrupt(number, frame):
    raise Interrupted


signal.signal(signal.SIGALRM, interrupt)


def unraisable(what):
    """Tell of what is raised where nobody can catch it, but for an interrupt: it may strike in the callback of a weak reference."""
    if not isinstance(what.exc_value, Interrupted):
        sys.__unraisablehook__(what)


sys.unraisablehook = unraisable


def options(**more):
    """Everything that connect() needs; a cheap key exchange, because it is done often."""
    return {
        "host": HOST["address"],
        "port": HOST["port"],
        "user": HOST["user"],
        "private_key": open(HOST["key"], "rb").read(),
        "knownhosts": HOST["known_hosts"],
        "look_for_keys": False,
        "key_exchange_algorithms": "curve25519-sha256",
        "config_file": "none",
        **more,
    }


def connect(**more):
    session = Session()
    session.connect(**options(**more))
    return session


def works(session=None):
    """Fail unless a command can be run, on *session* or a new one."""
    done = (session or connect()).exec_command("echo fine", timeout=20)
    assert (done.returncode, done.stdout) == (0, b"fine\n"), done


def attempt(function, *args, **kwargs):
    """Call: a result is fine, and so is an exception that a program can expect; return its type, or None.

    A call that waits is interrupted, and has to heed that.
    """
    began = time.monotonic()
    raised = None
    try:
        signal.setitimer(signal.ITIMER_REAL, LONGER.get(getattr(function, "__name__", ""), PATIENCE))
        try:
            function(*args, **kwargs)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except (Exception, Interrupted) as exc:
        raised = type(exc)
        if isinstance(exc, (SystemError, MemoryError, UnboundLocalError, NameError)):
            raise AssertionError(f"{function} {args!r:.200} raised {exc!r}") from exc
    took = time.monotonic() - began
    assert took < STUBBORN, f"{function} {args!r:.200} took {took:.1f} s"
    return raised


class Tagged(str):
    """As ansible-core's tagged text: a subclass with attributes and slots of its own."""

    __slots__ = ("origin",)


class TaggedBytes(bytes):
    pass


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __index__(self):
        raise RuntimeError("index")

    def __float__(self):
        raise RuntimeError("float")

    def __str__(self):
        raise RuntimeError("str")

    def __repr__(self):
        return "Hostile()"

    def __len__(self):
        raise RuntimeError("len")

    def __iter__(self):
        raise RuntimeError("iter")

    def __bool__(self):
        raise RuntimeError("bool")

    def __fspath__(self):
        raise RuntimeError("fspath")

    def __eq__(self, other):
        raise RuntimeError("eq")

    __hash__ = object.__hash__


def junk():
    """Values of every kind; no text among them is a path or a command that does harm."""
    return [
        None,
        False,
        -1,
        7000,
        2**31 - 1,
        2**31,
        -(2**63),
        2**64,
        10**400,
        0.25,
        -0.5,
        float("nan"),
        float("inf"),
        "",
        "junk",
        "nul\0inside",
        "\ud800\udfff",
        "ö" * 5000,
        "%s%n%x" * 10,
        Tagged("tagged"),
        TaggedBytes(b"tagged"),
        b"",
        b"junk",
        b"nul\0inside",
        b"\xff\xfe" * 5000,
        b"x" * 1_000_000,
        bytearray(b"array"),
        memoryview(bytearray(b"view"))[::2],
        [],
        ["junk", None],
        {"junk": None},
        ("junk", 1),
        object(),
        Hostile(),
        signal.SIGTERM,
        lambda *args, **kwargs: None,
        sys.stdin,
    ]


def argument_lists(seed, few=6):
    """Positional arguments: each kind of junk at each place at least once over many seeds, and plain good ones."""
    values = junk()
    chance = random.Random(seed)
    yield ()
    for value in values:
        yield (value,)
    for count in (2, 3, 4, 5):
        for _ in range(few):
            yield tuple(chance.choice(values) for _ in range(count))
    yield "junk", "junk"
    yield b"junk", b"junk"
    yield 80, 24
    yield "xterm", 80, 24
    yield "junk", 0.1
    yield 100, 0, 0.1


# What a parameter of that name wants: so that junk in another one gets past it.
GOOD = {
    "command": "true",
    "data": b"data",
    "deadline": 0.0,
    "env": {"LAB_A": "1"},
    "fd": -1,
    "identities": [],
    "local_file": "local",
    "localpath": "local",
    "name": "LAB_A",
    "option": 0,
    "path": "remote",
    "remote_file": "remote",
    "remotepath": "remote",
    "sig": signal.SIGUSR1,
    "size": 10,
    "stream": 0,
    "terminal": "xterm",
    "timeout": 0.02,
    "value": "1",
}


def keyword_lists(function):
    """Good arguments by name but for one, which is junk: a dozen kinds for each, others for the next."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    names = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    wanted = {one.name for one in parameters if one.default is one.empty or one.name == "timeout"}
    good = {name: GOOD.get(name, 1) for name in names if name in wanted}
    yield good
    yield {"junk": "junk"}
    for name in names:
        for value in random.Random(f"{function.__name__} {name}").sample(junk(), 12):
            yield {**good, name: value}


def public(thing):
    """Names of what an object offers, its protocol methods included."""
    dunders = ("__enter__", "__exit__", "__iter__", "__init__", "__reduce__", "__repr__", "__copy__", "__getitem__")
    return [name for name in dir(thing) if not name.startswith("_") or name in dunders]


@contextlib.contextmanager
def stormy(every, seed=0):
    """Interrupt what happens in here again and again, at moments that nobody knows."""
    chance = random.Random(seed)

    def strike(number, frame):
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(every / 20, every))
        raise Interrupted

    signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, every)
    try:
        yield
    finally:
        calm()


def calm():
    """End a storm, even if its last strike comes now."""
    while True:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, interrupt)
            return
        except Interrupted:
            continue


def descriptors():
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))
