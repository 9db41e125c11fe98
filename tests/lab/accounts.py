# SPDX-License-Identifier: LGPL-2.1-or-later
"""The accounts of a loopback host: this machine's, with homes and passwords of our own.

Root gives each loopback host a mount namespace in which these files lie over those in /etc. So its users can log in with a
password, and no file of the real root's home (a shell start-up, say, that would run in every command) is touched or used.
"""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """A throw-away user. The hash is crypt(3)'s SHA-512 of the password, made once with `openssl passwd -6`."""

    name: str
    uid: int
    password: str
    hash: str
    sudo: str = ""


PASSWORD = "s3cret"
_HASH = "$6$thelab$qpd2tKayF5EA2Y3dkDQ3ytnDjN4/sna0G7jUlqnExCu4Y3X8PGDF9B5qMgyreFxdTplF6WDp0FaFnlOg01JSW/"

ACCOUNTS = {
    account.name: account
    for account in (
        Account("root", 0, PASSWORD, _HASH),
        Account("ansible", 61001, PASSWORD, _HASH, "NOPASSWD:ALL"),
        Account("nopw", 61002, PASSWORD, _HASH, "ALL"),  # has no NOPASSWD: sudo wants the password
        Account("open", 61003, "", ""),  # for sshd's PermitEmptyPasswords
    )
}


def _without(path: str, names: set[str]) -> list[str]:
    """The lines of a file in /etc that are not about these users."""
    return [line for line in Path(path).read_text().splitlines() if line.partition(":")[0] not in names]


def write(etc: Path, homes: Path) -> None:
    """Write the files that the host shall see in /etc, and make the users' homes."""
    names = set(ACCOUNTS)
    passwd, shadow = _without("/etc/passwd", names), _without("/etc/shadow", names)
    group = _without("/etc/group", names - {"root"})
    sudoers = etc / "sudoers.d"
    sudoers.mkdir(parents=True)
    for account in ACCOUNTS.values():
        home = homes / account.name
        home.mkdir(parents=True, mode=0o755)
        os.chown(home, account.uid, account.uid)
        passwd.append(f"{account.name}:x:{account.uid}:{account.uid}:lab:{home}:/bin/bash")
        shadow.append(f"{account.name}:{account.hash}:19000:0:99999:7:::")
        if account.uid:
            group.append(f"{account.name}:x:{account.uid}:")
        if account.sudo:
            (sudoers / account.name).write_text(f"{account.name} ALL=(ALL) {account.sudo}\n")
            (sudoers / account.name).chmod(0o440)
    for name, lines in (("passwd", passwd), ("shadow", shadow), ("group", group)):
        (etc / name).write_text("\n".join(lines) + "\n")
    (etc / "shadow").chmod(0o640)
    if os.path.isdir("/etc/pam.d"):
        _without_delay(etc / "pam.d")


def _without_delay(pam: Path) -> None:
    """Copy PAM's rules, but so that a wrong password is refused at once and not after two seconds."""
    pam.mkdir()
    for rules in Path("/etc/pam.d").iterdir():
        text = rules.read_text()
        (pam / rules.name).write_text(re.sub(r"(?m)^(auth\s.*pam_unix\.so)", r"\1 nodelay", text))


def me() -> str:
    """The user who runs the tests."""
    return pwd.getpwuid(os.geteuid()).pw_name
