"""The manual and the completions name the options that swatd has, and no other; no VM is needed."""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
import fcntl
import unittest
from pathlib import Path

import case
import swatd_help
from guest import ROOT
from swatd import SWATD

PACKAGING = ROOT / "daemon/packaging"
MANUAL = PACKAGING / "swatd.1"
COMPLETIONS = PACKAGING / "completions"


def run(*command, **keywords):
    return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, text=True, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **keywords)


def mentioned(text):
    """Options that mdoc's Fl marks."""
    return {"-" + name for name in re.findall(r"\bFl ([\w-]+)", text)}


class Manual(unittest.TestCase):
    def test_explains_each_option_and_no_other(self):
        items = [line for line in MANUAL.read_text().splitlines() if line.startswith(".It")]
        self.assertEqual(mentioned("\n".join(items)), swatd_help.all_options())

    def test_speaks_of_no_option_that_there_is_not(self):
        self.assertLessEqual(mentioned(MANUAL.read_text()), swatd_help.all_options())

    def test_explains_each_command_and_no_other(self):
        told = MANUAL.read_text().partition(".Ss")[0]
        found = re.findall(r"^\.It Cm (\w+)", told, re.M)
        self.assertEqual(set(found), swatd_help.commands())

    def test_renders_without_warnings(self):
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
        for command in (["mandoc", "-T", "lint", "-W", "warning"],
                        ["groff", "-ww", "-mandoc", "-Tutf8", "-z"],
                        ["man", "--warnings=w", "--pager=cat", "-l"]):
            with self.subTest(command[0]):
                done = run(*command, MANUAL, env=environment)
                said = done.stderr + (done.stdout if command[0] == "mandoc" else "")
                self.assertEqual((done.returncode, said), (0, ""))
        self.assertIn("--gdb address", done.stdout)


class Completions(unittest.TestCase):
    """For each shell: `complete(words)` has what it offers for the last of the words."""

    def test_all_options(self):
        self.assertEqual(self.long("--"), self.long_of(swatd_help.options()))

    def test_a_commands_options(self):
        for command in sorted(swatd_help.commands()):
            with self.subTest(command):
                expected = swatd_help.options() | swatd_help.options(command)
                self.assertEqual(self.long(command, "--"), self.long_of(expected))

    def test_commands(self):
        self.assertEqual(self.complete("p"), {"ps", "profile"})
        self.assertLessEqual(swatd_help.commands(), self.complete(""))

    def test_values(self):
        self.assertEqual(self.complete("--os", "win"), {"windows", "winxp", "win10x64"})
        self.assertEqual(self.complete("--traps", "ex"), {"exec-log"})

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "one").touch()
            (Path(folder) / "other").mkdir()
            names = lambda *words: {Path(name.rstrip("/ ")).name for name in self.complete(*words)}
            self.assertEqual(names("--log", f"{folder}/o"), {"one", "other"})
            self.assertEqual(names("--files", f"{folder}/o"), {"other"})
            self.assertEqual(names("--gdb", f"unix:{folder}/o"), {"one", "other"})

    def long(self, *words):
        return self.long_of(self.complete(*words))

    @staticmethod
    def long_of(options):
        return {option.rstrip("= ") for option in options if option.startswith("--")}


class Bash(Completions):
    def complete(self, *words):
        # As readline splits the line: `:` and `=` are words of their own.
        words = [part for word in words for part in re.findall(r"[:=]|[^:=]+", word) or [""]]
        line = " ".join(f"'{word}'" for word in ("swatd", *words))
        script = (f"source {COMPLETIONS}/swatd.bash; COMP_WORDS=({line}); COMP_CWORD={len(words)};"
                  " _swatd; printf '%s\\n' \"${COMPREPLY[@]}\"")
        done = run("bash", "--norc", "-c", script)
        self.assertEqual(done.stderr, "")
        return set(done.stdout.split())


class Fish(Completions):
    def complete(self, *words):
        with tempfile.TemporaryDirectory() as home:
            done = run("fish", "--no-config", "-c",
                       f"source {COMPLETIONS}/swatd.fish; complete -C '{' '.join(('swatd', *words))}'",
                       env={**os.environ, "HOME": home})
        self.assertEqual(done.stderr, "")
        return {line.split("\t")[0].removeprefix("unix:") for line in done.stdout.splitlines()}


class Zsh(Completions):
    """On a terminal, as zsh completes nowhere else."""

    SETUP = (f"PS1='READY>' PROMPT_EOL_MARK= ; fpath=({COMPLETIONS} $fpath); LISTMAX=9999;"
             " autoload -Uz compinit; compinit -u -D; unsetopt list_types list_beep prompt_cr;"
             " setopt no_always_last_prompt; zstyle ':completion:*' verbose no;"
             " bindkey '^X' list-choices\n")
    LIST, FORGET_LINE = "\x18", "\x15"

    @classmethod
    def setUpClass(cls):
        cls.zsh = cls.enterClassContext(Terminal("zsh", "-f"))
        cls.zsh.until(b"% |# |> ")
        cls.zsh.send(cls.SETUP)
        cls.zsh.until(rb"READY>(?!.*READY>)")

    def complete(self, *words):
        self.zsh.send(" ".join(("swatd", *words)) + self.LIST)
        said = self.zsh.until(b"\n.*READY>")
        self.zsh.send(self.FORGET_LINE)
        self.zsh.until(b"")
        # NUL: a vt100 is slow, and has to be given time.
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\0", "", said.decode(errors="replace"))
        listed = text.partition("\n")[2].partition("READY>")[0]
        return set(listed.split())


class Terminal:
    def __init__(self, *command):
        self.command = command

    def __enter__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="vt100", HOME="/nonexistent")
            os.execvp(self.command[0], self.command)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 80, 0, 0))
        return self

    def __exit__(self, *_):
        os.close(self.fd)  # hangs up
        os.waitpid(self.pid, 0)

    def send(self, text):
        os.write(self.fd, text.encode())

    def until(self, pattern, seconds=30):
        """What it prints, as far as that and until it is silent for a moment."""
        said, deadline = b"", time.monotonic() + seconds
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.fd], [], [], 0.3)
            if ready:
                said += os.read(self.fd, 65536)
            elif re.search(pattern, said, re.S):
                return said
        raise AssertionError(f"{self.command[0]} does not say {pattern}: {said}")


class Generated(unittest.TestCase):
    def test_completions_are_those_of_these_options(self):
        with tempfile.TemporaryDirectory() as folder:
            done = run(ROOT / "scripts/generate-completions", SWATD, folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            for made in Path(folder).iterdir():
                self.assertEqual((COMPLETIONS / made.name).read_text(), made.read_text(),
                                 "run scripts/generate-completions")


del Completions  # of no shell

if __name__ == "__main__":
    case.main()
