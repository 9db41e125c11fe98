# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenSSH releases besides this machine's: ``python -m tests.lab build`` builds what is missing of them into build/.

Debian has their sources; once a suite has left the mirrors, OpenSSH's own site does. Debian's binaries want another C library than
the one here. They are built without PAM, so passwords are those of /etc/shadow, and there is no keyboard-interactive login.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scripts.build_libssh import checked, debian_source, download, first, run

ROOT = Path(__file__).resolve().parents[2]

SITE = "https://cdn.openbsd.org/pub/OpenBSD/OpenSSH/portable"
PROGRAMS = {"sshd": "sbin", "sftp-server": "libexec", "scp": "bin", "sshd-session": "libexec", "sshd-auth": "libexec"}


@dataclass(frozen=True)
class Release:
    """One release: what its tarball must be, which Debian has it, and what its server consists of."""

    sha256: str
    suite: str
    programs: tuple[str, ...] = ("sshd", "sftp-server", "scp")


RELEASES = {
    (8, 4): Release("5a01d22e407eb1c05ba8a8f7c654d388a13e9f226e4ed33bd38748dafa1d2b24", "bullseye"),
    (10, 0): Release("021a2e709a0edf4250b1256bd5a9e500411a90dddabea830ed59cef90eb9d85c", "trixie", tuple(PROGRAMS)),
}


def name(version: tuple[int, int]) -> str:
    """Return what the lab calls the release."""
    return f"openssh-{version[0]}.{version[1]}"


def program(version: tuple[int, int], which: str) -> Path:
    """Return where a program of the release is, built or not."""
    return ROOT / "build" / name(version) / PROGRAMS[which] / which


def missing(version: tuple[int, int]) -> list[str]:
    """Return the programs of the release that have not been built."""
    return [which for which in RELEASES[version].programs if not program(version, which).exists()]


def source(version: tuple[int, int], folder: Path) -> Path:
    """Fetch a release's tarball into *folder*."""
    release = RELEASES[version]

    def from_debian() -> Path:
        tarball = debian_source("openssh", release.suite, folder)
        return checked(tarball, release.sha256, f"Debian's {tarball.name}")

    def from_site() -> Path:
        return download(f"{SITE}/{name(version)}p1.tar.gz", release.sha256, folder)

    return first(f"source of {name(version)}", from_debian, from_site)


def build(version: tuple[int, int]) -> None:
    """Fetch, compile and install the programs of a release's server."""
    release = RELEASES[version]
    prefix = ROOT / "build" / name(version)
    with tempfile.TemporaryDirectory(prefix=f"{name(version)}-") as scratch:
        folder = Path(scratch)
        with tarfile.open(source(version, folder)) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Pythons of 2023 and later have it
            archive.extractall(folder)
        tree = next(folder.glob("openssh-*/"))
        path = f"{prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        options = ["--with-privsep-path=/run/sshd", f"--with-default-path={path}", f"--with-superuser-path={path}"]
        run(["./configure", "-q", f"--prefix={prefix}", *options, "CFLAGS=-O1"], cwd=tree)
        run(["make", "-j2", *release.programs], cwd=tree)
        for which in release.programs:
            target = program(version, which)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / which, target)


def build_missing() -> None:
    """Build what is missing, side by side: half of it is a configure that uses one core."""
    wanted = [version for version in RELEASES if missing(version)]
    print(f"Building {', '.join(map(name, wanted)) or 'nothing: all releases are here'}", flush=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(build, wanted))
