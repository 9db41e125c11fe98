# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build the extension module ``_core``; everything declarative is in pyproject.toml.

``LIBSSH_PREFIX``        a prefix with a static ``lib/libssh.a`` (see scripts/build_libssh.py); without it, the system's libssh.
``PYLIBSSHEXT_PACKAGE``  the name to compile the package under: the copy that a collection carries has a name of its own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGE = os.environ.get("PYLIBSSHEXT_PACKAGE", "pylibsshext")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
# One file for every Python from 3.11 on.  Older ones lack the buffer protocol in their limited API, free-threaded ones the API.
STABLE_ABI = sys.version_info >= (3, 11) and not FREE_THREADED
MISSING = (
    "error: the headers of libssh were not found. Install them: 'apt install libssh-dev', 'dnf install libssh-devel', "
    "'apk add libssh-dev' or 'brew install libssh' (or set LIBSSH_PREFIX to where libssh is)."
)


def static_libssh(prefix: str) -> dict[str, list[str]]:
    """Link libssh into the module, so that it exports its init function only and carries no function that nobody calls."""
    archive = f"{prefix}/lib/libssh.a"
    if not os.path.exists(archive):
        sys.exit(f"error: LIBSSH_PREFIX is set, but there is no {archive}: make one with scripts/build_libssh.py.")
    compile_args = ["-fvisibility=hidden", "-DLIBSSH_STATIC=1"]
    link = [archive, *shlex.split(os.environ.get("LIBSSH_STATIC_LIBS", "-lcrypto -lz -lpthread -ldl"))]
    if sys.platform == "linux":
        link += ["-Wl,--version-script=scripts/exports.map", "-Wl,--gc-sections", "-Wl,-s", "-Wl,--wrap=free"]
        compile_args.append("-DPX_WIPE_FREED=1")
    return {
        "include_dirs": [f"{prefix}/include"],
        "extra_compile_args": compile_args,
        "extra_link_args": link,
    }


def system_libssh() -> dict[str, list[str]]:
    """Link the system's shared libssh: as pkg-config says, else from where the compiler looks by itself."""
    found = run([os.environ.get("PKG_CONFIG", "pkg-config"), "--cflags", "--libs", "libssh"])
    flags = shlex.split(found.stdout) if found else ["-lssh"]
    compile_args = [flag for flag in flags if flag.startswith(("-I", "-D"))]
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    preprocessor = [*compiler, *shlex.split(os.environ.get("CFLAGS", "")), *compile_args, "-E", "-"]
    if not run(preprocessor, "#include <libssh/libssh.h>\n"):
        sys.exit(MISSING)
    return {
        "extra_compile_args": compile_args,
        "extra_link_args": [flag for flag in flags if flag not in compile_args],
    }


def run(command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str] | None:
    """What *command* printed, or None if it failed or is not installed."""
    try:
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None


# The flags of code objects: what Cython's code for the stable ABI else asks `inspect` for, each time that the module is imported.
CODE_FLAGS = [("CO_OPTIMIZED", "0x1"), ("CO_NEWLOCALS", "0x2"), ("CO_VARARGS", "0x4"), ("CO_VARKEYWORDS", "0x8")]
CODE_FLAGS += [("CO_GENERATOR", "0x20"), ("CO_COROUTINE", "0x80"), ("CO_ASYNC_GENERATOR", "0x200")]


class BuildCore(build_ext):
    """Look for libssh only when it is time to compile: an sdist needs none."""

    def build_extensions(self) -> None:
        prefix = os.environ.get("LIBSSH_PREFIX")
        flags = static_libssh(prefix) if prefix else system_libssh()
        # Some interpreters were built with a path to their own libraries: it must not get into what others run.
        self.compiler.linker_so = [arg for arg in self.compiler.linker_so if not arg.startswith("-Wl,-rpath")]
        for extension in self.extensions:
            for name, values in flags.items():
                getattr(extension, name).extend(values)
        super().build_extensions()

    def swig_sources(self, sources: list[str], _extension: Extension) -> list[str]:
        """Take what Cython made, the last time before it is compiled, and have it not import `inspect`: that takes 8 ms."""
        for source in sources:
            with open(source, encoding="utf-8") as file:
                code = file.read()
            with open(source, "w", encoding="utf-8") as file:
                file.write(code.replace('PyImport_ImportModule("inspect")', 'PyImport_ImportModule("sys")'))
        return sources


setup(
    ext_modules=[
        Extension(
            f"{PACKAGE}._core",
            [f"{PACKAGE}/_core.pyx"],
            include_dirs=[f"{PACKAGE}/_c"],
            depends=glob(f"{PACKAGE}/_c/*") + glob(f"{PACKAGE}/_core*.px*"),
            define_macros=[("Py_LIMITED_API", "0x030b0000"), *CODE_FLAGS] if STABLE_ABI else [],
            extra_compile_args=["-O2", "-ffunction-sections", "-fdata-sections", "-Wno-unused-function"],
            py_limited_api=STABLE_ABI,
        )
    ],
    cmdclass={"build_ext": BuildCore},
    options={
        # Cython compares time stamps and misses a changed .pxd: always translate anew, and keep the C file out of the sources.
        "build_ext": {
            "force": True,
            "cython_c_in_temp": True,
            "cython_directives": {"language_level": "3", "freethreading_compatible": True},
        },
        "bdist_wheel": {"py_limited_api": "cp311"} if STABLE_ABI else {},
    },
)
