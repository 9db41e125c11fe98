# SPDX-License-Identifier: LGPL-2.1-or-later
"""A session: one connection to an SSH server, from the socket to the login."""

from __future__ import annotations

import binascii
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import (
    _core,
    auth,
    forwarding,
    hostkeys,
    jump,
    kbdint,
    keys,
    options,
    settings as meanings,
    transport,
)
from ._named_tuple import NamedTuple
from .channel import AnySession, Channel, deadline_after
from .errors import (
    AuthenticationError,
    HostKeyError,
    LibsshConnectionError,
    LibsshException,
    LibsshSessionException,
    LibsshSessionTimeout,
)
from .options import OPTS_DIR_MAP, OPTS_MAP
from .policies import HOST_KEY_AUTO_ADD_MSG_MAP, KNOW_HOST_MSG_MAP, AutoAddPolicy, MissingHostKeyPolicy, RejectPolicy
from .trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from .keywords import Keywords
    from .sftp import SFTP

    Hop = tuple["Session", Callable[[], None]]

__all__ = [
    "HOST_KEY_AUTO_ADD_MSG_MAP",
    "KNOW_HOST_MSG_MAP",
    "OPTS_DIR_MAP",
    "OPTS_MAP",
    "AutoAddPolicy",
    "Channel",
    "MissingHostKeyPolicy",
    "RejectPolicy",
    "Session",
    "SessionInfo",
]

_CONNECT_TIMEOUT = 10.0  # libssh's own default
_AUTH_TIMEOUT = 60.0
_OPEN_TIMEOUT = 30.0
_GOODBYE_TIMEOUT = 1.0
_ALIVE_COUNT_MAX = 3  # OpenSSH's default
_ATTEMPT_PAUSE = 1.0  # seconds after the first attempt; twice as many after each further one
_LONGEST_PAUSE = 8.0


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
    auth_attempts: Sequence[str]
    """What was tried to log in, in order, each with the server's answer; the last got through."""


