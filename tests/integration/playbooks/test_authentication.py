# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to log in, as options of the plugin: many hosts of one inventory, one server, one playbook a fixture."""

from __future__ import annotations

import base64
import os
import re
import subprocess

import pytest

from tests.integration.test_login_chains import PAM_OATH
from tests.lab import agents, servers
from tests.lab.bad import Round
from tests.lab.fixtures import missing, new_hosts

from .runner import Ansible
from .test_failures import answered

# What a host is in for: `expect` is what its one command prints, or a text of the error that it is unreachable with.
TASKS = """
- raw: id -un
  register: result
  ignore_unreachable: true
- assert:
    that: result is not unreachable and result.stdout | trim == expect
    fail_msg: "got: {{ result }}"
  when: refused is not defined
- assert:
    that: result is unreachable and result.msg is search(item)
    fail_msg: "{{ item }} is not in: {{ result }}"
  loop: "{{ refused | default([]) }}"
- meta: reset_connection
"""
SERVER = """
MaxAuthTries 3
LogLevel DEBUG2
TrustedUserCAKeys {ca}.pub
Match User ansible
    AuthenticationMethods publickey,password
Match User nopw
    AuthenticationMethods publickey,keyboard-interactive password,keyboard-interactive
"""
# The second server: three factors, the last of them the password and a code, which is good once for each user.
CODES = """
MaxAuthTries 9
Match User root,ansible
    AuthenticationMethods publickey,publickey,keyboard-interactive
"""
SECRET = b"12345678901234567890"


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A directory with a CA's key, certified keys, a locked key, and keys that no server knows."""
    path = tmp_path_factory.mktemp("keys")
    for name in ("ca", "certified", "expired", "others", *(f"stranger{i}" for i in range(7))):
        servers.make_key(path / name)
    servers.make_key(path / "locked", "rsa", passphrase="open sesame")
    (path / "elsewhere").write_bytes((path / "certified").read_bytes())
    (path / "elsewhere").chmod(0o600)
    (path / "ca.pub").chmod(0o644)
    validity = {"certified": ("root", "+1h"), "expired": ("root", "20200101:20200102"), "others": ("alice", "+1h")}
    for name, (principal, when) in validity.items():
        certify = ["ssh-keygen", "-q", "-s", path / "ca", "-I", name, "-n", principal, "-V", when, path / f"{name}.pub"]
        subprocess.run(certify, check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def server(lab, material):
    """A server with users who need two factors, a CA, and little patience."""
    for new in new_hosts(lab, "loopback"):
        key = " ".join((material / "locked.pub").read_text().split()[:2])
        host = new(sshd_config=SERVER.format(ca=material / "ca"), authorized_keys=key)
        if not host.has_accounts:
            missing("root, for a server with users of its own")
        yield host


@pytest.fixture
def agent(tmp_path, material, lab):
    """The socket of an agent that holds seven strangers' keys before the one that is known."""
    with agents.ssh_agent(tmp_path, *(material / f"stranger{i}" for i in range(7)), lab.key) as path:
        yield path


@pytest.fixture
def certified_agent(tmp_path, material):
    """The socket of an agent that holds a key with its certificate."""
    directory = tmp_path / "certified"
    directory.mkdir()
    with agents.ssh_agent(directory, material / "certified") as path:
        yield path


def add(ansible: Ansible, server, name: str, expect: str = "root", user: str = "root", **variables):
    """Add a host that has no key but by these variables; those of the plugin may lack their ``ansible_libssh_``."""
    known = {"refused", "password", "private_key_file", "private_key", "private_key_passphrase"}
    named = {key if key in known - {"password"} else f"ansible_libssh_{key}": value for key, value in variables.items()}
    named = {f"ansible_{key}" if key in known - {"refused"} else key: value for key, value in named.items()}
    base = {"ansible_user": user, "ansible_private_key_file": None, "ansible_libssh_look_for_keys": False, "expect": expect}
    ansible.add(server, name, **base | named)


def test_every_way(bare_ansible: Ansible, server, material, agent, certified_agent, lab):
    """Each host logs in by what it has, or is unreachable with all attempts, the server's answers, and what to set."""
    key, password = lab.key.read_text(), server.password
    certified = {"private_key": (material / "certified").read_text()}
    certificate = (material / "certified-cert.pub").read_text()
    locked = {"private_key": (material / "locked").read_text()}
    pub = f"{lab.key}.pub"
    bare_ansible.environment |= {"SSH_AUTH_SOCK": agent}
    for name, variables in {
        "file": {"private_key_file": str(lab.key)},
        "memory": {"private_key": key},
        "locked": locked | {"private_key_passphrase": "open sesame"},
        "lockedfile": {"private_key_file": str(material / "locked"), "private_key_passphrase": "open sesame"},
        "oneofeight": {"private_key_file": pub},
        "oneofeightonly": {"identities": [pub], "identities_only": True, "agent": True},
        "second": {"private_key_file": str(material / "stranger0"), "identities": [str(lab.key)]},
        "otheragent": {"agent": True, "identity_agent": agent, "private_key_file": pub},
        "password": {"password": password},
        "certificatefile": {
            "private_key_file": str(material / "elsewhere"),
            "certificate_file": [str(material / "certified-cert.pub")],
        },
        "beside": {"private_key_file": str(material / "certified")},
        "incertificatefile": certified | {"certificate": certificate},
        "certificateinagent": {"agent": True, "identity_agent": certified_agent},
        "passwordfirst": {"password": password, "private_key": key, "preferred_authentications": "password,publickey"},
        "answers": {"keyboard_interactive_answers": {"(?i)pass": password}},
        "twofactors": {"user": "ansible", "expect": "ansible", "private_key": key, "password": password},
        "twoothers": {"user": "nopw", "expect": "nopw", "private_key": key, "password": password},
        "twicethepassword": {"user": "nopw", "expect": "nopw", "password": password},
        # and what goes wrong
        "wrongphrase": locked | {"private_key_passphrase": "sesame", "refused": ["wrong passphrase"]},
        "nophrase": locked | {"refused": ["no passphrase", "ansible_private_key_passphrase"]},
        "short": locked
        | {
            "private_key_passphrase": "open sesame",
            "rsa_min_size": 8192,
            "refused": ["the key has 2048 bits, fewer than rsa_min_size allows", "lower ansible_libssh_rsa_min_size"],
        },
        "garbage": {"private_key": "garbage", "refused": ["not a private key"]},
        "toomany": {"agent": True, "refused": ["the agent's lab SHA256", "identities_only"]},
        "agentoff": {"agent": False, "private_key_file": pub, "refused": ["there is no agent", "ansible_libssh_agent"]},
        "keysoff": {
            "refused": ["nobody is here to answer .Password", "ansible_private_key_file", "ansible_libssh_look_for_keys"]
        },
        "expired": {
            "private_key_file": str(material / "expired"),
            "refused": ["it expired on 2020-01-0", "denied .methods left: password, publickey"],
        },
        "others": {"private_key_file": str(material / "others"), "refused": ["it is for alice, not for root"]},
        "half": {
            "user": "ansible",
            "private_key": key,
            "refused": [
                "publickey .private_key SHA256:\\S+.: accepted, but more is wanted .methods left: password",
                "The server accepts: password\\.",
                "Check .*ansible_password",
            ],
        },
        "unanswered": {"user": "nopw", "private_key": key, "refused": ["nobody is here to answer 'Password:'"]},
        "wrongpassword": {
            "password": "wr0ng",
            "preferred_authentications": ["password"],
            "refused": ["password: denied", "ansible_password"],
        },
    }.items():
        add(bare_ansible, server, name, **variables)
    outcome = bare_ansible.play(TASKS, "--forks", "4", quiet=False)
    assert outcome.rc == 0, outcome.text
    assert "wr0ng" not in outcome.text
    assert "sesame" not in outcome.text
    # One key of eight was shown to the server, by each of the hosts that name it.
    log = server.log()
    fingerprints = [
        subprocess.run(["ssh-keygen", "-lf", f"{path}.pub"], check=True, capture_output=True, text=True).stdout.split()[1]
        for path in (lab.key, material / "stranger1")
    ]
    assert fingerprints[0] in log
    shown = [part for part in re.split(r"Connection from", log) if fingerprints[1] in part]
    assert len(shown) == 1, "strangers' keys are shown by the host 'toomany', and by no other"


@pytest.mark.parametrize("persist", [0, 30])
@pytest.mark.parametrize("what", ["password", "passphrase"])
def test_questions_on_a_terminal(bare_ansible: Ansible, server, material, lab, what: str, persist: int):
    """A question that nothing answers is put to the user, with the host's name, and logs in; through the holder, too."""
    if what == "password":
        user, answer, question = "nopw", server.password, "Password:"
        variables = {"private_key": lab.key.read_text()}
    else:
        user, answer, question = "root", "open sesame", f"Passphrase for {material / 'locked'}:"
        # Other known hosts would be another login.
        variables = {"private_key_file": str(material / "locked"), "known_hosts_file": str(server.known_hosts_file)}
    add(bare_ansible, server, "h", user=user, persist=persist, **variables)
    logins = [user]
    if persist and what == "passphrase":
        # Another name of the same login, and another login by the same key.
        add(bare_ansible, server, "again", user=user, persist=persist, **variables)
        add(bare_ansible, server, "other", user="nopw", persist=persist, password=server.password, **variables)
        logins.append("nopw")
    status, shown = answered(bare_ansible, "- raw: id -un\n- raw: id -un\n", question, answer)
    assert status == 0, shown
    for login in logins:
        # Where the login is kept it is asked for once, by whichever task or name comes first.
        asked = " ".join(shown.split()).count(f"{login}@127.0.0.1:{server.port} asks: {question}")
        assert asked == (1 if persist else 2), shown


PROMPTED = """
- hosts: all
  gather_facts: false
  vars_prompt: [{name: ansible_private_key_passphrase, prompt: Whatever unlocks the key}]
  tasks:
    - raw: id -un
    - raw: id -un
"""


def test_a_passphrase_for_all_hosts(bare_ansible: Ansible, server, material):
    """With vars_prompt the passphrase is asked for once in a play, however many logins it is for."""
    locked = {"private_key_file": str(material / "locked"), "persist": 0}
    add(bare_ansible, server, "h", **locked)
    add(bare_ansible, server, "other", user="nopw", password=server.password, **locked)
    status, shown = answered(bare_ansible, PROMPTED, "Whatever unlocks the key", "open sesame")
    assert status == 0, shown
    assert "asks:" not in shown
    assert shown.count("Whatever unlocks the key") == 1


@pytest.fixture
def with_codes(new_sshd, material):
    """A server that asks for the password and then a one-time code besides two keys; the password of one user has expired."""
    if not any(map(os.path.exists, PAM_OATH)):
        missing("libpam-oath")
    host = new_sshd(sshd_config=CODES, authorized_keys=(material / "ca.pub").read_text())
    # A file for each user: of two who log in at once, pam_oath renames the new file of one away from under the other.
    for user in ("root", "ansible"):
        codes = host.directory / f"{user}.oath"
        codes.write_text(f"HOTP/T30/6 {user} - {SECRET.hex()}\n")
        codes.chmod(0o600)
    rules = "auth required pam_unix.so nodelay\nauth [success=1 default=ignore] pam_succeed_if.so quiet user = nopw\n"
    rules += f"auth required pam_oath.so usersfile={host.directory}/${{USER}}.oath window=20 digits=6\n"
    (host.directory / "etc/pam.d/sshd").write_text(f"{rules}account required pam_unix.so\npassword required pam_unix.so\n")
    shadow = host.directory / "etc/shadow"
    shadow.write_text(re.sub(r"(?m)^(nopw:[^:]*):\d+:", r"\1:0:", shadow.read_text()))
    return host


def test_codes_and_three_factors(bare_ansible: Ansible, bad_server, with_codes, material, lab):
    """A password and a code from a vaulted secret, the last of three factors; what is missing of them; a password that has expired.

    OpenSSH asks one question a round, of which these are two; another server asks two in one and then a third.
    """
    answers = {"(?i)^password": with_codes.password, "One-time": {"totp": base64.b32encode(SECRET).decode()}}
    totp = {"keyboard_interactive_answers": answers}
    two = {"private_key_file": str(lab.key), "identities": [str(material / "ca")]}
    code = r"nobody is here to answer .One-time password"
    for persist, user in ((0, "root"), (30, "ansible")):
        for name, variables in {
            "three": {"user": user, "expect": user, **two, **totp},
            "twoofthree": {
                "private_key_file": str(lab.key),
                **totp,
                "refused": ["more is wanted .methods left: publickey", "The server accepts: publickey\\."],
            },
            "nocode": two
            | {
                "password": with_codes.password,
                "refused": [code, "ansible_libssh_keyboard_interactive_answers|ansible_password"],
            },
            "wrongsecret": two
            | {
                "keyboard_interactive_answers": answers | {"One-time": {"totp": "no base32!"}},
                "refused": ["the secret for one-time codes is not base32"],
            },
            "expiredpassword": {
                "user": "nopw",
                "password": with_codes.password,
                "preferred_authentications": ["keyboard-interactive"],
                "refused": ["the server wants the password to be changed: it asks .'New password:'", "have it set there"],
            },
        }.items():
            add(bare_ansible, with_codes, f"{name}{persist}", persist=persist, **variables)
    rounds = (
        Round((("Password: ", False, "one"), ("Verification code: ", True, "123456")), "Login", "Answer both."),
        Round((("Favourite colour? ", True, "blue"),)),
    )
    id_ = {"id": [["send", "ansible\n"], ["exit", 0]]}
    asking = bad_server(factors=("keyboard-interactive",), rounds=rounds, scripts=id_)
    table = {"Verification": "123456", "(?i)pass": "one", "[Cc]olou?r": "blue"}
    right = {"user": "ansible", "expect": "ansible", "keyboard_interactive_answers": table}
    missing_one = right | {"keyboard_interactive_answers": table | {"[Cc]olou?r": None}, "refused": ["'Favourite colour\\?'"]}
    for persist in (0, 30):
        add(bare_ansible, asking, f"rounds{persist}", persist=persist, **right)
    add(bare_ansible, asking, "unanswered", **missing_one)
    outcome = bare_ansible.play(TASKS, "--forks", "4", quiet=False)
    assert outcome.rc == 0, outcome.text
    assert with_codes.password not in outcome.text
