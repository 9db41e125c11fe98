# SPDX-License-Identifier: LGPL-2.1-or-later
"""known_hosts files: what is read from them, what is decided, what is appended, and that ``ssh-keygen`` agrees."""

from __future__ import annotations

import base64
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from pylibsshext import hostkeys
from pylibsshext.errors import HostKeyChangedError, HostKeyError
from pylibsshext.hostkeys import State
from pylibsshext.trust import Trust


def make_blob(key_type: str, seed: bytes) -> bytes:
    """Return a public key blob: the type and a body, each with its length (RFC 4253 section 6.6)."""
    name, body = key_type.encode(), (seed * 32)[:32]
    return b"".join(len(part).to_bytes(4, "big") + part for part in (name, body))


ED, ED2, RSA = make_blob("ssh-ed25519", b"a"), make_blob("ssh-ed25519", b"b"), make_blob("ssh-rsa", b"c")


def line(names: str, blob: bytes, marker: str = "", comment: str = "") -> str:
    """Return a line of a known_hosts file."""
    words = [marker, names, hostkeys.blob_type(blob), base64.b64encode(blob).decode(), comment]
    return " ".join(word for word in words if word) + "\n"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Return the name of a known_hosts file that does not exist yet."""
    return tmp_path / "known_hosts"


def state(known: Path, host: str, blob: bytes = ED, port: int = 22) -> State:
    """Return the state of a key by one file."""
    return hostkeys.lookup([known], host, port, hostkeys.blob_type(blob), blob).state


@pytest.mark.parametrize(
    ("names", "host", "port", "covers"),
    [
        ("example.com", "example.com", 22, True),
        ("Example.COM", "eXample.com", 22, True),
        ("example.com", "example.org", 22, False),
        ("a,example.com,b", "example.com", 22, True),
        ("example.com", "example.com", 2222, True),  # OpenSSH falls back to the bare name
        ("[example.com]:2222", "example.com", 2222, True),
        ("[example.com]:2222", "example.com", 22, False),
        ("[example.com]:2222", "example.com", 2223, False),
        ("[example.com]:22", "example.com", 22, False),
        ("[*.example.com]:*", "a.example.com", 830, True),
        ("::1", "::1", 22, True),
        ("[fe80::1%eth0]:2222", "fe80::1%eth0", 2222, True),
        ("*", "anything", 22, True),
        ("192.0.2.?", "192.0.2.7", 22, True),
        ("192.0.2.?", "192.0.2.77", 22, False),
        ("h[ab]", "ha", 22, False),  # a bracket is no pattern
        ("*.foo,!bar.foo", "a.foo", 22, True),
        ("*.foo,!bar.foo", "bar.foo", 22, False),
        ("!bar.foo,*.foo", "bar.foo", 22, False),
        ("!bar.foo", "a.foo", 22, False),
        ("a*b*c", "axxbyyc", 22, True),
        ("a*b*c", "axxbyyd", 22, False),
    ],
)
def test_names_and_patterns(known: Path, names: str, host: str, port: int, covers: bool) -> None:
    """A line covers a host by name, port and OpenSSH's patterns, and by nothing else."""
    known.write_text(line(names, ED))
    assert state(known, host, port=port) is (State.KNOWN if covers else State.UNKNOWN)


def test_hostile_pattern_is_quick(known: Path) -> None:
    """A pattern of many stars against a long name ends at once (a timeout of the test run would show otherwise)."""
    known.write_text(line("*a" * 2000 + "b", ED))
    assert state(known, "a" * 255) is State.UNKNOWN


def test_states(known: Path) -> None:
    """Same key: known. Another of the type: changed. Only other types: other. No line: unknown."""
    known.write_text(line("h", ED))
    assert state(known, "h", ED) is State.KNOWN
    assert state(known, "h", ED2) is State.CHANGED
    assert state(known, "h", RSA) is State.OTHER
    assert state(known, "i", ED) is State.UNKNOWN


