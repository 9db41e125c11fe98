# SPDX-License-Identifier: GPL-3.0-or-later
"""What PowerShell writes to standard error for another PowerShell to read, as plain text. Private to this collection.

It is a line ``#< CLIXML``, and one with an XML document of what was written to each of its streams (MS-PSRP, section 2.2.5).
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

_DOCUMENT = re.compile(rb"#< CLIXML\r?\n(<Objs .*?</Objs>)", re.DOTALL)
_NAMESPACE = "{http://schemas.microsoft.com/powershell/2004/04}"
# A UTF-16 unit that XML can't hold, or the underscore of what only looks like one.
_ESCAPED = re.compile(r"((?:_x[0-9A-Fa-f]{4}_)+)")


def plain(stderr: bytes) -> bytes:
    """Return *stderr* with each such document replaced by the text of its error stream; what can't be read stays as it is."""
    return _DOCUMENT.sub(_errors, stderr)


def _errors(document: re.Match[bytes]) -> bytes:
    try:
        root = ET.fromstring(document[1].decode())  # noqa: S314  read from a host that we run commands on
    except (ET.ParseError, UnicodeDecodeError):
        return document[0]
    texts = [element.text or "" for element in root.iter(f"{_NAMESPACE}S") if element.get("S") == "Error"]
    return "".join(_ESCAPED.sub(_unescaped, text) for text in texts).encode(errors="replace")


def _unescaped(units: re.Match[str]) -> str:
    # Neighbours may be the two halves of one character.
    return bytes.fromhex(units[1].replace("_x", "").replace("_", "")).decode("utf-16-be", errors="replace")
