# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with connections: who is told what, how soon, and what goes on."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import time

import pytest

from .runner import Ansible, library_path

UNREACHABLE = {"unreachable": 1}


def unreachable(ansible: Ansible, *told: str, **options) -> float:
    """Run a task that must find its host unreachable, and be told about it in these words; return the seconds."""
    outcome = ansible.play("- raw: 'true'\n", **options)
    assert outcome.recap() == UNREACHABLE, outcome.text
    for words in told:
        assert words in outcome.words
    return outcome.seconds


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_refused(ansible: Ansible):
    """A closed port: which one, as whom, and what to look at."""
    port = free_port()
    ansible.hosts["h"]["ansible_port"] = port
    unreachable(ansible, f"127.0.0.1:{port}", "refused", "Check ansible_host and ansible_port")


def test_no_such_name(ansible: Ansible):
    """A name that does not resolve."""
    ansible.hosts["h"]["ansible_host"] = "no-such-host.invalid"
    unreachable(ansible, "no-such-host.invalid", "Check the name in ansible_host")


@pytest.mark.parametrize("variable", ["ansible_ssh_timeout", "ansible_libssh_timeout"])
def test_timeout_is_the_time_to_be_connected(ansible: Ansible, variable: str):
    """A server that accepts and then says nothing is given up after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ansible.hosts["h"] |= {"ansible_port": silent.getsockname()[1], variable: 2}
        seconds = unreachable(ansible, "timed out", "ansible_ssh_timeout")
    assert 2 <= seconds < 9  # the default is 10


def test_wrong_password_and_wrong_key(ansible: Ansible, accounts, tmp_path):
    """What was tried, and what to set."""
    ansible.hosts["h"] |= {"ansible_private_key_file": None, "ansible_password": "wrong"}
    ansible.environment["ANSIBLE_LIBSSH_LOOK_FOR_KEYS"] = "false"
    unreachable(ansible, "password", "Check ansible_user")
    ansible.hosts["h"]["ansible_password"] = None
    outcome = ansible.play("- raw: 'true'\n")
    assert outcome.recap() == UNREACHABLE, outcome.text
    assert "Check ansible_user, ansible_p" in outcome.words  # before what only few servers want
    assert "Failed to connect" not in outcome.words  # but to authenticate, and as whom


def test_password_login(ansible: Ansible, accounts):
    """A password alone is enough."""
    ansible.hosts["h"] |= {"ansible_user": "nopw", "ansible_private_key_file": None, "ansible_password": "s3cret"}
    ansible.passes("- raw: id\n", environment={"ANSIBLE_LIBSSH_LOOK_FOR_KEYS": "false"})


@pytest.mark.parametrize(
    ("passphrase", "told"),
    [("wrong", "wrong passphrase"), ("a phrase", None)],
)
def test_key_with_a_passphrase(ansible: Ansible, new_sshd, tmp_path, passphrase: str, told: str | None):
    """The right passphrase opens the key; a wrong one makes the host unreachable and no worker die."""
    key = tmp_path / "key"
    public = make_key(key, "a phrase")
    ansible.add(new_sshd(authorized_keys=public), ansible_private_key_file=str(key), ansible_private_key_passphrase=passphrase)
    if told:
        unreachable(ansible, told, "ansible_private_key_passphrase")
    else:
        ansible.passes("- raw: id\n")


@pytest.mark.parametrize(("content", "told"), [(None, "No such file"), ("garbage", "private key")])
def test_bad_key_file(ansible: Ansible, tmp_path, content: str | None, told: str):
    """A key file that is missing or no key is named."""
    path = tmp_path / "key"
    if content:
        path.write_text(content)
    ansible.hosts["h"]["ansible_private_key_file"] = str(path)
    unreachable(ansible, told, str(path), "ansible_private_key_file", environment={"ANSIBLE_LIBSSH_LOOK_FOR_KEYS": "false"})


def make_key(path, passphrase: str) -> str:
    """Make a key pair and return the public half."""
    from tests.lab import servers

    return servers.make_key(path, passphrase=passphrase)


# Trust


def other_key(server, tmp_path) -> str:
    """Return a line of known_hosts with another key for this server's address."""
    return f"[{server.address}]:{server.port} {make_key(tmp_path / 'other', '')}\n"