def test_any_matching_key_wins_over_a_differing_one(known: Path, tmp_path: Path) -> None:
    """A host with several keys of a type on record, in several files, is known by each of them."""
    second = tmp_path / "second"
    known.write_text(line("h", ED2))
    second.write_text(line("h", ED))
    verdict = hostkeys.lookup([known, second], "h", 22, "ssh-ed25519", ED)
    assert (verdict.state, verdict.file, verdict.line) == (State.KNOWN, str(second), 1)


def test_changed_says_where_and_what(known: Path) -> None:
    """The verdict on a changed key has file, line number and the fingerprint on record, as has its exception."""
    known.write_text("# comment\n\n" + line("h", RSA) + line("[h]:2222", ED))
    verdict = hostkeys.lookup([known], "h", 2222, "ssh-ed25519", ED2)
    assert (verdict.state, verdict.file, verdict.line) == (State.CHANGED, str(known), 4)
    assert verdict.refused
    assert verdict.known_fingerprint == hostkeys.fingerprint(ED)
    error = verdict.error()
    assert isinstance(error, HostKeyChangedError)
    assert (error.file, error.line, error.known_fingerprint) == (str(known), 4, hostkeys.fingerprint(ED))
    assert (error.host, error.port, error.key_type) == ("h", 2222, "ssh-ed25519")
    for part in (f"{known}:4", hostkeys.fingerprint(ED), hostkeys.fingerprint(ED2), "-R '[h]:2222'"):
        assert part in str(error)


def test_other_and_revoked_are_refused_with_their_own_text(known: Path) -> None:
    """A key of another type and a revoked key are refused, each by a sentence of its own."""
    known.write_text(line("h", ED) + line("*", ED2, "@revoked"))
    other = hostkeys.lookup([known], "h", 22, "ssh-rsa", RSA)
    revoked = hostkeys.lookup([known], "h", 22, "ssh-ed25519", ED2)
    assert (other.state, revoked.state) == (State.OTHER, State.REVOKED)
    assert other.refused
    assert revoked.refused
    assert "other types" in str(other.error())
    assert "ssh-ed25519" in str(other.error())
    assert f"{known}:2 marks as revoked" in str(revoked.error())


def test_unknown_text_names_host_port_key_and_files(known: Path) -> None:
    """The sentence on an unknown host names it, its port, the key and the files that were searched; it is no refusal."""
    verdict = hostkeys.lookup([known, "/dev/null"], "h", 830, "ssh-ed25519", ED)
    assert not verdict.refused
    assert type(verdict.error()) is HostKeyError
    for part in ("h port 830", "ssh-ed25519", hostkeys.fingerprint(ED), str(known), "/dev/null"):
        assert part in verdict.text


def test_revoked_beats_known_in_any_order(known: Path) -> None:
    """A revoked key is refused though a line before or after calls it known, and by its bare name on another port."""
    known.write_text(line("h,[h]:2222", ED) + line("h", ED, "@revoked"))
    assert state(known, "h") is State.REVOKED
    assert state(known, "h", port=2222) is State.REVOKED
    assert state(known, "h", ED2) is State.CHANGED


def test_revoked_key_of_one_host_says_nothing_of_another(known: Path) -> None:
    """A revocation counts for the hosts that its patterns cover."""
    known.write_text(line("h", ED, "@revoked") + line("i", ED))
    assert state(known, "i") is State.KNOWN


def test_authority_is_not_a_host_key(known: Path) -> None:
    """The key of a certificate authority does not make a host known, nor changed; find() shows it."""
    known.write_text(line("*", ED, "@cert-authority", "our CA"))
    assert state(known, "h", ED) is State.UNKNOWN
    assert state(known, "h", ED2) is State.UNKNOWN
    assert [(entry.marker, entry.blob) for entry in hostkeys.find([known], "h", 22)] == [("cert-authority", ED)]


