# SPDX-License-Identifier: LGPL-2.1-or-later
"""Links between us and a host that are slow, lossy or dead: the tests' ends of the programs `relay` and `wan`.

Each of those is a process of its own, so that it takes no Python time from what is tested.  It is told what to do by lines of
JSON, answers each with one, and ends with its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from typing_extensions import Self

NEAR, FAR = "02:00:00:00:00:01", "02:00:00:00:00:02"  # hardware addresses of the two ends of a `Wan`


class Link:
    """A program that carries what goes between us and a host."""

    def __init__(self, program: str, *arguments: str) -> None:
        # -S: the standard library is enough. -I: no file of ours may shadow a module of it.
        argv = [sys.executable, "-I", "-S", str(Path(__file__).with_name(program)), *arguments]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.greeting = self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _ask(self, name: str, **arguments: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        return self._read()

    def stats(self) -> dict[str, int]:
        """What was carried so far; what is counted says the subclass."""
        return self._ask("stats")

    def close(self) -> None:
        """End the link."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@final
class Relay(Link):
    """A relay of TCP to (address, port): talk to `address` and `port` instead.

    `stats` counts the connections open and made, and the bytes that went to the server (up) and to the client (down).
    """

    address = "127.0.0.1"

    def __init__(self, target: tuple[str, int], **settings: float) -> None:
        super().__init__("relay.py", target[0], str(target[1]))
        self.port: int = self.greeting["port"]
        self.set(**settings)

    def set(self, **settings: float) -> None:
        """Change settings, for bytes that come from now on.

        rtt: seconds that a byte and its answer take together. rate: bytes per second in each direction (0: no limit).
        chunk: at most so many bytes are sent at once (0: no limit). cut_after: so many more bytes pass, then comes a `cut`.
        """
        self._ask("set", **settings)

    def cut(self) -> None:
        """Reset all connections. New ones are welcome."""
        self._ask("cut")

    def hang_up(self) -> None:
        """End all connections politely, as a server does that exits. New ones are welcome."""
        self._ask("hang_up")

    def freeze(self) -> None:
        """Move no byte any more; none is lost."""
        self._ask("freeze")

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._ask("thaw")

    def black_hole(self) -> None:
        """Swallow every byte from now on, and give no sign of it."""
        self._ask("black_hole")


@final
class Wan(Link):
    """A bad line to a netns host: talk to `address` instead of the host's own.

    It joins this network namespace and the host's by two TAP devices.  `stats` counts the packets sent, lost, and dropped from
    a full queue.
    """

    def __init__(self, netns: str, network: str, **settings: float) -> None:
        self.address, here, device = f"{network}.2", f"{network}.1", "wan" + network.rpartition(".")[2]
        super().__init__("wan.py", netns, device)
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