@pytest.mark.parametrize("auto_add", ["false", "true"])
def test_changed_key_is_refused(ansible: Ansible, sshd, tmp_path, auto_add: str):
    """Another key than the known one is refused, under auto-add too, with file, line and both fingerprints."""
    known = tmp_path / "known_hosts"
    known.write_text("# mine\n" + other_key(sshd, tmp_path))
    ansible.hosts["h"]["ansible_libssh_known_hosts_file"] = str(known)
    before = known.read_text()
    unreachable(
        ansible,
        f"{known}:2",
        "SHA256:",
        "HAS CHANGED",
        "ssh-keygen -f",
        environment={"ANSIBLE_LIBSSH_HOST_KEY_AUTO_ADD": auto_add},
    )
    assert known.read_text() == before


def test_changed_key_without_checking(ansible: Ansible, sshd, tmp_path):
    """Where checking is off, any key will do."""
    known = tmp_path / "known_hosts"
    known.write_text(other_key(sshd, tmp_path))
    ansible.hosts["h"] |= {"ansible_libssh_known_hosts_file": str(known), "ansible_host_key_checking": False}
    ansible.passes("- raw: id\n")


def test_unknown_key_is_refused_without_a_terminal(ansible: Ansible, tmp_path):
    """Nobody can be asked: unreachable, with the fingerprint and the command that adds the key where it was looked for."""
    ansible.hosts["h"]["ansible_libssh_known_hosts_file"] = str(tmp_path / "none")
    outcome = ansible.play("- raw: 'true'\n")
    assert outcome.recap() == UNREACHABLE, outcome.text
    assert "SHA256:" in outcome.words
    assert "accept-new" in outcome.words
    assert not (tmp_path / "none").exists()
    scan = re.search(r"\((ssh-keyscan -p [^)]+)\)", outcome.words)[1]
    subprocess.run(["sh", "-c", scan], capture_output=True, check=True)
    ansible.passes("- raw: id\n")


def test_unknown_key_is_added_where_that_is_wanted(ansible: Ansible, sshd, tmp_path):
    """Auto-add writes the key, and the next run knows it."""
    known = tmp_path / "known_hosts"
    ansible.hosts["h"]["ansible_libssh_known_hosts_file"] = str(known)
    ansible.passes("- raw: id\n", environment={"ANSIBLE_LIBSSH_HOST_KEY_AUTO_ADD": "true"})
    assert sshd.host_keys[0] in known.read_text()
    ansible.passes("- raw: id\n")


