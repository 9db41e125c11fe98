# SPDX-License-Identifier: LGPL-2.1-or-later
"""What there is to log in with: keys in memory, in files and in the agent, certificates, passwords, answers, tickets; in which order."""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from . import _core, certificates, hostkeys, kbdint, keys, options
from ._named_tuple import NamedTuple
from .agent import URI_SCHEME, Agent, AgentError, Selector, Signer, is_uri
from .errors import KeyImportError, LibsshSessionException, LibsshSessionTimeout, ShortKeyError

if TYPE_CHECKING:
    from . import security_keys
    from ._secrets import Secret

T = TypeVar("T")

_RSA_MIN_SIZE = 1024  # bits, libssh's own least
_SLICE = 0.1  # seconds between two looks for signals while an agent thinks, or waits for a touch


class Credentials(NamedTuple):
    """What the caller has to log in with: the keywords of ``Session.connect``."""

    key: _core.Key | None = None
    certificate: str | bytes | None = None
    password: Secret | None = None
    answers: kbdint.Answers | None = None
    identities: Sequence[str] = ()
    certificate_files: Sequence[str] = ()
    look_for_keys: bool = True
    key_files: Sequence[str] = ()
    agent: str | None = None
    identities_only: bool = False
    passphrase: Secret | None = None
    security_key_provider: str | None = None
    pkcs11_provider: str | None = None
    pins: Mapping[str, Secret] = MappingProxyType({})
    ask: keys.Ask | None = None
    notify: Callable[[str], Any] | None = None
    rsa_min_size: int = 0
    gss_auth: bool | None = None
    methods: Sequence[str] = tuple(_core.METHODS)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Credentials:
        """Take them from the keywords of ``Session.connect``."""
        given = settings.get
        key, passphrase, ask = given("private_key"), given("private_key_password"), given("prompt_callback")
        look_for_keys, agent = bool(given("look_for_keys", True)), given("agent", True)
        added = [given("add_identity")] if given("add_identity") else []
        answering = given("password"), given("kbdint_answers"), given("kbdint_callback")
        return cls(
            key=keys.load_key(key, passphrase, ask=ask) if key else None,
            certificate=given("certificate"),
            password=given("password"),
            answers=kbdint.Answers(answering[0], given("password_prompt"), *answering[1:]) if any(answering) else None,
            identities=options.paths(given("identities", ())),
            certificate_files=options.paths(given("certificate_file", ())),
            look_for_keys=look_for_keys,
            key_files=[*options.paths(added), *given("identity_files", keys.default_identities())],
            agent=agent if isinstance(agent, str) else os.environ.get("SSH_AUTH_SOCK") if agent else None,
            identities_only=bool(given("identities_only", not given("agent", look_for_keys))),
            passphrase=passphrase,
            security_key_provider=given("security_key_provider") or os.environ.get("SSH_SK_PROVIDER"),
            pkcs11_provider=given("pkcs11_provider"),
            pins=given("pkcs11_pins", {}),
            ask=ask,
            notify=given("notify_callback"),
            rsa_min_size=int(given("rsa_min_size", 0)),
            gss_auth=given("gss_auth"),
            methods=options.methods(given("preferred_authentications")),
        )

    def cures(self, wanted: Sequence[str]) -> list[str]:
        """Return the keywords that would give more to try to a server that still wants one of these methods."""
        found = ["user"]
        for method in wanted:
            if method not in self.methods:
                found.append("preferred_authentications")
            elif method == "publickey":
                found += ["identities", "" if self.agent else "agent", "" if self.look_for_keys else "look_for_keys"]
            elif method == "password":
                found.append("password")
            elif method == "keyboard-interactive":
                knows_any = self.answers is not None and self.answers.knows_any
                found += ["" if knows_any else "password", "" if self.answers is None else "kbdint_answers"]
            elif method == "gssapi-with-mic" and self.gss_auth is False:
                found.append("gss_auth")
        return found


