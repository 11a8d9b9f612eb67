"""What logging every library call costs a guest that runs busybox commands against glibc.

Usage: imports.py [SECONDS [TURNS]]: turns of 20 s, 3 of each sort.

The guest counts its own rounds: a shell loop of ls, cat, sort and head, each a program of its own.
Turns with `swatd -e none` (import watches alone) and without alternate; the median of the ratios of
neighbours counts. Fails when the guest takes more than 1.5 times as long.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
# pylint: disable=wrong-import-position
from guest import Guest
from swatd import Trace

LOOP = ("while :; do ls -l /bin; cat /proc/meminfo | sort | head -3; echo -n . >> /run/loops; done "
        "> /dev/null 2>&1 &")
MOST_TIMES = 1.5
SETTLE_S = 1.0  # after which the traps stand and are proven


def loops(guest):
    return int(guest.check("wc -c < /run/loops"))


def rate(guest, seconds):
    before, start = loops(guest), time.monotonic()
    time.sleep(seconds)
    return (loops(guest) - before) / (time.monotonic() - start)


def traced_rate(guest, seconds):
    """Rounds a second, and calls logged a second."""
    with Trace(guest, "-e", "trace=none") as trace:
        time.sleep(SETTLE_S)
        start, before = time.monotonic(), len(trace.log())
        rounds = rate(guest, seconds)
        calls = (len(trace.log()) - before) / (time.monotonic() - start)
    if trace.gaps():
        sys.exit(f"imports: {trace.gaps()}")
    return rounds, calls


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with Guest() as guest:
        version = "{major}.{minor}.{micro}".format(**guest.qmp("query-version")["qemu"])
        guest.check(": > /run/loops; " + LOOP)
        rate(guest, seconds)  # until everything is translated
        plain, traced = [], []
        for _ in range(turns):
            plain.append(rate(guest, seconds))
            traced.append(traced_rate(guest, seconds))
    if not all(t[0] for t in traced):
        sys.exit(f"imports: not one round in {seconds} s: make the turns longer")
    times = statistics.median(p / t[0] for p, t in zip(plain, traced))
    print("| QEMU | rounds/s untraced | traced | calls logged/s | times as long |")
    print("|---|---:|---:|---:|---:|")
    print(f"| {version} | {statistics.median(plain):.1f} | {statistics.median(t[0] for t in traced):.1f} "
          f"| {statistics.median(t[1] for t in traced):.0f} | {times:.2f} |")
    if times > MOST_TIMES:
        sys.exit(f"imports: the guest takes more than {MOST_TIMES} times as long")


if __name__ == "__main__":
    main()
