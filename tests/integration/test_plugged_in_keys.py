# SPDX-License-Identifier: LGPL-2.1-or-later
"""FIDO2 keys that are plugged in, without agent or provider: the real libfido2 before security keys in software (`authenticator.py`)."""

from __future__ import annotations

import base64
import contextlib
import gc
import glob
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from pylibsshext import _core, fido2
from pylibsshext.advice import advice
from pylibsshext.agent import string
from pylibsshext.errors import AuthenticationError
from pylibsshext.session import Session
from tests.lab import authenticator
from tests.lab.fixtures import missing, new_hosts
from tests.lab.works import works

from . import mux_lab
from .conftest import login as for_login
from .playbooks.conftest import bare_ansible, collections_path  # noqa: F401 - fixtures
from .playbooks.test_failures import answered

PIN = "1234"
KEYS = {
    "ed25519-sk": ("-t", "ed25519-sk"),
    "ecdsa-sk": ("-t", "ecdsa-sk"),
    "pin": ("-t", "ed25519-sk", "-O", "verify-required"),
    "silent": ("-t", "ecdsa-sk", "-O", "no-touch-required"),
}


not_with_0_10 = pytest.mark.skipif(
    _core.LIBSSH_VERSION.startswith("0.10."),
    reason="libssh 0.10 has not this kind of certificates in its list, and takes no additions",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A libfido2 that finds our devices."""
    real = next(iter([*glob.glob("/usr/lib/*/libfido2.so.1"), *glob.glob("/usr/lib*/libfido2.so.1")]), None)
    if not real or not os.path.exists("/usr/include/fido.h"):
        missing("libfido2-dev")
    if not shutil.which("gcc"):
        missing("gcc")
    made = authenticator.Library(tmp_path_factory.mktemp("libfido2"), Path(real))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fido2, "LIBRARY", str(made.path))  # by its path: the real one may be loaded, and has the same name
        yield made


@pytest.fixture(scope="module")
def ports(tmp_path_factory):
    """Where devices are plugged in."""
    return tmp_path_factory.mktemp("usb")


@pytest.fixture(scope="module")
def enrolled(library, ports, tmp_path_factory):
    """The directory of the key files that ssh-keygen makes with a device, and the device."""
    directory = tmp_path_factory.mktemp("keys")
    askpass = directory / "askpass"
    askpass.write_text(f"#!/bin/sh\necho {PIN}\n")
    askpass.chmod(0o700)
    environment = {**os.environ, **library.environment, "LAB_FIDO2": str(ports)}
    environment |= {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    with authenticator.plugged_in(ports / "main", pin=PIN) as device:
        for name, arguments in KEYS.items():
            words = ["ssh-keygen", "-q", *arguments, "-N", "", "-f", str(directory / name)]
            done = subprocess.run(
                words, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=30
            )
            assert done.returncode == 0, done.stderr
        yield directory, device


@pytest.fixture
def keys(enrolled):
    """The directory of the key files."""
    return enrolled[0]


@pytest.fixture
def device(enrolled, ports, monkeypatch):
    """The device that has the keys; nothing of the last test is left in it."""
    device = enrolled[1]
    monkeypatch.setenv("LAB_FIDO2", str(ports))
    monkeypatch.delenv("SSH_SK_PROVIDER", raising=False)
    device.tries = 8
    device.asked = 0
    device.protocol = 1
    device.told_to_stop.clear()
    device.verifies = False
    device.patience = 20.0
    device.finger.set()
    device.plug_in_again()
    return device


@pytest.fixture(scope="module")
def host(lab, enrolled):
    """A server that knows the keys."""
    lines = [" ".join((enrolled[0] / f"{name}.pub").read_text().split()[:2]) for name in KEYS]
    lines[-1] = f"no-touch-required {lines[-1]}"
    for new in new_hosts(lab, "loopback"):
        yield new(authorized_keys="\n".join(lines))


@pytest.fixture
def login(host, connect, keys, device):
    """Log in with one of the keys: `login("pin")`."""

    def with_key(name, **more):
        return connect(host, **{"private_key": None, "identities": [str(keys / name)], "agent": False, **more})

    return with_key


@contextlib.contextmanager
def nobody_near(*devices):
    """Have nobody touch the devices."""
    for device in devices:
        device.finger.clear()
    try:
        yield
    finally:
        for device in devices:
            device.finger.set()


@pytest.mark.parametrize("kind", ["ed25519-sk", "ecdsa-sk"])
def test_touch(login, device, keys, host, kind):
    """Its key file is enough: the device is asked once, and it is told that it waits for a touch."""
    told = []
    assert login(kind, notify_callback=told.append).info.auth_method == "publickey"
    assert told == [f"Touch the security key to log in with {keys / kind}"]
    assert device.asked == 1
    login(kind, security_key_provider="internal")
    works(f"{kind} on USB (libfido2, device in software)", host)


def test_no_touch(login, device):
    """A key that wants no touch gets none, and nobody is told."""
    told = []
    with nobody_near(device):
        login("silent", notify_callback=told.append)
    assert (told, device.asked) == ([], 0)


@pytest.mark.parametrize("kind", [pytest.param("ed25519-sk", marks=not_with_0_10), "ecdsa-sk"])
def test_certificate(new_sshd, connect, keys, device, tmp_path, kind):
    """A certificate beside the key file logs in where the key alone is not known."""
    for name in (kind, f"{kind}.pub"):
        shutil.copy(keys / name, tmp_path)
    for words in (
        ["-t", "ed25519", "-N", "", "-f", tmp_path / "ca"],
        ["-s", tmp_path / "ca", "-I", "me", "-n", "root", f"{tmp_path / kind}.pub"],
    ):
        subprocess.run(["ssh-keygen", "-q", *words], check=True, stdin=subprocess.DEVNULL)
    host = new_sshd(sshd_config=f"TrustedUserCAKeys {tmp_path / 'ca'}.pub")
    login = {"private_key": None, "identities": [str(tmp_path / kind)], "agent": False}
    assert connect(host, **login).info.auth_method == "publickey"
    (tmp_path / f"{kind}-cert.pub").unlink()
    with pytest.raises(AuthenticationError, match="denied"):
        connect(host, **login)
    works(f"{kind} with a certificate", host)


def test_usual_file(login, keys, device, tmp_path, monkeypatch):
    """~/.ssh/id_ed25519_sk is found, as ssh finds it."""
    (tmp_path / ".ssh").mkdir()
    shutil.copy(keys / "ed25519-sk", tmp_path / ".ssh" / "id_ed25519_sk")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert login("ed25519-sk", identities=None, look_for_keys=True).info.auth_method == "publickey"


@pytest.mark.parametrize("protocol", [1, 2])
def test_pin(login, device, keys, host, protocol):
    """It is asked for before the touch, and the time that typing takes is not the login's; a wrong one is told, with what is left."""
    device.protocol = protocol
    events = []

    def ask(question, secret):
        events.append((question, secret))
        time.sleep(2)
        return PIN

    login("pin", prompt_callback=ask, notify_callback=events.append, auth_timeout=1.5)
    assert events == [
        (f"PIN of the security key for {keys / 'pin'}: ", True),
        f"Touch the security key to log in with {keys / 'pin'}",
    ]
    with pytest.raises(AuthenticationError, match=r"does not sign: the PIN is wrong \(7 attempts left\)") as caught:
        login("pin", prompt_callback=lambda *_: "98765")
    assert "98765" not in str(caught.value)
    assert advice(caught.value, "h", 22).startswith("Type the security key's own PIN")
    with pytest.raises(AuthenticationError, match="nobody is here to give the PIN of the security key"):
        login("pin")
    assert device.tries == 7
    works("a security key's PIN on USB (libfido2, device in software)", host)


@pytest.mark.skipif(not _core.READS_SECURITY_KEYS, reason=f"libssh {_core.LIBSSH_VERSION} reads no such keys with a passphrase")
def test_passphrase(login, keys, device, tmp_path):
    """A key file with a passphrase, and one as text: it is asked for before the PIN, only if the server takes the key; a wrong one is told."""
    locked = tmp_path / "locked"
    shutil.copy(keys / "pin", locked)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", locked], check=True, stdin=subprocess.DEVNULL)
    told = []

    def ask(question, secret):
        told.append(question)
        return "open sesame" if "Passphrase" in question else PIN

    assert login(locked, prompt_callback=ask).info.auth_method == "publickey"
    assert told == [f"Passphrase for {locked}: ", f"PIN of the security key for {locked}: "]
    login(locked, private_key_password="open sesame", prompt_callback=lambda *_: PIN)
    login(locked, identities=None, private_key=locked.read_text(), prompt_callback=ask)
    login("ecdsa-sk", identities=None, private_key=(keys / "ecdsa-sk").read_text())
    for more, expected in (({"private_key_password": "sesame"}, "wrong passphrase"), ({}, "no passphrase was given")):
        with pytest.raises(AuthenticationError, match=expected) as caught:
            login(locked, **more)
        assert caught.value.keywords[0] == "private_key_password"
        assert device.tries == 8


def test_pin_that_is_blocked(login, device):
    """After three wrong ones the device wants to be plugged in anew, after eight it is of no use; both are told."""
    for expected in (r"\(7 attempts left\)", r"\(6 attempts left\)", "take it out and plug it in again"):
        with pytest.raises(AuthenticationError, match=expected):
            login("pin", prompt_callback=lambda *_: "0000")
    device.plug_in_again()
    device.tries = 0
    with pytest.raises(AuthenticationError, match="its PIN is blocked"):
        login("pin", prompt_callback=lambda *_: PIN)


def test_finger(login, device):
    """A device that knows its owner's finger asks for no PIN."""
    device.verifies = True
    assert login("pin").info.auth_method == "publickey"


def test_nobody_touches(login, device, soon):
    """The login's time is over, or the device's: the device is told, told of, and free for the next login."""
    with nobody_near(device):
        with soon(1.5, tolerance=0.7), pytest.raises(TimeoutError):
            login("ed25519-sk", auth_timeout=1.5)
        assert device.told_to_stop.wait(5)
        device.patience = 0.5
        with pytest.raises(AuthenticationError, match="does not sign: nobody touched it in time"):
            login("ed25519-sk")
    login("ed25519-sk")


def test_ctrl_c(login, device, soon):
    """It ends the waiting for a touch at once, and the device's, too."""
    with nobody_near(device), soon(1.0, tolerance=0.7):
        timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            login("ed25519-sk")
    assert device.told_to_stop.wait(5)
    login("ed25519-sk")


def test_two_logins_at_once(login, device):
    """The second waits for its turn."""
    with nobody_near(device):
        threads = [threading.Thread(target=login, args=["ed25519-sk"]) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert device.waiting.wait(10)
        time.sleep(0.3)
        assert device.asked == 1
    for thread in threads:
        thread.join(10)
    assert device.asked == 2


def test_device_that_is_pulled_out(login, keys, ports, library, tmp_path, monkeypatch):
    """While it waits for a touch, or that does not answer at all: an error, not a wait without end."""
    (tmp_path / "usb").mkdir()
    monkeypatch.setenv("LAB_FIDO2", str(tmp_path / "usb"))
    with authenticator.plugged_in(tmp_path / "usb" / "other") as device:
        device.finger.clear()
        told = []

        def pull_out(text):
            told.append(text)
            threading.Timer(0.3, device.close).start()

        with pytest.raises(AuthenticationError, match="does not sign: it does not answer any more"):
            login("ed25519-sk", notify_callback=pull_out)
        assert told
    with authenticator.plugged_in(tmp_path / "usb" / "other") as device:
        device.mute = True
        with pytest.raises(TimeoutError):
            login("ed25519-sk", auth_timeout=1)


def test_several_devices(login, device, ports):
    """The one that has the key is found without a touch, unless the key hides: then a touch chooses."""
    with authenticator.plugged_in(ports / "another", pin="5678") as another:
        login("ecdsa-sk")
        assert (device.asked, another.asked) == (1, 0)
        asked = []

        def ask(question, secret):
            asked.append(question)
            return PIN

        with nobody_near(another):
            login("pin", prompt_callback=ask)
            assert another.told_to_stop.wait(5)
        assert (len(asked), device.asked, another.tries) == (1, 3, 8)


def test_wrong_device(login, enrolled, tmp_path, monkeypatch):
    """One or two devices without the key, or none: told, with what to do."""
    (tmp_path / "usb").mkdir()
    monkeypatch.setenv("LAB_FIDO2", str(tmp_path / "usb"))
    with pytest.raises(AuthenticationError, match="no security key is there: plug it in") as caught:
        login("ed25519-sk")
    assert advice(caught.value, "h", 22).startswith("Plug in the security key, or load it into ssh-agent. Check")
    with authenticator.plugged_in(tmp_path / "usb" / "1"):
        with pytest.raises(AuthenticationError, match="does not sign: it does not have this key"):
            login("ed25519-sk")
        with authenticator.plugged_in(tmp_path / "usb" / "2") as second:
            with pytest.raises(AuthenticationError, match="none of the 2 security keys that are there has this key") as caught:
                login("ed25519-sk")
            assert advice(caught.value, "h", 22).startswith("Plug in the security key that the key file belongs to")
            assert second.asked == 0


def test_no_library(login, monkeypatch):
    """Without libfido2 the error names the package."""
    monkeypatch.setattr(fido2, "LIBRARY", "libfido2.so.none")
    with pytest.raises(AuthenticationError, match=r"libfido2.so.none, .*: install libfido2 \(apt: libfido2-1\)") as caught:
        login("ed25519-sk")
    assert advice(caught.value, "h", 22).startswith(
        "Install libfido2 (Debian: libfido2-1), or load the key into ssh-agent. Check"
    )


def pipes():
    """Return how many ends of pipes this process has open: a session has two."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{name}").startswith("pipe:")
    return found


def test_failure_leaves_no_garbage(login, device, host, keys):
    """A login that failed in the thread that signs, or by its time-out, is let go of at once, not by the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        before = pipes()
        for more in ({"prompt_callback": lambda *_: "0000"}, {"auth_timeout": 0.5, "prompt_callback": lambda *_: PIN}):
            with nobody_near(device), contextlib.suppress(AuthenticationError, TimeoutError):
                Session().connect(**for_login(host, private_key=None, identities=[str(keys / "pin")], agent=False, **more))
        assert pipes() == before
    finally:
        gc.enable()


def test_u2f(new_sshd, connect, library, tmp_path, monkeypatch):
    """A device from before FIDO2, alone and beside another."""
    (tmp_path / "usb").mkdir()
    monkeypatch.setenv("LAB_FIDO2", str(tmp_path / "usb"))
    with authenticator.plugged_in(tmp_path / "usb" / "old", u2f=True) as old:
        handle, public = old.enrol("ssh:")
        point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        kind = b"sk-ecdsa-sha2-nistp256@openssh.com"
        blob = string(kind) + string(b"nistp256") + string(point) + string(b"ssh:")
        private = b"same" * 2 + blob + b"\1" + string(handle) + string(b"") + string(b"comment")
        none = string(b"none")
        body = b"openssh-key-v1\0" + none + none + string(b"") + b"\0\0\0\1" + string(blob) + string(private)
        lines = base64.encodebytes(body).decode()
        (tmp_path / "key").write_text(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}-----END OPENSSH PRIVATE KEY-----\n")
        host = new_sshd(authorized_keys=f"{kind.decode()} {base64.b64encode(blob).decode()}")
        keywords = {"private_key": None, "identities": [str(tmp_path / "key")], "agent": False}
        assert connect(host, **keywords).info.auth_method == "publickey"
        with authenticator.plugged_in(tmp_path / "usb" / "new") as new:
            assert connect(host, **keywords).info.auth_method == "publickey"
            assert new.asked == 0
        with nobody_near(old), pytest.raises(TimeoutError):
            connect(host, **keywords, auth_timeout=1)
        connect(host, **keywords)


TASKS = """
- raw: echo logged in
  register: result
  ignore_unreachable: true
- assert:
    that: (result.stdout if result is reachable else result.msg) is search(expect)
    fail_msg: "got: {{ result }}"
"""


def test_playbook(host, bare_ansible, keys, device, ports, library, tmp_path):  # noqa: F811 - a fixture is asked for by its name
    """The same with the plugin, in the worker and through the connection holder: the touch is told of, a missing PIN, too."""
    bare_ansible.environment |= {**library.environment, "LAB_FIDO2": str(ports)}
    for persist in (0, 30):
        base = {"ansible_libssh_look_for_keys": False, "ansible_libssh_agent": False, "ansible_libssh_persist": persist}
        for name, expect in {
            "ecdsa-sk": "^logged in",
            "ed25519-sk": "^logged in",
            "pin": "nobody is here to give the PIN",
        }.items():
            file = {"ansible_private_key_file": str(keys / name), "expect": expect}
            bare_ansible.add(host, f"{name}-{persist}", **base, **file)
    with mux_lab.own_directory(tmp_path / "mux") as directory:
        bare_ansible.environment[mux_lab.DIRECTORY] = str(directory)
        outcome = bare_ansible.play(TASKS, quiet=False)
    assert outcome.rc == 0, outcome.text
    assert device.asked == 4
    assert f"Touch the security key to log in with {keys / 'ecdsa-sk'}" in outcome.words


@pytest.mark.parametrize("persist", [0, 30])
def test_pin_that_is_typed_at_a_playbooks_terminal(host, bare_ansible, keys, device, ports, library, tmp_path, persist):  # noqa: F811
    """Nothing but Ansible's own prompt asks for it, also when the holder logs in."""
    device.protocol = 2
    bare_ansible.environment |= {**library.environment, "LAB_FIDO2": str(ports)}
    about = {"ansible_libssh_look_for_keys": False, "ansible_libssh_agent": False, "ansible_libssh_persist": persist}
    bare_ansible.add(host, ansible_private_key_file=str(keys / "pin"), **about)
    with mux_lab.own_directory(tmp_path / "mux") as directory:
        bare_ansible.environment[mux_lab.DIRECTORY] = str(directory)
        question = f"asks: PIN of the security key for {keys / 'pin'}:"
        status, shown = answered(bare_ansible, "- raw: echo in\n", question, PIN)
    assert status == 0, shown
    assert f": Touch the security key to log in with {keys / 'pin'}" in " ".join(shown.split())
    assert device.asked == 1
    assert device.tries == 8
