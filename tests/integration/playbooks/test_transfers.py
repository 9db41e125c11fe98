# SPDX-License-Identifier: GPL-3.0-or-later
"""Files there and back, by each method, and what is said when that fails."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from .runner import Ansible

METHODS = ["sftp", "scp", "piped"]


def digest(path) -> str:
    """Return what tells a file's content from another's."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def files(tmp_path):
    """A local directory with files that have been trouble to somebody, and an empty one for what comes back."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "empty").touch()
    (here / "Grüße 汉语 🐧").write_text("Grüße\n")
    (here / 'it\'s "quoted" $(id) `id` *;&').write_text("quoted")
    (here / "big").write_bytes(os.urandom(1 << 20) * 30)
    (here / "binary").write_bytes(bytes(range(256)) * 1000)
    for directory in ("there", "back"):
        (tmp_path / directory).mkdir()
    return tmp_path


@pytest.mark.parametrize("method", METHODS)
def test_files_arrive_whole(ansible: Ansible, files, method: str):
    """Empty, large, binary and oddly named files are the same there, and the same again when they are back."""
    names = sorted(os.listdir(files / "here"))
    ansible.hosts["h"]["ansible_libssh_transfer_method"] = method
    ansible.passes(
        """
        - copy: {src: "{{ files }}/here/{{ item }}", dest: "{{ files }}/there/{{ item }}", mode: "0640"}
          loop: "{{ names }}"
        - fetch: {src: "{{ files }}/there/{{ item }}", dest: "{{ files }}/back/{{ item }}", flat: true}
          loop: "{{ names }}"
        """,
        "-e",
        json.dumps({"files": str(files), "names": names}),
    )
    for name in names:
        assert digest(files / "here" / name) == digest(files / "there" / name) == digest(files / "back" / name), name


@pytest.mark.parametrize("method", ["sftp", "piped"])
def test_files_without_a_size(ansible: Ansible, tmp_path, method: str):
    """A file of /proc, whose size is said to be 0, comes with its content."""
    ansible.hosts["h"]["ansible_libssh_transfer_method"] = method
    ansible.passes(f"- fetch: {{src: /proc/version, dest: {tmp_path}/version, flat: true}}\n")
    with open("/proc/version") as version:
        assert (tmp_path / "version").read_text() == version.read()


@pytest.mark.parametrize("method", METHODS)
def test_put_and_fetch_fail_in_words(ansible: Ansible, accounts, tmp_path, method: str):
    """The plugin names the method, the path and the reason of a transfer that fails, and fails the task only."""
    (tmp_path / "source").write_text("x")
    ansible.hosts["h"] |= {"ansible_user": "nopw", "ansible_libssh_transfer_method": method}
    directory = tmp_path / "action_plugins"
    directory.mkdir()
    (directory / "move.py").write_text(MOVE)
    play = f"""
        - move: {{put: "{tmp_path}/source", to: /nopw-may-not-write-here}}
          ignore_errors: true
        - move: {{fetch: /no-such-file, to: "{tmp_path}/target"}}
          ignore_errors: true
        - move: {{fetch: /etc/shadow, to: "{tmp_path}/target"}}
          ignore_errors: true
        - move: {{put: "{tmp_path}/no-source", to: /tmp/x}}
          ignore_errors: true
        - raw: 'true'
    """
    outcome = ansible.play(play, environment={"ANSIBLE_ACTION_PLUGINS": str(directory)})
    assert outcome.recap() == {"ok": 5, "changed": 1, "ignored": 4}, outcome.text
    told = outcome.words
    assert f"Failed to put /nopw-may-not-write-here (nopw@127.0.0.1:{ansible.hosts['h']['ansible_port']}): by {method}:" in told
    assert "Permission denied" in told or "cannot create" in told
    assert "Failed to fetch /no-such-file" in told
    assert "Failed to fetch /etc/shadow" in told
    assert "no-source" in told
    assert not (tmp_path / "target").exists()


# An action that calls the connection as Ansible's own actions do, and no module.
MOVE = """
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        arguments = self._task.args
        if "put" in arguments:
            self._connection.put_file(arguments["put"], arguments["to"])
        else:
            self._connection.fetch_file(arguments["fetch"], arguments["to"])
        return {"changed": True}
"""


def test_smart_goes_on_where_there_is_no_sftp(bare_ansible: Ansible, new_sshd, tmp_path):
    """Without an SFTP subsystem scp is used, and nobody is bothered with it below -vvv."""
    bare_ansible.add(new_sshd(sftp=False))
    play = f"""
        - copy: {{content: "by scp", dest: "{tmp_path}/there"}}
        - fetch: {{src: "{tmp_path}/there", dest: "{tmp_path}/back", flat: true}}
        - fetch: {{src: /proc/version, dest: "{tmp_path}/version", flat: true}}
    """
    outcome = bare_ansible.passes(play, "-vvv", quiet=False)
    assert (tmp_path / "back").read_text() == "by scp"
    assert "sftp is not to be had here, scp is next" in outcome.words
    # scp can't copy a file that says it is empty, and does not pretend to.
    with open("/proc/version") as version:
        assert (tmp_path / "version").read_text() == version.read()


def test_smart_ends_at_a_pipe(bare_ansible: Ansible, new_sshd, tmp_path):
    """Where there is neither SFTP nor an scp program, a pipe does it."""
    # The login shell's PATH has cat and no scp.
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "bash", "cat", "mkdir", "chmod", "rm", "echo", "id", "stat", "python3", "mktemp", "sleep"):
        path = next(f"{directory}/{tool}" for directory in ("/usr/bin", "/bin") if os.path.exists(f"{directory}/{tool}"))
        (tools / tool).symlink_to(path)
    bare_ansible.add(new_sshd(sftp=False, sshd_config=f"SetEnv PATH={tools}"))
    play = f"""
        - raw: command -v scp
          register: result
          failed_when: result.rc == 0
        - copy: {{content: "by pipe", dest: "{tmp_path}/there"}}
        - fetch: {{src: "{tmp_path}/there", dest: "{tmp_path}/back", flat: true}}
    """
    outcome = bare_ansible.passes(play, "-vvv", quiet=False)
    assert (tmp_path / "back").read_text() == "by pipe"
    assert "scp is not to be had here, piped is next" in outcome.words


def test_a_method_that_is_asked_for_is_the_only_one(bare_ansible: Ansible, new_sshd):
    """Without SFTP, transfer_method=sftp fails the task and says which option to change."""
    bare_ansible.add(new_sshd(sftp=False), ansible_libssh_transfer_method="sftp")
    outcome = bare_ansible.play("- ping:\n")
    assert outcome.recap() == {"failed": 1}
    assert "Another transfer_method may work" in outcome.words
