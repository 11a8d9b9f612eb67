"""Every event once: counts of a trace against a program that knows what it did.

tests/guests/counted.c makes N calls of each kind in a child; the trace must have N of each with
that child's pid, in the log and in the JSON lines, on one vCPU, by every trap kind. On several
vCPUs: test_exact_smp.py.
"""

import case
from swatd import CALL_LINE, SYSCALL_LINE, Trace

CALLS = ("strlen", "malloc")


class Exact:
    """The assertions; the guests below differ."""

    def assert_exact(self, trace, pid, expected, entry="syscall"):
        self.assertEqual(trace.gaps(), [])
        for what, times in expected.items():
            if what in CALLS:
                events = trace.events("call", pid=pid, function=what)
                lines = [m for m in map(CALL_LINE.fullmatch, trace.log())
                         if m and m["name"] == what and m["pid"] == str(pid)]
            else:
                events = trace.events("syscall", pid=pid, name=what)
                self.assertEqual({event["entry"] for event in events}, {entry})
                lines = [m for m in map(SYSCALL_LINE.fullmatch, trace.log())
                         if m and m["name"] == what and m["pid"] == str(pid)]
            self.assertEqual(len(events), times, f"JSON events {what}")
            self.assertEqual(len(lines), times, f"log lines {what}")

    def trace_of(self, program, *arguments, options=()):
        with Trace(self.guest, "--names", *options) as trace:
            pid, expected = self.count(program, *arguments)
        return trace, pid, expected

    def test_64_bit_with_lazy_binding(self):
        trace, pid, expected = self.trace_of("counted", 1000)
        self.assert_exact(trace, pid, expected)

    def test_64_bit_bound_at_start(self):
        trace, pid, expected = self.trace_of("counted-now", 500)
        self.assert_exact(trace, pid, expected)

    def test_64_bit_without_a_plt(self):
        trace, pid, expected = self.trace_of("counted-noplt", 500)
        self.assert_exact(trace, pid, expected)

    def test_32_bit_through_int80(self):
        trace, pid, expected = self.trace_of("counted32", 1000)
        self.assert_exact(trace, pid, expected, "int80")


class OneVcpu(Exact, case.GuestCase):
    def test_32_bit_through_the_vdso_of_an_amd_cpu(self):
        trace, pid, expected = self.trace_of("counted32", 500, "vsyscall")
        self.assert_exact(trace, pid, expected, "syscall")  # the 32-bit one

    def test_system_calls_by_breakpoints(self):
        trace, pid, expected = self.trace_of("counted", 50, options=["--traps", "break"])
        syscalls = {what: times for what, times in expected.items() if what not in CALLS}
        self.assert_exact(trace, pid, syscalls)

    def test_32_bit_by_breakpoints(self):
        trace, pid, expected = self.trace_of("counted32", 50, options=["--traps", "break"])
        self.assert_exact(trace, pid, expected, "int80")

    def test_a_function_by_name_is_seen_however_it_is_reached(self):
        trace, pid, expected = self.trace_of("counted", 50, options=["--break", "libc.so.6!malloc"])
        # Through the import and through the breakpoint, and yet once.
        self.assert_exact(trace, pid, {"malloc": expected["malloc"]})

    def test_fields_of_a_system_call(self):
        trace, pid, _ = self.trace_of("counted", 10)
        first = trace.events("syscall", pid=pid, name="openat")[0]
        self.assertEqual(first["number"], 257)
        self.assertEqual(first["process"], "counted")
        self.assertEqual(first["tid"], pid)
        self.assertEqual(first["vcpu"], 0)
        self.assertEqual(len(first["args"]), 6)
        self.assertEqual(int(first["args"][0], 16) & 0xFFFFFFFF, 0xFFFFFF9C)  # AT_FDCWD
        line = f"{first['as']}: syscall 101 openat counted/{pid}"
        self.assertIn(line, trace.log())

    def test_the_guests_clock_is_the_guests(self):
        before = int(self.guest.check("date +%s"))
        trace, pid, _ = self.trace_of("counted", 10)
        after = int(self.guest.check("date +%s"))
        times = [event["guest_time"] for event in trace.events("syscall", pid=pid)]
        self.assertEqual(times, sorted(times))
        self.assertGreaterEqual(times[0], before)
        self.assertLess(times[-1], after + 1)

    def test_fields_of_a_call(self):
        trace, pid, _ = self.trace_of("counted", 10)
        for event in trace.events("call", pid=pid, function="strlen"):
            self.assertEqual(event["module"], "libc.so.6")
            self.assertEqual(event["caller_module"], "counted")
            self.assertEqual(event["process"], "counted")

    def test_sequence_numbers_and_times_go_up_by_one_and_never_back(self):
        trace, _, _ = self.trace_of("counted", 10)
        events = trace.events()
        first = events[0]["seq"]
        self.assertEqual([event["seq"] for event in events],
                         list(range(first, first + len(events))))
        times = [event["time"] for event in events]
        self.assertEqual(times, sorted(times))

    def test_without_names_the_log_is_swats(self):
        with Trace(self.guest) as trace:
            self.count("counted", 10)
        for line in trace.log():
            self.assertRegex(line, r"^([0-9a-f]+: (syscall|int80|sysenter) [0-9a-f]+"
                                   r"|Function [0-9a-f]+:\S+)$")
        self.assertGreaterEqual(sum(line.endswith(": syscall 27") for line in trace.log()), 10)


if __name__ == "__main__":
    case.main()
