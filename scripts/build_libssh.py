#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build libssh as a static library: ``scripts/build_libssh.py build/libssh-0.12``.

The release tarball is the one given, or comes from the project's site, or is Debian's source package.  Wherever it comes
from, its SHA-256 has to be the one below; only what apt has verified by Debian's signature may be a newer release.  What is changed in
it is said in CHANGES.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

SCRIPTS = Path(__file__).resolve().parent
DEBIAN_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Release:
    """One release of libssh: what its tarball must be, and which Debian has it."""

    sha256: str
    suite: str


RELEASES = {
    "0.12.2": Release("49560f677d96e3706a904ac2de1116e25f3680937d51e5c92198fcba4a1c1e9f", "sid"),
    "0.11.5": Release("6898ba9dd836d618b71dc7a4bb786a502c173cef5cafbf20fe5e0567ba4ea30c", "trixie"),
}

# Servers are not our business, but keepalives and a server's requests to us are in libssh's server part.  Callbacks for FIDO2
# keys are built in; the USB library that libssh would otherwise need for them is left out.
CMAKE = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_C_FLAGS_RELEASE": "-O3 -DNDEBUG -ffunction-sections -fdata-sections -fvisibility=hidden",
    "CMAKE_INSTALL_LIBDIR": "lib",
    "CMAKE_POSITION_INDEPENDENT_CODE": "ON",
    "CMAKE_DISABLE_FIND_PACKAGE_libfido2": "ON",
    "BUILD_SHARED_LIBS": "OFF",
    "WITH_DEBUG_CALLTRACE": "OFF",
    "WITH_EXAMPLES": "OFF",
    "WITH_FIDO2": "ON",
    "WITH_PCAP": "OFF",
    "WITH_SERVER": "ON",
}

_SNTRUP = "src/external/sntrup761.c"

# What we change in libssh's source, because there is no other way to have it: file, text, text instead.
CHANGES = (
    # It reads the certificates of hosts and checks that the host has the key, but never asks for one.  Whether the certificate is to be
    # trusted is ours to find out (pylibsshext/trust.py).
    ("src/kex.c", "ssh_find_all_matching(HOSTKEYS, wanted)", "ssh_find_all_matching(PUBLIC_KEY_ALGORITHMS, wanted)"),
    (
        "src/kex.c",
        "char *ssh_client_select_hostkeys(ssh_session session)\n{",
        (
            "int pylibssh_host_certificates(void);\nint pylibssh_host_certificates(void) { return 1; }\n\n"
            "char *ssh_client_select_hostkeys(ssh_session session)\n{"
        ),
    ),
    # It copies what a packet brings for a channel into a string, that into the channel's buffer, and offers it to the callbacks from there.
    # A channel with nothing in its buffer offers it right out of the packet, and keeps what they leave.
    (
        "src/channels.c",
        "SSH_PACKET_CALLBACK(channel_rcv_data)\n{",
        """\
static int offer(ssh_channel channel, void *data, uint32_t len, int is_stderr)
{
    ssh_buffer kept = is_stderr ? channel->stderr_buffer : channel->stdout_buffer;
    int taken = 0, more;

    if (kept != NULL && ssh_buffer_get_len(kept) > 0) {
        return 0; /* comes first */
    }
    ssh_callbacks_iterate(channel->callbacks, ssh_channel_callbacks, channel_data_function) {
        more = ssh_callbacks_iterate_exec(
            channel_data_function, channel->session, channel, (char *)data + taken, len - taken, is_stderr);
        taken += more > 0 ? more : 0;
    }
    ssh_callbacks_iterate_end();
    if (channel->counter != NULL) {
        channel->counter->in_bytes += taken;
    }
    return taken;
}

SSH_PACKET_CALLBACK(channel_rcv_data)
{""",
    ),
    (
        "src/channels.c",
        "str = ssh_buffer_get_ssh_string(packet);\n    if (str == NULL) {",
        "if (ssh_buffer_get_u32(packet, &len) != sizeof(len) || (len = ntohl(len)) > ssh_buffer_get_len(packet)) {",
    ),
    ("src/channels.c", "ssh_string_len(str)", "len"),
    (
        "src/channels.c",
        "data = ssh_string_data(str);\n    if (channel_default_bufferize(channel, data, len, is_stderr) < 0) {",
        (
            "data = ssh_buffer_get(packet);\n    rest = offer(channel, data, len, is_stderr);\n"
            "    if (rest < (int)len && channel_default_bufferize(channel, (char *)data + rest, len - rest, is_stderr) < 0) {"
        ),
    ),
    (
        "src/channels.c",
        "    if (is_stderr) {\n        buf = channel->stderr_buffer;",
        (
            "    if (rest > 0 && grow_window(session, channel) == SSH_ERROR) {\n        return -1;\n    }\n"
            "    if (rest == (int)len) {\n        return SSH_PACKET_USED;\n    }\n\n"
            "    if (is_stderr) {\n        buf = channel->stderr_buffer;"
        ),
    ),
    # Its sntrup761, the key exchange of OpenSSH before 10, reduces after each of a million products, in 64 bits: 24 ms for a login.
    # A sum of 761 products fits, and 32 bits do (in constant time as before): 5 ms.
    (_SNTRUP, "int32_mod_uint14 (x + 1, 3) - 1;", "x - 3 * ((x * 10923 + (1 << 14)) >> 15); /* exact for |x| < 10^4 */"),
    (
        _SNTRUP,
        "  return int32_mod_uint14 (x + q12, q) - q12;",
        (
            "  x -= q * (((x >> 8) * 14617 + (1 << 17)) >> 18);\n"
            "  return x - q * ((x * 14617 + (1 << 25)) >> 26); /* exact for |x| <= 2 * q12 * q12 */"
        ),
    ),
    (_SNTRUP, "  small result;", "  int16_t result;"),
    (_SNTRUP, "  Fq result;", "  int32_t result;"),
    *(
        (
            _SNTRUP,
            f"{until}; ++j)\n\tresult = {freeze} (result + {product});\n      fg[i] = result;",
            f"{until}; ++j)\n\tresult += {product};\n      fg[i] = {freeze} (result);",
        )
        for freeze, product in (("F3_freeze", "f[j] * g[i - j]"), ("Fq_freeze", "f[j] * (int32_t) g[i - j]"))
        for until in ("j <= i", "j < p")
    ),
    # Its randomness, in one piece for each polynomial and not in 761: a millisecond.
    (
        _SNTRUP,
        "  int i;\n\n  for (i = 0; i < p; ++i)\n    L[i] = urandom32 (random_ctx, random);",
        "\n  random (random_ctx, sizeof L, (uint8_t *) L);",
    ),
    (
        _SNTRUP,
        "  int i;\n\n  for (i = 0; i < p; ++i)\n    out[i] = (((urandom32 (random_ctx, random) & 0x3fffffff)",
        (
            "  uint32_t L[p];\n  int i;\n\n  random (random_ctx, sizeof L, (uint8_t *) L);\n"
            "  for (i = 0; i < p; ++i)\n    out[i] = (((L[i] & 0x3fffffff)"
        ),
    ),
    # The products once more, for processors that take eight of them at a time, and the loader chooses: another 3 ms.
    (
        _SNTRUP,
        "#define MAX_LEN 761",
        (
            "#if defined(__x86_64__) && defined(__GLIBC__)\n"
            '#define WIDE __attribute__((target_clones("avx2", "default")))\n#else\n#define WIDE\n#endif\n\n#define MAX_LEN 761'
        ),
    ),
    *(
        (_SNTRUP, f"static {kind}\n{name} (", f"WIDE static {kind}\n{name} (")
        for kind, name in (("void", "R3_mult"), ("int", "R3_recip"), ("void", "Rq_mult_small"), ("int", "Rq_recip3"))
    ),
)


