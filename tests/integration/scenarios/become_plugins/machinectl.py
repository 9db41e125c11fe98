# SPDX-License-Identifier: GPL-3.0-or-later
"""A program like machinectl, as a become plugin of a user's own: it greets before the command runs, and says goodbye after."""

from __future__ import annotations

from ansible.plugins.become import BecomeBase

DOCUMENTATION = """
name: machinectl
short_description: machinectl
description: Becomes another user by a shell in a session of its own.
author: the lab
options:
  become_user:
    description: Who to become.
    default: root
    vars: [{name: ansible_become_user}]
    keyword: [{name: become_user}]
  become_pass:
    description: Not used.
    vars: [{name: ansible_become_password}]
"""


class BecomeModule(BecomeBase):
    """Run commands by machinectl."""

    name = "machinectl"
    pipelining = False

    def build_become_command(self, cmd, shell):
        super().build_become_command(cmd, shell)
        if not cmd:
            return cmd
        return f"machinectl -q shell {self.get_option('become_user')}@ {self._build_success_command(cmd, shell)}"
