"""Runs the swatd under test and reads what it prints."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

SWATD = os.environ.get("SWATD", "")

# Exit codes: daemon/main.cpp
OK, INTERNAL, USAGE, CANNOT_CONNECT, NOT_A_STUB, BUSY, UNSUPPORTED, LOST = range(8)

SYSCALL_LINE = re.compile(r"(?P<as>[0-9a-f]+): (?P<entry>syscall|int80|sysenter|svc) (?P<number>[0-9a-f]+)"
                          r"(?: (?P<name>\S+) (?P<process>.*)/(?P<pid>\d+))?")
CALL_LINE = re.compile(r"Function (?P<address>[0-9a-f]+):(?P<name>\S+)"
                       r"(?: (?P<process>.*)/(?P<pid>\d+))?")


class SwatdError(Exception):
    pass


def connection(guest, gdb=True, qmp=True):
    """Options that lead to `guest`, of which nothing is known from earlier runs."""
    options = ["--no-profile-cache"]
    if gdb:
        options += ["--gdb", guest.gdb_address]
    if qmp:
        options += ["--qmp", guest.qmp_address]
    return options


def once(*arguments, timeout=60, env=None):
    """Runs swatd to its end: CompletedProcess, whatever the exit code."""
    return subprocess.run([SWATD, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", timeout=timeout, env=env)


def output_of(*arguments, timeout=60):
    """Output of a swatd that must succeed."""
    done = once(*arguments, timeout=timeout)
    if done.returncode != OK:
        raise SwatdError(f"swatd {arguments[0]} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def processes_with(argument):
    """Processes of swatd, guardians included, with `argument` in a word of their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="latin-1") as file:
                words = file.read().split("\0")
        except OSError:
            continue
        if words[0] == SWATD and any(argument in word for word in words):
            found.append(int(pid))
    return found


def wait_for_guardians(argument, seconds=30):
    """Until no swatd with `argument` on its command line is left."""
    deadline = time.monotonic() + seconds
    while left := processes_with(argument):
        if time.monotonic() > deadline:
            raise SwatdError(f"still there: {left}")
        time.sleep(0.02)


class Trace:
    """with Trace(guest) as trace: let the guest do something, then look at trace.events().

    Attached once it is entered; told to leave (SIGINT) and waited for when it is left.
    """

    def __init__(self, guest, *options, connect=None, attach_timeout=60, leave_timeout=60,
                 leaves_with=OK):
        self.options = [*(connect or connection(guest)), *map(str, options)]
        self.attach_timeout, self.leave_timeout = attach_timeout, leave_timeout
        self.leaves_with = leaves_with
        self.status = None
        self.kept = {}  # what it wrote, once its files are gone

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="swatd-trace-")
        self.path = Path(self.temporary.name)
        self.stderr = open(self.path / "stderr", "w")
        self.process = subprocess.Popen(
            [SWATD, *self.options, "--log", self.path / "log", "--json", self.path / "json"],
            stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr)
        try:
            self._wait_until_attached()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            self.leave()
        finally:
            self._end()
        # One that gave up half-way has seen less than the test thinks.
        if kind is None and self.status != self.leaves_with:
            raise SwatdError(f"swatd ended with {self.status}: {self.diagnostics()}")

    def _wait_until_attached(self):
        """The first event, or swatd's word that its traps are set, whichever comes first."""
        deadline = time.monotonic() + self.attach_timeout
        while " points" not in self.diagnostics() and not self._text("json"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SwatdError(f"swatd did not attach ({self.process.poll()}): "
                                 f"{self.diagnostics()}")
            time.sleep(0.02)

    def _end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.stderr.close()
        self.kept = {name: self._text(name) for name in ("stderr", "log", "json")}
        self.temporary.cleanup()

    def leave(self, how=signal.SIGINT):
        """Ends swatd by a signal; its exit code, also in `status`."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.wait()

    def wait(self):
        try:
            self.status = self.process.wait(self.leave_timeout)
        except subprocess.TimeoutExpired as timeout:
            raise SwatdError(f"swatd does not end: {self.diagnostics()}") from timeout
        return self.status

    # What it wrote; still there after the `with`.

    def _text(self, name):
        if name in self.kept:
            return self.kept[name]
        path = self.path / name
        return path.read_text(errors="replace") if path.exists() else ""

    def diagnostics(self):
        return self._text("stderr")

    def log(self):
        """The log's lines."""
        return self._text("log").splitlines()

    def events(self, kind=None, **fields):
        """The events of `kind` whose fields are these, in order; while swatd runs, those whose
        lines are complete: it writes whole buffers."""
        complete, _, rest = self._text("json").rpartition("\n")
        if self.status is not None and rest:
            raise SwatdError(f"the last line has no end: {rest}")
        found = [json.loads(line) for line in complete.splitlines()]
        return [event for event in found
                if (kind is None or event["event"] == kind)
                and all(event.get(name) == value for name, value in fields.items())]

    def gaps(self):
        return self.events("gap")


def ps(guest, connect=None):
    """{pid: (ppid, name)} as swatd ps says."""
    processes = {}
    for line in output_of("ps", *(connect or connection(guest))).splitlines()[1:]:
        pid, ppid, name = line.split(None, 2)
        processes[int(pid)] = (int(ppid), name.rstrip())
    return processes


def modules(guest, pid=None, connect=None):
    """{pid: [(start, end, file offset, permissions, path)]} as swatd modules says."""
    options = ["-p", pid] if pid is not None else []
    mapped = {}
    for line in output_of("modules", *(connect or connection(guest)), *options).splitlines():
        owner, addresses, offset, permissions, path = line.split(None, 4)
        start, end = (int(part, 16) for part in addresses.split("-"))
        mapped.setdefault(int(owner), []).append((start, end, int(offset, 16), permissions, path))
    return mapped


def functions(guest, pid, glob=None, connect=None):
    """[(address, module, name, version or None)] as swatd functions says."""
    text = output_of("functions", *(connect or connection(guest)), "-p", pid,
                     *([glob] if glob else []))
    found = []
    for line in text.splitlines():
        _, address, symbol = line.split(None, 2)
        module, name = symbol.split("!", 1)
        name, _, version = name.partition("@")
        found.append((int(address, 16), module, name, version.lstrip("@") or None))
    return found
