# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab for programs of any kind.

    python -m tests.lab serve [--hosts N] [--backend NAME] [--server NAME] [--sshd-config TEXT] [--no-sftp]

starts N hosts (one by default, an OpenSSH on a free port of 127.0.0.1, with keys of its own in a temporary directory), prints
one line of JSON: a list with one object per host, of the keys name, backend, address, port, user, password (null where there is
none: on loopback without root), key (path of the private key), known_hosts (path), host_keys. Then it waits until its standard
input ends or SIGTERM comes, stops the hosts and removes the directory. It also does so when it is killed. A program uses it so:

    lab = subprocess.Popen([sys.executable, "-m", "tests.lab", "serve"], stdin=PIPE, stdout=PIPE, text=True)
    host = json.loads(lab.stdout.readline())[0]
    ...
    lab.stdin.close(); lab.wait()

    python -m tests.lab build

builds the releases of OpenSSH that the lab can have beside this machine's, see `releases`.

    python -m tests.lab probe

tells which backends and servers can be used on this machine.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from typing import NoReturn

from scripts.build_libssh import BuildError

from . import releases
from .lab import BACKENDS, Lab
from .servers import SERVERS, unusable


def _stop(*_: object) -> NoReturn:
    raise SystemExit(0)


def serve(arguments: argparse.Namespace) -> None:
    """Run hosts until the input ends."""
    signal.signal(signal.SIGTERM, _stop)
    options = {"server": arguments.server, "sshd_config": arguments.sshd_config, "sftp": not arguments.no_sftp}
    with Lab() as lab:
        hosts = [lab.new(arguments.backend, **options) for _ in range(arguments.hosts)]
        print(json.dumps([host.describe() for host in hosts]), flush=True)
        sys.stdin.read()


def probe(_: argparse.Namespace) -> None:
    """Say what can be used here."""
    for name, backend in BACKENDS.items():
        print(f"{name:9} {backend.unusable() or 'usable'}")
    for name in SERVERS:
        print(f"{name:9} {unusable(name) or 'usable'}")


def build(_: argparse.Namespace) -> None:
    """Build the other releases of OpenSSH."""
    try:
        releases.build_missing()
    except BuildError as exc:
        sys.exit(f"openssh: {exc}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="Throw-away SSH servers")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("serve", help=serve.__doc__)
    command.set_defaults(run=serve)
    command.add_argument("--hosts", type=int, default=1)
    command.add_argument("--backend", choices=BACKENDS, default="loopback")
    command.add_argument("--server", choices=SERVERS, default="openssh")
    command.add_argument("--sshd-config", default="", help="lines for sshd_config(5)")
    command.add_argument("--no-sftp", action="store_true")
    commands.add_parser("build", help=build.__doc__).set_defaults(run=build)
    commands.add_parser("probe", help=probe.__doc__).set_defaults(run=probe)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
