# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m pylibsshext get [USER@]HOST:PATH... LOCAL``: fetch files and trees."""

from __future__ import annotations

import argparse

from . import transfer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell what can be asked for."""
    parser.add_argument("sources", nargs="+", metavar="[USER@]HOST:PATH", help="what to fetch, all from one host")
    parser.add_argument("target", metavar="LOCAL", help="the file to make, or a directory to put it in")
    transfer.add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    return transfer.run(transfer.Get(arguments))
