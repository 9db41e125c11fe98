# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys that never leave their device: FIDO2 (a security key in software, `security_key.c`) and PKCS#11 (SoftHSM)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

import pytest

from pylibsshext import pkcs11
from pylibsshext.doctor import examine
from pylibsshext.errors import AuthenticationError, LibsshSessionException
from pylibsshext.mux.client import MuxSession
from tests.lab import agents, bad
from tests.lab.fixtures import missing, new_hosts
from tests.lab.works import works

from . import mux_lab
from .playbooks.conftest import bare_ansible, collections_path  # noqa: F401 - fixtures
from .playbooks.test_failures import answered
from .test_cli_transfers import ENVIRONMENT, Terminal
from .test_mux import keywords

PIN = "1234"
KINDS = ("ed25519-sk", "ecdsa-sk")
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"


def run(*words, **environment):
    env = {**os.environ, **environment}
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def askpass(tmp_path_factory):
    """The environment in which OpenSSH's programs get the PIN."""
    program = tmp_path_factory.mktemp("askpass") / "askpass"
    program.write_text(f"#!/bin/sh\necho {PIN}\n")
    program.chmod(0o700)
    return {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "LAB_PIN": PIN}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """The library of the security key."""
    if not shutil.which("gcc"):
        missing("gcc")
    path = tmp_path_factory.mktemp("sk") / "security_key.so"
    source = bad.ROOT / "tests/lab/security_key.c"
    run("gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-Wno-deprecated-declarations", "-o", path, source, "-lcrypto")
    return path


@pytest.fixture(scope="module")
def keys(provider, askpass):
    """Key files: one of each kind, and one that wants the PIN each time."""
    directory = provider.parent
    for kind in KINDS:
        run("ssh-keygen", "-q", "-t", kind, "-w", provider, "-N", "", "-f", directory / kind, **askpass)
    run(
        "ssh-keygen",
        "-q",
        "-t",
        KINDS[0],
        "-O",
        "verify-required",
        "-w",
        provider,
        "-N",
        "",
        "-f",
        directory / "pin",
        **askpass,
    )
    return directory


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """A SoftHSM token with an RSA and an EC key, and one that wants the PIN for each signature; how to use it, and the public keys."""
    if not os.path.exists(SOFTHSM):
        missing("softhsm2")
    directory = tmp_path_factory.mktemp("hsm")
    (directory / "tokens").mkdir()
    (directory / "softhsm2.conf").write_text(f"directories.tokendir = {directory}/tokens\n")
    environment = {"SOFTHSM2_CONF": str(directory / "softhsm2.conf")}
    run("softhsm2-util", "--init-token", "--free", "--label", "lab", "--pin", PIN, "--so-pin", PIN, **environment)
    public = []
    for number, kind in enumerate(("rsa", "ecdsa"), 1):
        key, label = directory / kind, f"lab {kind}"
        run("ssh-keygen", "-q", "-t", kind, "-N", "", "-m", "PKCS8", "-f", key)
        public.append(" ".join(Path(f"{key}.pub").read_text().split()[:2]))
        pem = directory / f"{kind}.p8"
        run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", key, "-out", pem)
        where = ("--token", "lab", "--label", label, "--id", f"0{number}", "--pin", PIN)
        run("softhsm2-util", "--import", pem, *where, **environment)
        key.unlink()
        pem.unlink()
    login = ("--module", SOFTHSM, "--login", "--pin", PIN)
    run(
        "pkcs11-tool",
        *login,
        "-k",
        "--key-type",
        "EC:prime256v1",
        "--label",
        "each time",
        "--id",
        "03",
        "--always-auth",
        **environment,
    )
    listed = [line for line in run("ssh-keygen", "-D", SOFTHSM, **environment).splitlines() if line.endswith(" each time")]
    return environment, [*public, " ".join(listed[0].split()[:2])]


