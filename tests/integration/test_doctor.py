# SPDX-License-Identifier: LGPL-2.1-or-later
"""The doctor on real servers: one that is well, and each failure with its cure."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import pylibsshext
from pylibsshext.doctor import examine
from tests.lab import agents, servers
from tests.lab.accounts import PASSWORD
from tests.lab.bad import Round
from tests.lab.fixtures import missing, new_hosts

from .test_login_chains import PAM_OATH, SECRET

ALL = ["configuration", "name", "connection", "banner", "algorithms", "host key", "login", "command", "sftp", "channels"]


def keywords(host, /, **more):
    """What reaches a host of the lab, and nothing of this machine's user."""
    known = {"host": host.address, "port": host.port, "user": host.user, "knownhosts": str(host.known_hosts_file)}
    return {**known, "identities": [str(host.key)], "look_for_keys": False, "config_file": "none", "timeout": 3, **more}


def steps(report):
    """Name → finding."""
    return {finding.step: finding for finding in report.findings}


def test_host_that_is_well(sshd):
    """All steps are there, and each tells what there was."""
    report = examine(**keywords(sshd))
    found = steps(report)
    assert report.ok
    assert list(found) == ALL
    assert found["name"].details["addresses"] == [sshd.address]
    assert found["banner"].text.startswith("SSH-2.0-OpenSSH")
    algorithms = found["algorithms"].details
    assert algorithms["chosen"]["kex"] in algorithms["ours"]["kex"]
    assert algorithms["chosen"]["kex"] in algorithms["theirs"]["kex"]
    assert algorithms["theirs"]["host_key"] == ["ssh-ed25519"]
    assert f"known from {sshd.known_hosts_file}:1" in found["host key"].text
    assert found["login"].details["method"] == "publickey"
    assert found["login"].details["attempts"][-1].endswith(": accepted")
    assert found["sftp"].details["limits"]["max_read_length"] > 200_000
    assert found["channels"].details == {"at a time": 12, "or more": True}
    assert not report.cures


def test_its_inventory_works(sshd):
    """What the report says to set has everything that the connection needed."""
    text = examine(**keywords(sshd)).to_text()
    variables = yaml.safe_load(text.partition("In the inventory:\n")[2])
    assert variables["ansible_connection"] == "ansible.netcommon.libssh"
    assert (variables["ansible_host"], variables["ansible_port"]) == (sshd.address, sshd.port)
    assert variables["ansible_private_key_file"] == str(sshd.key)


@pytest.fixture
def doctor(sshd, tmp_path):
    """Run the command as a user would, with a home of its own."""

    def run(*words, stdin=""):
        return subprocess.run(
            [sys.executable, "-m", "pylibsshext", "doctor", *map(str, words)],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path(pylibsshext.__path__[0]).parent)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_command(doctor, sshd):
    """For people lines, for machines JSON; the exit status says whether the host can be used; nothing is on stderr."""
    words = ["-i", sshd.key, "--set", f"knownhosts={sshd.known_hosts_file}", f"{sshd.user}@{sshd.address}:{sshd.port}"]
    done = doctor(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nok      login          by publickey\n" in done.stdout
    done = doctor("--json", *words)
    assert [step["step"] for step in json.loads(done.stdout)["steps"]] == ALL
    done = doctor("--json", "-F", "none", f"{sshd.address}:{sshd.port}")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["steps"][-1]["step"]) == (1, False, "host key")
    assert not (Path(sshd.directory) / "home/.ssh/known_hosts").exists()


def test_command_asks_for_the_password(doctor, sshd):
    """Without a terminal the password is a line of the standard input; it is printed nowhere."""
    if not sshd.password:
        missing("root, for hosts with passwords")
    words = ["--ask-pass", "--set", "agent=false", "--set", f"knownhosts={sshd.known_hosts_file}"]
    done = doctor(*words, f"{sshd.user}@{sshd.address}:{sshd.port}", stdin=f"{sshd.password}\n")
    assert done.returncode == 0, done.stdout
    assert 'ansible_password: "{{ vault_password }}"' in done.stdout
    assert sshd.password not in done.stdout


