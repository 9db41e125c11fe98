# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the doctor found, for people and for machines."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from dataclasses import asdict, dataclass, field
from typing import Any

_PLAIN = re.compile(r"[A-Za-z/~][\w./~+@-]*( [\w./~+@-]+)*")
_WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n", "~"}  # which YAML takes for something else
_COLUMN = 23  # where the sentences begin


@dataclass
class Finding:
    """One step of the way: what came of it in a sentence, in *notes* for people, and in *details* for machines."""

    step: str
    ok: bool
    text: str
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    cure: str = ""
    """What to do, where something is amiss."""
    inventory: dict[str, Any] = field(default_factory=dict)
    """Variables that are part of the cure: name → value."""

    def to_lines(self, width: int) -> list[str]:
        """Return it as lines of *width* columns."""
        head = f"{'ok' if self.ok else 'FAILED':<8}{self.step:<{_COLUMN - 8}}"
        lines = _wrapped(self.text, width, head)
        for note in self.notes:
            lines += _wrapped(note, width, " " * _COLUMN)
        return lines


@dataclass
class Report:
    """All findings, in order; the first that is not ok ends the way."""

    target: str
    versions: dict[str, str]
    findings: list[Finding]
    inventory: dict[str, Any]
    """The variables that make this very connection: name → value."""

    @property
    def ok(self) -> bool:
        """Whether the host can be used."""
        return all(finding.ok for finding in self.findings)

    @property
    def cures(self) -> list[str]:
        """What to do, a sentence or more for each thing that is amiss."""
        return [finding.cure for finding in self.findings if finding.cure]

    @property
    def to_set(self) -> dict[str, Any]:
        """What the cures ask to set in the inventory: name → value."""
        return {name: value for finding in self.findings for name, value in finding.inventory.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in plain types, for JSON."""
        return {
            "target": self.target,
            "ok": self.ok,
            "versions": self.versions,
            "steps": [asdict(finding) for finding in self.findings],
            "cures": self.cures,
            "inventory": {**self.inventory, **self.to_set},
        }

    def to_text(self, width: int = 0) -> str:
        """Return it as lines of *width* columns (0: the terminal's); the last ones are what to do, and what to set."""
        width = width or max(60, shutil.get_terminal_size((100, 24)).columns)
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines = [f"{self.target}, with {versions}", ""]
        for finding in self.findings:
            lines += finding.to_lines(width)
        if self.cures:
            lines += ["", "What to do:"]
            for cure in self.cures:
                lines += _wrapped(cure, width, "  ")
        lines += ["", "In the inventory:"]
        for name, value in {**self.inventory, **self.to_set}.items():
            lines.append(f"  {name}: {_yaml(value)}{'  # to be set' if name in self.to_set else ''}")
        return "\n".join(lines)


def _wrapped(text: str, width: int, head: str) -> list[str]:
    """Break *text* into lines behind *head*; names, paths and fingerprints stay whole, and no server writes to the terminal."""
    text = "".join(character if character.isprintable() else " " for character in text)
    indent = " " * len(head)
    return textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [head.rstrip()]


def _yaml(value: Any) -> str:
    """Return a value as YAML has it on one line: as it is where that is plain, else as JSON, which YAML includes."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value)