@pytest.fixture(scope="module")
def host(lab, keys, tokens):
    """A server that knows all of them."""
    public = [" ".join((keys / f"{name}.pub").read_text().split()[:2]) for name in (*KINDS, "pin")]
    for new in new_hosts(lab, "loopback"):
        yield new(authorized_keys="\n".join([*public, *tokens[1]]))


@pytest.fixture
def agent(tmp_path, provider, tokens, monkeypatch):
    """An agent that may use both."""
    allowed = ("-P", f"{provider},{os.path.realpath(SOFTHSM)}")
    with agents.ssh_agent(tmp_path, options=allowed, LAB_PIN=PIN, **tokens[0]) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        yield path


@pytest.mark.parametrize("kind", KINDS)
def test_security_key_in_the_agent(host, connect, agent, keys, provider, kind):
    """The agent has the device sign."""
    run("ssh-add", "-q", "-S", provider, keys / kind)
    assert connect(host, private_key=None, agent=True).info.auth_method == "publickey"
    assert connect(host, private_key=None, identities=[str(keys / kind)]).info.auth_method == "publickey"
    works(f"{kind} through the agent", host)


@pytest.mark.parametrize("kind", KINDS)
def test_security_key(host, connect, keys, provider, kind):
    """The key file and the library log in, and tell that the key waits for a touch."""
    told = []
    keywords = {"private_key": None, "identities": [str(keys / kind)], "security_key_provider": str(provider)}
    session = connect(host, **keywords, notify_callback=told.append)
    assert session.info.auth_method == "publickey"
    assert told == [f"Touch the security key to log in with {keys / kind}"]
    works(f"{kind} without an agent", host)


def test_pin(host, connect, keys, provider, monkeypatch):
    """It is asked for, once; a wrong one, or nobody to ask, is told."""
    monkeypatch.setenv("LAB_PIN", PIN)
    asked = []
    keywords = {"private_key": None, "identities": [str(keys / "pin")], "security_key_provider": str(provider)}

    def ask(question, secret):
        asked.append((question, secret))
        return PIN

    assert connect(host, **keywords, prompt_callback=ask).info.auth_method == "publickey"
    assert asked == [(f"PIN of the security key for {keys / 'pin'}: ", True)]
    with pytest.raises(AuthenticationError, match="the security key does not sign: the PIN is wrong"):
        connect(host, **keywords, prompt_callback=lambda *_: "0000")
    with pytest.raises(AuthenticationError, match="nobody is here to give the PIN"):
        connect(host, **keywords)
    works("a security key's PIN", host)


def test_no_provider(host, connect, keys, tmp_path):
    """With a library that is none the error says so, and what to set."""
    (tmp_path / "none.so").write_bytes(b"no library")
    for path in (tmp_path / "none.so", SOFTHSM):
        with pytest.raises(AuthenticationError, match=f"security_key_provider: {path} cannot be used") as caught:
            connect(host, private_key=None, identities=[str(keys / KINDS[0])], security_key_provider=str(path))
        assert "security_key_provider" in caught.value.keywords


def test_token_in_the_agent(host, connect, agent, askpass, tmp_path, tokens):
    """The keys of a PKCS#11 token that the agent uses log in; a .pub file names one of them."""
    run("ssh-add", "-q", "-s", SOFTHSM, **askpass)
    for number, public in enumerate(tokens[1][:2]):
        file = tmp_path / f"{number}.pub"
        file.write_text(f"{public} token\n")
        assert connect(host, private_key=None, identities=[str(file)]).info.auth_method == "publickey"
    works("PKCS#11 tokens through the agent (SoftHSM)", host)


