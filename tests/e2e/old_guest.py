"""Guests of a folder that SWAT_GUESTS names: old kernels, each with how QEMU boots it in guests.json.

They have no agent: what they are asked goes through the shell on their console, programs too. The
folder is used in place, and the tests that need it are skipped, loudly, where there is none. To an
initramfs a library and a program are added (musl.py), in a copy.
"""

import gzip
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

import musl
import swatd
import uclibc
from guest import ROOT, GuestError, Qmp, end_process, parse_maps_line
from machines import QEMU, program_beside

TRIES = 4
FOLDER = Path(os.environ["SWAT_GUESTS"]) if "SWAT_GUESTS" in os.environ else None


class GuestPanic(GuestError):
    pass


def rows(architectures):
    """What guests.json says of guests of these architectures."""
    if FOLDER is None:
        return []
    return [row for row in json.loads((FOLDER / "guests.json").read_text())
            if row["arch"] in architectures]


def static_program(name, *options, compiler="gcc"):
    """A small static program of tests/guests without a libc, so that every kernel runs it."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / name
        subprocess.run([compiler, "-Os", *options, "-static", "-nostdlib", "-ffreestanding",
                        "-fno-pie", "-no-pie", "-fno-stack-protector",
                        "-fno-asynchronous-unwind-tables", "-s",
                        "-Wl,-N,--build-id=none,--no-warn-rwx-segments",
                        ROOT / f"tests/guests/{name}.c", "-o", program], check=True)
        return program.read_bytes()


class OldGuest:
    """with OldGuest(row) as guest: guest.run("uname -r")"""

    def __init__(self, row, qemu=None, boot_timeout=120):
        self.row, self.boot_timeout = row, boot_timeout
        self.qemu = program_beside(qemu or QEMU, row["qemu"])

    @property
    def has_initramfs(self):
        return any(word.endswith(".cpio.gz") for word in self.row["args"])

    def __enter__(self):
        # On a busy host some of them find their timer too slow, and panic.
        for _ in range(TRIES - 1):
            try:
                return self._boot()
            except GuestPanic:
                pass
        return self._boot()

    def _boot(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="swatd-guest-")
        self.path = Path(self.temporary.name)
        self.log = open(self.path / "log", "w")
        sockets = []
        for option, name in (("-serial", "console"), ("-qmp", "qmp.test"), ("-qmp", "qmp"),
                             ("-gdb", "gdb")):
            sockets += [option, f"unix:{self.path}/{name},server=on,wait=off"]
        self.process = subprocess.Popen(
            [self.qemu, "-accel", "tcg", *self._arguments(), "-nic", "none", "-no-reboot",
             "-display", "none", *sockets],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self._connect()
            _, found = self._wait_for(rb"GUEST-SHELL|Kernel panic", self.boot_timeout)
            if b"panic" in found[0]:
                raise GuestPanic(self.row["name"])
            # A prompt may come late, and stand before the next line's output.
            self.run("PS1=; export PATH=/bin:/sbin:/usr/bin; mount -t proc proc /proc")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_):
        self._stop()

    def _arguments(self):
        folder = str(FOLDER / self.row["name"])
        arguments = [word.replace("{dir}", folder) for word in self.row["args"]]
        if self.has_initramfs:
            at = arguments.index("-initrd") + 1
            with_musl = self.path / "initrd"
            with_musl.write_bytes(Path(arguments[at]).read_bytes() + musl.overlay(self.row["arch"]))
            arguments[at] = str(with_musl)
        return arguments

    def _open_console(self):
        console = socket.socket(socket.AF_UNIX)
        console.connect(str(self.path / "console"))
        return console

    def _connect(self):
        deadline = time.monotonic() + 30
        while not all((self.path / name).exists() for name in ("console", "qmp.test", "gdb")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.path / "log").read_text()
                if "unsupported machine type" in said:
                    raise unittest.SkipTest(said)  # 11.1 has lost pc-i440fx-2.12
                raise GuestError(f"QEMU did not start: {said}")
            time.sleep(0.02)
        self.console = self._open_console()
        self.arrived = threading.Condition()
        self.text = b""
        threading.Thread(target=self._drain, daemon=True).start()
        self.monitor = Qmp(self.path / "qmp.test")

    def _drain(self):
        """Always: a console that nobody reads stops the guest."""
        while True:
            try:
                data = self.console.recv(65536)
            except OSError:
                return
            if not data:
                return
            with self.arrived:
                self.text += data
                self.arrived.notify_all()

    def _wait_for(self, pattern, timeout):
        """What came before the pattern, and its match; it is used up."""
        deadline = time.monotonic() + timeout
        with self.arrived:
            while not (found := re.search(pattern, self.text)):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise GuestError(f"the console says no {pattern!r}: {self.text[-500:]!r}")
                self.arrived.wait(left)
            before, self.text = self.text[:found.start()], self.text[found.end():]
            return before, found

    def _stop(self):
        for name in ("monitor", "console"):
            if hasattr(self, name):
                getattr(self, name).close()
        end_process(self.process)
        self.log.close()
        self.temporary.cleanup()

    def run(self, line, timeout=90):
        """Output of a shell line."""
        # The echo of the line has quotes where the output has none.
        self.console.sendall(f"{line}; echo '@'done'@'\n".encode())
        before, _ = self._wait_for(rb"\n?@done@", timeout)
        text = before.decode(errors="replace").replace("\r", "")
        return text.split("echo '@'done'@'\n", 1)[-1]

    def upload(self, path, data):
        """Writes a program into the guest."""
        # klibc has no chmod: what is executable already is renamed and written over.
        self.run(f"[ -e /bin/busybox ] || for spare in nuke zcat; do"
                 f" [ ! -e /bin/$spare ] || {{ mv /bin/$spare {path}; break; }}; done; : >{path}")
        for at in range(0, len(data), 100):
            octal = "".join(f"\\{byte:03o}" for byte in data[at:at + 100])
            self.run(f"printf '{octal}' >>{path}")
        self.run(f"[ -x {path} ] || chmod 755 {path}")

    def counted_program(self):
        """Where in the guest tests/guests/counted.c is, with a C library."""
        if self.has_initramfs:
            return musl.COUNTED
        path = "/counted-uclibc"
        self.upload(path, uclibc.counted())
        return path

    def running(self):
        return self.process.poll() is None and self.monitor.command("query-status")["running"]

    @property
    def gdb_address(self):
        return f"unix:{self.path}/gdb"

    @property
    def qmp_address(self):
        return f"unix:{self.path}/qmp"

    def processes(self):
        """{pid: (ppid, name)} by the guest's /proc."""
        found = {}
        for line in self.run("cat /proc/[0-9]*/stat").splitlines():
            if fields := re.match(r"(\d+) \((.*)\) \S (\d+) ", line):
                found[int(fields[1])] = (int(fields[3]), fields[2])
        return found

    def maps(self, pid):
        """As parse_maps_line() gives them."""
        lines = self.run(f"cat /proc/{pid}/maps").splitlines()
        return [parse_maps_line(line) for line in lines if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line)]


