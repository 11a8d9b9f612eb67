"""kill -9 of swatd, at any moment: two seconds later the guest runs, with no trap of ours in it.

The guest makes system calls and library calls all the time, so a trap left behind stops it at
once. SWAT_KILLS sets how often: 200 with scripts/test --all, else 40.
"""

import os
import random
import signal
import subprocess
import tempfile
import time

import case
from gdbclient import RspClient
from swatd import SWATD, connection, processes_with

KILLS = int(os.environ.get("SWAT_KILLS", "200" if case.ALL else "40"))
RECOVERY = 2.0  # seconds
LATEST = 2.5  # seconds after the start: attach, list, set traps, trace


class Kill9(case.GuestCase):
    guest_options = {"smp": 2}

    def setUp(self):
        self.guest.start_busy("calls")
        self.guest.spawn("forktree 0")  # traps that come and go with processes
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        self.random = random.Random(seed)

    def start(self, log):
        options = self.random.choice([[], ["--traps", "break"], ["--names"], ["--returns"]])
        return subprocess.Popen([SWATD, *connection(self.guest), *options, "--log", log],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, start_new_session=True)

    def seconds_to_recover(self, killed_at):
        """Until the guardian has done its duty and the guest gets on by itself.

        A guest that no trap has met yet gets on before the guardian has stopped it to detach.
        """
        gdb = f"{self.guest.path}/gdb"
        while time.monotonic() < killed_at + RECOVERY:
            guarded = processes_with(gdb)
            if not guarded and self.guest.running() and self.guest.progresses(0.1):
                return time.monotonic() - killed_at
            time.sleep(0.01)
        self.fail(f"{RECOVERY} s after kill -9: {self.guest.qmp('query-status')}, "
                  f"guardians {guarded}")

    def assert_no_traps(self):
        """The guest makes thousands of calls, and none of them stops it."""
        self.guest.monitor.forget_events()
        before = self.guest.rounds()
        while self.guest.rounds() < before + 1000:
            self.assertTrue(self.guest.progresses(5), "the guest stands still")
        self.assertEqual(self.guest.monitor.count_events("STOP"), 0, "a trap stopped the guest")

    def kill_at(self, moment):
        """Starts swatd and kills it; how long the guest took to get on."""
        with tempfile.NamedTemporaryFile() as log:
            swatd = self.start(log.name)
            time.sleep(moment)
            self.assertIsNone(swatd.poll(), "swatd ended by itself")
            swatd.send_signal(signal.SIGKILL)
            killed_at = time.monotonic()
            swatd.wait()
            recovered = self.seconds_to_recover(killed_at)
        self.assertTrue(self.guest.alive(), self.guest.log())
        self.assert_no_traps()
        return recovered

    def test_guest_runs_on_without_traps(self):
        recovered = []
        for kill in range(KILLS):
            moment = self.random.uniform(0, LATEST)
            try:
                recovered.append(self.kill_at(moment))
            except Exception as error:
                raise AssertionError(f"kill {kill}, {moment:.3f} s after the start") from error
            if kill % 10 == 9:
                client = RspClient(self.guest.gdb_address)
                self.assertIsNone(client.stop_within(0.3), "a trap fires")
                client.close()
        print(f"{len(recovered)} kills: recovered after {max(recovered):.2f} s at most, "
              f"{sum(recovered) / len(recovered):.2f} s on average")


if __name__ == "__main__":
    case.main()
