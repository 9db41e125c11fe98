# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to a host, algorithms and time-outs, by ansible-playbook."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.lab.fixtures import missing

from .runner import Ansible, Outcome
from .test_failures import running, wait_for

HOPS = """
- raw: echo $SSH_CONNECTION
  register: one
- raw: echo $SSH_CONNECTION
- set_fact: {from_port: "{{ one.stdout.split()[1] }}"}
"""


def test_logins_at_a_bastion(ansible: Ansible, new_sshd, sshd, tmp_path):
    """Twenty hosts, forks and two tasks each: as many logins at the bastion as are asked for; one a task where none is kept."""
    bastion = new_sshd()
    known = tmp_path / "known"
    known.write_text(bastion.known_hosts + "".join(f"h{number} {sshd.host_keys[0]}\n" for number in range(20)))
    ansible.hosts.clear()
    for number in range(20):
        about = {"ansible_libssh_known_hosts_file": str(known), "ansible_libssh_config_file": "none"}
        about["ansible_libssh_proxy_jump"] = f"{bastion.user}@{bastion.address}:{bastion.port}"
        ansible.add(sshd, f"h{number}", **about, ansible_libssh_host_key_alias=f"h{number}")
    counts = {}
    for logins, persist, tasks in ((1, 60, 2), (3, 60, 2), (3, 0, 1)):
        environment = {"ANSIBLE_LIBSSH_PROXY_JUMP_LOGINS": str(logins), "ANSIBLE_LIBSSH_PERSIST": str(persist)}
        before = bastion.logins()
        ansible.passes("- raw: id\n" * tasks, "--forks", "20", environment=environment)
        counts[logins, persist] = bastion.logins() - before
    assert counts == {(1, 60): 1, (3, 60): 3, (3, 0): 20}


def test_many_hosts_behind_bastions(ansible: Ansible, new_sshd, sshd, tmp_path):
    """Twenty hosts and more, two tasks: one login at each bastion, by each way of asking for it."""
    first, second = new_sshd(), new_sshd(sshd_config="AuthenticationMethods password")
    if not second.password:
        missing("root, for hosts with passwords")
    known = tmp_path / "known"
    names = [f"h{number}" for number in range(20)]
    known.write_text(first.known_hosts + sshd.known_hosts + "".join(f"{name} {sshd.host_keys[0]}\n" for name in names))
    ansible.hosts.clear()
    about = {"ansible_libssh_known_hosts_file": str(known), "ansible_libssh_config_file": "none"}
    bastion = f"{first.user}@{first.address}:{first.port}"
    for name in names:
        ansible.add(sshd, name, **about, ansible_libssh_host_key_alias=name, ansible_libssh_proxy_jump=bastion)
    own = {
        "host": second.address,
        "port": second.port,
        "user": second.user,
        "password": second.password,
        "host_key": second.host_keys[0],
    }
    ansible.add(sshd, "list", **about, ansible_libssh_proxy_jump=[bastion, own], ansible_password="not for the bastion")
    before = sshd.logins()
    ansible.passes(HOPS, "--forks", "10")
    assert (first.logins(), second.logins(), sshd.logins() - before) == (1, 1, 21)

    ansible.hosts.clear()
    config = tmp_path / "config"
    config.write_text(
        f"Host jumper\n HostName {first.address}\n Port {first.port}\n UserKnownHostsFile {known}\nHost {sshd.address}\n ProxyJump jumper\n"
    )
    ansible.add(sshd, "args", **about, ansible_ssh_common_args=f"-J {bastion}")
    ansible.add(sshd, "file", **about | {"ansible_libssh_config_file": str(config)})
    ansible.add(sshd, "direct", **about | {"ansible_libssh_config_file": str(config)}, ansible_libssh_proxy_jump="none")
    ansible.add(sshd, "wrong", **about, ansible_libssh_proxy_jump=[{"host": "h", "psw": "x"}])
    ansible.add(sshd, "nowhere", **about, ansible_libssh_proxy_jump=f"{first.address}:1")
    outcome = ansible.play("- raw: id\n", quiet=False)
    for name in ("args", "file", "direct"):
        assert outcome.recap(name) == {"ok": 1, "changed": 1}, outcome.text
    assert "a hop has no 'psw'" in outcome.words
    assert f"connecting to {first.address} port 1 failed" in outcome.words
    assert first.logins() == 2  # -J names it as before, and shares what is there


