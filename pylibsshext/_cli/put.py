# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m pylibsshext put LOCAL... [USER@]HOST:PATH``: send files and trees."""

from __future__ import annotations

import argparse

from . import transfer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell what can be asked for."""
    parser.add_argument("sources", nargs="+", metavar="LOCAL", help="what to send")
    parser.add_argument("target", metavar="[USER@]HOST:PATH", help="the file to make, or a directory to put it in")
    transfer.add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    return transfer.run(transfer.Put(arguments))
