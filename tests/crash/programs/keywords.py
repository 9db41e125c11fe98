# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connect with each kind of junk for each keyword that connect() knows, and set each option number to everything."""

from __future__ import annotations

import json
import sys

from harness import HOST, attempt, connect, junk, options, works

from pylibsshext import options as table
from pylibsshext.session import OPTS_MAP, Session


def keywords():
    """One keyword is junk, the rest is right."""
    ends = {}
    for name in [*table.OPTS_MAP, *table.OPTS_DIR_MAP, *table.EXTRA_OPTIONS, *table.CONNECT_KEYWORDS]:
        for value in junk():
            session = Session()
            end = attempt(session.connect, **options(**{name: value}))
            ends[str(end)] = ends.get(str(end), 0) + 1
            attempt(session.close)
    works()
    return ends


def keys():
    """Text that is no private key, and text that nearly is one."""
    good = open(HOST["key"], "rb").read()
    cases = [b"", b"\n", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", b"x" * 10_000_000, good[:-40], good[:100], good.upper()]
    cases += [good.replace(b"OPENSSH", kind) for kind in (b"RSA", b"EC", b"DSA", b"ENCRYPTED", b"")]
    cases += [good[:position] + b"A" + good[position + 1 :] for position in range(36, len(good) - 36, 3)]
    cases += [good.replace(b"\n", b""), good.replace(b"\n", b"\r\n"), good * 100, b"\xff" * 1000, good.decode()]
    ends = {}
    for text in cases:
        for passphrase in (None, "", "wrong", b"\xff", "x" * 100_000):
            end = attempt(Session().connect, **options(private_key=text, private_key_password=passphrase))
            ends[str(end)] = ends.get(str(end), 0) + 1
    works()
    return ends


def numbers():
    """Programs add option numbers to OPTS_MAP: none of them, with no value, may reach libssh as a pointer to follow."""
    ends = {}
    for number in [*range(-3, 80), 10001, 2**31 - 1, 2**31, 2**63]:
        OPTS_MAP["extra"] = number
        for value in junk():
            session = Session()
            end = attempt(session.set_ssh_options, "extra", value)
            attempt(session.get_ssh_options, "extra")
            ends[str(end)] = ends.get(str(end), 0) + 1
    session = Session()
    for number in range(80):
        OPTS_MAP["extra"] = number
        attempt(session.set_ssh_options, "extra", "1")
    attempt(session.connect, **options())
    del OPTS_MAP["extra"]
    works(connect())
    return ends


print(json.dumps({"keywords": keywords, "keys": keys, "numbers": numbers}[sys.argv[1]]()))
