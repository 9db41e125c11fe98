# SPDX-License-Identifier: GPL-3.0-or-later
"""The become talk, cut at every byte: the cut must never change what comes of it."""

from __future__ import annotations

import pytest
from ansible_collections.ansible.netcommon.plugins.module_utils._escalation import Escalation, EscalationError

PASSWORD = "s3 cret'\"é"
SENT = PASSWORD.encode() + b"\n"
LECTURE = b"\nWe trust you have received the usual lecture from the local System\nAdministrator.\n\n"

# name, become plugin, password, what is printed where, what is answered, what is left of both streams.
# {prompt} and {success} stand for the plugin's own, which are different in each run.
TALKS = [
    ("sudo without a password", "sudo", None, [("out", "{success}\nuid=0\n")], b"", b"uid=0\n", b""),
    ("sudo that wants none", "sudo", PASSWORD, [("out", "{success}\n")], b"", b"", b""),
    ("sudo on a pipe", "sudo", PASSWORD, [("err", "{prompt}"), ("out", "{success}\nout\n")], SENT, b"out\n", b""),
    ("sudo on a pty", "sudo", PASSWORD, [("out", "{prompt}\r\n{success}\r\nout\r\n")], SENT, b"out\r\n", b""),
    ("a lecture on a pipe", "sudo", PASSWORD, [("err", LECTURE + b"{prompt}"), ("out", "{success}\n")], SENT, b"", LECTURE),
    ("a lecture on a pty", "sudo", PASSWORD, [("out", LECTURE + b"{prompt}\r\n{success}\r\nx")], SENT, b"x", b""),
    (
        "a warning of sudo",
        "sudo",
        PASSWORD,
        [("err", "sudo: no host\n{prompt}"), ("out", "{success}\n")],
        SENT,
        b"",
        b"sudo: no host\n",
    ),
    (
        "stderr of the command",
        "sudo",
        PASSWORD,
        [("err", "{prompt}"), ("out", "{success}\n"), ("err", "\noops")],
        SENT,
        b"",
        b"\noops",
    ),
    ("binary output", "sudo", None, [("out", b"{success}\n\x00\xff\xfe\r\n\x80")], b"", b"\x00\xff\xfe\r\n\x80", b""),
    ("a greeting first", "sudo", None, [("out", "Hello\n{success}\n1\n")], b"", b"1\n", b""),
    ("su on a pipe", "su", PASSWORD, [("err", "Password: "), ("out", "{success}\nout\n")], SENT, b"out\n", b""),
    ("su on a pty", "su", PASSWORD, [("out", "Password: \r\n{success}\r\nout\r\n")], SENT, b"out\r\n", b""),
    ("su in German", "su", PASSWORD, [("err", "Passwort: "), ("out", "{success}\n")], SENT, b"", b""),
    ("su in Korean", "su", PASSWORD, [("out", "암호： \r\n{success}\r\n")], SENT, b"", b""),
    ("su by root", "su", PASSWORD, [("out", "{success}\nPassword: \n")], b"", b"Password: \n", b""),
    ("PAM that talks", "sudo", PASSWORD, [("err", "Hello\n{prompt}"), ("out", "{success}\n1\n")], SENT, b"1\n", b"Hello\n"),
    ("the marker again", "sudo", None, [("out", "{success}\n{success}\n")], b"", b"{success}\n", b""),
]
REFUSALS = [
    ("sudo", PASSWORD, [("err", "{prompt}Sorry, try again.\n{prompt}")], "Incorrect sudo password"),
    ("sudo", PASSWORD, [("out", "{prompt}\r\n{prompt}")], "Incorrect sudo password"),
    ("sudo", None, [("err", "sudo: a password is required\n")], "Missing sudo password"),
    ("su", PASSWORD, [("out", "Password: \r\nsu: Authentication failure\r\n")], "Incorrect su password"),
    ("su", PASSWORD, [("err", "Password: Password: ")], "Incorrect su password"),
    ("su", None, [("err", "Password: ")], "Missing su password"),
    (
        "su",
        PASSWORD,
        [("out", "Password: \r\nYou must change it now.\r\nCurrent password: ")],
        r"su wants more than the password: You must change it now\.\r\nCurrent password:",
    ),
    (
        "su",
        PASSWORD,
        [("out", "Password: \r\nYour account has expired.\r\nsu: Authentication failure\r\n")],
        r"Incorrect su password: Your account has expired\.",
    ),
    (
        "sudo",
        PASSWORD,
        [("err", "Hello\n{prompt}sudo: is your account locked?\nsudo: a password is required\n")],
        r"sudo does not accept the password: sudo: is your account locked\?",
    ),
]


