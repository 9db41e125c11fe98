# SPDX-License-Identifier: LGPL-2.1-or-later
"""A link that loses, delays and reorders packets: the kernel's TCP on both sides sees a real bad line. Needs no sch_netem.

`Wan` joins this network namespace and that of a netns host by two TAP devices, and a process of its own that carries frames
from one to the other. Where TCP itself need not suffer, `relay` is quicker, and needs no root.
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
import subprocess
import sys
import time
from typing import Any, final

TUNSETIFF, IFF_TAP, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0002, 0x1000, 0x40000000
NEAR, FAR = "02:00:00:00:00:01", "02:00:00:00:00:02"  # hardware addresses of the two ends


@final
class Wan:
    """The tests' end of a bad link to a netns host: talk to `address` instead of the host's own."""

    def __init__(self, netns: str, network: str, **settings: float) -> None:
        self.address, here, device = f"{network}.2", f"{network}.1", "wan" + network.rpartition(".")[2]
        argv = [sys.executable, "-I", "-S", __file__, netns, device]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()
        for where, mac, other_mac, address, other in (
            ([], NEAR, FAR, here, self.address),
            (["-n", netns], FAR, NEAR, self.address, here),
        ):
            for words in (
                f"link set {device} address {mac} up",
                f"addr add {address}/24 dev {device}",
                # Neighbours are known for good: a dead link is silent, where failing ARP would say "no route to host".
                f"neigh replace {other} lladdr {other_mac} dev {device} nud permanent",
            ):
                subprocess.run(["ip", *where, *words.split()], check=True)
        self.set(**settings)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _ask(self, name: str, **arguments: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        return self._read()

    def set(self, **settings: float) -> None:
        """Change settings, for packets that come from now on.

        rtt: seconds there and back. jitter: up to so many seconds more or less each way, so packets overtake each other.
        loss: the share of packets that vanish, 0 to 1. rate: bytes per second each way (0: no limit). queue: how many packets
        may wait before more are dropped.
        """
        self._ask("set", **settings)

    def down(self) -> None:
        """Lose every packet from now on, and tell nobody."""
        self._ask("down")

    def up(self) -> None:
        """Carry packets again."""
        self._ask("up")

    def stats(self) -> dict[str, int]:
        """How many packets were sent, lost, and dropped from a full queue."""
        return self._ask("stats")

    def close(self) -> None:
        """Remove the link."""
        self._process.communicate()

    def __enter__(self) -> Wan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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


class Link:
    """The process that carries the frames."""

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
    """Run the link: namespace of the far end, name of both devices."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; the end of the input ends us
    netns, device = sys.argv[1:]
    near = open_tap(device)
    enter(f"/run/netns/{netns}")
    Link((near, open_tap(device))).serve()


if __name__ == "__main__":
    main()