PASS_ON = """import array, socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
socket.socket(fileno=1).sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno()]))])
"""


@pytest.mark.parametrize("persist", [0, 60])
def test_proxies(ansible: Ansible, sshd, proxy_server, tmp_path, persist):
    """SOCKS and HTTP proxies, Unix sockets and connections that a command makes; each failure says what to look at."""
    ansible.hosts.clear()
    expected = {}

    def add(name, text="", **variables):
        about = {"ansible_libssh_config_file": "none", "ansible_ssh_timeout": 3, "ansible_libssh_persist": persist}
        ansible.add(sshd, name, **about, **variables)
        expected[name] = text

    socks, http = proxy_server("socks"), proxy_server("http")
    strict = {"socks": proxy_server("socks", user=("me", "pass word")), "http": proxy_server("http", user=("me", "pass word"))}
    unable = {"socks": proxy_server("socks", reply=5), "http": proxy_server("http", reply=5)}
    path, deaf, program = tmp_path / "socket", tmp_path / "deaf", tmp_path / "pass-on.py"
    proxy_server("unix", path=path, target=(sshd.address, sshd.port))
    program.write_text(PASS_ON)
    command = f"-o ProxyUseFdpass=yes -o 'ProxyCommand {sys.executable} {program} %h %p'"
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        quiet = stack.enter_context(socket.socket(socket.AF_UNIX))
        quiet.bind(str(deaf))
        quiet.listen()
        for scheme, proxy in (("socks5", socks), ("socks5h", socks), ("http", http)):
            kind = "http" if scheme == "http" else "socks"
            url = f"{scheme}://{{}}127.0.0.1:{{}}"
            add(scheme, ansible_libssh_proxy=url.format("", proxy.port))
            add(f"{scheme}-login", ansible_libssh_proxy=url.format("me:pass%20word@", strict[kind].port))
            login = "Check the user name and password in ansible_libssh_proxy."
            add(f"{scheme}-wrong", login, ansible_libssh_proxy=url.format("me:canary@", strict[kind].port))
            add(f"{scheme}-none", login, ansible_libssh_proxy=url.format("", strict[kind].port))
            add(f"{scheme}-refused", "is reached from the proxy", ansible_libssh_proxy=url.format("", unable[kind].port))
            add(f"{scheme}-hangs", "does not answer in time", ansible_libssh_proxy=url.format("", silent.getsockname()[1]))
            add(f"{scheme}-gone", "that the proxy runs", ansible_libssh_proxy=url.format("", 1))
            add(
                f"{scheme}-other",
                "Check the scheme and the port in ansible_libssh_proxy",
                ansible_libssh_proxy=url.format("", sshd.port),
            )
        add("unix", ansible_libssh_unix_socket=str(path))
        add("unix-gone", "Check ansible_libssh_unix_socket", ansible_libssh_unix_socket=str(tmp_path / "nothing"))
        add("unix-hangs", "timed out", ansible_libssh_unix_socket=str(deaf))
        add("passed", ansible_ssh_args=command)
        add("not-passed", "the ProxyCommand ended with exit status", ansible_ssh_args=command.replace(str(program), "-c 1/0"))
        outcome = ansible.play("- raw: id\n", "--forks", "10", quiet=False)
    for name, text in expected.items():
        assert outcome.recap(name) == ({"unreachable": 1} if text else {"ok": 1, "changed": 1}), (name, outcome.text)
        assert text in said_of(name, outcome), outcome.text
    assert "canary" not in outcome.text
    assert len(socks.asked) == 2
    assert len(http.asked) == 1


