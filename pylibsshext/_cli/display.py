# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is shown of transfers: a line for each file that is through and, at a terminal with ``rich``, bars for those under way."""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from .._sftp.local import Observer

if TYPE_CHECKING:
    from types import TracebackType

#: Bars at a time; further files under way only count in the total.
BARS = 8

_UNITS = ("B", "kB", "MB", "GB", "TB")


def choose(command: str, quiet: bool) -> Display:
    """Return the display that suits what is at the other end of standard output."""
    if quiet:
        return Display(command, quiet=True)
    if sys.stdout.isatty():
        try:
            return Bars(command)
        except ImportError:
            pass  # rich is an extra
    return Display(command)


class Display(Observer):
    """A line for each file; failures go to standard error.  Use it in a ``with`` block."""

    def __init__(self, command: str, *, quiet: bool = False) -> None:
        self.command = command
        self.quiet = quiet
        self.failures = 0
        self._begun: dict[str, float] = {}
        self._sizes: dict[str, int] = {}

    def __enter__(self) -> Display:  # noqa: PYI034 - Self is younger than Python 3.9
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing is left to be cleared."""

    def __call__(self, done: int, total: int, name: str) -> None:  # noqa: ARG002 - for those who show bars
        self._begun.setdefault(name, time.monotonic())
        self._sizes[name] = done

    def ended(self, name: str) -> None:
        size = self._sizes.pop(name, 0)
        seconds = time.monotonic() - self._begun.pop(name, time.monotonic())
        if not self.quiet:
            self.say(f"{printable(name)}  {amount(size)}  {amount(size / max(seconds, 0.001))}/s  {clock(seconds)}")

    def failed(self, name: str, error: OSError) -> bool:
        self._begun.pop(name, None)
        self._sizes.pop(name, None)
        self.complain(f"{name}: {reason(error, name)}")
        return True

    def say(self, line: str) -> None:
        """Print a line."""
        print(line, flush=True)

    def complain(self, text: str) -> None:
        """Count a failure, and print it to standard error."""
        self.failures += 1
        print(f"{self.command}: {printable(text)}", file=sys.stderr, flush=True)


class Bars(Display):
    """The same with bars: size, rate and time left, for each file under way and for all together."""

    def __init__(self, command: str) -> None:
        from rich import progress as rich
        from rich.console import Console

        super().__init__(command)
        columns = (
            rich.TextColumn("{task.description}", markup=False),
            rich.BarColumn(bar_width=None),
            rich.TaskProgressColumn(),
            rich.DownloadColumn(),
            rich.TransferSpeedColumn(),
            rich.TimeRemainingColumn(),
        )
        errors_too = sys.stderr.isatty()
        self._bars: Any = rich.Progress(*columns, console=Console(), redirect_stderr=errors_too, expand=True, transient=True)
        self._tasks: dict[str, Any] = {}
        self._whole: Any = None
        self._expected = 0
        self._files = 0
        self._done = 0

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._bars.stop()

    def planned(self, size: int, files: int) -> None:
        self._expected += size
        self._files += files

    def __call__(self, done: int, total: int, name: str) -> None:
        before = self._sizes.get(name, 0)
        super().__call__(done, total, name)
        self._done += done - before
        if name not in self._tasks and len(self._tasks) < BARS:
            self._tasks[name] = self._bars.add_task(_shortened(printable(name)), total=total)
        if name in self._tasks:
            self._bars.update(self._tasks[name], completed=done, total=total)
        self._show_whole()

    def _show_whole(self) -> None:
        if self._files < 2:
            return
        if self._whole is None:
            self._whole = self._bars.add_task("total")
        total = max(self._expected, self._done)
        self._bars.update(self._whole, completed=self._done, total=total, description=f"total of {self._files} files")

    def ended(self, name: str) -> None:
        self._remove(name)
        super().ended(name)

    def failed(self, name: str, error: OSError) -> bool:
        self._remove(name)
        return super().failed(name, error)

    def _remove(self, name: str) -> None:
        if name in self._tasks:
            self._bars.remove_task(self._tasks.pop(name))

    def say(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)


def reason(error: BaseException, about: str = "") -> str:
    """Return what to say of a failure, and with which other file than the one that it is *about*."""
    if isinstance(error, OSError) and error.errno == errno.EISDIR:
        return "it is a directory: -r copies directories"
    if isinstance(error, OSError) and error.strerror and not hasattr(error, "sftp_code"):
        other = error.filename if error.filename != about else None
        return f"{os.fsdecode(other)}: {error.strerror}" if isinstance(other, (str, bytes)) else error.strerror
    return str(error) or type(error).__name__


def printable(text: str) -> str:
    """Return *text* with nothing in it that a terminal would act upon: names come from other people."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def amount(size: float) -> str:
    """Return a number of bytes in the unit that suits."""
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            break
        size /= 1000
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds."""
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def _shortened(name: str, longest: int = 30) -> str:
    return name if len(name) <= longest else "…" + name[1 - longest :]
