"""System calls a second, of the same guest, by three observers in turn:

  swatd     with names and processes, into a file; no library calls, as the others see none
  raw loop  tests/bench/raw_loop.cpp: the same watch, the least packets, no log
  gdb       a breakpoint with a printf at the entry, the usual way

Usage: bench.py [SECONDS [TURNS [WORKLOAD [breaks]]]]. WORKLOAD is

  busy      four cheap system calls in a loop, the most that an observer can be fed (default)
  busybox   a shell loop of busybox commands: much code, which QEMU has to translate again after
            each breakpoint stop where it flushes its translations (up to 10.1)

With `breaks` the observers are swatd by breakpoints, with QMP and without: QEMU 8.1 to 10.1 stops
silently in the first case alone, and keeps its translations. Fails when that is not faster there.

Prints a table and fails below what must be reached: 85 % of the raw loop, and of gdb's rate 15
times (busy) or 30 times (busybox) where QEMU flushes, 3 times where it does not.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
# pylint: disable=wrong-import-position
from gdbclient import RspClient, start_gdb
from guest import Guest
from swatd import SWATD, connection

RAW_LOOP = os.environ.get("RAW_LOOP")

BUSYBOX = "while :; do ls -l /bin; cat /proc/meminfo | sort | head -3; done > /dev/null 2>&1 &"
WORKLOADS = {"busy": lambda guest: guest.start_busy(), "busybox": lambda guest: guest.check(BUSYBOX)}
TIMES_GDB_WHERE_QEMU_FLUSHES = {"busy": 15, "busybox": 30}
TIMES_GDB = 3

# swapgs; mov %rsp,%gs:disp32: how the kernel's 64-bit entry begins.
ENTRY = re.compile(rb"(?:\xf3\x0f\x1e\xfa)?\x0f\x01\xf8\x65\x48\x89\x24\x25(....)", re.DOTALL)


def symbol(guest, name):
    return int(guest.check(f"grep -w {name} /proc/kallsyms").split()[0], 16)


def entry_and_watch(guest):
    """The 64-bit entry and the address it first writes to, by the guest's own symbols."""
    entry, offsets = symbol(guest, "entry_SYSCALL_64"), symbol(guest, "__per_cpu_offset")
    client = RspClient(guest.gdb_address)
    code, base = client.read(entry, 16), client.read(offsets, 8)
    client.close()
    displacement = int.from_bytes(ENTRY.match(code)[1], "little", signed=True)
    return entry, (int.from_bytes(base, "little") + displacement) % (1 << 64)


def lines_a_second(file, seconds):
    """Of an observer that runs and writes to `file`, from a second on, in which it gets going."""
    time.sleep(1)
    before, start = count_lines(file), time.monotonic()
    time.sleep(seconds)
    return (count_lines(file) - before) / (time.monotonic() - start)


def by_swatd(guest, seconds, *options, qmp=True):
    with tempfile.NamedTemporaryFile("r") as log:
        process = subprocess.Popen([SWATD, *connection(guest, qmp=qmp), "--names", "--calls", "none",
                                    "--log", log.name, *options])
        rate = lines_a_second(log, seconds)
        process.terminate()
        if process.wait(30) != 0:
            sys.exit(f"bench: swatd ended with {process.returncode}")
        return rate


def by_raw_loop(guest, watch, seconds):
    done = subprocess.run([RAW_LOOP, guest.gdb_address.removeprefix("unix:"), f"{watch:x}",
                           str(seconds)], check=True, stdout=subprocess.PIPE, timeout=seconds + 60)
    stops, elapsed = done.stdout.split()
    return int(stops) / float(elapsed)


def by_gdb(guest, entry, seconds):
    # `commands` is a block, which -ex cannot give; a file can.
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as block, \
            tempfile.TemporaryFile("w+") as output:
        block.write(f"break *{entry:#x}\ncommands\nsilent\n"
                    'printf "%lx: syscall %lx\\n", $cr3, $rax\ncontinue\nend\n')
        block.flush()
        process = start_gdb(guest.gdb_address, f"source {block.name}", "continue", stdout=output)
        rate = lines_a_second(output, seconds)
        process.terminate()
        process.wait(30)
    # Whatever way gdb ended: clear its breakpoint.
    client = RspClient(guest.gdb_address)
    client.ask(f"z0,{entry:x},1")
    client.close()
    return rate


def count_lines(file):
    file.seek(0)
    return sum(" syscall " in line for line in file)


def compare_breaks(guest, seconds, turns):
    """swatd by breakpoints, silently where QEMU can, and reported. False: no gain where it can."""
    silent, reported = [], []
    for _ in range(turns):
        silent.append(by_swatd(guest, seconds, "--traps", "break"))
        reported.append(by_swatd(guest, seconds, "--traps", "break", qmp=False))
    gain = statistics.median(s / max(r, 0.1) for s, r in zip(silent, reported))
    version = guest.qmp("query-version")["qemu"]
    print("| QEMU | with QMP, calls/s | from - to | without | from - to | gain |")
    print("|---|---:|---:|---:|---:|---:|")
    print("| {major}.{minor}.{micro} ".format(**version)
          + f"| {statistics.median(silent):.0f} | {min(silent):.0f} - {max(silent):.0f} "
          f"| {statistics.median(reported):.0f} | {min(reported):.0f} - {max(reported):.0f} "
          f"| {gain:.1f}x |")
    return gain > 1 or not (8, 1) <= (version["major"], version["minor"]) <= (10, 1)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    workload = sys.argv[3] if len(sys.argv) > 3 else "busy"
    with Guest() as guest:
        version = guest.qmp("query-version")["qemu"]
        WORKLOADS[workload](guest)
        if "breaks" in sys.argv[4:]:
            sys.exit(0 if compare_breaks(guest, seconds, turns) else "bench: silent stops are no faster")
        entry, watch = entry_and_watch(guest)
        rates = {"swatd": [], "raw loop": [], "gdb": []}
        for _ in range(turns):  # in turn, so that a noisy machine disturbs all of them
            rates["swatd"].append(by_swatd(guest, seconds))
            rates["raw loop"].append(by_raw_loop(guest, watch, seconds))
            rates["gdb"].append(by_gdb(guest, entry, seconds))
    median = {who: statistics.median(values) for who, values in rates.items()}

    name = "{major}.{minor}.{micro}".format(**version)
    print(f"\nQEMU {name}, TCG, 1 vCPU, {workload} guest, median of {turns} turns of {seconds:g} s\n")
    print("| observer | system calls/s | of the raw loop | times gdb | from - to |")
    print("|---|---:|---:|---:|---:|")
    for who, rate in median.items():
        print(f"| {who} | {rate:.0f} | {rate / median['raw loop']:.0%} "
              f"| {rate / median['gdb']:.1f} | {min(rates[who]):.0f} - {max(rates[who]):.0f} |")

    flushes = (version["major"], version["minor"]) <= (10, 1)
    times_gdb = TIMES_GDB_WHERE_QEMU_FLUSHES[workload] if flushes else TIMES_GDB
    if median["swatd"] < 0.85 * median["raw loop"]:
        sys.exit("bench: swatd is below 85 % of the raw loop")
    if median["swatd"] < times_gdb * median["gdb"]:
        sys.exit(f"bench: swatd is below {times_gdb} times gdb")


if __name__ == "__main__":
    main()