class Session(AnySession):
    """A connection to an SSH server.

    Any thread may use it at any time: calls into libssh take turns, waiting does not hold anybody up.  It belongs to the
    process that made it: in a fork all but `close` raises.  After `close` it can be connected again.

    *host* and *kwargs* are options for `set_ssh_options`; `connect` takes them, too.
    """

    def __init__(self, host: str | None = None, **kwargs: Any) -> None:
        self._policy: MissingHostKeyPolicy = RejectPolicy()
        self._options: dict[str, Any] = {}
        self._log_level: int | None = None
        self._login: auth.Login | None = None
        self._open_timeout = _OPEN_TIMEOUT
        self._proxy: transport.Proxy | jump.Jump | None = None
        self._name = ""
        self._hops: tuple[str, ...] = ()  # the names of those whose way this session is part of
        self._trust: Trust | None = None
        self._environment: dict[str, str] = {}
        self._forwarded_agent: str | None = None
        self._kept: list[Any] = []
        self._connecting = threading.Lock()
        self._core = self._new_core()
        if host is not None:
            kwargs["host"] = host
        for name, value in kwargs.items():
            self.set_ssh_options(name, value)

    # Options

    def _new_core(self) -> _core.Session:
        core = _core.Session(_log)
        core.set_log_level(_effective_log_level() if self._log_level is None else self._log_level)
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
            from . import logging

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
        from . import logging

        self._log_level = logging.libssh_level(level)
        self._core.set_log_level(self._log_level)

    def set_missing_host_key_policy(self, policy: MissingHostKeyPolicy | type[MissingHostKeyPolicy]) -> None:
        """Set what happens to a host key that is not known: a `MissingHostKeyPolicy`, or a class of them."""
        self._policy = policy() if isinstance(policy, type) else policy

    # Connecting

    def connect(self, **kwargs: Unpack[Keywords]) -> None:
        """Connect, check the host key, log in.

        Options, which also `set_ssh_options` knows: ``host``; ``port``; ``user``; ``fd``, a connected socket to use and to
        close; ``proxycommand``; ``knownhosts``, the user's file or files ("none": no file); ``ssh_dir``; ``add_identity``, a key file; ``timeout`` plus
        ``timeout_usec``, for the connection to stand (10 s); ``key_exchange_algorithms``, ``hostkeys``,
        ``publickey_accepted_algorithms``, ``ciphers``, ``macs`` (lists as ssh_config has them, with ``+ - ^``);
        ``compression``; ``rsa_min_size``, bits; ``gssapi_server_identity``, ``gssapi_client_identity``, ``gssapi_delegate_credentials``;
        ``gss_kex``, whether Kerberos may vouch for the host in the key exchange, and no host key then does (libssh 0.12);
        ``log_verbosity``.

        The rest is for this connection only: ``password``; ``password_prompt``, how the prompt for it ends; ``kbdint_answers`` and
        ``kbdint_callback``, for all other prompts, see `kbdint.Answers`;
        ``private_key``, the text of a key, its ``private_key_password`` and ``certificate``; ``identities``, key files (a
        ``.pub`` file names a key of the agent's); ``certificate_file``, one or more certificates for them, besides each ``<key>-cert.pub``;
        ``agent``, whether its other keys are tried (as ``look_for_keys``; False: it is not asked at all), or its socket, if that is not
        ``$SSH_AUTH_SOCK``;
        ``pkcs11_provider``, the library of a PKCS#11 token, whose keys are tried, or those that ``identities`` names by ``pkcs11:`` URIs;
        ``pkcs11_pins``, the PINs of such URIs that have no ``pin-value``;
        ``security_key_provider`` (``$SSH_SK_PROVIDER``, else "internal"), the library that reaches FIDO2 keys, or "internal" for those that
        are plugged in, which libfido2 reaches; ``prompt_callback``, see `keys.Ask`, for
        passphrases and PINs that are not given; ``notify_callback``, told in a sentence when a key waits for a touch;
        ``look_for_keys`` (True), the key files of ssh_config and the default ones; ``identities_only`` (False), no key of
        the agent's that is not named; ``gss_auth``, whether to log in by GSSAPI: first (True), last (None) or not (False);
        ``preferred_authentications``, names of methods in order; ``forward_agent`` (False), whether commands can use the agent, or its socket.

        Trust: ``host_key_checking``, one of `trust.MODES`, or True (the policy decides about an unknown key) or False (nothing is
        checked); ``host_key``, the key or SHA256 fingerprint that it must be, or a list of them; ``host_key_alias``, the name
        to look it up by; ``global_knownhosts``, the machine's files; ``hash_known_hosts``, whether names are hidden when added;
        ``revoked_host_keys``, files of keys that are refused in any case, see `revocation`.

        The way: ``config_file``, an ssh_config file, or "none" for none at all; ``ssh_options``, lines of ssh_config that come before
        it, as ``-o`` does; ``proxy_jump``, see `jump.hops`; ``proxy_jump_logins`` (1), how many at each hop the
        connection holder makes for all the hosts behind it; ``proxy``, see `proxies.Proxy.parse`; ``proxy_use_fdpass`` (False), whether
        ``proxycommand`` makes the connection and hands it over; ``unix_socket``, a path to connect to instead of the host;
        ``address_family`` ("any", "inet", "inet6"); ``bind_address``; ``connection_attempts`` (1), with pauses that grow;
        ``banner_timeout``, for greeting and key exchange, else what is left of ``timeout``; ``legacy_algorithms`` (False), see `options.LEGACY`;
        ``nodelay`` (True), TCP_NODELAY; ``send_env`` and ``set_env``, as in ssh_config, a list and a mapping;
        ``auth_timeout`` (60 s); ``open_session_retries``; ``server_alive_interval`` (0 s, off) and
        ``server_alive_count_max`` (3), which find a peer that is gone without a word, as in ssh_config.

        A keyword that is None counts as not given.  Raises `LibsshConnectionError`, `LibsshSessionTimeout`, `HostKeyError`,
        `AuthenticationError`, `KeyImportError`, or another `LibsshSessionException`.
        """
        options.warn_unknown(kwargs)
        given = {name: value for name, value in kwargs.items() if value is not None}
        options.check_numbers(given)
        if not self._connecting.acquire(blocking=False):
            raise LibsshSessionException(
                "ssh connect failed: the session is being connected already, in another thread or a callback"
            )
        try:
            self._connect(given)
        finally:
            self._connecting.release()

    def _connect(self, given: Mapping[str, Any]) -> None:
        if self.is_connected:
            raise LibsshSessionException("ssh connect failed: the session is connected already")
        self._renew()
        try:
            for name, value in given.items():
                if options.is_option(name) and name != "fd":
                    self.set_ssh_options(name, value)
            explicit = {**self._options, **given}
            settings = meanings.resolve(explicit)
            credentials = auth.Credentials.of(settings)
            self._reach(settings, explicit)
            if not self._core.is_gssapi_kex:
                self._check_host_key()
            deadline = deadline_after(settings.get("auth_timeout", _AUTH_TIMEOUT))
            self._login = auth.login(self._core, credentials, self._where(), deadline)
            if self._forwarded_agent is not None:
                forwarding.forward(self._core, self._forwarded_agent)
        except BaseException:
            self._renew()
            raise

    def _renew(self) -> None:
        """Let go of the connection, if there is one, and be ready for the next."""
        self._core.close()
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None
        self._login = None
        self._core = self._new_core()

    def _configure(self, settings: Mapping[str, Any]) -> None:
        """Set what libssh itself has to know."""
        options.configure(self._core, settings)
        interval = float(settings.get("server_alive_interval", 0))
        self._core.set_keepalive(interval, int(settings.get("server_alive_count_max", _ALIVE_COUNT_MAX)))
        retries = int(settings.get("open_session_retries", 0))
        self._open_timeout = (retries + 1) * (_connect_timeout(settings) or _OPEN_TIMEOUT)
        self._environment = meanings.environment(settings)
        self._forwarded_agent = forwarding.agent_path(settings.get("forward_agent"))
        self._trust = Trust.of(settings, self.get_ssh_options("host") or "", self.port or hostkeys.DEFAULT_PORT)

    def _reach(self, settings: Mapping[str, Any], explicit: Mapping[str, Any]) -> None:
        """Establish the connection, in as many attempts as are wanted: so far the server has not been asked for anything."""
        attempts = 1 if "fd" in settings else max(1, int(settings.get("connection_attempts", 1)))
        for attempt in range(1, attempts + 1):
            self._configure(settings)
            try:
                return self._establish(settings, self._way(settings, explicit))
            except (LibsshConnectionError, LibsshSessionTimeout):
                if attempt == attempts:
                    raise
            self._renew()
            time.sleep(min(_ATTEMPT_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE))
        return None

    def _establish(self, settings: Mapping[str, Any], way: dict[str, Any] | None) -> None:
        """Get a socket, then exchange banners and keys over it, all within the connect timeout."""
        for name in ("knownhosts", "global_knownhosts"):  # libssh need not look there, too
            self._core.set_option(_core.OPTIONS[name], "/dev/null", name)
        if self._trust is not None and options.leaves_order(settings.get("hostkeys")):
            supported = self.get_ssh_options("hostkeys") or options.USUAL_HOST_KEYS
            self._core.set_option(_core.OPTIONS["hostkeys"], self._trust.preferred_first(supported), "hostkeys")
        hop = self._hop(way) if way else None
        # Each hop has had its own time.
        deadline = time.monotonic() + (_connect_timeout(settings) or _CONNECT_TIMEOUT)
        try:
            sock = self._socket(settings, deadline, hop)
        except LibsshException:
            raise
        except TimeoutError as exc:
            raise LibsshSessionTimeout(f"ssh connect failed: {exc}") from exc
        except (OSError, ValueError) as exc:  # ValueError: a host or user name that no shell may see
            raise LibsshConnectionError(f"ssh connect failed: {exc}") from exc
        if settings.get("banner_timeout"):
            deadline = time.monotonic() + float(settings["banner_timeout"])
        try:
            self._core.connect(sock.detach(), deadline)
        except LibsshConnectionError as exc:
            failure = self._proxy.failure() if self._proxy is not None else None
            if failure is None:
                raise
            raise LibsshConnectionError(f"ssh connect failed: {failure}") from exc

    def _way(self, settings: Mapping[str, Any], explicit: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what to connect the last hop of ProxyJump with, None if there is no hop."""
        keywords = jump.way(settings, explicit)
        if keywords is not None:
            self._name = jump.name(explicit)
            self._check_way(keywords)
        return keywords

    def _check_way(self, hop: Mapping[str, Any]) -> None:
        """Raise `LibsshSessionException` if the way through *hop* leads in a circle."""
        way = (*self._hops, self._name)
        if jump.name(hop) in way:
            raise LibsshSessionException(f"proxy_jump: the way to {way[0]} leads back to {jump.name(hop)}")

    def _hop(self, way: dict[str, Any]) -> Hop:
        try:
            return self._connected_hop(way)
        except LibsshException as exc:
            jump.name_hop(exc, way)
            raise

    def _connected_hop(self, keywords: dict[str, Any]) -> Hop:
        """Return a session with the last hop, and what gives it back after use."""
        hop = self._new_hop()
        hop.join(self)
        hop.set_missing_host_key_policy(self._policy)
        hop.connect(**keywords)
        return hop, hop.close

    def _new_hop(self) -> Session:
        return Session()

    def join(self, onward: Session) -> None:
        """Become a hop on the way of another session."""
        self._hops = (*onward._hops, onward._name)

    def _socket(self, settings: Mapping[str, Any], deadline: float, hop: Hop | None = None) -> socket.socket:
        host, port = self.get_ssh_options("host"), self.port or hostkeys.DEFAULT_PORT
        if hop:
            self._proxy = jump.Jump(*hop, host, port, deadline)
            return self._proxy.end
        sock, self._proxy = transport.reach(settings, host, port, self.get_ssh_options("user"), deadline)
        return sock

    def _where(self) -> str:
        user, host = self.get_ssh_options("user"), self.get_ssh_options("host")
        return f"{user + '@' if user else ''}{host or 'the given socket'} port {self.port}"

    # Host keys

    def _verifies(self, key: bytes, signature: bytes, data: bytes) -> bool:
        text = binascii.b2a_base64(key, newline=False)
        return self._core.verifies(hostkeys.blob_type(key), text, signature, data)

    def _server_key(self) -> tuple[str, bytes]:
        """Return type and blob (RFC 4253 section 6.6) of the server's host key."""
        blob = binascii.a2b_base64(self._core.server_key_base64())
        return blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii", "replace"), blob

    def _check_host_key(self) -> None:
        """Refuse a key that is not to be trusted; without any checking, one that is revoked."""
        if self._trust is None:
            return
        if self._trust.checks:
            self.verify_knownhost()
        elif revoked := self._trust.revocation(self._server_key()[1]):
            raise revoked.error()

    def verify_knownhost(self) -> bool:
        """Check the host key; True if it is known or the policy accepts it.

        A changed or revoked key raises `HostKeyChangedError` whatever the policy.
        """
        key_type, blob = self._server_key()
        trust = self._trust or Trust.of(self._options, self.get_ssh_options("host") or "", self.port or hostkeys.DEFAULT_PORT)
        verdict = trust.verdict(key_type, blob, self._verifies)
        if verdict.refused:
            raise verdict.error()
        if verdict.state is hostkeys.State.KNOWN:
            return True
        message = KNOW_HOST_MSG_MAP[0] + verdict.text
        if not _core.HOST_CERTIFICATES and trust.authorities():
            message += f"; libssh {_core.LIBSSH_VERSION} as it is here asks for no host certificates, which @cert-authority lines are about"
        if trust.mode == "accept-new":
            self.hostkey_auto_add()
        elif trust.mode == "yes":
            raise HostKeyError(message, trust.host, trust.port, verdict.key_type, verdict.fingerprint)
        else:
            user = self.get_ssh_options("user")
            self._policy.missing_host_key(self, trust.host, user, verdict.key_type, verdict.fingerprint, message)
        return True

    def hostkey_auto_add(self, username: str | None = None) -> None:  # noqa: ARG002 - policies of 1.4.0 pass it
        """Add the server's host key to the user's known_hosts file."""
        key_type, blob = self._server_key()
        if self._trust is None:
            raise LibsshSessionException("host key auto add failed: the session is not connected")
        try:
            self._trust.add(key_type, blob)
        except (OSError, ValueError) as exc:
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
        credentials = auth.Credentials.of({})
        self._login = auth.login(self._core, credentials, self._where(), self._auth_deadline(), {"publickey"})

    def authenticate_password(self, password: str | bytes) -> None:
        """Log in with a password."""
        self._authenticated("password", self._core.auth_password(password, self._auth_deadline()), "with password")

    def authenticate_interactive(self, password: str | bytes, expected_prompt: str | None = None) -> None:
        """Log in by keyboard-interactive authentication that asks for the password and nothing else."""
        answer = kbdint.Answers(password, expected_prompt)
        code = kbdint.login(self._core, answer, self._auth_deadline)
        self._authenticated("keyboard-interactive", code, "with keyboard-interactive")

    def authenticate_gssapi_with_mic(self) -> None:
        """Log in by GSSAPI, with the tickets that are at hand (RFC 4462)."""
        self._authenticated("gssapi-with-mic", self._core.auth_gssapi(self._auth_deadline()), "with gssapi-with-mic")

    def _auth_deadline(self) -> float:
        return time.monotonic() + _AUTH_TIMEOUT

    def _authenticated(self, method: str, code: int, what: str) -> None:
        """Take note of a success; anything else raises, a partial success too."""
        if code == _core.AUTH_SUCCESS:
            self._login = auth.Login(method, [f"{method}: accepted"])
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
    def environment(self) -> Mapping[str, str]:
        """The variables that are set for each command: SendEnv and SetEnv, as far as the server's ``AcceptEnv`` takes them."""
        return self._environment

    @property
    def forwards_agent(self) -> bool:
        """Whether commands can use the agent."""
        return self._forwarded_agent is not None

    @property
    def info(self) -> SessionInfo:
        """What was negotiated."""
        known = self._core.negotiated()
        key_type = key_fingerprint = None
        if known["kex"] and not self._core.is_gssapi_kex:
            key_type, blob = self._server_key()
            key_fingerprint = hostkeys.fingerprint(blob)
        login = self._login
        return SessionInfo(
            host_key_type=key_type,
            host_key_fingerprint=key_fingerprint,
            auth_method=login.method if login else None,
            auth_attempts=list(login.attempts) if login else [],
            **known,
        )

    def fileno(self) -> int:
        """Return the socket's descriptor, for ``poll``: when it is readable, `is_connected` takes in what came; -1 if closed."""
        return self._core.fileno()

    def send_keepalive(self) -> None:
        """Send something that keeps the connection known to what is in between."""
        self._core.send_keepalive()

    def open_core_channel(self, timeout: float | None = None) -> _core.Channel:
        """Open a channel for what builds on one, within *timeout* seconds at most; everybody else wants `new_channel`."""
        core = _core.Channel(self._core)
        core.open_session(deadline_after(self._open_timeout if timeout is None else min(timeout, self._open_timeout)))
        return core

    def open_forward(self, host: str, port: int, timeout: float | None = None) -> _core.Channel:
        """Open a connection to *host* that the server makes (RFC 4254 section 7.2), within *timeout* seconds."""
        core = _core.Channel(self._core)
        core.open_forward(host, port, "127.0.0.1", 0, deadline_after(self._open_timeout if timeout is None else timeout))
        return core

    def sftp(self) -> SFTP:
        """Start the SFTP subsystem."""
        from .sftp import SFTP  # transfers are loaded when they are needed

        return SFTP(self)

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

    def push_callback(self, callback: Any) -> None:
        """Keep an object, such as a `ChannelCallback` of 1.4.0's, for as long as there is this one."""
        self._kept.append(callback)


def _log(number: int, text: str) -> None:
    from . import logging

    logging.emit(number, text)


def _effective_log_level() -> int:
    """Return how much libssh shall log: nothing as long as the program has no `logging`, which takes its time to load."""
    if "logging" not in sys.modules:
        return 0
    from . import logging

    return logging.effective_level()


def _connect_timeout(settings: Mapping[str, Any]) -> float | None:
    seconds = float(settings.get("timeout", 0)) + float(settings.get("timeout_usec", 0)) / 1e6
    return seconds or None
