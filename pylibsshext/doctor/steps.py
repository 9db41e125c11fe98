# SPDX-License-Identifier: LGPL-2.1-or-later
"""The steps of the way to a host: for each a function that says what came of it, from the notes of a watched session.

A function returns None where its step does not apply.  The first step that failed ends the way; it has the error that ended it.
"""

from __future__ import annotations

import base64
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Callable, cast

from .. import hostkeys, options
from ..advice import EXPIRED, TURNED_AWAY, advice
from ..errors import (
    AuthenticationError,
    HostKeyChangedError,
    HostKeyError,
    LibsshException,
    LibsshSessionTimeout,
)
from ..variables import SECRETS, VARIABLES
from . import wire
from .report import Finding

if TYPE_CHECKING:
    from typing import Optional

    from .examination import Watched

    Step = Callable[[Watched, Optional[LibsshException]], Optional[Finding]]

_ENOUGH_CHANNELS = 12  # two more than OpenSSH's MaxSessions allows
_TIMEOUT = 15.0  # seconds for a command, and for SFTP to start
_GREETING = b"pylibsshext doctor"
# What OpenSSH and PAM say where a command is run for an account whose password, which was right, must be changed.
_EXPIRED = re.compile(r"password (has expired|change required)|change your password", re.IGNORECASE)
_NO_CHANNEL = "Look at the server's log: at its MaxSessions, and at what the account may do (its shell, PAM, a ForceCommand)."
# What OpenSSH's server says instead of its version, to those beyond MaxStartups and to those with penalties.
_OPENSSH_REFUSES = ("Exceeded MaxStartups", "Not allowed at this time")
_NO_ALGORITHMS = (
    "Look at the server's log. If it got nothing, the network drops larger packets (the MTU of a VPN, say); if it is old, it may "
    "not bear a long list: set ansible_libssh_key_exchange_algorithms to the few that it has."
)

# Name list of a key exchange: what people call it, and the keyword that sets ours.
_LISTS = {
    "kex": ("key exchange", "key_exchange_algorithms"),
    "host_key": ("host key", "hostkeys"),
    "cipher_out": ("cipher", "ciphers"),
    "cipher_in": ("cipher", "ciphers"),
    "mac_out": ("MAC", "macs"),
    "mac_in": ("MAC", "macs"),
    "compression_out": ("compression", "compression"),
    "compression_in": ("compression", "compression"),
}
# Method of RFC 4252: the keyword of Session.connect, the variable and what that may be, to have something to log in with.
_CREDENTIALS = {
    "publickey": ("identities", "ansible_private_key_file", "~/.ssh/id_ed25519"),
    "password": ("password", *SECRETS["password"]),
    "keyboard-interactive": ("password", *SECRETS["password"]),
}


def findings(session: Watched, error: LibsshException | None) -> list[Finding]:
    """Return what is to be said of a session that was connected, or that *error* kept from it."""
    found: list[Finding] = []
    for step in STEPS:
        finding = step(session, error)
        if finding is not None:
            found.append(finding)
            if not finding.ok:
                break
    return found


def configuration(session: Watched, error: LibsshException | None) -> Finding | None:
    """Say which files were read, and what they and the keywords come to."""
    if session.files is None:
        return failed("configuration", session, error)
    files = ", ".join(session.files) or "no ssh_config file"
    way = f"by {session.way}" if session.way else "directly"
    notes = [
        f"{VARIABLES[keyword]}: libssh does not have {', '.join(names)}, and goes without"
        for keyword in options.LEGACY
        if (names := options.unsupported(keyword, session.settings.get(keyword)))
    ]
    details = {"files": session.files, "way": session.way}
    return Finding("configuration", True, f"{session.target}, {way} ({files})", notes, details)


def name(session: Watched, error: LibsshException | None) -> Finding | None:
    """Say which addresses the name has."""
    if session.way:
        return None  # the name is resolved where that leads to
    if session.addresses is None:
        return failed("name", session, error)
    host = session.get_ssh_options("host")
    text = f"{host} is {', '.join(session.addresses)}" if session.addresses != [host] else f"{host} is an address"
    return Finding("name", True, f"{text} ({_ms(session, 'name')})", details={"addresses": session.addresses})


def connection(session: Watched, error: LibsshException | None) -> Finding | None:
    """Say whether something accepts the connection."""
    if session.tap is None:
        return failed("connection", session, error)
    text = f"{session.way} lets us through" if session.way else f"{session.peer} accepts"
    return Finding("connection", True, f"{text} ({_ms(session, 'connection')})")


