# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fork with sessions alive: the child can't use them, its end does not disturb them, and it can make its own."""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

from harness import HOST, connect, options, works

from pylibsshext.errors import LibsshException
from pylibsshext.session import Session

# Its thread does not live in a fork, whose exit would wait for it.
faulthandler.cancel_dump_traceback_later()
signal.alarm(80)


def child(function):
    """Run in a fork; fail here if it failed, died or hung there."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(30)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            function()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(9)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0, code


def refused(function, *args):
    try:
        function(*args)
    except LibsshException as exc:
        assert "fork" in str(exc), exc
    else:
        raise AssertionError(f"{function} worked in a fork")


def use():
    """What a child does with its parent's session raises, and closing it there closes nothing here."""
    session = connect()
    channel = session.new_channel()
    channel.request_exec("cat")
    channel.write(b"before")
    sftp = session.sftp()

    def attack():
        refused(session.exec_command, "true")
        refused(session.new_channel)
        refused(channel.write, b"x")
        refused(channel.read, 10)
        refused(sftp.stat, ".")
        assert not session.is_connected
        channel.close()
        sftp.close()
        session.close()
        works()  # one of its own

    for _ in range(3):
        child(attack)
        works(session)
        channel.write(b"after")
    channel.send_eof()
    assert b"".join(channel) == b"beforeafterafterafter"


def drop():
    """The child collects all of it, and ends as a Python program does."""
    sessions = [connect() for _ in range(3)]
    channels = [one.new_channel() for one in sessions]

    def attack():
        channels.clear()
        sessions.clear()
        gc.collect()

    child(attack)
    if os.fork() == 0:
        sys.exit(0)  # with atexit, finalizers and module teardown
    os.wait()
    for one in sessions:
        works(one)
    for channel in channels:
        channel.request_exec("echo still")
        assert channel.read_stdout(timeout=20) == b"still\n"


def pool(session):
    refused(session.exec_command, "true")
    works()


def processes():
    """As Ansible does it: workers by multiprocessing, while sessions are open."""
    session = connect()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=pool, args=(session,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0, worker.exitcode
    works(session)


def busy():
    """Fork while other threads are inside libssh, with its lock held or waiting."""
    sessions = [connect() for _ in range(3)]
    stop = threading.Event()

    def work(session):
        while not stop.is_set():
            works(session)

    threads = [threading.Thread(target=work, args=(one,)) for one in sessions]
    for thread in threads:
        thread.start()

    def attack():
        for one in sessions:
            refused(one.exec_command, "true")
            one.close()
        works()

    end = time.monotonic() + 5
    while time.monotonic() < end:
        child(attack)
    stop.set()
    for thread in threads:
        thread.join()


def proxied():
    """A child neither ends nor uses its parent's ProxyCommand."""
    relay = f"{sys.executable} {os.path.dirname(__file__)}/pipe.py {HOST['address']} {HOST['port']}"
    session = Session()
    session.connect(**options(proxycommand=relay))
    works(session)

    def attack():
        session.close()
        gc.collect()

    child(attack)
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
    works(session)
    session.close()


def grandchildren():
    """Programs that are started inherit no descriptor of a session."""
    before = set(os.listdir("/proc/self/fd"))
    session = connect()
    session.new_channel()
    ours = set(os.listdir("/proc/self/fd")) - before
    assert ours
    found = subprocess.run(["ls", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True)
    sockets = [fd for fd in ours if fd in found.stdout.split() and os.path.exists(f"/proc/self/fd/{fd}")]
    assert not [fd for fd in sockets if os.get_inheritable(int(fd))], sockets
    works(session)


globals()[sys.argv[1]]()
