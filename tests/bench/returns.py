"""What --returns costs, in one run: the same busy guest by three swatds in turn:

  without        system calls only
  watch          and their returns, by a read watch on each thread's saved result (the default)
  break          and their returns, all by breakpoints (--traps break): x86_64 alone has these

Usage: returns.py [SECONDS [TURNS [WORKLOAD [ARCH]]]], as for bench.py; ARCH: amd64, or another that
fetch-guest has. Prints a table: calls a second, stops
for each call, and the share of calls whose end was seen (all but those still open at the end).
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
# pylint: disable=wrong-import-position
from bench import WORKLOADS
from guest import Guest
from swatd import SWATD, connection

OBSERVERS = {"without": [], "watch": ["--returns"], "break": ["--returns", "--traps", "break"]}


def measure(guest, seconds, options):
    """(calls a second, stops a call, share of calls with an end)."""
    with tempfile.NamedTemporaryFile("r") as lines:
        done = subprocess.run(
            [SWATD, *connection(guest), "--names", "--calls", "none", "--stats", *options,
             "--log", "/dev/null", "--json", lines.name, "--duration", str(seconds)],
            check=True, timeout=seconds + 60, stderr=subprocess.PIPE, text=True)
        events = [json.loads(line) for line in lines]
    calls = [event for event in events if event["event"] == "syscall"]
    outcomes = [event["outcome"] for event in events
                if event["event"] == "return" and event["outcome"] != "in_child"]
    seen = sum(outcome not in ("missed", "unfinished") for outcome in outcomes)
    over = len(calls) - outcomes.count("unfinished")
    stops = int(re.search(r"events, (\d+) stops", done.stderr)[1])
    return len(calls) / seconds, stops / len(calls), seen / over


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    workload = sys.argv[3] if len(sys.argv) > 3 else "busy"
    arch = sys.argv[4] if len(sys.argv) > 4 else "amd64"
    observers = {who: options for who, options in OBSERVERS.items()
                 if arch == "amd64" or "break" not in options}
    measured = {who: [] for who in observers}
    with Guest(arch=arch) as guest:
        version = "{major}.{minor}.{micro}".format(**guest.qmp("query-version")["qemu"])
        WORKLOADS[workload](guest)
        for _ in range(turns):
            for who, options in observers.items():
                measured[who].append(measure(guest, seconds, options))
    print(f"\nQEMU {version}, TCG, {arch}, 1 vCPU, {workload} guest, median of {turns} turns of {seconds:g} s\n")
    print("| returns | system calls/s | stops/call | calls whose end was seen |")
    print("|---|---:|---:|---:|")
    for who, rows in measured.items():
        rate, stops, seen = (statistics.median(column) for column in zip(*rows))
        print(f"| {who} | {rate:.0f} | {stops:.2f} | {f'{seen:.2%}' if observers[who] else '-'} |")
    worst = min(seen for who in observers if observers[who] for _, _, seen in measured[who])
    if worst < 1:
        sys.exit("returns: a return was missed")


if __name__ == "__main__":
    main()
