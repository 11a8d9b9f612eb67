"""A Linux guest under a real QEMU: started, driven, asked and stopped.

The guest's /init (tests/guests/init) runs the lines that come in on its second serial port, so a
test can let it do something (`run`) or ask it for the truth (`proc_truth`). swatd sees none of it.
Everything lives in a temporary folder; QEMU is ended by its own pid and no other way.
"""

import json
import re
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from machines import MACHINES

ROOT = Path(__file__).resolve().parents[2]
DONE = re.compile(rb"\n@done (\d+)\n")

# A stub that only swatd's packets talk to has no reason to print gdbstub_err lines. The exceptions:
# gdb acknowledges `O` packets, which QEMU takes for garbage; an interrupt may cross a stop reply; and
# `D` with a `$` behind it is how a paused guest is left paused.
HARMLESS_STUB_ERROR = re.compile(r"gdbstub_err_garbage .*0x(2b|03)"
                                 r"|gdbstub_err_unexpected_runpkt .*0x24")


class GuestError(Exception):
    pass


def fetch(kernel="6.1", arch="amd64"):
    """The folder of a bootable guest, put together if it is missing or older than its sources."""
    done = subprocess.run([ROOT / "scripts/fetch-guest", "--arch", arch, "--kernel", kernel],
                          check=True, stdout=subprocess.PIPE, text=True, timeout=900)
    return Path(done.stdout.strip())


def unpack(directory, into):
    """The files of a guest that fetch() has put together."""
    with open(directory / "initrd.gz", "rb") as packed:
        unpacked = subprocess.run(["gzip", "-dc"], stdin=packed, check=True,
                                  stdout=subprocess.PIPE).stdout
    subprocess.run(["cpio", "--quiet", "-id", "--no-absolute-filenames"], cwd=into,
                   input=unpacked, check=True)


def end_process(process):
    """Ends a QEMU, by force if it does not end itself."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Qmp:
    """A QMP client; events are kept in `events`."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        # For reading alone: a text file for both drops what it has read ahead when it is written to.
        self.file = self.socket.makefile("r")
        self.events = []
        json.loads(self.file.readline())
        self.command("qmp_capabilities")

    def command(self, execute, **arguments):
        self.socket.sendall(json.dumps({"execute": execute, "arguments": arguments}).encode() + b"\n")
        while True:
            line = self.file.readline()
            if not line:
                raise GuestError("QMP connection closed")
            reply = json.loads(line)
            if "event" in reply:
                self.events.append(reply)
            elif "error" in reply:
                raise GuestError(f"{execute}: {reply['error']['desc']}")
            else:
                return reply["return"]

    def count_events(self, name):
        """How many events of that name have come so far."""
        self.command("query-name")  # whatever came before its reply is in `events` now
        return sum(event["event"] == name for event in self.events)

    def forget_events(self):
        self.command("query-name")
        self.events.clear()

    def hmp(self, line):
        return self.command("human-monitor-command", **{"command-line": line})

    def close(self):
        self.file.close()
        self.socket.close()