class BuildError(Exception):
    """The build can't go on, and this is why."""


def say(text: str) -> None:
    print(f"libssh: {text}", flush=True)


def run(command: list[str], cwd: Path | None = None) -> None:
    """Run *command* quietly; what it printed matters only when it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise BuildError(f"'{' '.join(command)}' ended with {done.returncode}:\n{done.stdout[-4000:]}")


def checked(path: Path, sha256: str, whence: str) -> Path:
    """Return *path* if it has that SHA-256."""
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise BuildError(f"{whence} is not the release: its SHA-256 differs from the known one")
    return path


def download(url: str, sha256: str, folder: Path) -> Path:
    """Download a release's tarball from the site of its project."""
    path = folder / url.rpartition("/")[2]
    try:
        with urllib.request.urlopen(url, timeout=10) as answer, path.open("wb") as file:  # noqa: S310  what comes gets checked
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, OSError) as exc:
        raise BuildError(f"{url}: {exc}") from exc
    return checked(path, sha256, url)


def from_site(version: str, folder: Path) -> Path:
    """Download the release from the project's site."""
    series = version.rpartition(".")[0]
    url = f"https://www.libssh.org/files/{series}/libssh-{version}.tar.xz"
    return download(url, RELEASES[version].sha256, folder)


def debian_mirror() -> str:
    """The Debian mirror that this machine itself uses."""
    try:
        targets = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as exc:
        raise BuildError(f"apt is not to be had here: {exc}") from exc
    mirrors = [line for line in targets.splitlines() if re.search(r"/debian/?$", line)]
    if not mirrors or not os.path.exists(DEBIAN_KEYS):
        raise BuildError("this machine's apt knows no Debian mirror")
    return mirrors[0]


