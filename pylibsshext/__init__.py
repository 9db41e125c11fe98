# SPDX-License-Identifier: LGPL-2.1-or-later
"""Python bindings to libssh: sessions, channels, SFTP and SCP.

    from pylibsshext.session import Session

    with Session() as session:
        session.connect(host="web1.example.com", user="ansible")
        print(session.exec_command("uname -a", timeout=10).stdout.decode())

For programs there are `session`, `channel`, `sftp`, `scp`, `errors`, `policies`, `logging`, ``mux.client`` and `doctor`; all else is
private. ``python -m pylibsshext --help`` lists the commands.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, whose import takes longer than this package's
if TYPE_CHECKING:
    from typing import Any

__all__ = ["__full_version__", "__libssh_version__", "__version__", "__version_info__"]

__version__: str
__version_info__: tuple[int | str, ...]
__libssh_version__: str
__full_version__: str

_MODULES = frozenset(
    {"advice", "auth", "channel", "errors", "hostkeys", "logging", "policies", "scp", "session", "settings", "sftp"}
)


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for: an import of this package alone is instant."""
    if name in _MODULES:
        from importlib import import_module

        return import_module(f".{name}", __name__)
    if name in {"__version__", "__version_info__"}:
        from . import _version

        return getattr(_version, name)
    if name not in {"__libssh_version__", "__full_version__"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._core import LIBSSH_VERSION
    from ._version import __version__

    return LIBSSH_VERSION if name == "__libssh_version__" else f"<pylibsshext v{__version__} with libssh v{LIBSSH_VERSION}>"
