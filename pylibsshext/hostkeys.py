# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which host keys to trust: OpenSSH's ``known_hosts`` files, read and appended to (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

Nothing here talks to a network or to libssh: a host, a key and some files go in, a verdict comes out.
"""

from __future__ import annotations

import binascii
import contextlib
import enum
import errno
import fcntl
import os
import re
from typing import TYPE_CHECKING

from ._named_tuple import NamedTuple
from .errors import HostKeyChangedError, HostKeyError

try:  # a module for each hash: hashlib loads OpenSSL, too, which takes longer than a login's other imports
    from _sha2 import sha256  # type: ignore[import-not-found]
except ImportError:  # before Python 3.12, or left out of this Python
    from hashlib import sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Union

    Path = Union[str, "os.PathLike[str]"]

DEFAULT_PORT = 22
GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

# One RSA key serves three signature algorithms; the file knows only the key. SHA-1 ("ssh-rsa") is for the caller to add.
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
_KEY_OF_ALGORITHM = {"rsa-sha2-512": "ssh-rsa", "rsa-sha2-256": "ssh-rsa"}

_MARKERS = {b"@revoked": "revoked", b"@cert-authority": "cert-authority"}
_HASH_MAGIC = b"|1|"
# What would end a name, hide the line or turn the name into a pattern.
_BAD_IN_NAME = r"[\s\x00-\x20\x7f,*?!|#@\"]"


class State(enum.Enum):
    """What the files say about a key that a host shows."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    OTHER = "other"  # the host is known, but only by keys of other types
    REVOKED = "revoked"
    INVALID = "invalid"  # its certificate is of an authority on record, and not good


class Entry(NamedTuple):
    """A line of a file that names the host in question."""

    file: str
    line: int
    key_type: str
    blob: bytes
    marker: str | None = None  # "revoked", "cert-authority"


class Verdict(NamedTuple):
    """What :func:`lookup` found; ``file``, ``line`` and ``known_*`` tell which record decided."""

    state: State
    host: str
    port: int
    key_type: str
    fingerprint: str
    searched: tuple[str, ...]
    file: str | None = None
    line: int | None = None
    known_type: str | None = None
    known_fingerprint: str | None = None
    alias: str | None = None
    problem: str = ""

    @property
    def refused(self) -> bool:
        """Whether no policy may accept this key, short of not checking at all."""
        return self.state in {State.CHANGED, State.OTHER, State.REVOKED, State.INVALID}

    @property
    def text(self) -> str:
        """One sentence for people: what was seen, what is on record, what to do."""
        import shlex

        name = self.alias or file_name(self.host, self.port)
        shown = f"{self.host} port {self.port} shows the {self.key_type} key {self.fingerprint}"
        record = f"{self.file}:{self.line}" if self.line else self.file or "the pinned key (host_key)"
        removal = f"ssh-keygen -f {shlex.quote(self.file or '')} -R {shlex.quote(name)}"
        if self.state is State.KNOWN:
            return f"{shown}, known from {record}"
        if self.state is State.UNKNOWN:
            places = ", ".join(self.searched) or "no file"
            looked = f"searched {places} for {self.alias}" if self.alias else f"searched {places}"
            return f"{shown}, which is not known ({looked})"
        if self.state is State.INVALID:
            return f"{shown}, with a certificate of the authority in {record} that is not good: {self.problem}"
        if self.state is State.REVOKED:
            return f"{shown}, which {record} marks as revoked"
        if self.state is State.OTHER:
            return (
                f"{shown}, but only keys of other types are on record ({record}: {self.known_type} "
                f"{self.known_fingerprint}); if the host really has a new key, add it, or remove the old one: {removal}"
            )
        if self.file is None:
            return f"the host key IS NOT THE PINNED ONE: {shown}, but {record} is {self.known_fingerprint}; somebody may be listening in"
        return (
            f"the host key HAS CHANGED: {shown}, but {record} has {self.known_fingerprint}; somebody may be listening in. "
            f"If the host really has a new key, remove the old one: {removal}"
        )

    def error(self) -> HostKeyError:
        """Return the exception to raise for a key that is not trusted."""
        kind = HostKeyChangedError if self.refused else HostKeyError
        error = kind(
            f"checking the host key failed: {self.text}",
            host=self.host,
            port=self.port,
            key_type=self.key_type,
            fingerprint=self.fingerprint,
        )
        if isinstance(error, HostKeyChangedError):
            error.file, error.line, error.known_fingerprint = self.file, self.line, self.known_fingerprint
        return error