def test_differing_key_of_the_bare_name_is_no_change_on_another_port(known: Path) -> None:
    """A second sshd on the host may have another key; the one of port 22 is accepted there, as by OpenSSH."""
    known.write_text(line("h", ED))
    assert state(known, "h", ED, 2222) is State.KNOWN
    assert state(known, "h", ED2, 2222) is State.UNKNOWN


def test_garbage_is_skipped_and_lines_keep_their_numbers(known: Path) -> None:
    """Comments, torn lines, wrong base64, foreign markers, NUL bytes and odd white space hide no good line."""
    good = line("h", ED, comment="a comment  with \t space").encode()
    garbage = [
        b"#h " + good.strip(),
        b"h",
        b"h ssh-ed25519",
        b"h ssh-ed25519 AAAA!",
        b"h ssh-ed25519 AAAA",
        b"h ssh-rsa " + base64.b64encode(ED),
        b"h 2048 35 1234567890",
        b"@foreign " + good.strip(),
        b"@revoked",
        b"\xff\xfe\x00 \x00",
        b"|1|nonsense ssh-ed25519 " + base64.b64encode(ED),
        b"|1|AAAA|AAAA|AAAA ssh-ed25519 " + base64.b64encode(ED),
        b"",
    ]
    known.write_bytes(b"\n".join(garbage) + b"\n \t " + good.replace(b" ", b" \t ").replace(b"\n", b"\r\n"))
    verdict = hostkeys.lookup([known], "h", 22, "ssh-ed25519", ED)
    assert (verdict.state, verdict.line) == (State.KNOWN, len(garbage) + 1)


def test_missing_files_are_empty(tmp_path: Path) -> None:
    """A file, or a directory, that is not there knows nobody."""
    (tmp_path / "plain").write_text("")
    files: list[str | Path] = [tmp_path / "no", tmp_path / "no" / "no", tmp_path / "plain" / "no", "/dev/null"]
    assert hostkeys.find(files, "h", 22) == []


def test_unreadable_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    """What exists but cannot be read is not taken for empty."""
    with pytest.raises(HostKeyError, match=r"reading the known hosts file .* failed: Is a directory") as caught:
        hostkeys.lookup([tmp_path], "h", 22, "ssh-ed25519", ED)
    assert isinstance(caught.value.__cause__, OSError)


def test_default_files_honour_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The user's files come from $HOME or the directory given, the machine's from /etc/ssh."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hostkeys.default_files()[0] == str(tmp_path / ".ssh" / "known_hosts")
    assert hostkeys.default_files("/x")[:2] == ["/x/known_hosts", "/x/known_hosts2"]
    assert hostkeys.default_files()[2:] == ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]
    assert hostkeys.add("~/.ssh/known_hosts", "h", 22, "ssh-ed25519", ED)
    assert hostkeys.lookup(hostkeys.default_files(), "h", 22, "ssh-ed25519", ED).state is State.KNOWN


def test_known_types_in_the_order_of_the_files(known: Path) -> None:
    """Types come once each, as the files have them, without revoked keys and authorities; RSA means SHA-2."""
    known.write_text(
        line("h", RSA) + line("h", ED) + line("h", ED2) + line("h", make_blob("ecdsa-sha2-nistp256", b"x"), "@cert-authority")
    )
    assert hostkeys.known_types([known], "h", 22) == ["ssh-rsa", "ssh-ed25519"]
    assert hostkeys.known_types([known], "i", 22) == []
    assert hostkeys.known_types([known], "h", 2222) == ["ssh-rsa", "ssh-ed25519"]
    assert hostkeys.algorithms(["ssh-rsa", "ssh-ed25519"]) == ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]
    known.write_text(line("h", RSA) + line("h", RSA, "@revoked"))
    assert hostkeys.known_types([known], "h", 22) == []