class FilesAsConsole:
    """What a SilentGuest's shell reads and writes, with the methods of a socket."""

    def __init__(self, folder):
        self.typed = open(folder / "typed", "wb", buffering=0)
        self.said = open(folder / "said", "a+b", buffering=0)
        self.said.seek(0)
        self.is_open = True

    def sendall(self, data):
        self.typed.write(data)

    def recv(self, size):
        while self.is_open:
            if data := self.said.read(size):
                return data
            time.sleep(0.01)
        return b""

    def close(self):
        self.is_open = False


class SilentGuest(OldGuest):
    """Of a kernel without a driver for any console: its /init is semihosting_console.c."""

    def _arguments(self):
        init = self.path / "init"
        init.write_bytes(static_program("semihosting_console", compiler=self.row["arch"]
                                        + "-linux-gnu-gcc"))
        init.chmod(0o755)
        own = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=b"init\n", check=True,
                             cwd=self.path, stdout=subprocess.PIPE).stdout
        arguments = super()._arguments()
        given = Path(arguments[arguments.index("-initrd") + 1])
        # A file of a later archive replaces that of an earlier one.
        (self.path / "initrd").write_bytes(given.read_bytes() + gzip.compress(own))
        changes = {"-initrd": f"{self.path}/initrd",
                   "-append": f"rdinit=/init -- {self.path}/typed {self.path}/said"}
        for option, value in changes.items():
            arguments[arguments.index(option) + 1] = value
        return arguments + ["-semihosting-config", "enable=on,target=native,userspace=on"]

    def _open_console(self):
        console = FilesAsConsole(self.path)
        console.sendall(b"echo GUEST-SHELL\n")
        return console


def of_row(row, qemu, boot_timeout):
    """A context manager."""
    kind = SilentGuest if row["marker"] is None else OldGuest
    return kind(row, qemu, boot_timeout)


class EqualsProc:
    """Of one of the folder's guests: what swatd says is what the guest's own /proc says."""

    def tearDown(self):
        self.assertTrue(self.guest.running())
        self.assertIn("well", self.guest.run("echo well"))

    def test_ps_equals_proc(self):
        before = self.guest.processes()
        seen = swatd.ps(self.guest)
        truth = {pid: process for pid, process in self.guest.processes().items()
                 if before.get(pid) == process}
        self.assertIn(1, truth)
        for pid, (parent, name) in truth.items():
            if not name.startswith("kworker/"):  # /proc says what it works for
                self.assertEqual(seen.get(pid), (parent, name[:15]), pid)

    def test_modules_equal_proc(self):
        # Of files: how the kernel calls other mappings has changed over the years.
        truth = [mapping for mapping in self.guest.maps(1) if mapping[4].startswith("/")]
        seen = [mapping for mapping in swatd.modules(self.guest, 1)[1] if mapping[4].startswith("/")]
        self.assertGreater(len(truth), 1)
        self.assertEqual(seen, truth)
