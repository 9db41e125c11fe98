# SPDX-License-Identifier: LGPL-2.1-or-later
"""The program behind `bad.BadHost`: asyncssh, told to be impolite. Reads one line of JSON, prints "ready", ends with its input."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from types import SimpleNamespace
from typing import Any

import asyncssh

from .bad_commands import COMMANDS, play, power_shell, router

settings: Any = SimpleNamespace()


def log(text: str) -> None:
    """Write a line to the host's log."""
    print(text, file=sys.stderr, flush=True)


async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run one command."""
    name, *words = (process.command or "").split(" ")
    log(f"command: {process.command!r}" if process.command else f"subsystem: {process.subsystem!r}")
    script = settings.scripts.get((process.subsystem or name).rpartition(" ")[2])
    if script:
        await play(process, script)
    elif settings.windows:
        await power_shell(process)
    elif not process.command:
        await router(process)
    elif name in COMMANDS:
        await COMMANDS[name](process, *words)
    else:
        process.stderr.write(f"{name}: no such command\n".encode())
        process.exit(127)


class Session(asyncssh.SSHServerProcess[bytes]):
    """One channel."""

    def exec_requested(self, command: str) -> bool:
        # One more command, which none could carry out: the request itself is refused.
        return command != "refuse" and super().exec_requested(command)

    def subsystem_requested(self, subsystem: str) -> bool:
        if subsystem not in settings.scripts:
            return super().subsystem_requested(subsystem)
        # Under its own name asyncssh would look for its own SFTP server, and not run a process that can play the script.
        setattr(self._chan, "_subsystem", f"scripted {subsystem}")  # noqa: B010  it has no public setter
        return True


class Sftp(asyncssh.SFTPServer):
    """Files of the host's directory only."""

    def __init__(self, channel: Any) -> None:
        super().__init__(channel, chroot=settings.files.encode())


class Server(asyncssh.SSHServer):
    """One connection: who may log in, and how many channels there may be."""

    def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
        self.connection = connection
        self.passed: list[str] = []
        self.round = 0
        self.channels = 0
        log(f"connection from port {connection.get_extra_info('peername')[1]}")
        # asyncssh has no partial success: we step in where it would let the client in.
        self.let_in = connection.send_userauth_success
        connection.send_userauth_success = self.one_factor  # type: ignore[method-assign]

    def connection_lost(self, error: Exception | None) -> None:
        log(f"connection lost: {error}")

    def wanted(self) -> list[str]:
        """The methods that the client may try now."""
        if settings.any_of:
            return list(settings.any_of)
        return list(settings.factors[len(self.passed) : len(self.passed) + 1])

    async def one_factor(self) -> None:
        """A method has succeeded."""
        method = self.trying
        log(f"passed {method}")
        self.passed.append(method)
        if not settings.any_of and len(self.passed) < len(settings.factors):
            self.connection.send_userauth_failure(True)
            return
        log(f"Accepted {method} for {settings.user}")
        await self.let_in()
        if settings.deaf:
            self.connection.data_received = lambda *_: None  # type: ignore[method-assign]

    def begin_auth(self, _username: str) -> bool:
        if settings.banner:
            self.connection.send_auth_banner(settings.banner)
        return True

    def public_key_auth_supported(self) -> bool:
        return "publickey" in self.wanted()

    def password_auth_supported(self) -> bool:
        return "password" in self.wanted()

    def kbdint_auth_supported(self) -> bool:
        return "keyboard-interactive" in self.wanted()

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.trying = "publickey"
        right = asyncssh.import_public_key(settings.public_key)
        log(f"tried publickey {key.get_fingerprint()} for {username}")
        return bool(username == settings.user and key == right)

    def validate_password(self, username: str, password: str) -> bool:
        self.trying = "password"
        log(f"tried password for {username}")
        if password == settings.password and settings.expired:
            raise asyncssh.PasswordChangeRequired("Your password has expired. New password: ")
        return username == settings.user and bool(password == settings.password)

    def change_password(self, username: str, old_password: str, new_password: str) -> bool:
        log(f"changed the password of {username}")
        return bool(old_password == settings.password and new_password)

    def get_kbdint_challenge(self, _username: str, _lang: str, _submethods: str) -> Any:
        self.trying = "keyboard-interactive"
        self.round = 0
        return self.challenge()

    def challenge(self) -> Any:
        """Ask this round's questions."""
        asked = settings.rounds[self.round]
        return asked["name"], asked["instruction"], "", [(text, shown) for text, shown, _ in asked["prompts"]]

    def validate_kbdint_response(self, username: str, responses: Any) -> Any:
        log(f"tried keyboard-interactive, round {self.round + 1}, for {username}")
        right = [answer for _, _, answer in settings.rounds[self.round]["prompts"]]
        if list(responses) != right or username != settings.user:
            return False
        self.round += 1
        return True if self.round == len(settings.rounds) else self.challenge()

    async def open_session(self) -> Session:
        """Open a channel, perhaps late."""
        await asyncio.sleep(settings.open_delay)
        return Session(handle, Sftp if settings.sftp else None, 3, "scp" not in settings.scripts)

    def session_requested(self) -> Any:
        self.channels += 1
        log(f"channel {self.channels}")
        if self.channels > settings.max_channels:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "too many channels")
        return self.open_session()


# How it greets. Each of these gets the streams to the client, and the port where the polite server is.


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until they end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Do what `greeting` says, and go on as the polite server where it means that."""
    kind, endings = settings.greeting, {"close", "banner-close"}
    log(f"greeting: {kind}")
    words = {
        "garbage": bytes(range(128, 256)) * 32,
        "http": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "banner-only": b"SSH-2.0-Silent\r\n",
        "banner-close": b"SSH-2.0-Brief\r\n",
        "chatter": b"".join(b"This is line %d of a long story.\r\n" % number for number in range(20)),
    }
    writer.write(words.get(kind, b""))
    if kind == "reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif kind == "endless":
        while True:
            writer.write(b"x" * 4096)
            await writer.drain()
            await asyncio.sleep(0.001)
    elif kind in endings:
        writer.close()
    elif kind in ("slow", "drip", "chatter"):
        await go_on(reader, writer, port)
    else:
        await reader.read(-1)  # until the client gives up


async def go_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Be the polite server, at last."""
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    if settings.greeting == "slow":
        await asyncio.sleep(settings.delay)
    if settings.greeting == "drip":
        for byte in await inner_reader.readline():
            writer.write(bytes([byte]))
            await asyncio.sleep(settings.delay)
    await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
    writer.close()


async def serve() -> None:
    """Listen until the input ends."""
    inner = await asyncssh.listen(
        "127.0.0.1",
        0 if settings.greeting else settings.port,
        server_factory=Server,
        server_host_keys=[settings.host_key],
        encoding=None,
        line_editor=False,
        **settings.listen,
    )
    if settings.greeting:
        port = inner.get_port()
        await asyncio.start_server(lambda reader, writer: greet(reader, writer, port), "127.0.0.1", settings.port)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Read the settings and serve."""
    vars(settings).update(json.loads(sys.stdin.readline()))
    asyncio.run(serve())


if __name__ == "__main__":
    main()
