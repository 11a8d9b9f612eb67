"""What a system call costs swatd when the stub is far away: round trips and time an event.

A proxy holds back every byte for half a round trip, in each direction. swatd reads guest RAM through
the stub, as it does of a VM on another host.

Usage: remote.py [SECONDS [ROUND_TRIP_MS]]    (10 and 10)
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
# pylint: disable=wrong-import-position
import swatd
from guest import Guest
from proxy import Proxy


class Run(swatd.Trace):
    """swatd through the proxy, and what it did from its first event on."""

    def measure(self, proxy, seconds):
        before, requests, start = len(self.events("syscall")), proxy.requests, time.monotonic()
        time.sleep(seconds)
        events = len(self.events("syscall")) - before
        return events, proxy.requests - requests, time.monotonic() - start


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    round_trip = (float(sys.argv[2]) if len(sys.argv) > 2 else 10) / 1000
    with Guest() as guest, Proxy(guest.gdb_address, delay=round_trip / 2) as proxy:
        guest.start_busy()
        options = ["--gdb", proxy.address, "--ram", "stub", "--calls", "none"]
        with Run(guest, connect=options, attach_timeout=300) as run:
            events, requests, elapsed = run.measure(proxy, seconds)
        if not events:
            sys.exit(f"no event in {seconds} s: {run.diagnostics()}")
        print(f"{events / elapsed:.1f} events/s, {requests / events:.2f} writes and "
              f"{elapsed / events / round_trip:.2f} round trips of {round_trip * 1000:g} ms an event")


if __name__ == "__main__":
    main()
