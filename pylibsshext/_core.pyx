# SPDX-License-Identifier: LGPL-2.1-or-later
"""Thin handles over libssh: a pointer, its parent and its ``free``.

What a handle offers is one libssh call a method, without policy: options as numbers, results as libssh's codes, deadlines as
``time.monotonic()`` seconds.  Everything that can touch the network runs without the GIL, through `drive`, which also is the one
place where waits end: by a deadline, a signal handler's exception, or the peer.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport errno
from libc.stdint cimport SIZE_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from ._c cimport engine, ifaddrs, libssh, sealed, sftp

import binascii
import os
import time

from . import errors

cdef enum:
    SLICE = 100  # milliseconds between two looks for signals
    WRITE_CHUNK = 1 << 18
    HELD_PIECE = 1 << 16
    LONGEST = 1 << 30  # seconds: what is longer is for ever

# OpenSSH's server counts a closed channel against MaxSessions until it comes round its loop again: an opening that follows at
# once is refused, and nothing has been started by it.
SLOT_PAUSES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0)

libssh.ssh_init()

LIBSSH_VERSION = libssh.ssh_version(0).decode().split("/")[0]
READS_SECURITY_KEYS = libssh.SSH_FILE_FORMAT_OPENSSH != 0  # libssh 0.12
READS_SEALED_KEYS = bool(sealed.PX_UNSEALS)  # where libssh is in this module

# Whether libssh asks for the certificates of hosts: the release by itself does not, our build of it does.
HOST_CERTIFICATES = bool(engine.px_has_host_certificates())

AUTH_SUCCESS = libssh.SSH_AUTH_SUCCESS
AUTH_DENIED = libssh.SSH_AUTH_DENIED
AUTH_PARTIAL = libssh.SSH_AUTH_PARTIAL
AUTH_INFO = libssh.SSH_AUTH_INFO

METHODS = {
    "password": libssh.SSH_AUTH_METHOD_PASSWORD,
    "publickey": libssh.SSH_AUTH_METHOD_PUBLICKEY,
    "hostbased": libssh.SSH_AUTH_METHOD_HOSTBASED,
    "keyboard-interactive": libssh.SSH_AUTH_METHOD_INTERACTIVE,
    "gssapi-keyex": libssh.SSH_AUTH_METHOD_GSSAPI_KEYEX,
    "gssapi-with-mic": libssh.SSH_AUTH_METHOD_GSSAPI_MIC,
}

# What libssh takes a pointer to: text, int or long. It does not check, so an option that is not listed here cannot be set.
OPTIONS = {
    "host": (libssh.SSH_OPTIONS_HOST, str),
    "port": (libssh.SSH_OPTIONS_PORT, int),
    "fd": (libssh.SSH_OPTIONS_FD, int),
    "user": (libssh.SSH_OPTIONS_USER, str),
    "ssh_dir": (libssh.SSH_OPTIONS_SSH_DIR, str),
    "identity": (libssh.SSH_OPTIONS_IDENTITY, str),
    "add_identity": (libssh.SSH_OPTIONS_ADD_IDENTITY, str),
    "knownhosts": (libssh.SSH_OPTIONS_KNOWNHOSTS, str),
    "global_knownhosts": (libssh.SSH_OPTIONS_GLOBAL_KNOWNHOSTS, str),
    "timeout": (libssh.SSH_OPTIONS_TIMEOUT, float),
    "timeout_usec": (libssh.SSH_OPTIONS_TIMEOUT_USEC, float),
    "log_verbosity": (libssh.SSH_OPTIONS_LOG_VERBOSITY, int),
    "ciphers_c_s": (libssh.SSH_OPTIONS_CIPHERS_C_S, str),
    "ciphers_s_c": (libssh.SSH_OPTIONS_CIPHERS_S_C, str),
    "macs_c_s": (libssh.SSH_OPTIONS_HMAC_C_S, str),
    "macs_s_c": (libssh.SSH_OPTIONS_HMAC_S_C, str),
    "compression": (libssh.SSH_OPTIONS_COMPRESSION, str),
    "compression_c_s": (libssh.SSH_OPTIONS_COMPRESSION_C_S, str),
    "compression_s_c": (libssh.SSH_OPTIONS_COMPRESSION_S_C, str),
    "proxycommand": (libssh.SSH_OPTIONS_PROXYCOMMAND, str),
    "bindaddr": (libssh.SSH_OPTIONS_BINDADDR, str),
    "strict_host_key_checking": (libssh.SSH_OPTIONS_STRICTHOSTKEYCHECK, int),
    "compression_level": (libssh.SSH_OPTIONS_COMPRESSION_LEVEL, int),
    "key_exchange_algorithms": (libssh.SSH_OPTIONS_KEY_EXCHANGE, str),
    "publickey_accepted_algorithms": (libssh.SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES, str),
    "hostkeys": (libssh.SSH_OPTIONS_HOSTKEYS, str),
    "rekey_data": (libssh.SSH_OPTIONS_REKEY_DATA, float),  # uint64_t, which is as long as long
    "rekey_time": (libssh.SSH_OPTIONS_REKEY_TIME, int),
    "rsa_min_size": (libssh.SSH_OPTIONS_RSA_MIN_SIZE, int),
    "identity_agent": (libssh.SSH_OPTIONS_IDENTITY_AGENT, str),
    "nodelay": (libssh.SSH_OPTIONS_NODELAY, int),
    "process_config": (libssh.SSH_OPTIONS_PROCESS_CONFIG, int),
    "gssapi_server_identity": (libssh.SSH_OPTIONS_GSSAPI_SERVER_IDENTITY, str),
    "gssapi_client_identity": (libssh.SSH_OPTIONS_GSSAPI_CLIENT_IDENTITY, str),
    "gssapi_delegate_credentials": (libssh.SSH_OPTIONS_GSSAPI_DELEGATE_CREDENTIALS, int),
    "gss_kex": (libssh.SSH_OPTIONS_GSSAPI_KEY_EXCHANGE, int),  # a bool, whose byte is an int's first on the machines that there are
}
cdef dict KINDS = {number: kind for number, kind in OPTIONS.values()}
OPTIONS = {name: number for name, (number, kind) in OPTIONS.items()}


def c_text(value, name):
    """Return *value* (text or bytes) as bytes for C; *name* says in the error what it is."""
    if isinstance(value, str):
        value = str.encode(value, "utf-8", "surrogateescape")
    elif not isinstance(value, bytes):
        raise TypeError(f"{name} must be str or bytes, not {type(value).__name__}")
    if b"\0" in value:
        raise ValueError(f"{name} must not contain a NUL character")
    return bytes(value)


cdef bytes c_secret(value, name):
    """Return a copy of *value* (text, bytes or a bytearray) for C, that nobody else has: it is to be wiped after use."""
    cdef bytes text = c_text(bytes(value) if isinstance(value, bytearray) else value, name)
    return PyBytes_FromStringAndSize(<char *>text, len(text)) if text is value else text


cdef void wipe(bytes secret) noexcept:
    """Overwrite what `c_secret` returned."""
    if len(secret) > 1:  # Python has only one of each byte
        memset(<char *>secret, 0, len(secret))


def local_addresses():
    """Return the addresses of the network interfaces that are up, 4 or 16 bytes each."""
    cdef ifaddrs.ifaddrs_t *first = NULL
    cdef ifaddrs.ifaddrs_t *one
    cdef list found = []
    if ifaddrs.getifaddrs(&first) != 0:
        PyErr_SetFromErrno(OSError)
    try:
        one = first
        while one is not NULL:
            if one.ifa_addr is not NULL and one.ifa_flags & ifaddrs.IFF_UP:
                if one.ifa_addr.sa_family == ifaddrs.AF_INET:
                    found.append((<char *>&(<ifaddrs.sockaddr_in *>one.ifa_addr).sin_addr)[:sizeof(ifaddrs.in_addr)])
                elif one.ifa_addr.sa_family == ifaddrs.AF_INET6:
                    found.append((<char *>&(<ifaddrs.sockaddr_in6 *>one.ifa_addr).sin6_addr)[:sizeof(ifaddrs.in6_addr)])
            one = one.ifa_next
    finally:
        ifaddrs.freeifaddrs(first)
    return found


cdef extern from * nogil:
    """
    #ifdef __linux__
    #include <sys/prctl.h>
    #define px_hide_memory() prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    #else
    #define px_hide_memory() 0
    #endif
    """
    int px_hide_memory()


def hide_memory():
    """Keep other processes of the user from looking into this one's memory, where the system can (Linux, ``PR_SET_DUMPABLE``).

    OSError where it may not.
    """
    if px_hide_memory() != 0:
        PyErr_SetFromErrno(OSError)


cdef object taken_text(char *value):
    """Return a C string as text, and free it; None of NULL."""
    try:
        return None if value is NULL else value.decode("utf-8", "replace")
    finally:
        libssh.ssh_string_free_char(value)


cdef int slice_until(double deadline) except -1:
    """Return how many milliseconds to wait now; 0 when *deadline* has passed."""
    cdef double left = deadline - <double>time.monotonic()
    if not left > 0:  # NaN, too
        return 0
    return SLICE if left * 1000 >= SLICE else <int>(left * 1000) + 1


# One libssh call each, in the shape that px_drive repeats.

cdef int do_connect(engine.px_call *call) noexcept nogil:
    return libssh.ssh_connect(call.session)


cdef int auth_code(int rc) noexcept nogil:
    return libssh.SSH_AGAIN if rc == libssh.SSH_AUTH_AGAIN else rc


cdef int do_auth_none(engine.px_call *call) noexcept nogil:
    return auth_code(libssh.ssh_userauth_none(call.session, NULL))


cdef int do_auth_password(engine.px_call *call) noexcept nogil:
    return auth_code(libssh.ssh_userauth_password(call.session, NULL, call.a))


cdef int do_auth_publickey(engine.px_call *call) noexcept nogil:
    return auth_code(libssh.ssh_userauth_publickey(call.session, NULL, call.key))


cdef int do_auth_agent(engine.px_call *call) noexcept nogil:
    return auth_code(libssh.ssh_userauth_agent(call.session, NULL))


cdef int do_auth_kbdint(engine.px_call *call) noexcept nogil:
    return auth_code(libssh.ssh_userauth_kbdint(call.session, NULL, NULL))


cdef int do_auth_gssapi(engine.px_call *call) noexcept nogil:
    return auth_code(libssh.ssh_userauth_gssapi(call.session))


cdef int do_auth_gssapi_keyex(engine.px_call *call) noexcept nogil:
    return auth_code(libssh.ssh_userauth_gssapi_keyex(call.session))


cdef int do_flush(engine.px_call *call) noexcept nogil:
    """Through as soon as the kernel has everything that was to be sent."""
    if engine.px_pending(call.session):
        return libssh.SSH_AGAIN
    return libssh.SSH_OK


cdef int do_keepalive(engine.px_call *call) noexcept nogil:
    return libssh.ssh_send_keepalive(call.session)


cdef libssh.ssh_channel started(engine.px_call *call) noexcept nogil:
    return engine.px_channel_start(call.channel)


cdef int do_open_session(engine.px_call *call) noexcept nogil:
    cdef libssh.ssh_channel channel = started(call)
    cdef int rc = engine.PX_ANONYMOUS if channel is NULL else libssh.ssh_channel_open_session(channel)
    if rc == libssh.SSH_AGAIN:
        engine.px_acknowledge(call.session)
    return rc


cdef int do_open_forward(engine.px_call *call) noexcept nogil:
    cdef libssh.ssh_channel channel = started(call)
    if channel is NULL:
        return engine.PX_ANONYMOUS
    return libssh.ssh_channel_open_forward(channel, call.a, call.x, call.b, call.y)


cdef int do_exec(engine.px_call *call) noexcept nogil:
    return libssh.ssh_channel_request_exec(call.channel.ssh, call.a)


cdef int do_shell(engine.px_call *call) noexcept nogil:
    return libssh.ssh_channel_request_shell(call.channel.ssh)


cdef int do_subsystem(engine.px_call *call) noexcept nogil:
    return libssh.ssh_channel_request_subsystem(call.channel.ssh, call.a)


cdef int do_pty(engine.px_call *call) noexcept nogil:
    return libssh.ssh_channel_request_pty_size(call.channel.ssh, call.a, call.x, call.y)


cdef int do_window_change(engine.px_call *call) noexcept nogil:
    return libssh.ssh_channel_change_pty_size(call.channel.ssh, call.x, call.y)


cdef int do_env(engine.px_call *call) noexcept nogil:
    return libssh.ssh_channel_request_env(call.channel.ssh, call.a, call.b)


cdef int do_request_agent(engine.px_call *call) noexcept nogil:
    return libssh.ssh_channel_request_auth_agent(call.channel.ssh)


cdef int do_adopt(engine.px_call *call) noexcept nogil:
    """Through when the server has opened a channel, which then is this one."""
    if call.channel.session.offered_count == 0:
        return libssh.SSH_AGAIN
    return engine.px_channel_adopt(call.channel)


cdef int do_signal(engine.px_call *call) noexcept nogil:
    return libssh.ssh_channel_request_send_signal(call.channel.ssh, call.a)


cdef int do_eof(engine.px_call *call) noexcept nogil:
    return libssh.ssh_channel_send_eof(call.channel.ssh)


cdef int do_write(engine.px_call *call) noexcept nogil:
    """Write what is left of the data, as far as the window of the channel and the socket take it."""
    cdef size_t left
    cdef int rc
    while call.done < call.length and not engine.px_pending(call.session):
        left = call.length - call.done
        rc = libssh.ssh_channel_write(call.channel.ssh, call.a + call.done, <uint32_t>(left if left < WRITE_CHUNK else WRITE_CHUNK))
        if rc < 0 or call.channel.closed:
            return libssh.SSH_ERROR
        if rc == 0:
            return libssh.SSH_AGAIN
        call.done += rc
    return libssh.SSH_AGAIN if call.done < call.length or engine.px_pending(call.session) else libssh.SSH_OK


cdef bint has_data(engine.px_channel *channel, int is_stderr) noexcept nogil:
    if engine.px_length(&channel.stream[is_stderr]) == 0 and channel.held[is_stderr]:
        engine.px_refill(channel, is_stderr)
    return engine.px_length(&channel.stream[is_stderr]) > 0


cdef int until_readable(engine.px_call *call) noexcept nogil:
    """Through when stream x (2: either) has data, or when none can come any more."""
    cdef engine.px_channel *channel = call.channel
    if channel.no_memory:
        return engine.PX_NOMEM
    if call.x != 1 and has_data(channel, 0) or call.x != 0 and has_data(channel, 1) or channel.eof:
        return libssh.SSH_OK
    return libssh.SSH_AGAIN


cdef int until_ended(engine.px_call *call) noexcept nogil:
    """Through when the remote process has ended: closed, or (x) its output ended and its status came."""
    cdef engine.px_channel *channel = call.channel
    if channel.no_memory:
        return engine.PX_NOMEM
    if channel.closed or channel.eof and (channel.has_status or call.x):
        return libssh.SSH_OK
    return libssh.SSH_AGAIN


@cython.final
cdef class Key:
    """A private key. Immutable, so any thread may use it."""

    cdef libssh.ssh_key ptr
    cdef object __weakref__

    def __cinit__(self):
        self.ptr = NULL

    def __dealloc__(self):
        libssh.ssh_key_free(self.ptr)

    @staticmethod
    def from_text(text, passphrase):
        """Read a private key in any format that libssh knows (``ssh_pki_import_privkey_base64``); None if it cannot be."""
        cdef Key self = Key.__new__(Key)
        cdef bytes b_text = c_secret(text, "private key"), b_passphrase = c_secret(passphrase or b"", "passphrase")
        cdef const char *c_key = b_text
        # Never NULL: OpenSSL would then ask on the terminal.
        cdef const char *c_passphrase = b_passphrase
        cdef int rc
        with nogil:
            engine.px_log_to(NULL)
            rc = libssh.ssh_pki_import_privkey_base64(c_key, c_passphrase, NULL, NULL, &self.ptr)
        wipe(b_text)
        wipe(b_passphrase)
        return self if rc == libssh.SSH_OK else None

    @staticmethod
    def from_sealed(before, private, tag, cipher, salt, uint32_t rounds, passphrase):
        """Read a key in OpenSSH's format whose *private* section AES-GCM or ChaCha20-Poly1305 has encrypted.

        *before* is what precedes that section in a key that is not encrypted.  None if the passphrase is wrong.
        """
        cdef bytes b_cipher = c_text(cipher, "cipher"), b_salt = salt, b_tag = tag, b_passphrase = c_secret(passphrase, "passphrase")
        cdef bytearray data = bytearray(before + private)
        cdef const char *c_cipher = b_cipher
        cdef const char *c_salt = b_salt
        cdef const char *c_tag = b_tag
        cdef const char *c_passphrase = b_passphrase
        cdef char *c_data = data
        cdef size_t begin = len(before), size = len(private), salt_size = len(salt), passphrase_size = len(b_passphrase)
        cdef int opened = 0
        cdef bytes b_base64, b_text
        if len(b_tag) == sealed.PX_TAG and size <= sealed.PX_SEALED_MOST:
            with nogil:
                opened = sealed.px_unseal(
                    c_cipher, c_passphrase, passphrase_size, <const uint8_t *>c_salt, salt_size, rounds,
                    <uint8_t *>c_data + begin, <int>size, <const uint8_t *>c_tag,
                )
        wipe(b_passphrase)
        if not opened:
            return None
        b_base64 = binascii.b2a_base64(data)
        b_text = b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + b_base64 + b"-----END OPENSSH PRIVATE KEY-----\n"
        try:
            return Key.from_text(b_text, None)
        finally:
            memset(c_data, 0, len(data))
            wipe(b_base64)
            wipe(b_text)

    def with_certificate(self, kind, text):
        """Return this key with the certificate of type *kind*, base64 *text*; None if it is none (``ssh_pki_copy_cert_to_privkey``)."""
        cdef bytes b_kind = c_text(kind, "certificate type"), b_text = c_text(text, "certificate")
        cdef Key key = Key.__new__(Key)
        cdef libssh.ssh_key certificate = NULL
        cdef int rc
        engine.px_log_to(NULL)
        key.ptr = libssh.ssh_key_dup(self.ptr)
        if key.ptr is NULL:
            raise errors.KeyImportError("the private key cannot be copied")
        try:
            rc = libssh.ssh_pki_import_cert_base64(b_text, libssh.ssh_key_type_from_name(b_kind), &certificate)
            if rc == libssh.SSH_OK:
                rc = libssh.ssh_pki_copy_cert_to_privkey(certificate, key.ptr)
            return key if rc == libssh.SSH_OK else None
        finally:
            libssh.ssh_key_free(certificate)

    def to_openssh(self):
        """Return the key in OpenSSH's format (``ssh_pki_export_privkey_base64_format`` of libssh 0.12); None if it can't be."""
        cdef char *text = NULL
        cdef int rc
        engine.px_log_to(NULL)
        try:
            rc = libssh.ssh_pki_export_privkey_base64_format(self.ptr, NULL, NULL, NULL, &text, libssh.SSH_FILE_FORMAT_OPENSSH)
            return <bytes>text if rc == libssh.SSH_OK and text is not NULL else None
        finally:
            libssh.ssh_string_free_char(text)

    def public_base64(self):
        """Return the public half as in known_hosts and authorized_keys (RFC 4253 section 6.6, base64)."""
        cdef libssh.ssh_key public = NULL
        cdef char *text = NULL
        cdef int rc
        engine.px_log_to(NULL)
        try:
            rc = libssh.ssh_pki_export_privkey_to_pubkey(self.ptr, &public)
            if rc == libssh.SSH_OK:
                rc = libssh.ssh_pki_export_pubkey_base64(public, &text)
            if rc != libssh.SSH_OK or text is NULL:
                raise errors.KeyImportError("the private key has no public half that libssh can export")
            return text.decode("ascii")
        finally:
            libssh.ssh_key_free(public)
            libssh.ssh_string_free_char(text)


@cython.final
cdef class Session:
    """One connection. Any thread may call any method at any time; after `close` all of them raise."""

    cdef engine.px_session *px
    cdef object on_log
    cdef object __weakref__

    def __cinit__(self, on_log):
        self.on_log = on_log
        self.px = engine.px_new()
        if self.px is NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef engine.px_session *px = self.px
        with nogil:
            engine.px_unref(px)

    cdef int report(self) except -1:
        """Hand what libssh logged to the logger, outside the lock."""
        cdef engine.px_bytes log
        cdef int rc
        cdef uint32_t head[2]
        if self.px.log.end == 0:
            return 0
        with nogil:
            rc = engine.px_enter(self.px)
            if rc == engine.PX_OK:
                log = self.px.log
                memset(&self.px.log, 0, sizeof(self.px.log))
                engine.px_leave(self.px)
        if rc != engine.PX_OK:
            return 0
        try:
            while engine.px_length(&log) > 0:
                memcpy(head, log.data + log.start, sizeof(head))
                engine.px_take(&log, sizeof(head))
                self.on_log(<int>head[0], log.data[log.start:log.start + head[1]].decode("utf-8", "replace"))
                engine.px_take(&log, head[1])
        finally:
            engine.px_clear(&log)
        return 0

    cdef int drive(self, engine.px_step step, engine.px_call *call, doing, deadline) except -1:
        """Repeat *step* until it is through; return its code.  *deadline* None waits for ever."""
        cdef int rc = libssh.SSH_AGAIN, lost = 0, first = 1, wait
        cdef double until = 1e300 if deadline is None else deadline
        cdef char text[512]
        text[0] = 0
        while rc == libssh.SSH_AGAIN:
            wait = slice_until(until)
            if wait == 0 and not first:
                raise self.timeout(call, doing)
            first = 0
            with nogil:
                rc = engine.px_drive(self.px, step, call, wait, text, sizeof(text), &lost)
            self.report()
            PyErr_CheckSignals()
        if rc < 0:
            raise self.failure(call, rc, lost, doing, text)
        return rc

    cdef object timeout(self, engine.px_call *call, doing):
        cls = errors.LibsshSessionTimeout if call.channel is NULL else errors.LibsshChannelTimeout
        return cls(f"{doing} failed: timed out")

    cdef object failure(self, engine.px_call *call, int rc, bint lost, doing, const char *text):
        on_channel = call.channel is not NULL
        cls = errors.LibsshChannelException if on_channel else errors.LibsshSessionException
        if rc == engine.PX_NOMEM:
            return MemoryError(f"{doing} failed: out of memory")
        if rc == engine.PX_CLOSED:
            return cls(f"{doing} failed: the session is closed")
        if rc == engine.PX_ANONYMOUS:
            return cls(f"{doing} failed: the session is not logged in")
        if rc == engine.PX_UNCONNECTED:
            return cls(f"{doing} failed: the session is not connected")
        if rc == engine.PX_FORKED:
            return cls(f"{doing} failed: the session belongs to the process that made it, not to a fork")
        if rc == engine.PX_DEAD or lost:
            cls = errors.LibsshChannelConnectionError if on_channel else errors.LibsshConnectionError
            return cls(f"{doing} failed: {text.decode('utf-8', 'replace') or 'the connection is lost'}")
        if rc == engine.PX_DROPPED:
            return cls(f"{doing} failed: the channel is closed")
        if on_channel and call.channel.closed:
            return cls(f"{doing} failed: the channel is closed by the server")
        return cls(f"{doing} failed: {text.decode('utf-8', 'replace') or 'refused'}")

    cdef int enter(self, doing) except -1:
        """Take the lock for calls that never wait.  No Python code may run until `leave`.

        The GIL is never waited for with the lock held: a daemon thread would not get it back when the interpreter ends.
        """
        cdef int rc = engine.px_try_enter(self.px)
        cdef engine.px_call call
        while rc == engine.PX_BUSY:
            with nogil:
                if engine.px_enter(self.px) == engine.PX_OK:
                    engine.px_leave(self.px)
            rc = engine.px_try_enter(self.px)
        if rc != engine.PX_OK:
            call.channel = NULL
            raise self.failure(&call, rc, False, doing, b"")
        return 0

    cdef void leave(self) noexcept:
        engine.px_leave(self.px)

    def set_log_level(self, int level):
        """Set how much libssh logs: 0 (nothing) to 4 (trace), as ``ssh_set_log_level``."""
        self.px.log_level = level

    def set_keepalive(self, double interval, int count):
        """Give the peer up when it sent nothing for *count* times *interval* seconds, and was asked *count* times; 0: never."""
        count = max(count, 0)
        # Each question, the last one too, has the same time to be answered.
        self.px.alive_interval = <int64_t>(interval * 1000 * max(count, 1) / (count + 1.0)) if 0 < interval < LONGEST else 0
        self.px.alive_max = count

    def set_option(self, int option, value, name):
        """Set an option by libssh's number, as what libssh takes it for; *name* is for errors (``ssh_options_set``)."""
        cdef int number
        cdef long large
        cdef bytes text
        cdef const char *c_text_value
        kind = KINDS.get(option)
        if kind is str:
            text = c_text(value, name)
            c_text_value = text
            self.set(option, c_text_value, name)
        elif kind is int:
            number = value
            self.set(option, &number, name)
        elif kind is float:
            large = value
            self.set(option, &large, name)
        else:
            raise errors.LibsshSessionException(f"setting {name} failed: option number {option} is not for programs to set")

    cdef int set(self, int option, const void *value, name) except -1:
        cdef int rc
        cdef char text[512]
        cdef engine.px_call call
        self.enter(f"setting {name}")
        rc = libssh.ssh_options_set(self.px.ssh, option, value)
        engine.px_say(text, sizeof(text), libssh.ssh_get_error(self.px.ssh))
        self.leave()
        self.report()
        if rc != libssh.SSH_OK:
            call.channel = NULL
            raise self.failure(&call, libssh.SSH_ERROR, False, f"setting {name}", text)
        return 0

    def get_text(self, int option):
        """Return a text option, None if it is not set (``ssh_options_get``)."""
        cdef char *value = NULL
        self.enter("reading an option")
        libssh.ssh_options_get(self.px.ssh, option, &value)  # an error means: not set
        self.leave()
        return taken_text(value)

    def get_port(self):
        """Return the port that is set, 22 if none is (``ssh_options_get_port``)."""
        cdef unsigned int port = 0
        cdef int rc
        self.enter("reading the port")
        rc = libssh.ssh_options_get_port(self.px.ssh, &port)
        self.leave()
        return port if rc == libssh.SSH_OK else None

    def connect(self, int fd, deadline):
        """Exchange banners and keys over the socket *fd*, which from here on is this session's to close (``ssh_connect``)."""
        cdef engine.px_call call = nothing()
        cdef char text[512]
        cdef int rc, lost = 0
        try:
            self.enter("ssh connect")
        except BaseException:
            os.close(fd)
            raise
        rc = engine.px_attach(self.px, fd, text, sizeof(text), &lost)
        self.leave()
        self.report()
        if rc != engine.PX_OK:
            raise self.failure(&call, rc, lost, "ssh connect", text)
        self.drive(do_connect, &call, "ssh connect", deadline)

    def server_key_base64(self):
        """Return the host key of the server as base64 of RFC 4253 section 6.6's blob (``ssh_get_server_publickey``)."""
        cdef libssh.ssh_key key = NULL
        cdef libssh.ssh_string blob
        cdef char *text = NULL
        cdef int rc
        self.enter("reading the host key")
        blob = engine.px_server_blob(self.px)
        rc = libssh.SSH_ERROR if blob is not NULL else libssh.ssh_get_server_publickey(self.px.ssh, &key)
        if rc == libssh.SSH_OK:
            rc = libssh.ssh_pki_export_pubkey_base64(key, &text)
        libssh.ssh_key_free(key)
        self.leave()
        if blob is not NULL:
            try:
                data = PyBytes_FromStringAndSize(<char *>libssh.ssh_string_data(blob), libssh.ssh_string_len(blob))
            finally:
                libssh.ssh_string_free(blob)
            return binascii.b2a_base64(data, newline=False).decode("ascii")
        try:
            if rc != libssh.SSH_OK or text is NULL:
                raise errors.LibsshSessionException("reading the host key failed: there is none yet")
            return text.decode("ascii")
        finally:
            libssh.ssh_string_free_char(text)

    def verifies(self, key_type, key, signature, data):
        """Tell whether *signature* (a blob) is one of *data* by the public key *key* (base64); False without `HOST_CERTIFICATES`."""
        cdef bytes b_type = c_text(key_type, "key type"), b_key = c_text(key, "key"), b_signature = signature, b_data = data
        cdef const char *c_signature = b_signature
        cdef const char *c_data = b_data
        cdef size_t size = len(b_signature), length = len(b_data)
        cdef libssh.ssh_key ptr = NULL
        cdef int good
        engine.px_log_to(NULL)
        if libssh.ssh_pki_import_pubkey_base64(b_key, libssh.ssh_key_type_from_name(b_type), &ptr) != libssh.SSH_OK:
            return False
        try:
            self.enter("checking a signature")
            good = engine.px_verify(self.px, ptr, c_signature, size, <const unsigned char *>c_data, length)
            self.leave()
            return good != 0
        finally:
            libssh.ssh_key_free(ptr)

    cdef bint just_closed_a_channel(self) noexcept:
        return self.px.dropped != 0 and engine.px_now() - self.px.dropped < 1000

    def auth_none(self, deadline):
        """Ask for no authentication, which makes the server list the methods (``ssh_userauth_none``)."""
        cdef engine.px_call call = nothing()
        return self.drive(do_auth_none, &call, "asking for the authentication methods", deadline)

    def auth_methods(self):
        """Return the bits of the methods that can continue (``ssh_userauth_list``)."""
        cdef int methods
        self.enter("listing the authentication methods")
        methods = libssh.ssh_userauth_list(self.px.ssh, NULL)
        self.leave()
        return methods

    def auth_password(self, password, deadline):
        """Log in with a password (``ssh_userauth_password``)."""
        cdef bytes b_password = c_secret(password, "password")
        cdef engine.px_call call = nothing()
        call.a = b_password
        try:
            return self.drive(do_auth_password, &call, "password authentication", deadline)
        finally:
            wipe(b_password)

    def auth_publickey(self, Key key not None, deadline):
        """Log in with a private key (``ssh_userauth_publickey``)."""
        cdef engine.px_call call = nothing()
        call.key = key.ptr
        return self.drive(do_auth_publickey, &call, "public key authentication", deadline)

    def auth_agent(self, deadline):
        """Log in with a key that the agent holds (``ssh_userauth_agent``)."""
        cdef engine.px_call call = nothing()
        return self.drive(do_auth_agent, &call, "agent authentication", deadline)

    def set_agent(self, int fd):
        """Talk over the socket *fd*, which is libssh's from here on, when an agent is needed (``ssh_set_agent_socket``)."""
        cdef int rc
        try:
            self.enter("setting the agent")
        except BaseException:
            os.close(fd)
            raise
        rc = libssh.ssh_set_agent_socket(self.px.ssh, fd)
        self.leave()
        if rc != libssh.SSH_OK:
            raise errors.LibsshSessionException("setting the agent failed")

    def auth_gssapi(self, deadline):
        """Log in by GSSAPI, RFC 4462 (``ssh_userauth_gssapi``)."""
        cdef engine.px_call call = nothing()
        cdef uint64_t before = engine.px_received(self.px)
        cdef int rc
        if not engine.px_has_gssapi():
            raise errors.LibsshSessionException("there is no GSSAPI library (libgssapi_krb5.so.2) on this machine")
        rc = self.drive(do_auth_gssapi, &call, "gssapi-with-mic authentication", deadline)
        if rc == libssh.SSH_AUTH_DENIED and engine.px_received(self.px) == before:
            raise errors.LibsshSessionException("there is no ticket for this host (klist lists those there are)")
        return rc

    def auth_gssapi_keyex(self, deadline):
        """Log in by the GSSAPI context of the key exchange, RFC 4462 section 4 (``ssh_userauth_gssapi_keyex``)."""
        cdef engine.px_call call = nothing()
        return self.drive(do_auth_gssapi_keyex, &call, "gssapi-keyex authentication", deadline)

    @property
    def is_gssapi_kex(self):
        """Whether GSSAPI has authenticated the host in the key exchange, instead of a host key (``ssh_session_kex_is_gss``)."""
        cdef int is_gss
        self.enter("reading the session's state")
        is_gss = libssh.ssh_session_kex_is_gss(self.px.ssh)
        self.leave()
        return is_gss != 0

    def auth_kbdint(self, deadline):
        """Go one step of RFC 4256; `AUTH_INFO` means that `kbdint_prompts` has questions (``ssh_userauth_kbdint``)."""
        cdef engine.px_call call = nothing()
        return self.drive(do_auth_kbdint, &call, "keyboard-interactive authentication", deadline)

    def kbdint_prompts(self):
        """Return (name, instruction, [(prompt, echo)]) of the question at hand."""
        cdef char echo = 0
        cdef char *name
        cdef char *instruction
        cdef char *prompt
        cdef int count, i
        self.enter("reading the prompts")
        name = engine.px_copy(libssh.ssh_userauth_kbdint_getname(self.px.ssh))
        instruction = engine.px_copy(libssh.ssh_userauth_kbdint_getinstruction(self.px.ssh))
        count = libssh.ssh_userauth_kbdint_getnprompts(self.px.ssh)
        self.leave()
        about = taken_text(name) or "", taken_text(instruction) or ""
        prompts = []
        for i in range(count):
            self.enter("reading the prompts")
            prompt = engine.px_copy(libssh.ssh_userauth_kbdint_getprompt(self.px.ssh, i, &echo))
            self.leave()
            prompts.append((taken_text(prompt) or "", echo != 0))
        return *about, prompts

    def kbdint_answer(self, unsigned int index, answer):
        """Set the answer to prompt number *index*."""
        cdef bytes b_answer = c_secret(answer, "answer")
        cdef const char *c_answer = b_answer
        cdef int rc
        self.enter("answering a prompt")
        rc = libssh.ssh_userauth_kbdint_setanswer(self.px.ssh, index, c_answer)
        self.leave()
        wipe(b_answer)
        if rc < 0:
            raise errors.LibsshSessionException("answering a prompt failed: there is no such prompt")

    def accept_agent(self):
        """Let the server open channels to our agent; `Channel.adopt` takes them."""
        cdef int rc
        self.enter("forwarding the agent")
        rc = engine.px_accept_agent(self.px)
        self.leave()
        if rc != libssh.SSH_OK:
            raise errors.LibsshSessionException("forwarding the agent failed")

    def negotiated(self):
        """Return what key exchange settled on, and both banners: name → text or None."""
        cdef char *values[8]
        self.enter("reading the session's state")
        values[0] = engine.px_copy(libssh.ssh_get_kex_algo(self.px.ssh))
        values[1] = engine.px_copy(libssh.ssh_get_cipher_in(self.px.ssh))
        values[2] = engine.px_copy(libssh.ssh_get_cipher_out(self.px.ssh))
        values[3] = engine.px_copy(libssh.ssh_get_hmac_in(self.px.ssh))
        values[4] = engine.px_copy(libssh.ssh_get_hmac_out(self.px.ssh))
        values[5] = engine.px_copy(libssh.ssh_get_serverbanner(self.px.ssh))
        values[6] = engine.px_copy(libssh.ssh_get_clientbanner(self.px.ssh))
        values[7] = libssh.ssh_get_issue_banner(self.px.ssh)
        self.leave()
        names = ("kex", "cipher_in", "cipher_out", "mac_in", "mac_out", "server_banner", "client_banner", "issue_banner")
        return {name: taken_text(values[i]) for i, name in enumerate(names)}

    def send_keepalive(self):
        """Send ``keepalive@openssh.com``, which a living server answers (``ssh_send_keepalive``)."""
        cdef engine.px_call call = nothing()
        self.drive(do_keepalive, &call, "sending a keepalive", None)

    def flush(self, deadline):
        """Wait until the kernel has everything that was to be sent."""
        cdef engine.px_call call = nothing()
        self.drive(do_flush, &call, "sending", deadline)

    def fileno(self):
        """Return the descriptor of the socket, to be polled for incoming data; -1 if there is none."""
        cdef int fd
        self.enter("reading the descriptor")
        fd = engine.px_descriptor(self.px)
        self.leave()
        return fd

    @property
    def is_connected(self):
        """Whether the connection stands, after a look at what the network brought; a silent peer is asked for a sign."""
        cdef int connected = 0
        with nogil:
            if engine.px_enter(self.px) == engine.PX_OK:
                if self.px.event is not NULL:
                    engine.px_pump(self.px)
                    connected = not self.px.dead and engine.px_probe(self.px) == engine.PX_OK and libssh.ssh_is_connected(self.px.ssh)
                engine.px_leave(self.px)
        self.report()
        return connected != 0

    def close(self):
        """Disconnect and free everything of libssh. Threads that wait on this session get an exception. Never raises."""
        with nogil:
            engine.px_close(self.px)  # a second time, or in a fork: nothing to do


