"""What swatd costs its host: the time from its start to the first event on a guest with 60
processes, and its memory as events go by.

Usage: footprint.py [EVENTS [KIND]]: how many events to trace for the memory, 200 000 if not given, and
by which traps: five million take an hour by watches, a minute by the execution log.
Prints a table and fails above 2 s, or when memory grows by more than 2 MiB after a tenth of the
events.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
# pylint: disable=wrong-import-position
from guest import Guest
from swatd import SWATD, connection

PROCESSES = 60
MOST_SECONDS = 2.0
MOST_GROWTH_KIB = 2048


def first_event_s(guest):
    start = time.monotonic()
    subprocess.run([SWATD, *connection(guest), "--log", "/dev/null", "--max-events", "1"],
                   check=True, timeout=120)
    return time.monotonic() - start


def rss_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def growth_kib(guest, events, options):
    """Memory at a tenth of `events`, and at all of them."""
    with tempfile.NamedTemporaryFile("rb") as log:
        swatd = subprocess.Popen([SWATD, *connection(guest), "--log", log.name,
                                  "--max-events", str(events), *options])
        early, last, seen = None, 0, 0
        while swatd.poll() is None:
            time.sleep(0.2)
            last = rss_kib(swatd.pid) or last
            seen += log.read().count(b"\n")
            if early is None and seen >= events // 10:
                early = last
        if swatd.returncode != 0:
            sys.exit(f"footprint: swatd ended with {swatd.returncode}")
        return early, last


def main():
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    options = ["--traps", sys.argv[2]] if len(sys.argv) > 2 else []
    with Guest(piped_log=True) as guest:
        guest.check(f"i=0; while [ $i -lt {PROCESSES} ]; do sleep 100000 & i=$((i+1)); done")
        # By the execution log calls are cheap, and system calls are not: hardly any of them then.
        if "exec-log" in options:
            guest.spawn(f"calls {events} 100000")
        else:
            guest.start_busy("calls")
        processes = int(guest.check("echo /proc/[0-9]* | wc -w"))
        seconds = min(first_event_s(guest) for _ in range(3))
        early, last = growth_kib(guest, events, options)
    print("\n| what | measured |\n|---|---:|")
    print(f"| start to first event, {processes} processes (best of 3) | {seconds:.2f} s |")
    print(f"| memory after {events // 10} events | {early} KiB |")
    print(f"| memory after {events} events | {last} KiB |")
    if processes < PROCESSES or seconds > MOST_SECONDS:
        sys.exit(f"footprint: more than {MOST_SECONDS} s to the first event")
    if early is None or last - early > MOST_GROWTH_KIB:
        sys.exit("footprint: memory grows")


if __name__ == "__main__":
    main()
