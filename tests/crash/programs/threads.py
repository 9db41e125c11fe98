# SPDX-License-Identifier: LGPL-2.1-or-later
"""Threads that share what a careful program would not share, and close what another one is using."""

from __future__ import annotations

import random
import sys
import threading
import time

from harness import attempt, connect, options, works

from pylibsshext.errors import LibsshException
from pylibsshext.session import Session

FAILED = []


def start(function, *args):
    """Start a thread whose unexpected exceptions are not lost."""

    def run():
        try:
            function(*args)
        except LibsshException:
            pass
        except BaseException as exc:
            FAILED.append(exc)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def join(*threads, within=20):
    """Wait for threads, which have to end soon."""
    for thread in threads:
        thread.join(within)
        assert not thread.is_alive(), "a thread hangs"
    assert not FAILED, FAILED


def fed(session, command="cat"):
    channel = session.new_channel()
    channel.request_exec(command)
    return channel


WAITS = {
    "read": lambda session: fed(session).read(10),
    "exec": lambda session: session.exec_command("sleep 60"),
    "wait": lambda session: fed(session).wait(),
    "communicate": lambda session: fed(session, "sleep 60").communicate(),
    "write": lambda session: fed(session, "sleep 60").write(b"x" * 50_000_000),
    "poll": lambda session: fed(session).poll(60_000),
    "bulk": lambda session: fed(session).read_bulk_response(timeout=60),
    "iterate": lambda session: list(fed(session)),
    "readable": lambda session: fed(session).readable(),
}


def close_session():
    """close() by one thread ends what another one waits for, soon."""
    for name, wait in WAITS.items():
        for delay in (0.0, 0.01, 0.3):
            session = connect()
            thread = start(wait, session)
            time.sleep(delay)
            began = time.monotonic()
            session.close()
            join(thread)
            assert time.monotonic() - began < 5, name
            session.close()


def close_channel():
    """The same for the channel's close()."""
    session = connect()
    for delay in (0.0, 0.05, 0.3):
        for action in (
            lambda channel: channel.read(10),
            lambda channel: channel.wait(),
            lambda channel: channel.write(b"x" * 50_000_000),
            lambda channel: channel.communicate(b"x"),
            lambda channel: channel.poll(60_000),
        ):
            channel = fed(session, "sleep 60")
            thread = start(action, channel)
            time.sleep(delay)
            channel.close()
            join(thread)
    works(session)


def close_connecting():
    """close() while another thread connects or logs in: the connect fails, or had just succeeded."""
    chance = random.Random(1)
    for _ in range(60):
        session = Session()
        thread = start(lambda one=session: one.connect(**options()))
        time.sleep(chance.uniform(0, 0.06))
        session.close()
        join(thread)
        session.close()
    works()


def one_channel():
    """Two threads read one channel, two write to it: no byte is lost or doubled."""
    session = connect()
    for _ in range(5):
        channel = fed(session)
        taken = [[], []]

        def read(index, channel=channel, taken=taken):
            while True:
                data = channel.read(1000)
                if not data:
                    return
                taken[index].append(data)

        readers = [start(read, index) for index in (0, 1)]
        writers = [start(channel.write, byte * 300_000) for byte in (b"a", b"b")]
        join(*writers)
        channel.send_eof()
        join(*readers)
        everything = b"".join(taken[0] + taken[1])
        assert (everything.count(b"a"), everything.count(b"b")) == (300_000, 300_000), len(everything)


def described():
    """What describes a session is right or an exception, when another thread closes it meanwhile."""
    for _ in range(60):
        session = connect()
        core = session._core
        expected = core.negotiated()

        def describe(core=core, expected=expected):
            while True:
                assert core.negotiated() == expected

        readers = [start(describe) for _ in range(2)]
        time.sleep(0.005)
        core.close()
        join(*readers)
        session.close()


def requests():
    """Two requests at once on one channel: one of them may raise, none may crash."""
    session = connect()
    for _ in range(30):
        channel = session.new_channel()
        gate = threading.Barrier(4)

        def ask(method, *args, channel=channel, gate=gate):
            gate.wait()
            getattr(channel, method)(*args)

        join(
            start(ask, "request_exec", "true"),
            start(ask, "request_pty"),
            start(ask, "set_env", "LAB_A", "1"),
            start(ask, "request_subsystem", "sftp"),
        )
        channel.close()
    works(session)


def everything():
    """Threads call whatever there is on the same few objects, for some seconds."""
    end = time.monotonic() + 8
    shared = {"session": connect()}
    shared["channel"] = fed(shared["session"])

    def hammer(seed):
        chance = random.Random(seed)
        calls = [
            lambda: shared["session"].exec_command("echo x", timeout=1),
            lambda: shared["channel"].read(100, timeout=0.01),
            lambda: shared["channel"].recv(),
            lambda: shared["channel"].write(b"y" * 1000, timeout=1),
            lambda: shared["channel"].poll(1),
            lambda: shared["session"].info,
            lambda: shared["session"].is_connected,
            lambda: shared["channel"].send_eof(),
            lambda: shared["channel"].close(),
            lambda: shared.update(channel=fed(shared["session"])),
            lambda: shared["session"].get_ssh_options("user"),
            lambda: shared["session"].set_log_level(chance.choice([10, 5, 30, 200])),
            lambda: shared["session"].send_keepalive(),
            lambda: chance.random() < 0.1 and shared["session"].close(),
            lambda: shared["session"].is_connected or shared["session"].connect(**options()),
        ]
        while time.monotonic() < end:
            try:
                chance.choice(calls)()
            except LibsshException:
                continue

    join(*[start(hammer, seed) for seed in range(8)], within=40)
    attempt(shared["session"].close)
    works()


globals()[sys.argv[1]]()
assert not FAILED, FAILED
