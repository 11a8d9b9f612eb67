"""What one hot call costs, by how many exported functions are selected beside it.

tests/guests/many.c calls one function of ten thousand that it imports, for ever; 1, 1,000 and all
10,000 of them are selected, in turn, by import watches, by the execution log, and by breakpoints on
the functions (of which swatd sets no more than 2,048). Every call of the hot one is logged, the others are never made.

Usage: hotcall.py [SECONDS [TURNS]]
Prints a table of calls a second; fails when the three rates differ by more than 20 %, but with
breakpoints, of which every one slows the whole guest.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
# pylint: disable=wrong-import-position
from guest import Guest
from swatd import Trace

COUNTS = {1: "many_0000", 1000: "many_0*", 10000: "many_*"}
KINDS = {
    "import watch": lambda glob: ["--calls", glob],
    "execution log": lambda glob: ["--traps", "exec-log", "--calls", glob],
    "breakpoints": lambda glob: ["--calls", "none", "--break", glob, "--break-budget", "20000"],
}
IMPOSSIBLE = {("breakpoints", 10000)}
MUST_BE_FLAT = ("import watch", "execution log")
SETTLE_S = 1.5  # after which the calls are steady


def rate(guest, seconds):
    before, start = guest.rounds(), time.monotonic()
    time.sleep(seconds)
    return (guest.rounds() - before) / (time.monotonic() - start)


def traced(guest, kind, count, seconds):
    options = ["-e", "trace=none", *KINDS[kind](f"libmany.so!{COUNTS[count]}")]
    with Trace(guest, *options, leave_timeout=300) as trace:
        time.sleep(SETTLE_S)
        return rate(guest, seconds)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with Guest(piped_log=True) as guest:
        version = "{major}.{minor}.{micro}".format(**guest.qmp("query-version")["qemu"])
        guest.start_busy(program="many")
        plain = []
        rates = {(kind, count): [] for kind in KINDS for count in COUNTS
                 if (kind, count) not in IMPOSSIBLE}
        for _ in range(turns):  # in turn, so that a noisy machine disturbs all of them
            plain.append(rate(guest, seconds))
            for kind, count in rates:
                rates[kind, count].append(traced(guest, kind, count, seconds))
    median = {key: statistics.median(values) for key, values in rates.items()}

    print(f"\nQEMU {version}, TCG, 1 vCPU, median of {turns} turns of {seconds:g} s; calls a second "
          f"of the hot function (untraced: {statistics.median(plain):.0f})\n")
    print("| functions selected | " + " | ".join(KINDS) + " |")
    print("|---:|" + "---:|" * len(KINDS))
    for count in COUNTS:
        print(f"| {count} | " + " | ".join(
            f"{median[kind, count]:.0f}" if (kind, count) in median else "-" for kind in KINDS) + " |")
    for kind in MUST_BE_FLAT:
        of_kind = [median[kind, count] for count in COUNTS]
        ratio = min(of_kind) / max(of_kind)
        print(f"{kind}: the slowest makes {ratio:.0%} of the fastest")
        if ratio < 0.8:
            sys.exit(f"hotcall: {kind} is not flat")


if __name__ == "__main__":
    main()
