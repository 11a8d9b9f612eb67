#!/usr/bin/env python3
"""How long it takes from starting swatd to its first event on each kernel of tests/e2e/matrix.py,
in a guest that makes system calls all the time.

Usage: attach.py [--only PATTERN] [--turns N] [QEMU...]
QEMU: one program of each build to be measured (scripts/fetch-qemu prints one); the installed one, if
none is given. SWAT_GUESTS names the folder of old kernels. Prints a table, row by row: blind, with
nothing known of earlier runs; and with the profile that an earlier run has kept. Median of N turns
(3), and beside it the CPU time of swatd itself, which other load on the host changes less.
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
# pylint: disable=wrong-import-position
import matrix
from machines import QEMU
from swatd import SWATD

MOST_BLIND_S = 5.0
MOST_CACHED_S = 1.0
LOOP = "{ (while :; do : >/dev/null; done) >/dev/null 2>&1 & }"


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def first_event_s(guest, *options, cache):
    """(seconds, of them the CPU's) until swatd has logged one event and has left."""
    start, cpu_before = time.monotonic(), cpu_s()
    subprocess.run([SWATD, "--gdb", guest.gdb_address, "--qmp", guest.qmp_address, *options,
                    "--log", "/dev/null", "--max-events", "1"],
                   check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={**os.environ, "XDG_CACHE_HOME": cache})
    return time.monotonic() - start, cpu_s() - cpu_before


def medians(measure, turns):
    return tuple(map(statistics.median, zip(*(measure() for _ in range(turns)))))


def measure(guest, turns):
    """((blind, CPU), (cached, CPU)) in seconds."""
    guest.run(LOOP)
    with tempfile.TemporaryDirectory() as cache:
        blind = medians(lambda: first_event_s(guest, "--no-profile-cache", cache=cache), turns)
        first_event_s(guest, cache=cache)
        return blind, medians(lambda: first_event_s(guest, cache=cache), turns)


def version_of(qemu):
    said = subprocess.run([qemu, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.search(r"version (\S+)", said)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name has this regular expression")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("qemus", nargs="*", default=[QEMU])
    options = parser.parse_args()
    rows = [row for row in (*matrix.DEBIAN, *matrix.old_rows(*matrix.OLD_ARCHITECTURES))
            if re.search(options.only, row.name)]
    print("| kernel | QEMU | blind, s | CPU | cached, s | CPU |\n|---|---|---:|---:|---:|---:|")
    slow = []
    for qemu in options.qemus:
        version = version_of(qemu)
        for row in rows:
            try:
                with row.guest(qemu) as guest:
                    (blind, blind_cpu), (cached, cached_cpu) = measure(guest, options.turns)
            except unittest.SkipTest as reason:
                print(f"| {row.name} | {version} | {reason} |")
                continue
            print(f"| {row.name} | {version} | {blind:.2f} | {blind_cpu:.2f} | {cached:.2f} |"
                  f" {cached_cpu:.2f} |", flush=True)
            if blind > MOST_BLIND_S or cached > MOST_CACHED_S:
                slow.append(f"{row.name} on {version}")
    if slow:
        sys.exit("attach: slower than asked for: " + ", ".join(slow))


if __name__ == "__main__":
    main()