def test_interruption(tmp_path):
    """Ctrl-C ends it at once, without a word."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pylibsshext",
                "doctor",
                "--set",
                "timeout=50",
                f"127.0.0.1:{silent.getsockname()[1]}",
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path(pylibsshext.__path__[0]).parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
        silent.accept()[0] as connection,
    ):
        assert connection.recv(4) == b"SSH-"
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.communicate(timeout=30)[0] == b""
    assert process.returncode == 130
    assert time.monotonic() - began < 5


def test_config_file_counts(doctor, sshd, tmp_path):
    """The name of a Host block is examined with what that says."""
    (tmp_path / "config").write_text(
        f"Host lab\n HostName {sshd.address}\n Port {sshd.port}\n User {sshd.user}\n"
        f" UserKnownHostsFile {sshd.known_hosts_file}\n IdentityFile {sshd.key}\n"
    )
    done = doctor("-F", tmp_path / "config", "lab")
    assert done.returncode == 0, done.stdout
    assert f"{sshd.user}@{sshd.address}:{sshd.port}, directly ({tmp_path}/config)" in " ".join(done.stdout.split())


# What ails the connection: how to make it so, the step that fails, and what the last lines must have.


def unknown_key(sshd, _tmp):
    """Nobody knows the host."""
    return keywords(sshd, knownhosts="/dev/null")


def changed_key(sshd, tmp):
    """Another key is on record."""
    (tmp / "known").write_text(f"[{sshd.address}]:{sshd.port} {servers.make_key(tmp / 'other')}\n")
    return keywords(sshd, knownhosts=str(tmp / "known"))


def revoked_key(sshd, tmp):
    """The key is revoked."""
    (tmp / "known").write_text(f"@revoked * {sshd.host_keys[0]}\n")
    return keywords(sshd, knownhosts=str(tmp / "known"))


def wrong_password(sshd, _tmp):
    """The password is not the one."""
    return keywords(sshd, identities=[], password="wrong", agent=False)


def wrong_key(sshd, tmp):
    """The server does not want the key."""
    servers.make_key(tmp / "key")
    return keywords(sshd, identities=[str(tmp / "key")])


def wrong_passphrase(sshd, tmp):
    """The key file can't be opened."""
    servers.make_key(tmp / "key", passphrase="open sesame")
    return keywords(sshd, identities=[str(tmp / "key")], private_key_password="sesame close")


def no_passphrase(sshd, tmp):
    """Nobody gives the key file's passphrase."""
    servers.make_key(tmp / "key", passphrase="open sesame")
    return keywords(sshd, identities=[str(tmp / "key")])


def too_many_rounds(sshd, tmp):
    """To open the key file would take longer than anybody waits."""
    servers.make_key(tmp / "key", passphrase="open sesame")
    lines = (tmp / "key").read_text().splitlines()
    raw = bytearray(base64.b64decode("".join(lines[1:-1])))
    head = len(b"openssh-key-v1\0") + sum(4 + len(word) for word in (b"aes256-ctr", b"bcrypt")) + 4
    raw[head + 20 : head + 24] = (6000).to_bytes(4, "big")  # behind a salt of 16 bytes and its length
    (tmp / "key").write_text("\n".join([lines[0], base64.b64encode(raw).decode(), lines[-1], ""]))
    return keywords(sshd, identities=[str(tmp / "key")], private_key_password="open sesame")


SHORT_KEY = ["the key has 2048 bits, fewer than rsa_min_size allows (8192)", "or lower ansible_libssh_rsa_min_size"]


def short_key(sshd, tmp):
    """The key is an RSA key with fewer bits than what is allowed."""
    servers.make_key(tmp / "key", "rsa")
    return keywords(sshd, identities=[str(tmp / "key")], rsa_min_size=8192)


def short_key_as_text(sshd, tmp):
    """As before, and the key is no file."""
    short_key(sshd, tmp)
    return keywords(sshd, identities=[], private_key=(tmp / "key").read_text(), rsa_min_size=8192)


def no_such_key_in_the_agent(sshd, tmp):
    """The agent does not have the key whose public half is named."""
    servers.make_key(tmp / "key")
    return keywords(sshd, identities=[str(tmp / "key.pub")], agent=False)


def wrong_secret(sshd, _tmp):
    """What one-time codes are to be computed from is no secret for that."""
    return keywords(sshd, identities=[], agent=False, kbdint_answers={"(?i)pass": {"totp": "no base32!"}})


def no_certificate(sshd, tmp):
    """The certificate that is named cannot be read."""
    (tmp / "cert.pub").write_text("ssh-ed25519 AAAA")
    return keywords(sshd, identities=[], agent=False, certificate_file=str(tmp / "cert.pub"))


def method_that_is_left_out(sshd, _tmp):
    """The only method that may be used is one that the server does not have."""
    return keywords(sshd, preferred_authentications=["hostbased", "gssapi-with-mic"])


def no_key_file(sshd, tmp):
    """There is no such file."""
    return keywords(sshd, identities=[str(tmp / "nothing")])


def nothing_to_log_in_with(sshd, _tmp):
    """Neither key nor password."""
    return keywords(sshd, identities=[], agent=False)


def no_such_name(sshd, _tmp):
    """The name has no address."""
    return keywords(sshd, host="nowhere.invalid")


def closed_port(sshd, _tmp):
    """Nobody listens."""
    return keywords(sshd, port=1)


def failing_proxy(sshd, _tmp):
    """The proxy command ends at once."""
    return keywords(sshd, proxycommand="sh -c 'echo no route >&2; exit 3'")


def no_config_file(sshd, tmp):
    """The ssh_config file that is given is none."""
    return keywords(sshd, config_file=str(tmp / "nothing"))


def garbage_key(sshd, _tmp):
    """What is given as a key is none."""
    return keywords(sshd, private_key="garbage")


