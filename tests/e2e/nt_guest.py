"""The NT test kernel (tests/guests/nt) under a real QEMU: composed, started, asked, stopped.

It runs nothing of swatd's. Between rounds it is idle, so that its memory can be read at leisure.
"""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from guest import HARMLESS_STUB_ERROR, ROOT, GuestError, Qmp, end_process
from machines import QEMU, program_beside

FOLDER = ROOT / "tests/guests/nt"
PROGRAMS = {"x86": "qemu-system-i386", "x64": "qemu-system-x86_64"}
RAM_SIZE = 32 << 20


def fields(line):
    """{name: value} of a line of the guest's, without its first word. The last value may have spaces."""
    return dict(re.findall(r"(\w+)=(.*?)(?= \w+=|$)", line))


class NtGuest:
    """with NtGuest("xp_sp3") as guest: guest.round()"""

    def __init__(self, build, smp=1, qemu=None, options=()):
        self.build, self.smp, self.options = build, smp, list(options)
        self.qemu = qemu

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="swatd-nt-guest-")
        self.path = Path(self.temporary.name)
        subprocess.run([sys.executable, FOLDER / "compose.py", self.build, self.path, *self.options],
                       check=True, timeout=300)
        self.facts = json.loads((self.path / "guest.json").read_text())
        self.program = self.qemu or program_beside(QEMU, PROGRAMS[self.facts["arch"]])
        self.stderr = open(self.path / "qemu.log", "w+")
        self.process = subprocess.Popen(self._arguments(), stdin=subprocess.DEVNULL,
                                        stdout=self.stderr, stderr=self.stderr)
        try:
            self.serial = self._connect("serial")  # QEMU waits for it, so that no line is lost
            self.lines = self.serial.makefile("r")
            self.truth = self.read_until("ROUND 0")
            self.read_until("END")
            self.monitor = Qmp(self.path / "qmp.test")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind, *_):
        errors = [line for line in self.log().splitlines()
                  if "gdbstub_err" in line and not HARMLESS_STUB_ERROR.search(line)]
        self._stop()
        if errors and kind is None:
            raise GuestError("QEMU's gdbstub complains:\n" + "\n".join(errors))

    def _arguments(self):
        listen = f"unix:{self.path}/{{}},server=on,wait=off"
        return [self.program, "-accel", "tcg", "-smp", str(self.smp), "-m", f"{RAM_SIZE >> 20}M",
                "-kernel", str(self.path / "guest.img"), "-display", "none", "-nodefaults",
                "-no-reboot", "-chardev", f"socket,id=serial,path={self.path}/serial,server=on,wait=on",
                "-serial", "chardev:serial", "-trace", "gdbstub_err*",
                "-qmp", listen.format("qmp.test"), "-qmp", listen.format("qmp"),
                "-gdb", listen.format("gdb")]

    def _connect(self, name):
        deadline = time.monotonic() + 30
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(60)
            try:
                client.connect(str(self.path / name))
                return client
            except OSError:
                client.close()
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise GuestError(f"QEMU did not start: {self.log()}") from None
                time.sleep(0.02)

    def _stop(self):
        if hasattr(self, "lines"):
            self.lines.close()
            self.serial.close()
        if hasattr(self, "monitor"):
            self.monitor.close()
        end_process(self.process)
        self.stderr.close()
        self.temporary.cleanup()

    # What it says

    def read_until(self, last):
        """Its lines up to that one."""
        lines = []
        while True:
            line = self.lines.readline().rstrip("\n")
            if not line or line.startswith("TRAP"):
                raise GuestError(f"the guest is dead: {line} {lines[-5:]}")
            if line == last:
                return lines
            lines.append(line)

    def start_round(self):
        self.serial.sendall(b"r")

    def finish_round(self):
        """({(pid, how, function): times}, {(pid, service): times}), as the guest has counted; what
        else it has said goes to the truth."""
        calls, services = {}, {}
        for line in self.read_until("END"):
            values = fields(line)
            if line.startswith("COUNT"):
                times, how, function = values["times"].split()
                calls[int(values["pid"]), how, function] = int(times)
            elif line.startswith("SERVICE"):
                number = int(values["number"], 16)
                name = self.facts["services"][number >> 12][number & 0xfff]
                services[int(values["pid"]), name] = int(values["times"])
            else:
                self.truth.append(line)
        return calls, services

    def round(self):
        self.start_round()
        return self.finish_round()

    def step(self):
        """Lets the next step of the story happen, with a round if it needs one: what is said of it."""
        known = len(self.truth)
        self.serial.sendall(b"s")
        line = self.lines.readline().rstrip()
        if not line.startswith("STEP"):
            raise GuestError(f"no step: {line}")
        if line == "STEP pid=0":
            self.finish_round()
        else:
            self.round()
        return [line for line in self.truth[known:] if not line.startswith("ROUND")]

    def said(self, kind):
        """The values of those lines of the truth that start so."""
        return [fields(line) for line in self.truth if line.startswith(kind + " ")]

    def library(self, name):
        """The file of a DLL, as Debian has it."""
        architecture = {"x86": "i386", "x64": "amd64"}[self.facts["arch"]]
        done = subprocess.run([ROOT / "scripts/fetch-wine", architecture], check=True,
                              stdout=subprocess.PIPE, text=True)
        return Path(done.stdout.strip()) / name

    # What others do with it

    @property
    def gdb_address(self):
        return f"unix:{self.path}/gdb"

    @property
    def qmp_address(self):
        return f"unix:{self.path}/qmp"

    def registers(self, vcpu=0):
        """What QEMU has in a vCPU's registers, as text."""
        self.monitor.command("human-monitor-command", **{"command-line": f"cpu {vcpu}"})
        return self.monitor.hmp("info registers")

    def memory(self):
        """All RAM at this moment."""
        file = self.path / "ram"
        self.monitor.command("pmemsave", val=0, size=RAM_SIZE, filename=str(file))
        data = file.read_bytes()
        file.unlink()
        return data

    def alive(self):
        return self.process.poll() is None

    def log(self):
        self.stderr.flush()
        return (self.path / "qemu.log").read_text(errors="replace")
