# SPDX-License-Identifier: LGPL-2.1-or-later
"""A remote "scp" that lies, or does as devices do: `python scp_stand_in.py <behaviour> [-r] [-p] -t|-f <path>`."""

from __future__ import annotations

import os
import signal
import sys

behaviour, flags, path = sys.argv[1], sys.argv[2:-1], sys.argv[-1]
name = path.rpartition("/")[2].rpartition(":")[2]


def say(data):
    os.write(1, data)


def hear(size=1):
    return os.read(0, size)


def line():
    text = b""
    while not text.endswith(b"\n"):
        byte = hear()
        if not byte:
            break
        text += byte
    return text


def receive():
    """Take one file as a sink does; return its content."""
    say(b"\0")
    header = line()
    say(b"\0")
    left, content = int(header.split()[1]), b""
    while left:
        piece = hear(min(left, 65536))
        content += piece
        left -= len(piece)
    assert hear() == b"\0"
    return content


def send(header, content=b"", status=b"\0"):
    """Send one file as a source does."""
    assert hear() == b"\0"
    say(header)
    assert hear() == b"\0"
    say(content + status)
    hear()


def tree(*records):
    """Send records of a directory one by one."""
    assert hear() == b"\0"
    for record in records:
        say(record)
        hear()


BEHAVIOURS = {
    # -- hostile sources: what they send must not choose where it goes
    "other-name": lambda: send(b"C0644 5 other\n", b"evil\n"),
    "parent-name": lambda: send(b"C0644 5 ../evil\n", b"evil\n"),
    "absolute-name": lambda: send(b"C0644 5 /tmp/evil\n", b"evil\n"),
    "two-files": lambda: (send(f"C0644 5 {name}\n".encode(), b"good\n"), say(b"C0644 5 evil\n"), hear(), say(b"evil\n\0"), hear()),
    "directory": lambda: tree(f"D0755 0 {name}\n".encode(), b"C0644 5 evil\n", b"evil\n\0", b"E\n"),
    "up": lambda: tree(f"D0755 0 {name}\n".encode(), b"D0755 0 ..\n", b"C0644 5 evil\n", b"evil\n\0", b"E\n", b"E\n"),
    "inner-path": lambda: tree(f"D0755 0 {name}\n".encode(), b"C0644 5 a/evil\n", b"evil\n\0", b"E\n"),
    "inner-absolute": lambda: tree(f"D0755 0 {name}\n".encode(), b"C0644 5 /tmp/evil\n", b"evil\n\0", b"E\n"),
    "dot": lambda: tree(f"D0755 0 {name}\n".encode(), b"D0777 0 .\n", b"E\n", b"E\n"),
    "twice": lambda: tree(f"D0755 0 {name}\n".encode(), b"C0644 2 x\n", b"1\n\0", b"C0644 2 x\n", b"2\n\0", b"E\n"),
    "other-top": lambda: tree(b"D0755 0 other\n", b"C0644 5 evil\n", b"evil\n\0", b"E\n"),
    "ends-too-often": lambda: tree(f"D0755 0 {name}\n".encode(), b"E\n", b"E\n", b"C0644 5 evil\n", b"evil\n\0"),
    "through-a-link": lambda: tree(f"D0755 0 {name}\n".encode(), b"D0755 0 link\n", b"C0644 5 evil\n", b"evil\n\0", b"E\n", b"E\n"),
    "setuid": lambda: send(f"C6777 2 {name}\n".encode(), b"x\n"),
    "short": lambda: (hear(), say(f"C0644 1000 {name}\n".encode()), hear(), say(b"only this")),
    "bad-status": lambda: send(f"C0644 3 {name}\n".encode(), b"abc", b"\1scp: I/O error\n"),
    "long-line": lambda: (hear(), say(b"C0644 5 " + b"x" * 100_000 + b"\n"), hear()),
    "huge": lambda: (hear(), say(f"C0644 999999999999999 {name}\n".encode()), hear(), say(b"x" * 100)),
    "killed": lambda: (hear(), say(f"C0644 1000 {name}\n".encode()), hear(), say(b"abc"), os.kill(os.getpid(), signal.SIGKILL)),
    # -- devices
    "prompt-source": lambda: (say(b"\r\nR1#\r\n"), send(f"C0644 7 {name}\n".encode(), b"config\n")),
    "prompt-sink": lambda: (say(b"\r\nCopyright (c) Vendor\r\n\r\nR1#"), store(receive())),
    "no-p": lambda: say(b"% Invalid option\r\n") if "-p" in flags else store(receive()),
    "early-close": lambda: (store(receive()), say(b"\0"), os.close(1), os.close(0)),
    "no-status": lambda: (store(receive()), say(b"\0"), hear(), os.kill(os.getpid(), signal.SIGKILL)),
    "colon-name": lambda: send(f"C0644 7 {path}\n".encode(), b"config\n"),
    "refuses": lambda: (say(b"\0"), line(), say(b"\1%Error opening flash:x (No space left on device)\n"), hear()),
    "fatal": lambda: say(b"\2scp: protocol not enabled\n"),
    "text-only": lambda: say(b"% Unknown command\r\n"),
    "no-final-answer": receive,
    "refuses-data": lambda: (say(b"\0"), line(), say(b"\0"), hear(100), say(b"\1scp: write failed: Disk quota exceeded\n")),
}  # fmt: skip


def store(content):
    """Keep what was received where the test looks for it, under the path as it came."""
    with open(os.path.join(os.environ.get("STORE", "/tmp"), "stored"), "wb") as file:
        file.write(path.encode(errors="surrogateescape") + b"\n" + content)
    say(b"\0")


BEHAVIOURS[behaviour]()