class Pin(NamedTuple):
    """A host key that somebody vouches for: the fingerprint, and the type where the whole key is given."""

    fingerprint: str
    key_type: str | None = None

    @classmethod
    def parse(cls, text: str) -> Pin:
        """Read ``SHA256:...`` as ``ssh-keygen -l`` prints it, or a public key as in a ``.pub`` file; else ``ValueError``."""
        words = text.split()
        if len(words) == 1 and re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", words[0]):
            return cls(words[0].rstrip("="))
        blob = public_key(words)
        if blob is None:
            raise ValueError(f"neither a SHA256 fingerprint nor a public key: {text!r}")
        return cls(fingerprint(blob), words[0])


def default_files(ssh_dir: Path | None = None) -> list[str]:
    """Return the files that OpenSSH reads: the user's two (``$HOME`` counts), then the two of the machine."""
    user = os.path.expanduser(os.fspath(ssh_dir) if ssh_dir is not None else "~/.ssh")
    return [os.path.join(user, "known_hosts"), os.path.join(user, "known_hosts2"), *GLOBAL_FILES]


def fingerprint(blob: bytes) -> str:
    """Return the fingerprint of a public key as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + _encode(sha256(blob).digest()).rstrip(b"=").decode()


def file_name(host: str, port: int) -> str:
    """Return the name under which the files list a host: ``host``, or ``[host]:port`` for another port than 22."""
    host = host.lower()
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


def algorithms(key_types: Iterable[str]) -> list[str]:
    """Return the signature algorithms to ask a server for, in order, so that it shows a key of one of these types."""
    return [algorithm for key_type in key_types for algorithm in _ALGORITHMS.get(key_type, (key_type,))]


def lookup(files: Iterable[Path], host: str, port: int, key_type: str, key_blob: bytes, alias: str | None = None) -> Verdict:
    """Say what *files* know about the key that a host shows, by OpenSSH's rules; *alias* is the name to look for instead.

    A revocation counts wherever it stands, then a matching key, then a differing key of the same type, then keys of other
    types (which OpenSSH calls changed, too). A host on another port than 22 may be known by its bare name as well; a
    differing key there proves nothing.
    """
    _check_type(key_type, key_blob)
    files = _paths(files)
    entries = find(files, host, port, alias)
    bare = find(files, host, DEFAULT_PORT) if port != DEFAULT_PORT and not alias else []
    shown = Verdict(State.UNKNOWN, host, port, blob_type(key_blob), fingerprint(key_blob), tuple(files), alias=alias)

    def decided(state: State, by: Entry) -> Verdict:
        known = fingerprint(by.blob)
        return shown._replace(state=state, file=by.file, line=by.line, known_type=by.key_type, known_fingerprint=known)

    for entry in entries + bare:
        if entry.marker == "revoked" and entry.blob == key_blob:
            return decided(State.REVOKED, entry)
    known = [entry for entry in entries if entry.marker is None]
    fallback = [entry for entry in bare if entry.marker is None] if not known else []
    for entry in known + fallback:
        if entry.blob == key_blob:
            return decided(State.KNOWN, entry)
    for entry in known:
        if entry.key_type == shown.key_type:
            return decided(State.CHANGED, entry)
    return decided(State.OTHER, known[0]) if known else shown


def marked(files: Iterable[Path], marker: str, host: str, port: int, alias: str | None = None) -> list[Entry]:
    """Return the entries with a marker that hold for a host, by its bare name as well."""
    files = _paths(files)
    entries = find(files, host, port, alias)
    entries += find(files, host, DEFAULT_PORT) if port != DEFAULT_PORT and not alias else []
    return [entry for entry in entries if entry.marker == marker]


def known_types(files: Iterable[Path], host: str, port: int, alias: str | None = None) -> list[str]:
    """Return the types of the keys on record for a host, in the order of the files, without revoked keys.

    A session asks for these first, so that a server with several keys shows one that can be checked.
    """
    files = _paths(files)
    entries = find(files, host, port, alias)
    if port != DEFAULT_PORT and not alias and not any(entry.marker is None for entry in entries):
        entries += find(files, host, DEFAULT_PORT)
    revoked = {entry.blob for entry in entries if entry.marker == "revoked"}
    usable = (entry.key_type for entry in entries if entry.marker is None and entry.blob not in revoked)
    return list(dict.fromkeys(usable))


def find(files: Iterable[Path], host: str, port: int, alias: str | None = None) -> list[Entry]:
    """Return every entry of *files* that names this host and port, or the *alias*, markers included, in order."""
    name = alias.lower() if alias else file_name(host, port)
    entries: list[Entry] = []
    for path in _paths(files):
        try:
            with open(path, "rb") as stream:
                entries.extend(parse(stream.read(), name, path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as exc:
            message = f"reading the known hosts file {path} failed: {exc.strerror}"
            raise HostKeyError(message, host=host, port=port) from exc
    return entries


def parse(content: bytes, name: str, file: str = "") -> Iterator[Entry]:
    """Yield the entries for *name* in the text of a file; a line that makes no sense is no entry, as for OpenSSH."""
    wanted = name.encode("utf-8", "surrogateescape")
    for number, line in enumerate(content.split(b"\n"), 1):
        fields = line.split(None, 4)
        marker = None
        if fields and fields[0].startswith(b"@"):
            marker = _MARKERS.get(fields.pop(0))
            if marker is None:
                continue
        if len(fields) < 3 or fields[0].startswith(b"#") or not _names(fields[0], wanted):
            continue
        blob = _decode(fields[2])
        key_type = fields[1].decode("ascii", "replace")
        if blob is not None and blob_type(blob) == key_type:
            yield Entry(file, number, key_type, blob, marker)


def add(file: Path, host: str, port: int, key_type: str, blob: bytes, hashed: bool = False, alias: str | None = None) -> bool:
    """Append a key to a file unless the file has it already; return whether it was written.

    Any number of processes and threads can do this at once: nothing is lost, doubled or torn.
    """
    _check_type(key_type, blob)
    if alias:
        host, port = alias, DEFAULT_PORT
    name = file_name(host, port)
    if not host or re.search(_BAD_IN_NAME, host):
        raise ValueError(f"not a host name that a known hosts file can hold: {host!r}")
    path = os.path.expanduser(os.fspath(file))
    os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
    field = _hash_name(name.encode()) if hashed else name.encode()
    text = b"%s %s %s\n" % (field, blob_type(blob).encode(), _encode(blob))
    with _locked(path) as fd:
        content = _read_all(fd)
        if any(entry.blob == blob and entry.marker is None for entry in parse(content, name)):
            return False
        if content and not content.endswith(b"\n"):
            text = b"\n" + text
        _append(fd, text)
    return True


@contextlib.contextmanager
def _locked(path: str) -> Iterator[int]:
    """Open a file for appending under an exclusive lock, and be sure that it is still the file of that name."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # flock, not fcntl's locks: those do not keep threads of one process apart.
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as exc:
                # A network file system without locks: one append remains all that OpenSSH itself relies on.
                if exc.errno not in {errno.ENOLCK, errno.ENOTSUP}:
                    raise
            if not _is_at(fd, path):  # "ssh-keygen -R" put a new file in its place while we waited
                continue
            yield fd
            return
        finally:
            # A child that was forked meanwhile has this descriptor too, so closing it would not unlock.
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)