@pytest.mark.parametrize(
    ("host", "lines", "first"),
    [
        ("h", line("h", RSA), ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]),
        ("h", line("h", ED), ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"]),
        ("h", line("h", ED, "@cert-authority"), ["rsa-sha2-512-cert-v01@openssh.com", "ssh-ed25519", "rsa-sha2-512"]),
        ("", line("*", RSA) + line("*", ED, "@cert-authority"), ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"]),
    ],
)
def test_what_can_be_checked_is_asked_for_first(known: Path, host: str, lines: str, first: list[str]) -> None:
    """Certificates are asked for only where an authority is on record, and of a host without a name nothing is known."""
    known.write_text(lines)
    trust = Trust.of({"knownhosts": str(known), "global_knownhosts": "none"}, host, 22)
    supported = "ssh-ed25519,rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-512,rsa-sha2-256"
    assert trust.preferred_first(supported).split(",")[:3] == first


def test_signature_algorithm_is_taken_for_its_key_type(known: Path) -> None:
    """A caller may hand in what was negotiated (rsa-sha2-512); a blob of another type is refused."""
    assert hostkeys.add(known, "h", 22, "rsa-sha2-512", RSA)
    assert known.read_text() == line("h", RSA)
    assert hostkeys.lookup([known], "h", 22, "rsa-sha2-256", RSA).state is State.KNOWN
    for blob in (ED, b"", b"\0\0\0\x07ssh-rsa"):
        with pytest.raises(ValueError, match="not a public key of type 'ssh-rsa'"):
            hostkeys.lookup([known], "h", 22, "ssh-rsa", blob)


@pytest.mark.parametrize("hashed", [False, True])
def test_add_creates_private_files_and_adds_once(tmp_path: Path, hashed: bool) -> None:
    """The directory is made 0700, the file 0600; a key that is there is not added again, whatever its spelling."""
    known = tmp_path / "new" / "known_hosts"
    assert hostkeys.add(known, "H.example", 2222, "ssh-ed25519", ED, hashed=hashed)
    assert not hostkeys.add(known, "h.Example", 2222, "ssh-ed25519", ED)
    assert hostkeys.add(known, "h.example", 22, "ssh-ed25519", ED)
    assert stat.S_IMODE(known.stat().st_mode) == 0o600
    assert stat.S_IMODE(known.parent.stat().st_mode) == 0o700
    assert len(known.read_text().splitlines()) == 2
    assert ("h.example]" in known.read_text()) is not hashed
    assert state(known, "h.example", port=2222) is State.KNOWN


def test_add_completes_a_last_line_without_newline(known: Path) -> None:
    """A file whose last line is not ended keeps that line and gets the new one below."""
    known.write_text(line("a", ED).rstrip("\n"))
    hostkeys.add(known, "b", 22, "ssh-ed25519", ED)
    assert known.read_text() == line("a", ED) + line("b", ED)


def test_add_to_dev_null_leaves_no_trace() -> None:
    """/dev/null is a file that forgets: adding to it works."""
    assert hostkeys.add("/dev/null", "h", 22, "ssh-ed25519", ED)


@pytest.mark.parametrize("host", ["", "a b", "a,b", "*", "!h", "|1|x", "#h", "@revoked", "h\n", "h\0", "h\tx", "a?"])
def test_add_refuses_names_that_would_mean_something_else(known: Path, host: str) -> None:
    """A name that the file format reads otherwise is refused, and no file appears."""
    with pytest.raises(ValueError, match="not a host name"):
        hostkeys.add(known, host, 22, "ssh-ed25519", ED)
    assert not known.exists()


def test_failed_write_leaves_the_file_as_it_was(known: Path) -> None:
    """Where the disk takes only half a line, the half is taken back and the error is raised."""
    known.write_text(line("a", ED))
    size = known.stat().st_size
    code = (
        "import resource, sys\n"
        "from pylibsshext import hostkeys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 30}, {resource.RLIM_INFINITY}))\n"
        f"hostkeys.add({str(known)!r}, 'b', 22, 'ssh-ed25519', {ED!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=child_env())
    assert "OSError" in done.stderr
    assert known.read_text() == line("a", ED)


def child_env() -> dict[str, str]:
    """Return an environment in which a child Python finds the same packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


def test_concurrent_processes_lose_nothing(tmp_path: Path) -> None:
    """Eight processes that add 25 hosts of their own and 25 shared ones: each is there once, no line is torn."""
    known = tmp_path / "dir" / "known_hosts"
    code = (
        "import sys\n"
        "from pylibsshext import hostkeys\n"
        "sys.stdin.readline()\n"
        "for i in range(25):\n"
        "    for host in (f'own-{sys.argv[2]}-{i}', f'shared-{i}'):\n"
        f"        hostkeys.add(sys.argv[1], host, 22, 'ssh-ed25519', {ED!r}, hashed=i % 2 == 1)\n"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(known), str(n)], stdin=subprocess.PIPE, env=child_env())
        for n in range(8)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
        worker.stdin.close()
    assert [worker.wait() for worker in workers] == [0] * 8
    hosts = [f"own-{n}-{i}" for n in range(8) for i in range(25)] + [f"shared-{i}" for i in range(25)]
    assert all(len(hostkeys.find([known], host, 22)) == 1 for host in hosts)
    assert len(known.read_bytes().splitlines()) == len(hosts)


def test_concurrent_threads_lose_nothing(known: Path) -> None:
    """Threads of one process are kept apart too (record locks would not)."""

    def work(number: int) -> None:
        for i in range(25):
            hostkeys.add(known, f"host-{i}", 22, "ssh-ed25519", ED)
            hostkeys.add(known, f"own-{number}-{i}", 22, "ssh-ed25519", ED)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(known.read_bytes().splitlines()) == 125


def test_add_follows_a_file_that_is_replaced_while_it_waits(known: Path, tmp_path: Path) -> None:
    """When ssh-keygen -R replaces the file while somebody waits for its lock, the line goes into the new file."""
    known.write_text(line("old", ED))
    with hostkeys._locked(str(known)):
        adding = threading.Thread(target=hostkeys.add, args=(known, "h", 22, "ssh-ed25519", ED))
        adding.start()
        adding.join(0.2)
        assert adding.is_alive()
        fresh = tmp_path / "fresh"
        fresh.write_text(line("new", ED))
        fresh.replace(known)
    adding.join()
    assert known.read_text() == line("new", ED) + line("h", ED)


def test_lock_is_free_though_a_forked_child_has_the_file_open(known: Path) -> None:
    """A child forked while a line is being added does not keep the lock after the parent has let go."""
    with hostkeys._locked(str(known)):
        ready, hold = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(hold)
            os.read(ready, 1)  # until the parent closes its end
            os._exit(0)
        os.close(ready)
    adding = threading.Thread(target=hostkeys.add, args=(known, "h", 22, "ssh-ed25519", ED))
    adding.start()
    adding.join(5)
    free = not adding.is_alive()
    os.close(hold)
    os.waitpid(child, 0)
    adding.join()
    assert free


NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-:%_", min_size=1, max_size=40)
PORTS = st.integers(1, 65535)


@settings(max_examples=60, deadline=None)
@given(host=NAMES, port=PORTS, hashed=st.booleans(), seed=st.binary(min_size=1, max_size=8), before=st.binary(max_size=80))
def test_what_is_added_is_found(
    tmp_path_factory: pytest.TempPathFactory, host: str, port: int, hashed: bool, seed: bytes, before: bytes
) -> None:
    """A key added for any host and port, below any content, is known afterwards and what was there is kept."""
    known = tmp_path_factory.mktemp("kh") / "known_hosts"
    known.write_bytes(before)
    blob = make_blob("ssh-ed25519", seed)
    assert hostkeys.add(known, host, port, "ssh-ed25519", blob, hashed=hashed)
    assert known.read_bytes().startswith(before)
    assert state(known, host, blob, port) is State.KNOWN
    assert not hostkeys.add(known, host, port, "ssh-ed25519", blob)


@given(content=st.binary(max_size=400), host=st.text(max_size=20), port=PORTS)
def test_parser_takes_any_bytes(content: bytes, host: str, port: int) -> None:
    """No content of a file and no name makes the parser raise, or invent a key that is not in the text."""
    for entry in hostkeys.parse(content, hostkeys.file_name(host, port)):
        assert base64.b64encode(entry.blob) in content


@given(st.text("ab*?", max_size=12).map(str.encode), st.text("ab", max_size=12).map(str.encode))
def test_wildcards_agree_with_a_plain_definition(pattern: bytes, text: bytes) -> None:
    """The quick matcher decides as the recursive definition of ``*`` and ``?`` does."""

    def matches(p: bytes, t: bytes) -> bool:
        if not p:
            return not t
        if p[:1] == b"*":
            return any(matches(p[1:], t[i:]) for i in range(len(t) + 1))
        return bool(t) and p[:1] in {b"?", t[:1]} and matches(p[1:], t[1:])

    assert hostkeys.wildcard(pattern, text) is matches(pattern, text)


# What OpenSSH's own tool says to the same files and keys.


def keygen(*args: object) -> str:
    """Run ssh-keygen (which this package's tests need as they need sshd) and return what it prints."""
    program = shutil.which("ssh-keygen")
    assert program, "ssh-keygen is missing: install openssh-client"
    return subprocess.run([program, *map(str, args)], capture_output=True, text=True, check=False).stdout


def new_key(directory: Path, kind: str) -> tuple[str, bytes]:
    """Make a key pair and return its type and public blob."""
    keygen("-q", "-t", kind, *(["-b", "2048"] if kind == "rsa" else []), "-N", "", "-C", "", "-f", directory / kind)
    key_type, text = (directory / f"{kind}.pub").read_text().split()[:2]
    return key_type, base64.b64decode(text)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_fingerprints_and_hashing_agree_with_ssh_keygen(tmp_path: Path, known: Path, kind: str) -> None:
    """-l prints our fingerprint; -F finds what we add, hashed and plain; we find what -H hashes."""
    key_type, blob = new_key(tmp_path, kind)
    assert keygen("-l", "-f", tmp_path / f"{kind}.pub").split()[1] == hostkeys.fingerprint(blob)
    hostkeys.add(known, "plain.example", 22, key_type, blob)
    hostkeys.add(known, "hashed.example", 2222, key_type, blob, hashed=True)
    assert "found: line 1" in keygen("-F", "plain.example", "-f", known)
    assert "found: line 2" in keygen("-F", "[hashed.example]:2222", "-f", known)
    assert keygen("-F", "hashed.example", "-f", known) == ""
    keygen("-H", "-f", known)
    assert "plain.example" not in known.read_text()
    assert state(known, "plain.example", blob) is State.KNOWN
    assert state(known, "hashed.example", blob, 2222) is State.KNOWN
    keygen("-R", "plain.example", "-f", known)
    assert state(known, "plain.example", blob) is State.UNKNOWN


@pytest.mark.parametrize("name", ["h", "H", "a.foo", "bar.foo", "[p]:2222", "p", "h22", "[h22]:22", "tab", "none", "192.0.2.7"])
def test_lines_found_agree_with_ssh_keygen(tmp_path: Path, known: Path, name: str) -> None:
    """For names, patterns, ports, markers, tabs and CRLF we find the very lines that ssh-keygen -F finds."""
    key_type, blob = new_key(tmp_path, "ed25519")
    key = f"{key_type} {base64.b64encode(blob).decode()}"
    rows = ["H,*.foo,!bar.foo", "[p]:2222", "@revoked bar.*", "\t tab", "@cert-authority *.foo,192.0.2.?", "[h22]:22", "#h"]
    known.write_bytes("".join(f"{row} {key} note\r\n" for row in rows).encode() + f"h ssh-bogus {key}\nh\n".encode())
    expected = [
        int(text.split("line ")[1].split()[0]) for text in keygen("-F", name, "-f", known).splitlines() if text[:1] == "#"
    ]
    found = [entry.line for entry in hostkeys.parse(known.read_bytes(), name.lower())]
    assert found == expected