@pytest.mark.parametrize(
    ("case", "step", "cures"),
    [
        (
            unknown_key,
            "host key",
            ["SHA256:", "ssh-keyscan -p {port} {host}", "ssh-keygen -lf", "ansible_libssh_host_key: ssh-ed25519 "],
        ),
        (changed_key, "host key", ["ssh-keygen -f {tmp}/known -R '[{host}]:{port}'"]),
        (revoked_key, "host key", ["{tmp}/known:1", "revoked"]),
        (wrong_password, "login", ["ansible_password", "ansible_user"]),
        (wrong_key, "login", ["ansible_private_key_file", "{tmp}/key SHA256:"]),
        (wrong_passphrase, "login", ["ansible_private_key_passphrase", "wrong passphrase"]),
        (no_passphrase, "login", ["ansible_private_key_passphrase", "no passphrase was given"]),
        (too_many_rounds, "login", ["{tmp}/key wants 6000 rounds of bcrypt, more than 5000", "ssh-keygen -p -a 100 -f"]),
        *((case, "login", SHORT_KEY) for case in (short_key, short_key_as_text)),
        (no_such_key_in_the_agent, "login", ["ansible_libssh_agent", "there is no agent that could hold this key"]),
        (wrong_secret, "login", ["ansible_libssh_keyboard_interactive_answers", "not base32"]),
        (no_certificate, "login", ["{tmp}/cert.pub is not a certificate", "ansible_private_key_file"]),
        (method_that_is_left_out, "login", ["ansible_libssh_preferred_authentications"]),
        (no_key_file, "login", ["ansible_private_key_file", "{tmp}/nothing"]),
        (nothing_to_log_in_with, "login", ["ansible_private_key_file", "ansible_password"]),
        (no_such_name, "name", ["ansible_host"]),
        (closed_port, "connection", ["ansible_port", "SSH server runs"]),
        (failing_proxy, "banner", ["ansible_libssh_proxy_command", "exit status 3", "no route"]),
        (no_config_file, "configuration", ["{tmp}/nothing is not a file"]),
        (garbage_key, "configuration", ["not a private key", "ansible_private_key, "]),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_failures_of_the_client(sshd, tmp_path, case, step, cures):
    """The way ends at the right step, and from there on the report names the cure."""
    assert_cure(
        examine(**case(sshd, tmp_path)), step, [cure.format(tmp=tmp_path, host=sshd.address, port=sshd.port) for cure in cures]
    )


def assert_cure(report, step, cures):
    """The last finding is *step*, not ok; it, what to do and what is to be set has all of *cures*."""
    last = report.findings[-1]
    assert (last.step, last.ok, report.ok) == (step, False, False)
    text = report.to_text(10_000)
    told, _, inventory = text[text.index("FAILED") :].partition("In the inventory:")
    ending = "\n".join([told, *(line for line in inventory.splitlines() if line.endswith("  # to be set"))])
    assert "What to do:" in ending
    for cure in cures:
        assert cure in ending


@pytest.mark.parametrize(
    ("behaviour", "step", "cures"),
    [
        ({"greeting": "silent"}, "banner", ["then says nothing", "ansible_port", "ansible_ssh_timeout"]),
        ({"greeting": "close"}, "banner", ["before it says anything", "MaxStartups"]),
        ({"greeting": "garbage"}, "banner", ["no SSH server", "ansible_port"]),
        ({"greeting": "http"}, "banner", ["no SSH server", "HTTP/1.", "ansible_port"]),
        ({"greeting": "banner-only"}, "algorithms", ["then says nothing", "the server's log"]),
        ({"greeting": "banner-close"}, "algorithms", ["then ends the connection", "the server's log"]),
        ({"greeting": "slow", "delay": 5.0}, "banner", ["ansible_ssh_timeout"]),
        ({"factors": ("publickey", "password")}, "login", ["more is wanted", "ansible_password:"]),
        ({"factors": ("password", "publickey")}, "login", ["ansible_password:"]),
        ({"deaf": True}, "command", ["timed out", "the server's log"]),
        ({"max_channels": 0}, "command", ["MaxSessions"]),
        (
            {"listen": {"kex_algs": ["diffie-hellman-group14-sha1"]}},
            "algorithms",
            [
                "nothing in common for key exchange",
                "ansible_libssh_key_exchange_algorithms: ",
                'diffie-hellman-group14-sha1"  # to be set',
            ],
        ),
        (
            {"listen": {"encryption_algs": ["aes128-cbc"]}},
            "algorithms",
            ["cipher, the server's: aes128-cbc", "ansible_libssh_ciphers: ", 'aes128-cbc"  # to be set'],
        ),
        (
            {"listen": {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]}},
            "algorithms",
            ["nothing in common for MAC", "ansible_libssh_macs: ", 'hmac-sha1"  # to be set'],
        ),
        ({"listen": {"encryption_algs": ["cast128-cbc"]}}, "algorithms", ["has no cipher of the server's"]),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_failures_of_the_server(bad_server, behaviour, step, cures):
    """Servers that do not greet, do not agree, do not let in or do not open: each has its words."""
    assert_cure(examine(**keywords(bad_server(**behaviour), timeout=2, agent=False)), step, cures)


def test_reset(bad_server):
    """A connection that is reset at once is, whether that is seen before it stands or after."""
    report = examine(**keywords(bad_server(greeting="reset")))
    assert_cure(
        report, "banner" if report.findings[-2].step == "connection" else "connection", ["reset by peer", "MaxStartups"]
    )


def test_each_attempt_is_told(bad_server, tmp_path):
    """A login that gets through after several attempts lists them all."""
    servers.make_key(tmp_path / "stranger")
    host = bad_server(factors=("publickey", "password"))
    report = examine(**keywords(host, identities=[str(tmp_path / "stranger"), str(host.key)], password=host.password))
    denied, partial, accepted = steps(report)["login"].notes
    assert "stranger SHA256:" in denied
    assert "denied (methods left: publickey" in denied
    assert "more is wanted (methods left: password" in partial
    assert accepted == "password: accepted"


def test_server_that_is_full(new_sshd):
    """OpenSSH beyond its MaxStartups says so, and is not taken for another service."""
    host = new_sshd(sshd_config="MaxStartups 1")
    with socket.create_connection((host.address, host.port)) as other:
        assert other.recv(4) == b"SSH-"
        assert_cure(examine(**keywords(host)), "banner", ["takes no connection now", "MaxStartups and"])


def test_too_many_keys(new_sshd, tmp_path):
    """A server that gives up on a client with many keys: the last lines name the switch that offers fewer."""
    host = new_sshd(sshd_config="MaxAuthTries 2")
    strangers = [tmp_path / f"key{number}" for number in range(4)]
    for stranger in strangers:
        servers.make_key(stranger)
    report = examine(**keywords(host, identities=[*map(str, strangers), str(host.key)]))
    assert_cure(report, "login", ["ansible_libssh_identities_only"])


def test_short_key_in_the_agent(sshd, tmp_path):
    """It is not shown to the server either, and that is told."""
    about = short_key(sshd, tmp_path)
    with agents.ssh_agent(tmp_path, tmp_path / "key") as agent:
        assert_cure(examine(**about, agent=agent), "login", ["(the agent's lab", *SHORT_KEY])


@pytest.fixture(scope="module")
def factors(lab, tmp_path_factory):
    """A server that wants of root two keys and a one-time code, and of "nopw" a password that has expired; and root's other key."""
    if not any(map(os.path.exists, PAM_OATH)):
        missing("libpam-oath")
    other = tmp_path_factory.mktemp("factors") / "other"
    for new in new_hosts(lab, "loopback"):
        host = new(
            sshd_config="Match User root\n AuthenticationMethods publickey,publickey,keyboard-interactive",
            authorized_keys=servers.make_key(other),
        )
        if not host.password:
            missing("root, for a server with PAM of its own")
        users = host.directory / "users.oath"
        users.write_text(f"HOTP/T30/6 root - {SECRET.hex()}\n")
        users.chmod(0o600)
        rules = "auth [success=1 default=ignore] pam_succeed_if.so quiet user = nopw\n"
        rules += f"auth [success=done default=die] pam_oath.so usersfile={users} window=20 digits=6\n"
        rules += "auth required pam_unix.so nodelay\naccount required pam_unix.so\npassword required pam_unix.so\n"
        (host.directory / "etc/pam.d/sshd").write_text(rules)
        shadow = host.directory / "etc/shadow"
        shadow.write_text(re.sub(r"(?m)^(nopw:[^:]*):\d+:", r"\1:0:", shadow.read_text()))
        yield host, str(other)


def test_factors(factors):
    """Of three factors one is missing, or the code is refused; a password has expired, whichever method takes it."""
    host, other = factors
    two = {"user": "root", "agent": False, "identities": [str(host.key), other]}
    expired = {"user": "nopw", "agent": False, "identities": [], "password": host.password}
    for step, more, cures in (
        (
            "login",
            {**two, "identities": two["identities"][:1]},
            ["more is wanted (methods left: publickey", "ansible_private_key_file"],
        ),
        ("login", two, ["more is wanted (methods left: keyboard-interactive", "ansible_password"]),
        (
            "login",
            {**two, "kbdint_answers": {"One-time": "000000"}},
            ["denied with a one-time code", "compare this machine's clock", "ansible_libssh_keyboard_interactive_answers"],
        ),
        (
            "login",
            {**expired, "preferred_authentications": "keyboard-interactive"},
            ["wants the password to be changed: it asks ['New password:']", "Log in with ssh once and change it"],
        ),
        ("command", {**expired, "preferred_authentications": "password"}, ["expired", "Log in with ssh once and change it"]),
    ):
        report = examine(**keywords(host, **more))
        assert_cure(report, step, cures)
        assert host.password not in report.to_text()


def certified(tmp, *options):
    """Make a key with a certificate of a CA; return the key, and the CA's public one."""
    authority = servers.make_key(tmp / "authority")
    servers.make_key(tmp / "certified")
    command = ["ssh-keygen", "-q", "-s", tmp / "authority", "-I", "lab", *options, tmp / "certified.pub"]
    subprocess.run(command, check=True)
    return tmp / "certified", authority


@pytest.mark.parametrize(
    ("options", "cures"),
    [
        (["-n", "somebody-else"], ["certified-cert.pub", "it is for somebody-else, not for"]),
        (["-V", "20200101:20200102"], ["certified-cert.pub", "it expired on 2020-01-0"]),
    ],
    ids=["principal", "expired"],
)
def test_certificates(new_sshd, tmp_path, options, cures):
    """A certificate for another user, or of another time, is what the last lines are about."""
    key, authority = certified(tmp_path, *options)
    (tmp_path / "authority.pub").write_text(authority)
    host = new_sshd(sshd_config=f"TrustedUserCAKeys {tmp_path / 'authority.pub'}")
    assert_cure(examine(**keywords(host, identities=[str(key)])), "login", cures)


@pytest.mark.parametrize(
    ("behaviour", "more", "cures"),
    [
        ({"any_of": ("keyboard-interactive",)}, {}, ["ansible_password"]),
        (
            {"any_of": ("keyboard-interactive",), "rounds": (Round((("One-time code: ", False, "123456"),)),)},
            {"password": "secret"},
            ["One-time code", "ansible_libssh_keyboard_interactive_answers"],
        ),
        ({"any_of": ("password",), "expired": True}, {"password": PASSWORD}, ["password to be changed"]),
    ],
    ids=["nothing to answer with", "unknown question", "expired password"],
)
def test_questions(bad_server, behaviour, more, cures):
    """Questions that nothing answers, and a password that must be changed."""
    host = bad_server(**behaviour)
    assert_cure(examine(**keywords(host, identities=[], agent=False, **more)), "login", cures)


def test_cure_is_true(bad_server):
    """With the variable that the doctor asks to set, the two sides agree."""
    host = bad_server(listen={"encryption_algs": ["aes128-cbc"]})
    cure = examine(**keywords(host)).to_set["ansible_libssh_ciphers"]
    assert "login" in steps(examine(**keywords(host, ciphers=cure)))


def test_pinned_key_of_the_cure_works(sshd):
    """With the host key as the doctor prints it for the inventory, the host is known."""
    pin = examine(**unknown_key(sshd, None)).to_set["ansible_libssh_host_key"]
    assert steps(examine(**keywords(sshd, knownhosts="/dev/null", host_key=pin)))["login"].ok


def test_nothing_is_changed(sshd, tmp_path):
    """A key that would be added is not: to look is not to trust."""
    known = tmp_path / "known_hosts"
    report = examine(**keywords(sshd, knownhosts=str(known), host_key_checking="accept-new"))
    assert report.ok
    assert "not known" in steps(report)["host key"].text
    assert not known.exists()


def test_options_of_ssh(doctor, sshd):
    """`-o` is what it is for ssh, and so is the line for the inventory."""
    words = [f"-oPort={sshd.port}", "-o", f"User {sshd.user}", "-o", f"UserKnownHostsFile={sshd.known_hosts_file}"]
    done = doctor("-i", sshd.key, *words, sshd.address)
    assert done.returncode == 0, done.stdout
    variables = yaml.safe_load(done.stdout.partition("In the inventory:\n")[2])
    assert f"-o Port={sshd.port} -o 'User {sshd.user}'" in variables["ansible_ssh_common_args"]


def test_algorithms_that_libssh_lacks(sshd):
    """What is asked for in vain is named; the others do."""
    report = examine(**keywords(sshd, hostkeys="+ssh-dss", ciphers="^nonsense,aes192-ctr"))
    assert report.ok
    notes = " ".join(steps(report)["configuration"].notes)
    assert "ansible_libssh_hostkeys: libssh does not have ssh-dss" in notes
    assert "ansible_libssh_ciphers: libssh does not have nonsense" in notes
    assert steps(report)["algorithms"].details["chosen"]["cipher_out"] == "aes192-ctr"


def test_jump_host(sshd, new_sshd):
    """The way through another host is told; a jump host that is not known is where the way ends."""
    hop = {"host": sshd.address, "port": sshd.port, "user": sshd.user, "knownhosts": str(sshd.known_hosts_file)}
    inner = new_sshd()
    found = steps(examine(**keywords(inner, proxy_jump=[hop])))
    assert f"by the jump host {sshd.user}@{sshd.address}:{sshd.port}" in found["configuration"].text
    assert "name" not in found
    assert found["login"].ok
    report = examine(**keywords(inner, proxy_jump=[{**hop, "knownhosts": "/dev/null"}]))
    assert_cure(report, "connection", [f"{sshd.address} port {sshd.port} shows", f"ssh-keyscan -p {sshd.port} {sshd.address} "])


class Ways:
    """What the failing ways below are made of."""

    def __init__(self, sshd, jumper, new_sshd, bad_server, proxy_server, dead_address, relay, tmp_path):
        self.sshd, self.jumper, self.tmp = sshd, jumper, tmp_path
        self.new_sshd, self.bad_server, self.proxy_server, self.relay = new_sshd, bad_server, proxy_server, relay
        self.dead = dict(zip(("host", "port"), dead_address))

    def hop(self, **more):
        """Return a jump host."""
        return {**through(self.jumper), **more}

    def behind(self, *hops, **more):
        """Return the keywords for a host behind jump hosts."""
        return keywords(self.sshd, **{"proxy_jump": list(hops), **more})

    def behind_bad(self, limit=1.5, **behaviour):
        """Return the keywords for a host behind a jump host that misbehaves, or what is none."""
        bad = self.bad_server(**behaviour)
        return self.behind({**through(bad), "identities": [str(bad.key)], "timeout": limit})

    def certified(self, *options, authority="authority"):
        """Return the keywords for a host that shows a certificate, where the authority of a name is on record."""
        line = servers.make_key(self.tmp / "authority")
        known = line if authority == "authority" else servers.make_key(self.tmp / authority)
        host = self.new_sshd(sshd_config=f"HostCertificate {self.tmp}/host-cert.pub")
        (self.tmp / "host.pub").write_bytes((host.directory / "ssh_host_ed25519_key.pub").read_bytes())
        sign = ["ssh-keygen", "-q", "-s", self.tmp / "authority", "-h", "-I", "h", *options, self.tmp / "host.pub"]
        subprocess.run(sign, check=True)
        host.restart()
        (self.tmp / "known").write_text(f"@cert-authority * {known}\n")
        return keywords(host, knownhosts=str(self.tmp / "known"))

    def other_key(self, host):
        """Return a known hosts file with another key of the host's."""
        (self.tmp / "known").write_text(f"[{host.address}]:{host.port} {servers.make_key(self.tmp / 'other')}\n")
        return str(self.tmp / "known")

    def configured(self, *lines):
        """Return the keywords for a host with an ssh_config file of these lines."""
        (self.tmp / "config").write_text("".join(f"{line}\n" for line in lines))
        return keywords(self.sshd, config_file=str(self.tmp / "config"))

    def by(self, scheme, login="", port=0, **about):
        """Return the keywords for a host behind a proxy, by default one of our own."""
        kind = "http" if scheme == "http" else "socks"
        return keywords(self.sshd, proxy=f"{scheme}://{login}127.0.0.1:{port or self.proxy_server(kind, **about).port}")

    def silent(self):
        """Return the port of a listener that says nothing."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        return self.listener.getsockname()[1]

    def cut(self, when):
        """Return the keywords for a host whose line swallows everything after so many bytes."""
        far, link = self.relay(self.sshd)
        link.black_hole() if not when else link.set(cut_after=when)
        return keywords(far, timeout=1)


@pytest.fixture(scope="module")
def jumper(lab):
    """A host to go through."""
    for new in new_hosts(lab, "loopback"):
        yield new()


@pytest.fixture
def ways(sshd, jumper, new_sshd, bad_server, proxy_server, dead_address, relay, tmp_path):
    """Make ways that fail."""
    made = Ways(sshd, jumper, new_sshd, bad_server, proxy_server, dead_address, relay, tmp_path)
    yield made
    if hasattr(made, "listener"):
        made.listener.close()


ME = ("me", "pass")
OTHER = "SHA256:" + "A" * 43
PROXIES = {
    f"{scheme} {name}": (way, "connection", cures)
    for scheme in ("socks5", "socks5h", "http")
    for name, (way, cures) in {
        "without a login": (lambda w, s=scheme: w.by(s, user=ME), ["user name and password in ansible_libssh_proxy"]),
        "wrong login": (lambda w, s=scheme: w.by(s, "me:x@", user=ME), ["user name and password in ansible_libssh_proxy"]),
        "refuses": (lambda w, s=scheme: w.by(s, reply=5), ["can't connect to", "reached from the proxy"]),
        "hangs": (lambda w, s=scheme: w.by(s, port=w.silent()) | {"timeout": 1}, ["ansible_libssh_proxy, whether the proxy hangs"]),
        "closed port": (lambda w, s=scheme: w.by(s, port=1), ["ansible_libssh_proxy, and that the proxy runs"]),
        "is an SSH server": (lambda w, s=scheme: w.by(s, port=w.sshd.port), ["the scheme and the port in ansible_libssh_proxy"]),
    }.items()
}  # fmt: skip
OTHERS = {
    "no proxy": (lambda w: keywords(w.sshd, proxy="ftp://me:canary@x"), "connection", ["Check ansible_libssh_proxy"]),
    "no such cipher anywhere": (lambda w: keywords(w.sshd, ciphers="rot13"), "configuration", ["Check ansible_libssh_ciphers"]),
    "no Unix socket": (
        lambda w: keywords(w.sshd, unix_socket=str(w.tmp / "none")),
        "connection",
        ["ansible_libssh_unix_socket"],
    ),
    "hop 1 refused": (
        lambda w: w.behind(w.hop(port=1), w.hop()),
        "connection",
        ["at the jump host", ":1:", "ansible_host and ansible_port", "its mapping in ansible_libssh_proxy_jump"],
    ),
    "hop 1 is a black hole": (
        lambda w: w.behind(w.dead, w.hop(), timeout=1),
        "connection",
        ["at the jump host", "no answer within", "firewall", "its mapping in ansible_libssh_proxy_jump"],
    ),
    "hop 1 unknown": (
        lambda w: w.behind(w.hop(knownhosts="/dev/null"), w.hop(port=1)),
        "connection",
        ["at the jump host", "ssh-keyscan -p {jumper} {host} ", "its mapping in ansible_libssh_proxy_jump"],
    ),
    "hop 2 refused": (
        lambda w: w.behind(w.hop(), w.hop(port=1)),
        "connection",
        ["through the jump host", "to {host} port 1 failed", "the host must be reached from the jump host"],
    ),
    "hop 2 has no such name": (
        lambda w: w.behind(w.hop(), w.hop(host="nowhere.invalid")),
        "connection",
        ["to nowhere.invalid port", "by a name that is known there"],
    ),
    "hop 2 has another key": (
        lambda w: w.behind(w.hop(), w.hop(host="localhost", host_key=OTHER)),
        "connection",
        ["at the jump host", "IS NOT THE PINNED ONE", OTHER],
    ),
    "hop 2 lets nobody in": (
        lambda w: w.behind(w.hop(), w.hop(user="nobody-here")),
        "connection",
        [
            "at the jump host nobody-here@",
            "methods left",
            "ansible_private_key_file",
            "its mapping in ansible_libssh_proxy_jump",
        ],
    ),
    "hop 2 lets nobody through": (
        lambda w: w.behind(w.hop(), through(w.new_sshd(sshd_config="AllowTcpForwarding no"))),
        "connection",
        ["through the jump host", "AllowTcpForwarding"],
    ),
    "refused behind a hop": (
        lambda w: w.behind(w.hop(), port=1),
        "connection",
        ["through the jump host", "ansible_host and ansible_port: the host must be reached from the jump host"],
    ),
    "hop 1 has no such name": (
        lambda w: w.behind(w.hop(host="nowhere.invalid")),
        "connection",
        ["at the jump host", "nowhere.invalid", "Check the name in ansible_host", "its mapping in ansible_libssh_proxy_jump"],
    ),
    "hop 1 has changed its key": (
        lambda w: w.behind(w.hop(knownhosts=w.other_key(w.jumper))),
        "connection",
        ["at the jump host", "HAS CHANGED", "{tmp}/known:1", "ssh-keygen -f {tmp}/known -R '[{host}]:{jumper}'"],
    ),
    "hop 1 says nothing": (
        lambda w: w.behind_bad(greeting="silent"),
        "connection",
        ["at the jump host", "does not go on from there", "ansible_libssh_banner_timeout", "its mapping in"],
    ),
    "hop 1 hangs up": (
        lambda w: w.behind_bad(greeting="close"),
        "connection",
        ["at the jump host", "MaxStartups", "its mapping in"],
    ),
    "hop 1 is no SSH server": (
        lambda w: w.behind_bad(greeting="http"),
        "connection",
        ["at the jump host", "Check ansible_port", "its mapping in"],
    ),
    "hop 1 has old ciphers": (
        lambda w: w.behind_bad(9, listen={"encryption_algs": ["aes128-cbc"]}),
        "connection",
        ["at the jump host", "server [aes128-cbc]", "Set ansible_libssh_ciphers", "its mapping in"],
    ),
    "hop 2 is a black hole": (
        lambda w: w.behind(w.hop(), {**w.dead, "timeout": 1}),
        "connection",
        ["through the jump host", "timed out", "the host must be reached from the jump host"],
    ),
    "no such proxy command": (
        lambda w: keywords(w.sshd, proxycommand="/no/such/program %h"),
        "banner",
        ["exit status 127", "ansible_libssh_proxy_command"],
    ),
    "a proxy command that says nothing": (
        lambda w: keywords(w.sshd, proxycommand="sleep 20", timeout=1),
        "banner",
        ["ansible_libssh_proxy_command", "ansible_ssh_timeout"],
    ),
    "a proxy command that says something else": (
        lambda w: keywords(w.sshd, proxycommand="echo Bad Gateway; sleep 20", timeout=1),
        "banner",
        ["Bad Gateway", "ansible_libssh_proxy_command"],
    ),
    "a name for the shell": (
        lambda w: keywords(w.sshd, host="h;id", proxycommand="true %h"),
        "configuration",
        ["'h;id' is no host name", "Check ansible_host"],
    ),
    "a bad line of ssh_config": (
        lambda w: w.configured("Port 22", "Match nonsense"),
        "configuration",
        ["{tmp}/config line 2", "nonsense"],
    ),
    "a bad value of ssh_config": (
        lambda w: w.configured("ServerAliveInterval soon"),
        "configuration",
        ["serveraliveinterval soon", "it is not a time"],
    ),
    "no such host key algorithm": (
        lambda w: keywords(w.sshd, hostkeys="ecdsa-sha2-nistp256"),
        "algorithms",
        ["nothing in common for host key", "host key, the server's: ssh-ed25519", "ansible_libssh_hostkeys", "+ssh-ed25519"],
    ),
    "no such compression": (
        lambda w: keywords(w.new_sshd(sshd_config="Compression no"), compression="zlib"),
        "algorithms",
        ["nothing in common for compression", "ansible_libssh_compression"],
    ),
    "a short RSA key of the host": (
        lambda w: keywords(w.new_sshd(host_keys=("rsa",)), rsa_min_size=8192),
        "algorithms",
        ["ansible_libssh_rsa_min_size"],
    ),
    "an expired host certificate": (
        lambda w: w.certified("-V", "20200101:20200102"),
        "host key",
        ["it expired on 2020-01-0", "Sign the host's key anew"],
    ),
    "a host certificate for another": (
        lambda w: w.certified("-n", "other.example"),
        "host key",
        ["it is for other.example, not for {host}", "Sign the host's key anew", "ansible_libssh_host_key_alias"],
    ),
    "a host certificate of another authority": (
        lambda w: w.certified(authority="other"),
        "host key",
        ["which is not known", "ssh-keyscan"],
    ),
    "half-open from the start": (lambda w: w.cut(0), "banner", ["then says nothing", "ansible_port", "ansible_ssh_timeout"]),
    "line cut in the key exchange": (lambda w: w.cut(1500), "algorithms", ["disconnected", "look at its log"]),
    "another address of this machine": (
        lambda w: keywords(w.sshd, bind_address="198.51.100.1"),
        "connection",
        ["ansible_libssh_bind_address"],
    ),
    "another family": (lambda w: keywords(w.sshd, address_family="inet6"), "name", ["ansible_libssh_address_family"]),
    "key revoked by a file": (
        lambda w: keywords(w.sshd, revoked_host_keys=revoked(w)),
        "host key",
        ["{tmp}/revoked:1", "revoked"],
    ),
    "no file of revoked keys": (
        lambda w: keywords(w.sshd, revoked_host_keys=str(w.tmp / "gone")),
        "host key",
        ["{tmp}/gone failed: No such file", "ansible_libssh_revoked_host_keys_file"],
    ),
}


def through(host):
    """Return a host as a hop."""
    return {"host": host.address, "port": host.port, "user": host.user, "knownhosts": str(host.known_hosts_file)}


def revoked(ways):
    """Return a file that revokes the host's key."""
    (ways.tmp / "revoked").write_text(f"{ways.sshd.host_keys[0]}\n")
    return str(ways.tmp / "revoked")


@pytest.mark.parametrize("name", [*PROXIES, *OTHERS])
def test_failures_of_the_way(ways, name):
    """Proxies, jump hosts and lines that fail: the last lines say which of them, and what to look at."""
    way, step, cures = {**PROXIES, **OTHERS}[name]
    known = {"{tmp}": ways.tmp, "{host}": ways.sshd.address, "{jumper}": ways.jumper.port}
    for mark, value in known.items():
        cures = [cure.replace(mark, str(value)) for cure in cures]
    assert_cure(examine(**way(ways)), step, cures)


def test_black_hole(dead_address, sshd):
    """Where no answer comes the timeout ends it, and the last lines say what to look at."""
    host, port = dead_address
    report = examine(**keywords(sshd, host=host, port=port, timeout=1))
    assert_cure(report, "connection", ["firewall", "ansible_ssh_timeout"])


def test_old_software(other_server):
    """Servers of other makes, and with less: tinysshd has no SFTP, and one channel a connection."""
    report = examine(**keywords(other_server("tinysshd")))
    found = steps(report)
    assert found["channels"].details["at a time"] <= 1
    assert "scp" in found["sftp"].text


def test_account_without_a_shell(new_sshd):
    """An account that runs no commands is one, although it logs in."""
    report = examine(**keywords(new_sshd(sshd_config="ForceCommand echo not you")))
    assert_cure(report, "command", ["not you", "POSIX shell", "network_cli"])


def test_start_up_file_that_prints(new_sshd):
    """What the account's start-up files print without being asked spoils transfers, and is shown."""
    host = new_sshd(sshd_config='ForceCommand sh -c "echo Good morning; $SSH_ORIGINAL_COMMAND"')
    assert_cure(examine(**keywords(host)), "command", ["Good morning", "start-up files"])


def test_few_channels(new_sshd):
    """MaxSessions is found."""
    report = examine(**keywords(new_sshd(sshd_config="MaxSessions 3")))
    assert steps(report)["channels"].details == {"at a time": 3, "or more": False}