cdef engine.px_call nothing() noexcept:
    cdef engine.px_call call
    memset(&call, 0, sizeof(call))
    return call


@cython.final
cdef class Channel:
    """One channel: two streams in, one out, and the end of a remote process.

    Threads may share it: one may read while another writes.  Requests go one at a time (RFC 4254 gives them no ids): a second
    one at the same moment raises.
    """

    cdef engine.px_channel *px
    cdef readonly Session session
    cdef object __weakref__

    def __cinit__(self, Session session not None):
        self.session = session
        self.px = engine.px_channel_new(session.px)
        if self.px is NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef engine.px_channel *px = self.px
        with nogil:
            engine.px_channel_free(px)

    cdef engine.px_call call(self) noexcept:
        cdef engine.px_call call = nothing()
        call.channel = self.px
        return call

    cdef int live(self, doing) except -1:
        """Raise unless the channel is open on our side and its session too."""
        if self.px.ssh is NULL:
            raise errors.LibsshChannelException(f"{doing} failed: the channel is closed")
        return 0

    cdef int request(self, engine.px_step step, engine.px_call *call, doing, deadline) except -1:
        """Drive a request that the server answers."""
        if not engine.px_claim(&self.px.requesting):
            raise errors.LibsshChannelException(f"{doing} failed: another request waits for its answer on this channel")
        try:
            self.session.drive(step, call, doing, deadline)
        except errors.LibsshChannelTimeout:
            raise  # the answer is still on its way, as it is after an interruption: no other request can be made
        except errors.LibsshChannelException:
            engine.px_unclaim(&self.px.requesting)
            raise
        engine.px_unclaim(&self.px.requesting)
        return 0

    def open_session(self, deadline):
        """Open it as a session, RFC 4254 section 6.1 (``ssh_channel_open_session``)."""
        cdef engine.px_call call = self.call()
        call.opening = 1
        self.opened(do_open_session, &call, "opening a channel", deadline)

    def open_forward(self, host, int port, source, int source_port, deadline):
        """Open it as a TCP connection made by the server, RFC 4254 section 7.2 (``ssh_channel_open_forward``)."""
        cdef bytes b_host = c_text(host, "host"), b_source = c_text(source, "source")
        cdef engine.px_call call = self.call()
        call.a, call.x, call.b, call.y = b_host, port, b_source, source_port
        call.opening = 1
        self.opened(do_open_forward, &call, f"opening a connection to {host} port {port}", deadline)

    def adopt(self, deadline):
        """Become the next channel that the server opens to our agent, waiting for it until *deadline*."""
        cdef engine.px_call call = self.call()
        call.opening = 1
        if self.px.ssh is not NULL:
            raise errors.LibsshChannelException("waiting for a channel failed: the channel is open")
        self.session.drive(do_adopt, &call, "waiting for a channel", deadline)

    def request_agent(self):
        """Have the agent forwarded to what starts on this channel (``ssh_channel_request_auth_agent``); no answer is asked for."""
        cdef engine.px_call call = self.call()
        self.live("forwarding the agent")
        self.session.drive(do_request_agent, &call, "forwarding the agent", None)

    cdef int opened(self, engine.px_step step, engine.px_call *call, doing, deadline) except -1:
        if self.px.ssh is not NULL:
            raise errors.LibsshChannelException(f"{doing} failed: the channel is open")
        for pause in SLOT_PAUSES:
            try:
                return self.request(step, call, doing, deadline)
            except errors.LibsshChannelException as exc:
                self.drop()
                if type(exc) is not errors.LibsshChannelException or not pause or not self.session.just_closed_a_channel():
                    raise
            except BaseException:
                self.drop()
                raise
            time.sleep(pause)

    def request_exec(self, command, deadline):
        """Start *command*, RFC 4254 section 6.5 (``ssh_channel_request_exec``)."""
        cdef bytes b_command = c_text(command, "command")
        cdef engine.px_call call = self.call()
        call.a = b_command
        self.live("request_exec")
        self.request(do_exec, &call, "request_exec", deadline)

    def request_shell(self, deadline):
        """Start the login shell, RFC 4254 section 6.5 (``ssh_channel_request_shell``)."""
        cdef engine.px_call call = self.call()
        self.live("request_shell")
        self.request(do_shell, &call, "request_shell", deadline)

    def request_subsystem(self, name, deadline):
        """Start a subsystem, RFC 4254 section 6.5 (``ssh_channel_request_subsystem``)."""
        cdef bytes b_name = c_text(name, "subsystem")
        cdef engine.px_call call = self.call()
        call.a = b_name
        self.live(f"starting the subsystem {name}")
        self.request(do_subsystem, &call, f"starting the subsystem {name}", deadline)

    def request_pty(self, terminal, int columns, int rows, deadline):
        """Ask for a pseudo-terminal, RFC 4254 section 6.2 (``ssh_channel_request_pty_size``)."""
        cdef bytes b_terminal = c_text(terminal, "terminal")
        cdef engine.px_call call = self.call()
        call.a, call.x, call.y = b_terminal, columns, rows
        self.live("request_pty")
        self.request(do_pty, &call, "request_pty", deadline)

    def change_window(self, int columns, int rows):
        """Tell a new size of the terminal, RFC 4254 section 6.7 (``ssh_channel_change_pty_size``)."""
        cdef engine.px_call call = self.call()
        call.x, call.y = columns, rows
        self.live("changing the window size")
        self.request(do_window_change, &call, "changing the window size", None)

    def set_env(self, name, value, deadline):
        """Set a variable before the command starts, RFC 4254 section 6.4 (``ssh_channel_request_env``)."""
        cdef bytes b_name = c_text(name, "environment variable"), b_value = c_text(value, "environment value")
        cdef engine.px_call call = self.call()
        call.a, call.b = b_name, b_value
        self.live(f"setting {name}")
        self.request(do_env, &call, f"setting {name}", deadline)

    def send_signal(self, name):
        """Send a signal, named without SIG, RFC 4254 section 6.9 (``ssh_channel_request_send_signal``)."""
        cdef bytes b_name = c_text(name, "signal")
        cdef engine.px_call call = self.call()
        call.a = b_name
        self.live("send_signal")
        self.request(do_signal, &call, "send_signal", None)

    def send_eof(self):
        """Say that no more input comes, RFC 4254 section 5.3 (``ssh_channel_send_eof``). Harmless after the close."""
        cdef engine.px_call call = self.call()
        if self.px.ssh is not NULL and not self.px.closed:
            self.session.drive(do_eof, &call, "send_eof", None)

    def write(self, data, deadline):
        """Write all of *data* (any contiguous buffer); return its length in bytes (``ssh_channel_write``)."""
        cdef Py_buffer view
        cdef engine.px_call call = self.call()
        self.live("write")
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            call.a = <const char *>view.buf
            call.length = view.len
            if call.length > 0:
                self.session.drive(do_write, &call, "write", deadline)
            return view.len
        finally:
            PyBuffer_Release(&view)

    def wait_readable(self, int stream, deadline):
        """Wait until *stream* (0 stdout, 1 stderr, 2 either) has data or can get none any more."""
        cdef engine.px_call call = self.call()
        call.x = stream
        if self.px.eof and not (self.px.held[0] or self.px.held[1]):
            return
        self.live("read")
        self.session.drive(until_readable, &call, "read", deadline)

    def wait_ended(self, bint without_status, deadline):
        """Wait until the channel is closed, or its output ended and the exit status came (or *without_status*)."""
        cdef engine.px_call call = self.call()
        call.x = without_status
        if self.px.ssh is not NULL and not self.px.closed:
            self.session.drive(until_ended, &call, "waiting for the command to end", deadline)

    def take(self, size_t size, bint is_stderr):
        """Return up to *size* bytes that are here; empty if none are."""
        cdef engine.px_bytes *stream = &self.px.stream[is_stderr]
        cdef engine.px_call call = self.call()
        cdef char *data
        cdef int rc
        cdef size_t here = engine.px_glance(stream)
        if here == 0 and self.px.held[is_stderr]:
            here = HELD_PIECE
        if size > here:
            size = here
        if size == 0:
            return b""
        result = PyBytes_FromStringAndSize(NULL, size)
        data = result
        with nogil:
            rc = engine.px_lock(self.px.session)
            if rc == engine.PX_OK:
                if self.px.ssh is not NULL and self.px.session.ssh is not NULL:
                    has_data(self.px, is_stderr)
                if engine.px_length(stream) < size:
                    size = engine.px_length(stream)
                memcpy(data, stream.data + stream.start, size)
                engine.px_take(stream, size)
                engine.px_leave(self.px.session)
        if rc != engine.PX_OK:
            raise self.session.failure(&call, rc, False, "read", b"")
        return result if <size_t>len(result) == size else result[:size]

    def pump(self):
        """Take in what the network brought, without waiting."""
        cdef int rc
        cdef bint dead = False
        cdef engine.px_call call = self.call()
        self.live("read")
        with nogil:
            rc = engine.px_enter(self.px.session)
            if rc == engine.PX_OK:
                engine.px_pump(self.px.session)
                dead = self.px.session.dead
                if self.px.held[0] and self.px.ssh is not NULL:
                    engine.px_refill(self.px, 0)
                if self.px.held[1] and self.px.ssh is not NULL:
                    engine.px_refill(self.px, 1)
                engine.px_leave(self.px.session)
        self.session.report()
        if rc == engine.PX_OK and dead and not self.px.eof:
            rc = engine.PX_DEAD
        if rc != engine.PX_OK:
            raise self.session.failure(&call, rc, rc == engine.PX_DEAD, "read", b"")

    def available(self, bint is_stderr):
        """Return how many bytes `take` can give at once."""
        return engine.px_glance(&self.px.stream[is_stderr])

    def gather(self):
        """Keep all output in memory from now on, however much comes, instead of closing the window when nobody reads."""
        self.px.high_water = SIZE_MAX

    @property
    def is_eof(self):
        """Whether the server said that no more output comes, or closed the channel."""
        return self.px.eof != 0

    @property
    def is_closed(self):
        """Whether either side closed the channel, or the session is gone."""
        return self.px.ssh is NULL or self.px.closed != 0

    @property
    def exit_status(self):
        """The exit status (RFC 4254 section 6.10): None before it came, -1 after a signal."""
        return self.px.status if self.px.has_status else None

    @property
    def exit_signal(self):
        """The name of the signal, without SIG, that ended the process; None if none did."""
        return self.px.signal.decode("ascii", "replace") or None

    cdef void drop(self) noexcept:
        with nogil:
            if engine.px_lock(self.px.session) == engine.PX_OK:
                engine.px_channel_drop(self.px)
                engine.px_leave(self.px.session)

    def close(self):
        """Close the channel (RFC 4254 section 5.3) and let go of it. What has been read stays readable. Never raises."""
        self.drop()


