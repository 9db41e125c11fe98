# SPDX-License-Identifier: LGPL-2.1-or-later
"""A session: one connection to an SSH server, from the socket to the login."""

from __future__ import annotations

import binascii
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _core, auth, channel as channels, hostkeys, keys, logging, options, transport
from .channel import Channel, Completed, deadline_after
from .errors import (
    AuthenticationError,
    LibsshConnectionError,
    LibsshException,
    LibsshSessionException,
    LibsshSessionTimeout,
)
from .options import OPTS_DIR_MAP, OPTS_MAP
from .policies import AutoAddPolicy, MissingHostKeyPolicy, RejectPolicy

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from .scp import SCP
    from .sftp import SFTP

__all__ = ["OPTS_DIR_MAP", "OPTS_MAP", "AutoAddPolicy", "MissingHostKeyPolicy", "RejectPolicy", "Session", "SessionInfo"]

_CONNECT_TIMEOUT = 10.0  # libssh's own default
_AUTH_TIMEOUT = 60.0
_OPEN_TIMEOUT = 30.0
_GOODBYE_TIMEOUT = 1.0
_ALIVE_COUNT_MAX = 3  # OpenSSH's default


def __getattr__(name: str) -> Any:
    """Give the names that 1.4.0's module had, too: transfers are loaded when they are needed."""
    if name not in {"SCP", "SFTP"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import scp, sftp

    return scp.SCP if name == "SCP" else sftp.SFTP


class SessionInfo(NamedTuple):
    """What a connection settled on; None where it is not known."""

    kex: str | None
    cipher_in: str | None
    cipher_out: str | None
    mac_in: str | None
    mac_out: str | None
    host_key_type: str | None
    host_key_fingerprint: str | None
    server_banner: str | None
    client_banner: str | None
    issue_banner: str | None
    auth_method: str | None


class Session:
    """A connection to an SSH server.

    Any thread may use it at any time: calls into libssh take turns, waiting does not hold anybody up.  It belongs to the
    process that made it: in a fork all but `close` raises.  After `close` it can be connected again.
    """

    def __init__(self, host: str | None = None, **kwargs: Any) -> None:
        self._policy: MissingHostKeyPolicy = RejectPolicy()
        self._options: dict[str, Any] = {}
        self._log_level: int | None = None
        self._auth_method: str | None = None
        self._open_timeout = _OPEN_TIMEOUT
        self._proxy: transport.Proxy | None = None
        self._known_hosts: list[str] = []
        self._core = self._new_core()
        if host is not None:
            kwargs["host"] = host
        for name, value in kwargs.items():
            self.set_ssh_options(name, value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # Options

    def _new_core(self) -> _core.Session:
        core = _core.Session(logging.emit)
        core.set_log_level(logging.effective_level() if self._log_level is None else self._log_level)
        core.set_option(_core.OPTIONS["process_config"], 0, "process_config")  # connect() reads it, at the right moment
        core.set_option(_core.OPTIONS["ssh_dir"], options.default_ssh_dir(), "ssh_dir")
        for name, value in self._options.items():
            options.apply(core, name, value)
        return core

    def set_ssh_options(self, key: str, value: Any) -> None:
        """Set an option by the name that `connect` knows it by; it also holds for later connects."""
        if not options.is_option(key):
            raise LibsshSessionException(f"Unknown attribute name [{key}]")
        if key == "log_verbosity":
            self._log_level = logging.LOG_MAP[value] if value and value in logging.LOG_MAP else int(value)
            self._core.set_log_level(self._log_level)
            return
        options.apply(self._core, key, value)
        if key != "fd":
            self._options[key] = value

    def get_ssh_options(self, key: str) -> Any:
        """Return an option, as the ssh_config files and the defaults left it; None if it is not set."""
        if key in (*OPTS_DIR_MAP, "knownhosts") and key in self._options:
            return self._options[key]
        if key not in OPTS_MAP and key not in options.EXTRA_OPTIONS:
            raise LibsshSessionException(f"Unknown attribute name [{key}]")
        if key == "port":
            return self.port
        if key in options.INTEGERS or key in options.LONGS:
            return self._options.get(key)
        return self._core.get_text(options.numbers(key)[0])

    @property
    def port(self) -> int | None:
        """The TCP port, 22 unless set otherwise."""
        return self._core.get_port()

    def set_log_level(self, level: int) -> None:
        """Set how much of libssh's log reaches the logger ``ansible-pylibssh``: a level of `logging`, or one of ours."""
        self._log_level = logging.libssh_level(level)
        self._core.set_log_level(self._log_level)

    def set_missing_host_key_policy(self, policy: MissingHostKeyPolicy | type[MissingHostKeyPolicy]) -> None:
        """Set what happens to a host key that is not known: a `MissingHostKeyPolicy`, or a class of them."""
        self._policy = policy() if isinstance(policy, type) else policy

    # Connecting

    def connect(self, **kwargs: Any) -> None:
        """Connect, check the host key, log in.

        Options, which also `set_ssh_options` knows: ``host``; ``port``; ``user``; ``fd``, a connected socket to use and to
        close; ``proxycommand``; ``knownhosts``, the file; ``ssh_dir``; ``add_identity``, a key file; ``timeout`` plus
        ``timeout_usec``, for the connection to stand (10 s); ``key_exchange_algorithms``, ``hostkeys``,
        ``publickey_accepted_algorithms``, ``ciphers``, ``macs`` (lists as ssh_config has them, with ``+ - ^``);
        ``compression``; ``gssapi_server_identity``, ``gssapi_client_identity``, ``gssapi_delegate_credentials``;
        ``log_verbosity``.

        The rest is for this connection only: ``password``; ``password_prompt``, how the prompt for it ends;
        ``private_key``, the text of a key, its ``private_key_password`` and ``certificate``; ``identities``, key files (a
        ``.pub`` file names a key of the agent's); ``agent``, whether its other keys are tried (as ``look_for_keys``; False: it is not asked at all);
        ``look_for_keys`` (True), the key files of ssh_config and the default ones; ``identities_only`` (False), no key of
        the agent's that is not named; ``preferred_authentications``, names of methods in order; ``kbdint_callback``, see `auth.Callback`; ``host_key_checking`` (True);
        ``config_file``, an ssh_config file, or "none" for none at all; ``nodelay`` (True), TCP_NODELAY;
        ``auth_timeout`` (60 s); ``open_session_retries``; ``server_alive_interval`` (0 s, off) and
        ``server_alive_count_max`` (3), which find a peer that is gone without a word, as in ssh_config.

        A keyword that is None counts as not given.  Raises `LibsshConnectionError`, `LibsshSessionTimeout`, `HostKeyError`,
        `AuthenticationError`, `KeyImportError`, or another `LibsshSessionException`.
        """
        options.warn_unknown(kwargs)
        given = {name: value for name, value in kwargs.items() if value is not None}
        credentials = self._credentials(given)
        if self.is_connected:
            raise LibsshSessionException("ssh connect failed: the session is connected already")
        self._renew()
        try:
            for name, value in given.items():
                if options.is_option(name) and name != "fd":
                    self.set_ssh_options(name, value)
            self._configure(given)
            self._establish(given)
            if given.get("host_key_checking", True):
                self.verify_knownhost()
            deadline = deadline_after(given.get("auth_timeout", _AUTH_TIMEOUT))
            self._auth_method = auth.login(self._core, credentials, self._where(), deadline)
        except BaseException:
            self._renew()
            raise

    def _renew(self) -> None:
        """Let go of the connection, if there is one, and be ready for the next."""
        self._core.close()
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None
        self._auth_method = None
        self._core = self._new_core()

    def _credentials(self, given: Mapping[str, Any]) -> auth.Credentials:
        passphrase = given.get("private_key_password")
        key = keys.load_key(given["private_key"], passphrase) if given.get("private_key") else None
        if key is not None and given.get("certificate"):
            keys.add_certificate(key, given["certificate"])
        look_for_keys = bool(given.get("look_for_keys", True))
        return auth.Credentials(
            key=key,
            password=given.get("password"),
            password_prompt=given.get("password_prompt"),
            kbdint_callback=given.get("kbdint_callback"),
            identities=[os.path.expanduser(path) for path in given.get("identities", ())],
            look_for_keys=look_for_keys,
            agent=os.environ.get("SSH_AUTH_SOCK") if given.get("agent", True) else None,
            named_only=bool(given.get("identities_only", not given.get("agent", look_for_keys))),
            passphrase=passphrase,
            methods=options.methods(given.get("preferred_authentications")),
        )

    def _configure(self, given: Mapping[str, Any]) -> None:
        """Read the ssh_config files; what was set explicitly wins, so it is set again after them."""
        usual = self.get_ssh_options("ciphers")
        if self.get_ssh_options("host"):  # which is what ssh_config files are about
            for file in options.config_files(given.get("config_file"), self._options.get("ssh_dir")):
                self._core.parse_config(file)
        for name, value in self._options.items():
            if name not in ("host", "add_identity"):
                options.apply(self._core, name, value)
        # libssh 0.10 neither tells its list nor takes changes of it.
        untouched = usual is not None and self.get_ssh_options("ciphers") == usual and "ciphers" not in self._options
        if untouched and options.preferred_ciphers():
            options.apply(self._core, "ciphers", options.preferred_ciphers())
        interval = float(given.get("server_alive_interval", 0))
        self._core.set_keepalive(interval, int(given.get("server_alive_count_max", _ALIVE_COUNT_MAX)))
        retries = int(given.get("open_session_retries", 0))
        self._open_timeout = (retries + 1) * (self._connect_timeout() or _OPEN_TIMEOUT)

    def _connect_timeout(self) -> float | None:
        seconds = float(self._options.get("timeout", 0)) + float(self._options.get("timeout_usec", 0)) / 1e6
        return seconds or None

    def _establish(self, given: Mapping[str, Any]) -> None:
        """Get a socket, then exchange banners and keys over it, all within the connect timeout."""
        deadline = time.monotonic() + (self._connect_timeout() or _CONNECT_TIMEOUT)
        self._known_hosts = self._find_known_hosts()
        for name in ("knownhosts", "global_knownhosts"):  # libssh need not look there, too
            self._core.set_option(_core.OPTIONS[name], "/dev/null", name)
        self._prefer_known_keys()
        try:
            sock = self._socket(given, deadline)
        except TimeoutError as exc:
            raise LibsshSessionTimeout(f"ssh connect failed: {exc}") from exc
        except (OSError, ValueError) as exc:  # ValueError: a host or user name that no shell may see
            raise LibsshConnectionError(f"ssh connect failed: {exc}") from exc
        try:
            self._core.connect(sock.detach(), deadline)
        except LibsshConnectionError as exc:
            failure = self._proxy.failure() if self._proxy is not None else None
            if failure is None:
                raise
            raise LibsshConnectionError(f"ssh connect failed: {failure}") from exc

    def _socket(self, given: Mapping[str, Any], deadline: float) -> socket.socket:
        nodelay = bool(given.get("nodelay", True))
        if "fd" in given:
            return transport.adopt(int(given["fd"]), nodelay=nodelay)
        host, port = self.get_ssh_options("host"), self.port or 22
        if not host:
            raise LibsshSessionException("ssh connect failed: Hostname required")
        command = self.get_ssh_options("proxycommand")
        if command and command != "none":
            sock, self._proxy = transport.proxy_command(command, host, port, self.get_ssh_options("user"))
            return sock
        return transport.connect_tcp(host, port, max(0.0, deadline - time.monotonic()), nodelay=nodelay)

    def _where(self) -> str:
        user, host = self.get_ssh_options("user"), self.get_ssh_options("host")
        return f"{user + '@' if user else ''}{host or 'the given socket'} port {self.port}"

    # Host keys

    def _find_known_hosts(self) -> list[str]:
        """Return the files to look in, the user's first."""
        files = hostkeys.default_files(self._options.get("ssh_dir"))
        own = self._core.get_text(_core.OPTIONS["knownhosts"])
        machine = self._core.get_text(_core.OPTIONS["global_knownhosts"])
        users = [os.path.expanduser(own)] if own else files[:2]
        return users + ([os.path.expanduser(machine)] if machine else files[2:])

    def _prefer_known_keys(self) -> None:
        """Ask first for the types of host key that are on record, so that the server shows one that can be checked."""
        host = self.get_ssh_options("host")
        if not host or "hostkeys" in self._options:
            return
        known = hostkeys.algorithms(hostkeys.known_types(self._known_hosts, host, self.port or 22))
        supported = (self.get_ssh_options("hostkeys") or options.USUAL_HOST_KEYS).split(",")
        first = [name for name in known if name in supported]
        if first:
            rest = [name for name in supported if name not in first]
            self._core.set_option(_core.OPTIONS["hostkeys"], ",".join(first + rest), "hostkeys")

    def _server_key(self) -> tuple[str, bytes]:
        """Return type and blob (RFC 4253 section 6.6) of the server's host key."""
        blob = binascii.a2b_base64(self._core.server_key_base64())
        return blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii", "replace"), blob

    def verify_knownhost(self) -> bool:
        """Check the host key; True if it is known or the policy accepts it.

        A changed or revoked key raises `HostKeyChangedError` whatever the policy.
        """
        key_type, blob = self._server_key()
        host = self.get_ssh_options("host") or ""
        verdict = hostkeys.lookup(self._known_hosts, host, self.port or 22, key_type, blob)
        if verdict.refused:
            raise verdict.error()
        if verdict.state is not hostkeys.State.KNOWN:
            user = self.get_ssh_options("user")
            message = f"Host is unknown: {verdict.text}"
            self._policy.missing_host_key(self, host, user, key_type, verdict.fingerprint, message)
        return True

    def hostkey_auto_add(self, username: str | None = None) -> None:  # noqa: ARG002 - policies of 1.4.0 pass it
        """Add the server's host key to the user's known_hosts file."""
        key_type, blob = self._server_key()
        file = self._known_hosts[0]
        try:
            hostkeys.add(file, self.get_ssh_options("host") or "", self.port or 22, key_type, blob)
        except OSError as exc:
            raise LibsshSessionException(f"host key auto add failed: {exc}") from exc

    # Logging in, step by step: `connect` does all of it

    def authenticate_specific_pubkey(
        self, private_key_b64: str | bytes, private_key_password: str | bytes | None = None
    ) -> None:
        """Log in with the private key whose text is given."""
        key = keys.load_key(private_key_b64, private_key_password)
        self._authenticated("publickey", self._core.auth_publickey(key, self._auth_deadline()), "a specific public key")

    def authenticate_pubkey(self) -> None:
        """Log in with a key of the agent's or of the key files."""
        credentials = self._credentials({})
        self._auth_method = auth.login(self._core, credentials, self._where(), self._auth_deadline(), {"publickey"})

    def authenticate_password(self, password: str | bytes) -> None:
        """Log in with a password."""
        self._authenticated("password", self._core.auth_password(password, self._auth_deadline()), "with password")

    def authenticate_interactive(self, password: str | bytes, expected_prompt: str | None = None) -> None:
        """Log in by keyboard-interactive authentication that asks for the password and nothing else."""
        answer = auth.answers(password, expected_prompt, None)
        code = auth.keyboard_interactive(self._core, answer, self._auth_deadline())
        self._authenticated("keyboard-interactive", code, "with keyboard-interactive")

    def authenticate_gssapi_with_mic(self) -> None:
        """Log in by GSSAPI, with the tickets that are at hand (RFC 4462)."""
        self._authenticated("gssapi-with-mic", self._core.auth_gssapi(self._auth_deadline()), "with gssapi-with-mic")

    def _auth_deadline(self) -> float:
        return time.monotonic() + _AUTH_TIMEOUT

    def _authenticated(self, method: str, code: int, what: str) -> None:
        """Take note of a success; anything else raises, a partial success too."""
        if code == _core.AUTH_SUCCESS:
            self._auth_method = method
            return
        allowed = auth.method_names(self._core.auth_methods())
        result = "accepted, but more is wanted" if code == _core.AUTH_PARTIAL else "denied"
        text = f"Failed to authenticate {what}: {result}; the server accepts: {', '.join(allowed) or 'nothing'}"
        raise AuthenticationError(text, [f"{method}: {result}"], allowed)

    # Connected

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands, as far as the network told."""
        return self._core.is_connected

    @property
    def info(self) -> SessionInfo:
        """What was negotiated."""
        known = self._core.negotiated()
        key_type = key_fingerprint = None
        if known["kex"]:
            key_type, blob = self._server_key()
            key_fingerprint = hostkeys.fingerprint(blob)
        return SessionInfo(host_key_type=key_type, host_key_fingerprint=key_fingerprint, auth_method=self._auth_method, **known)

    def fileno(self) -> int:
        """Return the socket's descriptor, for ``poll``: when it is readable, `is_connected` takes in what came; -1 if closed."""
        return self._core.fileno()

    def send_keepalive(self) -> None:
        """Send something that keeps the connection known to what is in between."""
        self._core.send_keepalive()

    def open_core_channel(self) -> _core.Channel:
        """Open a channel for what builds on one; everybody else wants `new_channel`."""
        core = _core.Channel(self._core)
        core.open_session(deadline_after(self._open_timeout))
        return core

    def new_channel(self) -> Channel:
        """Open a channel (RFC 4254 section 6.1)."""
        return Channel(self)

    def open_session(self) -> Channel:
        """Do the same as `new_channel`."""
        return self.new_channel()

    def new_shell_channel(self) -> Channel:
        """Open a channel with a login shell on a pseudo-terminal."""
        channel = self.new_channel()
        try:
            channel.request_shell()
        except BaseException:
            channel.close()
            raise
        return channel

    def invoke_shell(self) -> Channel:
        """Do the same as `new_shell_channel`."""
        return self.new_shell_channel()

    def exec_command(
        self,
        command: str | bytes,
        *,
        stdin: Any = None,
        env: Mapping[str, str] | None = None,
        pty: bool = False,
        timeout: float | None = None,
    ) -> Completed:
        """Run *command* on a channel of its own, to its end.

        *stdin* is sent and then ended; *env* is set first (the server's ``AcceptEnv`` decides); *pty* asks for a
        pseudo-terminal, which joins stderr to stdout.  After *timeout* seconds `LibsshChannelTimeout` carries the output so
        far, and the command is hung up on.  An exit status that is not 0 is not an exception.
        """
        with self.new_channel() as channel:
            return channels.run(channel, command, stdin, env, pty, timeout)

    def sftp(self) -> SFTP:
        """Start the SFTP subsystem."""
        from .sftp import SFTP  # transfers are loaded when they are needed

        return SFTP(self)

    def scp(self) -> SCP:
        """Return what copies files by the remote ``scp`` program."""
        from .scp import SCP  # as above

        return SCP(self)

    def disconnect(self) -> None:
        """Send what is still to be sent and disconnect; a second time is harmless."""
        core = self._core
        try:
            if core.is_connected:
                core.flush(deadline_after(_GOODBYE_TIMEOUT))
        except LibsshException:
            pass  # the peer is gone or does not read: nothing more can be done for it
        finally:
            self._renew()

    def close(self) -> None:
        """Do the same as `disconnect`."""
        self.disconnect()
