# SPDX-License-Identifier: LGPL-2.1-or-later
"""Threads, signals and the GIL: waiting holds nobody up, and ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pylibsshext

CHEAP = {"key_exchange_algorithms": "curve25519-sha256"}


def test_other_threads_run_while_a_command_does(session, ticker):
    """Waiting for a command does not hold the GIL."""
    with ticker() as ticks:
        session.exec_command("sleep 1")
    assert len(ticks) > 60
    gaps = [after - before for before, after in zip(ticks, ticks[1:])]
    assert max(gaps) < 0.1


def test_other_threads_run_while_much_comes(session, ticker):
    """Nor does receiving 100 MB."""
    with ticker(0.005) as ticks:
        session.exec_command("head -c 100000000 /dev/zero")
    gaps = [after - before for before, after in zip(ticks, ticks[1:])]
    assert max(gaps) < 0.2


def test_sessions_of_their_own(sshd, connect):
    """Eight threads with a session each."""

    def work(number):
        session = connect(sshd, **CHEAP)
        return [session.exec_command(f"echo {number}.{turn}").stdout for turn in range(10)]

    with ThreadPoolExecutor(8) as pool:
        for number, outputs in enumerate(pool.map(work, range(8))):
            assert outputs == [b"%d.%d\n" % (number, turn) for turn in range(10)]


def test_one_session_shared(session):
    """Eight threads on one session, each with commands of its own, get what is theirs."""

    def work(number):
        return [session.exec_command(f"echo {number}.{turn}; echo e{number} >&2", timeout=30) for turn in range(10)]

    with ThreadPoolExecutor(8) as pool:
        for number, results in enumerate(pool.map(work, range(8))):
            assert [done.stdout for done in results] == [b"%d.%d\n" % (number, turn) for turn in range(10)]
            assert {done.stderr for done in results} == {b"e%d\n" % number}


def test_commands_run_side_by_side(session):
    """Commands of several threads on one session run at the same time."""
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(session.exec_command, ["sleep 0.5"] * 8))
    assert time.monotonic() - began < 2


def test_a_waiting_reader_is_woken(session):
    """A thread that waits gets its data at once, although it is another thread that reads the socket."""
    quiet = session.new_channel()
    quiet.request_exec("cat")
    busy = session.new_channel()
    busy.request_exec("sleep 30")
    with ThreadPoolExecutor(3) as pool:
        other = pool.submit(lambda: busy.readable(3))  # sits on the socket first
        time.sleep(0.1)
        delays = []
        for _ in range(20):
            arrival = pool.submit(lambda: (quiet.read(timeout=20), time.monotonic()))
            time.sleep(0.03)
            sent = time.monotonic()
            quiet.write(b"x")
            delays.append(arrival.result()[1] - sent)
        busy.close()
        assert sorted(delays)[10] < 0.02, delays  # far below a slice of waiting
        other.exception(5)


def test_writer_and_reader_on_one_channel(session):
    """One thread writes while another one reads, 20 MB through cat."""
    channel = session.new_channel()
    channel.request_exec("cat")
    data = os.urandom(1 << 20)

    def write():
        for _ in range(20):
            channel.write(data)
        channel.send_eof()

    thread = threading.Thread(target=write)
    thread.start()
    got = b"".join(channel)
    thread.join(20)
    assert got == data * 20


INTERRUPTED = """
import json, sys, time, signal
from pylibsshext.session import Session
options, wait = json.loads(sys.argv[1]), sys.argv[2]
options["private_key"] = open(options.pop("key"), "rb").read()
session = Session()
def started():
    print("waiting", flush=True)
if wait != "connect":
    session.connect(**options)
    channel = session.new_channel()
    channel.request_exec("sleep 30")
try:
    started()
    if wait == "connect":
        session.connect(**options)
    elif wait == "exec":
        session.exec_command("sleep 30")
    elif wait == "read":
        channel.read()
    elif wait == "write":
        channel.write(b"x" * 50_000_000)
    elif wait == "wait":
        channel.wait()
    elif wait == "poll":
        channel.poll(timeout=30_000)
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
    if wait not in ("connect",):
        assert session.exec_command("echo usable", timeout=10).stdout == b"usable\\n"
    session.close()
    sys.exit(7)
"""


@pytest.mark.parametrize("wait", ["exec", "read", "write", "wait", "poll", "connect"])
def test_ctrl_c(sshd, bad_server, wait):
    """Ctrl-C ends any wait within 0.3 s, and the session is usable then."""
    host = bad_server(greeting="silent") if wait == "connect" else sshd
    options = {
        "host": host.address,
        "port": host.port,
        "user": host.user,
        "key": str(sshd.key),
        "knownhosts": str(host.known_hosts_file),
        "look_for_keys": False,
        "config_file": "none",
        "timeout": 60,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, json.dumps(options), wait],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(pylibsshext.__path__[0]).parent)},
    )
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.4)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (7, "")
    assert float(out) - sent < 0.3


def test_signal_handlers_run_during_a_wait(session):
    """A handler that does not raise runs in time, and the wait goes on."""
    moments = []
    old = signal.signal(signal.SIGALRM, lambda *_: moments.append(time.monotonic()))
    try:
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
        assert session.exec_command("sleep 1; echo done").stdout == b"done\n"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(moments) >= 4
    assert moments[0] - began < 0.35


def test_close_by_another_thread(sshd, connect):
    """close() ends what another thread waits for, with an exception that says so."""
    session = connect(sshd)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(session.exec_command, "sleep 30")
        time.sleep(0.3)
        began = time.monotonic()
        session.close()
        assert "closed" in str(waiting.exception(5))
        assert time.monotonic() - began < 1.5
