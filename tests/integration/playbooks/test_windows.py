# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows behind OpenSSH, as far as a server of ours can stand in for it: what is sent there, and what comes of what it sends."""

from __future__ import annotations

import json

import pytest

from .runner import Ansible
from .test_transfers import MOVE

# Only its first line is read here: the server answers without running it.
MODULE = (
    "#!powershell\n#AnsibleRequires -CSharpUtil Ansible.Basic\n$module = [Ansible.Basic.AnsibleModule]::Create($args, @{})\n"
)
PLAY = r"""
- raw: Get-Item 'C:\Program Files'
  register: raw
  failed_when: raw.stdout != "it prints ü\r\n" or raw.stderr != "it complains ü\r\n"
- pinger:
  become: "{{ runas }}"
  become_method: runas
  become_user: SYSTEM
  register: pinged
  failed_when: pinged.ping != "pong"
- move: {put: "{{ source }}", to: "C:\\Users\\me\\a 'b' ü.txt"}
- move: {fetch: "C:\\Users\\me\\a 'b' ü.txt", to: "{{ source }}.back"}
"""


@pytest.fixture(params=["powershell", "cmd"])
def windows(bare_ansible: Ansible, bad_server, request):
    """A host whose shell is PowerShell, or cmd, and its server."""
    host = bad_server(windows=True)
    bare_ansible.add(host, ansible_shell_type=request.param, ansible_python_interpreter=None)
    for folder, name, content in (("library", "pinger.ps1", MODULE), ("action_plugins", "move.py", MOVE)):
        (bare_ansible.directory / folder).mkdir()
        (bare_ansible.directory / folder / name).write_text(content)
    (host.files / "C:/Users/me").mkdir(parents=True)
    return host


def test_no_pipe_on_windows(bare_ansible: Ansible, bad_server, tmp_path):
    """Where neither SFTP nor scp works, that is what the task says."""
    bare_ansible.add(bad_server(windows=True, sftp=False), ansible_shell_type="powershell", ansible_python_interpreter=None)
    (bare_ansible.directory / "action_plugins").mkdir()
    (bare_ansible.directory / "action_plugins/move.py").write_text(MOVE)
    outcome = bare_ansible.play(f"- move: {{fetch: 'C:/x', to: {tmp_path}/x}}\n")
    assert outcome.recap() == {"failed": 1}
    assert "by scp: " in outcome.words


@pytest.mark.parametrize("become", [False, True])
def test_windows(bare_ansible: Ansible, windows, tmp_path, become: bool):
    """Modules go through standard input without a terminal, errors are readable, and paths are what SFTP wants."""
    source = tmp_path / "source"
    source.write_text("Grüße")
    bare_ansible.passes(PLAY, "-e", json.dumps({"source": str(source), "runas": become}))
    noted = [json.loads(line.partition(" ")[2]) for line in windows.log().splitlines() if line.startswith("powershell ")]
    raw, *rest = noted
    assert raw["script"].endswith(r"Get-Item 'C:\Program Files'")
    assert any(module["input"] for module in rest)
    assert not [entry for entry in noted if entry["terminal"]]
    assert (windows.files / "C:/Users/me/a 'b' ü.txt").read_text() == (tmp_path / "source.back").read_text() == "Grüße"