def _is_at(fd: int, path: str) -> bool:
    """Tell whether *path* still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _append(fd: int, text: bytes) -> None:
    """Write *text* at the end by one call, or leave the file as it was (a torn key would read as a changed one)."""
    size = os.fstat(fd).st_size
    written = os.write(fd, text)
    if written < len(text):
        if os.fstat(fd).st_size == size + written:
            os.ftruncate(fd, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read_all(fd: int) -> bytes:
    """Return the whole content of an open file."""
    chunks: list[bytes] = []
    os.lseek(fd, 0, os.SEEK_SET)
    while True:
        chunk = os.read(fd, 1 << 20)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def _paths(files: Iterable[Path]) -> list[str]:
    """Return file names as strings with ``~`` expanded."""
    return [os.path.expanduser(os.fspath(file)) for file in files]


def _names(field: bytes, name: bytes) -> bool:
    """Tell whether the host field of a line (hashed, or a list of patterns) covers *name*."""
    if field.startswith(b"|"):
        return _hash_matches(field, name)
    matched = False
    for pattern in field.lower().split(b","):
        if pattern.startswith(b"!"):
            if wildcard(pattern[1:], name):
                return False
        elif wildcard(pattern, name):
            matched = True
    return matched


def wildcard(pattern: bytes, text: bytes) -> bool:
    """Match OpenSSH's patterns (``*``, ``?``, nothing else) in time that no pattern can blow up."""
    if b"*" not in pattern and b"?" not in pattern:
        return pattern == text
    p = t = 0
    star, retry = -1, 0
    while t < len(text):
        if p < len(pattern) and pattern[p] == ord("*"):
            star, retry = p, t
            p += 1
        elif p < len(pattern) and (pattern[p] == ord("?") or pattern[p] == text[t]):
            p, t = p + 1, t + 1
        elif star >= 0:  # let the last star swallow one more
            retry += 1
            p, t = star + 1, retry
        else:
            return False
    return not pattern[p:].strip(b"*")