def debian_source(package: str, suite: str, folder: Path) -> Path:
    """Fetch the upstream tarball of a Debian source package, without a trace in the machine's own apt."""
    state = folder / "apt"
    (state / "lists/partial").mkdir(parents=True)
    sources = state / "sources.list"
    sources.write_text(f"deb-src [signed-by={DEBIAN_KEYS}] {debian_mirror()} {suite} main\n")
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": state / "lists",
        "Dir::Cache": state,
        "Acquire::Languages": "none",
        # A mirror of snapshots, as builders and closed networks have them, is out of date by intention. Its signature still counts.
        "Acquire::Check-Valid-Until": "false",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
    run([*apt, "update"])
    try:
        run([*apt, "source", "--download-only", package], cwd=folder)
    except BuildError:
        # Old suites lose the files that do not matter here first; what apt has finished, it has checked.
        if not list(folder.glob(f"{package}_*.orig.tar.*[z2]")):
            raise
    return next(folder.glob(f"{package}_*.orig.tar.*[z2]"))


def from_debian(version: str, folder: Path) -> Path:
    """Take Debian's source package."""
    path = debian_source("libssh", RELEASES[version].suite, folder)
    found = path.name.split("_")[1].rpartition(".orig.tar.")[0]
    if found == version:
        return checked(path, RELEASES[version].sha256, f"Debian's {path.name}")
    say(f"Debian has {found} instead of {version}; its signature is good, so that is what gets built")
    return path


def first(what: str, *sources: Callable[[], Path]) -> Path:
    """Return *what* from the first source that has it."""
    failures = []
    for source in sources:
        try:
            return source()
        except BuildError as exc:
            failures.append(str(exc))
    raise BuildError("\n  ".join([f"no {what}:", *failures]))


def tarball(version: str, folder: Path) -> Path:
    """Find the release, on the project's site or with Debian."""
    what = "release tarball (give one with --tarball)"
    path = first(what, lambda: from_site(version, folder), lambda: from_debian(version, folder))
    say(f"{path.name}, checked")
    return path


def has_gssapi() -> bool:
    """Whether the headers of MIT Kerberos are here."""
    command = [os.environ.get("CC", "cc"), "-E", "-"]
    code = "#include <gssapi/gssapi_krb5.h>\n"
    return subprocess.run(command, input=code, text=True, capture_output=True, check=False).returncode == 0


def change(source: Path) -> None:
    """Make our changes in the source; what they are about has to be there."""
    for name, old, new in CHANGES:
        path = source / name
        text = path.read_text()
        if text.count(old) != 1:
            raise BuildError(
                f"{path.name} of {source.name} is not what our changes are for: {old!r} is there {text.count(old)} times"
            )
        path.write_text(text.replace(old, new))


def build(source: Path, prefix: Path, options: dict[str, str], cflags: str) -> None:
    """Compile and install; put the GSSAPI shim into the library where GSSAPI is on."""
    work = source.parent / "cmake"
    compiler = os.environ.get("CC", "cc")
    flags = [f"-D{name}={value}" for name, value in options.items()]
    run(["cmake", "-S", str(source), "-B", str(work), *flags, f"-DCMAKE_C_FLAGS={cflags}", f"-DCMAKE_INSTALL_PREFIX={prefix}"])
    run(["cmake", "--build", str(work), "--parallel", str(os.cpu_count() or 1), "--target", "install"])
    if options["WITH_GSSAPI"] == "ON":
        shim = work / "gss_shim.o"
        run([compiler, "-O2", "-fPIC", "-Wall", *cflags.split(), "-c", str(SCRIPTS / "gss_shim.c"), "-o", str(shim)])
        run(["ar", "rs", str(prefix / "lib/libssh.a"), str(shim)])


def main() -> None:
    parser = argparse.ArgumentParser(description="Build libssh as a static library.")
    parser.add_argument("prefix", type=Path, help="where to install it")
    parser.add_argument("--version", choices=RELEASES, default=next(iter(RELEASES)), help="default: %(default)s")
    parser.add_argument("--tarball", type=Path, help="the release tarball, instead of looking for it")
    parser.add_argument("--read-size", type=int, default=65536, help="bytes that one read(2) asks for (libssh: 4096)")
    args = parser.parse_args()
    if args.tarball:
        checked(args.tarball, RELEASES[args.version].sha256, str(args.tarball))

    with tempfile.TemporaryDirectory(prefix="libssh-") as name:
        folder = Path(name)
        with tarfile.open(args.tarball or tarball(args.version, folder)) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Pythons of 2023 and later have it
            archive.extractall(folder)  # noqa: S202  its hash or its signature is known
        source = next(folder.glob("libssh-*/"))
        gssapi = has_gssapi()
        if not gssapi:
            say("built without GSSAPI: no headers of MIT Kerberos (apt: libkrb5-dev)")
        say(f"reads {args.read_size} bytes at a time from a socket")
        options = {**CMAKE, "WITH_GSSAPI": "ON" if gssapi else "OFF"}
        change(source)
        build(source, args.prefix.resolve(), options, f"-DMAX_BUF_SIZE={args.read_size}")
        say(f"{source.name} is in {args.prefix}")


if __name__ == "__main__":
    try:
        main()
    except BuildError as exc:
        sys.exit(f"libssh: {exc}")