def test_token(host, connect, tokens, monkeypatch):
    """A URI names a key, the library is in it or apart, and so is the PIN; without a URI all keys of the token are tried."""
    monkeypatch.setenv("SOFTHSM2_CONF", tokens[0]["SOFTHSM2_CONF"])
    asked = []

    def ask(question, secret):
        asked.append((question, secret))
        return PIN

    apart = {"private_key": None, "pkcs11_provider": SOFTHSM, "prompt_callback": ask}
    inside = f"pkcs11:token=lab;object=lab%20rsa?module-path={SOFTHSM}&pin-value={PIN}"
    for uri in (inside, f"pkcs11:id=%02?module-path={SOFTHSM}&pin-value={PIN}"):
        assert connect(host, private_key=None, identities=[uri]).info.auth_method == "publickey"
    assert connect(host, **apart, identities=["pkcs11:object=lab%20ecdsa;type=private"]).info.auth_method == "publickey"
    assert connect(host, **apart).info.auth_method == "publickey"
    assert asked == [("PIN of the token lab: ", True)] * 2
    works("PKCS#11 tokens without an agent (SoftHSM)", host)


def test_a_pin_is_forgotten(host, tokens, tmp_path, monkeypatch):
    """One that stands in a URI is not in the holder's memory when the session is up, or was refused."""
    monkeypatch.setenv("SOFTHSM2_CONF", tokens[0]["SOFTHSM2_CONF"])
    wrong = "canary-7YtQ-2zvW-9KxB" * 9
    uris = [f"pkcs11:token=lab;object=lab%20rsa?module-path={SOFTHSM}&pin-value={pin}" for pin in (PIN, wrong)]
    with mux_lab.own_directory(tmp_path / "mux") as directory, MuxSession(30) as session, MuxSession(30) as refused:
        session.connect(**keywords(host, identities=uris[:1]))
        with pytest.raises(AuthenticationError, match="the PIN of the token is wrong"):
            refused.connect(**keywords(host, identities=uris[1:]))
        assert session.exec_command("true").returncode == 0
        assert mux_lab.remembered(directory, wrong=wrong.encode(), right=f"pin-value={PIN}".encode()) == set()


def test_a_token_that_many_logins_use_at_once(tokens, monkeypatch):
    """As hosts of a play do in the holder: each by its own PIN, and a wrong one does not get in on another's."""
    monkeypatch.setenv("SOFTHSM2_CONF", tokens[0]["SOFTHSM2_CONF"])

    def signs(number):
        pin = PIN if number % 2 else "98765"
        uri = f"pkcs11:token=lab;object=lab%20rsa?module-path={SOFTHSM}&pin-value={pin}"
        (key,) = pkcs11.keys(pkcs11.Uri.parse(uri), None, None)
        try:
            return bool(key.sign(b"data", 0))
        except LibsshSessionException as exc:
            return str(exc)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(signs, range(64)))
    assert set(answers[1::2]) == {True}
    assert set(answers[::2]) == {"the PIN of the token is wrong"}


def test_token_that_wants_the_pin_each_time(host, connect, tokens, monkeypatch):
    """A key with CKA_ALWAYS_AUTHENTICATE gets the PIN once more for the signature; a person is asked once."""
    monkeypatch.setenv("SOFTHSM2_CONF", tokens[0]["SOFTHSM2_CONF"])
    asked = []

    def ask(question, secret):
        asked.append((question, secret))
        return PIN

    uri = f"pkcs11:token=lab;object=each%20time?module-path={SOFTHSM}"
    assert connect(host, private_key=None, identities=[uri], prompt_callback=ask).info.auth_method == "publickey"
    assert asked == [("PIN of the token lab: ", True)]
    connect(host, private_key=None, identities=[f"{uri}&pin-value={PIN}"])
    works("a PKCS#11 key that wants its PIN for each signature (SoftHSM)", host)


