# SPDX-License-Identifier: LGPL-2.1-or-later
"""What to do about a connection that failed, by what went wrong, in the words of an Ansible inventory.

The connection plugin ends its errors with it, and the doctor its report.
"""

from __future__ import annotations

import errno
import re
import shlex

from .errors import AuthenticationError, HostKeyError
from .variables import SECRETS, VARIABLES

# The name of an exception class, of pylibsshext or builtin: what the user can do. The most derived class counts.
_ADVICE = {
    "KeyImportError": "Check ansible_private_key_file, and give its passphrase as ansible_private_key_passphrase.",
    "HostKeyChangedError": "",  # its text names the file, the line and the command that removes it
    "HostKeyError": (
        "Compare the fingerprint with the host's (ssh-keygen -lf /etc/ssh/ssh_host_{type}_key.pub), then answer 'yes' on a terminal, "
        "set ansible_libssh_host_key to it, or add the key (ssh-keyscan -p {port} {host} >> {file}). "
        "ansible_host_key_checking: accept-new adds the keys of all new hosts."
    ),
    "TimeoutError": "Check ansible_host and ansible_port, that no firewall drops the packets, or raise the timeout (-T, ansible_ssh_timeout).",
}
TURNED_AWAY = (
    "Check ansible_port. If it is the right one, the server turns this machine away: look at its log, at MaxStartups and "
    "PerSourcePenalties of sshd_config, and at what blocks addresses there (fail2ban, hosts.deny)."
)
EXPIRED = "Log in with ssh once and change it, or have it set there (passwd)."
_BY_ERRNO = {
    errno.ECONNRESET: TURNED_AWAY,
    errno.ECONNREFUSED: "Check ansible_host and ansible_port, and that the SSH server runs.",
    errno.EHOSTUNREACH: "Check ansible_host, and the network between here and there.",
    errno.ENETUNREACH: "Check ansible_host, and the network between here and there.",
    -9: "Check ansible_libssh_address_family: ansible_host is an address of another.",  # EAI_ADDRFAMILY of glibc
    errno.EADDRNOTAVAIL: "Check ansible_libssh_bind_address and ansible_libssh_address_family.",
}
_HUNG_UP = "ssh connect failed: Socket error: "  # disconnected, or Connection reset by peer
_NO_SUCH_NAME = "Check the name in ansible_host."
# The library's texts quote the operating system's errors so; the resolver's have negative numbers.
_ERRNO = re.compile(r"\[Errno (-?\d+)\]")

# How libssh calls what the two sides have no common algorithm for: the keyword that offers others.
_ALGORITHMS = {"kex": "key_exchange_algorithms", "server host key": "hostkeys", "encryption": "ciphers", "mac": "macs"}
_NO_MATCH = re.compile(rf"no match for method ({'|'.join(_ALGORITHMS)})")

# What the library says: what the user can do. The first that is found in a failure's text counts.
_BY_TEXT = {
    re.compile(pattern): text
    for pattern, text in {
        "reaching the proxy": "Check ansible_libssh_proxy, and that the proxy runs.",
        "the proxy .* (wants|refuses)": "Check the user name and password in ansible_libssh_proxy.",
        "the proxy .* does not answer in time": "Check ansible_libssh_proxy, whether the proxy hangs, or raise the timeout (-T, ansible_ssh_timeout).",
        "is no (SOCKS 5|HTTP) proxy|the proxy .* (hung up|does not end)": "Check the scheme and the port in ansible_libssh_proxy.",
        "the proxy .* can't connect": "Check ansible_host and ansible_port: whether the host is reached from the proxy, and whether the proxy allows it.",
        "connecting to the Unix socket": "Check ansible_libssh_unix_socket, and what listens there.",
        "the ProxyCommand": "Check ansible_libssh_proxy_command: run it by hand, and see whether a line with SSH-2.0 comes.",
        r"through the jump host .* error \(1\)": (
            "Let the jump host pass connections on: AllowTcpForwarding, PermitOpen and DisableForwarding in its sshd_config."
        ),
        "verify server hostkey signature": (
            "Most likely the host has an RSA key that is shorter than ansible_libssh_rsa_min_size (RequiredRSASize) wants, or than 1024 bits: "
            "have it make a longer one, or one of another type. If that is not it, somebody changes what the two sides say."
        ),
        "checking the host key for revocation": (
            "Check ansible_libssh_revoked_host_keys_file (RevokedHostKeys): as long as it can't be read no key is trusted."
        ),
        "reading the known hosts file": "Make the file readable, or name others in ansible_libssh_known_hosts_file.",
        "reading the configuration failed: .* is not a file": "Check ansible_libssh_config_file (none: no file at all).",
        "reading the (ssh )?configuration|^reading .* line \\d+ failed": (
            "Mend that line, or name another file in ansible_libssh_config_file (none: no file at all)."
        ),
        "^(private_key|wrong passphrase for private_key)\\b": (
            "Check ansible_private_key, which is the key itself (ansible_private_key_file is for a file), and give its passphrase as "
            "ansible_private_key_passphrase."
        ),
        "^ssh connect failed: a proxy is|proxy's port": "Check ansible_libssh_proxy.",
        "^ssh connect failed: timed out": (
            "The server takes connections and does not go on from there. Check ansible_port, look into its log, or raise the timeout "
            "(-T, ansible_ssh_timeout; ansible_libssh_banner_timeout where it is set)."
        ),
        "authentication failed: timed out": "Raise ansible_connect_timeout, or find in the server's log why its logins take so long.",
        "through the jump host": "Check ansible_host and ansible_port: the host must be reached from the jump host, by a name that is known there.",
        "certificate of the authority": (
            "Sign the host's key anew (ssh-keygen -s CA -h -n {host} -V +52w), set ansible_libssh_host_key_alias to a name that the "
            "certificate has, or put the key itself into the known hosts file."
        ),
    }.items()
}
# A setting that makes no sense, as the library names it.
_SETTING = re.compile(r"^setting (\w+) failed|^(\w+): ")