class Agent:
    """The shell behind the second serial port."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.buffer = b""
        self.arrived = threading.Condition()
        self.open = True
        # A full socket would stop the guest: a thread always reads.
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self):
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b""
            with self.arrived:
                self.buffer += data
                self.open = bool(data)
                self.arrived.notify_all()
            if not data:
                return

    def reply(self, timeout):
        """(status, output) of the oldest command not answered for."""
        deadline = time.monotonic() + timeout
        with self.arrived:
            while not (found := DONE.search(self.buffer)):
                left = deadline - time.monotonic()
                if not self.open or left <= 0:
                    why = "is closed" if not self.open else "says nothing"
                    raise GuestError(f"the guest's shell {why}; last: {self.buffer[-300:]!r}")
                self.arrived.wait(left)
            output = self.buffer[:found.start()]
            self.buffer = self.buffer[found.end():]
        return int(found.group(1)), output.decode(errors="replace")

    def run(self, line, timeout):
        self.start(line)
        return self.reply(timeout)

    def start(self, line):
        assert "\n" not in line
        self.socket.sendall(line.encode() + b"\n")

    def close(self):
        self.socket.close()


class Guest:
    """with Guest(smp=2) as guest: guest.run("echo hello")"""

    def __init__(self, kernel="6.1", smp=1, cpu=None, memory=None, gdb=True, machine_args=(),
                 append="", boot_timeout=90, qemu=None, piped_log=False, arch="amd64"):
        self.directory = fetch(kernel, arch)
        self.machine = MACHINES[arch]
        self.smp, self.cpu, self.gdb = smp, cpu, gdb
        self.memory = memory or self.machine.memory
        self.machine_args, self.append = list(machine_args), append
        self.boot_timeout, self.qemu = boot_timeout, qemu or self.machine.program()
        # QEMU's stderr is a pipe that goes into the file, instead of the file itself.
        self.piped_log = piped_log

    # Life

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="swatd-guest-")
        self.path = Path(self.temporary.name)
        self.stderr = open(self.path / "qemu.log", "w+")
        stderr = subprocess.PIPE if self.piped_log else self.stderr
        self.process = subprocess.Popen(self._arguments(), stdin=subprocess.DEVNULL,
                                        stdout=self.stderr, stderr=stderr)
        if self.piped_log:
            threading.Thread(target=self._copy_log, daemon=True).start()
        try:
            self._wait_for_sockets()
            self.agent = Agent(self.path / "agent")
            self.monitor = Qmp(self.path / "qmp.test")
            self.agent.reply(self.boot_timeout)
        except GuestError as error:
            words = self.last_words()
            self._stop()
            raise GuestError(f"{error}\n{words}") from error
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind, *_):
        errors = self.stub_errors()
        self._stop()
        if errors and kind is None:
            raise GuestError("QEMU's gdbstub complains:\n" + "\n".join(errors))

    def _copy_log(self):
        for line in self.process.stderr:
            self.stderr.write(line.decode(errors="replace"))
            self.stderr.flush()

    def _arguments(self):
        arguments = [
            self.qemu, "-accel", "tcg", "-smp", str(self.smp), "-m", self.memory,
            "-kernel", str(self.directory / "vmlinuz"), "-initrd", str(self.directory / "initrd.gz"),
            "-append", f"console={self.machine.console} quiet panic=-1"
                       f" swatd.agent={self.machine.agent} {self.machine.append} {self.append}",
            "-display", "none", "-nodefaults", "-no-reboot", "-nic", "none",
            "-chardev", f"socket,id=agent,path={self.path}/agent,server=on,wait=off",
            "-serial",
            "chardev:agent" if self.machine.has_one_port else f"file:{self.path}/console",
            *self.machine.agent_args, *self.machine.machine_args,
            # One client each: the test's own, and the one for swatd.
            "-qmp", self._listen("qmp.test"), "-qmp", self._listen("qmp"),
            "-trace", "gdbstub_err*",
        ]
        if (self.directory / "machine.dtb").exists():
            arguments += ["-dtb", str(self.directory / "machine.dtb")]
        if self.gdb:
            arguments += ["-gdb", self._listen("gdb")]
        if self.cpu:
            arguments += ["-cpu", self.cpu]
        return arguments + self.machine_args

    def _listen(self, name):
        return f"unix:{self.path}/{name},server=on,wait=off"

    def _wait_for_sockets(self):
        names = ["agent", "qmp.test", "qmp"] + (["gdb"] if self.gdb else [])
        deadline = time.monotonic() + 30
        while not all((self.path / name).exists() for name in names):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise GuestError(f"QEMU did not start: {self.log()}")
            time.sleep(0.02)

    def _stop(self):
        for name in ("agent", "monitor"):
            if hasattr(self, name):
                getattr(self, name).close()
        end_process(self.process)
        self.stderr.close()
        self.temporary.cleanup()

    # What a test does with it

    def run(self, line, timeout=60):
        """Runs a shell line in the guest: (status, output)."""
        return self.agent.run(line, timeout)

    def check(self, line, timeout=60):
        """Output of a shell line that must succeed."""
        status, output = self.run(line, timeout)
        if status != 0:
            raise GuestError(f"in the guest: {line!r} ended with {status}: {output}")
        return output

    def qmp(self, command, **arguments):
        return self.monitor.command(command, **arguments)

    @property
    def gdb_address(self):
        return f"unix:{self.path}/gdb"

    @property
    def qmp_address(self):
        return f"unix:{self.path}/qmp"

    # What it says of itself

    def last_words(self):
        """How QEMU ended, and the ends of what it and the guest's kernel have said."""
        console = self.path / "console"
        text = console.read_text(errors="replace") if console.exists() else ""
        return f"QEMU: {self.process.poll()}\n{self.log()[-2000:]}\n{text[-4000:]}"

    def alive(self):
        return self.process.poll() is None

    def running(self):
        """QEMU says that the vCPUs run."""
        return self.alive() and self.qmp("query-status")["running"]

    def log(self):
        """What QEMU printed."""
        self.stderr.flush()
        return (self.path / "qemu.log").read_text(errors="replace")

    def console(self):
        return (self.path / "console").read_text(errors="replace")

    def stub_errors(self):
        return [line for line in self.log().splitlines()
                if "gdbstub_err" in line and not HARMLESS_STUB_ERROR.search(line)]

    def spawn(self, command, output="/dev/null"):
        """Starts a command that stays; its pid in the guest."""
        return int(self.check(f"{{ {command}; }} >{output} 2>&1 & echo $!"))

    def start_dlopener(self, rounds, then="stay"):
        """Starts tests/guests/dlopener.c and waits until it has the library open for good."""
        pid = self.spawn(f"exec dlopener /lib/libswattest.so {rounds} {then}", "/run/dlopener")
        self.check("until grep -q DLOPENER /run/dlopener; do :; done")
        return pid

    def start_busy(self, *arguments, program="busy"):
        """Starts tests/guests/busy.c, or many.c; see rounds()."""
        pid = self.spawn(f"exec {program} /run/rounds {' '.join(arguments)}")
        self.check("until [ -s /run/rounds ]; do :; done")
        maps = map(parse_maps_line, self.check(f"cat /proc/{pid}/maps").splitlines())
        address = next(start for start, _, _, _, path in maps if path == "/run/rounds")
        self.rounds_page = self._physical(pid, address)
        return pid

    def _physical(self, pid, address):
        """Where a page of a process is in guest RAM. [Documentation/admin-guide/mm/pagemap.rst]"""
        low, high = map(int, self.check(
            f"dd if=/proc/{pid}/pagemap bs=8 skip={address >> 12} count=1 2>/dev/null |"
            " hexdump -v -e '2/4 \"%u \"'").split())
        assert high >> 31, "the page is not in RAM"
        return ((low | high << 32) & ((1 << 55) - 1)) << 12

    def rounds(self):
        """How far busy.c has come: a number that only a running guest increases.

        Read by QEMU from guest RAM, so that a guest that is stopped, or slow, answers as well.
        """
        return int(self.monitor.hmp(f"xp /1gx {self.rounds_page:#x}").split()[1], 16)

    def progresses(self, seconds):
        """True once busy.c counts on; False if it does not for that long."""
        before, deadline = self.rounds(), time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.rounds() != before:
                return True
            time.sleep(0.01)
        return False

    def proc_truth(self):
        """{pid: Truth} of every process, by the guest's own /proc."""
        text = self.check("grep '' /proc/[0-9]*/stat /proc/[0-9]*/maps 2>/dev/null")
        truth = {}
        for line in text.splitlines():
            found = re.match(r"/proc/(\d+)/(stat|maps):(.*)", line)
            if not found:
                continue
            pid, kind, rest = int(found[1]), found[2], found[3]
            if kind == "stat":
                name, after = re.match(r"\d+ \((.*)\) (.*)", rest).groups()
                truth[pid] = {"name": name, "ppid": int(after.split()[1]), "maps": []}
            elif pid in truth:
                truth[pid]["maps"].append(parse_maps_line(rest))
        return {pid: t for pid, t in truth.items() if t["name"] != "grep"}


def named(maps):
    """Those mappings that have a name: of files, and [heap], [stack], [vdso] and the like.

    [vsyscall], and ARM's [vectors], are no mappings of the process: /proc adds them to every one.
    """
    return [mapping for mapping in maps
            if mapping[4] and mapping[4] not in ("[vsyscall]", "[vectors]")]


def parse_maps_line(line):
    """(start, end, file offset, permissions, path) of a line of /proc/PID/maps."""
    fields = line.split(None, 5)
    start, end = (int(part, 16) for part in fields[0].split("-"))
    return start, end, int(fields[2], 16), fields[1], fields[5] if len(fields) > 5 else ""