def fill(text, plugin):
    """Put the plugin's own prompt and marker into *text*."""
    text = text.encode() if isinstance(text, str) else text
    prompt = plugin.prompt.encode() if isinstance(plugin.prompt, str) else b""
    return text.replace(b"{prompt}", prompt).replace(b"{success}", plugin.success.encode())


def play(plugin, password, pieces):
    """Feed *pieces* to a fresh talk; return it and what it answered."""
    talk = Escalation(plugin, password)
    sent = b"".join(talk.feed(**{f"std{stream}": data}) for stream, data in pieces)
    return talk, sent


def cuts(pieces):
    """Yield *pieces* whole, cut in two at each byte of each of them, and byte by byte."""
    yield pieces
    for at, (stream, data) in enumerate(pieces):
        for cut in range(1, len(data)):
            yield [*pieces[:at], (stream, data[:cut]), (stream, data[cut:]), *pieces[at + 1 :]]
    yield [(stream, data[i : i + 1]) for stream, data in pieces for i in range(len(data))]


@pytest.mark.parametrize(
    ("name", "password", "printed", "sent", "stdout", "stderr"), [t[1:] for t in TALKS], ids=[t[0] for t in TALKS]
)
def test_talk_is_the_same_at_every_cut(become, name, password, printed, sent, stdout, stderr):
    """The password is answered once, prompt and marker are taken out, all else is handed on."""
    plugin = become(name, password)
    pieces = [(stream, fill(data, plugin)) for stream, data in printed]
    for cut in cuts(pieces):
        if name == "su":
            plugin.prompt = True  # as built: the plugin puts there what it has matched
        talk, answered = play(plugin, password, cut)
        assert talk.done, cut
        assert (answered, talk.stdout, talk.stderr) == (sent, fill(stdout, plugin), fill(stderr, plugin)), cut


@pytest.mark.parametrize(("name", "password", "printed", "message"), REFUSALS)
def test_refusal_is_told_at_every_cut(become, name, password, printed, message):
    """A wrong and a missing password end the talk at once, with the plugin's name."""
    plugin = become(name, password)
    pieces = [(stream, fill(data, plugin)) for stream, data in printed]
    for cut in cuts(pieces):
        if name == "su":
            plugin.prompt = True
        with pytest.raises(EscalationError, match=f"^{message}$"):
            play(plugin, password, cut)


def test_marker_quoted_in_a_refusal_is_no_success(become):
    """sudo's "not allowed to execute" quotes the command with its marker, and must reach the user."""
    plugin = become("sudo", PASSWORD)
    refusal = f"Sorry, user me is not allowed to execute '{plugin.command}' as root on host.\n".encode()
    assert plugin.success.encode() in refusal
    for cut in cuts([("err", fill("{prompt}", plugin)), ("err", refusal)]):
        talk, sent = play(plugin, PASSWORD, cut)
        assert not talk.done, cut
        talk.finish()
        assert (sent, talk.stdout, talk.stderr) == (SENT, b"", refusal), cut


def test_a_prompt_may_come_after_a_carriage_return(become):
    """doas begins its prompt so; a become plugin that looks at the line's beginning knows it all the same."""
    plugin = become("sudo", PASSWORD)
    plugin.check_password_prompt = lambda line: line.startswith(plugin.prompt.encode())
    for cut in cuts([("out", fill("\r{prompt}\r\n{success}\r\n1\n", plugin))]):
        talk, sent = play(plugin, PASSWORD, cut)
        assert (talk.done, sent, talk.stdout) == (True, SENT, b"1\n"), cut


def test_end_before_the_marker_hands_on_all_that_was_printed(become):
    """A process that ends early has said why, perhaps without a line end."""
    plugin = become("sudo", None)
    talk, sent = play(plugin, None, [("out", b"bash: sudo:"), ("err", b"command not found")])
    assert (talk.done, talk.stdout, talk.printed) == (False, b"", "bash: sudo:command not found")
    talk.finish()
    assert (sent, talk.stdout, talk.stderr) == (b"", b"bash: sudo:", b"command not found")


def test_a_command_without_marker_needs_no_talk(become):
    """Where the become plugin has built nothing there is nothing to wait for."""
    plugin = become("sudo", PASSWORD)
    plugin.success = ""
    assert Escalation(plugin, PASSWORD).done


@pytest.mark.parametrize("end", ["su: Authentication failure", "Current password: "])
def test_the_password_is_never_in_an_error(become, end):
    """What is shown of a refusal holds no password, even if the program echoed it."""
    with pytest.raises(EscalationError) as caught:
        play(become("su", PASSWORD), PASSWORD, [("out", f"Password: {PASSWORD}\r\nOh, {PASSWORD}!\r\n{end}".encode())])
    assert PASSWORD not in str(caught.value)
    assert "Oh, ********!" in str(caught.value)