def test_token_that_fails(host, connect, tokens, monkeypatch, tmp_path):
    """A wrong PIN, nobody to give one, a key or a library that isn't there: told, and no PIN in the text."""
    monkeypatch.setenv("SOFTHSM2_CONF", tokens[0]["SOFTHSM2_CONF"])
    (tmp_path / "none.so").write_bytes(b"no library")
    module = f"module-path={SOFTHSM}"
    for uri, text in {
        f"pkcs11:token=lab?{module}&pin-value=98765": "the PIN of the token is wrong",
        f"pkcs11:token=lab?{module}": "nobody is here to give the PIN of the token lab",
        f"pkcs11:token=other?{module}&pin-value=98765": "pkcs11:token=other: no token has such a key",
        f"pkcs11:serial=1?{module}&pin-value=98765": "of a PKCS#11 URI token, object, id",
        "pkcs11:token=lab?pin-value=98765": "set pkcs11_provider to the token's library",
        f"pkcs11:?module-path={tmp_path}/none.so": "none.so cannot be used",
        "pkcs11:token=lab;pin-value=98765": "publickey: pkcs11:token=lab: set pkcs11_provider",
        f"pkcs11:token=lab?{module}&pin-value=98765%ff": "pkcs11:token=lab: what is percent-encoded there is no text",
    }.items():
        with pytest.raises(AuthenticationError, match=text) as caught:
            connect(host, private_key=None, identities=[uri])
        assert "98765" not in str(caught.value)


