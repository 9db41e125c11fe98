# SPDX-License-Identifier: LGPL-2.1-or-later
"""The work that is measured, the same for every candidate; a driver adds how its library does the three basic things.

A driver is a script: ``python drive_x.py WORK JSON`` does one piece of work in a process of its own and prints one line of
JSON. It runs in the peers' environment and imports nothing of this repository but this file (and the library).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import sys
import threading
import time


class Client:
    """One connection. A driver's subclass says how."""

    def __init__(self, host: dict, nodelay: bool) -> None:
        raise NotImplementedError

    def execute(self, command: str, timeout: float | None = None) -> tuple[int, bytes]:
        """Run a command to its end; return its exit status and all of its output."""
        raise NotImplementedError

    def stream(self, command: str) -> int:
        """Run a command and let its output pass; return the number of bytes."""
        raise NotImplementedError

    def transfer(self, way: str, source: str, target: str) -> None:
        """Copy a file or a tree; *way* is "put" or "get", with "scp-" before it for that protocol."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def execute_many(self, command: str, count: int) -> list[float]:
        """Return the seconds that each of *count* runs took."""
        times = []
        for _ in range(count):
            start = time.perf_counter()
            status, _output = self.execute(command)
            times.append(time.perf_counter() - start)
            assert status == 0, status
        return times


def tcp(host: dict, nodelay: bool) -> socket.socket:
    """A connected socket for libraries that want one (and the way to TCP_NODELAY for those that do not set it)."""
    sock = socket.create_connection((host["address"], host["port"]))
    if nodelay:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def login(host: dict) -> dict:
    """What ``pylibsshext``'s ``connect`` needs, be it ours or 1.4.0's."""
    return {
        "host": host["address"],
        "port": host["port"],
        "user": host["user"],
        "private_key": host["key_text"].encode(),
        "look_for_keys": False,
        "knownhosts": host["known_hosts"],
    }


def chunks(channel):
    """What a channel of ssh-python or ssh2-python receives, to its end."""
    while True:
        size, data = channel.read(1 << 18)
        if size <= 0:
            return
        yield data


def cpu() -> float:
    """The CPU seconds of this process and of the programs that it ran to their end."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_mib() -> float:
    """The largest size that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work_exec(new, options: dict) -> dict:
    client = new()
    client.execute_many("true", 5)
    before = cpu()
    times = client.execute_many("true", options["count"])
    used = cpu() - before
    client.close()
    return {"ms": 1000 * sorted(times)[len(times) // 2], "cpu_ms": 1000 * used / len(times)}


def work_output(new, options: dict) -> dict:
    """All of a command's output as one bytes object."""
    client, size = new(), options["size"]
    client.execute("true")
    before, start = cpu(), time.perf_counter()
    _, output = client.execute(f"head -c {size} /dev/zero")
    seconds, used = time.perf_counter() - start, cpu() - before
    assert len(output) == size, len(output)
    client.close()
    return {"MB/s": size / seconds / 1e6, "cpu_s/GB": used * 1e9 / size}


def work_stream(new, options: dict) -> dict:
    """Output that passes by; what the process grows by meanwhile."""
    client, size = new(), options["size"]
    client.stream("head -c 10000000 /dev/zero")
    peak, before, start = peak_mib(), cpu(), time.perf_counter()
    passed = client.stream(f"head -c {size} /dev/zero")
    seconds, used = time.perf_counter() - start, cpu() - before
    assert passed == size, passed
    client.close()
    return {"MB/s": size / seconds / 1e6, "cpu_s/GB": used * 1e9 / size, "growth_MiB": peak_mib() - peak}


