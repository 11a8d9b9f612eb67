"""What --returns=calls costs, in one run: a loop of strlen, malloc and free, all logged, by two swatds
in turn, without results and with them.

Usage: call_returns.py [SECONDS [TURNS]]. Prints a table: calls a second, stops for each call, and the
share of calls whose return was seen (of all but those that were open at the end).
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
from guest import Guest
from swatd import SWATD, connection

OBSERVERS = {"without": [], "--returns=calls": ["--returns=calls"]}


def measure(guest, seconds, options):
    """(calls a second, stops a call, share of calls whose return was seen)."""
    with tempfile.NamedTemporaryFile("r") as lines:
        done = subprocess.run(
            [SWATD, *connection(guest), "-e", "none", "--stats", *options, "--log", "/dev/null",
             "--json", lines.name, "--duration", str(seconds)],
            check=True, timeout=seconds + 60, stderr=subprocess.PIPE, text=True)
        events = [json.loads(line) for line in lines]
    calls = sum(event["event"] == "call" for event in events)
    outcomes = [event["outcome"] for event in events if event["event"] == "return"]
    over = len(outcomes) - outcomes.count("unfinished")
    stops = int(re.search(r"events, (\d+) stops", done.stderr)[1])
    return calls / seconds, stops / calls, outcomes.count("returned") / over if over else 1


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    measured = {who: [] for who in OBSERVERS}
    with Guest() as guest:
        version = "{major}.{minor}.{micro}".format(**guest.qmp("query-version")["qemu"])
        guest.spawn("exec calls 1000000000")
        for _ in range(turns):
            for who, options in OBSERVERS.items():
                measured[who].append(measure(guest, seconds, options))
    print(f"\nQEMU {version}, TCG, 1 vCPU, median of {turns} turns of {seconds:g} s\n")
    print("| results | calls/s | stops/call | returns seen |")
    print("|---|---:|---:|---:|")
    for who, rows in measured.items():
        rate, stops, seen = (statistics.median(column) for column in zip(*rows))
        print(f"| {who} | {rate:.0f} | {stops:.2f} | {f'{seen:.2%}' if OBSERVERS[who] else '-'} |")
    if min(seen for _, _, seen in measured["--returns=calls"]) < 1:
        sys.exit("call_returns: a return was missed")


if __name__ == "__main__":
    main()
