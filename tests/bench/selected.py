"""What tracing a system call that hardly anybody makes costs a guest that makes others all the time.

Usage: selected.py [SECONDS [TURNS [KERNEL...]]]: turns of 2 s, 10 of each sort, kernels 5.10 (which
reads a table of handlers) and 6.1 (which compares numbers). KERNEL:SMP for several vCPUs.

The guest counts its own rounds, of four system calls and much to compute (tests/guests/busy.c):
sorts, most of which are returns and calls through pointers, or one loop, which has neither. Turns
with `swatd -e execve` and without alternate; the median of the ratios of neighbours is what counts.
As a busy host disturbs even that, rounds a second of QEMU's own CPU time are shown as well. After
each turn a program is started (two execve): the time that it takes from the rounds is shown too.
Fails when the guest is slowed by more than 3 %, or makes fewer than 10 000 calls a second.
"""

import re
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
# pylint: disable=wrong-import-position
from guest import Guest
from swatd import Trace

CALLS_A_ROUND = 4
WORKLOADS = ("mix", "sort")
LEAST_CALLS = 10_000  # a second
LEAST_SPEED = 0.97
PROGRAM_S = 1.0  # within which a program has started and ended

PLANNED = re.compile(r"entry at .*: table, ")
PROVEN = re.compile(r"entry, table: ")


def cpu_seconds(pid):
    """Of all threads. [Documentation/scheduler/sched-stats.rst]"""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def turn(guest, seconds):
    """Rounds a second; rounds a second of CPU time; seconds that starting a program has taken."""
    before, cpu, start = guest.rounds(), cpu_seconds(guest.process.pid), time.monotonic()
    time.sleep(seconds)
    rounds, elapsed = guest.rounds() - before, time.monotonic() - start
    by_cpu = rounds / (cpu_seconds(guest.process.pid) - cpu)
    before, start = guest.rounds(), time.monotonic()
    guest.check("env true")
    time.sleep(max(0.0, start + PROGRAM_S - time.monotonic()))
    lost = time.monotonic() - start - (guest.rounds() - before) / (rounds / elapsed)
    return rounds / elapsed, by_cpu, lost


def wait_for_proof(trace):
    """swatd proves its traps when it begins, a third of a second at the most: no part of this."""
    deadline = time.monotonic() + 10
    while len(PROVEN.findall(trace.diagnostics())) < len(PLANNED.findall(trace.diagnostics())):
        if time.monotonic() > deadline:
            sys.exit(f"selected: no proof: {trace.diagnostics()}")
        time.sleep(0.05)


def traced_turn(guest, seconds):
    with Trace(guest, "-e", "execve", "--calls", "none") as trace:
        wait_for_proof(trace)
        rates = turn(guest, seconds)
    names = {event["name"] for event in trace.events("syscall")}
    if names != {"execve"}:
        sys.exit(f"selected: expected execve in the log, found {names}")
    return rates


def measure(kernel, smp, workload, seconds, turns):
    with Guest(kernel=kernel, smp=smp) as guest:
        version = guest.qmp("query-version")["qemu"]
        guest.start_busy(workload)
        turn(guest, seconds)  # until everything is translated
        traced, plain = [], []
        for _ in range(turns):
            plain.append(turn(guest, seconds))
            traced.append(traced_turn(guest, seconds))
    speed, speed_by_cpu = (statistics.median(t[i] / p[i] for t, p in zip(traced, plain))
                           for i in range(2))
    lost, lost_plain = (statistics.median(t[2] for t in turns) for turns in (traced, plain))
    calls = CALLS_A_ROUND * statistics.median(p[0] for p in plain)
    name = "{major}.{minor}.{micro}".format(**version)
    print(f"| {name} | {kernel} | {smp} | {workload} | {calls:.0f} | {1 - speed:.1%} "
          f"| {1 - speed_by_cpu:.1%} | {1e3 * lost_plain:.0f} | {1e3 * lost:.0f} |", flush=True)
    return calls >= LEAST_CALLS and speed >= LEAST_SPEED


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    guests = [kernel.partition(":") for kernel in sys.argv[3:] or ["5.10", "6.1"]]
    print("| QEMU | kernel | vCPUs | computes | calls/s untraced | slowed by "
          "| the same by QEMU's CPU time | a program, ms | the same traced |")
    print("|---|---|---:|---|---:|---:|---:|---:|---:|")
    results = [measure(kernel, int(smp or 1), workload, seconds, turns)
               for kernel, _, smp in guests for workload in WORKLOADS]
    if not all(results):
        sys.exit("selected: slowed by more than 3 %, or too few calls")


if __name__ == "__main__":
    main()
