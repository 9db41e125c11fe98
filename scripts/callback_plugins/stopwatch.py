# SPDX-License-Identifier: GPL-3.0-or-later
"""One line per task: how long it took, what became of it, and what it said."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: stopwatch
type: stdout
short_description: One line per task, with the time it took
description:
  - Shows a play as C(make demo) wants it shown.
"""


class CallbackModule(CallbackBase):
    """Ansible's standard output as a list of times."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "stopwatch"

    def __init__(self) -> None:
        super().__init__()
        self._since = time.monotonic()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._display.display(f"\n{play.get_name()}")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        self._since = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        self._report("changed" if result._result.get("changed") else "ok", result)  # noqa: SLF001  Ansible's only way to it

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._report("skipped", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._report("ignored" if ignore_errors else "FAILED", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._report("UNREACHABLE", result)

    def _report(self, status: str, result: Any) -> None:
        seconds = time.monotonic() - self._since
        task, answer = result._task.get_name(), result._result  # noqa: SLF001  Ansible's only way to them
        self._display.display(f"  {seconds:6.2f} s  {status:8} {task}")
        said = answer.get("stdout", "") if status in {"ok", "changed"} else answer.get("msg", "")
        for line in str(said).splitlines():
            self._display.display(f"                      {line}")