@pytest.mark.parametrize(
    ("answer", "accepted"), [("yes", True), ("", False), ("no", False), ("fingerprint", True), ("y", None)]
)
def test_unknown_key_is_asked_about_on_a_terminal(ansible: Ansible, sshd, tmp_path, answer: str, accepted: bool | None):
    """The question shows the fingerprint; "yes" and the fingerprint add the key, an empty answer is a no, others are asked again."""
    known = tmp_path / "known_hosts"
    ansible.hosts["h"]["ansible_libssh_known_hosts_file"] = str(known)
    leader, follower = os.openpty()
    process = ansible.start(
        "- raw: id\n",
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(follower)
    shown = read_until(leader, lambda text: "(yes/no/[fingerprint])?" in text)
    assert "SHA256:" in shown
    if answer == "fingerprint":
        answer = re.search(r"SHA256:\S{43}", shown)[0]
    # Ansible throws away what is typed before it looks, so it may have to be typed again.
    if accepted is None:
        shown += read_until(leader, lambda text: "Please type 'yes', 'no' or the fingerprint:" in text, answer.encode() + b"\n")
        answer, accepted = "no", False
    shown += read_until(leader, lambda text: "PLAY RECAP" in text, answer.encode() + b"\n")
    assert (process.wait(20) == 0) is accepted, shown
    os.close(leader)
    assert known.exists() is accepted
    if accepted:
        assert sshd.host_keys[0] in known.read_text()


def take_terminal() -> None:
    """Make standard input the terminal of a new session."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def answered(ansible: Ansible, tasks: str, question: str, answer: str) -> tuple[int, str]:
    """Run tasks at a terminal, where a question is answered; return the exit status and what was shown."""
    leader, follower = os.openpty()
    process = ansible.start(
        tasks, stdin=follower, stdout=follower, stderr=follower, start_new_session=True, preexec_fn=take_terminal
    )
    os.close(follower)
    shown = read_until(leader, lambda text: question in text)
    # Ansible throws away what is typed before it looks, so it may have to be typed again.
    shown += read_until(leader, lambda text: "PLAY RECAP" in text, answer.encode() + b"\n")
    status = process.wait(20)
    os.close(leader)
    return status, shown


def read_until(terminal: int, enough, typed: bytes = b"", timeout: float = 30) -> str:
    """Read a terminal until it shows *enough*, typing something each second."""
    shown = ""
    end = time.monotonic() + timeout
    while not enough(" ".join(shown.split())):
        assert time.monotonic() < end, f"waited {timeout} s in vain, and saw:\n{shown}"
        os.write(terminal, typed)
        if select.select([terminal], [], [], 1)[0]:
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the other side of the terminal is closed
                break
    return shown


def test_nobody_is_asked_in_batch_mode(ansible: Ansible, tmp_path):
    """BatchMode: an unknown host is refused on a terminal, too, without a question."""
    ansible.hosts["h"] |= {"ansible_libssh_known_hosts_file": str(tmp_path / "none"), "ansible_ssh_args": "-o BatchMode=yes"}
    status, shown = answered(ansible, "- raw: id\n", "PLAY RECAP", "")
    assert status != 0
    assert "Are you sure" not in shown
    assert "Host is unknown" in " ".join(shown.split())


# Time and death


def test_a_tasks_timeout_ends_the_command(ansible: Ansible, accounts):
    """The timeout keyword fails the task in time, ends the remote command, and the host stays usable."""
    # OpenSSH before 9.8 hands no signals to the commands of root.
    ansible.hosts["h"] |= {"ansible_user": "ansible"}
    mark = f"31.{os.getpid()}"
    outcome = ansible.play(f"""
        - raw: sleep {mark}
          timeout: 2
          ignore_errors: true
        - raw: pgrep -fx 'sleep {mark}'
          register: left
          failed_when: left.rc != 1
    """)
    assert outcome.rc == 0, outcome.text
    assert outcome.recap() == {"ok": 2, "changed": 1, "ignored": 1}
    assert 2 <= outcome.seconds < 8


@pytest.mark.parametrize("become", [False, True])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_running_command(ansible: Ansible, accounts, sent: signal.Signals, become: bool):
    """Ctrl-C ends ansible-playbook within seconds, with no worker left, and the command on the host as well."""
    ansible.hosts["h"] |= {"ansible_user": "ansible", "ansible_become": become}
    mark = f"32.{time.monotonic_ns()}"
    process = ansible.start(f"- raw: sleep {mark}\n", start_new_session=True)
    wait_for(lambda: running(mark))
    began = time.monotonic()
    os.killpg(process.pid, sent)
    text = process.communicate(timeout=20)[0]
    assert time.monotonic() - began < 3, text
    assert process.returncode != 0
    assert "Traceback" not in text
    wait_for(lambda: not group_members(process.pid), 5)
    wait_for(lambda: not running(mark), 5)


def running(mark: str) -> list[str]:
    """Return the processes that sleep for *mark* seconds."""
    return [pid for pid in pids() if f"sleep\0{mark}\0" == read(f"/proc/{pid}/cmdline")]


def group_members(leader: int) -> list[str]:
    """Return the processes of a session."""
    return [pid for pid in pids() if read(f"/proc/{pid}/stat").rpartition(")")[2].split()[3:4] == [str(leader)]]


def pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def read(path) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def wait_for(condition, timeout: float = 20) -> None:
    """Wait until something is true."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"waited {timeout} s"
        time.sleep(0.05)


@pytest.mark.parametrize("task", ["raw", "command"])
def test_a_session_that_dies_makes_the_host_unreachable(bare_ansible: Ansible, new_sshd, task: str):
    """The server's side is killed under a command: unreachable in seconds, and not a failed or a done task."""
    server = new_sshd()
    bare_ansible.add(server, ansible_pipelining=True)
    mark = f"33.{os.getpid()}"
    process = bare_ansible.start(f"- {task}: sleep {mark}\n")
    wait_for(lambda: running(mark))
    server.kill_connections()
    began = time.monotonic()
    text = process.communicate(timeout=30)[0]
    assert time.monotonic() - began < 5
    assert "unreachable=1" in text
    assert "failed=0" in text


@pytest.mark.parametrize("method", ["sftp", "scp", "piped"])
def test_a_session_that_dies_in_a_transfer(bare_ansible: Ansible, new_sshd, tmp_path, method: str):
    """A transfer whose connection breaks makes the host unreachable, and leaves no half file under the name."""
    server = new_sshd()
    source = tmp_path / "source"
    with open(source, "wb") as file:
        file.truncate(1 << 30)
    bare_ansible.add(server, ansible_libssh_transfer_method=method)
    process = bare_ansible.start(f"- fetch: {{src: {source}, dest: {tmp_path}/target, flat: true, validate_checksum: false}}\n")

    def begun() -> bool:
        # Not before there is data: a connection that breaks until then is replaced, and the transfer goes well.
        return any(file.stat().st_size for file in tmp_path.glob("*target*"))

    wait_for(lambda: begun() or process.poll() is not None, 60)  # a checksum comes first
    server.kill_connections()
    text = process.communicate(timeout=30)[0]
    assert "unreachable=1" in text, text
    assert sorted(path.name for path in tmp_path.glob("*target*")) == []


def test_rescue_goes_on_after_a_dead_session(bare_ansible: Ansible, new_sshd):
    """ignore_unreachable and clear_host_errors let the play go on, over a new session."""
    server = new_sshd()
    bare_ansible.add(server)
    outcome = bare_ansible.passes("""
        - block:
            - raw: echo $PPID; kill -9 $PPID; sleep 5
              register: killed
              ignore_unreachable: true
            - assert: {that: killed is unreachable}
            - fail: {msg: go on}
          rescue:
            - meta: clear_host_errors
            - raw: echo alive
    """)
    assert outcome.recap()["rescued"] == 1


def test_reset_connection_first_and_later(ansible: Ansible):
    """meta: reset_connection works as the first task, and after others."""
    outcome = ansible.passes("""
        - meta: reset_connection
        - raw: echo 1
        - meta: reset_connection
        - raw: echo 2
    """)
    assert outcome.recap() == {"ok": 2, "changed": 2}


# Never the wrong host


def test_two_ports_on_one_address(bare_ansible: Ansible, new_sshd):
    """Delegation, and options that change from item to item, reach the host that is meant."""
    one, two = new_sshd(sshd_config="SetEnv WHO=one"), new_sshd(sshd_config="SetEnv WHO=two")
    bare_ansible.add(one, "one")
    bare_ansible.add(two, "two")
    known = bare_ansible.directory / "both"
    known.write_text(one.known_hosts + two.known_hosts)
    bare_ansible.passes(f"""
        - hosts: one
          gather_facts: false
          tasks:
            - raw: echo $WHO
              register: result
              failed_when: result.stdout | trim != item
              delegate_to: "{{{{ item }}}}"
              loop: [one, two, one, two, two, one]
            - raw: echo $WHO
              register: result
              failed_when: result.stdout | trim != item.who
              vars:
                ansible_port: "{{{{ item.port }}}}"
                ansible_libssh_known_hosts_file: {known}
              loop:
                - {{who: one, port: {one.port}}}
                - {{who: two, port: {two.port}}}
                - {{who: one, port: {one.port}}}
    """)


def test_the_library_is_the_one_under_test():
    """Else all of this would say nothing about this checkout."""
    assert library_path() or os.environ.get("NETCOMMON_COLLECTIONS")