@pytest.mark.parametrize("persist", [0, 60])
def test_ipv6(ansible: Ansible, new_sshd, netns_host, persist):
    """Addresses of IPv6, a link-local one with its interface too; families and local addresses that fit, and that do not."""
    host, neighbour = new_sshd(sshd_config="ListenAddress ::1"), netns_host(sshd_config="ListenAddress ::")
    bridge = neighbour.link.removesuffix(neighbour.name)
    neighbour.run("ip", "addr", "add", "fe80::77/64", "dev", "eth0", "nodad")
    link_local = neighbour.at(f"fe80::77%{bridge}", neighbour.port)
    loopback = host.at("::1", host.port)
    ansible.hosts.clear()
    expected = {
        "plain": (loopback, {}, ""),
        "family": (loopback, {"ansible_libssh_address_family": "inet6"}, ""),
        "bound": (loopback, {"ansible_libssh_bind_address": "::1"}, ""),
        "args": (loopback, {"ansible_ssh_args": "-6 -o BindAddress=::1"}, ""),
        "hop": (host, {"ansible_libssh_proxy_jump": f"{host.user}@[::1]:{host.port}"}, ""),
        "link": (link_local, {}, ""),
        "link-family": (link_local, {"ansible_ssh_args": "-o AddressFamily=inet6"}, ""),
        "wrong-family": (loopback, {"ansible_libssh_address_family": "inet"}, "Check ansible_libssh_address_family"),
        "wrong-bound": (loopback, {"ansible_libssh_bind_address": "127.0.0.1"}, "Check ansible_libssh_bind_address"),
        "wrong-args": (host, {"ansible_ssh_args": "-6"}, "Check ansible_libssh_address_family"),
        "not-ours": (loopback, {"ansible_libssh_bind_address": "2001:db8::1"}, "Check ansible_libssh_bind_address"),
        "no-such-link": (link_local.at("fe80::77%nowhere", 22), {}, "there is no network interface nowhere here"),
    }
    known = ansible.directory / "known"
    known.write_text(host.known_hosts + loopback.known_hosts + link_local.known_hosts)
    for name, (server, variables, _) in expected.items():
        about = {"ansible_libssh_known_hosts_file": str(known), "ansible_libssh_persist": persist, "ansible_ssh_timeout": 20}
        ansible.add(server, name, ansible_libssh_config_file="none", **about, **variables)
    outcome = ansible.play("- raw: echo $SSH_CONNECTION\n", "--forks", "10", quiet=False)
    for name, (_, _, text) in expected.items():
        assert outcome.recap(name) == ({"unreachable": 1} if text else {"ok": 1, "changed": 1}), (name, outcome.text)
        assert text in said_of(name, outcome), outcome.text


def said_of(name: str, outcome: Outcome) -> str:
    """Return what was said about a host that was not reached."""
    return " ".join(part for part in outcome.words.split("fatal: [") if part.startswith(f"{name}]"))


MEASURED = """
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - raw: id
      register: result
      ignore_unreachable: true
    - assert:
        that: result is unreachable and result.msg is search(expect)
        fail_msg: "got: {{ result }}"
"""


def waited(log: str, user: str, name: str) -> float:
    """Return how long it took from the begin of *user*'s connection until host *name* was given up, by Ansible's log."""

    def when(what: str) -> dt.datetime:
        line = next(line for line in log.splitlines() if what in line)
        return dt.datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")  # noqa: DTZ007 - only a difference is wanted

    return (when(f"[{name}]: UNREACHABLE") - when(f"CONNECTION TO {user}@")).total_seconds()


@contextlib.contextmanager
def server_that_says(first: bytes, later: bytes = b"") -> Iterator[int]:
    """Listen, and say something at the beginning of each connection and five times a second; give the port."""
    stop, accepted = threading.Event(), []

    def serve() -> None:
        while not stop.wait(0.2):
            with contextlib.suppress(BlockingIOError):
                while True:
                    accepted.append(listener.accept()[0])
                    accepted[-1].sendall(first)
            for one in accepted if later else ():
                with contextlib.suppress(OSError):
                    one.sendall(later)

    with socket.create_server(("127.0.0.1", 0), backlog=32) as listener:
        listener.setblocking(False)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            thread.join()
            for one in accepted:
                one.close()


