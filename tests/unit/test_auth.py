# SPDX-License-Identifier: LGPL-2.1-or-later
"""The order of login methods, answers to prompts, and private keys: all without a network."""

from __future__ import annotations

import base64
import subprocess

import pytest

from pylibsshext import _core, auth, kbdint, keys
from pylibsshext.errors import KeyImportError, LibsshSessionException, PassphraseError
from tests.lab import servers


def prompts(*texts, echo=False):
    return [(text, echo) for text in texts]


@pytest.mark.parametrize("text", ["Password:", "Password: ", "password: ", "root@host's PASSWORD:  "])
def test_default_prompt(text):
    """A prompt that ends with "password:" gets the password, however it is written."""
    assert kbdint.Answers("s3cret")("", "", prompts(text)) == ["s3cret"]


def test_only_hidden_prompt():
    """So does the only hidden question there is."""
    assert kbdint.Answers("s3cret")("", "", prompts("Passcode? ")) == ["s3cret"]


@pytest.mark.parametrize(
    ("expected", "asked"),
    [
        (None, prompts("Your name? ", echo=True)),
        (None, prompts("Password:", "Code:")),
        (None, prompts("Code:", "Number:")),
        ("pin:", prompts("Password:")),
    ],
)
def test_other_prompts(expected, asked):
    """Nothing else gets it: an exception names the questions."""
    with pytest.raises(LibsshSessionException, match="None of the prompts looked like password prompts") as caught:
        kbdint.Answers("s3cret", expected)("", "", asked)
    assert "s3cret" not in str(caught.value)


def test_who_answers():
    """The table goes first, then the password where one is asked for, then the callback, which sees only what is left."""
    asked = []

    def callback(name, instruction, left):
        asked.append((name, instruction, left))
        return ["blue"]

    table = {"(?i)code": "123", "Pass": "never reached"}
    answer = kbdint.Answers("s3cret", "secret:", table, callback)
    questions = prompts("Your secret: ", "Verification CODE:", "Colour? ")
    assert answer("n", "i", questions) == ["s3cret", "123", "blue"]
    assert asked == [("n", "i", [("Colour? ", False)])]


def test_a_question_that_comes_again():
    """What was answered once and is asked again was wrong: it is not answered so a second time."""
    answer = kbdint.Answers("s3cret")
    assert answer("", "", prompts("Password:")) == ["s3cret"]
    with pytest.raises(LibsshSessionException, match="the answer was wrong: the server asks .'Password:'. again"):
        answer("", "", prompts("Password:"))
    answer = kbdint.Answers("s3cret", callback=lambda *_: ["better"])
    assert answer("", "", prompts("Password:")) == ["s3cret"]
    assert answer("", "", prompts("Password:")) == ["better"]


@pytest.mark.parametrize("prompt", ["New password: ", "Enter new UNIX password:", "Retype new password:", "Re-enter Passcode:"])
def test_a_new_password_is_wanted(prompt):
    """The old password is no answer to a question for a new one; the error says what is wanted, and why; a table can answer."""
    with pytest.raises(LibsshSessionException, match="wants the password to be changed.*expired today"):
        kbdint.Answers("s3cret")("", "Yours expired\ntoday.", prompts(prompt))
    assert kbdint.Answers("s3cret", table={"(?i)new|re-": "n3w"})("", "", prompts(prompt)) == ["n3w"]


def test_a_callback_with_nobody_to_ask():
    """That the password is wrong, or has to be changed, is told all the same; of any other question the callback's word stands."""

    def nobody(_name, _instruction, left):
        raise LibsshSessionException(f"nobody is here to answer {left[0][0]!r}")

    answer = kbdint.Answers("s3cret", callback=nobody)
    with pytest.raises(LibsshSessionException, match="the server wants the password to be changed: it asks .'New password:'"):
        answer("", "", prompts("New password:"))
    with pytest.raises(LibsshSessionException, match="nobody is here to answer 'Colour[?]'"):
        answer("", "", prompts("Colour?", echo=True))
    assert answer("", "", prompts("Password:")) == ["s3cret"]
    with pytest.raises(LibsshSessionException, match="the answer was wrong: the server asks .'Password:'. again"):
        answer("", "", prompts("Password:"))


def test_a_callback_that_answers_too_little():
    """Each question needs an answer."""
    with pytest.raises(LibsshSessionException, match="2 prompts got 1 answers"):
        kbdint.Answers(None, callback=lambda *_: ["one"])("", "", prompts("a", "b"))


@pytest.mark.parametrize("answer", [83, True, 1.5, ["a"]])
def test_answers_that_are_no_text(answer):
    """What YAML made of an answer without quotes is not what was written: it is refused, and not repeated."""
    with pytest.raises(LibsshSessionException, match=f"'code' is no text, but {type(answer).__name__}: put it in quotes"):
        kbdint.Answers(None, table={"code": answer})


