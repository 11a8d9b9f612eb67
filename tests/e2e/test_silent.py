"""Breakpoints that stop QEMU silently (8.1 to 10.1): exact, no translations thrown away, and the guest is left as ever.

On another QEMU (SWAT_QEMU names it) the same traces are exact in the ordinary way, and say so.
"""

import re
import signal
import subprocess
import tempfile
import time

import case
import swatd
from swatd import Trace
from test_exact import CALLS, Exact

KILLS = 20 if case.ALL else 5
BREAKS = ("--traps", "break", "--calls", "none")
SILENT = re.compile(r"breakpoints stop QEMU \S+ silently")


class Silent:
    assert_exact = Exact.assert_exact

    def is_silent(self):
        """Whether this QEMU can."""
        version = self.guest.qmp("query-version")["qemu"]
        return (8, 1) <= (version["major"], version["minor"]) <= (10, 1)

    def flushes(self):
        text = self.guest.monitor.hmp("info jit")
        return int(re.search(r"TB flush count\s+(\d+)", text)[1])

    def assert_silent(self, trace, expected=True):
        self.assertEqual(bool(SILENT.search(trace.diagnostics())), expected and self.is_silent(),
                         trace.diagnostics())

    def test_system_calls_are_exact(self):
        for run in range(case.RUNS):
            before = self.flushes()
            with self.subTest(run=run):
                with Trace(self.guest, "--names", *BREAKS) as trace:
                    pid, expected = self.count("counted", 300)
                expected = {what: n for what, n in expected.items() if what not in CALLS}
                self.assert_exact(trace, pid, expected)
                self.assert_silent(trace)
                if self.is_silent():  # those of attaching and leaving, and of a step or two
                    self.assertLess(self.flushes() - before, len(trace.events("syscall")) / 10)

    def test_32_bit_calls_side_by_side(self):
        with Trace(self.guest, "--names", *BREAKS) as trace:
            self.guest.check("counted 100 > /run/64 & counted32 100 > /run/32 & wait", timeout=300)
        for file, entry in (("/run/64", "syscall"), ("/run/32", "int80")):
            pid, expected = case.counted(self.guest.check(f"cat {file}"))
            expected = {what: n for what, n in expected.items() if what not in CALLS}
            self.assert_exact(trace, pid, expected, entry)
        self.assert_silent(trace)

    def test_functions_are_exact(self):
        with Trace(self.guest, "--names", "--calls", "none", "-e", "none", "--break",
                   "libc.so.6!malloc") as trace:
            pid, expected = self.count("counted", 200)
        self.assert_exact(trace, pid, {"malloc": expected["malloc"]})
        self.assert_silent(trace)

    def test_watchpoints_are_never_hit_silently(self):
        for options in ([], ["--traps", "break", "--returns=calls", "--break", "libc.so.6!malloc"]):
            with self.subTest(options), Trace(self.guest, *options) as trace:
                self.count("counted", 50)
            self.assert_silent(trace, expected=False)

    def test_without_a_monitor_stops_are_reported(self):
        with Trace(self.guest, *BREAKS, connect=swatd.connection(self.guest, qmp=False)) as trace:
            pid, expected = self.count("counted", 20)
        self.assertEqual(len(trace.events("syscall", pid=pid, name="getpid")), expected["getpid"])
        self.assert_silent(trace, expected=False)

    def pause(self):
        """QEMU takes no notice of a pause that meets a stop at a trap, or swatd's own."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            self.guest.qmp("stop")
            time.sleep(0.2)
            if self.guest.qmp("query-status")["status"] == "paused":
                return
        self.fail("the guest cannot be paused")

    def test_pause_and_resume_by_somebody_else(self):
        counts = []
        with Trace(self.guest, "--names", *BREAKS) as trace:
            for _ in range(3):
                self.pause()
                time.sleep(0.5)
                self.assertEqual(self.guest.qmp("query-status")["status"], "paused")
                self.guest.qmp("cont")
                counts.append(self.count("counted", 30))
        for pid, expected in counts:
            self.assertEqual(len(trace.events("syscall", pid=pid, name="getpid")),
                             expected["getpid"])
        self.assertGreaterEqual(len(trace.gaps()), 3)

    def assert_untouched(self):
        """busy.c, which the traps would stop at once, goes on unstopped."""
        self.guest.monitor.forget_events()
        before = self.guest.rounds()
        while self.guest.rounds() < before + 1000:
            self.assertTrue(self.guest.progresses(5), "the guest stands still")
        self.assertEqual(self.guest.monitor.count_events("STOP"), 0, "a trap stopped the guest")

    def test_leaving_in_every_way(self):
        busy = self.guest.start_busy("calls")
        for how in (signal.SIGINT, signal.SIGTERM, None):
            options = ["--duration", 1] if how is None else []
            with self.subTest(how), Trace(self.guest, *BREAKS, *options) as trace:
                time.sleep(0.5)
                self.assertEqual(trace.wait() if how is None else trace.leave(how), swatd.OK)
                self.assert_untouched()
        self.guest.check(f"kill {busy}")

    def test_kill_9(self):
        busy = self.guest.start_busy("calls")
        for kill in range(KILLS):
            with self.subTest(kill=kill), tempfile.NamedTemporaryFile() as log:
                process = subprocess.Popen(
                    [swatd.SWATD, *swatd.connection(self.guest), *BREAKS, "--log", log.name],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.3 + 1.5 * kill / KILLS)
                process.kill()
                process.wait()
                swatd.wait_for_guardians(f"{self.guest.path}/gdb")
                self.assertTrue(self.guest.running())
                self.assert_untouched()
        self.guest.check(f"kill {busy}")


class OneVcpu(Silent, case.GuestCase):
    pass


class TwoVcpus(Silent, case.GuestCase):
    guest_options = {"smp": 2}


if __name__ == "__main__":
    case.main()
