# SPDX-License-Identifier: LGPL-2.1-or-later
"""asyncssh, with an event loop per client. It sets TCP_NODELAY by itself."""

from __future__ import annotations

import asyncio
import os
import time

import work


class Client(work.Client):
    def __init__(self, host, nodelay):
        import asyncssh

        self.loop = asyncio.new_event_loop()
        self.connection = self.loop.run_until_complete(
            asyncssh.connect(
                host["address"],
                host["port"],
                username=host["user"],
                client_keys=[asyncssh.import_private_key(host["key_text"])],
                known_hosts=host["known_hosts"],
                agent_path=None,
                config=None,
            )
        )

    def execute(self, command, timeout=None):
        done = self.loop.run_until_complete(self.connection.run(command, encoding=None, timeout=timeout))
        return done.returncode, done.stdout

    def execute_many(self, command, count):
        async def many():
            times = []
            for _ in range(count):
                start = time.perf_counter()
                done = await self.connection.run(command, encoding=None)
                times.append(time.perf_counter() - start)
                assert done.returncode == 0
            return times

        return self.loop.run_until_complete(many())

    def stream(self, command):
        async def pass_by():
            total = 0
            async with self.connection.create_process(command, encoding=None) as process:
                while chunk := await process.stdout.read(1 << 18):
                    total += len(chunk)
            return total

        return self.loop.run_until_complete(pass_by())

    def transfer(self, way, source, target):
        tree = os.path.isdir(source)

        async def copy():
            async with self.connection.start_sftp_client() as sftp:
                await getattr(sftp, way)(source, target, recurse=tree)

        self.loop.run_until_complete(copy())

    def close(self):
        self.connection.close()
        self.loop.run_until_complete(self.connection.wait_closed())
        self.loop.close()


work.main(Client)