def test_every_attempt_is_told_of(new_sshd, connect, agent, keys, provider, tokens, lab, tmp_path, monkeypatch):
    """A login that fails with keys of all kinds lists them in order: method, key and whence with its SHA256, answer, and methods left."""
    host = new_sshd(authorized_keys="", sshd_config="MaxAuthTries 30\nGSSAPIAuthentication yes")
    monkeypatch.setenv("SOFTHSM2_CONF", tokens[0]["SOFTHSM2_CONF"])
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/none")
    for name in ("file", "ca", "agents"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    for name in ("ecdsa-sk", "ecdsa-sk.pub"):
        shutil.copy(keys / name, tmp_path)
    for name in ("file", "ecdsa-sk"):
        run("ssh-keygen", "-q", "-s", tmp_path / "ca", "-I", "me", "-n", "me", "-V", "-2d:-1d", f"{tmp_path / name}.pub")
    agents.load(agent, tmp_path / "agents")
    uri = f"pkcs11:token=lab;object=lab%20rsa?module-path={SOFTHSM}&pin-value={PIN}"
    identities = [str(tmp_path / "file"), str(tmp_path / "ecdsa-sk"), str(keys / "ed25519-sk"), uri, str(tmp_path / "none")]
    with pytest.raises(AuthenticationError) as caught:
        connect(
            host,
            private_key=None,
            identities=identities,
            security_key_provider=str(provider),
            agent=True,
            password="wrong",
            gss_auth=True,
        )
    hashed = r"SHA256:[\w+/]{43}"
    denied = r": denied \(methods left: password, publickey, keyboard-interactive.*\)"
    expired = r"; it expired on [\d-]+ [\d:]+ UTC\)"
    here = re.escape(str(tmp_path))
    for line, expected in zip_longest(
        caught.value.attempts,
        (
            "gssapi-with-mic: there is no ticket for this host .*",
            rf"publickey \(certificate {here}/file-cert.pub of {hashed}{expired}{denied}",
            rf"publickey \({here}/file {hashed}\){denied}",
            rf"publickey \({here}/ecdsa-sk with certificate {here}/ecdsa-sk-cert.pub of {hashed}{expired}{denied}",
            rf"publickey \({here}/ecdsa-sk {hashed}\){denied}",
            rf"publickey \({re.escape(str(keys))}/ed25519-sk {hashed}\){denied}",
            rf"publickey \(the token lab's lab rsa {hashed}\){denied}",
            rf"publickey \({here}/none\): reading {here}/none failed: No such file or directory",
            f"password{denied}",
            f"keyboard-interactive{denied}",
            rf"publickey \(the agent's .* {hashed}\){denied}",
        ),
    ):
        assert re.fullmatch(expected or "no more", line or "none"), line
    assert "password" in caught.value.methods_left
    assert {"gssapi_server_identity", "identities", "user", "password", "kbdint_answers"} <= set(caught.value.keywords)


TASKS = """
- raw: "{{ command }}"
  register: result
  ignore_unreachable: true
- assert:
    that: (result.stdout if result is reachable else result.msg) is search(expect)
    fail_msg: "got: {{ result }}"
"""


@pytest.mark.parametrize("persist", [0, 30])
def test_playbook(host, bare_ansible, keys, provider, tokens, agent, lab, tmp_path, persist):  # noqa: F811 - a fixture is asked for by its name
    """The plugin's options do the same, by themselves and through the connection holder; so does forwarding the agent."""
    agents.load(agent, lab.key)
    bare_ansible.environment |= {**tokens[0], "SSH_AUTH_SOCK": agent, "LAB_PIN": PIN}
    token = {"ansible_ssh_pkcs11_provider": SOFTHSM}
    hop = f"ssh -F none -o BatchMode=yes -o IdentityFile=none -o UserKnownHostsFile={host.known_hosts_file}"
    hop += f" -p {host.port} {host.user}@{host.address} echo there"
    for name, variables in {
        "securitykey": {
            "ansible_private_key_file": str(keys / "ecdsa-sk"),
            "ansible_libssh_security_key_provider": str(provider),
        },
        "nopin": {
            "ansible_private_key_file": str(keys / "pin"),
            "ansible_libssh_security_key_provider": str(provider),
            "expect": "nobody is here to give the PIN",
        },
        "noprovider": {"ansible_private_key_file": str(keys / "pin"), "expect": "ansible_libssh_security_key_provider"},
        "token": token | {"ansible_private_key_file": f"pkcs11:token=lab;object=lab%20ecdsa?pin-value={PIN}"},
        "tokenpin": token
        | {
            "ansible_private_key_file": None,
            "ansible_libssh_identities": ["pkcs11:"],
            "expect": "nobody is here to give the PIN of the token lab",
        },
        "forwarding": {"ansible_libssh_forward_agent": True, "command": hop, "expect": "^there"},
        "notforwarding": {"command": "echo $SSH_AUTH_SOCK-", "expect": "^-"},
    }.items():
        base = {
            "ansible_libssh_look_for_keys": False,
            "ansible_libssh_persist": persist,
            "command": "echo logged in",
            "expect": "^logged in",
        }
        bare_ansible.add(host, name, **base | variables)
    with mux_lab.own_directory(tmp_path / "mux") as directory:
        bare_ansible.environment["PYLIBSSHEXT_MUX_DIR"] = str(directory)
        outcome = bare_ansible.play(TASKS, quiet=False)
    assert outcome.rc == 0, outcome.text
    assert f"Touch the security key to log in with {keys / 'ecdsa-sk'}" in outcome.words


@pytest.mark.parametrize("persist", [0, 30])
def test_a_tokens_pin_that_is_typed_at_a_playbooks_terminal(host, bare_ansible, tokens, persist):  # noqa: F811 - as above
    """Ansible's own prompt asks for it, also when the holder logs in."""
    bare_ansible.environment |= tokens[0]
    about = {"ansible_libssh_look_for_keys": False, "ansible_libssh_agent": False, "ansible_libssh_persist": persist}
    uri = f"pkcs11:token=lab;object=lab%20rsa?module-path={SOFTHSM}"
    bare_ansible.add(host, ansible_private_key_file=uri, **about)
    status, shown = answered(bare_ansible, "- raw: echo in\n", "asks: PIN of the token lab:", PIN)
    assert status == 0, shown


def test_files_are_copied_with_a_typed_pin(host, tokens, tmp_path):
    """`get` asks for the PIN of the token that -i names, and does not show it; a wrong one is asked for once."""
    (tmp_path / "near").write_text("near")
    uri = f"pkcs11:token=lab;object=lab%20rsa?module-path={SOFTHSM}"
    options = ["-P", host.port, "-F", "none", "--known-hosts", host.known_hosts_file, "-i", uri]
    words = [*options, f"{host.user}@{host.address}:{tmp_path}/near", tmp_path / "far"]
    argv = [sys.executable, "-m", "pylibsshext", "get", *map(str, words)]
    environment = {**ENVIRONMENT, **tokens[0], "HOME": str(tmp_path)}
    terminal = Terminal(argv, tmp_path, environment)
    terminal.wait_for("PIN of the token lab: ")
    terminal.type(f"{PIN}\n")
    assert terminal.end() == 0, terminal.said
    assert (tmp_path / "far").read_text() == "near"
    assert f"lab: {PIN}" not in terminal.said
    terminal = Terminal(argv, tmp_path, environment)
    terminal.wait_for("PIN of the token lab: ")
    terminal.type("98765\n")
    terminal.wait_for("assword: ")
    terminal.type("\x03")
    assert terminal.end() == 130, terminal.said
    assert terminal.said.count("PIN of the token") == 1


def test_the_doctor_asks_for_a_pin(host, tokens, tmp_path):
    """At a terminal, and does not show it."""
    words = [
        sys.executable,
        "-m",
        "pylibsshext",
        "doctor",
        "-F",
        "none",
        "-i",
        f"pkcs11:token=lab;object=lab%20rsa?module-path={SOFTHSM}",
    ]
    more = ["--set", "look_for_keys=false", "--set", f"host_key={host.host_keys[0]}", f"{host.user}@{host.address}:{host.port}"]
    terminal = Terminal([*words, *more], tmp_path, {**ENVIRONMENT, **tokens[0], "HOME": str(tmp_path)})
    terminal.wait_for("PIN of the token lab: ")
    terminal.type(f"{PIN}\n")
    assert terminal.end() == 0, terminal.said
    assert f"lab: {PIN}" not in terminal.said


def test_doctor(host, keys, provider, tokens, monkeypatch, tmp_path):
    """Each way in which a token or a security key fails: the doctor's last lines have what to do about that."""
    monkeypatch.setenv("SOFTHSM2_CONF", tokens[0]["SOFTHSM2_CONF"])
    (tmp_path / "none.so").write_bytes(b"no library")
    monkeypatch.setenv("LAB_PIN", PIN)
    security_key = {"identities": [str(keys / KINDS[0])]}
    with_pin = {"identities": [str(keys / "pin")], "security_key_provider": str(provider)}
    module = f"module-path={SOFTHSM}"
    cases = {
        "ansible_ssh_pkcs11_provider": {"pkcs11_provider": str(tmp_path / "none.so")},
        "Set ansible_ssh_pkcs11_provider": {"identities": ["pkcs11:token=lab"]},
        "'pkcs11-tool -O'": {"identities": [f"pkcs11:token=other?{module}"]},
        "pin-value of its pkcs11: URI": {"identities": [f"pkcs11:token=lab?{module}"]},
        "the token's PIN as": {"identities": [f"pkcs11:token=lab?{module}&pin-value=98765"]},
        "Plug in the security key, or load it into ssh-agent": security_key,
        "to be asked for the PIN": with_pin,
        "Type the security key's own PIN": {**with_pin, "prompt_callback": lambda *_: "98765"},
        "ansible_libssh_security_key_provider to": {**security_key, "security_key_provider": str(tmp_path / "none.so")},
    }
    about = {"host": host.address, "port": host.port, "user": host.user, "host_key": host.host_keys[0], "config_file": "none"}
    for cure, given in cases.items():
        report = examine(**about, agent=False, look_for_keys=False, **given)
        assert report.findings[-1].step == "login"
        assert cure in report.cures[-1], report.to_text()
        assert "98765" not in report.to_text()
