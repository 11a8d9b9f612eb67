"""--stats tells what QEMU and the guest themselves count; --rate-cap leaves nothing uncounted."""

import re
import time
from collections import Counter

import case
import swatd
from swatd import Trace


def stats(trace):
    """The numbers of the lines that --stats prints, by the words after them."""
    text = " ".join(re.findall(r"stats: (.*)", trace.diagnostics()))
    return {what: float(number) for number, what in re.findall(
        r"([\d.]+) (s,|events|stops|bytes sent|% of the time in|% by its own|times:)", text)}


class Stats(case.GuestCase):
    def flushes(self):
        return int(re.search(r"TB flush count\s+(\d+)", self.guest.qmp("human-monitor-command", **{"command-line": "info jit"}))[1])

    def test_flushes_are_those_that_qemu_counts(self):
        before = self.flushes()
        with Trace(self.guest, "--stats", "--traps", "break", "--calls", "none") as trace:
            self.count("counted", 50)
        counted = self.flushes() - before
        told = stats(trace)
        self.assertEqual(trace.status, swatd.OK, trace.diagnostics())
        # Attaching and leaving are not in swatd's number, but in QEMU's.
        self.assertLessEqual(told["times:"], counted)
        self.assertGreaterEqual(told["times:"], counted - 5)

    def test_events_are_those_in_the_log(self):
        with Trace(self.guest, "--stats") as trace:
            self.count("counted", 300)
        told = stats(trace)
        self.assertEqual(told["events"], len(trace.events("syscall") + trace.events("call")))
        self.assertGreaterEqual(told["stops"], told["events"])

    def clocks(self):
        """(ours before asking, the guest's, ours after), in seconds"""
        before = time.monotonic()
        uptime = float(self.guest.check("cat /proc/uptime").split()[0])
        return before, uptime, time.monotonic()

    def test_the_guests_time_is_what_the_guest_has_had(self):
        """What the guest's clock has lost is more than it lost within the trace, less than it lost around it."""
        busy = self.guest.start_busy("calls")
        around = [self.clocks()]
        with Trace(self.guest, "--stats") as trace:
            within = [self.clocks()]
            time.sleep(5)
            within.append(self.clocks())
        around.append(self.clocks())
        self.guest.check(f"kill {busy}")
        told = stats(trace)
        lost = told["s,"] * told["% by its own"] / 100
        at_least = (within[1][0] - within[0][2]) - (within[1][1] - within[0][1])
        at_most = (around[1][2] - around[0][0]) - (around[1][1] - around[0][1])
        tick = 0.05  # of either clock, and what rounding to tenths leaves
        self.assertGreater(at_least, 0.5)
        self.assertGreater(lost, at_least - tick, trace.diagnostics())
        self.assertLess(lost, at_most + tick, trace.diagnostics())
        self.assertLessEqual(told["% of the time in"], told["% by its own"] + 5)


class Cap(case.GuestCase):
    def traced(self, *options):
        """({what: logged events of it}, {what: how many a gap tells}, {what: how often counted})"""
        with Trace(self.guest, "-p", "counted", *options) as trace:
            _, expected = self.count("counted", 2000)
        self.assertEqual(trace.status, swatd.OK, trace.diagnostics())
        logged = {}
        for event in trace.events("syscall") + trace.events("call"):
            what = event.get("name") or event["function"]
            logged.setdefault(what, []).append(event)
        held_back = Counter()
        for gap in trace.gaps():
            what = re.fullmatch(r"\w+ (\S+!)?(\S+): above 100/s", gap["reason"])
            held_back[what[2]] += gap["count"]
        return logged, held_back, expected

    def test_what_is_held_back_is_counted(self):
        everything, _, expected = self.traced()
        logged, held_back, _ = self.traced("--rate-cap", "100/s")
        for what, times in expected.items():
            self.assertGreaterEqual(len(everything[what]), times)  # the program's parent has some
            self.assertEqual(len(logged[what]) + held_back[what], len(everything[what]), what)
            self.assert_capped(logged[what], 100)
        self.assertGreater(held_back["getpid"], 0)
        self.assertGreater(held_back["malloc"], 0)

    def assert_capped(self, events, per_second):
        """Seconds begin when swatd does: two of them may meet in any one of ours."""
        times = [float(event["time"]) for event in events]
        for i, start in enumerate(times):
            within = sum(time < start + 0.99 for time in times[i:])
            self.assertLessEqual(within, 2 * per_second)

    def test_what_is_rare_is_not_touched(self):
        with Trace(self.guest, "--rate-cap", "5000/s", "-p", "counted") as trace:
            pid, expected = self.count("counted", 100)
        self.assertEqual(trace.gaps(), [])
        self.assertEqual(len(trace.events("syscall", pid=pid, name="getpid")), expected["getpid"])


class Budget(case.GuestCase):
    def test_thousands_of_breakpoints_are_refused(self):
        done = swatd.once(*swatd.connection(self.guest), "--break", "libc.so.6!*", "--log", "/dev/null",
                          "--duration", "1")
        self.assertEqual(done.returncode, swatd.USAGE, done.stderr)
        asked = int(re.search(r"asks for (\d+) breakpoints", done.stderr)[1])
        self.assertGreater(asked, 1000)
        self.assertIn("--calls", done.stderr)

    def test_the_budget_can_be_raised(self):
        options = ["--break", "libc.so.6!m*", "--calls", "none"]
        done = swatd.once(*swatd.connection(self.guest), *options, "--break-budget", "10", "--log",
                          "/dev/null", "--duration", "1")
        self.assertEqual(done.returncode, swatd.USAGE, done.stderr)
        with Trace(self.guest, *options, "--break-budget", "2000") as trace:
            pid, expected = self.count("counted", 50)
        self.assertEqual(trace.status, swatd.OK, trace.diagnostics())
        self.assertEqual(len(trace.events("call", pid=pid, function="malloc")), expected["malloc"])


if __name__ == "__main__":
    case.main()
