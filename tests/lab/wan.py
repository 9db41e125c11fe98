# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program: a line that loses, delays and reorders packets as `links.Wan` asks for. Needs no sch_netem.

It carries frames between two TAP devices, so the kernel's TCP on both sides sees a real bad line. Where TCP itself need not
suffer, `relay` is quicker, and needs no root.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0002, 0x1000, 0x40000000


def open_tap(device: str) -> int:
    """Make a TAP device in this thread's network namespace."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def enter(namespace: str) -> None:
    """Go over to another network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(namespace, os.O_RDONLY)
    try:
        if libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
    finally:
        os.close(fd)


class Line:
    """What carries the frames."""

    def __init__(self, taps: tuple[int, int]) -> None:
        self.taps = taps
        self.settings = {"rtt": 0.0, "jitter": 0.0, "loss": 0.0, "rate": 0.0, "queue": 1000.0}
        self.is_up = True
        self.free_at = [0.0, 0.0]  # per direction: when the last frame has passed the bottleneck
        self.queue: list[tuple[float, int, int, bytes]] = []  # due, a number that keeps the order, from which side, frame
        self.counts = {"sent": 0, "lost": 0, "dropped": 0}
        self.number = 0
        self.random = random.Random(1)

    def serve(self) -> None:
        """Carry frames until the input ends."""
        print(json.dumps({}), flush=True)
        while True:
            timeout = max(0.0, self.queue[0][0] - time.monotonic()) if self.queue else None
            for fd in select.select([0, *self.taps], [], [], timeout)[0]:
                if fd:
                    self.take(self.taps.index(fd))
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                self.command(*json.loads(line))
            self.deliver()

    def take(self, side: int) -> None:
        """Put the frames that wait on one side on their way."""
        now = time.monotonic()
        for _ in range(64):
            try:
                self.push(side, os.read(self.taps[side], 65536), now)
            except OSError:
                return  # no more for now

    def push(self, side: int, frame: bytes, now: float) -> None:
        """Put one frame on its way, or lose it."""
        wanted = self.settings
        if not self.is_up or self.random.random() < wanted["loss"]:
            self.counts["lost"] += 1
            return
        due = now
        if wanted["rate"]:
            if len(self.queue) >= wanted["queue"]:
                self.counts["dropped"] += 1
                return
            self.free_at[side] = due = max(now, self.free_at[side]) + len(frame) / wanted["rate"]
        due += wanted["rtt"] / 2 + self.random.uniform(-wanted["jitter"], wanted["jitter"])
        self.number += 1
        heapq.heappush(self.queue, (due, self.number, side, frame))

    def deliver(self) -> None:
        """Send the frames that are due."""
        now = time.monotonic()
        while self.queue and self.queue[0][0] <= now:
            _, _, side, frame = heapq.heappop(self.queue)
            try:
                os.write(self.taps[1 - side], frame)
                self.counts["sent"] += 1
            except OSError:
                self.counts["dropped"] += 1  # the device is not up, or its queue is full

    def command(self, name: str, arguments: dict[str, float]) -> None:
        """Do what the tests' end asks for."""
        if name in ("up", "down"):
            self.is_up = name == "up"
        elif name == "set":
            for setting, value in arguments.items():
                if setting not in self.settings:
                    raise SystemExit(f"wan: no such setting: {setting}")
                self.settings[setting] = value
        print(json.dumps(self.counts), flush=True)


def main() -> None:
    """Run the line: namespace of the far end, name of both devices."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; the end of the input ends us
    netns, device = sys.argv[1:]
    near = open_tap(device)
    enter(f"/run/netns/{netns}")
    Line((near, open_tap(device))).serve()


if __name__ == "__main__":
    main()