def _hash_name(name: bytes) -> bytes:
    """Return a name hashed as ``ssh-keygen -H`` does, with a salt of its own."""
    salt = os.urandom(20)  # as long as the digest
    return _HASH_MAGIC + _encode(salt) + b"|" + _encode(_sha1(salt, name))


def _hash_matches(field: bytes, name: bytes) -> bool:
    """Tell whether a hashed field hides *name*."""
    parts = field.split(b"|")
    if len(parts) != 4 or parts[1] != b"1":
        return False
    salt, digest = _decode(parts[2]), _decode(parts[3])
    return salt is not None and digest == _sha1(salt, name)


def _sha1(salt: bytes, name: bytes) -> bytes:
    """Return what stands for a name in the hashed format (HMAC-SHA1, for hiding names and not for security)."""
    import hmac

    return hmac.digest(salt, name, "sha1")


def _encode(data: bytes) -> bytes:
    """Return *data* in base64."""
    return binascii.b2a_base64(data, newline=False)


def _decode(text: bytes) -> bytes | None:
    """Return what base64 *text* means, None where it is not base64."""
    try:
        data = binascii.a2b_base64(text)
    except binascii.Error:
        return None
    return data if _encode(data) == text else None  # the C function passes over what is not base64


def public_key(words: Sequence[str]) -> bytes | None:
    """Return the blob of a public key as in a ``.pub`` file, split at white space; None where it is none."""
    blob = _decode(words[1].encode()) if len(words) >= 2 else None
    return blob if blob is not None and blob_type(blob) == words[0] else None


def blob_type(blob: bytes) -> str:
    """Return the key type that a public key blob begins with, "" where there is none."""
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length].decode("ascii", "replace") if 0 < length < len(blob) - 4 else ""


def _check_type(key_type: str, blob: bytes) -> None:
    """Refuse a key whose content is not of the type that the caller says."""
    actual = blob_type(blob)
    if not actual or actual != _KEY_OF_ALGORITHM.get(key_type, key_type):
        raise ValueError(f"not a public key of type {key_type!r}: {actual!r}")
