# SPDX-License-Identifier: GPL-3.0-or-later
"""What PowerShell writes to standard error becomes what a person can read."""

from __future__ import annotations

import pytest
from ansible_collections.ansible.netcommon.plugins.module_utils import _clixml

HEAD = b'#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'


@pytest.mark.parametrize(
    ("stderr", "text"),
    [
        (b"", ""),
        (b"plain\r\n", "plain\r\n"),
        (HEAD + b'<S S="Error">one_x000D__x000A_</S><S S="Error">two</S></Objs>', "one\r\ntwo"),
        (HEAD + b'<Obj S="progress" RefId="0"><MS><I64 N="SourceId">1</I64></MS></Obj></Objs>', ""),
        (HEAD + b'<S S="debug">not this</S><S S="Error">this</S></Objs>\r\nafter', "this\r\nafter"),
        (b"before\n" + HEAD + b'<S S="Error">a</S></Objs>' + HEAD + b'<S S="Error">b</S></Objs>', "before\nab"),
        (HEAD + '<S S="Error">ü &amp; _xD83D__xDC27_ _x005F_x000A_</S></Objs>'.encode(), "ü & 🐧 _x000A_"),
    ],
)
def test_documents_become_text(stderr: bytes, text: str):
    """Errors are kept in their order, other streams are dropped, and escapes are read."""
    assert _clixml.plain(stderr).decode() == text


@pytest.mark.parametrize("stderr", [b"#< CLIXML", HEAD, HEAD + b"<S></Objs>", HEAD + b'<S S="Error">\xff</S></Objs>'])
def test_what_is_broken_is_kept(stderr: bytes):
    """Nothing is lost of what can't be read."""
    assert _clixml.plain(stderr) == stderr
