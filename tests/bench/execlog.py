"""The execution log: lines of it that swatd reads a second, and the calls among them that it names.

In turn, on the same guest (tests/guests/calls.c, a loop of strlen, malloc and free):

  drain     a reader that throws away what comes through the FIFO: what QEMU can write
  swatd     with all calls and system calls into a JSON file

and then a counted program, of whose calls not one may be missing.

Usage: execlog.py [SECONDS [TURNS]]
Prints a table, and fails below 300,000 lines a second or when a call was lost.
"""

import fcntl
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
# pylint: disable=wrong-import-position
import case
from guest import Guest
from swatd import SWATD, Trace, connection

MUST_READ = 300_000
F_SETPIPE_SZ = 1031
FOREVER = 1 << 40
ROUNDS = 100_000
RARELY = 100_000  # rounds between system calls, which stop the guest


class Drain(threading.Thread):
    """Reads a FIFO and counts."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self.fd, F_SETPIPE_SZ, 1 << 20)
        self.lines = 0
        self.ends = False

    def run(self):
        while not self.ends:
            try:
                self.lines += os.read(self.fd, 1 << 20).count(b"\n")
            except BlockingIOError:
                pass
            time.sleep(0.001)


def by_drain(guest, seconds):
    fifo = guest.path / "drained"
    os.mkfifo(fifo)
    reader = Drain(fifo)
    reader.start()
    guest.monitor.hmp(f"logfile {fifo}")
    guest.monitor.hmp("log exec,mmu")
    before, start = reader.lines, time.monotonic()
    time.sleep(seconds)
    rate = (reader.lines - before) / (time.monotonic() - start)
    guest.monitor.hmp("log none")
    guest.monitor.hmp("logfile /dev/null")
    reader.ends = True
    reader.join()
    os.close(reader.fd)
    fifo.unlink()
    return rate


def by_swatd(guest, seconds):
    """(lines, calls) a second, of the time between the first call and the last one."""
    with tempfile.NamedTemporaryFile("r") as log:
        done = subprocess.run([SWATD, *connection(guest), "--traps", "exec-log", "--log", "/dev/null",
                               "--json", log.name, "--duration", str(seconds)], check=True, text=True,
                              stderr=subprocess.PIPE, timeout=seconds + 60)
        times = [float(re.search(r'"time":([0-9.]+)', line)[1]) for line in log
                 if '"event":"call"' in line]
    lines = int(re.search(r"execution log: (\d+) blocks", done.stderr)[1])
    elapsed = max(times) - min(times)
    return lines / elapsed, len(times) / elapsed


def lost_calls(guest):
    """{function: how many of its calls are missing}, of a counted program."""
    with Trace(guest, "--traps", "exec-log", leave_timeout=300) as trace:
        output = guest.check(f"calls {ROUNDS} {RARELY}", timeout=300)
    pid, expected = case.counted(output)
    return {what: times - len(trace.events("call", pid=pid, function=what))
            for what, times in expected.items()}


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    smp = int(os.environ.get("SMP", "1"))
    with Guest(smp=smp, piped_log=True) as guest:
        version = "{major}.{minor}.{micro}".format(**guest.qmp("query-version")["qemu"])
        lost = lost_calls(guest)
        for _ in range(smp):
            guest.spawn(f"exec calls {FOREVER} {RARELY}")
        drained, read, named = [], [], []
        for _ in range(turns):  # in turn, so that a noisy machine disturbs both
            drained.append(by_drain(guest, seconds))
            lines, calls = by_swatd(guest, seconds)
            read.append(lines)
            named.append(calls)
    drain, lines, calls = map(statistics.median, (drained, read, named))
    print(f"\nQEMU {version}, TCG, {smp} vCPU, median of {turns} turns of {seconds:g} s\n")
    print("| reader | lines/s | of drain | named calls/s | from - to |")
    print("|---|---:|---:|---:|---:|")
    print(f"| drain | {drain:.0f} | 100 % | | {min(drained):.0f} - {max(drained):.0f} |")
    print(f"| swatd | {lines:.0f} | {lines / drain:.0%} | {calls:.0f} "
          f"| {min(read):.0f} - {max(read):.0f} |")
    print(f"\nof {ROUNDS} rounds, calls lost: {lost}")
    if any(lost.values()):
        sys.exit("execlog: calls were lost")
    if lines < MUST_READ:
        sys.exit(f"execlog: below {MUST_READ} lines/s")


if __name__ == "__main__":
    main()