def banner(session: Watched, error: LibsshException | None) -> Finding | None:
    """Say what the other end says it is."""
    theirs = wire.opening(session.received)
    if theirs.banner is None:
        return failed("banner", session, error, *_no_banner(session, error, theirs.before))
    notes = [f"after {line!r}" for line in theirs.before]
    return Finding("banner", True, theirs.banner, notes, {"banner": theirs.banner, "lines before it": theirs.before})


def _no_banner(session: Watched, error: LibsshException | None, said: list[str]) -> tuple[str, str]:
    """Return what is known of a peer that does not say what an SSH server says, and what to do."""
    if any(words in line for line in said for words in _OPENSSH_REFUSES):
        return f"the server takes no connection now: it says {said[-1]!a}", TURNED_AWAY
    by_command = session.way.startswith("the ProxyCommand")
    if any(said):
        look = f"{VARIABLES['proxycommand']}: run it by hand" if by_command else "ansible_port: another service listens there"
        return f"this is no SSH server: it says {said[0][:60]!a}", f"Check {look}."
    if isinstance(error, LibsshSessionTimeout):
        if by_command:
            cure = f"Check {VARIABLES['proxycommand']}: run it by hand; for one that is only slow raise ansible_ssh_timeout."
            return "the ProxyCommand says nothing", cure
        return (
            "the other end accepts the connection and then says nothing",
            "Check ansible_port, and whether the server is overloaded; for one that is only slow raise ansible_ssh_timeout.",
        )
    if by_command:
        return str(error), ""
    end = session.tap.failure if session.tap is not None else ""
    return f"the other end ends the connection before it says anything{f' ({end})' if end else ''}", TURNED_AWAY


def algorithms(session: Watched, error: LibsshException | None) -> Finding | None:
    """Say what both sides offer, and what they settle on."""
    ours, theirs = wire.opening(session.sent).algorithms, wire.opening(session.received).algorithms
    if ours is None or theirs is None:
        what = "says nothing" if isinstance(error, LibsshSessionTimeout) else "ends the connection"
        return failed("algorithms", session, error, f"the server tells its version, and then {what} ({error})", _NO_ALGORITHMS)
    missing = wire.without_choice(ours, theirs)
    if missing:
        return _nothing_in_common(session, error, ours, theirs, missing)
    if session.host_key is None:
        return failed("algorithms", session, error)
    chosen = {one: wire.choice(ours, theirs, one) for one in ours}
    text = f"{chosen['kex']}, {chosen['host_key']}, {chosen['cipher_out']} ({_ms(session, 'algorithms')})"
    details = {"ours": ours, "theirs": theirs, "chosen": chosen}
    return Finding("algorithms", True, text, _offers(ours, theirs, list(ours)), details)


def _nothing_in_common(
    session: Watched, error: LibsshException | None, ours: wire.Algorithms, theirs: wire.Algorithms, missing: list[str]
) -> Finding:
    """Say what the two sides have no algorithm for, and which of the server's can be switched on here."""
    what = " and ".join(dict.fromkeys(_LISTS[one][0] for one in missing))
    finding = failed("algorithms", session, error, f"the two sides have nothing in common for {what}")
    finding.notes = _offers(ours, theirs, missing)
    finding.details = {"ours": ours, "theirs": theirs, "missing": missing}
    cures = []
    for one in missing:
        label, keyword = _LISTS[one]
        usable = [algorithm for algorithm in theirs[one] if options.is_supported(keyword, algorithm)]
        if usable:
            added = f"+{','.join(usable)}"  # which libssh 0.10 does not know
            finding.inventory[VARIABLES[keyword]] = (
                added if options.is_supported(keyword, added) else ",".join([*ours[one], *usable])
            )
            cures.append(f"Set {VARIABLES[keyword]}: what the server has is off here unless it is asked for.")
        else:
            cures.append(f"This build of libssh has no {label} of the server's: that needs newer software.")
    finding.cure = " ".join(dict.fromkeys(cures))
    return finding


def _offers(ours: wire.Algorithms, theirs: wire.Algorithms, names: list[str]) -> list[str]:
    """Return lines with what both sides offer; one pair for both directions where those are alike."""
    notes = []
    for one in names:
        label = _LISTS[one][0]
        if one.endswith("_in"):
            other = f"{one[:-3]}_out"
            if (ours[one], theirs[one]) == (ours[other], theirs[other]):
                continue
            label += " from the server"
        notes += [f"{label}, ours: {', '.join(ours[one])}", f"{label}, the server's: {', '.join(theirs[one])}"]
    return notes