def work_threads(new, options: dict) -> dict:
    """Threads with a session each, and one that only wants to run every millisecond."""
    gaps, stop, failures = [0.0], threading.Event(), []
    connected = threading.Barrier(options["threads"] + 1)

    def tick() -> None:
        last = time.perf_counter()
        while not stop.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last - 0.001)
            last = now

    def run() -> None:
        try:
            client = new()
            connected.wait()
            client.execute_many("true", options["count"])
            client.close()
        except BaseException as exc:
            failures.append(repr(exc))
            connected.abort()
            raise

    threads = [threading.Thread(target=run) for _ in range(options["threads"])]
    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    connected.wait()
    ready = time.perf_counter()
    for thread in threads:
        thread.join()
    end = time.perf_counter()
    stop.set()
    ticker.join()
    assert not failures, failures
    return {"s": end - start, "connect_s": ready - start, "exec_s": end - ready, "stall_ms": 1000 * max(gaps), "cpu_s": cpu()}


def work_sleep(new, options: dict) -> dict:
    """CPU while the other side takes its time."""
    client = new()
    client.execute("true")
    before = cpu()
    client.execute(f"sleep {options['seconds']}")
    used = cpu() - before
    client.close()
    return {"cpu_%": 100 * used / options["seconds"]}


def work_interrupt(new, options: dict) -> dict:
    """From Ctrl-C during a wait to KeyboardInterrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    client = new()
    client.execute("true")
    moment = time.monotonic() + 1
    if os.fork() == 0:
        time.sleep(moment - time.monotonic())
        os.kill(os.getppid(), signal.SIGINT)
        os._exit(0)
    with contextlib.suppress(KeyboardInterrupt):
        client.execute(f"sleep {options['seconds']}")
    return {"ms": 1000 * (time.monotonic() - moment)}


def work_timeout(new, options: dict) -> dict:
    """From the end of a time-out to its exception."""
    client = new()
    client.execute("true")
    start = time.monotonic()
    try:
        client.execute(f"sleep {options['seconds']}", timeout=1.0)
    except Exception as exc:  # noqa: BLE001 - each library has its own
        return {"ms": 1000 * (time.monotonic() - start - 1), "exception": type(exc).__name__}
    raise AssertionError("no time-out came")


def work_connect(new, options: dict) -> dict:
    """Connecting and logging in with a key."""
    new().close()
    before, start = cpu(), time.perf_counter()
    for _ in range(options["count"]):
        new().close()
    seconds, used = time.perf_counter() - start, cpu() - before
    return {"cpu_ms": 1000 * used / options["count"], "ms": 1000 * seconds / options["count"]}


def work_transfer(new, options: dict) -> dict:
    """A file or a tree, from before connecting to after closing, as a user of a program waits for it."""
    peak, before, start = peak_mib(), cpu(), time.perf_counter()
    client = new()
    connected = time.perf_counter()
    client.transfer(options["way"], options["source"], options["target"])
    client.close()
    end, used = time.perf_counter(), cpu() - before
    return {
        "s": end - start,
        "MB/s": options["size"] / (end - start) / 1e6,
        "transfer_s": end - connected,
        "cpu_s": used,
        "cpu_s/GB": used * 1e9 / options["size"],
        "growth_MiB": peak_mib() - peak,
    }


def work_at_once(new, options: dict) -> dict:
    """A file by each of several threads with a session each."""
    clients = [new() for _ in range(options["threads"])]
    targets = [f"{options['target']}.{number}" for number in range(len(clients))]
    failures = []

    def run(client: Client, target: str) -> None:
        try:
            client.transfer(options["way"], options["source"], target)
        except BaseException as exc:
            failures.append(repr(exc))
            raise

    threads = [threading.Thread(target=run, args=pair) for pair in zip(clients, targets)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    assert not failures, failures
    for client, target in zip(clients, targets):
        client.close()
        os.unlink(target)
    return {"MB/s": options["size"] * len(clients) / seconds / 1e6, "s": seconds}


def work_import(_new, options: dict) -> dict:
    """The first import in a fresh process."""
    start = time.perf_counter()
    __import__(options["module"])
    return {"ms": 1000 * (time.perf_counter() - start)}


def main(client: type[Client] | object) -> None:
    """Do what the command line says. *client* makes a connection; it is called late, so that an import is measured whole."""
    name, options = sys.argv[1], json.loads(sys.argv[2])

    def new() -> Client:
        return client(options["host"], options["nodelay"])  # type: ignore[operator]

    print(json.dumps(globals()[f"work_{name}"](new, options)), flush=True)