def test_a_table_that_is_no_regular_expression():
    """Is named, before anything is connected."""
    with pytest.raises(LibsshSessionException, match=r"'\(' is not a regular expression"):
        kbdint.Answers(None, table={"(": "x"})


@pytest.mark.parametrize(
    ("moment", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_one_time_codes(moment, code):
    """RFC 6238's own examples (appendix B), with six digits."""
    secret = "GEZD GNBV GY3T QOJQ gezd gnbv gy3t qojq"
    assert kbdint.totp(secret, moment) == code
    with pytest.raises(LibsshSessionException, match="not base32") as caught:
        kbdint.totp("18!")
    assert "18!" not in str(caught.value)


@pytest.mark.parametrize(("bits", "names"), [(0, []), (1 << 20, [])])
def test_no_methods(bits, names):
    """Bits that are no method are none."""
    assert auth.method_names(bits) == names


def test_method_names():
    """Each method has its name of RFC 4252."""
    for name, bit in _core.METHODS.items():
        assert auth.method_names(bit) == [name]
    assert len(auth.method_names(-1)) == len(_core.METHODS)


def _keygen(*arguments):
    subprocess.run(["ssh-keygen", "-q", *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_formats_of_keys(tmp_path, kind, form):
    """Keys of every kind in every format are read, and have ssh-keygen's fingerprint."""
    path = tmp_path / "key"
    servers.make_key(path, kind)
    if form != "RFC4716":
        subprocess.run(["ssh-keygen", "-q", "-p", "-m", form, "-N", "", "-f", path], check=True, capture_output=True)
    shown = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True).stdout
    for text in (path.read_bytes(), path.read_text()):
        assert keys.key_fingerprint(keys.load_key(text, None)) == shown.split()[1]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_encrypted_keys(tmp_path, kind, form):
    """Encrypted keys are told apart, need the right passphrase, and say which of the two is wrong."""
    path = tmp_path / "key"
    servers.make_key(path, kind)
    subprocess.run(["ssh-keygen", "-q", "-p", "-m", form, "-N", "phrase", "-f", path], check=True, capture_output=True)
    text = path.read_bytes()
    assert keys.is_encrypted(text)
    assert keys.load_key(text, "phrase") is not None
    assert keys.load_key(text, b"phrase") is not None
    with pytest.raises(KeyImportError, match="wrong passphrase"):
        keys.load_key(text, "phrases")
    for none in (None, "", b""):
        with pytest.raises(KeyImportError, match="no passphrase was given"):
            keys.load_key(text, none)


@pytest.mark.parametrize("cipher", ["3des-cbc", "aes128-cbc", "aes256-cbc", "aes192-ctr", "aes256-ctr"])
def test_ciphers_of_keys(tmp_path, cipher):
    """What ssh-keygen can encrypt a key with is read."""
    path = tmp_path / "key"
    _keygen("-t", "ed25519", "-Z", cipher, "-N", "phrase", "-f", path)
    assert keys.load_key(path.read_bytes(), "phrase") is not None


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"])
def test_ciphers_with_tags(tmp_path, cipher, kind):
    """A key that is encrypted with a cipher at which libssh crashes is read all the same, or the error says how to change it."""
    path = tmp_path / "key"
    _keygen("-t", kind, "-Z", cipher, "-N", "phrase", "-f", path)
    shown = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True).stdout.split()[1]
    assert keys.is_encrypted(path.read_bytes())
    for text in (path.read_bytes(), path.read_text(), bytearray(path.read_bytes())):
        if not _core.READS_SEALED_KEYS:
            with pytest.raises(KeyImportError, match=f"is encrypted with {cipher}, .*: ssh-keygen -p -Z aes256-ctr"):
                keys.load_key(text, "phrase")
            continue
        assert keys.key_fingerprint(keys.load_key(text, "phrase")) == shown
        with pytest.raises(PassphraseError, match="wrong passphrase"):
            keys.load_key(text, "phrases")
        with pytest.raises(PassphraseError, match="no passphrase was given"):
            keys.load_key(text, None)


@pytest.mark.parametrize("cipher", ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"])
def test_damaged_keys_with_tags(tmp_path, cipher):
    """Wherever a bit of it is wrong, or its end is missing: a KeyImportError, and the key as it was only where the bit says nothing."""
    path = tmp_path / "key"
    _keygen("-t", "ed25519", "-Z", cipher, "-a", "1", "-N", "phrase", "-f", path)
    lines = path.read_text().splitlines()
    raw = base64.b64decode("".join(lines[1:-1]))
    good = keys.key_fingerprint(keys.load_key(path.read_bytes(), "phrase")) if _core.READS_SEALED_KEYS else None
    read = 0
    options = raw.index(b"bcrypt") + 6  # those of the KDF are left alone: with more rounds it takes longer than anybody waits
    for index in {*range(15, options, 3), *range(options + 28, len(raw), 5)}:
        flipped = bytearray(raw)
        flipped[index] ^= 1
        for damaged in (bytes(flipped), raw[:index]):
            text = "\n".join([lines[0], base64.b64encode(damaged).decode(), lines[-1]])
            try:
                assert keys.key_fingerprint(keys.load_key(text, "phrase")) == good
                read += 1
            except KeyImportError:
                pass
    assert read <= 20  # the name of the KDF, and how many keys there are


def test_size_of_rsa_keys(tmp_path):
    """A key's bits are counted in its public half, and in a certificate for it; other keys have none that count."""
    servers.make_key(tmp_path / "ca")
    _keygen("-t", "rsa", "-b", "2048", "-N", "", "-f", tmp_path / "key")
    _keygen("-s", tmp_path / "ca", "-I", "me", tmp_path / "key.pub")
    assert keys.rsa_bits(keys.public_blob(str(tmp_path / "key.pub"))) == 2048
    assert keys.rsa_bits(keys.read_certificate(str(tmp_path / "key-cert.pub")).blob) == 2048
    for other in (keys.public_blob(str(tmp_path / "ca.pub")), b"", b"\0\0\0\x07ssh-rsa"):
        assert keys.rsa_bits(other) is None


def test_a_key_with_too_many_rounds(tmp_path):
    """A number of bcrypt rounds for which a login would hang is refused before anybody is asked, and the error says what to do; 400 are not."""
    path = tmp_path / "key"
    _keygen("-t", "ed25519", "-a", "400", "-N", "phrase", "-f", path)
    assert keys.load_key(path.read_bytes(), "phrase") is not None
    lines = path.read_text().splitlines()
    raw = base64.b64decode("".join(lines[1:-1]))
    many = raw.replace((400).to_bytes(4, "big"), (1 << 31).to_bytes(4, "big"), 1)
    text = "\n".join([lines[0], base64.b64encode(many).decode(), lines[-1]])
    with pytest.raises(
        KeyImportError, match=r"private_key wants 2147483648 rounds of bcrypt, more than 5000, .*ssh-keygen -p -a 100"
    ):
        keys.load_key(text, None, ask=lambda *_: pytest.fail("nobody should be asked"))
    hidden = raw.replace(b"\0\0\0\x18\0\0\0\x10", b"\0\x7f\0\x18\0\0\0\x10", 1)  # the number where it is not looked for
    with pytest.raises(KeyImportError, match="not a private key"):
        keys.load_key("\n".join([lines[0], base64.b64encode(hidden).decode(), lines[-1]]), "phrase")


@pytest.mark.parametrize(
    "scheme", ["PBE-SHA1-3DES", "PBE-MD5-DES", "PBE-SHA1-RC4-128", "-v2 des", "-traditional des", "-traditional seed"]
)
def test_old_schemes_of_pem_and_pkcs8(tmp_path, scheme):
    """Triple DES is read; for what OpenSSL has given up, as has OpenSSH with it, the error says so, and not only that the passphrase is wrong."""
    path = tmp_path / "key"
    servers.make_key(path, "rsa")
    _keygen("-p", "-m", "PEM", "-N", "", "-f", path)
    form, _, cipher = scheme.rpartition(" ")
    how = ["rsa", form, f"-{cipher}"] if form == "-traditional" else ["pkcs8", "-topk8", form or "-v1", cipher]
    command = ["openssl", *how, "-provider", "default", "-provider", "legacy", "-in", path, "-passout", "pass:phrase"]
    text = subprocess.run(command, check=True, capture_output=True).stdout
    if scheme == "PBE-SHA1-3DES":
        assert keys.load_key(text, "phrase") is not None
        with pytest.raises(PassphraseError, match="wrong passphrase"):
            keys.load_key(text, "phrases")
        return
    with pytest.raises(
        KeyImportError, match="is encrypted with (DES|RC2 or RC4|SEED|DES-CBC).*OpenSSL does not.*openssl pkcs8 -topk8"
    ):
        keys.load_key(text, "phrase")


@pytest.mark.parametrize("text", [b"", "", b"junk", b"-----BEGIN RSA PRIVATE KEY-----\njunk\n", b"\xff" * 10_000])
def test_no_keys(text):
    """What is no key is a KeyImportError that does not repeat it."""
    with pytest.raises(KeyImportError, match="not a private key"):
        keys.load_key(text, None)
    assert not keys.is_encrypted(text)


@pytest.mark.parametrize("text", [None, 5, object()])
def test_no_text(text):
    """What is no text at all is a TypeError."""
    with pytest.raises(TypeError):
        keys.load_key(text, None)
