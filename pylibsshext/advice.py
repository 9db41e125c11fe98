# SPDX-License-Identifier: LGPL-2.1-or-later
"""What to do about a connection that failed, by what went wrong, in the words of an Ansible inventory.

The connection plugin ends its errors with it, and the doctor its report.
"""

from __future__ import annotations

import errno
import re

from .errors import AuthenticationError, HostKeyError

# The name of an exception class, of pylibsshext or builtin: what the user can do. The most derived class counts.
_ADVICE = {
    "KeyImportError": "Check ansible_private_key_file, and give its passphrase as ansible_private_key_passphrase.",
    "HostKeyChangedError": "",  # its text names the file, the line and the command that removes it
    "HostKeyError": (
        "Compare the fingerprint with the host's (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then add the key with "
        "'ssh-keyscan -p {port} {host} >> ~/.ssh/known_hosts', answer 'yes' on a terminal, or set ANSIBLE_LIBSSH_HOST_KEY_AUTO_ADD=true."
    ),
    "TimeoutError": "Check ansible_host and ansible_port, that no firewall drops the packets, or raise the timeout (-T, ansible_ssh_timeout).",
}
TURNED_AWAY = (
    "Check ansible_port. If it is the right one, the server turns this machine away: look at its log, at MaxStartups and "
    "PerSourcePenalties of sshd_config, and at what blocks addresses there (fail2ban, hosts.deny)."
)
# What `AuthenticationError.keywords` has: the variable.
_LOGIN = {
    "pkcs11_provider": "ansible_ssh_pkcs11_provider",
    "user": "ansible_user",
    "password": "ansible_password (--ask-pass)",
    "private_key_password": "ansible_private_key_passphrase",
    "identities": "ansible_private_key_file",
    "kbdint_answers": "ansible_libssh_keyboard_interactive_answers",
}
_BY_ERRNO = {
    errno.ECONNRESET: TURNED_AWAY,
    errno.ECONNREFUSED: "Check ansible_host and ansible_port, and that the SSH server runs.",
    errno.EHOSTUNREACH: "Check ansible_host, and the network between here and there.",
    errno.ENETUNREACH: "Check ansible_host, and the network between here and there.",
}
_HUNG_UP = "ssh connect failed: Socket error: "  # disconnected, or Connection reset by peer
_NO_SUCH_NAME = "Check the name in ansible_host."
# The library's texts quote the operating system's errors so; the resolver's have negative numbers.
_ERRNO = re.compile(r"\[Errno (-?\d+)\]")


# How libssh calls what the two sides have no common algorithm for: the variable that offers others.
_ALGORITHMS = {
    "kex": "ansible_libssh_key_exchange_algorithms",
    "server host key": "ansible_libssh_hostkeys",
    "encryption": "ansible_libssh_ciphers",
    "mac": "ansible_libssh_macs",
}
_NO_MATCH = re.compile(rf"no match for method ({'|'.join(_ALGORITHMS)})")


def advice(error: BaseException, host: str, port: int) -> str:
    """Return a sentence that tells what to do about *error*, "" if its own text must do."""
    no_match = _NO_MATCH.search(str(error))
    if no_match:
        return f"Set {_ALGORITHMS[no_match[1]]} to one that the server has; '+name' adds it to the default ones. For old network gear set ansible_libssh_legacy_algorithms: true."
    if isinstance(error, AuthenticationError):
        variables = [_LOGIN.get(name, f"ansible_libssh_{name}") for name in error.keywords or ["user"]]
        return f"Check {', '.join(variables)}."
    if isinstance(error, HostKeyError) and not error.fingerprint:
        return ""  # a file cannot be read, and the text says which
    for kind in type(error).__mro__:
        if kind.__name__ in _ADVICE:
            return _ADVICE[kind.__name__].format(host=host, port=port)
    if _HUNG_UP in str(error):
        return TURNED_AWAY
    quoted = _ERRNO.search(str(error))
    if not quoted:
        return ""
    number = int(quoted[1])
    return _NO_SUCH_NAME if number < 0 else _BY_ERRNO.get(number, "")
