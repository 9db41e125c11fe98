# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program: a TCP relay on loopback that makes a connection as slow or as broken as `links.Relay` asks for.

Delayed bytes wait in memory, not in the sockets: the relay reads as fast as it can, and what limits a transfer through it is the
protocol above.
"""

from __future__ import annotations

import contextlib
import gc
import json
import select
import signal
import socket
import struct
import sys
import time
from collections import deque

LIMIT = 64 << 20  # bytes on their way in one direction: 500 MB/s over 100 ms fit
READ = 256 << 10


class Flow:
    """The bytes on their way in one direction of a connection."""

    def __init__(self, source: socket.socket, target: socket.socket, name: str) -> None:
        self.source, self.target, self.name = source, target, name
        self.queue: deque[tuple[float, memoryview]] = deque()
        self.size = 0
        self.free_at = 0.0  # when the last byte has passed the bottleneck
        self.ended = False  # the source has sent its end, which is queued as an empty chunk
        self.over = False  # and the target has been told
        self.hung_up = False  # the source has nothing more to say or to hear
        self.blocked = False  # the target takes no more for now


class Server:
    """The relay."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.settings = {"rtt": 0.0, "rate": 0.0, "chunk": 0.0, "cut_after": 0.0}
        self.frozen = self.swallowing = False
        self.flows: dict[int, tuple[Flow, Flow]] = {}  # by descriptor: the one that it feeds, and the one that it takes
        self.counts = {"made": 0, "up": 0, "down": 0}
        self.epoll = select.epoll()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.epoll.register(0, select.EPOLLIN)
        self.epoll.register(self.listener, select.EPOLLIN)

    def serve(self) -> None:
        """Relay until the input ends."""
        print(json.dumps({"port": self.listener.getsockname()[1]}), flush=True)
        while True:
            # epoll's own timeout counts milliseconds; select's is exact.
            select.select([self.epoll], [], [], self.until_due())
            for fd, events in self.epoll.poll(0):
                if fd == 0:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    self.command(*json.loads(line))
                elif fd == self.listener.fileno():
                    self.accept()
                elif fd in self.flows:
                    self.serve_socket(fd, events)
            self.deliver()

    def until_due(self) -> float | None:
        """Seconds until some byte has to go out."""
        due = [flow.queue[0][0] for flow in self.outgoing() if flow.queue and not flow.blocked]
        return max(0.0, min(due) - time.monotonic()) if due and not self.frozen else None

    def outgoing(self) -> list[Flow]:
        """Every flow once."""
        return [pair[0] for pair in self.flows.values()]

    def accept(self) -> None:
        """Join a new client with the server."""
        client = self.listener.accept()[0]
        try:
            server = socket.create_connection(self.target, 10)
        except OSError:
            self.reset(client)
            return
        self.counts["made"] += 1
        up, down = Flow(client, server, "up"), Flow(server, client, "down")
        for end, pair in ((client, (up, down)), (server, (down, up))):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.flows[end.fileno()] = pair
            self.epoll.register(end, select.EPOLLIN)

    def watch(self, end: socket.socket) -> None:
        """Wait for what this socket is wanted for, and for nothing else."""
        feeds, takes = self.flows[end.fileno()]
        if feeds.hung_up:
            return
        reading = not (self.frozen or feeds.ended or feeds.size >= LIMIT)
        writing = takes.blocked and not self.frozen
        self.epoll.modify(end, select.EPOLLIN * reading | select.EPOLLOUT * writing)

    def serve_socket(self, fd: int, events: int) -> None:
        """Take what a socket has, and remember whether it takes more."""
        feeds, takes = self.flows[fd]
        if events & select.EPOLLOUT:
            takes.blocked = False
            self.watch(takes.target)
        if events & (select.EPOLLIN | select.EPOLLERR | select.EPOLLHUP) and not feeds.ended:
            self.read(feeds)
        elif events & select.EPOLLERR:
            self.drop(feeds)
        elif events & select.EPOLLHUP:
            # Both its directions have ended, but bytes from it may still be on their way. epoll would report it for ever.
            feeds.hung_up = True
            self.epoll.unregister(fd)

    def read(self, flow: Flow) -> None:
        """Put bytes on their way."""
        size = READ
        if self.settings["rate"]:
            size = 16 << 10  # small steps, else a slow link would bring bytes by the quarter megabyte
        if self.settings["chunk"]:
            size = min(size, int(self.settings["chunk"]))
        try:
            data = flow.source.recv(size)
        except BlockingIOError:
            return
        except OSError:
            self.drop(flow)
            return
        if self.swallowing:
            flow.ended = not data
            self.watch(flow.source)
            return
        now = time.monotonic()
        flow.free_at = max(now, flow.free_at)
        if self.settings["rate"]:
            flow.free_at += len(data) / self.settings["rate"]
        flow.queue.append((flow.free_at + self.settings["rtt"] / 2, memoryview(data)))
        flow.size += len(data)
        flow.ended = not data
        if flow.ended or flow.size >= LIMIT:
            self.watch(flow.source)

    def deliver(self) -> None:
        """Send all bytes that are due."""
        if self.frozen:
            return
        for flow in self.outgoing():
            now = time.monotonic()
            while flow.queue and not flow.blocked and flow.queue[0][0] <= now:
                if not self.send(flow):
                    break

    def send(self, flow: Flow) -> bool:
        """Send the first chunk of a flow; tell whether there may be more to do for this flow."""
        due, data = flow.queue.popleft()
        try:
            if not data:
                flow.over = True
                flow.target.shutdown(socket.SHUT_WR)
                return self.end(flow)
            sent = flow.target.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.drop(flow)
            return False
        was_full = flow.size >= LIMIT
        flow.size -= sent
        self.counts[flow.name] += sent
        if sent < len(data):
            flow.queue.appendleft((due, data[sent:]))
            flow.blocked = True
            self.watch(flow.target)
        if was_full and flow.size < LIMIT:
            self.watch(flow.source)
        return self.passed(sent)

    def passed(self, sent: int) -> bool:
        """Count down to the cut that `cut_after` ordered."""
        if not self.settings["cut_after"]:
            return True
        self.settings["cut_after"] = max(0.0, self.settings["cut_after"] - sent)
        if self.settings["cut_after"]:
            return True
        self.cut()
        return False

    def end(self, flow: Flow) -> bool:
        """Forget a connection whose two directions have both ended."""
        feeds, takes = self.flows[flow.source.fileno()]
        if feeds.over and takes.over:
            for end in (flow.source, flow.target):
                del self.flows[end.fileno()]
                end.close()
        return False

    def reset(self, end: socket.socket) -> None:
        """Close a socket so that its peer sees a reset."""
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()

    def drop(self, flow: Flow) -> None:
        """Reset both ends of a connection."""
        for end in (flow.source, flow.target):
            if self.flows.pop(end.fileno(), None):
                self.reset(end)

    def cut(self) -> None:
        """Reset all connections."""
        for flow in self.outgoing():
            if flow.source.fileno() in self.flows:
                self.drop(flow)

    def hang_up(self) -> None:
        """End both directions of all connections now."""
        for flow in self.outgoing():
            with contextlib.suppress(OSError):
                flow.target.shutdown(socket.SHUT_WR)
            self.flows.pop(flow.target.fileno(), None)
            flow.target.close()

    def command(self, name: str, arguments: dict[str, float]) -> None:
        """Do what the tests' end asks for."""
        if name == "set":
            for setting, value in arguments.items():
                if setting not in self.settings:
                    raise SystemExit(f"relay: no such setting: {setting}")
                self.settings[setting] = value
        elif name in ("freeze", "thaw"):
            self.frozen = name == "freeze"
            for flow in self.outgoing():
                self.watch(flow.source)
        elif name == "black_hole":
            self.swallowing = True
            for flow in self.outgoing():
                flow.queue.clear()
                flow.size = 0
        elif name in ("cut", "hang_up"):
            getattr(self, name)()
        print(json.dumps({"open": len(self.flows) // 2, **self.counts}), flush=True)


def main() -> None:
    """Run the relay."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; the end of the input ends us
    gc.disable()
    Server((sys.argv[1], int(sys.argv[2]))).serve()


if __name__ == "__main__":
    main()
