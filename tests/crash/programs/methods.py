# SPDX-License-Identifier: LGPL-2.1-or-later
"""methods.py CLASS STATE: call every public method and property of an object in that state, with every kind of junk.

The lists of methods are made by introspection: a new method is covered by itself.
"""

from __future__ import annotations

import gc
import json
import os
import struct
import sys
import zlib

from harness import GOOD, HOST, argument_lists, attempt, connect, keyword_lists, public

from pylibsshext import _core, auth, session
from pylibsshext.session import Session

NULL = os.open(os.devnull, os.O_RDWR)

kept = []  # what an object under test must outlive, or be outlived by


def keep(*things):
    kept.extend(things)
    return things[0]


def fresh():
    return Session(HOST["address"], port=HOST["port"])


def connected():
    return keep(connect())


def unchecked():
    """The key exchange is done, the login is not."""
    login, auth.login = auth.login, lambda *args: None
    try:
        return connect()
    finally:
        auth.login = login


def closed():
    one = connect()
    one.close()
    return one


def dead():
    """The server's side of the connection has died, and we have not looked yet."""
    one = connect()
    attempt(one.exec_command, "kill -9 $PPID")
    return keep(one)


def forked():
    """As it is in a child process; see `in_child`."""
    return connected()


SESSIONS = {f.__name__: f for f in (fresh, connected, unchecked, closed, dead, forked)}


def idle(one):
    return one.new_channel()


def running(one):
    channel = one.new_channel()
    channel.request_exec("cat")
    channel.write(b"echoed")
    return channel


def ended(one):
    channel = one.new_channel()
    channel.request_exec("echo out; echo err >&2; exit 3")
    channel.wait(20)
    return channel


def dropped(one):
    channel = running(one)
    channel.close()
    return channel


def orphaned(one):
    """The session is closed under it."""
    channel = running(one)
    one.close()
    return channel


def bereft(one):
    """The session is gone for good."""
    channel = running(one)
    one.close()
    channel._session = None
    gc.collect()
    return channel


def cut(one):
    """The server's side of the connection has died."""
    channel = running(one)
    attempt(one.exec_command, "kill -9 $PPID")
    return channel


CHANNELS = {f.__name__: f for f in (idle, running, ended, dropped, orphaned, bereft, cut, forked)}


def make_channel(state):
    one = keep(connect())
    return (running if state == "forked" else CHANNELS[state])(one)


def make_transfer(kind, state):
    one = keep(connect())
    transfer = getattr(one, kind)()
    if state == "dropped" and hasattr(transfer, "close"):
        transfer.close()
    elif state == "orphaned":
        one.close()
    elif state == "cut":
        attempt(one.exec_command, "kill -9 $PPID")
    return transfer


def make_core(state):
    if state == "uncontrolled":
        return _core.Session(None)
    return keep(SESSIONS[state]())._core


MAKERS = {
    "Session": lambda state: SESSIONS[state](),
    "Channel": make_channel,
    "SFTP": lambda state: make_transfer("sftp", state),
    "SCP": lambda state: make_transfer("scp", state),
    "MissingHostKeyPolicy": lambda state: session.MissingHostKeyPolicy(),
    "AutoAddPolicy": lambda state: session.AutoAddPolicy(),
    "RejectPolicy": lambda state: session.RejectPolicy(),
    "SessionInfo": lambda state: connected().info,
    "core.Session": make_core,
    "core.Channel": lambda state: make_channel(state)._core,
    "core.Bulk": lambda state: make_bulk(),
    "core.Key": lambda state: (
        _core.Key.__new__(_core.Key) if state == "empty" else _core.Key.from_text(open(HOST["key"], "rb").read(), None)
    ),
}


def make_bulk():
    """Expecting something, in the middle of a packet, which says it is long."""
    channel = make_channel("running")._core
    GOOD.update(channel=channel, requests=[1, 2, 3], handle=b"handle", fd=NULL, offset=0, length=1_000_000)
    bulk = _core.Bulk()
    bulk.expect_data(1, NULL, 0, 1 << 15)
    bulk.feed(struct.pack(">IBIIs", (1 << 15) + 9, 103, 1, 1 << 15, b"x"))
    return bulk


def assault(make, name):
    """Call one method with everything; what it does to the object stays, which makes later calls only stranger."""
    target = make()
    calls = 0
    for args in argument_lists(zlib.crc32(name.encode())):
        method = []
        if attempt(lambda: method.append(getattr(target, name))) or not callable(method[0]):
            return calls + 1
        attempt(method[0], *args)
        calls += 1
        if name in ("connect", "new_shell_channel", "invoke_shell", "sftp", "scp") and calls > 45:
            break
        if calls % 25 == 0:
            target = make()  # alive again
            kept.clear()
    for kwargs in keyword_lists(method[0]):
        attempt(method[0], **kwargs)
        calls += 1
        if calls % 25 == 0:
            target = make()
            kept.clear()
            method = [getattr(target, name)]
    attempt(setattr, target, name, None)
    return calls


def in_child(function):
    """Run it in a fork; return how that ended, which must be an ordinary exit."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            function()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(kind, state):
    make = lambda: MAKERS[kind](state)
    names = public(make())
    calls = 0
    for name in names:
        if state == "forked":
            target = make()
            code = in_child(lambda: assault(lambda: target, name))
            assert code == 0, f"{kind}.{name} in a fork ended with {code}"
            assert kept[-1].exec_command("echo on", timeout=20).stdout == b"on\n", "the parent's session broke"
        else:
            calls += assault(make, name)
        kept.clear()
    print(json.dumps({"names": names, "calls": calls}))


main(*sys.argv[1:])