@cython.final
cdef class Bulk:
    """The bulk data of one SFTP channel: DATA is written to descriptors, and WRITEs are made out of them, without the GIL.

    One thread may receive while another sends, and any thread may say what is expected; a second one that receives, or sends, raises.
    """

    cdef sftp.px_sftp *px
    cdef object __weakref__

    def __cinit__(self):
        self.px = sftp.px_sftp_new()
        if self.px is NULL:
            raise MemoryError

    def __dealloc__(self):
        sftp.px_sftp_free(self.px)

    def expect_data(self, uint32_t request, int fd, uint64_t offset, uint32_t size):
        """Write the DATA that answers a READ to *fd*; return False where that can't be, and the reply will come as any other."""
        cdef int expected = 0
        if fd >= 0:
            with nogil:
                expected = sftp.px_sftp_expect(self.px, request, fd, offset, size)
        return expected != 0

    def forget(self, uint32_t request):
        """Write no more of what is expected for a request, and return when nothing is being written of it."""
        with nogil:
            sftp.px_sftp_forget(self.px, request)

    def receive(self, Channel channel not None, deadline):
        """Wait for data; return what of it is for the decoder, and (request, bytes moved, errno) for each that was expected.

        Both are empty at the end of the stream, and nowhere else.
        """
        cdef engine.px_call call = channel.call()
        cdef int rc
        self.claim(&self.px.feeding)
        try:
            while True:
                if engine.px_length(&self.px.arrived) == 0:
                    channel.wait_readable(0, deadline)
                with nogil:
                    rc = sftp.px_sftp_fetch(self.px, channel.px)
                if rc != engine.PX_OK:
                    raise channel.session.failure(&call, rc, False, "read", b"")
                if engine.px_length(&self.px.arrived) == 0 and channel.px.eof:
                    return b"", []
                plain, moved = self.sort()
                if plain or moved:
                    return plain, moved
        finally:
            engine.px_unclaim(&self.px.feeding)

    def feed(self, data):
        """Take in *data* that came another way; return the same as `receive`, empty if it completes nothing."""
        cdef Py_buffer view
        cdef int rc
        self.claim(&self.px.feeding)
        try:
            PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
            rc = sftp.px_sftp_add(self.px, view.buf, view.len)
            PyBuffer_Release(&view)
            if rc == engine.PX_NOMEM:
                raise MemoryError
            if rc == engine.PX_FORKED:
                raise errors.LibsshChannelException("read failed: the channel belongs to the process that made it, not to a fork")
            plain, moved = self.sort()
            while engine.px_length(&self.px.arrived) > 0:
                more, further = self.sort()
                plain += more
                moved += further
            return plain, moved
        finally:
            engine.px_unclaim(&self.px.feeding)

    cdef tuple sort(self):
        """Deal with what has arrived, or with the first part of much."""
        cdef size_t lead, length
        cdef const char *data
        cdef char *target
        cdef sftp.px_moved *moved
        cdef int i
        with nogil:
            data = sftp.px_sftp_sort(self.px, &lead, &length)
        plain = PyBytes_FromStringAndSize(NULL, lead + length)
        target = plain
        memcpy(target, self.px.lead, lead)
        memcpy(target + lead, data, length)
        moved = self.px.moved
        return plain, [(moved[i].id, moved[i].moved, moved[i].error) for i in range(self.px.moved_count)]

    def write(self, Channel channel not None, requests, handle, int fd, uint64_t offset, uint64_t length, uint32_t size, timeout):
        """Send *length* bytes of *fd* from *offset* on as WRITEs of *size* bytes, each with the next of the ids *requests*.

        Return how many bytes each has, and the errno of reading more. Less than was asked for, or nothing, means that the file ended.
        *timeout* is for each.
        """
        cdef engine.px_call call = channel.call()
        cdef bytes b_handle = handle
        cdef const char *c_handle = b_handle
        cdef uint32_t handle_size = <uint32_t>len(b_handle), request, now
        cdef ssize_t made
        cdef int number = 0
        sizes = []
        if not 0 < size <= WRITE_CHUNK or fd < 0:
            raise ValueError("a WRITE has 1 to 262144 bytes out of a descriptor")
        self.claim(&self.px.sending)
        try:
            for request in requests:
                now = size if length > size else <uint32_t>length
                with nogil:
                    made = sftp.px_sftp_make_write(self.px, request, c_handle, handle_size, fd, offset, &now)
                    number = errno
                if made < 0:
                    return sizes, number
                sizes.append(now)
                if made > 0:
                    channel.live("write")
                    sftp.px_sftp_expect(self.px, request, -1, 0, 0)
                    call.a, call.length, call.done = self.px.out, made, 0
                    channel.session.drive(do_write, &call, "write", None if timeout is None else time.monotonic() + timeout)
                if now < size:
                    break
                offset, length = offset + now, length - now
            return sizes, 0
        finally:
            engine.px_unclaim(&self.px.sending)

    cdef int claim(self, int *flag) except -1:
        if not engine.px_claim(flag):
            raise errors.LibsshChannelException("another thread is at it")
        return 0
