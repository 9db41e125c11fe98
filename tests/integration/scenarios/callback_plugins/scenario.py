# SPDX-License-Identifier: GPL-3.0-or-later
"""How long each host's tasks took, and what was said of those that failed, as JSON in the file that SCENARIO_RESULTS names."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: scenario
type: notification
short_description: Seconds and failures by host, as JSON
description: Writes what the scenarios want to know to a file.
"""


class CallbackModule(CallbackBase):
    """Gather, and write at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "scenario"

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[tuple[str, str], float] = {}
        self._seconds: dict[str, float] = defaultdict(float)
        self._failures: dict[str, list[str]] = defaultdict(list)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._since[host.get_name(), task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        name = result._host.get_name()
        self._seconds[name] += time.monotonic() - self._since.pop((name, result._task._uuid), time.monotonic())

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self.v2_runner_on_ok(result)
        self._failures[result._host.get_name()].append(str(result._result.get("msg", "")))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self.v2_runner_on_failed(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        with open(os.environ["SCENARIO_RESULTS"], "w") as file:
            json.dump({"seconds": self._seconds, "failures": self._failures}, file)
