# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m pylibsshext doctor [user@]host[:port]``: explain a connection, step by step."""

from __future__ import annotations

import argparse
import getpass
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from .. import options
from ..variables import SECRETS
from .examination import examine
from .inventory import plain, public

_TARGET = re.compile(
    r"(?:(?P<user>.+)@)?(?:\[(?P<bracketed>[^]]+)\]|(?P<address>[^@[]*:[^@[]*:[^@[]*)|(?P<host>[^:@[]+))(?::(?P<port>\d{1,5}))?"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell what can be asked for."""
    add = parser.add_argument
    add("target", type=target, metavar="[user@]host[:port]", help="whom to connect to; an IPv6 address with a port in brackets")
    add("-i", dest="identities", action="append", type=public, metavar="FILE", help="log in with this private key")
    add("-F", dest="config_file", metavar="FILE", help="read this ssh_config file, or none")
    add(
        "-o",
        dest="ssh_options",
        action="append",
        type=public,
        metavar="OPTION",
        help="a line of ssh_config, as ssh's -o takes it",
    )
    add(
        "--set",
        dest="others",
        action="append",
        type=keyword,
        default=[],
        metavar="KEYWORD=VALUE",
        help="any other keyword of Session.connect; the value as JSON, or as text",
    )
    add("--ask-pass", action="store_true", help="ask for the password to log in with")
    add("--ask-passphrase", action="store_true", help="ask for the passphrase of the private key")
    add("--interactive", action="store_true", help="put the server's own questions (one-time codes, say) to the user")
    add("--json", action="store_true", help="print the report for machines")


def run(arguments: argparse.Namespace) -> int:
    """Examine, print the report; the exit status is 0 if the host can be used."""
    try:
        report = examine(**keywords(arguments))
    except KeyboardInterrupt:
        return 130
    print(json.dumps(report.to_dict(), indent=2) if arguments.json else report.to_text())
    return 0 if report.ok else 1


def target(text: str) -> dict[str, Any]:
    """Return user, host and port of ``[user@]host[:port]``, without those that are not there."""
    match = _TARGET.fullmatch(text)
    if not match or (match["port"] and not 0 < int(match["port"]) < 65536):
        raise argparse.ArgumentTypeError(f"not [user@]host[:port]: {text!r}")
    found = {"user": match["user"], "host": match["bracketed"] or match["address"] or match["host"]}
    if match["port"]:
        found["port"] = int(match["port"])
    return {name: value for name, value in found.items() if value}


def keyword(text: str) -> tuple[str, Any]:
    """Return name and value of ``KEYWORD=VALUE``; a secret has no place on a command line."""
    name, equals, value = text.partition("=")
    if name in SECRETS:
        raise argparse.ArgumentTypeError(f"{name} would be for all to see here: use --ask-pass, --ask-passphrase or -i")
    if not equals or not (options.is_option(name) or name in options.CONNECT_KEYWORDS):
        raise argparse.ArgumentTypeError(f"not a keyword of Session.connect with its value: {text!r}")
    try:
        found = json.loads(value)
    except ValueError:
        found = value
    if plain(found) != found:
        raise argparse.ArgumentTypeError(f"a password in {name} would be for all to see here")
    return name, found


def keywords(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what to call Session.connect with; asks for the secrets that it needs."""
    found: dict[str, Any] = {**arguments.target, **dict(arguments.others)}
    for name in ("identities", "config_file", "ssh_options"):
        if getattr(arguments, name):
            found[name] = getattr(arguments, name)
    if arguments.ask_pass:
        found["password"] = ask("Password: ")
    if arguments.ask_passphrase:
        found["private_key_password"] = ask("Passphrase of the private key: ")
    if arguments.interactive:
        found["kbdint_callback"] = answers
    if arguments.interactive or sys.stdin.isatty():
        found["prompt_callback"] = lambda question, secret: ask(question, not secret)
    return found


def ask(question: str, shown: bool = False) -> str:
    """Ask on the terminal; without one take the next line of the standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return input(question) if shown else getpass.getpass(question)


def answers(name: str, instruction: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
    """Put the questions of keyboard-interactive (RFC 4256) to the terminal."""
    for text in filter(None, (name, instruction)):
        print(text, file=sys.stderr)
    return [ask(prompt, shown) for prompt, shown in prompts]