def host_key(session: Watched, error: LibsshException | None) -> Finding | None:
    """Say which key the server shows, and where it is known or is not."""
    key_type, blob = cast("tuple[str, bytes]", session.host_key)  # algorithms have seen to that
    shown = {"type": key_type, "fingerprint": hostkeys.fingerprint(blob)}
    if session.trusted:
        return Finding("host key", True, session.trusted, details=shown)
    if session.refused:
        finding = failed("host key", session, error)
        finding.details = shown
        if isinstance(error, HostKeyError) and error.fingerprint and not isinstance(error, HostKeyChangedError):
            finding.inventory["ansible_libssh_host_key"] = f"{key_type} {base64.b64encode(blob).decode()}"
        return finding
    text = f"{key_type} {shown['fingerprint']}, not checked (host_key_checking is off)"
    return Finding("host key", True, text, details=shown)


def login(session: Watched, error: LibsshException | None) -> Finding | None:
    """Say how the login went: each attempt, what the server said to it, and what it would still take."""
    if error is None:
        method, attempts = session.info.auth_method, list(session.info.auth_attempts)
        return Finding("login", True, f"by {method}", attempts, {"method": method, "attempts": attempts})
    finding = failed("login", session, error)
    if isinstance(error, AuthenticationError):
        finding.details = {"attempts": error.attempts, "methods left": error.methods_left}
        for keyword, variable, value in (_CREDENTIALS[method] for method in error.methods_left if method in _CREDENTIALS):
            if not session.given.get(keyword):
                finding.inventory[variable] = value
    return finding


def command(session: Watched, _error: LibsshException | None) -> Finding | None:
    """Say whether the account runs commands, and nothing besides."""
    try:
        done = session.exec_command(b"echo " + _GREETING, timeout=_TIMEOUT)
    except LibsshException as exc:
        return failed("command", session, exc, cure=_NO_CHANNEL)
    said = (done.stdout + done.stderr).decode(errors="replace").strip()
    if done.stdout.strip() == _GREETING:
        return Finding("command", True, "the shell runs commands")
    if _GREETING in done.stdout:
        text = f"the shell prints more than what commands print: {said[:200]!r}"
        return Finding(
            "command", False, text, cure="Make the account's start-up files (.bashrc and the like) silent without a terminal."
        )
    text = f"'echo' ended with status {done.returncode} and printed {said[:200]!r}"
    cure = "Give the account a POSIX shell; for a network device set ansible_connection to ansible.netcommon.network_cli."
    if _EXPIRED.search(said):
        cure = EXPIRED
    return Finding("command", False, text, cure=cure)


def sftp(session: Watched, _error: LibsshException | None) -> Finding | None:
    """Say whether there is SFTP, and how much it takes at a time."""
    try:
        with session.sftp() as files:
            limits = vars(files.limits)
            extensions = sorted(files.extensions)
    except LibsshException as exc:
        return Finding("sftp", True, f"there is none ({exc}); files go by scp or through a pipe", details={"error": str(exc)})
    told = ", ".join(f"{name} {value}" for name, value in limits.items() if value) or "the limits of the draft"
    return Finding("sftp", True, f"version 3; {told}", details={"limits": limits, "extensions": extensions})


def channels(session: Watched, _error: LibsshException | None) -> Finding | None:
    """Say how many channels the server opens at a time."""
    with ExitStack() as stack:
        count = 0
        try:
            while count < _ENOUGH_CHANNELS:
                stack.enter_context(session.new_channel())
                count += 1
        except LibsshException:
            pass  # this many, then
    more = count == _ENOUGH_CHANNELS
    text = f"{count} {'or more ' if more else ''}at a time"
    return Finding("channels", True, text, details={"at a time": count, "or more": more})


STEPS: tuple[Step, ...] = (
    configuration,
    name,
    connection,
    banner,
    algorithms,
    host_key,
    login,
    command,
    sftp,
    channels,
)


def failed(step: str, session: Watched, error: Exception | None, text: str = "", cure: str = "") -> Finding:
    """Return the finding that *error* is: its text, and its advice or, where there is none, the text that must do."""
    host, port = session.get_ssh_options("host") or "", session.port or 22
    cure = cure or (advice(error, host, port) if error is not None else "") or str(error)
    return Finding(step, False, text or str(error), cure=cure)


def _ms(session: Watched, step: str) -> str:
    return f"{session.took[step] * 1000:.0f} ms"