class Candidate(NamedTuple):
    """One thing to try: a method of RFC 4252, what it is tried with, how, and the keyword to change where that can't be done.

    What is sure to bother a person (*asks*) is tried last; what needs nobody else, no agent and no device, is *at_hand*.
    """

    method: str
    source: str
    attempt: Callable[[], int]
    cure: str = ""
    asks: bool = False
    at_hand: bool = False

    def __str__(self) -> str:
        return f"{self.method} ({self.source})" if self.source else self.method


class Candidates:
    """Everything there is to try with some credentials, in order."""

    def __init__(self, core: _core.Session, credentials: Credentials, deadline: float | None, stack: ExitStack) -> None:
        self._core = core
        self._credentials = credentials
        self._deadline = deadline
        self._stack = stack
        self._selector: Selector | None = None
        self._certificates: list[tuple[str, certificates.Certificate]] = []
        self.obstacles: list[str] = []
        """What could not even be looked at, in a line each."""

    def all(self) -> list[Candidate]:
        """Return them: what was given first, then the password, then what lies about, unless ``methods`` has another order."""
        credentials = self._credentials
        self._certificates = [*self._read_certificates()]
        held = self._agent_keys()
        tokens = [URI_SCHEME] if credentials.pkcs11_provider and not any(map(is_uri, credentials.identities)) else []
        named = [one for path in (*credentials.identities, *tokens) for one in self._identity(path, held)]
        gssapi = []
        if self._core.is_gssapi_kex:
            gssapi.append(Candidate("gssapi-keyex", "", lambda: self._core.auth_gssapi_keyex(self._deadline)))
        gssapi += [Candidate("gssapi-with-mic", "", lambda: self._core.auth_gssapi(self._deadline), "gssapi_server_identity")]
        found = [*self._given_key(), *named, *self._password(), *self._other_keys(held)]
        if credentials.gss_auth or (credentials.gss_auth is None and self._core.is_gssapi_kex):
            found = gssapi + found
        elif credentials.gss_auth is None:
            found += gssapi
        found.sort(key=lambda one: one.asks)
        wanted = list(credentials.methods)
        found = [one for one in found if one.method in wanted]
        if credentials.methods != tuple(_core.METHODS):
            found.sort(key=lambda one: wanted.index(one.method))
        return found

    # Passwords and answers

    def _password(self) -> Iterator[Candidate]:
        credentials, core = self._credentials, self._core
        password = credentials.password
        if password:
            yield Candidate("password", "", lambda: core.auth_password(password, self._deadline), "password")
        answers = credentials.answers
        if answers is not None:
            attempt = partial(kbdint.login, core, self._patiently(answers), lambda: self._deadline)
            yield Candidate(
                "keyboard-interactive", "", attempt, "kbdint_answers" if answers.knows_any else "", not answers.knows_any
            )

    def _patiently(self, ask: Callable[..., T]) -> Callable[..., T]:
        """Return *ask*, and let the time that it takes not count: that is a person's, not the server's."""

        def patient(*args: Any) -> T:
            began, deadline = time.monotonic(), self._deadline
            self._deadline = None
            try:
                return ask(*args)
            finally:
                if deadline is not None:
                    self._deadline = deadline + time.monotonic() - began

        return patient

    # Keys

    def _given_key(self) -> Iterator[Candidate]:
        key, text = self._credentials.key, self._credentials.certificate
        if key is None:
            return
        blob = base64.b64decode(key.public_base64())
        if keys.is_security_key(blob):
            signer = self._device(partial(keys.security_key_of, key), blob, "private_key")
            if text:
                yield self._by_signer(signer.certified(keys.read_certificate_text(text).blob), "certificate")
            yield self._by_signer(signer)
            return
        source = f"private_key {keys.key_fingerprint(key)}"
        if text:
            certified = keys.with_certificate(key, text)
            yield self._by_key(f"{source} with its certificate", lambda: certified)
        yield self._by_key(source, lambda: key)

    def _by_key(self, source: str, load: Callable[[], _core.Key], cure: str = "") -> Candidate:
        def attempt() -> int:
            key = load()
            self._check_size(base64.b64decode(key.public_base64()))
            return self._core.auth_publickey(key, self._deadline)

        return Candidate("publickey", source, attempt, cure, at_hand=True)

    def _check_size(self, blob: bytes) -> None:
        """Raise `ShortKeyError` where libssh would not show the server a key, and say only that it was denied."""
        bits, least = keys.rsa_bits(blob), self._credentials.rsa_min_size or _RSA_MIN_SIZE
        if bits is not None and bits < least:
            raise ShortKeyError(f"the key has {bits} bits, fewer than rsa_min_size allows ({least})")

    def _other_keys(self, held: list[Signer]) -> Iterator[Candidate]:
        """Yield the keys that the agent holds besides those that were named, then the usual key files."""
        credentials = self._credentials
        offered = [] if credentials.identities_only else held
        blobs = {key.blob for key in offered}
        for key in offered:
            yield self._by_signer(key)
        if credentials.look_for_keys:
            for path in dict.fromkeys(credentials.key_files):
                if path not in credentials.identities and os.path.exists(path) and keys.public_blob(path) not in blobs:
                    yield from self._identity(path, held)

    def _identity(self, path: str, held: list[Signer]) -> Iterator[Candidate]:
        """Yield a key file, with its certificates first; through the agent where that holds it, which knows its passphrase."""
        if is_uri(path):
            yield from self._token_keys(path)
            return
        blob = keys.public_blob(path)
        found = [(file, one) for file, one in self._certificates_of(path) if blob is None or one.key == blob]
        signer = next((key for key in held if blob is not None and key.blob == blob), None)
        in_agent = signer is not None
        if signer is None:
            signer = self._security_key(path, blob)
        for file, certificate in found:
            itself = next((key for key in held if key.blob == certificate.blob), None)
            if itself is not None:
                held.remove(itself)
                yield self._by_signer(itself)
            elif signer is not None:
                yield self._by_signer(signer.certified(certificate.blob), file)
            else:
                source = self._described(file, certificate)
                yield self._by_key(source, partial(self._certified, path, file), _cure(path))
        if signer is not None:
            if in_agent:
                held.remove(signer)
            yield self._by_signer(signer)
            return
        known = f" {hostkeys.fingerprint(blob)}" if blob else ""
        yield self._by_key(f"{path}{known}", lambda: self._load(path), _cure(path))

    def _token_keys(self, uri: str) -> Iterator[Candidate]:
        """Yield the keys of a PKCS#11 token that a URI means, each with its certificates first."""
        from . import pkcs11  # ctypes takes its time to load, and few have tokens

        try:
            found = pkcs11.keys(
                pkcs11.Uri.parse(uri, self._credentials.pins.get(uri)), self._credentials.pkcs11_provider, self._ask()
            )
        except LibsshSessionException as exc:
            self.obstacles.append(f"publickey: {exc}")
            return
        for key in found:
            for file, certificate in self._certificates:
                if certificate.key == key.blob:
                    yield self._by_signer(key.certified(certificate.blob), file)
            yield self._by_signer(key)

    def _security_key(self, path: str, blob: bytes | None) -> Signer | None:
        """Return what signs with the device that a key file is a handle for; None if it is none."""
        if blob is None or path.endswith(".pub") or not keys.is_security_key(blob):
            return None
        ask = self._ask() if path in self._credentials.identities else None
        return self._device(lambda: keys.security_key(path, self._credentials.passphrase, ask), blob, path)

    def _device(self, load: Callable[[], security_keys.Handle], blob: bytes, name: str) -> security_keys.SecurityKey:
        from .security_keys import SecurityKey  # ctypes takes its time to load, and few have such keys

        credentials = self._credentials
        return SecurityKey(cache(load), blob, name, credentials.security_key_provider, self._ask(), credentials.notify)

    def _ask(self) -> keys.Ask | None:
        return self._patiently(self._credentials.ask) if self._credentials.ask else None

    def _load(self, path: str) -> _core.Key:
        if path.endswith(".pub"):
            raise KeyImportError(
                "the agent does not hold this key" if self._credentials.agent else "there is no agent that could hold this key"
            )
        ask = self._ask() if path in self._credentials.identities else None
        return keys.load_key_file(path, self._credentials.passphrase, ask)

    # Certificates

    def _read_certificates(self) -> Iterator[tuple[str, certificates.Certificate]]:
        """Yield the certificates that were named; one that can't be read is an obstacle."""
        for file in self._credentials.certificate_files:
            try:
                yield file, keys.read_certificate(file)
            except KeyImportError as exc:
                self.obstacles.append(f"certificate {file}: {exc}")

    def _certificates_of(self, path: str) -> Iterator[tuple[str, certificates.Certificate]]:
        yield from self._certificates
        beside = f"{path.removesuffix('.pub')}-cert.pub"
        if os.path.exists(beside):
            try:
                yield beside, keys.read_certificate(beside)
            except KeyImportError as exc:
                self.obstacles.append(f"certificate {beside}: {exc}")

    def _certified(self, path: str, file: str) -> _core.Key:
        return keys.with_certificate(self._load(path), keys.read(file), file)

    def _described(self, file: str, certificate: certificates.Certificate) -> str:
        problem = certificate.problem(self._core.get_text(_core.OPTIONS["user"]))
        about = f"certificate {file} of {hostkeys.fingerprint(certificate.key)}"
        return f"{about}; {problem}" if problem else about

    # The agent

    def _agent_keys(self) -> list[Signer]:
        path = self._credentials.agent
        if not path:
            return []
        try:
            agent = Agent(path)
            self._stack.callback(agent.close)
            return agent.keys()
        except AgentError as exc:  # a stale SSH_AUTH_SOCK is no reason not to try the rest
            self.obstacles.append(f"publickey: {exc}")
            return []

    def _by_signer(self, signer: Signer, file: str = "") -> Candidate:
        certificate = certificates.parse(signer.blob)
        source = f"{signer.name} {hostkeys.fingerprint(signer.blob)}"
        if certificate is not None:
            source = f"{signer.name} with {self._described(file or 'held there', certificate)}"
        return Candidate("publickey", source, lambda: self._sign(signer), signer.cure)

    def _sign(self, signer: Signer) -> int:
        """Log in with a key that somebody else has.  libssh waits for it unconditionally, so that is done aside."""
        self._check_size(signer.blob)
        if self._selector is None:
            self._selector = Selector()
            self._stack.callback(self._selector.close)
            self._core.set_agent(self._selector.detach())
        selector = self._selector
        selector.choose(signer)
        return _aside(self._by_selector, lambda: self._deadline, selector)

    def _by_selector(self) -> int:
        while True:
            try:
                return self._core.auth_agent(self._deadline)
            except LibsshSessionTimeout:  # by a deadline that has been put off, if a person was asked meanwhile
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    raise


def _cure(path: str) -> str:
    return "agent" if path.endswith(".pub") else "identities"


def _aside(call: Callable[[], int], deadline: Callable[[], float | None], selector: Selector) -> int:
    """Make *call* in a thread, and heed signals and the deadline of the moment: both end it by closing *selector*."""
    outcome: list[int | BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as exc:  # noqa: BLE001 - raised again where it was called for
            outcome.append(exc)

    thread = threading.Thread(target=run, name="ssh-agent-login", daemon=True)
    thread.start()
    try:
        _join(thread, deadline)
    except BaseException:
        selector.close()
        thread.join()
        outcome.clear()
        raise
    result = outcome.pop()
    result = selector.failure() or result
    if not isinstance(result, BaseException):
        return result
    try:
        raise result
    finally:
        del result  # its traceback has this frame, and with it the session; so has that of what is in the list


def _join(thread: threading.Thread, deadline: Callable[[], float | None]) -> None:
    while thread.is_alive():
        end = deadline()
        left = _SLICE if end is None else end - time.monotonic()
        if left <= 0:
            raise LibsshSessionTimeout("public key authentication failed: timed out")
        thread.join(min(_SLICE, left))