# The first file that was looked into for a host's key: the user's own, if there is one.
_SEARCHED = re.compile(r"\(searched (/[^,)]+)")

# What attempts to log in say: all that are found count.
_OF_ATTEMPTS = {
    "there is no ticket": "Get a ticket with kinit; klist shows those there are.",
    "there is no GSSAPI library": "Install the Kerberos library: libgssapi-krb5-2 (Debian), krb5-libs (Fedora, Alpine).",
    "the server wants the password to be changed": EXPIRED,
    "denied with a one-time code": (
        "A one-time code is good for one login, within a minute or so: wait for the next one; if that is refused, too, compare this machine's "
        "clock with the host's, and the secret with the one there."
    ),
    "fewer than rsa_min_size allows": (
        "Log in with a longer key (ssh-keygen -t rsa -b 3072), or one of another type (-t ed25519), or lower ansible_libssh_rsa_min_size."
    ),
    "rounds of bcrypt": "Give the key fewer rounds: ssh-keygen -p -a 100 -f FILE.",
    "PIN of the token": "Give the token's PIN as pin-value of its pkcs11: URI, or run Ansible on a terminal.",
    "no token has such a key": "Compare the pkcs11: URI in ansible_private_key_file with what 'pkcs11-tool -O' lists.",
    "pkcs11_provider": f"Set {VARIABLES['pkcs11_provider']} to the token's library.",
    "security_key_provider: ": f"Set {VARIABLES['security_key_provider']} to the library that reaches the security key, or load it into ssh-agent.",
    "PIN of the security key": "Run Ansible on a terminal to be asked for the PIN, or load the key into ssh-agent.",
    "no security key is there": "Plug in the security key, or load it into ssh-agent.",
    "security keys that are there": "Plug in the security key that the key file belongs to, or load it into ssh-agent.",
    "which reaches security keys": "Install libfido2 (Debian: libfido2-1), or load the key into ssh-agent.",
    "it does not have this key": "Plug in the security key that the key file belongs to, or load it into ssh-agent.",
    "nobody touched it": "Touch the security key when it blinks.",
    "does not sign: the PIN is wrong": "Type the security key's own PIN, not the key file's passphrase: after eight wrong ones it is blocked.",
    "does not sign: its PIN is blocked": "Log in with another key: this security key must be reset, which erases its keys (fido2-token -R).",
}
# How an error of a host on the way begins, see `jump`.
_OF_HOP = "at the jump host "
_HOP = " A jump host takes its own user, password, private_key_file, host_key and so on from its mapping in ansible_libssh_proxy_jump."


def advice(error: BaseException, host: str, port: int) -> str:
    """Return what to do about *error* of a connection to *host*, in a sentence or more, "" if its own text must do."""
    if isinstance(error, HostKeyError) and error.host:
        host, port = error.host, error.port or 22  # a jump host's, maybe
    text = str(error)
    if text.startswith(_OF_HOP):
        return _advice(error, text.partition(": ")[2], host, port) + _HOP
    return _advice(error, text, host, port)


def _advice(error: BaseException, text: str, host: str, port: int) -> str:
    no_match = _NO_MATCH.search(text)
    if no_match:
        setting = VARIABLES[_ALGORITHMS[no_match[1]]]
        return (
            f"Set {setting} to one that the server has; '+name' adds it to the default ones. "
            "For old network gear set ansible_libssh_legacy_algorithms: true."
        )
    if isinstance(error, AuthenticationError):
        cures = [cure for said, cure in _OF_ATTEMPTS.items() if said in text]
        return " ".join([*cures, f"Check {', '.join(variable(name) for name in error.keywords or ['user'])}."])
    found = next((cure for pattern, cure in _BY_TEXT.items() if pattern.search(text)), None)
    if found is not None:
        return found.format(host=host, port=port)
    named = _SETTING.match(text)
    if named and (named[1] or named[2]) in VARIABLES:
        return f"Check {VARIABLES[named[1] or named[2]]}."
    if isinstance(error, HostKeyError) and not error.fingerprint:
        return ""  # a file cannot be read, and the text says which
    for kind in type(error).__mro__:
        if kind.__name__ in _ADVICE:
            return _ADVICE[kind.__name__].format(host=host, port=port, **_of_key(error, text))
    if _HUNG_UP in text:
        return TURNED_AWAY
    quoted = _ERRNO.search(text)
    if not quoted:
        return ""
    number = int(quoted[1])
    return _BY_ERRNO.get(number, _NO_SUCH_NAME if number < 0 else "")


def _of_key(error: BaseException, text: str) -> dict[str, str]:
    """Return the kind of an unknown host key, as files on the host are called by it, and the file here that would know it."""
    key_type = getattr(error, "key_type", None) or ""
    searched = _SEARCHED.search(text)
    return {
        "type": next((kind for kind in ("rsa", "ecdsa") if kind in key_type), "ed25519"),
        "file": shlex.quote(searched[1]) if searched else "~/.ssh/known_hosts",
    }


def variable(keyword: str) -> str:
    """Return the variable that gives a keyword of `AuthenticationError.keywords`."""
    usual = {"identities": "ansible_private_key_file", "password": "ansible_password (--ask-pass)"}
    return usual.get(keyword) or VARIABLES.get(keyword) or SECRETS[keyword][0]
