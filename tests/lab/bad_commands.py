# SPDX-License-Identifier: LGPL-2.1-or-later
"""What commands of the misbehaving server do. Each gets its channel, as asyncssh's process of bytes, and the command's words."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
from typing import TYPE_CHECKING, Any, Callable

import asyncssh
from asyncssh.packet import Boolean, String, UInt32

if TYPE_CHECKING:
    from collections.abc import Awaitable

DISCONNECT = 1  # RFC 4253, section 11.1
DATA, EOF, CLOSE, REQUEST = 94, 96, 97, 98  # RFC 4254, section 9
Process = asyncssh.SSHServerProcess


def send(process: Process[bytes], kind: int, *parts: bytes) -> None:
    """Send a packet on the channel whatever asyncssh thinks of it."""
    process.channel.send_packet(kind, *parts)


def send_data(process: Process[bytes], data: bytes) -> None:
    """Send output, without regard to the window."""
    send(process, DATA, String(data))


def send_status(process: Process[bytes], status: int) -> None:
    """Send an exit status, and leave the channel as it is."""
    send(process, REQUEST, String("exit-status"), Boolean(False), UInt32(status))


async def echo(process: Process[bytes], *words: str) -> None:
    """Print the words."""
    process.stdout.write(" ".join(words).encode() + b"\n")
    process.exit(0)


async def cat(process: Process[bytes]) -> None:
    """Give the input back."""
    while data := await process.stdin.read(65536):
        process.stdout.write(data)
        await process.stdout.drain()
    process.exit(0)


async def rc(process: Process[bytes], status: str) -> None:
    """End with this exit status."""
    process.exit(int(status))


async def die(process: Process[bytes], signal: str) -> None:
    """End by a signal (die TERM), after some output."""
    process.stdout.write(b"before\n")
    process.exit_with_signal(signal, False, "it died")


async def flood(process: Process[bytes], size: str, chunk: str = "65536", stream: str = "stdout") -> None:
    """Print that many x, in pieces of a size, to stdout, stderr or both."""
    left, piece = int(size), b"x" * int(chunk)
    writers = {"stdout": [process.stdout], "stderr": [process.stderr], "both": [process.stdout, process.stderr]}[stream]
    while left > 0:
        for writer in writers:
            writer.write(piece[:left])
            await writer.drain()
        left -= len(piece)
    process.exit(0)


async def split(process: Process[bytes], *words: str) -> None:
    """Print the words, each byte in a packet of its own, a millisecond apart."""
    for byte in " ".join(words).encode() + b"\n":
        send_data(process, bytes([byte]))
        await asyncio.sleep(0.001)
    process.exit(0)


async def slow(process: Process[bytes], count: str, interval: str = "0.1") -> None:
    """Print that many lines, one each interval of so many seconds."""
    for number in range(int(count)):
        process.stdout.write(b"%d\n" % number)
        await asyncio.sleep(float(interval))
    process.exit(0)


async def hang(process: Process[bytes]) -> None:
    """Print a line and never end; the input is read."""
    process.stdout.write(b"started\n")
    while not process.stdin.at_eof():
        await process.stdin.read(65536)
    await asyncio.Event().wait()


async def ignore_input(process: Process[bytes], seconds: str = "3600") -> None:
    """Leave the input unread, so that the window runs out; end after some time."""
    process.channel.pause_reading()
    await asyncio.sleep(float(seconds))
    process.exit(0)


async def no_status(process: Process[bytes]) -> None:
    """Print a line and close without an exit status."""
    process.stdout.write(b"bye\n")
    process.channel.close()


async def close_early(process: Process[bytes]) -> None:
    """Close at once, while the client may still be writing."""
    send(process, CLOSE)


async def eof_no_close(process: Process[bytes]) -> None:
    """Send output, end of file and exit status 0, but never the close."""
    send_data(process, b"done\n")
    send(process, EOF)
    send_status(process, 0)
    await asyncio.Event().wait()


async def data_after_eof(process: Process[bytes]) -> None:
    """Send data after the end of file."""
    send_data(process, b"one\n")
    send(process, EOF)
    send_data(process, b"two\n")
    send_status(process, 0)
    send(process, CLOSE)


async def data_after_close(process: Process[bytes]) -> None:
    """Send data and a status after the close."""
    send_data(process, b"one\n")
    send(process, CLOSE)
    send_data(process, b"two\n")
    send_status(process, 0)


async def status_first(process: Process[bytes], status: str) -> None:
    """Send the exit status, and the output after it."""
    send_status(process, int(status))
    await asyncio.sleep(0.1)
    send_data(process, b"late\n")
    send(process, EOF)
    send(process, CLOSE)


async def empty_data(process: Process[bytes]) -> None:
    """Send pieces of output without a byte in them, before and after one that has some."""
    for data in (b"", b"one\n", b"", b""):
        send_data(process, data)
    send_status(process, 0)
    send(process, EOF)
    send(process, CLOSE)


async def wrong_length(process: Process[bytes], length: str) -> None:
    """Send three lines, the second of four bytes with another length before it."""
    send_data(process, b"one\n")
    send(process, DATA, UInt32(int(length)), b"two\n")
    send_data(process, b"end\n")
    send_status(process, 0)
    send(process, EOF)
    send(process, CLOSE)


async def over_window(process: Process[bytes], size: str) -> None:
    """Send that many bytes, however small the client's window is."""
    for _ in range(int(size) // 32768):
        send_data(process, b"x" * 32768)
    process.exit(0)


async def drop(process: Process[bytes], size: str = "0") -> None:
    """Send that many bytes, then cut the connection off."""
    if int(size):
        process.stdout.write(b"x" * int(size))
        await process.stdout.drain()
        await asyncio.sleep(0.1)
    process.channel.get_connection().abort()


async def hang_up(process: Process[bytes], *words: str) -> None:
    """End the connection by a disconnect message with these words."""
    # asyncssh's own disconnect() would close the channels first.
    connection = process.channel.get_connection()
    connection.send_packet(DISCONNECT, UInt32(asyncssh.DISC_BY_APPLICATION), String(" ".join(words)), String(""))
    await asyncio.sleep(0.1)
    connection.abort()


async def ask(process: Process[bytes]) -> None:
    """Prompt on standard error, as sudo -S does; print the answer."""
    process.stderr.write(b"Password: ")
    answer = await process.stdin.readline()
    process.stdout.write(b"got " + answer)
    process.exit(0)


async def env(process: Process[bytes]) -> None:
    """Print the environment variables that the client has sent."""
    for name, value in sorted(process.env.items()):
        process.stdout.write(f"{name}={value}\n".encode())
    process.exit(0)


async def router(process: Process[bytes]) -> None:
    """Prompt like a device, and give each line back: what a shell request gets."""
    process.stdout.write(b"router>")
    async for line in process.stdin:
        process.stdout.write(line + b"router>")
    process.exit(0)


CLIXML = """\
#< CLIXML\r
<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04"><S S="Error">it complains ü_x000D__x000A_</S></Objs>"""


async def power_shell(process: Process[bytes]) -> None:
    """Note down the script, its input and the terminal; give back what a module or a command of Windows might print."""
    command = process.command or ""
    if command.startswith("scp "):
        process.stderr.write(b"scp : The term 'scp' is not recognized as the name of a cmdlet.\r\n")
        process.exit(1)
        return
    encoded = re.search(r"-EncodedCommand '?([A-Za-z0-9+/=]+)", command)
    script = base64.b64decode(encoded[1]).decode("utf-16-le") if encoded else command
    given = await process.stdin.read(-1)
    noted = {"script": script, "input": given.decode(errors="replace"), "terminal": process.term_type}
    print("powershell", json.dumps(noted), file=sys.stderr, flush=True)
    if given:
        process.stdout.write(b'{"changed": false, "ping": "pong"}\r\n')
    else:
        process.stdout.write("it prints ü\r\n".encode())
        process.stderr.write(CLIXML.encode())
    process.exit(0)


async def play(process: Process[bytes], steps: list[list[Any]]) -> None:
    """Play a script: the steps are those of `Behaviour.scripts`."""
    for kind, *arguments in steps:
        if kind == "send":
            process.stdout.write(arguments[0].encode("latin-1"))
        elif kind == "expect":
            try:
                got = await process.stdin.readexactly(arguments[0])
            except asyncio.IncompleteReadError as error:
                got = error.partial
            print("got", got.hex(), file=sys.stderr, flush=True)
        elif kind == "sleep":
            await asyncio.sleep(arguments[0])
        elif kind == "exit":
            process.exit(arguments[0])
        elif kind == "close":
            process.channel.close()
        else:
            raise ValueError(f"no such step: {kind}")


COMMANDS: dict[str, Callable[..., Awaitable[None]]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        *(echo, cat, rc, die, flood, split, slow, hang, ignore_input, no_status, close_early, eof_no_close),
        *(data_after_eof, data_after_close, status_first, empty_data, wrong_length, over_window, drop, hang_up, ask, env),
    )
}
