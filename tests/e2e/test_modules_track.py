"""Processes and modules that come and go while swatd traces."""

import re

import case
import swatd
from guest import named
from swatd import Trace

LIBRARY = "/lib/libswattest.so"
ROUNDS = 10


class Track(case.GuestCase):
    def dlopener(self, trace_options=()):
        with Trace(self.guest, "--names", *trace_options) as trace:
            output = self.guest.check(f"dlopener {LIBRARY} {ROUNDS}", timeout=300)
        return trace, int(re.search(r"pid=(\d+)", output)[1])

    def test_a_library_is_seen_each_time_it_is_loaded(self):
        trace, pid = self.dlopener()
        loaded = [event for event in trace.events("module_loaded", pid=pid)
                  if LIBRARY in event.values()]
        # Each round maps it twice: dlopen, and a plain executable mapping.
        self.assertGreaterEqual(len(loaded), ROUNDS)
        self.assertLessEqual(len(loaded), 2 * ROUNDS)

    def test_imports_of_a_library_just_loaded_are_traced_from_the_first_call(self):
        trace, pid = self.dlopener()
        calls = trace.events("call", pid=pid, function="strlen", caller_module="libswattest.so")
        self.assertEqual(len(calls), ROUNDS)
        self.assertEqual(trace.gaps(), [])

    def test_imports_of_a_library_whose_headers_nobody_has_touched(self):
        pid = self.guest.start_dlopener(ROUNDS, "drop")
        resident = self.guest.check(f"grep -A 20 'r--p.*{LIBRARY}' /proc/{pid}/smaps |"
                                    " grep -m 1 Rss:")
        self.assertEqual(resident.split()[1], "0")
        with Trace(self.guest) as trace:
            self.guest.check(f"kill -USR1 {pid};"
                             " until grep -q AGAIN /run/dlopener; do :; done", timeout=60)
        calls = trace.events("call", pid=pid, function="strlen", caller_module="libswattest.so")
        self.assertEqual(len(calls), ROUNDS)
        self.guest.check(f"kill {pid}")

    def test_every_process_starts_and_exits_once(self):
        with Trace(self.guest, "--names") as trace:
            output = self.guest.check(f"forktree {ROUNDS}; echo ran", timeout=300)
        self.assertIn(f"processes={3 * ROUNDS}", output)
        exited = [event["pid"] for event in trace.events("process_exited", process="forktree")]
        self.assertEqual(len(exited), len(set(exited)))
        self.assertEqual(len(exited), 3 * ROUNDS + 1)
        started = [event["pid"] for event in trace.events("process_started")]
        self.assertEqual(len(started), len(set(started)))
        self.assertLessEqual(set(exited), set(started))

    def test_modules_are_right_after_tracing(self):
        with Trace(self.guest):
            pid = self.guest.start_dlopener(ROUNDS)
        truth = self.guest.proc_truth()[pid]["maps"]
        expected = named(truth)
        self.assertIn(LIBRARY, {m[4] for m in expected})
        self.assertEqual(swatd.modules(self.guest, pid), {pid: expected})
        self.guest.check(f"kill {pid}")


if __name__ == "__main__":
    case.main()
