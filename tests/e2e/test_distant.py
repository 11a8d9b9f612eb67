"""A stub on another host: one round trip an event, and nothing missed, misnamed or done twice for it.

A proxy stands for the distance; swatd reads guest RAM through the stub.
"""

import time

import case
import swatd
from proxy import Proxy
from swatd import Trace

DELAY = 0.001  # seconds, each way


class Distant(case.GuestCase):
    def setUp(self):
        self.proxy = self.enterContext(Proxy(self.guest.gdb_address, delay=DELAY))

    def trace(self, *options):
        return Trace(self.guest, "--calls", "none", "--names", *options, attach_timeout=120,
                     connect=["--no-profile-cache", "--gdb", self.proxy.address,
                              "--ram", "stub"])

    def wait_for_events(self, trace, number):
        deadline = time.monotonic() + 120
        while len(trace.log()) < number:
            self.assertLess(time.monotonic(), deadline, trace.diagnostics())
            time.sleep(0.1)

    def assert_exact(self, trace, pid, expected):
        for name in ("getpid", "openat"):
            self.assertEqual(len(trace.events("syscall", pid=pid, name=name)), expected[name])
        self.assertEqual({event["process"] for event in trace.events("syscall", pid=pid)
                          if event["name"] == "getpid"}, {"counted"})
        self.assertEqual(trace.events("syscall", process="?"), [])
        self.assertEqual(trace.status, swatd.OK, trace.diagnostics())

    def test_a_program_from_its_start_to_its_end(self):
        with self.trace() as trace:
            pid, expected = self.count("counted", 100)
        self.assert_exact(trace, pid, expected)
        self.assertEqual(len(trace.events("process_started", pid=pid)), 1)
        self.assertEqual(len(trace.events("process_exited", pid=pid)), 1)

    def test_programs_that_take_turns(self):
        busy = self.guest.start_busy()
        with self.trace() as trace:
            pid, expected = self.count("counted", 50)
        self.guest.check(f"kill {busy}")
        self.assert_exact(trace, pid, expected)
        self.assertEqual({event["process"] for event in trace.events("syscall", pid=busy)}, {"busy"})

    def test_a_plain_event_takes_one_round_trip(self):
        busy = self.guest.start_busy()
        with self.trace() as trace:
            self.wait_for_events(trace, 100)
            before, requests = len(trace.log()), self.proxy.requests
            self.wait_for_events(trace, before + 500)
            requests, events = self.proxy.requests - requests, len(trace.log()) - before
        self.guest.check(f"kill {busy}")
        # Once a second or so the list of processes is read.
        self.assertLess(requests, 1.5 * events)

    def test_one_process_of_several(self):
        busy = self.guest.start_busy()
        with self.trace("-p", "counted") as trace:
            pid, expected = self.count("counted", 50)
        self.guest.check(f"kill {busy}")
        self.assert_exact(trace, pid, expected)
        self.assertEqual({event["process"] for event in trace.events("syscall")}, {"counted"})

    # An event whose thread could not be told waits for no stop that does not come.
    def test_the_last_event_before_a_silence_is_told(self):
        with self.trace() as trace:
            pid = self.guest.spawn("exec sleep 1000")
            time.sleep(3)
            names = [line.split()[3] for line in trace.log() if line.endswith(f"/{pid}")]
            self.assertIn(names[-1], ("clock_nanosleep", "nanosleep"))
        self.guest.check(f"kill {pid}")


if __name__ == "__main__":
    case.main()