@pytest.mark.parametrize("persist", [0, 30])
def test_time(ansible: Ansible, sshd, new_sshd, dead_address, persist: int):
    """Connecting, greeting and the login have limits of their own, kept in the worker and in the holder; the text says which was reached."""
    unsure = new_sshd(
        sshd_config="AuthorizedKeysFile none\nAuthorizedKeysCommand /usr/bin/sleep 60\nAuthorizedKeysCommandUser root"
    )
    ansible.hosts.clear()
    users = {"login": unsure.user}  # of whom the server has to know; the others are told apart by theirs
    with (
        server_that_says(b"") as silent,
        server_that_says(b"SSH-2.0-half\r\n") as half_open,
        server_that_says(b"Wait", b"\r\nWait") as slow,
    ):
        hole = {"ansible_host": dead_address[0], "ansible_port": dead_address[1], "expect": "connect"}
        cases = {
            "hole": (sshd, hole | {"ansible_ssh_timeout": 3}),
            "silent": (
                sshd,
                {"ansible_port": silent, "ansible_libssh_banner_timeout": 3, "expect": "timed out.*banner_timeout"},
            ),
            "args": (sshd, {"ansible_port": silent, "ansible_ssh_timeout": None, "ansible_ssh_args": "-o ConnectTimeout=3"}),
            "halfopen": (sshd, {"ansible_port": half_open, "ansible_ssh_timeout": 3}),
            "slow": (sshd, {"ansible_port": slow, "ansible_libssh_banner_timeout": 3}),
            "login": (unsure, {"ansible_connect_timeout": 3, "expect": "timed out.*ansible_connect_timeout"}),
        }
        for name, (server, variables) in cases.items():
            base = {"ansible_ssh_timeout": 60, "ansible_libssh_persist": persist, "expect": "timed out|within"}
            ansible.add(server, name, **base | {"ansible_user": users.get(name, name)} | variables)
        log = ansible.directory / "log"
        outcome = ansible.play(MEASURED, "-f", "6", "-vvv", environment={"ANSIBLE_LOG_PATH": str(log)})
    assert outcome.rc == 0, outcome.text
    took = {name: waited(log.read_text(), users.get(name, name), name) for name in cases}
    # Six at once begin with an import each, which a busy machine may need a moment for.
    assert not {name: seconds for name, seconds in took.items() if not 2.7 <= seconds <= 3.3 + 0.3}, took


def test_a_dead_peer(ansible: Ansible, sshd, relay):
    """It is given up after server_alive_interval × server_alive_count_max: unreachable, in the worker and in the holder, and not a failed task."""
    far, link = relay(sshd)
    ansible.hosts.clear()
    for persist in (0, 30):
        alive = {"ansible_libssh_server_alive_interval": 1, "ansible_libssh_server_alive_count_max": 3}
        ansible.add(far, f"h{persist}", ansible_libssh_persist=persist, **alive)
    mark = f"34.{os.getpid()}"
    process = ansible.start(f"- raw: sleep {mark}\n")
    wait_for(lambda: len(running(mark)) == 2)
    link.black_hole()
    began = time.monotonic()
    text = process.communicate(timeout=30)[0]
    took = time.monotonic() - began
    outcome = Outcome(process.returncode, text, took)
    assert [outcome.recap(name) for name in ansible.hosts] == [{"unreachable": 1}] * 2, text
    assert all("does not answer keepalives" in said_of(name, outcome) for name in ansible.hosts), text
    assert 2.7 < took < 5.3


def test_old_gear(ansible: Ansible, new_sshd):
    """What has but old algorithms is refused with both lists and the option to set, and reached with that."""
    old = new_sshd(
        host_keys=("rsa",),
        sshd_config="KexAlgorithms diffie-hellman-group14-sha1\nHostKeyAlgorithms ssh-rsa\nCiphers aes128-cbc\nMACs hmac-sha1\n"
        "PubkeyAcceptedAlgorithms +ssh-rsa",
    )
    ansible.add(old, ansible_libssh_config_file="none")
    outcome = ansible.play("- raw: id\n")
    assert "server [diffie-hellman-group14-sha1" in outcome.words, outcome.text
    assert "client [" in outcome.words
    assert "ansible_libssh_legacy_algorithms: true" in outcome.words
    ansible.hosts["h"]["ansible_libssh_legacy_algorithms"] = True
    ansible.passes("- raw: id\n")
    ansible.hosts["h"]["ansible_libssh_rsa_min_size"] = 8192
    outcome = ansible.play("- raw: id\n")
    assert outcome.recap() == {"unreachable": 1}
    assert "shorter than ansible_libssh_rsa_min_size" in outcome.words
