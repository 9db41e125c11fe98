# SPDX-License-Identifier: GPL-3.0-or-later
"""doas, as a become plugin of a user's own: it asks on the terminal, and its prompt names user and host."""

from __future__ import annotations

from ansible.plugins.become import BecomeBase

DOCUMENTATION = """
name: doas
short_description: doas
description: Becomes another user by doas.
author: the lab
options:
  become_user:
    description: Who to become.
    default: root
    vars: [{name: ansible_become_user}]
    keyword: [{name: become_user}]
  become_pass:
    description: The password of the user who logs in.
    vars: [{name: ansible_become_password}]
"""


class BecomeModule(BecomeBase):
    """Run commands by doas."""

    name = "doas"
    fail = ("Authorization failed", "Authentication failed")
    missing = ("Authorization required", "Authentication required")
    pipelining = False

    def check_password_prompt(self, b_output):
        return b_output.startswith(b"doas (") and b_output.rstrip().endswith(b"password:")

    def build_become_command(self, cmd, shell):
        super().build_become_command(cmd, shell)
        if not cmd:
            return cmd
        self.prompt = True
        return f"doas -u {self.get_option('become_user')} {self._build_success_command(cmd, shell)}"
