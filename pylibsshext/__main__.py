# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line: ``python -m pylibsshext``."""

from __future__ import annotations

import argparse
import importlib
import sys

# Name of a command: what it does, and the module that has its add_arguments(parser) and run(arguments) -> exit status.
_COMMANDS = {
    "doctor": ("explain a connection, step by step", ".doctor.command"),
    "get": ("fetch files and trees", "._cli.get"),
    "put": ("send files and trees", "._cli.put"),
    "mux": ("look at the connection holder, and end it", ".mux.command"),
}


def main(words: list[str] | None = None, program: str = "python -m pylibsshext") -> int:
    """Run one command; return its exit status. *program* is how the user calls it."""
    parser = argparse.ArgumentParser(prog=program, description="SSH by libssh.")
    commands = parser.add_subparsers(dest="command", required=True)
    runners = {}
    for name, (about, module) in _COMMANDS.items():
        loaded = importlib.import_module(module, __package__)
        loaded.add_arguments(commands.add_parser(name, help=about))
        runners[name] = loaded.run
    arguments = parser.parse_args(words)
    return int(runners[arguments.command](arguments))


if __name__ == "__main__":
    sys.exit(main())
