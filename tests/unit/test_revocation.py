# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files of revoked keys: what ``ssh-keygen -Q`` says about them, and damage."""

from __future__ import annotations

import binascii
import itertools
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from pylibsshext import revocation


def keygen(*arguments: object) -> int:
    """Run ssh-keygen; return its exit status."""
    return subprocess.run(
        ["ssh-keygen", *map(str, arguments)], check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ).returncode


def blob(public: Path) -> bytes:
    """Return what a file ``.pub`` has."""
    return binascii.a2b_base64(public.read_text().split()[1])


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two authorities, two keys, and certificates with serials and names; name → public file."""
    directory = tmp_path_factory.mktemp("keys")
    for name, kind in {"ca": "ed25519", "ca2": "rsa", "one": "ed25519", "two": "ecdsa"}.items():
        assert keygen("-q", "-t", kind, "-N", "", "-f", directory / name) == 0
    found = {name: directory / f"{name}.pub" for name in ("ca", "one", "two")}
    for ca, serial in itertools.product(("ca", "ca2"), (0, 1, 5, 9, 70)):
        name = f"{ca}-{serial}"
        (directory / f"{name}.pub").write_bytes(found["two"].read_bytes())
        assert keygen("-q", "-h", "-s", directory / ca, "-I", f"id {serial}", "-z", serial, directory / f"{name}.pub") == 0
        found[name] = directory / f"{name}-cert.pub"
    return found


@pytest.mark.parametrize(
    "specification",
    ["serial: 5", "serial: 4-9", "serial: 1\nserial: 5\nserial: 7-8\nserial: 70", "serial: 1\nserial: 3\nserial: 5\nserial: 9\n",
     "id: id 9\nid: other", "key: {one}", "sha1: {two}", "sha256: {two}", "hash: SHA256:{hash}", "key: {cert}", "serial: 1-18446744073709551615", ""],
)  # fmt: skip
@pytest.mark.parametrize("authority", ["ca", "none"])
def test_lists_of_ssh_keygen(keys: dict[str, Path], tmp_path: Path, specification: str, authority: str) -> None:
    """Each kind of entry revokes what it does for ssh-keygen, and nothing else."""
    about = {"one": keys["one"].read_text(), "two": keys["two"].read_text(), "cert": keys["ca-9"].read_text()}
    shown = subprocess.run(["ssh-keygen", "-lf", keys["one"]], capture_output=True, text=True, check=True).stdout.split()[1]
    (tmp_path / "spec").write_text(specification.format(hash=shown.removeprefix("SHA256:"), **about) + "\n")
    path = tmp_path / "krl"
    ca = keys["ca"] if authority == "ca" else "none"
    assert keygen("-q", "-k", "-f", path, "-s", ca, "-z", 3, tmp_path / "spec") == 0
    for name, public in keys.items():
        found = revocation.find(str(path), blob(public))
        assert (found is not None) == (keygen("-Q", "-f", path, public) != 0), (name, specification)
        assert found in (None, (str(path), None))


def test_lists_of_keys(keys: dict[str, Path], tmp_path: Path) -> None:
    """A key revokes itself, its certificates, and as an authority those that it signed; the line is told."""
    path = tmp_path / "revoked"
    path.write_text(f"# comment\n\n  {keys['ca'].read_text()}{keys['one'].read_text()}")
    where = {name: found.line for name, public in keys.items() if (found := revocation.find(str(path), blob(public)))}
    assert where == {"ca": 3, "one": 4} | {f"ca-{serial}": 3 for serial in (0, 1, 5, 9, 70)}
    path.write_text(keys["ca-5"].read_text())  # a certificate stands for its key
    assert revocation.find(str(path), blob(keys["two"])) == (str(path), 1)


@pytest.mark.parametrize("content", ["nonsense\n", "ssh-ed25519 AAAA\n", "ssh-rsa {one}", "command=x {one}"])
def test_what_is_no_list(keys: dict[str, Path], tmp_path: Path, content: str) -> None:
    """A line that is no key might have been meant for any."""
    path = tmp_path / "revoked"
    path.write_text(content.format(one=keys["one"].read_text()))
    with pytest.raises(ValueError, match=f"{path} failed: line 1 is not a public key"):
        revocation.find(str(path), blob(keys["two"]))


def test_no_file(keys: dict[str, Path], tmp_path: Path) -> None:
    """Without the file nothing is known about a key."""
    with pytest.raises(ValueError, match="No such file"):
        revocation.find(str(tmp_path / "nothing"), blob(keys["two"]))


@pytest.fixture(scope="module")
def full_list(keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A list with sections of each kind."""
    directory = tmp_path_factory.mktemp("list")
    entries = [
        "serial: 1",
        "serial: 5-9",
        "serial: 70",
        "id: x",
        f"key: {keys['one'].read_text()}",
        f"sha1: {keys['two'].read_text()}",
    ]
    (directory / "spec").write_text("\n".join(entries) + "\n")
    assert keygen("-q", "-k", "-f", directory / "krl", "-s", keys["ca"], directory / "spec") == 0
    return (directory / "krl").read_bytes()


def test_a_list_that_is_cut_off(keys: dict[str, Path], full_list: bytes, tmp_path: Path) -> None:
    """A list that ends too early is refused, wherever that is, even if what is left has the key: it is cut between sections at most."""
    path = tmp_path / "krl"
    whole = 0
    for size in range(8, len(full_list)):
        path.write_bytes(full_list[:size])
        try:
            revocation.find(str(path), blob(keys["one"]))
            whole += 1
        except ValueError as exc:
            assert str(path) in str(exc)
    assert whole <= 3  # no list says how many sections it has


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_list_with_other_bytes(
    keys: dict[str, Path], full_list: bytes, tmp_path_factory: pytest.TempPathFactory, data
) -> None:
    """Any damage is read or refused, and nothing worse."""
    changed = bytearray(full_list)
    for position in data.draw(st.lists(st.integers(8, len(changed) - 1), min_size=1, max_size=4)):
        changed[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "krl"
    path.write_bytes(changed)
    try:
        revocation.find(str(path), blob(keys["ca-5"]))
    except ValueError as exc:
        assert str(path) in str(exc)


def test_what_must_be_understood(keys: dict[str, Path], full_list: bytes, tmp_path: Path) -> None:
    """Another version, an unknown section and a critical extension are refused; an extension that is not critical is not."""
    path = tmp_path / "krl"
    name = b"\0\0\0\1x"
    for addition, why in {
        b"\x07\0\0\0\0": "section of type 7",
        b"\xff" + (10).to_bytes(4, "big") + name + b"\1\0\0\0\0": "extension 'x'",
    }.items():
        path.write_bytes(full_list + addition)
        with pytest.raises(ValueError, match=why):
            revocation.find(str(path), blob(keys["one"]))
    path.write_bytes(full_list + b"\xff" + (10).to_bytes(4, "big") + name + b"\0\0\0\0\0")
    assert revocation.find(str(path), blob(keys["one"]))
    path.write_bytes(full_list[:8] + b"\0\0\0\2" + full_list[12:])
    with pytest.raises(ValueError, match="of a version"):
        revocation.find(str(path), blob(keys["one"]))
